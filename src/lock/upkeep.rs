//! What is done for a lock while it is held: it is extended in time, and when that
//! fails, its holder is told.
//!
//! Invariant: a lock counts as lost at the instant until which it may be trusted, or
//! before, whatever a call to the store is doing then.
//!
//! Most locks are given back long before anything is to be done for them. So a lock
//! stands on a list at first, by when that is; only one whose time has come gets a task.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::error::LockError;
use super::guard::{Hold, Loss};
use crate::clock::BootInstant;
use crate::lease::renew_every;

/// Timers do not count suspended time: nobody sleeps longer than this without a look at
/// the clock that does.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// The pause after an extension that failed is a sixteenth of the TTL, within these.
const PAUSE: [Duration; 2] = [Duration::from_millis(5), Duration::from_secs(1)];

/// The locks for which nothing had to be done so far.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    list: Mutex<List>,
    /// One has come for which something is to be done before the list is looked at.
    changed: Notify,
}

#[derive(Debug, Default)]
struct List {
    by_due: BTreeMap<Entry, Weak<Hold>>,
    last: u64,
    /// What `last` was when the list was looked at last.
    seen: u64,
    /// When the list is looked at next, at the latest; none when nobody will by himself.
    next_look: Option<BootInstant>,
}

/// A place on the list: when something is to be done, and a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry(BootInstant, u64);

impl Upkeep {
    fn list(&self) -> MutexGuard<'_, List> {
        // Nothing in here panics half-way.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks after `hold` from now on.
    pub(super) fn add(&self, hold: &Arc<Hold>) -> Entry {
        let mut list = self.list();
        list.last += 1;
        let entry = Entry(next(hold, BootInstant::from_nanos(0)), list.last);
        list.by_due.insert(entry, Arc::downgrade(hold));
        // Mostly it is looked at before: waking somebody costs as much as the lock does.
        if list.next_look.is_none_or(|next| entry.0 < next) {
            self.changed.notify_one();
        }
        entry
    }

    /// It was given back.
    pub(super) fn remove(&self, entry: Entry) {
        self.list().by_due.remove(&entry);
    }

    /// When something is to be done for it has changed: it is looked at now.
    pub(super) fn hurry(&self, entry: Entry) {
        let mut list = self.list();
        if let Some(hold) = list.by_due.remove(&entry) {
            list.by_due.insert(Entry(BootInstant::from_nanos(0), entry.1), hold);
            self.changed.notify_one();
        }
    }

    /// Those that are due at `now`, and when to look again.
    fn due(&self, now: BootInstant) -> (Vec<Arc<Hold>>, Option<BootInstant>) {
        let mut list = self.list();
        let mut due = Vec::new();
        list.next_look = None;
        while let Some(first) = list.by_due.first_entry() {
            let at = first.key().0;
            if at > now {
                list.next_look = Some(at.min(now + LONGEST_SLEEP));
                break;
            }
            due.extend(first.remove().upgrade());
        }
        // Where locks came and went, others will.
        if list.next_look.is_none() && list.last != list.seen {
            list.next_look = Some(now + LONGEST_SLEEP);
        }
        list.seen = list.last;
        (due, list.next_look)
    }
}

/// Does for each lock on the list what has to be done, for as long as there is a list.
pub(super) async fn look_after(upkeep: Arc<Upkeep>) {
    loop {
        let (due, next) = upkeep.due(BootInstant::now());
        for hold in due {
            let ended = hold.ended();
            tokio::spawn(ended.run_until_cancelled_owned(keep(hold)));
        }
        let wait = next.map_or(LONGEST_SLEEP, |next| next.since(BootInstant::now()));
        tokio::select! {
            () = upkeep.changed.notified() => {}
            () = tokio::time::sleep(wait), if next.is_some() => {}
        }
    }
}

/// When something is to be done for `hold`.
fn next(hold: &Hold, not_before: BootInstant) -> BootInstant {
    let until = hold.until();
    if !hold.renews {
        return until;
    }
    let (ttl, sent) = hold.granted();
    (sent + renew_every(ttl)).max(not_before).min(until)
}

/// Keeps `hold` until it is lost.
async fn keep(hold: Arc<Hold>) {
    let mut why = None;
    let mut changes = hold.changes();
    let mut not_before = BootInstant::from_nanos(0);
    while hold.loss().is_none() {
        // Before it is looked at: a change from now on is not slept through.
        changes.mark_unchanged();
        let now = BootInstant::now();
        let until = hold.until();
        if now >= until {
            hold.lose(Loss::Lapsed { why: why.take() });
            return;
        }
        let next = next(&hold, not_before);
        if now < next {
            tokio::select! {
                () = tokio::time::sleep(next.since(now).min(LONGEST_SLEEP)) => {}
                // It may have been extended to less than it had left.
                _ = changes.changed() => {}
            }
            continue;
        }
        let extended = tokio::select! {
            extended = hold.extend(None) => extended,
            () = tokio::time::sleep(until.since(now)) => {
                why = Some("the store did not answer before the lock lapsed".to_owned());
                continue;
            }
        };
        match extended {
            Ok(()) => why = None,
            // It has been told.
            Err(LockError::NotHeld { .. }) => return,
            Err(error) => {
                why = Some(error.to_string());
                let pause = (hold.granted().0 / 16).clamp(PAUSE[0], PAUSE[1]);
                not_before = BootInstant::now() + pause;
            }
        }
    }
}
