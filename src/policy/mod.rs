//! What a job wants when a slot cannot simply run: pure answers, in the order
//! in which a slot meets the questions.
//!
//! | file | the question |
//! |---|---|
//! | [`nodes`] | may this node run it |
//! | [`jitter`] | how long after its slot is it due |
//! | [`overlap`] | what if an earlier slot of the job is still running |
//! | [`on_crash`] | what if the node that ran it is lost |
//! | [`retry`] | what if it failed |
//! | [`catch_up`] | what if nobody ran it in time |
//!
//! Invariant: an answer follows from the policy and from what is handed in. No
//! clock, no random number and no store is asked, so every node that has the
//! same table gives the same answer.

use std::time::Duration;

pub mod catch_up;
pub(crate) mod draw;
pub mod jitter;
pub mod nodes;
pub mod on_crash;
pub mod overlap;
pub mod retry;

pub use catch_up::{CatchUp, CatchUpPolicy};
pub use nodes::{InvalidPattern, NodePattern, NodePatterns};
pub use on_crash::OnCrash;
pub use overlap::Overlap;
pub use retry::{Backoff, Retry};

/// The policies of a job. Jobs with equal ones share them, so a job that says
/// nothing of its own costs a pointer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Policies {
    /// What a slot does that comes while an earlier one runs.
    pub overlap: Overlap,
    /// What happens to a slot whose node is lost.
    pub on_crash: OnCrash,
    /// How often a slot is taken over at most; 0 is never.
    pub max_takeovers: u32,
    /// What happens to slots that were missed.
    pub catch_up: CatchUp,
    /// How often, and when, a failed run is repeated.
    pub retry: Retry,
    /// How long after its slot a run is due at most; zero is at the slot.
    pub jitter: Duration,
    /// The nodes that may run the job.
    pub nodes: NodePatterns,
}
