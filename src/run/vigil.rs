//! Whether a keeper does what it should by when it should: the watch over one that was
//! stopped, as a function from what it was told and what it said.
//!
//! A keeper answers every command, and says when it begins to end the run and when it
//! has sent a KILL. So by these instants something must have come from it:
//!
//! | | at the latest |
//! |---|---|
//! | a deadline that it acknowledged comes near, and it ends nothing | half of the grace before |
//! | it was told to stop, or that the lease is lost | [`ANSWER`] later |
//! | its own KILL is due | at that instant |
//! | it has killed, and is not done | every [`LOOK_AGAIN`] |
//!
//! Until it has acknowledged a new deadline, the old one stands. So a stopped keeper
//! is found within one lease, although the daemon goes on renewing.
//!
//! From then on it is looked at: one that is stopped is killed at once, and so is one
//! that is [`LATE`], whatever keeps it. (A machine at its limit may keep it for a while;
//! that is no reason to lose the run.)

use std::time::Duration;

use super::orders::{Standing, Trust};
use super::wire::{Command, Heard};
use crate::clock::BootInstant;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_millis(100);
/// How long one that is not stopped may be behind its time.
const LATE: Duration = Duration::from_millis(500);
/// How long one that is not stopped may take to answer.
const LATE_ANSWER: Duration = Duration::from_secs(2);
/// How often one that is behind its time is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What is to be done about the keeper now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Nothing before this instant.
    Wait(Option<BootInstant>),
    /// It will not come: kill it.
    Kill,
}

/// The watch over one keeper.
#[derive(Debug)]
pub(super) struct Vigil {
    grace_on_loss: Duration,
    /// The deadline that the keeper has for certain.
    held: Trust,
    last: Command,
    told_at: BootInstant,
    heard: Heard,
    killed_at: Option<BootInstant>,
}

/// When it is looked at whether it is stopped, and when nothing excuses it any more.
#[derive(Debug, Clone, Copy)]
struct Due {
    at: BootInstant,
    latest: Option<BootInstant>,
}

impl Vigil {
    /// The keeper was told to begin by `command`.
    pub(super) fn new(now: BootInstant, grace_on_loss: Duration, command: Command) -> Self {
        Self {
            grace_on_loss,
            held: command.trust,
            last: command,
            told_at: now,
            heard: Heard::default(),
            killed_at: None,
        }
    }

    /// It was told something new.
    pub(super) fn told(&mut self, now: BootInstant, command: Command) {
        // One that has not answered yet has waited since then.
        if !self.awaits_answer() {
            self.told_at = now;
        }
        self.last = command;
    }

    /// It has said how things stand.
    pub(super) fn heard(&mut self, now: BootInstant, heard: Heard) {
        if heard.number == self.last.number {
            self.held = self.last.trust;
        }
        if heard.killed {
            self.killed_at.get_or_insert(now);
        }
        self.heard = heard;
    }

    fn awaits_answer(&self) -> bool {
        self.heard.number != self.last.number && self.is_urgent()
    }

    fn is_urgent(&self) -> bool {
        self.last.stop.is_some() || self.last.trust == Trust::Lost
    }

    fn dues(&self) -> impl Iterator<Item = Due> {
        let ending = self.heard.cause.is_some();
        let deadline = [self.held, self.last.trust].into_iter().filter_map(|trust| match trust {
            Trust::Until(at) => Some(at),
            Trust::Lost => None,
        });
        let lease = deadline
            .min()
            .filter(|_| !ending)
            .map(|at| Due { at: at.minus(self.grace_on_loss / 2), latest: Some(at + LATE) });
        let answer = self
            .awaits_answer()
            .then(|| Due { at: self.told_at + ANSWER, latest: Some(self.told_at + LATE_ANSWER) });
        let kill = self.heard.kill_by.filter(|_| !self.heard.killed);
        let kill = kill.map(|at| Due { at, latest: Some(at + LATE) });
        let killed = self.killed_at.map(|at| Due { at: at + ANSWER, latest: None });
        [lease, answer, kill, killed].into_iter().flatten()
    }

    /// Judges the keeper; `is_stopped` is asked only when it is behind its time.
    pub(super) fn judge(&self, now: BootInstant, is_stopped: impl FnOnce() -> bool) -> Judgement {
        let Some(at) = self.dues().map(|due| due.at).min() else { return Judgement::Wait(None) };
        if now < at {
            return Judgement::Wait(Some(at));
        }
        let latest = self.dues().filter_map(|due| due.latest).min();
        if latest.is_some_and(|latest| latest <= now) || is_stopped() {
            return Judgement::Kill;
        }
        Judgement::Wait(Some(now + LOOK_AGAIN))
    }

    /// What was told last.
    pub(super) fn last(&self) -> Command {
        self.last
    }

    /// Whether what it was told last says otherwise.
    pub(super) fn is_news(&self, standing: Standing) -> bool {
        let Command { trust, stop, not_before, .. } = self.last;
        Standing { trust, stop, not_before } != standing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::decide::Cause;
    use crate::run::orders::Stop;
    use Judgement::{Kill, Wait};

    const GRACE: u64 = 2_000;

    fn ms(ms: u64) -> BootInstant {
        BootInstant::from_nanos(ms * 1_000_000)
    }

    fn until(number: u32, at: u64) -> Command {
        Command { number, trust: Trust::Until(ms(at)), stop: None, not_before: ms(0) }
    }

    fn vigil(until_ms: u64) -> Vigil {
        Vigil::new(ms(0), Duration::from_millis(GRACE), until(1, until_ms))
    }

    fn heard(number: u32) -> Heard {
        Heard { number, ..Heard::default() }
    }

    fn ending(number: u32, kill_by: u64) -> Heard {
        Heard {
            number,
            cause: Some(Cause::LeaseExpired),
            kill_by: Some(ms(kill_by)),
            killed: false,
        }
    }

    fn at(vigil: &Vigil, now: u64, stopped: bool) -> Judgement {
        vigil.judge(ms(now), || stopped)
    }

    #[test]
    fn one_that_does_nothing_half_a_grace_before_the_deadline_is_killed_if_it_is_stopped() {
        let vigil = vigil(20_000);
        assert_eq!(at(&vigil, 1, true), Wait(Some(ms(19_000))));
        assert_eq!(at(&vigil, 18_999, true), Wait(Some(ms(19_000))));
        assert_eq!(at(&vigil, 19_000, true), Kill);
        assert_eq!(at(&vigil, 19_000, false), Wait(Some(ms(19_020))));
        assert_eq!(at(&vigil, 20_500, false), Kill, "it is late, whatever keeps it");
    }

    #[test]
    fn a_deadline_counts_only_when_it_was_acknowledged() {
        let mut vigil = vigil(20_000);
        vigil.told(ms(5_000), until(2, 25_000));
        assert_eq!(at(&vigil, 19_000, true), Kill);
        vigil.heard(ms(5_001), heard(2));
        assert_eq!(at(&vigil, 19_000, true), Wait(Some(ms(24_000))));
        // A nearer one counts at once.
        vigil.told(ms(6_000), until(3, 10_000));
        assert_eq!(at(&vigil, 9_000, true), Kill);
    }

    #[test]
    fn one_that_ends_the_run_has_until_its_kill_is_due() {
        let mut vigil = vigil(20_000);
        vigil.heard(ms(18_000), ending(1, 20_000));
        assert_eq!(at(&vigil, 19_999, true), Wait(Some(ms(20_000))));
        assert_eq!(at(&vigil, 20_000, true), Kill);
        assert_eq!(at(&vigil, 20_499, false), Wait(Some(ms(20_519))));
        assert_eq!(at(&vigil, 20_500, false), Kill);
    }

    #[test]
    fn one_that_has_killed_is_only_killed_when_it_is_stopped() {
        let mut vigil = vigil(20_000);
        vigil.heard(ms(20_000), Heard { killed: true, ..ending(1, 20_000) });
        assert_eq!(at(&vigil, 20_099, true), Wait(Some(ms(20_100))));
        assert_eq!(at(&vigil, 20_100, true), Kill);
        assert_eq!(at(&vigil, 3_600_000, false), Wait(Some(ms(3_600_020))));
    }

    #[test]
    fn an_order_to_end_must_be_answered() {
        let lost = Command { trust: Trust::Lost, ..until(2, 0) };
        let stop = Command { stop: Some(Stop::Cancel), ..until(2, 1_000_000) };
        for command in [lost, stop] {
            let mut vigil = vigil(1_000_000);
            vigil.heard(ms(1), heard(1));
            vigil.told(ms(5_000), command);
            assert_eq!(at(&vigil, 5_099, true), Wait(Some(ms(5_100))));
            assert_eq!(at(&vigil, 5_100, true), Kill);
            assert_eq!(at(&vigil, 6_999, false), Wait(Some(ms(7_019))));
            assert_eq!(at(&vigil, 7_000, false), Kill);
            // Another order does not set the clock back.
            vigil.told(ms(5_050), Command { number: 3, stop: Some(Stop::Kill), ..command });
            assert_eq!(at(&vigil, 5_100, true), Kill);
            vigil.heard(ms(5_100), ending(3, 15_000));
            assert_eq!(at(&vigil, 5_200, true), Wait(Some(ms(15_000))));
        }
    }
}
