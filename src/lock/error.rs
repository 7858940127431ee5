//! Why there is no lock, or no longer.

use std::fmt;
use std::time::Duration;

use super::name::{InvalidLockName, LockName};
use crate::lease::Fence;
use crate::store::StoreError;

/// Who holds a lock, as others may know it. The owner token is not among it: who has
/// that may release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its fence.
    pub fence: Fence,
    /// What it said of itself.
    pub metadata: String,
    /// How long the lock still lasts if it is not extended, by the store's clock.
    pub remaining: Duration,
    /// Whether it was released already, and is kept for its minimum hold time.
    pub released: bool,
    /// Whether it only bids for it: one server of a quorum has granted it, and it is not
    /// known yet whether a majority does. No caller is told such a one.
    pub bids: bool,
}

/// `web-1, for another 12.3s at most`.
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.metadata.as_str(), self.released) {
            ("", _) => write!(f, "somebody with fence {}", self.fence)?,
            (metadata, _) => f.write_str(metadata)?,
        }
        if self.released {
            f.write_str(" (ended, within its minimum hold time)")?;
        }
        // Tenths of a second are what people read; a rest is never shown as nothing.
        let tenths = self.remaining.as_millis().div_ceil(100);
        write!(f, ", for another {}.{}s at most", tenths / 10, tenths % 10)
    }
}

/// Why a lock was not granted, not extended or not released.
///
/// Of one that was not granted nothing is left in the store, or what may be left is
/// cleared away in the background.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// What was asked for makes no sense; nothing was sent.
    #[error("{0}")]
    Invalid(String),
    /// Another holds it, and nobody waited, or no longer than the backoff's limit.
    #[error("{name} is held by {holder}")]
    Contended {
        /// Which, where there are several.
        name: LockName,
        /// By whom, when it was asked for last.
        holder: Holder,
    },
    /// The deadline was reached while another held it.
    #[error("{name} was not to be had within {waited:?}: {}", .holder.as_ref().map_or_else(
        || "there was no time for an answer".to_owned(), |holder| format!("it is held by {holder}")))]
    Deadline {
        /// Which, where there are several.
        name: LockName,
        /// By whom, when it was asked for last; none when there was no answer yet.
        holder: Option<Holder>,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The cancellation token that was given ended the wait.
    #[error("the wait for the lock was cancelled")]
    Cancelled,
    /// It was granted too late to be of use: the answer took longer than its TTL. It
    /// was given back.
    #[error(
        "the lock was granted for {ttl:?}, and the answer took {took:?}: it had lapsed when it \
         came; choose a longer TTL"
    )]
    TooLate {
        /// The TTL that was asked for.
        ttl: Duration,
        /// How long the answer took.
        took: Duration,
    },
    /// It is no longer ours: it lapsed, and nothing was written.
    #[error("{name} is no longer ours: {}", standing(.by.as_ref()))]
    NotHeld {
        /// Which, where there are several.
        name: LockName,
        /// Who holds it now; none when nobody is known to.
        by: Option<Holder>,
    },
    /// The store cannot be reached, or refused the call: nothing was written.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The store did not answer: what was asked for may have been done, or may be done
    /// later. Of a lock that was not granted that is undone in the background.
    #[error("the store did not answer: {0}")]
    Unknown(String),
    /// The store answers, or holds, what is not of solocron; nothing was overwritten.
    #[error("the store holds what cannot be read: {0}")]
    Corrupt(String),
}

impl LockError {
    /// What it is for somebody whose time to wait is over.
    pub(super) fn at_deadline(self, waited: Duration) -> Self {
        match self {
            Self::Contended { name, holder } => {
                Self::Deadline { name, holder: Some(holder), waited }
            }
            other => other,
        }
    }
}

fn standing(by: Option<&Holder>) -> String {
    by.map_or_else(|| "it lapsed, and nobody holds it".to_owned(), |by| format!("held by {by}"))
}

impl From<StoreError> for LockError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(why) => Self::Unavailable(why),
            StoreError::Unknown(why) => Self::Unknown(why),
            StoreError::Corrupt(why) => Self::Corrupt(why),
        }
    }
}

impl From<InvalidLockName> for LockError {
    fn from(error: InvalidLockName) -> Self {
        Self::Invalid(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_names_the_holder_and_its_remaining_time() {
        let holder = |metadata: &str, released| Holder {
            fence: Fence::new(7),
            metadata: metadata.to_owned(),
            remaining: Duration::from_millis(12_301),
            released,
            bids: false,
        };
        let name = LockName::new("order/1").unwrap();
        let contended = LockError::Contended { name: name.clone(), holder: holder("web-1", false) };
        assert_eq!(contended.to_string(), "order/1 is held by web-1, for another 12.4s at most");
        let lost = LockError::NotHeld { name: name.clone(), by: Some(holder("", true)) };
        assert_eq!(
            lost.to_string(),
            "order/1 is no longer ours: held by somebody with fence 7 (ended, within its minimum \
             hold time), for another 12.4s at most"
        );
        let lapsed = LockError::NotHeld { name, by: None };
        assert_eq!(lapsed.to_string(), "order/1 is no longer ours: it lapsed, and nobody holds it");
    }
}
