//! Whose turn it is, where `overlap` lets only one slot of a job run at a time.
//!
//! Invariants:
//!
//! - The turn stays with its slot until that is settled: through retries, hand-overs
//!   and takeovers, so a dead node does not free it while its slot may still run.
//! - Slots that wait are served in the order in which they came: while nobody has the
//!   turn, it is the first one's, and nobody else gets it. At most one of them waits
//!   because it was due (`overlap` is `wait` or `replace`): the newest; the others were
//!   triggered, handed over or are caught up, and none of those is dropped.
//! - A turn whose slot has no open record is nobody's: what is lost wedges no job.

use std::fmt;
use std::str::FromStr;

use crate::name::JobName;
use crate::slot::{InvalidSlot, Slot};

/// The turn of one job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// The slot that has it.
    pub of: Option<Slot>,
    /// The newest slot that waits because it was due.
    pub newest: Option<Slot>,
    /// All that wait, first come first.
    pub queue: Vec<Slot>,
}

impl Turn {
    /// Whether there is nothing to remember.
    pub fn is_idle(&self) -> bool {
        self.of.is_none() && self.queue.is_empty()
    }

    /// The slot that comes before `slot`: the one that has the turn, or the first that
    /// waits, `replaced` left out; none when it is `slot` itself.
    pub fn ahead_of(&self, slot: &Slot, replaced: Option<&Slot>) -> Option<&Slot> {
        let first = || self.queue.iter().find(|&waiting| Some(waiting) != replaced);
        self.of.as_ref().or_else(first).filter(|&ahead| ahead != slot)
    }

    /// `slot` has the turn from now on.
    pub fn give(&mut self, slot: &Slot) {
        self.forget(slot);
        self.of = Some(slot.clone());
    }

    /// `slot` waits.
    pub fn enqueue(&mut self, slot: &Slot) {
        if !self.queue.contains(slot) {
            self.queue.push(slot.clone());
        }
    }

    /// `slot` waits as the newest that was due; the one whose place it takes.
    pub fn enqueue_newest(&mut self, slot: &Slot) -> Option<Slot> {
        let replaced = self.newest.take().filter(|newest| newest != slot);
        if let Some(replaced) = &replaced {
            self.forget(replaced);
        }
        self.enqueue(slot);
        self.newest = Some(slot.clone());
        replaced
    }

    /// `slot` waits no more.
    pub fn forget(&mut self, slot: &Slot) {
        self.queue.retain(|waiting| waiting != slot);
        self.newest.take_if(|newest| newest == slot);
    }

    /// `slot` is settled: it neither has the turn nor waits.
    pub fn settle(&mut self, slot: &Slot) {
        self.forget(slot);
        self.of.take_if(|of| of == slot);
    }

    /// As a store keeps it: the slot whose turn it is, the newest, those that wait,
    /// each without its job, `-` for none.
    pub fn to_text(&self) -> String {
        struct Short<'a>(&'a Slot);
        impl fmt::Display for Short<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.at.fmt(f)?;
                self.0.trigger.map_or(Ok(()), |trigger| write!(f, "#{trigger}"))
            }
        }
        let word = |slot: &Option<Slot>| {
            slot.as_ref().map_or_else(|| "-".to_owned(), |slot| Short(slot).to_string())
        };
        let mut text = format!("{} {}", word(&self.of), word(&self.newest));
        for slot in &self.queue {
            text.push(' ');
            text.push_str(&Short(slot).to_string());
        }
        text
    }

    /// Reads what [`to_text`](Self::to_text) wrote of `job`.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_text(job: &JobName, text: &str) -> Result<Self, InvalidSlot> {
        let slot = |word: &str| Slot::from_str(&format!("{job}@{word}"));
        let optional = |word: Option<&str>| match word {
            None | Some("-") => Ok(None),
            Some(word) => slot(word).map(Some),
        };
        let mut words = text.split_whitespace();
        Ok(Self {
            of: optional(words.next())?,
            newest: optional(words.next())?,
            queue: words.map(slot).collect::<Result<_, _>>()?,
        })
    }
}
