//! Requests to the store, and what may befall them on their way.

use std::sync::Arc;
use std::time::Duration;

use solocron::claim::Verdict;
use solocron::clock::BootInstant;
use solocron::daemon::engine::{Action, CURSOR_KEPT, Event, SWEEP, claimant};
use solocron::daemon::gaps::{Settler, key};
use solocron::slot::SlotTime;
use solocron::store::{Store, StoreError};

use crate::world::{Item, World, ms};

/// A request, and when it left.
#[derive(Debug)]
pub(crate) struct Deed {
    action: Action,
    sent: BootInstant,
}

/// What becomes of a request.
enum Fate {
    Answered,
    /// It is answered, nearly too late.
    Slow,
    /// There is no connection, and the node knows.
    Refused,
    /// It does not arrive, and the node waits in vain.
    Lost,
    /// It is applied, and the answer is lost.
    Silent,
    /// It is applied long after the node has given it up.
    Late,
    /// The store stands still, and applies it when it goes on.
    Stalled,
}

/// What becomes of the answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Soon,
    Slow,
    Lost,
}

/// How long a node waits for an answer.
const PATIENCE: Duration = Duration::from_millis(125);

/// Nothing here ever waits.
fn done<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(done) => done,
        std::task::Poll::Pending => panic!("the store in memory answers at once"),
    }
}

impl World {
    pub(crate) fn send(&mut self, node: usize, action: Action) {
        let fate = self.fate(node);
        let deed = Box::new(Deed { action, sent: self.boot(node) });
        let epoch = self.nodes[node].epoch;
        let there = self.now + self.delay();
        let failed = |error| Box::new(failure(&deed.action, error));
        let told = |event| Item::Tell { node, epoch, event };
        match fate {
            Fate::Answered => {
                self.schedule(there, Item::Arrive { node, epoch, deed, answer: Answer::Soon });
            }
            Fate::Slow => {
                self.schedule(there, Item::Arrive { node, epoch, deed, answer: Answer::Slow });
            }
            Fate::Refused => {
                let event = failed(StoreError::Unavailable("refused".to_owned()));
                self.schedule(there, told(event));
            }
            Fate::Lost => {
                let event = failed(StoreError::Unknown("timed out".to_owned()));
                self.schedule(self.now + PATIENCE, told(event));
            }
            Fate::Silent | Fate::Late => {
                let event = failed(StoreError::Unknown("timed out".to_owned()));
                self.schedule(self.now + PATIENCE, told(event));
                let late = matches!(fate, Fate::Late);
                let wait = if late { ms(self.rng.u64(125..4_000)) } else { Duration::ZERO };
                let at = there + wait;
                self.schedule(at, Item::Arrive { node, epoch, deed, answer: Answer::Lost });
            }
            Fate::Stalled => {
                let event = failed(StoreError::Unknown("timed out".to_owned()));
                self.schedule(self.now + PATIENCE, told(event));
                let at = there.max(self.stalled_until);
                self.schedule(at, Item::Arrive { node, epoch, deed, answer: Answer::Lost });
            }
        }
    }

    fn fate(&mut self, node: usize) -> Fate {
        if self.nodes[node].cut_off {
            return if self.rng.bool() { Fate::Refused } else { Fate::Lost };
        }
        if self.now < self.stalled_until {
            return Fate::Stalled;
        }
        if !self.nodes[node].bad_link {
            return Fate::Answered;
        }
        match self.rng.u8(..10) {
            0 => Fate::Refused,
            1 => Fate::Lost,
            2 => Fate::Silent,
            3 => Fate::Late,
            4 => Fate::Slow,
            _ => Fate::Answered,
        }
    }

    /// The request is there: what the node is told of it.
    pub(crate) fn carry_out(&mut self, node: usize, deed: Deed) -> Event {
        let Deed { action, sent } = deed;
        let identity = self.nodes[node].identity.clone();
        let name = &self.nodes[node].name;
        let store = &self.store;
        let event = match action {
            Action::OpenCursors(jobs) => {
                let opened = jobs.into_iter().map(|(job, since)| {
                    let micros = self.at(node, since).unix_micros();
                    let start = SlotTime::from_unix_seconds(micros.div_euclid(1_000_000));
                    let at = done(store.open_cursors(&[key(&job)], start, CURSOR_KEPT))?;
                    Ok((job, at[0]))
                });
                Event::CursorsOpened(opened.collect())
            }
            Action::Claim(claims) => {
                let who = claimant(&identity, &self.settings);
                let answer = done(store.claim(&who, &claims));
                Event::ClaimsAnswered { sent, claims, answer }
            }
            Action::Renew(renewals) => {
                let answer = done(store.renew(&renewals));
                Event::RenewalsAnswered { sent, renewals, answer }
            }
            Action::Complete(completions) => {
                let answer = done(store.complete(name, &completions));
                Event::CompletionsAnswered { completions, answer }
            }
            Action::Forfeit(forfeits) => {
                let answer = done(store.forfeit(name, &forfeits));
                Event::ForfeitsAnswered { forfeits, answer }
            }
            Action::Sweep => Event::Swept { sent, answer: done(store.sweep(SWEEP)) },
            Action::Abandon(open) => {
                let what: Vec<_> = open.into_iter().map(|open| open.what).collect();
                // Nobody is told of it.
                let _written = done(store.abandon(name, &what));
                Event::WallClockAhead(0)
            }
            Action::SettleGaps(gaps, memory) => {
                let settler = Settler {
                    store,
                    identity: &identity,
                    settings: &self.settings,
                    memory: &memory,
                    offset: solocron::clock::Offset::from_micros(-self.nodes[node].boot_ahead),
                };
                Event::GapsSettled(done(settler.settle(&gaps)))
            }
            Action::ReadControl => Event::ControlRead(done(store.control())),
            Action::ReadNodes => Event::NodesRead(done(store.nodes())),
            Action::Heartbeat(beat) => Event::HeartbeatAnswered(done(store.heartbeat(&beat))),
            Action::Prune => {
                let _pruned = done(store.prune(self.settings.retention));
                Event::WallClockAhead(0)
            }
            other => panic!("this asks nothing of the store: {other:?}"),
        };
        self.watch_store(&event);
        event
    }

    /// Notes what a request came to, and looks at what the store holds.
    fn watch_store(&mut self, event: &Event) {
        if let Event::ClaimsAnswered { claims, answer: Ok(answer), .. } = event {
            for (claim, claimed) in claims.iter().zip(answer) {
                let verdict = in_a_word(&claimed.verdict);
                self.note(|| format!("claim of {}: {verdict}", claim.slot));
            }
        }
        // Only these settle anything.
        let settles = matches!(
            event,
            Event::ClaimsAnswered { .. }
                | Event::CompletionsAnswered { .. }
                | Event::ForfeitsAnswered { .. }
                | Event::WallClockAhead(_)
        );
        if settles {
            let (store, now) = (&self.store, self.now);
            let oracle = &mut self.oracle;
            store.look(|step| oracle.look_at_records(now, step.records()));
        }
    }
}

/// A verdict without the token in it: that of a slot to be caught up is drawn anew.
fn in_a_word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Won(grant) => format!("won, attempt {}", grant.attempt),
        Verdict::Held(holder) => format!("held by {}", holder.node),
        Verdict::Done(settled) => settled.outcome.to_string(),
        Verdict::Waits(of) => format!("waits for {of}"),
        Verdict::Missed(reason) => format!("missed, {reason}"),
        Verdict::Refused(why) => format!("refused, {why:?}"),
        Verdict::Unknown(why) => why.clone(),
    }
}

/// What a node is told of a request without an answer.
fn failure(action: &Action, error: StoreError) -> Event {
    match action {
        Action::OpenCursors(..) => Event::CursorsOpened(error_of_any(&error)),
        Action::Claim(claims) => Event::ClaimsAnswered {
            sent: BootInstant::from_nanos(0),
            claims: claims.clone(),
            answer: error_of_any(&error),
        },
        Action::Renew(renewals) => Event::RenewalsAnswered {
            sent: BootInstant::from_nanos(0),
            renewals: renewals.clone(),
            answer: error_of_any(&error),
        },
        Action::Complete(completions) => Event::CompletionsAnswered {
            completions: completions.clone(),
            answer: error_of_any(&error),
        },
        Action::Forfeit(forfeits) => {
            Event::ForfeitsAnswered { forfeits: forfeits.clone(), answer: error_of_any(&error) }
        }
        Action::Sweep => {
            Event::Swept { sent: BootInstant::from_nanos(0), answer: error_of_any(&error) }
        }
        Action::SettleGaps(..) => Event::GapsSettled(Vec::new()),
        Action::ReadControl => Event::ControlRead(error_of_any(&error)),
        Action::Heartbeat(_) => Event::HeartbeatAnswered(error_of_any(&error)),
        Action::ReadNodes => Event::NodesRead(error_of_any(&error)),
        _ => Event::WallClockAhead(0),
    }
}

fn error_of_any<T>(error: &StoreError) -> Result<T, StoreError> {
    Err(error.clone())
}

/// Asks the store for something as a person would, over a good line.
pub(crate) fn ask<T>(
    store: &Arc<dyn Store>,
    what: impl AsyncFnOnce(&dyn Store) -> Result<T, StoreError>,
) -> T {
    done(what(&**store)).unwrap_or_else(|error| panic!("{error}"))
}
