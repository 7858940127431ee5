//! Enums whose variants are words, as the config, the store and the log write them.

/// A text that is none of the words of an enum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is none of {}", .of.join(", "))]
pub struct InvalidWord {
    /// The text.
    pub word: String,
    /// The words that it could have been.
    pub of: &'static [&'static str],
}

/// An enum whose variants are words.
macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $type {
            /// Every one, in the order of the manual.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word of each.
            pub const WORDS: &[&str] = &[$($word,)+];

            /// The word that config, store and logs use.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::word::InvalidWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(Self::Err { word: text.to_owned(), of: Self::WORDS }),
                }
            }
        }
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use crate::policy::{Backoff, CatchUpPolicy, OnCrash, Overlap};

    macro_rules! assert_words {
        ($type:ident: $($word:literal)+) => {
            assert_eq!($type::WORDS, [$($word),+]);
            for (policy, word) in $type::ALL.iter().zip($type::WORDS) {
                assert_eq!((policy.as_str(), policy.to_string().as_str()), (*word, *word));
                assert_eq!(word.parse::<$type>(), Ok(*policy));
            }
        };
    }

    #[test]
    fn every_word_is_read_back() {
        assert_words!(Overlap: "skip" "allow" "wait" "replace");
        assert_words!(OnCrash: "takeover" "skip");
        assert_words!(CatchUpPolicy: "none" "latest" "all");
        assert_words!(Backoff: "constant" "exponential");
    }

    #[test]
    fn another_word_is_refused_with_those_that_there_are() {
        let refused = "Skip".parse::<Overlap>().unwrap_err();
        assert_eq!(refused.to_string(), "\"Skip\" is none of skip, allow, wait, replace");
        assert!("".parse::<OnCrash>().is_err());
    }
}
