//! The text of a config.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use crate::config::{
    Diagnostics, Environment, Loaded, Overrides, Paint, load_text, load_text_in_parts,
};
use crate::table::JobTable;

/// What `${TOKEN}` and `${file:/run/token}` stand for: in no text by chance.
const SECRET: &str = "q7Xv-9mPz";

/// A machine on which every config is the same.
pub(super) struct Machine;

impl Environment for Machine {
    fn var(&self, name: &str) -> Option<OsString> {
        match name {
            "HOME" => Some("/home/ada".into()),
            "TOKEN" => Some(SECRET.into()),
            _ => None,
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("/run/token") => Ok(format!("{SECRET}\n").into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn host_name(&self) -> Option<OsString> {
        Some("web-1".into())
    }

    fn is_root(&self) -> bool {
        false
    }
}

/// A text is a config, or every mistake in it is told at its place; read in parts it is
/// the same config.
pub fn config(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if text.contains(SECRET) {
        return;
    }
    let path = Path::new("solocron.toml");
    let whole = load_text(path, text, &Overrides::default(), &Machine);
    match &whole {
        Ok(loaded) => {
            assert_eq!(loaded.warnings.errors(), 0);
            are_told(&loaded.warnings);
            tells_no_secret(&format!("{:?}", loaded.config));
        }
        Err(errors) => {
            assert!(errors.errors() > 0);
            are_told(errors);
        }
    }
    if let Some(in_parts) = load_text_in_parts(path, text, &Machine) {
        let whole = whole.expect("it can be read in parts");
        assert_eq!(jobs(&in_parts), jobs(&whole));
    }
}

/// The first line of each is its place and all of its message, and none of it does
/// anything to a terminal.
pub(super) fn are_told(found: &Diagnostics) {
    for found in found {
        assert!(found.place.line >= 1 && found.place.column >= 1);
        let shown = found.render(Paint::Plain).to_string();
        let first = format!("{}: {}: {}", found.place, found.severity, found.message);
        assert_eq!(shown.lines().next(), Some(first.as_str()));
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
        tells_no_secret(&shown);
    }
}

/// What was put in for a `${…}` is not shown.
fn tells_no_secret(shown: &str) {
    assert!(!shown.contains(SECRET), "{shown}");
}

fn jobs(loaded: &Loaded) -> (String, Vec<String>) {
    let table: &JobTable = &loaded.config.jobs;
    (table.digest().to_string(), table.iter().map(|job| format!("{job:?}")).collect())
}
