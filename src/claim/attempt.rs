//! When a node tries a slot: ahead of it by as much as the store is away and a keeper
//! takes to be ready, each node in its turn; and the nodes that come last in the order of
//! the slot only when it is over.
//!
//! ```text
//!                    first    second    third            due                    the others
//!  ─────────────────────┼────────┼────────┼───────────────┼───────────────────────┼──────▶
//!                       ◀─ step ─▶◀─ step ─▶◀─ store, keeper ─▶◀─ within the window ─▶
//! ```
//!
//! Invariants:
//!
//! - These are only times at which somebody asks. Who gets the slot is the store's word, so
//!   nodes that are wrong about each other, about the store's distance or about the time
//!   cost lateness or evenness, never a slot and never a second run.
//! - Every node asks while the start window is open: the last is in time if all that come
//!   before it are gone.
//! - Nobody asks further ahead than half of `max_clock_skew`, so that the store, which
//!   allows that much, takes no claim for an early one although clocks differ; nor further
//!   than [`FARTHEST`]. A crash between claim and slot costs a takeover, so this is short.
//! - Nobody comes later than its turn because of a node that is gone: its turn just passes.

use std::time::Duration;

use crate::clock::ClusterTime;

/// So many nodes try a slot before it is due. The others need not: each of these is as
/// good as the first, and with every further one the store is asked once more for every
/// slot at the moment when it has most to do.
pub const AT_ONCE: usize = 3;

/// How long a keeper may take to be ready, on a machine that has other work as well.
const READY: Duration = Duration::from_millis(100);

/// Between two turns, where the store is near: nodes are that much out of step when they
/// are busy with slots of the same instant.
const STEP: Duration = Duration::from_millis(15);

/// The longest time ahead of a slot.
pub const FARTHEST: Duration = Duration::from_millis(500);

/// How long after its instant a slot is left alone by those who come last.
const SOON: Duration = Duration::from_millis(250);

/// Those who come last look so often at all that has come by then, each at a time of its
/// own; where there are more than [`CROWD`], so much less often.
const ROUND: Duration = Duration::from_secs(1);

/// So many nodes may look back within a [`ROUND`].
const CROWD: usize = 50;

/// How far the store is, until a round trip was measured.
const UNKNOWN: Duration = Duration::from_millis(20);

/// How far the store is, by the last round trips: the longest but one of them, so that
/// one that was held up counts for nothing.
#[derive(Debug, Clone, Default)]
pub struct Distance {
    recent: [Option<Duration>; 8],
    next: usize,
}

impl Distance {
    /// Takes in a round trip.
    pub fn note(&mut self, round_trip: Duration) {
        self.recent[self.next] = Some(round_trip);
        self.next = (self.next + 1) % self.recent.len();
    }

    /// The round trip to reckon with.
    pub fn round_trip(&self) -> Duration {
        let mut known: Vec<_> = self.recent.into_iter().flatten().collect();
        known.sort_unstable();
        known.pop().map_or(UNKNOWN, |longest| known.pop().unwrap_or(longest))
    }
}

/// A node's place in the order of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// How many come before it.
    pub before: usize,
    /// How many there are, this one included.
    pub of: usize,
}

/// When a node that has this place tries a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// So long before it is due.
    Ahead(Duration),
    /// When it is over for the others: see [`look_back`].
    Behind,
}

/// What the times depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How long an answer of the store takes.
    pub round_trip: Duration,
    /// How far clocks may differ, and a claim may come ahead of its slot.
    pub max_clock_skew: Duration,
}

impl Pace {
    /// When the node that has `place` tries a slot.
    pub fn turn(self, place: Place) -> Turn {
        if place.before >= AT_ONCE {
            return Turn::Behind;
        }
        let behind = place.of.clamp(1, AT_ONCE) - 1 - place.before.min(place.of.max(1) - 1);
        let step = STEP.max(self.round_trip / 2);
        let ahead = READY + self.answered() + step * u32::try_from(behind).unwrap_or(0);
        Turn::Ahead(ahead.min(self.most()))
    }

    /// Whether a node that has this place looks first who has the slot: others come before
    /// it, and where nobody has, there is time to claim it still, and for a keeper to be
    /// ready. (A round trip seems longer where many slots are claimed in one.)
    pub fn looks_first(self, place: Place) -> bool {
        match self.turn(place) {
            Turn::Ahead(_) => place.before > 0 && self.round_trip <= READY / 2,
            Turn::Behind => true,
        }
    }

    /// How far ahead of a slot the first of `nodes` tries it: nobody does it earlier.
    pub fn farthest(self, nodes: usize) -> Duration {
        match self.turn(Place { before: 0, of: nodes }) {
            Turn::Ahead(ahead) => ahead,
            Turn::Behind => Duration::ZERO,
        }
    }

    /// Within what an answer is there, as a rule.
    pub fn answered(self) -> Duration {
        self.round_trip + self.round_trip / 4
    }

    fn most(self) -> Duration {
        FARTHEST.min(self.max_clock_skew / 2)
    }
}

/// How often a node looks back that shares slots with others, `of` nodes in all.
pub fn round(of: usize) -> Duration {
    ROUND * u32::try_from(of.div_ceil(CROWD)).unwrap_or(u32::MAX).clamp(1, 3_600)
}

/// When a node looks at a slot that it leaves to others at first: some time after it was
/// `due`, once in a `round` with all that have come by then, and well before its start
/// window of `window` closes. `phase`, less than a round, is the node's own, so that not
/// all of them ask together.
pub fn look_back(
    due: ClusterTime,
    window: Duration,
    round: Duration,
    phase: Duration,
) -> ClusterTime {
    let micros = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
    let soonest = (due + SOON).unix_micros();
    let wait = (micros(phase) - soonest).rem_euclid(micros(round));
    let together = ClusterTime::from_unix_micros(soonest.saturating_add(wait));
    // In a short window there is no time for that.
    let share = phase.as_secs_f64() / round.as_secs_f64();
    together.min(due + window / 4 + (window / 4).mul_f64(share.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn pace(round_trip: Duration) -> Pace {
        Pace { round_trip, max_clock_skew: Duration::from_secs(5) }
    }

    fn turns(pace: Pace, of: usize) -> Vec<Turn> {
        (0..of).map(|before| pace.turn(Place { before, of })).collect()
    }

    #[test]
    fn three_try_ahead_one_after_another_and_the_rest_when_it_is_over() {
        let ahead = |millis| Turn::Ahead(ms(millis));
        assert_eq!(turns(pace(ms(0)), 1), [ahead(100)]);
        assert_eq!(turns(pace(ms(0)), 2), [ahead(115), ahead(100)]);
        let far = turns(pace(ms(40)), 5);
        assert_eq!(far, [ahead(190), ahead(170), ahead(150), Turn::Behind, Turn::Behind]);
    }

    #[test]
    fn where_clocks_may_hardly_differ_nobody_comes_ahead() {
        let pace = Pace { round_trip: ms(30), max_clock_skew: ms(0) };
        assert_eq!(turns(pace, 2), [Turn::Ahead(ms(0)), Turn::Ahead(ms(0))]);
        assert_eq!(pace.farthest(3), ms(0));
    }

    #[test]
    fn the_distance_is_the_longest_round_trip_but_one_of_the_last() {
        let mut distance = Distance::default();
        assert_eq!(distance.round_trip(), UNKNOWN);
        distance.note(ms(3));
        assert_eq!(distance.round_trip(), ms(3));
        distance.note(ms(900));
        assert_eq!(distance.round_trip(), ms(3));
        for _ in 0..8 {
            distance.note(ms(2));
        }
        assert_eq!(distance.round_trip(), ms(2));
    }

    proptest! {
        #[test]
        fn a_turn_comes_in_its_order_and_never_too_far_ahead(
            round_trip in 0_u64..3_000, skew in 0_u64..20_000, of in 0_usize..50, before in 0_usize..50,
        ) {
            let pace = Pace { round_trip: ms(round_trip), max_clock_skew: ms(skew) };
            match (pace.turn(Place { before, of }), pace.turn(Place { before: before + 1, of })) {
                (Turn::Ahead(first), Turn::Ahead(second)) => prop_assert!(first >= second),
                (Turn::Behind, second) => prop_assert_eq!(second, Turn::Behind),
                (Turn::Ahead(_), Turn::Behind) => prop_assert_eq!(before + 1, AT_ONCE),
            }
            if let Turn::Ahead(ahead) = pace.turn(Place { before, of }) {
                prop_assert!(ahead <= FARTHEST && ahead <= ms(skew) / 2);
                prop_assert!(ahead <= pace.farthest(of));
            }
        }

        #[test]
        fn who_looks_back_does_it_after_the_slot_and_well_within_its_window(
            due in -4_000_000_000_000_000_i64..4_000_000_000_000_000,
            window in 1_u64..100_000_000, of in 0_usize..5_000, share in 0.0..1.0,
        ) {
            let (due, window) = (ClusterTime::from_unix_micros(due), Duration::from_micros(window));
            let round = round(of);
            let at = look_back(due, window, round, round.mul_f64(share));
            prop_assert!(at >= due && at <= due + window / 2 + ms(1));
            prop_assert!(at <= due + SOON + round);
        }
    }
}
