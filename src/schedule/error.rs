//! Why an expression is not a schedule, written for the person who typed it.

use std::fmt;
use std::ops::Range;

/// What is wrong with an expression, where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ScheduleError {
    /// What is wrong: `minute must be 0-59, not 61`.
    pub message: String,
    /// The bytes of the expression that are wrong; on character boundaries, and
    /// empty only for an empty expression.
    pub span: Range<usize>,
    /// What would be right, where that can be said.
    pub help: Option<String>,
}

impl ScheduleError {
    pub(super) fn new(message: impl Into<String>, span: Range<usize>) -> Self {
        Self { message: message.into(), span, help: None }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// The message, and the help behind a semicolon.
impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.help {
            Some(help) => write!(f, "{}; {help}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// The most characters of somebody's input that a message repeats.
const EXCERPT: usize = 40;

/// `text`, cut to what a message can bear, and on one line.
pub(super) fn excerpt(text: &str) -> String {
    let mut short = String::new();
    for (place, c) in text.chars().enumerate() {
        if place == EXCERPT {
            short.push('…');
            break;
        }
        if c.is_control() { short.extend(c.escape_default()) } else { short.push(c) }
    }
    short
}

/// The values whose keys are most like `text`, best first: at most three, each
/// within one mistake in three letters. `candidates` are pairs of key and value.
pub(super) fn nearest(
    text: &str,
    candidates: impl Iterator<Item = (String, String)>,
) -> Vec<String> {
    if text.len() > EXCERPT {
        return Vec::new();
    }
    let text = text.to_ascii_lowercase();
    let allowed = text.len() / 3;
    let mut like: Vec<(usize, String)> = candidates
        .map(|(key, value)| (strsim::damerau_levenshtein(&text, &key.to_ascii_lowercase()), value))
        .filter(|(mistakes, _)| *mistakes <= allowed.min(4))
        .collect();
    like.sort();
    // A far likeness beside a near one is noise.
    let best = like.first().map_or(0, |(mistakes, _)| *mistakes);
    like.into_iter().take_while(|(m, _)| *m <= best).take(3).map(|(_, value)| value).collect()
}
