//! The ticker: from schedules to slots that are due.
//!
//! Two clocks work together, and neither is trusted alone:
//!
//! - The coarse clock ([`beat`]) is tokio-cron-scheduler. About once a second it
//!   says that something may be due: planning, the heartbeat, pruning, the clock
//!   check. It may be late, skip a beat, repeat one, or stop when the wall clock
//!   is stepped back; it never decides which slots exist.
//! - The precise timer runs for the first armed slot of the [`queue`], by the
//!   cluster's clock. Should the coarse clock fall silent, it fires at the end
//!   of what is planned and planning is done there.
//!
//! Which slots exist follows from the schedule and from how far the queue has
//! come, so a late wake-up only plans more, and loses nothing.

pub mod beat;
pub mod queue;
