//! The output of runs in progress here, shown to who watches on another node.
//!
//! Invariants:
//!
//! - Who watches asks the store for it, again and again; the node that has the run puts the
//!   end of its output there for as long as somebody does, and nothing otherwise.
//! - A node whose runs are all short, or none, asks the store for nothing.
//! - What is shown is little, and written when it is news: leases are renewed on the same
//!   connections.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::claim::RunId;
use crate::clock::BootInstant;
use crate::daemon::outputs::Outputs;
use crate::store::Store;

/// How long a wish to watch lasts: some looks of the page.
const WATCHED_FOR: Duration = Duration::from_secs(5);

/// How long what was shown stands: it is gone when its node is.
const SHOWN_FOR: Duration = Duration::from_secs(5);

/// Between two looks at who watches. A run that is shorter is over before anybody could.
const BETWEEN: Duration = Duration::from_secs(1);

/// So many bytes from the end are shown.
const SHOWN: usize = 16 * 1024;

/// The end of the output of a run in progress on another node, as that showed it last; none
/// where it has not yet, or the store does not tell.
pub(super) async fn elsewhere(store: &dyn Store, run: RunId) -> Option<String> {
    store.watch_output(run, WATCHED_FOR).await.ok().flatten()
}

/// Shows `outputs` to who watches, until it is aborted. What the store does not take now it
/// is given a second later.
pub(super) async fn keep_showing(outputs: Arc<Outputs>, store: Arc<dyn Store>) {
    let mut shown: HashMap<RunId, Shown> = HashMap::new();
    loop {
        tokio::time::sleep(BETWEEN).await;
        if !outputs.any_older_than(BETWEEN) {
            shown.clear();
            continue;
        }
        let watched = store.watched_outputs().await.unwrap_or_default();
        shown.retain(|run, _| watched.contains(run));
        let mut news = Vec::new();
        for run in watched {
            let Some(output) = outputs.of(run) else { continue };
            let now = Shown { output: end_of(&output).to_owned(), at: BootInstant::now() };
            if shown.get(&run).is_none_or(|before| before.is_old_beside(&now)) {
                news.push((run, now));
            }
        }
        let show = news.into_iter().map(async |(run, now)| {
            let taken = store.show_output(run, &now.output, SHOWN_FOR).await;
            taken.is_ok().then_some((run, now))
        });
        shown.extend(join_all(show).await.into_iter().flatten());
    }
}

/// What was shown of a run.
struct Shown {
    output: String,
    at: BootInstant,
}

impl Shown {
    /// Whether there is more by now, or it will not stand much longer.
    fn is_old_beside(&self, now: &Self) -> bool {
        self.output != now.output || now.at.since(self.at) > SHOWN_FOR / 2
    }
}

fn end_of(output: &str) -> &str {
    let from = output.len().saturating_sub(SHOWN);
    &output[output.ceil_char_boundary(from)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_shown_and_no_half_of_a_character() {
        assert_eq!(end_of("begun\n"), "begun\n");
        let long = format!("é{}", "x".repeat(SHOWN - 1));
        assert_eq!(end_of(&long), &long[2..]);
        assert_eq!(end_of(&"€".repeat(SHOWN)).len(), SHOWN / 3 * 3);
    }
}
