//! What is kept, in cells: what a step may read, and what it may write.
//!
//! Every write says what stands there from now on, whatever stood there before: a change
//! that is applied twice leaves what it left when it was applied once.

use std::time::Duration;

use crate::claim::Fence;
use crate::clock::ClusterTime;
use crate::control::Pauses;
use crate::ledger::{Entry, MissedEntry, Retention};
use crate::name::{JobName, NodeName};
use crate::slot::{Slot, SlotTime};
use crate::store::CursorKey;
use crate::store::rules::{Record, Turn};

/// Something that a step reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Cell {
    /// A slot's record.
    Record(Slot),
    /// A cursor.
    Cursor(CursorKey),
    /// Whose turn it is.
    Turn(JobName),
    /// A job's pauses.
    Pauses(JobName),
    /// The version of the control state.
    Version,
    /// The last fence given out.
    Fence,
    /// The last entry of a job's ledger.
    LastEntry(JobName),
}

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A record, and how long it is kept from now.
    Record(Option<(Record, Duration)>),
    /// A cursor.
    Cursor(Option<KeptCursor>),
    /// A turn; an idle one where nothing stands there.
    Turn(Turn),
    /// Pauses.
    Pauses(Pauses),
    /// The version; zero where nothing stands there.
    Version(u64),
    /// The fence; zero where nothing stands there.
    Fence(Fence),
    /// The last entry, if it is of slots missed.
    LastEntry(Option<LastEntry>),
    /// Something that cannot be read; what it is.
    Unreadable(String),
}

impl Content {
    /// An empty `cell`.
    pub fn none_in(cell: &Cell) -> Self {
        match cell {
            Cell::Record(_) => Self::Record(None),
            Cell::Cursor(_) => Self::Cursor(None),
            Cell::Turn(_) => Self::Turn(Turn::default()),
            Cell::Pauses(_) => Self::Pauses(Pauses::default()),
            Cell::Version => Self::Version(0),
            Cell::Fence => Self::Fence(Fence::new(0)),
            Cell::LastEntry(_) => Self::LastEntry(None),
        }
    }
}

/// A cursor, and how long it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptCursor {
    /// Where it stands.
    pub at: SlotTime,
    /// How long it is kept from each call that opens or moves it.
    pub keep: Duration,
    /// Until when it is kept now.
    pub until: ClusterTime,
}

/// An entry of the ledger that another may be joined to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastEntry {
    /// Its id.
    pub id: String,
    /// The slots missed.
    pub missed: MissedEntry,
}

/// Something that a step writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A slot's record, kept for so long.
    Record {
        /// Of this slot.
        slot: Slot,
        /// The record.
        record: Record,
        /// How long it is kept from now.
        keep: Duration,
    },
    /// A cursor.
    Cursor {
        /// Which.
        key: CursorKey,
        /// Where it stands, and how long it is kept.
        kept: KeptCursor,
    },
    /// Whose turn it is.
    Turn {
        /// Of this job.
        job: JobName,
        /// The turn; nothing is kept of an idle one.
        turn: Turn,
    },
    /// A job's pauses.
    Pauses {
        /// Of this job.
        job: JobName,
        /// The pauses.
        pauses: Pauses,
    },
    /// The version of the control state.
    Version(u64),
    /// The version of the last wish to load job tables anew.
    Reload {
        /// Of this node; of all where there is none.
        node: Option<NodeName>,
        /// The version.
        version: u64,
        /// Until when a wish to one node is kept.
        until: ClusterTime,
    },
    /// The last fence given out.
    Fence(Fence),
    /// An epoch begins: a server is let in.
    Epoch,
    /// One more entry of the ledger.
    Entry {
        /// The entry.
        entry: Entry,
        /// The id of the entry that goes for it.
        joined: Option<String>,
        /// The end of the run's output.
        tail: Option<String>,
        /// How long and how much of the job's history is kept.
        retention: Retention,
    },
}
