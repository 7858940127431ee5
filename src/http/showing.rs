//! The output of runs in progress here, shown to who watches on another node.
//!
//! Invariants:
//!
//! - Who watches asks the store for it, again and again; the node that has the run puts the
//!   end of its output there for as long as somebody does, and nothing otherwise.
//! - A node whose runs are all short, or none, asks the store for nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::claim::RunId;
use crate::daemon::outputs::Outputs;
use crate::store::Store;

/// How long a wish to watch lasts: some looks of the page.
const WATCHED_FOR: Duration = Duration::from_secs(5);

/// How long what was shown stands: it is gone when its node is.
const SHOWN_FOR: Duration = Duration::from_secs(5);

/// Between two looks at who watches. A run that is shorter is over before anybody could.
const BETWEEN: Duration = Duration::from_secs(1);

/// The end of the output of a run in progress on another node, as that showed it last; none
/// where it has not yet, or the store does not tell.
pub(super) async fn elsewhere(store: &dyn Store, run: RunId) -> Option<String> {
    store.watch_output(run, WATCHED_FOR).await.ok().flatten()
}

/// Shows `outputs` to who watches, until it is aborted. What the store does not take now it
/// is given a second later.
pub(super) async fn keep_showing(outputs: Arc<Outputs>, store: Arc<dyn Store>) {
    loop {
        tokio::time::sleep(BETWEEN).await;
        if !outputs.any_older_than(BETWEEN) {
            continue;
        }
        for run in store.watched_outputs().await.unwrap_or_default() {
            if let Some(output) = outputs.of(run) {
                let _later = store.show_output(run, &output, SHOWN_FOR).await;
            }
        }
    }
}
