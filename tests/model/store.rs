//! The store: the program's own steps (`store::ground`, and in them its rules), on a few
//! bytes instead of a database.
//!
//! What a rule never looks at is not kept: of a record its node's name and start, when it
//! was claimed, and of one that is settled its fence and its counts; of the ledger what
//! was written, not the texts. Fences are kept by their order. `replay` holds this
//! against the store in memory, which passes the contract of all stores.

use std::convert::Infallible;
use std::time::Duration;

use solocron::claim::Fence;
use solocron::clock::ClusterTime;
use solocron::control::Pauses;
use solocron::ledger::{Entry, Retention};
use solocron::name::JobName;
use solocron::outcome::{CancelCause, Outcome, Ready};
use solocron::slot::{Slot, SlotTime};
use solocron::store::ground::Ground;
use solocron::store::rules::{LedgerWrite, Record, RecordState, Turn};
use solocron::store::{CursorKey, Open, OpenState};

use crate::scene::{SLOTS, STORE, Scene, at, tick_of};

/// A token, by who drew it and for which of its claims of the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tok {
    pub(crate) node: u8,
    pub(crate) number: u8,
}

/// Where a slot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stand {
    Running,
    Ready(Ready),
    Settled(Outcome),
}

/// The record of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Rec {
    pub(crate) token: Tok,
    pub(crate) attempt: u8,
    pub(crate) fence: u16,
    pub(crate) lapses_at: i16,
    pub(crate) takeovers: u8,
    failures: u8,
    pub(crate) cancel: Option<CancelCause>,
    pub(crate) handed_over_by: Vec<Tok>,
    pub(crate) stand: Stand,
}

impl Rec {
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.stand, Stand::Settled(_))
    }
}

/// The job's turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Turns {
    of: Option<u8>,
    newest: Option<u8>,
    queue: [Option<u8>; SLOTS],
}

/// What the ledger says of a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Told {
    /// How often it came to an end.
    pub(crate) ends: u8,
    /// Which of its runs have an entry, by the bit of their number.
    pub(crate) runs: u8,
    /// Which of them were handed over, and their slot has had no end since.
    handed_over: u8,
    /// A run has two.
    pub(crate) twice: bool,
    /// How it ended.
    pub(crate) end: Option<Outcome>,
}

/// Everything that the store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Holdings {
    pub(crate) records: [Option<Rec>; SLOTS],
    /// Over so many slots the cursor has come.
    pub(crate) cursor: u8,
    turn: Turns,
    pub(crate) last_fence: u16,
    pub(crate) ledger: [Told; SLOTS],
}

impl Holdings {
    pub(crate) fn recorded(&self, slot: u8) -> bool {
        let slot = usize::from(slot);
        self.records[slot].is_some() || self.ledger[slot].runs != 0
    }

    /// The slots that want somebody at `now`, the longest-waiting first.
    pub(crate) fn open(&self, scene: &Scene, now: i16) -> Vec<(u8, Open)> {
        let mut open = Vec::new();
        for (slot, record) in (0..).zip(&self.records) {
            let wants = |record: &&Rec| record.is_open() && record.lapses_at <= now;
            if let Some(record) = record.as_ref().filter(wants) {
                let shown = Open {
                    slot: scene.slots[usize::from(slot)].clone(),
                    token: scene.token(slot, record.token),
                    node: scene.nodes[usize::from(record.token.node % STORE)].clone(),
                    attempt: u32::from(record.attempt),
                    takeovers: u32::from(record.takeovers),
                    state: match record.stand {
                        Stand::Ready(why) => OpenState::Ready(why),
                        Stand::Running | Stand::Settled(_) => OpenState::Lost,
                    },
                };
                open.push((record.lapses_at, slot, shown));
            }
        }
        open.sort_by_key(|&(lapses_at, slot, _)| (lapses_at, slot));
        open.into_iter().map(|(_, slot, shown)| (slot, shown)).collect()
    }
}

/// Fences of this tick are told apart by their micros; there are fewer than that.
const FENCES: u64 = 32;

/// Zero is none, and one is the first of the first tick.
fn fence_of(number: u16) -> Fence {
    let Some(number) = number.checked_sub(1) else { return Fence::new(0) };
    let (tick, micros) = (u64::from(number) / FENCES, u64::from(number) % FENCES);
    Fence::new(at(0).unix_micros().unsigned_abs() + tick * 1_000_000 + micros)
}

pub(crate) fn number_of(fence: Fence) -> u16 {
    let Some(micros) = fence.get().checked_sub(at(0).unix_micros().unsigned_abs()) else {
        return 0;
    };
    let (tick, micros) = (micros / 1_000_000, micros % 1_000_000);
    assert!(micros < FENCES);
    u16::try_from(tick * FENCES + micros + 1).unwrap()
}

/// Of so many fences from before this tick only the order counts. (Those of a tick are
/// larger than all from before it, whatever the numbers of these.)
pub(crate) fn by_order(fences: &mut [&mut u16]) {
    let mut known: Vec<u16> = fences.iter().map(|fence| **fence).filter(|&f| f > 0).collect();
    known.sort_unstable();
    known.dedup();
    for fence in fences {
        if let Ok(place) = known.binary_search(fence) {
            **fence = place as u16 + 1;
        }
    }
}

/// One step on the store.
pub(crate) struct Step<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) held: &'a mut Holdings,
    pub(crate) now: i16,
    /// A slot that is taken for lapsed.
    pub(crate) lapsed: Option<u8>,
}

impl Step<'_> {
    fn real(&self, slot: u8, record: &Rec) -> Record {
        let token = self.scene.token(slot, record.token);
        let node = usize::from(record.token.node % STORE);
        let early = self.lapsed == Some(slot) && record.stand == Stand::Running;
        Record {
            node: self.scene.nodes[node].clone(),
            boot: self.scene.boots[node],
            token,
            attempt: u32::from(record.attempt),
            fence: fence_of(record.fence),
            claimed_at: at(0),
            lapses_at: at(if early { self.now } else { record.lapses_at }),
            takeovers: u32::from(record.takeovers),
            failures: u32::from(record.failures),
            cancel: record.cancel,
            handed_over_by: record
                .handed_over_by
                .iter()
                .map(|&tok| self.scene.token(slot, tok))
                .collect(),
            state: match record.stand {
                Stand::Running => RecordState::Running,
                Stand::Ready(why) => RecordState::Ready(why),
                Stand::Settled(outcome) => RecordState::Settled(outcome),
            },
        }
    }

    fn kept(&self, slot: u8, record: &Record) -> Rec {
        let open = record.is_open();
        let count = |n: u32| if open { u8::try_from(n).unwrap() } else { 0 };
        Rec {
            token: self.scene.tok(slot, record.token),
            attempt: u8::try_from(record.attempt).unwrap(),
            fence: if open { number_of(record.fence) } else { 0 },
            lapses_at: if open { tick_of(record.lapses_at) } else { 0 },
            takeovers: count(record.takeovers),
            failures: count(record.failures),
            cancel: record.cancel.filter(|_| open),
            handed_over_by: record
                .handed_over_by
                .iter()
                .map(|&token| self.scene.tok(slot, token))
                .collect(),
            stand: match record.state {
                RecordState::Running => Stand::Running,
                RecordState::Ready(why) => Stand::Ready(why),
                RecordState::Settled(outcome) => Stand::Settled(outcome),
            },
        }
    }
}

type Done<T> = Result<T, Infallible>;

impl Ground for Step<'_> {
    type Fault = Infallible;

    fn now(&self) -> ClusterTime {
        at(self.now)
    }

    fn last_fence(&self) -> Fence {
        fence_of(self.held.last_fence)
    }

    fn give_out(&mut self, fence: Fence) {
        self.held.last_fence = self.held.last_fence.max(number_of(fence));
    }

    fn record(&mut self, slot: &Slot) -> Done<Option<Record>> {
        let slot = self.scene.slot_of(slot);
        let record = self.held.records[usize::from(slot)].as_ref();
        Ok(record.map(|record| self.real(slot, record)))
    }

    fn put_record(&mut self, slot: &Slot, record: &Record, _: Option<Duration>) -> Done<()> {
        let slot = self.scene.slot_of(slot);
        let kept = self.kept(slot, record);
        let told = &mut self.held.ledger[usize::from(slot)];
        // Of a missed one the entry counts.
        if let Stand::Settled(outcome) = kept.stand {
            told.ends += u8::from(outcome != Outcome::Missed);
            told.end = Some(outcome);
        }
        self.held.records[usize::from(slot)] = Some(kept);
        Ok(())
    }

    fn cursor(&mut self, _: &CursorKey) -> Done<Option<SlotTime>> {
        Ok(Some(self.scene.cursor_at(self.held.cursor)))
    }

    fn put_cursor(&mut self, _: &CursorKey, at: SlotTime) -> Done<()> {
        self.held.cursor = self.scene.passed_at(at);
        Ok(())
    }

    fn turn(&mut self, _: &JobName) -> Done<Turn> {
        let real = |slot: u8| self.scene.slots[usize::from(slot)].clone();
        let Turns { of, newest, queue } = self.held.turn;
        Ok(Turn {
            of: of.map(real),
            newest: newest.map(real),
            queue: queue.into_iter().flatten().map(real).collect(),
        })
    }

    fn put_turn(&mut self, _: &JobName, turn: &Turn) -> Done<()> {
        let number = |slot: &Slot| self.scene.slot_of(slot);
        let mut queue = [None; SLOTS];
        for (place, slot) in queue.iter_mut().zip(&turn.queue) {
            *place = Some(number(slot));
        }
        let (of, newest) = (turn.of.as_ref().map(number), turn.newest.as_ref().map(number));
        self.held.turn = Turns { of, newest, queue };
        Ok(())
    }

    fn pauses(&mut self, _: &JobName) -> Done<Pauses> {
        Ok(Pauses::default())
    }

    fn put_pauses(&mut self, _: &JobName, _: &Pauses) -> Done<()> {
        unreachable!("nobody pauses")
    }

    fn raise_version(&mut self) -> Done<u64> {
        unreachable!("nobody commands")
    }

    fn append(&mut self, write: &LedgerWrite, _: Option<&str>, _: Retention) -> Done<()> {
        match &write.entry {
            Entry::Run(run) => {
                let slot = self.scene.slot_of(&run.slot);
                let told = &mut self.held.ledger[usize::from(slot)];
                let bit = 1 << run.attempt;
                // A slot that was handed over and that nobody took ends under the number of
                // its last run; one that nobody ran has no number of a run.
                let ends_only = told.handed_over & bit != 0
                    && matches!(run.outcome, Outcome::Cancelled | Outcome::Abandoned);
                told.twice |= run.attempt > 0 && told.runs & bit != 0 && !ends_only;
                told.runs |= bit;
                told.handed_over = match run.outcome {
                    Outcome::HandedOver => bit,
                    _ => 0,
                };
            }
            Entry::Missed(missed) => {
                let range = missed.range.from..=missed.range.to;
                for (slot, told) in self.scene.slots.iter().zip(&mut self.held.ledger) {
                    if range.contains(&slot.at) {
                        told.ends += 1;
                        told.end = Some(Outcome::Missed);
                    }
                }
            }
        }
        Ok(())
    }
}
