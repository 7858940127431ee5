//! The slot board: what is answered of slots, a lane for each job, a cell for each slot.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::board::Snapshot;
use super::shapes::{OpenView, millis};
use crate::ledger::{Entry, MissedEntry, RunEntry};
use crate::outcome::Outcome;
use crate::slot::{Slot, SlotTime, TriggerId};
use crate::store::SlotRecord;
use crate::table::Job;

/// A slot, or a range of missed ones, on the board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Cell {
    /// The slot, or the first of a missed range.
    pub(crate) slot: String,
    /// The last of a missed range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slot_to: Option<String>,
    /// How many slots a missed range has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<u64>,
    /// What it was triggered by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trigger_id: Option<String>,
    /// Where it stands: as of an open slot (`running`, `waiting`, …), or how its last run
    /// ended (`succeeded`, `failed`, …), or `missed`.
    pub(crate) state: &'static str,
    /// Why it was missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'static str>,
    /// The node that has it, or ran it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    /// Its last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_id: Option<String>,
    /// Which run of the slot that is, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<u32>,
    /// Whether a node was lost while it ran it, and another took it over.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) taken_over: bool,
    /// When its last run started, or was claimed where it runs still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) started_at: Option<String>,
    /// How long its last run took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) duration_ms: Option<u64>,
}

/// The slots of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Lane {
    /// The job.
    pub(crate) job: String,
    /// Its slots, newest first, the open ones before the others of their instant.
    pub(crate) cells: Vec<Cell>,
}

/// The slots of all jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SlotBoard {
    /// The store's clock.
    pub(crate) now: String,
    /// A lane for each job of the table, in order of name.
    pub(crate) lanes: Vec<Lane>,
}

/// What a cell is made of. A lane is put in order before any of its cells is written.
enum Made<'a> {
    Open(&'a Slot, &'a SlotRecord),
    /// The last run of a slot, and whether an earlier one of it lost its node.
    Run(&'a RunEntry, bool),
    Missed(&'a MissedEntry),
}

/// The cells of a job: at most `most`, from `since` on.
pub(crate) fn cells(job: &Job, seen: &Snapshot, since: Option<SlotTime>, most: usize) -> Vec<Cell> {
    let wanted = |at: SlotTime| since.is_none_or(|since| at >= since);
    let open = seen.open_of(&job.name).filter(|(slot, _)| wanted(slot.at));
    // What is missed has no trigger and no run: it cannot meet a run's slot.
    let mut made: BTreeMap<(SlotTime, Option<TriggerId>, bool), Made<'_>> = open
        .map(|(slot, record)| ((slot.at, slot.trigger, false), Made::Open(slot, record)))
        .collect();
    // Newest first: the first of a slot is its last run, unless that is open still.
    for entry in seen.recent(&job.name) {
        match entry {
            Entry::Run(run) if wanted(run.slot.at) => {
                let key = (run.slot.at, run.slot.trigger, false);
                match made.get_mut(&key) {
                    Some(Made::Run(_, lost)) => *lost |= run.outcome == Outcome::LeaseLost,
                    Some(_) => {}
                    None => drop(made.insert(key, Made::Run(run, false))),
                }
            }
            Entry::Missed(missed) if wanted(missed.range.to) => {
                made.insert((missed.range.from, None, true), Made::Missed(missed));
            }
            Entry::Run(_) | Entry::Missed(_) => {}
        }
    }
    made.into_values().rev().take(most).map(Cell::from).collect()
}

impl From<Made<'_>> for Cell {
    fn from(made: Made<'_>) -> Self {
        let empty = |slot: SlotTime, state| Self {
            slot: slot.to_string(),
            slot_to: None,
            count: None,
            trigger_id: None,
            state,
            reason: None,
            node: None,
            run_id: None,
            attempt: None,
            taken_over: false,
            started_at: None,
            duration_ms: None,
        };
        match made {
            Made::Open(slot, record) => {
                let open = OpenView::of(slot, record);
                Self {
                    trigger_id: open.trigger_id,
                    node: Some(open.node),
                    run_id: open.run_id,
                    attempt: Some(open.attempt),
                    taken_over: open.takeovers > 0,
                    started_at: Some(open.claimed_at),
                    ..empty(slot.at, open.state)
                }
            }
            Made::Run(run, taken_over) => Self {
                trigger_id: run.slot.trigger.map(|id| id.to_string()),
                node: Some(run.node.to_string()),
                run_id: Some(run.run_id.to_string()),
                attempt: Some(run.attempt),
                taken_over,
                started_at: Some(run.started_at.to_string()),
                duration_ms: Some(millis(run.finished_at.since(run.started_at))),
                ..empty(run.slot.at, run.outcome.as_str())
            },
            Made::Missed(missed) => Self {
                slot_to: Some(missed.range.to.to_string()),
                count: Some(missed.range.count),
                reason: Some(missed.range.reason.as_str()),
                ..empty(missed.range.from, Outcome::Missed.as_str())
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::claim::{Fence, Token};
    use crate::ledger::MissedRange;
    use crate::outcome::{MissedReason, Ready};
    use crate::store::SlotState;
    use crate::table::JobTable;

    fn second(second: i64) -> SlotTime {
        SlotTime::from_unix_seconds(1_795_316_400 + second)
    }

    fn run(at: i64, attempt: u32, outcome: Outcome) -> Entry {
        let started_at = second(at).cluster_time();
        Entry::Run(RunEntry {
            slot: Slot::scheduled("a".parse().unwrap(), second(at)),
            node: format!("web-{attempt}").parse().unwrap(),
            run_id: Token::new().run_id(attempt),
            attempt,
            fence: Fence::new(1),
            outcome,
            started_at,
            finished_at: started_at + Duration::from_millis(1500),
            exit_code: None,
            signal: None,
            error: None,
            recorded_at: started_at + Duration::from_secs(u64::from(attempt)),
        })
    }

    fn missed(from: i64, to: i64) -> Entry {
        let count = u64::try_from(to - from + 1).unwrap();
        let range =
            MissedRange { from: second(from), to: second(to), count, reason: MissedReason::NoNode };
        let recorded_at = second(to).cluster_time();
        let (job, node) = ("a".parse().unwrap(), "web-1".parse().unwrap());
        Entry::Missed(MissedEntry { job, range, node, recorded_at })
    }

    fn open(at: i64, takeovers: u32, state: SlotState) -> (Slot, SlotRecord) {
        let record = SlotRecord {
            node: "web-9".parse().unwrap(),
            token: Token::new(),
            attempt: takeovers + 1,
            fence: Fence::new(1),
            claimed_at: second(at).cluster_time(),
            takeovers,
            state,
        };
        (Slot::scheduled("a".parse().unwrap(), second(at)), record)
    }

    /// The cells of a job with these entries, newest first, and these open slots.
    fn lane(
        entries: Vec<Entry>,
        open: Vec<(Slot, SlotRecord)>,
        since: Option<i64>,
        most: usize,
    ) -> Vec<String> {
        let job = crate::table::tests::job("schedule = '* * * * * *'");
        let seen = Snapshot::of_test(
            JobTable::new(vec![Arc::clone(&job)]),
            HashMap::from([(job.name.clone(), Arc::new(entries))]),
            open.into_iter().collect(),
        );
        let shown = |cell: Cell| {
            let at = cell.slot.get(17..19).unwrap_or_default().to_owned();
            let node = cell.node.map(|node| format!(" {node}")).unwrap_or_default();
            let taken = if cell.taken_over { " taken over" } else { "" };
            let count = cell.count.map(|count| format!(" x{count}")).unwrap_or_default();
            format!("{at} {}{node}{taken}{count}", cell.state)
        };
        cells(&job, &seen, since.map(second), most).into_iter().map(shown).collect()
    }

    #[test]
    fn a_lane_has_each_slot_once_with_what_became_of_it_last() {
        let running = SlotState::Running { remaining: Duration::from_secs(9) };
        let entries = vec![
            run(5, 1, Outcome::LeaseLost),
            run(4, 2, Outcome::Succeeded),
            run(4, 1, Outcome::LeaseLost),
            run(3, 2, Outcome::Succeeded),
            run(3, 1, Outcome::Failed),
            missed(1, 2),
        ];
        let open = vec![
            open(5, 1, running),
            open(6, 0, SlotState::Ready(Ready::Waiting)),
            open(7, 0, SlotState::Running { remaining: Duration::ZERO }),
        ];
        let all = [
            "07 lapsed web-9",
            "06 waiting web-9",
            "05 running web-9 taken over",
            "04 succeeded web-2 taken over",
            "03 succeeded web-2",
            "01 missed x2",
        ];
        assert_eq!(lane(entries.clone(), open.clone(), None, 99), all);
        assert_eq!(lane(entries.clone(), open.clone(), None, 2), all[..2]);
        assert_eq!(lane(entries.clone(), open.clone(), Some(2), 99), all, "the range reaches it");
        assert_eq!(lane(entries, open, Some(4), 99), all[..4]);
    }

    #[test]
    fn a_run_that_lost_its_lease_and_had_no_successor_was_not_taken_over() {
        let entries = vec![run(3, 1, Outcome::LeaseLost)];
        assert_eq!(lane(entries, vec![], None, 9), ["03 lease_lost web-1"]);
    }
}
