//! The output of runs in progress on this node, for who looks on.
//!
//! Nothing is kept until somebody asks for it to be (a node without `[http]` never does),
//! and of each run no more than the ledger will keep.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::claim::RunId;
use crate::clock::BootInstant;
use crate::run::Tail;

/// See the module's head.
#[derive(Debug, Default)]
pub struct Outputs {
    kept: OnceLock<Mutex<HashMap<RunId, Arc<Output>>>>,
}

/// The end of one run's output so far.
#[derive(Debug)]
pub(super) struct Output {
    begun: BootInstant,
    tail: Mutex<Tail>,
}

impl Outputs {
    /// Keeps the output of runs that start from now on.
    pub fn keep(&self) {
        self.kept.get_or_init(Mutex::default);
    }

    /// The end of the output of a run in progress here; none where there is no such run.
    pub fn of(&self, run: RunId) -> Option<String> {
        let kept = self.kept.get()?.lock().unwrap_or_else(PoisonError::into_inner);
        let output = Arc::clone(kept.get(&run)?);
        drop(kept);
        let mut tail = output.tail.lock().unwrap_or_else(PoisonError::into_inner);
        Some(tail.text())
    }

    /// Whether a run has been in progress here for longer than `age`.
    pub fn any_older_than(&self, age: Duration) -> bool {
        let Some(kept) = self.kept.get() else { return false };
        let now = BootInstant::now();
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.values().any(|output| now.since(output.begun) > age)
    }

    /// A run starts that may keep `limit` bytes.
    pub(super) fn begin(&self, run: RunId, limit: usize) -> Option<Arc<Output>> {
        let tail = Mutex::new(Tail::new(limit));
        let output = Arc::new(Output { begun: BootInstant::now(), tail });
        let mut kept = self.kept.get()?.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(run, Arc::clone(&output));
        Some(output)
    }

    /// It is over: the ledger has its output, or soon will.
    pub(super) fn end(&self, run: RunId) {
        if let Some(kept) = self.kept.get() {
            kept.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
        }
    }
}

impl Output {
    pub(super) fn push(&self, line: &str) {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}
