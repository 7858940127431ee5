//! The user database, asked for runs: aside, because it may hang, and once for all that
//! begin together.
//!
//! Invariants:
//!
//! - A run goes by an answer to a question that was put at most [`FRESH`] before it asked.
//! - One that failed before it asked is none: what was wanting may be there again.
//! - A question that hangs holds up nobody but those who asked the same meanwhile.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use tokio::sync::watch;

use super::account::{self, Account};
use super::failure::NotStarted;
use crate::clock::BootInstant;

/// Shorter than it takes to change the user database and to ask for a run then.
const FRESH: Duration = Duration::from_millis(100);

/// A user and a group, as a job names them.
type Wanted = (Option<Box<str>>, Option<Box<str>>);

/// None as long as there is no answer.
type Answer = Option<Result<Account, NotStarted>>;

/// The questions that were put lately, each with when, and where its answer comes.
#[derive(Default)]
struct Lately(HashMap<Wanted, (BootInstant, watch::Receiver<Answer>)>);

static LATELY: LazyLock<Mutex<Lately>> = LazyLock::new(Mutex::default);

/// Whom a run with this `user` and this `group` executes as.
pub(super) async fn account(
    user: Option<Box<str>>,
    group: Option<Box<str>>,
) -> Result<Account, NotStarted> {
    let now = BootInstant::now();
    let answer = LATELY.lock().unwrap_or_else(PoisonError::into_inner).answer((user, group), now);
    let mut answer = answer?;
    let answer = answer.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
    // The thread ends without a word only where there is no memory for its work.
    answer.unwrap_or_else(|| Err(NotStarted::resources(Errno::ENOMEM)))
}

impl Lately {
    /// Where the answer comes: to a question put lately, or to a new one.
    fn answer(
        &mut self,
        wanted: Wanted,
        now: BootInstant,
    ) -> Result<watch::Receiver<Answer>, NotStarted> {
        self.0.retain(|_, (put, _)| now.since(*put) <= FRESH);
        if let Some((_, answer)) = self.0.get(&wanted)
            && !matches!(*answer.borrow(), Some(Err(_)))
        {
            return Ok(answer.clone());
        }
        let answer = ask(wanted.clone())?;
        self.0.insert(wanted, (now, answer.clone()));
        Ok(answer)
    }
}

/// Asks on a thread of its own; not on one of the runtime's, because that takes it for a
/// fault of ours when there can be no more.
fn ask((user, group): Wanted) -> Result<watch::Receiver<Answer>, NotStarted> {
    let (found, answer) = watch::channel(None);
    let look_up = move || {
        let account = account::resolve(user.as_deref(), group.as_deref());
        found.send_replace(Some(account));
    };
    let thread = std::thread::Builder::new().name("solocron-user".to_owned());
    thread.spawn(look_up).map_err(|error| NotStarted::io(&error))?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_the_same_at_once_shares_an_answer_and_who_comes_later_asks_anew() {
        let wanted = || (None, Some("root".into()));
        let at = |millis: u64| BootInstant::from_nanos(millis * 1_000_000);
        let mut lately = Lately::default();
        let first = lately.answer(wanted(), at(1_000)).unwrap();
        let same = lately.answer(wanted(), at(1_100)).unwrap();
        assert!(first.same_channel(&same));
        let other = lately.answer((None, None), at(1_100)).unwrap();
        assert!(!first.same_channel(&other));
        let later = lately.answer(wanted(), at(1_101)).unwrap();
        assert!(!first.same_channel(&later));
        assert_eq!(lately.0.len(), 2, "what is not fresh is forgotten");
    }

    #[tokio::test]
    async fn who_comes_after_a_failure_asks_anew() {
        let wanted = || (Some("no-such-user".into()), None);
        let now = BootInstant::now();
        let mut lately = Lately::default();
        let mut first = lately.answer(wanted(), now).unwrap();
        assert!(first.wait_for(Option::is_some).await.unwrap().as_ref().unwrap().is_err());
        assert!(!first.same_channel(&lately.answer(wanted(), now).unwrap()));
    }

    #[tokio::test]
    async fn every_run_gets_the_answer_to_its_own_question() {
        let (known, unknown) =
            tokio::join!(account(None, None), account(Some("no-such-user".into()), None));
        assert_eq!(known.unwrap().change, None);
        assert_eq!(unknown.unwrap_err().to_string(), "there is no user \"no-such-user\"");
    }
}
