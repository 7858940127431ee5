//! The oracle of crashes: jobs that say when they begin and when they end, and whether
//! another run of theirs still lives.
//!
//! Who lives is the kernel's word: all processes of a run share a lock on a file of its
//! job, which is free when the last of them is gone, however it went. Who was first is
//! the order of the lines. Their time, of the boot clock, is good to 10 ms.

use std::collections::{BTreeMap, BTreeSet};

use super::oracle::{Key, second};

/// Where the jobs write, in the site's folder.
pub(super) const FILE: &str = "lives";

/// A command that begins, does `work`, and ends; of a job whose slots do not overlap.
pub(crate) fn lively(work: &str) -> String {
    lively_in("$SOLOCRON_JOB", work)
}

/// The same of a job whose slots may overlap, and runs of one slot may not.
pub(crate) fn lively_beside(work: &str) -> String {
    lively_in("$SOLOCRON_JOB@$SOLOCRON_SLOT", work)
}

/// The same; of runs with the same `turn` no two may live at once.
fn lively_in(turn: &str, work: &str) -> String {
    format!(
        r#"say() {{ read up _ < /proc/uptime; echo "$1 $SOLOCRON_JOB $SOLOCRON_SLOT $SOLOCRON_NODE $SOLOCRON_RUN_ID $SOLOCRON_FENCE $SOLOCRON_ATTEMPT $up" >> {FILE}; }}
exec 9>>"turn-of-{turn}"; flock -n 9 || say overlap; say start
{work}
say end"#
    )
}

/// A command that is [`TREE_SIZE`] processes, all called `sleep`: itself, a child that
/// ignores TERM, and one that ignores TERM, is in a session of its own, and whose
/// parent is gone. It does not end.
pub(crate) const TREE: &str = r#"(trap '' TERM; exec sleep 600) & setsid sh -c "trap '' TERM; sleep 600 & exit" & exec sleep 600"#;

/// See [`TREE`].
pub(crate) const TREE_SIZE: usize = 3;

/// One run, as it told itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Life {
    pub(crate) key: Key,
    pub(crate) slot: String,
    pub(crate) node: String,
    pub(crate) run_id: String,
    pub(crate) fence: u64,
    pub(crate) attempt: u32,
    /// Seconds of the boot clock.
    pub(crate) begun: f64,
    pub(crate) ended: Option<f64>,
    /// Whether another run of the job lived when it began.
    pub(crate) overlaps: bool,
}

/// The runs in `lines`, in the order in which they began.
pub(crate) fn lives(lines: &[String]) -> Vec<Life> {
    let mut lives: Vec<Life> = Vec::new();
    let mut places = BTreeMap::new();
    let mut overlapping = BTreeSet::new();
    for line in lines {
        let words: Vec<_> = line.split(' ').collect();
        let [what, job, slot, node, run_id, fence, attempt, up] = words[..] else {
            panic!("nothing that a job says: {line:?}")
        };
        let up = up.parse().expect("the boot clock is a number");
        match what {
            "overlap" => _ = overlapping.insert(run_id),
            "start" => {
                places.insert(run_id, lives.len());
                lives.push(Life {
                    key: (job.to_owned(), second(slot)),
                    slot: slot.to_owned(),
                    node: node.to_owned(),
                    run_id: run_id.to_owned(),
                    fence: fence.parse().expect("a fence is a number"),
                    attempt: attempt.parse().expect("an attempt is a number"),
                    begun: up,
                    ended: None,
                    overlaps: overlapping.contains(run_id),
                });
            }
            "end" => {
                let place = places.get(run_id).unwrap_or_else(|| panic!("never begun: {line}"));
                lives[*place].ended = Some(up);
            }
            _ => panic!("nothing that a job says: {line:?}"),
        }
    }
    lives
}
