//! The engine as a list of events: what it does, and what it never does.

mod clocks;
mod costs;
mod cursors;
mod draining;
mod reloading;
mod retrying;
mod room;
mod sweeping;
mod trusting;
mod waiting;

use std::collections::HashSet;

use super::*;
use crate::claim::{Claim, Fence, Grant, Holder, Refusal, Settled, Verdict};
use crate::config::{Overrides, ThisMachine, load_text};
use crate::ledger::Retention;
use crate::node::BootId;
use crate::node::HeartbeatReply;
use crate::outcome::{MissedReason, Outcome, Ready};
use crate::run::{Report, Stop, Trust};
use crate::store::{Health, Open, OpenState, Ownership, Renewal, StoreError, Sweep};

const START: i64 = 1_795_316_400; // 2026-11-22T03:00:00Z

/// An engine, and the time that the test gives it.
struct World {
    engine: Engine,
    boot: BootInstant,
    offset: Offset,
}

fn table(jobs: &str) -> Arc<JobTable> {
    let text =
        format!("[cluster]\nname = \"test\"\nnode = \"web-1\"\nstore = \"sqlite:/x\"\n{jobs}");
    let loaded = load_text("test.toml".as_ref(), &text, &Overrides::default(), &ThisMachine)
        .unwrap_or_else(|errors| panic!("{}", errors.render(crate::config::Paint::Plain)));
    Arc::new(loaded.config.jobs)
}

fn every_second() -> Arc<JobTable> {
    table("[jobs.a]\nschedule = \"* * * * * *\"\nshell = \"true\"\nlease_ttl = \"8s\"\n")
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

impl World {
    /// A node that is about to ask for its cursors, a tenth of a second after `START`.
    fn new(table: Arc<JobTable>) -> Self {
        let boot = BootInstant::from_nanos(1_000_100_000_000);
        let offset = Offset::from_micros(START * 1_000_000 - 1_000_000_000);
        let identity = Identity {
            cluster: "test".parse().unwrap(),
            node: "web-1".parse().unwrap(),
            boot: BootId::random(),
            started: boot,
        };
        let settings = Settings {
            max_clock_skew: seconds(5),
            heartbeat: seconds(5),
            drain_timeout: seconds(30),
            max_running: None,
            retention: Retention { keep: seconds(86_400), per_job: 100 },
        };
        Self { engine: Engine::new(identity, settings, table, offset), boot, offset }
    }

    /// A node at work, its cursors at `START`.
    fn open(table: Arc<JobTable>) -> Self {
        let mut world = Self::new(table);
        let mut asked = world.tell(Event::StoreHealth(Health::Up));
        asked.extend(world.tell(Event::Beat));
        assert!(asked.iter().any(|action| matches!(action, Action::OpenCursors(..))), "{asked:?}");
        let actions = world.open_cursors_at(START);
        assert!(matches!(actions[..], [Action::Ready, Action::PublishTable]), "{actions:?}");
        world
    }

    /// All cursors stand at that second.
    fn open_cursors_at(&mut self, second: i64) -> Vec<Action> {
        let at = SlotTime::from_unix_seconds(second);
        let table = Arc::clone(&self.engine.table);
        let cursors = table.iter().filter(|job| job.enabled).map(|job| (Arc::clone(job), at));
        self.tell(Event::CursorsOpened(Ok(cursors.collect())))
    }

    fn now(&self) -> Now {
        Now { boot: self.boot, offset: self.offset }
    }

    fn tell(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.engine.handle(self.now(), event, &mut actions);
        self.engine.act(self.now(), &mut actions);
        actions
    }

    fn wait(&mut self, time: Duration) -> Vec<Action> {
        self.boot = self.boot + time;
        let mut actions = Vec::new();
        self.engine.act(self.now(), &mut actions);
        actions
    }

    /// Waits for the first claim.
    fn claim(&mut self) -> Claim {
        let mut claims = claims(self.wait(seconds(1)));
        assert_eq!(claims.len(), 1);
        claims.remove(0)
    }

    fn answer(&mut self, claim: &Claim, verdict: Verdict) -> Vec<Action> {
        let sent = self.boot;
        self.tell(Event::ClaimsAnswered {
            sent,
            claims: vec![claim.clone()],
            answer: Ok(vec![verdict.into()]),
        })
    }

    fn lose_answer(&mut self, claim: &Claim, error: StoreError) -> Vec<Action> {
        let sent = self.boot;
        self.tell(Event::ClaimsAnswered { sent, claims: vec![claim.clone()], answer: Err(error) })
    }

    /// A run in progress.
    fn running(&mut self) -> Claim {
        let claim = self.claim();
        let actions = self.answer(&claim, won());
        assert!(matches!(&actions[..], [Action::Start(start)] if start.slot == claim.slot));
        claim
    }

    fn end(&mut self, claim: &Claim, outcome: Outcome) -> Vec<Action> {
        let report = Report {
            outcome,
            began: true,
            exit_code: Some(0),
            signal: None,
            error: None,
            started: self.boot,
            finished: self.boot,
            tail: String::new(),
            pid: None,
        };
        self.tell(Event::RunEnded { token: claim.token, report })
    }
}

/// The schedule of the first job.
fn schedule(world: &World) -> CursorKey {
    crate::daemon::gaps::key(&world.engine.table[0])
}

fn won() -> Verdict {
    Verdict::Won(Grant { fence: Fence::new(7), attempt: 1, failures: 0 })
}

fn held() -> Verdict {
    let node = "web-2".parse().unwrap();
    Verdict::Held(Holder { node, token: Token::new(), remaining: seconds(1) })
}

/// An answer to a sweep that comes at once.
fn answered(answer: StoreResult<Sweep>) -> Event {
    Event::Swept { sent: BootInstant::from_nanos(u64::MAX), answer }
}

fn unknown() -> StoreError {
    StoreError::Unknown("timed out".to_owned())
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("refused".to_owned())
}

fn claims(actions: Vec<Action>) -> Vec<Claim> {
    let claims = actions.into_iter().filter_map(|action| match action {
        Action::Claim(claims) => Some(claims),
        _ => None,
    });
    claims.flatten().collect()
}

fn forfeits(actions: Vec<Action>) -> Vec<Forfeit> {
    let forfeits = actions.into_iter().filter_map(|action| match action {
        Action::Forfeit(forfeits) => Some(forfeits),
        _ => None,
    });
    forfeits.flatten().collect()
}

/// What is renewed, where something is.
fn renewals(actions: Vec<Action>) -> Vec<Renewal> {
    let renewed = actions.into_iter().find_map(|action| match action {
        Action::Renew(renewals) => Some(renewals),
        _ => None,
    });
    renewed.expect("a quarter of the TTL has passed")
}

fn completions(actions: Vec<Action>) -> Vec<Completion> {
    let completions = actions.into_iter().filter_map(|action| match action {
        Action::Complete(completions) => Some(completions),
        _ => None,
    });
    completions.flatten().collect()
}

fn starts(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Start(_))).count()
}

fn settles(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::SettleGaps(..)))
}

#[test]
fn a_slot_is_claimed_run_completed_and_then_forgotten() {
    let mut world = World::open(every_second());
    let claim = world.running();
    assert_eq!(claim.slot.to_string(), "a@2026-11-22T03:00:01Z");
    assert!(claim.advance);
    let completions = completions(world.end(&claim, Outcome::Succeeded));
    assert_eq!(completions[0].token, claim.token);
    world.tell(Event::CompletionsAnswered { completions, answer: Ok(vec![Ownership::Ours]) });
    assert!(world.engine.running.is_empty() && world.engine.book.is_empty());
}

#[test]
fn only_a_win_starts_a_run() {
    let settled = Settled {
        node: "web-2".parse().unwrap(),
        token: Token::new(),
        outcome: Outcome::Succeeded,
    };
    for verdict in [
        held(),
        Verdict::Done(settled),
        Verdict::Refused(Refusal::Late),
        Verdict::Refused(Refusal::Early),
        Verdict::Refused(Refusal::Past),
        Verdict::Refused(Refusal::HandedOver),
        Verdict::Unknown("?".to_owned()),
    ] {
        let mut world = World::open(every_second());
        let claim = world.claim();
        let actions = world.answer(&claim, verdict);
        assert_eq!(starts(&actions), 0, "{actions:?}");
    }
}

#[test]
fn a_lost_answer_is_asked_for_again_with_the_same_token_and_taken_back_when_the_window_closed() {
    let mut world = World::open(every_second());
    let first = world.claim();
    world.lose_answer(&first, unknown());
    let again = claims(world.wait(Duration::from_millis(50)));
    assert_eq!(again[0], first);
    world.lose_answer(&first, unavailable());
    let later = world.wait(seconds(2));
    let given_up = forfeits(later);
    assert_eq!((given_up[0].token, &given_up[0].slot), (first.token, &first.slot));
    assert!(!settles(&world.tell(Event::Beat)), "not before it is known what became of it");
    world.tell(Event::ForfeitsAnswered { forfeits: given_up, answer: Ok(vec![true]) });
    assert!(settles(&world.tell(Event::Beat)));
}

#[test]
fn a_win_that_comes_when_its_lease_is_nearly_over_does_not_run() {
    let mut world = World::open(every_second());
    let claim = world.claim();
    let sent = world.boot;
    world.boot = world.boot + seconds(6);
    let actions = world.tell(Event::ClaimsAnswered {
        sent,
        claims: vec![claim.clone()],
        answer: Ok(vec![won().into()]),
    });
    assert_eq!(starts(&actions), 0);
    assert_eq!(forfeits(actions)[0].token, claim.token);
}

#[test]
fn a_slow_answer_is_asked_for_again_while_its_window_is_open() {
    let mut world = World::open(table(
        "[jobs.a]\nschedule = \"@every 60s\"\nshell = \"true\"\nlease_ttl = \"8s\"\n",
    ));
    world.boot = world.boot + seconds(60);
    let claim = claims(world.wait(Duration::ZERO)).remove(0);
    let sent = world.boot;
    world.boot = world.boot + seconds(6);
    let answer = Ok(vec![won().into()]);
    let actions = world.tell(Event::ClaimsAnswered { sent, claims: vec![claim.clone()], answer });
    assert_eq!(starts(&actions), 0);
    assert_eq!(claims(actions)[0].token, claim.token);
    assert_eq!(starts(&world.answer(&claim, won())), 1);
}

#[test]
fn a_late_answer_to_a_renewal_says_nothing_of_a_run_that_is_over() {
    let mut world = World::open(every_second());
    let claim = world.running();
    world.wait(seconds(2));
    world.end(&claim, Outcome::Succeeded);
    let renewals = vec![Renewal {
        slot: claim.slot.clone(),
        token: claim.token,
        ttl: claim.ttl,
        keep_record: seconds(1),
    }];
    let sent = world.boot;
    let answer = Ok(vec![Ownership::Forgotten]);
    let actions = world.tell(Event::RenewalsAnswered { sent, renewals, answer });
    assert!(!actions.iter().any(|action| matches!(action, Action::Tell(..))), "{actions:?}");
}

#[test]
fn a_lease_that_is_not_ours_any_more_ends_the_run_at_once() {
    let mut world = World::open(every_second());
    let claim = world.running();
    let renewals = renewals(world.wait(seconds(2)));
    let sent = world.boot;
    let answer = Ok(vec![Ownership::Forgotten]);
    let actions = world.tell(Event::RenewalsAnswered { sent, renewals, answer });
    assert!(
        actions.iter().any(
            |action| matches!(action, Action::Tell(token, Trust::Lost) if *token == claim.token)
        ),
        "{actions:?}"
    );
    assert!(completions(world.end(&claim, Outcome::LeaseLost)).is_empty());
    assert!(world.engine.running.is_empty());
}

#[test]
fn a_completion_without_an_answer_is_sent_again_and_its_lease_renewed_meanwhile() {
    let mut world = World::open(every_second());
    let claim = world.running();
    let batch = completions(world.end(&claim, Outcome::Succeeded));
    world.tell(Event::CompletionsAnswered { completions: batch, answer: Err(unknown()) });
    let later = world.wait(seconds(2));
    assert!(later.iter().any(|action| matches!(action, Action::Renew(_))));
    let again = completions(later);
    assert_eq!(again[0].token, claim.token);
    world
        .tell(Event::CompletionsAnswered { completions: again, answer: Ok(vec![Ownership::Ours]) });
    assert!(world.engine.book.is_empty());
}

#[test]
fn a_node_without_a_store_skips_what_is_due_and_settles_it_when_the_store_is_there() {
    let mut world = World::new(every_second());
    world.tell(Event::StoreHealth(Health::Down("refused".to_owned())));
    world.tell(Event::Beat);
    world.tell(Event::CursorsOpened(Err(unavailable())));
    for _ in 0..5 {
        assert!(claims(world.wait(seconds(1))).is_empty());
    }
    world.tell(Event::StoreHealth(Health::Up));
    world.tell(Event::Beat);
    let actions = world.open_cursors_at(START);
    assert!(actions.iter().any(|action| matches!(action, Action::Ready)));
    let Some(Action::SettleGaps(_, memory)) =
        world.tell(Event::Beat).into_iter().find(|action| matches!(action, Action::SettleGaps(..)))
    else {
        panic!("the gap is settled")
    };
    let missed = SlotTime::from_unix_seconds(START + 2).cluster_time();
    assert_eq!(memory.reason(missed, seconds(1), world.offset), MissedReason::StoreDown);
}

#[test]
fn a_second_node_of_the_same_name_is_noticed_but_not_the_last_start_of_this_one() {
    let mut world = World::open(every_second());
    let [last_start, other] = [BootId::random(), BootId::random()];
    let reply = |world: &World, replaced| {
        let now = world.now().cluster();
        Event::HeartbeatAnswered(Ok(HeartbeatReply { now, replaced, differing: Vec::new() }))
    };
    for replaced in [Some(last_start), None, Some(world.engine.identity.boot)] {
        let event = reply(&world, replaced);
        world.tell(event);
        assert!(world.engine.others.duplicates.is_empty());
    }
    let event = reply(&world, Some(other));
    world.tell(event);
    assert_eq!(world.engine.others.duplicates, HashSet::from([other]));
}
