//! The name of a lock.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The most bytes that a [`LockName`] may have.
pub const MAX_LEN: usize = 512;

/// What a lock is called: 1 to 512 bytes of text without control characters, so that it
/// can stand in a key, in a line of a log and on a command line: `order/4711`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockName(Arc<str>);

/// Why a text cannot be the name of a lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLockName {
    /// Nothing there.
    #[error("the name of a lock cannot be empty")]
    Empty,
    /// More than [`MAX_LEN`] bytes.
    #[error("the name of a lock has at most {MAX_LEN} bytes, this one has {0}")]
    TooLong(usize),
    /// It has a control character, such as a line feed or a NUL.
    #[error("the name of a lock cannot have the control character {0:?}")]
    Control(char),
}

impl LockName {
    /// Holds `text` against the rule for names.
    ///
    /// # Errors
    /// [`InvalidLockName`], with what is wrong.
    pub fn new(text: &str) -> Result<Self, InvalidLockName> {
        if text.is_empty() {
            return Err(InvalidLockName::Empty);
        }
        if text.len() > MAX_LEN {
            return Err(InvalidLockName::TooLong(text.len()));
        }
        match text.chars().find(|c| c.is_control()) {
            Some(control) => Err(InvalidLockName::Control(control)),
            None => Ok(Self(Arc::from(text))),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for LockName {
    type Err = InvalidLockName;

    fn from_str(text: &str) -> Result<Self, InvalidLockName> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_any_text_of_one_line_that_is_not_too_long() {
        for good in ["a", "order/4711", "Müller & Söhne", " ", "{tag}", &"x".repeat(MAX_LEN)] {
            assert_eq!(LockName::new(good).unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("", InvalidLockName::Empty),
            ("a\nb", InvalidLockName::Control('\n')),
            ("\0", InvalidLockName::Control('\0')),
            (&"ä".repeat(257), InvalidLockName::TooLong(514)),
        ] {
            assert_eq!(LockName::new(bad), Err(why));
        }
    }
}
