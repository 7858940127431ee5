//! What Prometheus scrapes of a node: its own counts, and how it is now.
//!
//! Invariants:
//!
//! - Counting costs a node's work an atomic addition, or a short lock; nothing is put
//!   together before somebody scrapes.
//! - Labels are bounded: words of fixed lists, and names of jobs that the table has. Only
//!   counters carry the job's name.
//!
//! `counts` is what is counted, by the events of the log and the calls to the store; `page`
//! writes it all down.

mod counts;
mod page;

pub use counts::Counts;
pub use page::{CONTENT_TYPE, Page};
