//! How a run ended, and how a slot ended.

use crate::word::words;

words! {
    /// How a run ended, or how a slot that never finished did.
    Outcome {
        /// The command ended with one of the job's `success_codes`.
        Succeeded = "succeeded",
        /// It ended otherwise, or could not be started.
        Failed = "failed",
        /// It ran longer than the job's `timeout` and was ended.
        TimedOut = "timed_out",
        /// Somebody asked for its end.
        Cancelled = "cancelled",
        /// The node could no longer trust its lease and ended the run.
        LeaseLost = "lease_lost",
        /// A draining node ended the run and gave the slot to the others.
        HandedOver = "handed_over",
        /// The holder was lost and nobody may run the slot again.
        Abandoned = "abandoned",
        /// Nobody ran the slot.
        Missed = "missed",
    }
}

words! {
    /// Why a slot is in the ledger as missed.
    MissedReason {
        /// No node was up between the slot and the end of its start window.
        NoNode = "no_node",
        /// Nodes were up, but the store did not answer in time.
        StoreDown = "store_down",
        /// The node was up but came to it after the start window had closed:
        /// it was suspended, overloaded, or a clock jumped.
        Late = "late",
        /// Every node that might have run it had `max_running` runs.
        Full = "full",
        /// An earlier slot of the job was not settled, and `overlap` forbids two; or a
        /// newer one took its place in the queue.
        Overlap = "overlap",
        /// The job was paused.
        Paused = "paused",
    }
}

words! {
    /// Why a slot that is not settled is held by nobody.
    Ready {
        /// A draining node gave it to the others.
        HandedOver = "handed_over",
        /// Somebody asked for it.
        Triggered = "triggered",
        /// It waits until another slot of its job is settled.
        Waiting = "waiting",
        /// It was missed, and the job's `catch_up` wants it run.
        CatchUp = "catch_up",
    }
}

words! {
    /// Why a run is to be cancelled.
    CancelCause {
        /// Somebody asked for it.
        Asked = "asked",
        /// A newer slot of the job takes its place, by `overlap = "replace"`.
        Replaced = "replaced",
    }
}

words! {
    /// Why a node did not run a slot that was due.
    SkippedReason {
        /// Another node holds the slot; the record names it.
        Held = "held",
        /// The slot is settled already; the record says by whom.
        Done = "done",
        /// The start window had closed by the store's clock.
        Late = "late",
        /// The slot is further ahead by the store's clock than `max_clock_skew`.
        Early = "early",
        /// The store did not answer within the start window.
        StoreDown = "store_down",
        /// The node is draining.
        Draining = "draining",
        /// The node had `max_running` runs all through the start window.
        Full = "full",
        /// Another slot of the job is not settled; the record names it.
        Overlap = "overlap",
        /// The job is paused.
        Paused = "paused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_as_itself() {
        for &outcome in Outcome::ALL {
            assert_eq!(outcome.as_str().parse(), Ok(outcome));
        }
        for &ready in Ready::ALL {
            assert_eq!(ready.as_str().parse(), Ok(ready));
        }
        for &cause in CancelCause::ALL {
            assert_eq!(cause.as_str().parse(), Ok(cause));
        }
        for &reason in MissedReason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(reason));
        }
        for &reason in SkippedReason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(reason));
        }
        assert!("Succeeded".parse::<Outcome>().is_err());
    }
}
