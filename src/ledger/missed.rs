//! Which slots were missed, and why: from a cursor, a schedule and what the
//! store has a record of, to ranges for the ledger.
//!
//! Invariant: every slot up to a cursor has, or had, a record or a ledger entry.
//! So a cursor moves over slots only together with the entries of those that
//! nobody ran, and only when their start windows have closed by the store's
//! clock: then no record of them can appear any more.

use std::time::Duration;

use crate::clock::{BootInstant, ClusterTime, Offset};
use crate::ledger::MissedRange;
use crate::outcome::MissedReason;
use crate::slot::SlotTime;
use crate::table::Job;

/// At most so many slots of a job are looked at in one step. A longer gap takes
/// several, and as many entries.
pub const STEP: usize = 1_000_000;

/// The slots of `job` after `cursor` whose start window had closed at `now`, at
/// most [`STEP`].
pub fn closed_slots(job: &Job, cursor: SlotTime, now: ClusterTime) -> Vec<SlotTime> {
    let mut closed = Vec::new();
    let mut at = cursor;
    while closed.len() < STEP {
        match job.schedule.next_after(at) {
            Some(next) if job.closes(next) < now => {
                closed.push(next);
                at = next;
            }
            _ => break,
        }
    }
    closed
}

/// What a node remembers that explains why slots were missed. It remembers by the
/// boot clock: what it believed of the cluster's time meanwhile may have been wrong.
#[derive(Debug, Clone)]
pub struct Memory {
    started: BootInstant,
    outages: Vec<Span>,
    full: Vec<Span>,
}

/// A stretch of time; without an end it lasts.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: BootInstant,
    to: Option<BootInstant>,
}

impl Span {
    fn meets(&self, opens: BootInstant, closes: BootInstant) -> bool {
        self.from <= closes && self.to.is_none_or(|to| opens <= to)
    }
}

/// So many spans of a kind are remembered; of slots missed in an older one the
/// reason is `late`.
const SPANS_KEPT: usize = 256;

fn remember(spans: &mut Vec<Span>, span: Span) {
    if spans.len() == SPANS_KEPT {
        spans.remove(0);
    }
    spans.push(span);
}

impl Memory {
    /// A node that was up from `started` on.
    pub fn new(started: BootInstant) -> Self {
        Self { started, outages: Vec::new(), full: Vec::new() }
    }

    /// The store stopped answering at `at`.
    pub fn store_went_down(&mut self, at: BootInstant) {
        if self.outages.last().is_none_or(|last| last.to.is_some()) {
            remember(&mut self.outages, Span { from: at, to: None });
        }
    }

    /// The store answers again, at `at`.
    pub fn store_came_up(&mut self, at: BootInstant) {
        if let Some(last) = self.outages.last_mut()
            && last.to.is_none()
        {
            last.to = Some(at);
        }
    }

    /// The node had no room for a slot whose start window reached from `from` to `to`.
    pub fn was_full(&mut self, from: BootInstant, to: BootInstant) {
        match self.full.last_mut() {
            Some(last) if last.to.is_some_and(|end| from <= end) => {
                last.from = last.from.min(from);
                last.to = last.to.max(Some(to));
            }
            _ => remember(&mut self.full, Span { from, to: Some(to) }),
        }
    }

    /// Why a slot was missed that was `due` and whose start window was as long as
    /// `window`; `offset` leads from the boot clock to the cluster's.
    pub fn reason(&self, due: ClusterTime, window: Duration, offset: Offset) -> MissedReason {
        let (opens, closes) = (offset.boot_instant(due), offset.boot_instant(due + window));
        if closes < self.started {
            MissedReason::NoNode
        } else if self.outages.iter().any(|span| span.meets(opens, closes)) {
            MissedReason::StoreDown
        } else if self.full.iter().any(|span| span.meets(opens, closes)) {
            MissedReason::Full
        } else {
            MissedReason::Late
        }
    }
}

/// Joins the `slots` that are not `recorded` to ranges: neighbours with the same
/// reason are one range.
pub fn ranges(
    slots: &[SlotTime],
    recorded: &[bool],
    mut reason: impl FnMut(SlotTime) -> MissedReason,
) -> Vec<MissedRange> {
    let mut ranges: Vec<MissedRange> = Vec::new();
    let mut open = false;
    for (&at, &recorded) in slots.iter().zip(recorded) {
        if recorded {
            open = false;
            continue;
        }
        let reason = reason(at);
        match ranges.last_mut() {
            Some(last) if open && last.reason == reason => {
                last.to = at;
                last.count += 1;
            }
            _ => ranges.push(MissedRange { from: at, to: at, count: 1, reason }),
        }
        open = true;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_OFFSET: Offset = Offset::from_micros(0);

    fn at(seconds: i64) -> SlotTime {
        SlotTime::from_unix_seconds(seconds)
    }

    fn boot(seconds: u64) -> BootInstant {
        BootInstant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn neighbours_missed_for_one_reason_are_one_range() {
        let slots: Vec<_> = (1..=8).map(at).collect();
        let recorded = [false, false, true, false, false, false, false, true];
        let reason = |at: SlotTime| {
            if at.unix_seconds() < 6 { MissedReason::NoNode } else { MissedReason::StoreDown }
        };
        let expected = [
            (1, 2, 2, MissedReason::NoNode),
            (4, 5, 2, MissedReason::NoNode),
            (6, 7, 2, MissedReason::StoreDown),
        ]
        .map(|(from, to, count, reason)| MissedRange {
            from: at(from),
            to: at(to),
            count,
            reason,
        });
        assert_eq!(ranges(&slots, &recorded, reason), expected);
    }

    #[test]
    fn the_reason_is_what_the_node_remembers() {
        let second = Duration::from_secs(1);
        let mut memory = Memory::new(boot(100));
        memory.store_went_down(boot(200));
        memory.store_came_up(boot(210));
        memory.store_came_up(boot(220));
        memory.store_went_down(boot(300));
        for (slot, reason) in [
            (50, MissedReason::NoNode),
            (99, MissedReason::Late),
            (150, MissedReason::Late),
            (199, MissedReason::StoreDown),
            (205, MissedReason::StoreDown),
            (210, MissedReason::StoreDown),
            (211, MissedReason::Late),
            (400, MissedReason::StoreDown),
        ] {
            assert_eq!(
                memory.reason(at(slot).cluster_time(), second, NO_OFFSET),
                reason,
                "slot {slot}"
            );
        }
    }

    #[test]
    fn a_node_without_room_is_a_reason_of_its_own() {
        let mut memory = Memory::new(boot(100));
        memory.was_full(boot(200), boot(260));
        memory.was_full(boot(230), boot(290));
        memory.was_full(boot(500), boot(501));
        assert_eq!(memory.full.len(), 2);
        for (slot, reason) in
            [(150, MissedReason::Late), (290, MissedReason::Full), (400, MissedReason::Late)]
        {
            let due = at(slot).cluster_time();
            assert_eq!(memory.reason(due, Duration::from_secs(1), NO_OFFSET), reason, "{slot}");
        }
    }

    #[test]
    fn only_the_newest_outages_are_remembered() {
        let mut memory = Memory::new(boot(0));
        for n in 0..1_000 {
            memory.store_went_down(boot(n * 10));
            memory.store_went_down(boot(n * 10 + 1));
            memory.store_came_up(boot(n * 10 + 2));
        }
        assert_eq!(memory.outages.len(), SPANS_KEPT);
        let due = at(9_990).cluster_time();
        assert_eq!(memory.reason(due, Duration::ZERO, NO_OFFSET), MissedReason::StoreDown);
    }
}
