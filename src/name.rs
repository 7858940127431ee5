//! Names that people give: to a job, to a node, to a cluster.
//!
//! One rule for the three of them, so that a name can stand in a key of the
//! store, in a log line and in a URL without quoting:
//! `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The most bytes a name may have.
pub const MAX_LEN: usize = 128;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing there.
    #[error("a name cannot be empty")]
    Empty,
    /// More than [`MAX_LEN`] bytes.
    #[error("a name has at most {MAX_LEN} characters, this one has {0}")]
    TooLong(usize),
    /// The first character is not a letter or a digit.
    #[error("a name starts with a letter or a digit, not {0:?}")]
    BadStart(char),
    /// A later character is not allowed.
    #[error("a name has only letters, digits, '.', '_' and '-', not {0:?}")]
    BadCharacter(char),
}

/// Holds `text` against the rule of this module.
pub fn check(text: &str) -> Result<(), InvalidName> {
    let first = text.chars().next().ok_or(InvalidName::Empty)?;
    if !first.is_ascii_alphanumeric() {
        return Err(InvalidName::BadStart(first));
    }
    if let Some(bad) =
        text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')))
    {
        return Err(InvalidName::BadCharacter(bad));
    }
    if text.len() > MAX_LEN {
        return Err(InvalidName::TooLong(text.len()));
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks `text` against the rule for names.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }
    };
}

name!(
    /// The name of a job: its key in the job table.
    JobName
);
name!(
    /// The stable name of a node, such as `web-1`.
    NodeName
);
name!(
    /// The name of a cluster: the nodes that share it on one store are one cluster.
    ClusterName
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_for_names_is_the_same_for_all_three() {
        let longest = "a".repeat(MAX_LEN);
        for good in ["a", "0", "nightly-backup", "web-1", "a.b_c-d", "A.", &longest] {
            assert_eq!(JobName::new(good).map(|n| n.to_string()), Ok(good.to_owned()));
        }
        let too_long = "a".repeat(MAX_LEN + 1);
        for (bad, why) in [
            ("", InvalidName::Empty),
            ("-a", InvalidName::BadStart('-')),
            (".a", InvalidName::BadStart('.')),
            ("é", InvalidName::BadStart('é')),
            ("a b", InvalidName::BadCharacter(' ')),
            ("a@b", InvalidName::BadCharacter('@')),
            ("a{b", InvalidName::BadCharacter('{')),
            ("a\n", InvalidName::BadCharacter('\n')),
            (&too_long, InvalidName::TooLong(MAX_LEN + 1)),
        ] {
            assert_eq!(NodeName::new(bad), Err(why));
        }
    }
}
