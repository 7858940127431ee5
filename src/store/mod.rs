//! The store: where locks, slot records, cursors and the ledger live.
//!
//! Two traits: `Store` (`slots.rs`) is what nodes need, [`LockStore`](locks::LockStore)
//! what locks that stand alone do. Every backend has both, and passes the contract suite
//! of each (`tests/store`, `tests/lock`).
//!
//! No type of a backend's library leaves its own folder.

#[cfg(feature = "daemon")]
pub mod ground;
pub mod locks;
#[cfg(feature = "daemon")]
pub mod observed;
pub mod open;
pub mod quorum;
pub mod redis;
#[cfg(feature = "daemon")]
pub mod rules;
#[cfg(feature = "daemon")]
mod slots;
#[cfg(feature = "daemon")]
pub mod sqlite;

#[cfg(feature = "daemon")]
pub use self::slots::*;

/// Why a call brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The call was not applied, and will not be: there is no connection, or the
    /// store refused it (loading, read-only, out of memory, no permission).
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The call may have been applied, or may be applied later: it was sent, and
    /// no answer came in time.
    #[error("the store did not answer: {0}")]
    Unknown(String),
    /// The store answered what this version of the program cannot read.
    #[error("the store holds what cannot be read: {0}")]
    Corrupt(String),
}

/// What a call returns.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Whether the store can be reached, as the backend last saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Not tried yet.
    Starting,
    /// The last call, or the last attempt to connect, went well.
    Up,
    /// It did, but a store of several servers has fewer to spare than it should; every call
    /// has its answer all the same.
    Weakened {
        /// So many more may fail.
        spare: usize,
        /// Which servers do not answer, and why.
        why: String,
    },
    /// It did for a part of a store of several servers; which part does not answer, and
    /// why. Calls that concern the other parts have their answers.
    Partly(String),
    /// It did not; why.
    Down(String),
}

impl Health {
    /// Whether it answers calls, at least some.
    pub fn answers(&self) -> bool {
        matches!(self, Self::Up | Self::Weakened { .. } | Self::Partly(_))
    }
}

/// Something about the store that can break the guarantee; in plain words, with the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub String);
