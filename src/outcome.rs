//! How a run ended, and how a slot ended.

use std::fmt;
use std::str::FromStr;

/// A text that is none of the words of this module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an outcome")]
pub struct InvalidOutcome(pub String);

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

            /// The word that logs, ledger and scripts use.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = InvalidOutcome;

            fn from_str(text: &str) -> Result<Self, InvalidOutcome> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(InvalidOutcome(text.to_owned())),
                }
            }
        }
    };
}

words! {
    /// How a run ended, or how a slot that never finished did.
    Outcome {
        /// The command ended with one of the job's `success_codes`.
        Succeeded = "succeeded",
        /// It ended otherwise, or could not be started.
        Failed = "failed",
        /// It ran longer than the job's `timeout` and was ended.
        TimedOut = "timed_out",
        /// Somebody asked for its end.
        Cancelled = "cancelled",
        /// The node could no longer trust its lease and ended the run.
        LeaseLost = "lease_lost",
        /// A draining node ended the run and gave the slot to the others.
        HandedOver = "handed_over",
        /// The holder was lost and nobody may run the slot again.
        Abandoned = "abandoned",
        /// Nobody ran the slot.
        Missed = "missed",
    }
}

words! {
    /// Why a slot is in the ledger as missed.
    MissedReason {
        /// No node was up between the slot and the end of its start window.
        NoNode = "no_node",
        /// Nodes were up, but the store did not answer in time.
        StoreDown = "store_down",
        /// The node was up but came to it after the start window had closed:
        /// it was suspended, overloaded, or a clock jumped.
        Late = "late",
    }
}

words! {
    /// Why a node did not run a slot that was due.
    SkippedReason {
        /// Another node holds the slot; the record names it.
        Held = "held",
        /// The slot is settled already; the record says by whom.
        Done = "done",
        /// The start window had closed by the store's clock.
        Late = "late",
        /// The slot is further ahead by the store's clock than `max_clock_skew`.
        Early = "early",
        /// The store did not answer within the start window.
        StoreDown = "store_down",
        /// The node is draining.
        Draining = "draining",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_as_itself() {
        for &outcome in Outcome::ALL {
            assert_eq!(outcome.as_str().parse(), Ok(outcome));
        }
        for &reason in MissedReason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(reason));
        }
        for &reason in SkippedReason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(reason));
        }
        assert!("Succeeded".parse::<Outcome>().is_err());
    }
}
