//! What a model is about: the job, its two slots, the names, and the time.
//!
//! Time is whole seconds, and everything in it is a whole number of them: a lease lasts
//! four and is renewed every one. Instants are the program's own types, so what it
//! decides about them is decided by its own arithmetic, margin and all.

use std::sync::Arc;
use std::time::Duration;

use solocron::claim::{Claimant, Token, Tokens};
use solocron::clock::{BootInstant, ClusterTime, Offset};
use solocron::config::{Overrides, ThisMachine, load_text};
use solocron::daemon::engine::{Now, Settings};
use solocron::daemon::gaps::key;
use solocron::ledger::Retention;
use solocron::ledger::missed::Memory;
use solocron::name::NodeName;
use solocron::node::BootId;
use solocron::slot::{Slot, SlotTime};
use solocron::store::CursorKey;
use solocron::table::Job;

use crate::store::Tok;

/// So many nodes there are at most.
pub(crate) const NODES: usize = 3;
/// So many slots the job has.
pub(crate) const SLOTS: usize = 2;
/// So many tokens of one node for one slot can be told apart at a time.
const TOKENS: usize = 8;
/// The store itself, as the maker of tokens.
pub(crate) const STORE: u8 = NODES as u8;
/// 2026-11-22T03:00:00Z
const START: i64 = 1_795_316_400;
/// What a boot clock says then, in seconds.
const BOOTED: u64 = 10_000;
/// When the slots are due, in seconds from the start.
pub(crate) const SLOT_AT: [u8; SLOTS] = [1, 3];
/// How far clocks may differ, and a claim may come ahead of its slot, in seconds.
const MAX_CLOCK_SKEW: u64 = 1;

/// The instant `tick` seconds after the start, by the store's clock.
pub(crate) fn at(tick: i16) -> ClusterTime {
    ClusterTime::from_unix_micros((START + i64::from(tick)) * 1_000_000)
}

/// The other way round; whole seconds only.
pub(crate) fn tick_of(at: ClusterTime) -> i16 {
    let micros = at.unix_micros() - START * 1_000_000;
    assert_eq!(micros.rem_euclid(1_000_000), 0, "time is whole seconds");
    i16::try_from(micros / 1_000_000).unwrap()
}

/// What every boot clock says then.
pub(crate) fn boot(tick: u8) -> BootInstant {
    BootInstant::from_nanos((BOOTED + u64::from(tick)) * 1_000_000_000)
}

/// The first tick at or after an instant of the boot clock.
pub(crate) fn tick_from(at: BootInstant) -> u8 {
    u8::try_from(at.nanos().div_ceil(1_000_000_000) - BOOTED).unwrap()
}

/// From the boot clock of a node that is wrong by `skew` seconds to the cluster's.
pub(crate) fn offset(skew: i8) -> Offset {
    Offset::from_micros((START - BOOTED.cast_signed() + i64::from(skew)) * 1_000_000)
}

/// The present of such a node.
pub(crate) fn present(tick: u8, skew: i8) -> Now {
    Now { boot: boot(tick), offset: offset(skew) }
}

/// How the job deals with what comes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policies {
    pub(crate) overlap: &'static str,
    pub(crate) on_crash: &'static str,
    pub(crate) catch_up: &'static str,
    /// How many runs a slot gets that fail.
    pub(crate) attempts: u8,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) job: Arc<Job>,
    pub(crate) key: CursorKey,
    pub(crate) slots: [Slot; SLOTS],
    pub(crate) settings: Settings,
    pub(crate) nodes: [NodeName; NODES],
    pub(crate) boots: [BootId; NODES],
    pub(crate) memory: Memory,
    tokens: [[[Token; TOKENS]; SLOTS]; NODES + 1],
}

impl Scene {
    pub(crate) fn new(policies: Policies) -> Self {
        let Policies { overlap, on_crash, catch_up, attempts } = policies;
        let [first, second] = SLOT_AT;
        let text = format!(
            "[cluster]\nname = 't'\nnode = 'n'\nstore = 'sqlite:/x'\nmax_clock_skew = '{MAX_CLOCK_SKEW}s'\n\
             [jobs.a]\nschedule = '{first},{second} 0 3 22 11 * 2026'\nshell = 'x'\n\
             lease_ttl = '4s'\nkill_grace = '1s'\nstart_within = '2s'\n\
             overlap = '{overlap}'\non_crash = '{on_crash}'\nmax_takeovers = 1\n\
             catch_up = '{catch_up}'\n\
             retry = {{ attempts = {attempts}, backoff = 'constant', min = '0s' }}\n"
        );
        let loaded = load_text("t.toml".as_ref(), &text, &Overrides::default(), &ThisMachine);
        let config = loaded.unwrap_or_else(|errors| panic!("{}", errors.summary())).config;
        let job = Arc::clone(config.jobs.iter().next().unwrap());
        let slot = |second| {
            let at = SlotTime::from_unix_seconds(START + i64::from(second));
            Slot::scheduled(job.name.clone(), at)
        };
        let mut tokens = Tokens::Seeded(fastrand::Rng::with_seed(1));
        Self {
            key: key(&job),
            slots: SLOT_AT.map(slot),
            settings: Settings {
                max_clock_skew: Duration::from_secs(MAX_CLOCK_SKEW),
                heartbeat: Duration::from_secs(5),
                drain_timeout: Duration::ZERO,
                max_running: None,
                retention: Retention { keep: Duration::from_secs(86_400), per_job: 1_000 },
            },
            nodes: std::array::from_fn(|n| format!("node-{n}").parse().unwrap()),
            boots: std::array::from_fn(|_| BootId::random()),
            memory: Memory::new(boot(0)),
            tokens: std::array::from_fn(|_| {
                std::array::from_fn(|_| std::array::from_fn(|_| tokens.draw()))
            }),
            job,
        }
    }

    pub(crate) fn token(&self, slot: u8, tok: Tok) -> Token {
        self.tokens[usize::from(tok.node)][usize::from(slot)][usize::from(tok.number)]
    }

    /// One that nobody knows was drawn by the store: there is one such at a time for a slot.
    pub(crate) fn tok(&self, slot: u8, token: Token) -> Tok {
        for node in 0..=NODES {
            let of_node = &self.tokens[node][usize::from(slot)];
            if let Some(number) = of_node.iter().position(|known| *known == token) {
                return Tok { node: node as u8, number: number as u8 };
            }
        }
        Tok { node: STORE, number: 0 }
    }

    pub(crate) fn slot_of(&self, slot: &Slot) -> u8 {
        self.slots.iter().position(|known| known == slot).unwrap() as u8
    }

    /// Where a cursor stands that has come over so many slots.
    pub(crate) fn cursor_at(&self, passed: u8) -> SlotTime {
        match passed {
            0 => SlotTime::from_unix_seconds(START),
            passed => self.slots[usize::from(passed) - 1].at,
        }
    }

    pub(crate) fn passed_at(&self, cursor: SlotTime) -> u8 {
        self.slots.iter().filter(|slot| slot.at <= cursor).count() as u8
    }

    pub(crate) fn ttl(&self) -> Duration {
        self.job.lease_ttl
    }

    pub(crate) fn claimant(&self, node: u8) -> Claimant {
        Claimant {
            node: self.nodes[usize::from(node)].clone(),
            boot: self.boots[usize::from(node)],
            max_early: self.settings.max_clock_skew,
        }
    }
}
