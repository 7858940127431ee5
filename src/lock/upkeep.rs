//! What is done for a lock while it is held: it is extended in time, and when that
//! fails, its holder is told.
//!
//! Invariant: a lock counts as lost at the instant until which it may be trusted, or
//! before, whatever a call to the store is doing then.

use std::sync::Arc;
use std::time::Duration;

use super::error::LockError;
use super::guard::{Hold, Loss};
use crate::clock::BootInstant;
use crate::lease::renew_every;

/// Timers do not count suspended time: nobody sleeps longer than this without a look at
/// the clock that does.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// The pause after an extension that failed is a sixteenth of the TTL, within these.
const PAUSE: [Duration; 2] = [Duration::from_millis(5), Duration::from_secs(1)];

/// Keeps `hold` until it is lost.
pub(super) async fn keep(hold: Arc<Hold>, renew: bool) {
    let mut why = None;
    let mut changes = hold.changes();
    let mut not_before = BootInstant::from_nanos(0);
    while hold.loss().is_none() {
        // Before it is looked at: a change from now on is not slept through.
        changes.mark_unchanged();
        let now = BootInstant::now();
        let (ttl, sent) = hold.granted();
        let until = hold.until();
        if now >= until {
            hold.lose(Loss::Lapsed { why: why.take() });
            return;
        }
        let next = if renew { (sent + renew_every(ttl)).max(not_before) } else { until };
        if now < next {
            let wait = next.min(until).since(now);
            tokio::select! {
                () = tokio::time::sleep(wait.min(LONGEST_SLEEP)) => {}
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
                let pause = (ttl / 16).clamp(PAUSE[0], PAUSE[1]);
                not_before = BootInstant::now() + pause;
            }
        }
    }
}
