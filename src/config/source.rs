//! Where a config comes from: files, directories of files, or a text in hand.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostics::{Diagnostics, Report, Spot};

/// Where a config is looked for when none is named, the first that exists.
pub const SEARCHED: [&str; 2] = ["solocron.toml", "/etc/solocron/solocron.toml"];

/// The most bytes that are read of one file: a device would never end.
const LARGEST: u64 = 512 << 20;

/// The text of one file.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: Arc<Path>,
    pub(crate) text: String,
    /// Whether there is something to parse; if not, why has been reported.
    pub(crate) readable: bool,
}

impl Source {
    pub(crate) fn new(path: &Path, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        Self { path: path.into(), text, readable: true }
    }

    fn unreadable(path: &Path, text: String) -> Self {
        Self { path: path.into(), text, readable: false }
    }
}

/// Reads the files at `paths`, or the first of [`SEARCHED`].
pub(crate) fn gather(paths: &[PathBuf], report: &mut Report) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut files = Vec::new();
    if paths.is_empty() {
        match SEARCHED.iter().find(|path| Path::new(path).exists()) {
            Some(path) => files.push(PathBuf::from(path)),
            None => {
                let at =
                    add(&mut sources, Source::unreadable(Path::new(SEARCHED[0]), String::new()));
                report
                    .error(at, format!("there is no config here, and none at {}", SEARCHED[1]))
                    .help("name one with -c PATH or SOLOCRON_CONFIG=PATH");
            }
        }
    }
    for path in paths {
        if path.is_dir() {
            match files_in(path) {
                Ok(found) if !found.is_empty() => files.extend(found),
                Ok(_) => {
                    let at = add(&mut sources, Source::unreadable(path, String::new()));
                    report.error(at, "there is no *.toml file in this directory");
                }
                Err(error) => {
                    let at = add(&mut sources, Source::unreadable(path, String::new()));
                    report
                        .error(at, format!("this directory cannot be listed: {}", reason(&error)));
                }
            }
        } else {
            files.push(path.clone());
        }
    }
    let mut seen = Vec::new();
    for file in files {
        // A file that is named twice is meant once.
        if let Ok(canonical) = file.canonicalize() {
            if seen.contains(&canonical) {
                continue;
            }
            seen.push(canonical);
        }
        read(&file, &mut sources, report);
    }
    sources
}

/// The `*.toml` of a directory in order of name, without hidden ones.
fn files_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|end| end == "toml") && !path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// All of a text that is no config, such as a crontab.
///
/// # Errors
/// Why it cannot be read.
pub(crate) fn read_text(path: &Path, input: io::Result<impl Read>) -> Result<String, Diagnostics> {
    let (mut sources, mut report) = (Vec::new(), Report::default());
    take_in(path, input, &mut sources, &mut report);
    match sources.pop() {
        Some(source) if source.readable => Ok(source.text),
        other => Err(report.locate(&other.into_iter().collect::<Vec<_>>())),
    }
}

fn read(path: &Path, sources: &mut Vec<Source>, report: &mut Report) {
    take_in(path, File::open(path), sources, report);
}

fn take_in(
    path: &Path,
    input: io::Result<impl Read>,
    sources: &mut Vec<Source>,
    report: &mut Report,
) {
    let mut bytes = Vec::new();
    let result = input.and_then(|input| input.take(LARGEST + 1).read_to_end(&mut bytes));
    if let Err(error) = result {
        let at = add(sources, Source::unreadable(path, String::new()));
        report.error(at, format!("this file cannot be read: {}", reason(&error)));
        return;
    }
    if bytes.len() as u64 > LARGEST {
        let at = add(sources, Source::unreadable(path, String::new()));
        report.error(at, format!("this file is larger than {} MiB", LARGEST >> 20));
        return;
    }
    match String::from_utf8(bytes) {
        Ok(text) => {
            let source = Source::new(path, text);
            let blank = source.text.trim().is_empty();
            let at = add(sources, source);
            if blank {
                report.warning(at, "this file is empty");
            }
        }
        Err(error) => {
            let start = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let mut at = add(sources, Source::unreadable(path, text));
            at.span = start..start + '\u{fffd}'.len_utf8();
            report
                .error(at, format!("this byte, 0x{:02x}, is not UTF-8", error.as_bytes()[start]))
                .help("save the file as UTF-8");
        }
    }
}

/// Adds `source`; the spot is its very beginning.
fn add(sources: &mut Vec<Source>, source: Source) -> Spot {
    sources.push(source);
    Spot { source: sources.len() - 1, span: 0..0 }
}

/// What went wrong, without Rust's `(os error 2)`.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_lowercase()
        }
    }
}
