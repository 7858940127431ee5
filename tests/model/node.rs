//! A node: what it has on its desk, what runs there, and what it decides.
//!
//! The engine's own structures (desk, book, outboxes, queue) are too large to stand in a
//! state, so here are the few bytes of them that two slots need. What is decided by them
//! is decided by the program: `daemon::engine::rules`, `lease`, `policy`,
//! `ledger::missed`, `daemon::gaps`, and `run::decide` for the keepers.
//!
//! What is due at a node is done before the time goes on, in any order among the nodes,
//! unless it is frozen, the store is away, or a request of its own is on its way. That is
//! how the engine acts: at once; only the waits between two tries are whole seconds here.

use solocron::claim::desk::Cause;
use solocron::daemon::engine::rules::{self, Known, Win, Winning};
use solocron::lease;
use solocron::outcome::Outcome;

use crate::broken::Broken;
use crate::run::{Next, Run, Stage, cancelled, handed_over};
use crate::scene::{SLOTS, Scene, boot, present, tick_of};
use crate::store::Tok;

/// Why a slot is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Why {
    Due,
    Ready,
    TakeOver(Tok),
}

/// A claim without a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Pending {
    /// The number of its token.
    pub(crate) number: u8,
    pub(crate) why: Why,
    /// It is made then.
    pub(crate) from: u8,
    /// It is on its way.
    pub(crate) asked: bool,
    pub(crate) maybe_applied: bool,
}

impl Pending {
    /// One whose token is still to be drawn.
    pub(crate) fn new(why: Why, from: u8) -> Self {
        Self { number: u8::MAX, why, from, asked: false, maybe_applied: false }
    }
}

/// How far the node has come with slots that may have no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Settling {
    No,
    /// It knows the store's time, and where the cursor stands.
    Timed {
        at: i16,
        cursor: u8,
    },
    /// It knows what to report: bits of slots.
    Drafted {
        at: i16,
        expected: u8,
        upto: u8,
        missed: u8,
        catch_up: u8,
        asked: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    Up,
    /// Its daemon does nothing; its keepers do.
    Frozen,
    Down,
    /// There is no such node.
    Absent,
}

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) life: Life,
    /// Its keepers do nothing either: the whole machine is frozen.
    pub(crate) keepers_stopped: bool,
    pub(crate) draining: bool,
    /// By how many seconds it is ahead of the store's clock.
    pub(crate) skew: i8,
    /// So many slots have come out of its queue.
    pub(crate) planned: u8,
    pub(crate) desk: [Option<Pending>; SLOTS],
    pub(crate) runs: [Option<Run>; SLOTS],
    /// Claims to be taken back, by the number of their token.
    pub(crate) forfeits: [Option<(u8, bool)>; SLOTS],
    /// Open slots to be settled that nobody may run, by their token.
    pub(crate) abandons: [Option<(Tok, bool)>; SLOTS],
    /// Some slot whose window closes then, or earlier, may have no record.
    pub(crate) gap: Option<u8>,
    /// It is not looked at before.
    pub(crate) gap_from: u8,
    pub(crate) settling: Settling,
}

impl Node {
    pub(crate) fn new(life: Life, skew: i8) -> Self {
        Self {
            life,
            keepers_stopped: false,
            draining: false,
            skew,
            planned: 0,
            desk: [None; SLOTS],
            runs: [None; SLOTS],
            forfeits: [None; SLOTS],
            abandons: [None; SLOTS],
            gap: None,
            gap_from: 0,
            settling: Settling::No,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.life == Life::Up
    }

    /// What it takes for the cluster's time.
    fn own_time(&self, now: u8) -> i16 {
        i16::from(now) + i16::from(self.skew)
    }

    /// What it does by itself: takes slots that are due, gives up claims whose window has
    /// closed.
    pub(crate) fn go_on(&mut self, scene: &Scene, now: u8) {
        let own = self.own_time(now);
        while !self.draining && usize::from(self.planned) < SLOTS {
            let slot = self.planned;
            let due = scene.job.due(scene.slots[usize::from(slot)].at);
            if tick_of(due) > own {
                break;
            }
            self.planned += 1;
            if closes(scene, slot) < own {
                self.notice_gap(own);
            } else if self.desk[usize::from(slot)].is_none() {
                self.desk[usize::from(slot)] = Some(Pending::new(Why::Due, now));
            }
        }
        for slot in 0..SLOTS as u8 {
            let closed = closes(scene, slot);
            let place = &mut self.desk[usize::from(slot)];
            let expired = place.filter(|p| p.why == Why::Due && !p.asked && closed < own);
            if let Some(pending) = expired {
                *place = None;
                self.notice_gap(closed);
                if pending.maybe_applied {
                    self.forfeits[usize::from(slot)] = Some((pending.number, false));
                }
            }
        }
    }

    pub(crate) fn notice_gap(&mut self, until: i16) {
        let until = u8::try_from(until.max(0)).unwrap();
        self.gap = Some(self.gap.map_or(until, |gap| gap.max(until)));
    }

    /// Whether a claim of `slot` may move the cursor.
    pub(crate) fn advances(&self, slot: u8, why: Why, broken: Option<Broken>) -> bool {
        if broken == Some(Broken::CursorMovesBlindly) {
            return why == Why::Due;
        }
        let earlier = &self.desk[..usize::from(slot)];
        rules::advances(
            cause_of(why),
            Known {
                opened: !self.draining,
                gap: self.gap.is_some(),
                earlier_pending: earlier.iter().flatten().any(|p| p.why == Why::Due),
            },
        )
    }

    /// What becomes of a win of `slot` that was asked for at `sent`.
    pub(crate) fn won(&self, scene: &Scene, slot: u8, why: Why, sent: u8, now: u8) -> Win {
        let name = &scene.slots[usize::from(slot)];
        rules::won(
            present(now, self.skew),
            &Winning {
                cause: cause_of(why),
                due: scene.job.due(name.at),
                start_by: scene.job.closes(name.at),
                trusted_until: lease::trusted_until(boot(sent), scene.ttl()),
                grace: scene.job.grace_on_lost_lease(),
                draining: self.draining,
            },
        )
    }

    /// A run of `slot` has ended by itself with `outcome`, or because it was told to.
    pub(crate) fn run_ended(&mut self, scene: &Scene, slot: u8, outcome: Outcome, now: u8) {
        let place = &mut self.runs[usize::from(slot)];
        let Some(run) = place else { return };
        let policies = &scene.job.policies;
        match rules::ended(outcome, policies.on_crash) {
            // Whoever settles the slot writes it.
            None => *place = None,
            Some(written) => {
                let then = rules::then(written, policies, u32::from(run.failures), run.cancelled);
                run.stage =
                    Stage::Over { outcome: written, then: then.into(), from: now, asked: false };
            }
        }
    }

    /// Nothing is left that it has to do: it may leave.
    pub(crate) fn has_drained(&self) -> bool {
        self.draining
            && self.desk.iter().all(Option::is_none)
            && self.runs.iter().all(Option::is_none)
            && self.forfeits.iter().all(Option::is_none)
            && self.abandons.iter().all(Option::is_none)
    }
}

fn closes(scene: &Scene, slot: u8) -> i16 {
    tick_of(scene.job.closes(scene.slots[usize::from(slot)].at))
}

/// The engine's cause; whose lease is taken over is the store's to know.
fn cause_of(why: Why) -> Cause {
    match why {
        Why::Due => Cause::Due,
        Why::Ready | Why::TakeOver(_) => Cause::Ready,
    }
}

impl Node {
    /// Begins the next runs of slots whose last run failed, while their lease can be trusted.
    pub(crate) fn begin_rested(&mut self, scene: &Scene, now: u8) {
        let grace = scene.job.grace_on_lost_lease();
        for run in self.runs.iter_mut().flatten() {
            let trusted = lease::trusted_until(boot(run.granted), scene.ttl());
            if run.stage == Stage::Rests && trusted.minus(grace) > boot(now) {
                (run.stage, run.began) = (Stage::Alive, now);
            }
        }
    }

    /// What rests is given to the others: the node drains.
    pub(crate) fn hand_over_rested(&mut self, now: u8) {
        for run in self.runs.iter_mut().flatten() {
            if run.stage == Stage::Rests {
                run.stage = handed_over(now);
            }
        }
    }

    /// The end of a run is written, or the slot is another's.
    pub(crate) fn end_written(&mut self, slot: u8, then: Next, ours: bool, now: u8) {
        let draining = self.draining;
        let place = &mut self.runs[usize::from(slot)];
        let Some(run) = place.as_mut().filter(|_| ours && then == Next::Retry) else {
            *place = None;
            return;
        };
        run.failures += 1;
        run.attempt += 1;
        run.stage = match (run.cancelled, draining) {
            (true, _) => cancelled(now),
            (false, true) => handed_over(now),
            (false, false) => Stage::Rests,
        };
    }

    /// Somebody wants the end of a run; of this one, if it is here.
    pub(crate) fn cancel(&mut self, slot: usize, number: u8, now: u8) {
        let Some(run) = self.runs[slot].as_mut().filter(|run| run.number == number) else {
            return;
        };
        run.cancelled = true;
        if run.stage == Stage::Rests {
            run.stage = cancelled(now);
        }
    }

    /// All slots are accounted for whose window had closed at `time`, by the store's clock.
    pub(crate) fn settled_up_to(&mut self, time: i16) {
        self.gap.take_if(|until| time > i16::from(*until));
    }
}
