//! `catch_up`: which of the slots that nobody ran in time are run after all.
//!
//! A job's slots become due in their order, so those that are young enough are
//! the last ones, and what is caught up is always the end of the list. The rest
//! is missed for good. The answer is two pieces of the list handed in: a day's
//! outage of a job that is due every second copies nothing.

use std::time::Duration;

use crate::clock::ClusterTime;
use crate::slot::SlotTime;
use crate::word::words;

words! {
    /// Which of the slots that were missed are caught up.
    CatchUpPolicy {
        /// None of them.
        None = "none",
        /// The newest, unless a newer one makes it pointless.
        Latest = "latest",
        /// All that are young enough, up to a number.
        All = "all",
    }
}

/// What happens to slots that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CatchUp {
    /// Which are caught up.
    pub policy: CatchUpPolicy,
    /// How long after it was due a slot may still be caught up.
    pub window: Duration,
    /// How many slots are caught up at a time at most; only [`CatchUpPolicy::All`]
    /// has more than one.
    pub limit: u32,
}

/// Slots of a job that nobody ran within their start windows.
#[derive(Debug, Clone, Copy)]
pub struct Backlog<'a> {
    /// The slots, ascending.
    pub slots: &'a [SlotTime],
    /// Whether a newer slot of the job than these has started or may still start
    /// by itself. So it is also when the list was cut short of its newest slots.
    pub newer: bool,
}

/// What becomes of a [`Backlog`]: every slot of it is in one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan<'a> {
    /// These are missed for good; older than all that run.
    pub missed: &'a [SlotTime],
    /// These are run, in this order.
    pub run: &'a [SlotTime],
}

impl CatchUp {
    /// What becomes of `backlog` at `now`. `due` says when a slot was due, and
    /// is asked for no more slots than may run.
    ///
    /// A slot that was due just as long ago as the window allows is still run.
    pub fn plan<'a>(
        &self,
        backlog: Backlog<'a>,
        now: ClusterTime,
        due: impl Fn(SlotTime) -> ClusterTime,
    ) -> Plan<'a> {
        let most = match self.policy {
            CatchUpPolicy::None => 0,
            CatchUpPolicy::Latest => usize::from(!backlog.newer),
            CatchUpPolicy::All => usize::try_from(self.limit).unwrap_or(usize::MAX),
        };
        let young = |slot: &&SlotTime| now.since(due(**slot)) <= self.window;
        let run = backlog.slots.iter().rev().take(most).take_while(young).count();
        let (missed, run) = backlog.slots.split_at(backlog.slots.len() - run);
        Plan { missed, run }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slots(seconds: &[i64]) -> Vec<SlotTime> {
        seconds.iter().map(|second| SlotTime::from_unix_seconds(*second)).collect()
    }

    fn catch_up(policy: CatchUpPolicy, window: u64, limit: u32) -> CatchUp {
        CatchUp { policy, window: Duration::from_secs(window), limit }
    }

    fn at(second: i64) -> ClusterTime {
        SlotTime::from_unix_seconds(second).cluster_time()
    }

    #[test]
    fn what_is_caught_up_is_the_end_of_the_list_that_is_young_enough() {
        use CatchUpPolicy::{All, Latest, None};
        // Slots each 100 s from 100 to 500, at 560; how many run.
        for (policy, window, limit, newer, run) in [
            (None, 3600, 100, false, 0),
            (Latest, 3600, 100, false, 1),
            (Latest, 3600, 100, true, 0),
            (Latest, 60, 100, false, 1),
            (Latest, 59, 100, false, 0),
            (All, 3600, 100, false, 5),
            (All, 3600, 100, true, 5),
            (All, 260, 100, false, 3),
            (All, 259, 100, false, 2),
            (All, 59, 100, false, 0),
            (All, 3600, 2, false, 2),
            (All, 3600, 5, true, 5),
            (All, 160, 3, false, 2),
        ] {
            let slots = slots(&[100, 200, 300, 400, 500]);
            let plan = catch_up(policy, window, limit).plan(
                Backlog { slots: &slots, newer },
                at(560),
                SlotTime::cluster_time,
            );
            let told = format!("{policy} {window} {limit} {newer}");
            assert_eq!((plan.missed, plan.run), slots.split_at(5 - run), "{told}");
        }
    }

    #[test]
    fn the_window_counts_from_when_a_slot_was_due_and_not_from_the_slot() {
        let slots = slots(&[100]);
        let backlog = Backlog { slots: &slots, newer: false };
        let catch_up = catch_up(CatchUpPolicy::Latest, 60, 1);
        let later = |slot: SlotTime| slot.cluster_time() + Duration::from_millis(500);
        assert_eq!(catch_up.plan(backlog, at(160), SlotTime::cluster_time).run.len(), 1);
        assert_eq!(catch_up.plan(backlog, at(161), SlotTime::cluster_time).run.len(), 0);
        let just = at(160) + Duration::from_millis(500);
        assert_eq!(catch_up.plan(backlog, just, later).run.len(), 1);
        assert_eq!(catch_up.plan(backlog, just + Duration::from_micros(1), later).run.len(), 0);
    }

    #[test]
    fn a_long_gap_is_not_looked_at_slot_by_slot() {
        let slots: Vec<_> = (0..1_000_000).map(SlotTime::from_unix_seconds).collect();
        let asked = std::cell::Cell::new(0);
        let due = |slot: SlotTime| {
            asked.set(asked.get() + 1);
            slot.cluster_time()
        };
        let backlog = Backlog { slots: &slots, newer: false };
        let plan = catch_up(CatchUpPolicy::All, 1 << 30, 100).plan(backlog, at(1_000_000), due);
        assert_eq!((plan.run.len(), asked.get()), (100, 100));
    }

    proptest! {
        #[test]
        fn every_slot_is_in_one_of_the_two_in_its_order_and_the_limits_hold(
            gaps in prop::collection::vec((1_i64..500, 0_u64..500_000), 0..60),
            policy in prop::sample::select(CatchUpPolicy::ALL),
            window in 1_u64..5_000,
            limit in 1_u32..20,
            newer in any::<bool>(),
            wait in 0_i64..2_000,
        ) {
            // A slot is due before the next one, whatever its delay.
            let mut second = 0;
            let mut slots = Vec::new();
            let mut dues = Vec::new();
            for (gap, delay) in gaps {
                slots.push(SlotTime::from_unix_seconds(second));
                let delay = delay.min(gap.unsigned_abs() * 1000 - 1);
                dues.push(at(second) + Duration::from_millis(delay));
                second += gap;
            }
            let due = |slot: SlotTime| dues[slots.binary_search(&slot).unwrap()];
            let now = at(second + wait);
            let catch_up = catch_up(policy, window, limit);
            let plan = catch_up.plan(Backlog { slots: &slots, newer }, now, due);

            prop_assert_eq!([plan.missed, plan.run].concat(), slots.clone());
            prop_assert!(plan.run.iter().all(|slot| now.since(due(*slot)) <= catch_up.window));
            let young = slots.iter().filter(|s| now.since(due(**s)) <= catch_up.window).count();
            let expected = match policy {
                CatchUpPolicy::None => 0,
                CatchUpPolicy::Latest => young.min(usize::from(!newer)),
                CatchUpPolicy::All => young.min(limit as usize),
            };
            prop_assert_eq!(plan.run.len(), expected);
        }
    }
}
