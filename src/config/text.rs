//! What a text must be to be a level, a umask, a path or a name.

use super::excerpt::cited;
use super::invalid::InvalidValue;
use crate::name;

/// One of `words`.
pub(super) fn choice<'v>(text: &'v str, words: &[&str]) -> Result<&'v str, InvalidValue> {
    if words.contains(&text) {
        return Ok(text);
    }
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let invalid = InvalidValue::new(0..text.len(), format!("\"{}\" is not a choice", cited(text)));
    Err(invalid.help(format!("write {}", quoted.join(" or "))))
}

/// Holds a text against what the log's filter can be.
pub(super) fn filter(text: &str) -> Result<(), InvalidValue> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let whole = 0..text.len();
    // A word alone that is no level names a module: almost always a slip.
    let alone = text.chars().all(|c| c.is_ascii_alphabetic());
    if alone && !LEVELS.contains(&text.to_ascii_lowercase().as_str()) {
        let lower = text.to_ascii_lowercase();
        let distance = |level: &&str| match lower.starts_with(level) {
            true => 0,
            false => strsim::damerau_levenshtein(&lower, level),
        };
        let near = LEVELS.into_iter().min_by_key(distance).filter(|near| distance(near) <= 2);
        let invalid = InvalidValue::new(whole, format!("`{}` is not a level", cited(text)));
        return Err(invalid.help(match near {
            Some(level) => format!("did you mean \"{level}\"?"),
            None => "the levels are error, warn, info, debug and trace".to_owned(),
        }));
    }
    match text.parse::<tracing_subscriber::filter::Targets>() {
        Ok(_) => Ok(()),
        Err(_) => Err(InvalidValue::new(whole, "this is not a filter for the log")
            .help("write a level, or levels by module: \"info,solocron::store=debug\"")),
    }
}

/// Permissions in octal.
pub(super) fn umask(text: &str) -> Result<u32, InvalidValue> {
    let octal = text.strip_prefix("0o").unwrap_or(text);
    let digits = !octal.is_empty() && octal.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    let mode = if digits { u32::from_str_radix(octal, 8).ok() } else { None };
    mode.filter(|mode| *mode <= 0o777).ok_or_else(|| {
        InvalidValue::new(0..text.len(), "this is not an octal number up to 777")
            .help("write \"022\": nobody but the owner may write")
    })
}

/// A path from `/` on.
pub(super) fn absolute(text: &str) -> Result<(), InvalidValue> {
    if text.starts_with('/') {
        return Ok(());
    }
    let invalid = InvalidValue::new(0..text.len(), "this is not an absolute path");
    Err(if text.starts_with('~') {
        invalid.help("`~` is not replaced here: write the whole path")
    } else {
        invalid.help("write the whole path, from `/` on")
    })
}

/// Where in `text` a name goes wrong.
pub(super) fn invalid_name(text: &str, error: &name::InvalidName) -> InvalidValue {
    let span = match error {
        name::InvalidName::BadStart(bad) => 0..bad.len_utf8(),
        name::InvalidName::BadCharacter(bad) => {
            let at = text.find(*bad).unwrap_or(0);
            at..at + bad.len_utf8()
        }
        name::InvalidName::Empty | name::InvalidName::TooLong(_) => 0..text.len(),
    };
    InvalidValue::new(span, error.to_string())
}
