//! The daemon's part in a run: it finds it a keeper, hands over the plan, passes on the
//! orders, reads the output, and follows what the keeper says until nothing is left.
//!
//! One loop: wait until something may have changed, take in all that was said, judge,
//! act. Orders (the lease, a drain, a cancel) are heeded in every part of the way, also
//! while the user database hangs.
//!
//! **No job is started before `Go`**, so everything up to there can simply be dropped.

use std::future::Future;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use tokio::sync::Semaphore;

use super::alarm::Alarm;
use super::decide::{Decider, Leader, Limits, Opening, Seen, Step};
use super::failure::NotStarted;
use super::limits::open_files_of_jobs;
use super::link::{Keeper, Link, News};
use super::load::{Load, Outlet};
use super::orders::{Orders, Standing};
use super::orphanage;
use super::plan::Plan;
use super::pump::Pump;
use super::recipe::Brief;
use super::session::Session;
use super::signals::Signals;
use super::story::{End, Ending, Story};
use super::vigil::{Judgement, Vigil};
use super::warden::{ANSWERS_WITHIN, Warden, entrust};
use super::wire::{Command, Said, Told};
use crate::clock::BootInstant;

/// How often it is looked whether the warden is stopped while it should clear away.
const LOOK_AT_WARDEN: Duration = Duration::from_millis(50);

/// tokio's timers stop while the machine is suspended, so no sleep is longer.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// How often a keeper is asked for: once more after a warden that died or was stopped.
const TRIES: usize = 2;

/// How often a warden that is not stopped may let [`ANSWERS_WITHIN`] pass.
const PATIENT_ROUNDS: usize = 5;

/// So many runs get what they need to begin at the same time. Where descriptors are short,
/// each of a crowd would have a part of what it needs, and none would begin.
static BEGINNINGS: Semaphore = Semaphore::const_new(16);

/// For so long a run that has its turn keeps it: what it waits for then holds up no other.
const TURN: Duration = Duration::from_millis(100);

/// What is known of a run when it is over.
pub(super) struct Life {
    pub(super) started: Option<BootInstant>,
    pub(super) pid: Option<u32>,
    pub(super) failure: Option<NotStarted>,
    pub(super) ending: Ending,
    pub(super) tail: String,
}

/// What acts on a run while it lives.
pub(super) struct Rule<'a> {
    pub(super) limits: Limits,
    pub(super) timeout: Option<Duration>,
    pub(super) orders: Orders,
    /// Those that this process gets in the command's stead, if it does.
    pub(super) signals: Option<&'a mut Signals>,
}

/// Lives it. See [`execute`](super::execute).
pub(super) async fn live(
    load: impl Future<Output = Result<Load, NotStarted>>,
    rule: Rule<'_>,
    started: impl FnOnce(u32) + Send,
) -> Result<Life, NotStarted> {
    let Rule { limits, timeout, orders, signals } = rule;
    let decider = Decider::new(limits);
    // Never closed; and who waits has no descriptor yet.
    let turn = BEGINNINGS.acquire().await.ok();
    let alarm = match Alarm::new() {
        Ok(alarm) => alarm,
        Err(error) => return fail_in_time(NotStarted::io(&error), decider, orders).await,
    };
    let mut run = Run { limits, timeout, decider, orders, alarm, signals };
    let begun = {
        let mut begin = pin!(run.begin(load));
        let in_its_turn = tokio::time::timeout(TURN, &mut begin).await;
        drop(turn);
        match in_its_turn {
            Ok(begun) => begun,
            Err(_) => begin.await,
        }
    };
    match begun {
        Ok(Some(begun)) => Ok(run.follow(begun, started).await),
        Ok(None) => Ok(Life::that_never_began(&run.decider)),
        // Without its alarm: others may be short of descriptors, too.
        Err(failure) => fail_in_time(failure, run.decider, run.orders).await,
    }
}

impl Life {
    fn that_never_began(decider: &Decider) -> Self {
        Self {
            started: None,
            pid: None,
            failure: None,
            ending: Ending::NeverBegan(decider.cause()),
            tail: String::new(),
        }
    }
}

/// What cannot be started fails when it would have begun, and not before, unless it is not
/// to begin any more. Waits without a descriptor.
async fn fail_in_time(
    failure: NotStarted,
    mut decider: Decider,
    mut orders: Orders,
) -> Result<Life, NotStarted> {
    loop {
        let Standing { trust, stop, not_before } = orders.read();
        let now = BootInstant::now();
        let seen = Seen { now, leader: Leader::Absent, tree_gone: false, trust, stop };
        let wait = match decider.open(&seen, not_before) {
            Opening::Begin => return Err(failure),
            Opening::Over => return Ok(Life::that_never_began(&decider)),
            Opening::Wait(at) => at.since(now).min(LONGEST_SLEEP),
        };
        tokio::select! {
            () = orders.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

struct Run<'a> {
    limits: Limits,
    timeout: Option<Duration>,
    /// Decides as the keeper does: for as long as there is none, and in place of one
    /// that was lost.
    decider: Decider,
    orders: Orders,
    alarm: Alarm,
    signals: Option<&'a mut Signals>,
}

/// A keeper that waits for a brief.
struct Kept {
    link: Link,
    keeper: Keeper,
    warden: Arc<Warden>,
}

/// A run whose keeper was told to begin.
struct Begun {
    kept: Kept,
    plan: Plan,
    outlet: Option<Outlet>,
    vigil: Vigil,
}

impl Run<'_> {
    /// Nothing if the run was to end before it began.
    async fn begin(
        &mut self,
        load: impl Future<Output = Result<Load, NotStarted>>,
    ) -> Result<Option<Begun>, NotStarted> {
        let Some(load) = self.unless_over(load).await else { return Ok(None) };
        let Load { plan, session, handed, outlet } = load?;
        let brief = Brief {
            recipe: plan.recipe.clone(),
            limits: self.limits,
            timeout: self.timeout,
            open_files: open_files_of_jobs(),
            numbers: handed.iter().map(|(number, _)| *number).collect(),
        };
        let io = |error| NotStarted::io(&error);
        let Some(kept) = self.find_keeper(session).await? else { return Ok(None) };

        let brief = brief.to_bytes();
        let sent = tokio::time::timeout(ANSWERS_WITHIN, kept.link.brief(&brief));
        match self.unless_over(sent).await {
            None => return Ok(None),
            Some(Ok(sent)) => sent.map_err(io)?,
            Some(Err(_)) => {
                kept.keeper.kill();
                return Err(NotStarted::Unkept);
            }
        }
        let Standing { trust, stop, not_before } = self.orders.read();
        let command = Command { number: 1, trust, stop, not_before };
        let descriptors: Vec<_> = handed.iter().map(|(_, descriptor)| descriptor.as_fd()).collect();
        kept.link.go(command, &descriptors).await.map_err(io)?;
        let vigil = Vigil::new(BootInstant::now(), self.limits.grace_on_loss, command);
        Ok(Some(Begun { kept, plan, outlet, vigil }))
    }

    /// Has the warden fork a keeper. Nothing if the run is to end.
    async fn find_keeper(&mut self, session: Session) -> Result<Option<Kept>, NotStarted> {
        let io = |error| NotStarted::io(&error);
        for _ in 0..TRIES {
            let (link, far_end) = Link::pair().map_err(io)?;
            let entrusted = entrust(session, far_end, self.limits.grace_on_loss);
            let Some(warden) = self.unless_over(entrusted).await else { return Ok(None) };
            let warden = warden.map_err(io)?;
            match self.unless_over(first_word(&link, &warden)).await {
                None => return Ok(None),
                Some(Some(News::Said(Said::Here(pid), handle))) => {
                    let keeper = Keeper::new(pid, handle).map_err(io)?;
                    return Ok(Some(Kept { link, keeper, warden }));
                }
                Some(Some(News::Said(Said::NoKeeper(errno), _))) => {
                    return Err(NotStarted::resources(errno));
                }
                // The keeper was killed before it could say a word.
                Some(Some(News::Said(..))) => {}
                // A living warden that has no room for our socket closes it.
                Some(Some(News::Closed)) if !has_died(&warden).await => {
                    return Err(NotStarted::resources(Errno::EMFILE));
                }
                Some(Some(News::Closed)) => {}
                Some(None) => warden.kill(),
            }
        }
        Err(NotStarted::Unkept)
    }

    /// Follows the run to its end.
    async fn follow(&mut self, begun: Begun, started: impl FnOnce(u32) + Send) -> Life {
        let Begun { kept: Kept { link, keeper, warden }, plan, mut outlet, mut vigil } = begun;
        // Nothing is read before `started` was told, so that its output follows it.
        let mut started = Some(started);
        let mut pump = None;
        let mut story = Story::default();
        let mut keeper_dead = false;
        let mut news = None;
        loop {
            while let Some(news) = news.take().or_else(|| link.read_now()) {
                story.take(news, &mut self.decider, &mut vigil, self.timeout);
                if story.is_over() {
                    break;
                }
            }
            if story.is_loaded
                && let Some(((pid, _), started)) = story.forked.zip(started.take())
            {
                started(pid);
            }
            if (story.is_loaded || story.exited.is_some() || story.is_over())
                && let Some(Outlet { stdout, stderr, limit, sink }) = outlet.take()
            {
                pump = Some(Pump::start(stdout, stderr, limit, sink));
            }
            if story.is_over() {
                break;
            }

            self.pass_on_orders(&link, &mut vigil);
            let now = BootInstant::now();
            let wake = if keeper_dead {
                // The warden clears away what is left, unless somebody stopped it.
                if warden.is_stopped() {
                    warden.kill();
                }
                Some(now + LOOK_AT_WARDEN)
            } else {
                match vigil.judge(now, || keeper.is_stopped()) {
                    Judgement::Wait(wake) => wake,
                    Judgement::Kill => {
                        tracing::warn!(
                            leader = story.forked.map(|(pid, _)| pid),
                            "the keeper of a command does not answer: both are killed"
                        );
                        keeper.kill();
                        keeper_dead = true;
                        Some(now + LOOK_AT_WARDEN)
                    }
                }
            };
            self.alarm.set(wake);
            let leader = story.forked.filter(|_| story.is_loaded).map(|(pid, _)| pid);
            tokio::select! {
                said = link.next() => news = Some(said),
                () = self.orders.changed() => {}
                () = self.alarm.rung() => {}
                () = keeper.died(), if !keeper_dead => keeper_dead = true,
                signal = signal(&mut self.signals, leader) => {
                    // One for which there is no room is lost, as the kernel would have it.
                    link.tell(&Told::Signal(signal));
                }
            }
        }
        drop(link);
        if story.end == Some(End::Abandoned) {
            // Keeper and warden are both dead: what they had is ours.
            keeper.bury().await;
            orphanage::clear(&warden).await;
        } else if warden.is_dead() {
            keeper.bury().await;
        }

        let failure = story.failure(&plan);
        Life {
            started: story.forked.map(|(_, at)| at),
            pid: story.forked.filter(|_| failure.is_none()).map(|(pid, _)| pid),
            failure,
            ending: story.ending(self.decider.cause()),
            tail: match pump {
                Some(pump) => pump.finish().await,
                None => String::new(),
            },
        }
    }

    fn pass_on_orders(&mut self, link: &Link, vigil: &mut Vigil) {
        // For its cause alone, should the keeper be lost.
        let _ = self.decide(Leader::Running);
        let standing = self.orders.read();
        if vigil.is_news(standing) {
            let Standing { trust, stop, not_before } = standing;
            let command = Command { number: vigil.last().number + 1, trust, stop, not_before };
            if link.tell(&Told::Orders(command)) {
                vigil.told(BootInstant::now(), command);
            }
        }
    }

    /// Does `work` unless the run is to end before it is done.
    async fn unless_over<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            match self.decide(Leader::Absent) {
                Step::Over => return None,
                Step::Go { wake, .. } => self.alarm.set(wake),
            }
            tokio::select! {
                done = &mut work => return Some(done),
                () = self.orders.changed() => {}
                () = self.alarm.rung() => {}
            }
        }
    }

    fn decide(&mut self, leader: Leader) -> Step {
        let seen = self.look(leader);
        self.decider.decide(&seen)
    }

    fn look(&mut self, leader: Leader) -> Seen {
        let Standing { trust, stop, .. } = self.orders.read();
        Seen { now: BootInstant::now(), leader, tree_gone: false, trust, stop }
    }
}

/// The next signal for the command, whose leader is `leader` once its program is loaded.
async fn signal(signals: &mut Option<&mut Signals>, leader: Option<u32>) -> Signal {
    match signals {
        Some(signals) => signals.next_for(leader).await,
        None => std::future::pending().await,
    }
}

/// What comes first from a new keeper; nothing from a warden that is stopped, or as good
/// as. (A machine at its limit may keep both for a while.)
async fn first_word(link: &Link, warden: &Warden) -> Option<News> {
    for _ in 0..PATIENT_ROUNDS {
        match tokio::time::timeout(ANSWERS_WITHIN, link.next()).await {
            Ok(news) => return Some(news),
            Err(_) if warden.is_stopped() => return None,
            Err(_) => {}
        }
    }
    None
}

/// Whether the warden is dead. One that is dying has closed its sockets a moment before.
async fn has_died(warden: &Warden) -> bool {
    for _ in 0..20 {
        if warden.is_dead() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    false
}
