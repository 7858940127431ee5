//! The scripts against the rules: random histories on Redis and on SQLite, which asks
//! the rules themselves, bring the same answers, records and ledger.
//!
//! Slots, tokens and nodes are few, so that histories collide. A lease lasts for a
//! minute or has lapsed when the next thing happens; other times are left out of the
//! comparison.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use solocron::claim::{Claimed, Token, Verdict};
use solocron::ledger::{Entry, MissedRange};
use solocron::name::ClusterName;
use solocron::outcome::{MissedReason, Outcome};
use solocron::policy::Overlap;
use solocron::slot::{Slot, SlotTime, TriggerId};
use solocron::store::redis::{Options, RedisStore};
use solocron::store::sqlite::{self, SqliteStore};
use solocron::store::{Completion, Forfeit, MissedReport, Ownership, Store, Sweep, Then};

use super::options;
use crate::contract::*;
use crate::harness::folder::Folder;
use crate::harness::redis_server::RedisServer;

const HISTORIES: u64 = 12;
const STEPS: usize = 40;
/// A lease that has lapsed when the next thing happens.
const MOMENT: Duration = Duration::from_millis(1);

/// What happens in one history.
struct World {
    redis: RedisStore,
    sqlite: SqliteStore,
    overlap: Overlap,
    slots: Vec<Slot>,
    tokens: BTreeMap<usize, Vec<Token>>,
    told: Vec<String>,
    rng: Rng,
}

/// An answer without its times.
fn answer(claimed: &Claimed) -> String {
    let verdict = match &claimed.verdict {
        Verdict::Won(grant) => format!("won {} {}", grant.attempt, grant.failures),
        Verdict::Held(holder) => {
            format!("held {} {} {}", holder.node, holder.token, holder.remaining.is_zero())
        }
        // A slot that was caught up has a token of its own in each store.
        Verdict::Done(settled) => format!("done {} {}", settled.node, settled.outcome),
        other => format!("{other:?}"),
    };
    let entries: Vec<_> = claimed.entries.iter().map(entry).collect();
    format!("{verdict} {entries:?}")
}

fn ownership(answer: &Ownership) -> String {
    match answer {
        Ownership::HeldBy(holder) => format!("held {} {}", holder.node, holder.token),
        Ownership::SettledAs(settled) => format!("settled {} {}", settled.node, settled.outcome),
        other => format!("{other:?}"),
    }
}

fn entry(entry: &Entry) -> String {
    match entry {
        Entry::Run(run) => format!(
            "{} {} {} {} {:?} fence {}",
            run.slot,
            run.node,
            run.outcome,
            run.attempt,
            run.error,
            u8::from(run.fence.get() > 0),
        ),
        Entry::Missed(missed) => {
            let MissedRange { from, to, count, reason } = missed.range;
            format!("missed {from} {to} {count} {reason} {}", missed.node)
        }
    }
}

/// Both ledgers, oldest first; how slots that met a pause were joined depends on the
/// second in which it began.
async fn history(store: &dyn Store) -> (Vec<String>, u64) {
    let (mut lines, mut paused) = (Vec::new(), 0);
    for line in ledger(store).await.iter().rev() {
        match line {
            Entry::Missed(missed) if missed.range.reason == MissedReason::Paused => {
                paused += missed.range.count;
            }
            other => lines.push(entry(other)),
        }
    }
    // Of one instant, the order is the store's own.
    lines.sort();
    (lines, paused)
}

async fn record(store: &dyn Store, slot: &Slot) -> String {
    let Some(record) = store.slot(slot).await.unwrap().record else { return "none".to_owned() };
    let state = match record.state {
        solocron::store::SlotState::Running { remaining } => {
            format!("held {}", remaining.is_zero())
        }
        other => format!("{other:?}"),
    };
    format!("{state} {} {} {}", record.node, record.attempt, record.fence.get() > 0)
}

fn swept(sweep: &Sweep) -> String {
    let mut open: Vec<_> = sweep
        .open
        .iter()
        .map(|open| format!("{} {} {} {:?}", open.slot, open.attempt, open.takeovers, open.state))
        .collect();
    open.sort();
    let mut cancels: Vec<_> =
        sweep.cancels.iter().map(|c| format!("{} {} {}", c.slot, c.token, c.cause)).collect();
    cancels.sort();
    format!("{open:?} {cancels:?} {}", sweep.control)
}

impl World {
    async fn start(server: &RedisServer, dir: &std::path::Path, seed: u64) -> Self {
        let cluster = ClusterName::new(&format!("world-{seed}")).unwrap();
        let redis = RedisStore::open(Options { cluster: cluster.clone(), ..options(server) });
        let patient = sqlite::Options { bound: Duration::from_secs(15), ..Default::default() };
        let sqlite = SqliteStore::open(&dir.join("db"), &cluster, patient).unwrap();
        let mut rng = Rng::with_seed(seed);
        let base = due(&redis, "backup").await;
        let mut slots: Vec<_> = (-3..3)
            .map(|s| {
                let at = SlotTime::from_unix_seconds(base.at.unix_seconds() + s);
                Slot::scheduled(base.job.clone(), at)
            })
            .collect();
        let at = now(&redis).await;
        slots.extend((0..2).map(|_| Slot::triggered(base.job.clone(), TriggerId::new(at))));
        let cursor = SlotTime::from_unix_seconds(base.at.unix_seconds() - 10);
        for store in [&redis as &dyn Store, &sqlite] {
            store.open_cursors(&[cursor_of("backup")], cursor, KEEP).await.unwrap();
        }
        let all = [Overlap::Skip, Overlap::Wait, Overlap::Replace];
        // Seldom `allow`, which has no turns.
        let overlap = if rng.u8(..8) == 0 { Overlap::Allow } else { all[rng.usize(..3)] };
        Self { redis, sqlite, overlap, slots, tokens: BTreeMap::new(), told: Vec::new(), rng }
    }

    fn both(&self) -> [&dyn Store; 2] {
        [&self.redis, &self.sqlite]
    }

    fn same(&mut self, what: String, answers: [String; 2]) {
        self.told.push(format!("{what}: {}", answers[0]));
        let [redis, sqlite] = &answers;
        assert_eq!(redis, sqlite, "of {:?}:\n{}", self.overlap, self.told.join("\n"));
    }

    /// The token of a record; a slot that is caught up has one of its own in each store.
    async fn token_of(&self, store: &dyn Store, slot: &Slot) -> Token {
        store.slot(slot).await.unwrap().record.map_or_else(Token::new, |record| record.token)
    }

    async fn step(&mut self) {
        let place = self.rng.usize(..self.slots.len());
        let slot = self.slots[place].clone();
        let who = claimant(["web-1", "web-2", "web-3"][self.rng.usize(..3)]);
        match self.rng.u8(..26) {
            0..10 => self.claim(place, &who).await,
            10..15 => self.complete(&slot, &who).await,
            15 => {
                let ttl = if self.rng.bool() { LONG } else { MOMENT };
                let mut answers = Vec::new();
                for store in self.both() {
                    let token = self.token_of(store, &slot).await;
                    let mut ask = renewal(&claim_of(&slot, LONG), ttl);
                    ask.token = token;
                    answers.push(ownership(&renew(store, &ask).await));
                }
                self.same(format!("renew {slot} {ttl:?}"), answers.try_into().unwrap());
            }
            16..18 => {
                let mut answers = Vec::new();
                let was_lost = self.rng.bool();
                for store in self.both() {
                    let mut lost = abandonment(&claim_of(&slot, LONG));
                    lost.was_lost = was_lost;
                    lost.token = self.token_of(store, &slot).await;
                    answers.push(abandon(store, &who, &lost).await.to_string());
                }
                self.same(format!("abandon {slot}"), answers.try_into().unwrap());
            }
            18 => {
                let mut answers = Vec::new();
                for store in self.both() {
                    let unrun = Forfeit {
                        slot: slot.clone(),
                        token: self.token_of(store, &slot).await,
                        reason: MissedReason::Late,
                        keep_record: KEEP,
                        retention: KEEP_ALL,
                    };
                    answers.push(format!("{:?}", store.forfeit(&who.node, &[unrun]).await));
                }
                self.same(format!("forfeit {slot}"), answers.try_into().unwrap());
            }
            19..22 => {
                let mut answers = Vec::new();
                for store in self.both() {
                    answers.push(format!("{:?}", store.trigger(&who.node, &slot, KEEP).await));
                }
                self.same(format!("trigger {slot}"), answers.try_into().unwrap());
            }
            22 => {
                let mut answers = Vec::new();
                for store in self.both() {
                    let record = store.slot(&slot).await.unwrap().record;
                    let run = record
                        .map_or_else(|| Token::new().run_id(1), |r| r.token.run_id(r.attempt));
                    answers.push(format!("{:?}", store.cancel(run).await));
                }
                self.same(format!("cancel {slot}"), answers.try_into().unwrap());
            }
            23 => {
                let pause = self.rng.u8(..3) == 0;
                let mut answers = Vec::new();
                for store in self.both() {
                    answers.push(format!("{:?}", store.pause(&slot.job, pause).await));
                }
                self.same(format!("pause {pause}"), answers.try_into().unwrap());
            }
            24 => self.record_missed(&who).await,
            _ => {
                for store in self.both() {
                    store.prune(KEEP_ALL).await.unwrap();
                }
            }
        }
        // What was to lapse has lapsed.
        let later = now(&self.redis).await + Duration::from_millis(5);
        for store in self.both() {
            await_time(store, later).await;
        }
    }

    async fn claim(&mut self, place: usize, who: &solocron::claim::Claimant) {
        let slot = self.slots[place].clone();
        let known = self.tokens.entry(place).or_default();
        if known.is_empty() || self.rng.u8(..4) > 0 {
            known.push(Token::new());
        }
        let token = known[self.rng.usize(..known.len())];
        let mut claim = claim_of(&slot, if self.rng.u8(..3) > 0 { LONG } else { MOMENT });
        claim.token = token;
        claim.overlap = self.overlap;
        claim.max_takeovers = self.rng.u32(..3);
        claim.advance = self.rng.u8(..8) == 0;
        if self.rng.u8(..3) > 0 {
            let record = self.redis.slot(&slot).await.unwrap().record;
            claim.takes_over = record.map(|record| record.token);
        }
        let mut claims = vec![claim];
        // In a batch with another slot of the job, or with itself.
        if self.rng.u8(..4) == 0 {
            // A moment may be over, or not, before the next of the batch is looked at.
            claims[0].ttl = LONG;
            let mut other = claims[0].clone();
            other.slot = self.slots[self.rng.usize(..self.slots.len())].clone();
            other.due = other.slot.at.cluster_time();
            other.start_by = other.due + WINDOW;
            other.token = Token::new();
            other.takes_over = None;
            claims.push(other);
        }
        let mut answers = Vec::new();
        for store in self.both() {
            let claimed = store.claim(who, &claims).await.unwrap();
            answers.push(claimed.iter().map(answer).collect::<Vec<_>>().join(" + "));
        }
        let names: Vec<_> = claims
            .iter()
            .map(|c| format!("{} {} {:?} {}", c.slot, c.token, c.ttl, c.max_takeovers))
            .collect();
        self.same(format!("claim {names:?} by {}", who.node), answers.try_into().unwrap());
    }

    async fn complete(&mut self, slot: &Slot, who: &solocron::claim::Claimant) {
        let outcomes = [Outcome::Succeeded, Outcome::Failed, Outcome::HandedOver];
        let outcome = outcomes[self.rng.usize(..outcomes.len())];
        let then = match (outcome, self.rng.u8(..3)) {
            (Outcome::Failed, 0) => Then::Retry,
            (Outcome::Failed, 1) => Then::HandOver(Some(now(&self.redis).await + LONG)),
            (Outcome::HandedOver, _) => Then::HandOver(None),
            _ => Then::Settle,
        };
        let known: Vec<Token> = self.tokens.values().flatten().copied().collect();
        let foreign = self.rng.u8(..6) == 0 && !known.is_empty();
        let token = foreign.then(|| known[self.rng.usize(..known.len())]);
        let earlier = u32::from(self.rng.u8(..8) == 0);
        let mut answers = Vec::new();
        for store in self.both() {
            let record = store.slot(slot).await.unwrap().record;
            let token = match (token, &record) {
                (Some(token), _) => token,
                (None, Some(record)) => record.token,
                (None, None) => Token::new(),
            };
            let at = now(store).await;
            let end = Completion {
                slot: slot.clone(),
                token,
                attempt: record.as_ref().map_or(1, |r| r.attempt.saturating_sub(earlier)),
                fence: record.as_ref().map_or(solocron::claim::Fence::new(1), |r| r.fence),
                outcome,
                then,
                started_at: at,
                finished_at: at,
                exit_code: None,
                signal: None,
                error: None,
                tail: String::new(),
                keep_record: KEEP,
                retention: KEEP_ALL,
            };
            answers.push(ownership(&complete(store, who, &end).await));
        }
        self.same(format!("complete {slot} {outcome} {then:?}"), answers.try_into().unwrap());
    }

    async fn record_missed(&mut self, who: &solocron::claim::Claimant) {
        let (from, in_turn) = (self.rng.usize(..4), self.rng.bool());
        let upto = from + self.rng.usize(..3);
        let mut answers = Vec::new();
        for store in self.both() {
            let stands =
                store.open_cursors(&[cursor_of("backup")], self.slots[0].at, KEEP).await.unwrap();
            let slots: Vec<_> = self.slots[from..=upto].iter().map(|slot| slot.at).collect();
            let report = MissedReport {
                cursor: cursor_of("backup"),
                expected: stands[0],
                upto: self.slots[upto].at,
                closes_at: now(store).await - Duration::from_secs(1),
                ranges: vec![MissedRange {
                    from: slots[0],
                    to: slots[0],
                    count: 1,
                    reason: MissedReason::Overlap,
                }],
                catch_up: slots,
                in_turn,
                keep_record: KEEP,
                retention: KEEP_ALL,
            };
            let did = store.record_missed(&who.node, &[report]).await.unwrap();
            answers.push(format!("{} {did:?}", stands[0]));
        }
        let what = format!("missed {from}..={upto}, in turn {in_turn}");
        self.same(what, answers.try_into().unwrap());
    }

    /// Every record and the ledger, and what wants somebody once both have had the time.
    async fn compare(&mut self) {
        for slot in &self.slots.clone() {
            let answers = [record(&self.redis, slot).await, record(&self.sqlite, slot).await];
            self.same(format!("record of {slot}"), answers);
        }
        let answers = [
            format!("{:#?}", history(&self.redis).await),
            format!("{:#?}", history(&self.sqlite).await),
        ];
        self.same("ledger".to_owned(), answers);
    }

    async fn compare_sweeps(&mut self) {
        let mut seen = [String::new(), String::new()];
        for _ in 0..400 {
            let sweeps =
                [self.redis.sweep(100).await.unwrap(), self.sqlite.sweep(100).await.unwrap()];
            seen = sweeps.map(|sweep| swept(&sweep));
            if seen[0] == seen[1] {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.same("sweep".to_owned(), seen);
    }
}

async fn play(histories: std::ops::Range<u64>) {
    let server = RedisServer::start();
    let dir = Folder::new();
    for seed in histories {
        let mut world = World::start(&server, dir.path(), seed).await;
        world.told.push(format!("seed {seed}"));
        for _ in 0..STEPS {
            world.step().await;
            world.compare_records_now_and_then().await;
        }
        world.compare().await;
        world.compare_sweeps().await;
    }
}

impl World {
    async fn compare_records_now_and_then(&mut self) {
        if self.rng.u8(..6) == 0 {
            self.compare().await;
            self.compare_sweeps().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scripts_decide_as_the_rules_do() {
    play(0..HISTORIES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the same for longer, from a seed of its own"]
async fn the_scripts_decide_as_the_rules_do_for_long() {
    let first = fastrand::u64(1_000..1 << 40);
    play(first..first + 200).await;
}
