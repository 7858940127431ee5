//! The oracle: what the jobs themselves wrote, held against the slots that the
//! schedule names, against the ledger, and against what the nodes logged.
//!
//! Pure: from [`Evidence`] to a list of faults. [`figures`](super::figures) measures.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use solocron::slot::SlotTime;

use super::ended_lines;
use super::node::Logged;

/// A job and a second.
pub(crate) type Key = (String, i64);

/// One line of the oracle's file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Testimony {
    pub(crate) key: Key,
    pub(crate) node: String,
    pub(crate) run_id: String,
    pub(crate) fence: u64,
    pub(crate) attempt: u32,
    /// Seconds of the boot clock.
    pub(crate) up: f64,
}

/// One entry of the ledger, as `history` prints it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Entry {
    pub(crate) job: String,
    pub(crate) slot: String,
    pub(crate) slot_to: Option<String>,
    pub(crate) trigger_id: Option<String>,
    pub(crate) count: Option<i64>,
    pub(crate) outcome: String,
    pub(crate) reason: Option<String>,
    pub(crate) node: Option<String>,
    pub(crate) run_id: Option<String>,
    pub(crate) attempt: Option<u32>,
    pub(crate) fence: Option<u64>,
    pub(crate) started_at: Option<String>,
    pub(crate) finished_at: Option<String>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) error: Option<String>,
}

impl Entry {
    pub(crate) fn from(&self) -> i64 {
        second(&self.slot)
    }

    pub(crate) fn to(&self) -> i64 {
        self.slot_to.as_deref().map_or(self.from(), second)
    }

    pub(crate) fn is_missed(&self) -> bool {
        self.outcome == "missed"
    }

    /// When the run started, in seconds since 1970 by the cluster's clock.
    pub(crate) fn started(&self) -> f64 {
        instant(self.started_at.as_deref().expect("it is a run"))
    }

    /// When it ended.
    pub(crate) fn finished(&self) -> f64 {
        instant(self.finished_at.as_deref().expect("it is a run"))
    }

    /// Whether the slot is settled with it: it was neither handed over nor taken over.
    fn is_an_end(&self) -> bool {
        !matches!(&*self.outcome, "handed_over" | "lease_lost")
    }

    fn is_a_run_of(&self, key: &Key) -> bool {
        !self.is_missed() && self.job == key.0 && self.from() == key.1
    }
}

/// Everything that was seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    pub(crate) testimonies: Vec<Testimony>,
    pub(crate) ledger: Vec<Entry>,
    pub(crate) logs: Vec<(String, Vec<Logged>)>,
}

/// The slots that are looked at: of every job, each second after `after` up to and with
/// `upto`, or fewer where the job has a period.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    pub(crate) jobs: Vec<String>,
    pub(crate) after: i64,
    pub(crate) upto: i64,
    /// Of jobs that are not due every second: how many seconds apart they are, counted
    /// from 1970.
    pub(crate) periods: BTreeMap<String, i64>,
}

impl Scope {
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        assert!(self.after < self.upto, "nothing to look at");
        self.jobs.iter().flat_map(|job| {
            let period = self.period(job);
            let due = (self.after + 1..=self.upto).filter(move |at| at % period == 0);
            due.map(|at| (job.clone(), at))
        })
    }

    fn period(&self, job: &str) -> i64 {
        self.periods.get(job).copied().unwrap_or(1)
    }

    pub(crate) fn seconds(&self) -> i64 {
        self.upto - self.after
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        key.1 > self.after
            && key.1 <= self.upto
            && key.1 % self.period(&key.0) == 0
            && self.jobs.contains(&key.0)
    }
}

/// What became of the slots in a [`Scope`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// Ran to their end, and that once.
    pub(crate) ran: usize,
    /// Of those, the ones that were handed over before.
    pub(crate) handed_over: usize,
    /// And the ones that were taken over before.
    pub(crate) taken_over: usize,
    /// Their holder was lost.
    pub(crate) abandoned: usize,
    /// Nobody ran them, by reason.
    pub(crate) missed: BTreeMap<String, usize>,
    /// What must not be. Also outside of the scope, where it is wrong anywhere.
    pub(crate) faults: Vec<Fault>,
}

/// What is wrong with a slot.
pub(crate) type Fault = (Key, String);

/// The second that a slot is written as.
pub(crate) fn second(slot: &str) -> i64 {
    slot.parse::<SlotTime>().unwrap_or_else(|error| panic!("{slot:?}: {error}")).unix_seconds()
}

/// An instant that somebody wrote, in seconds since 1970.
pub(crate) fn instant(text: &str) -> f64 {
    let at: jiff::Timestamp = text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"));
    at.as_millisecond() as f64 / 1000.0
}

/// A slot as logs write it.
pub(crate) fn written((job, at): &Key) -> String {
    format!("{job}@{}", SlotTime::from_unix_seconds(*at))
}

/// Every line of the file; none where there is no file yet.
pub(crate) fn testimonies(file: &Path) -> Vec<Testimony> {
    ended_lines(file).iter().map(|line| testimony(line)).collect()
}

fn testimony(line: &str) -> Testimony {
    let words: Vec<_> = line.split(' ').collect();
    let [job, slot, node, run_id, fence, attempt, up] = words[..] else {
        panic!("not a testimony: {line:?}")
    };
    Testimony {
        key: (job.to_owned(), second(slot)),
        node: node.to_owned(),
        run_id: run_id.to_owned(),
        fence: fence.parse().expect("a fence is a number"),
        attempt: attempt.parse().expect("an attempt is a number"),
        up: up.parse().expect("the boot clock is a number"),
    }
}

impl Evidence {
    /// Holds the file against the ledger: every slot of `scope` has one end, which
    /// is a run that is in the file once, or an entry that says why there was none.
    pub(crate) fn account(&self, scope: &Scope) -> Account {
        let mut account = Account::default();
        let runs = self.runs();
        let misses = self.misses(scope, &runs, &mut account.faults);
        let mut lines: BTreeMap<Key, Vec<&Testimony>> = BTreeMap::new();
        for testimony in &self.testimonies {
            lines.entry(testimony.key.clone()).or_default().push(testimony);
        }
        let keys: BTreeSet<Key> = scope
            .keys()
            .chain(runs.keys().cloned())
            .chain(misses.keys().cloned())
            .chain(lines.keys().cloned())
            .collect();
        for key in keys {
            let case = Case {
                key: &key,
                runs: runs.get(&key).map_or(&[], Vec::as_slice),
                misses: misses.get(&key).map_or(&[], Vec::as_slice),
                lines: lines.get(&key).map_or(&[], Vec::as_slice),
            };
            case.judge(scope.has(&key), &mut account);
        }
        account
    }

    /// Which entry says of each slot that it was missed.
    ///
    /// A range has its first slot, its last, and so many of those between as it counts; the
    /// others have an entry of their own, or are another range's. Which slot is whose is not
    /// written; whether all ranges can have as many as they count is told by giving each slot
    /// to the one that ends first.
    fn misses<'a>(
        &'a self,
        scope: &Scope,
        runs: &BTreeMap<Key, Vec<&Entry>>,
        faults: &mut Vec<Fault>,
    ) -> BTreeMap<Key, Vec<&'a Entry>> {
        let mut misses: BTreeMap<Key, Vec<&Entry>> = BTreeMap::new();
        let mut of_jobs: BTreeMap<&str, Vec<Range<'a>>> = BTreeMap::new();
        for entry in self.ledger.iter().filter(|entry| entry.is_missed()) {
            let ends = BTreeSet::from([entry.from(), entry.to()]);
            let wanted = entry.count.unwrap_or(0) - ends.len() as i64;
            of_jobs.entry(&entry.job).or_default().push(Range { entry, wanted });
            for at in ends {
                misses.entry((entry.job.clone(), at)).or_default().push(entry);
            }
        }
        for (job, mut ranges) in of_jobs {
            ranges.sort_by_key(|range| range.entry.from());
            let period = scope.period(job);
            let mut open: BTreeMap<(i64, usize), Range<'_>> = BTreeMap::new();
            let mut number = 0;
            let mut at = ranges[0].entry.from();
            let last = ranges.iter().map(|range| range.entry.to()).max().unwrap_or(at);
            let mut coming = ranges.into_iter().peekable();
            while at <= last {
                while let Some(range) = coming.next_if(|range| range.entry.from() < at) {
                    number += 1;
                    open.insert((range.entry.to(), number), range);
                }
                while let Some(over) = open.first_entry().filter(|first| first.key().0 <= at) {
                    let Range { entry, wanted } = over.remove();
                    if wanted != 0 {
                        let text = format!("a range counts wrong: {entry:?}");
                        faults.push(((job.to_owned(), entry.from()), text));
                    }
                }
                let key = (job.to_owned(), at);
                let is_free = !misses.contains_key(&key) && !runs.contains_key(&key);
                let taker = open.values_mut().find(|range| range.wanted > 0);
                if let Some(range) = taker.filter(|_| is_free) {
                    range.wanted -= 1;
                    misses.insert(key, vec![range.entry]);
                }
                at += period;
            }
            // Those of one slot have come to their end with it.
            for Range { entry, wanted } in open.into_values().chain(coming) {
                if wanted != 0 {
                    let text = format!("a range counts wrong: {entry:?}");
                    faults.push(((job.to_owned(), entry.from()), text));
                }
            }
        }
        misses
    }

    /// Holds the logs against the file, for the slots of `scope`: whoever wrote has
    /// claimed, started and finished as it says there, and nobody else has; whoever
    /// skipped names one who ran the slot. Returns the number of skips, and the faults.
    pub(crate) fn logs_against_file(&self, scope: &Scope) -> (usize, Vec<Fault>) {
        let mut skips = 0;
        let mut faults = Vec::new();
        let mut told: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        let truth: BTreeMap<&str, &Testimony> =
            self.testimonies.iter().map(|line| (line.run_id.as_str(), line)).collect();
        // Who had it, and gave it away before it began, was its holder as well.
        let mut handed_over: BTreeSet<(Key, &str)> = BTreeSet::new();
        for entry in self.ledger.iter().filter(|entry| entry.outcome == "handed_over") {
            let key = (entry.job.clone(), entry.from());
            handed_over.extend(entry.node.as_deref().map(|node| (key, node)));
        }
        let mut ran_by: BTreeMap<&Key, Vec<&str>> = BTreeMap::new();
        for line in &self.testimonies {
            ran_by.entry(&line.key).or_default().push(&line.node);
        }
        for (node, logged) in
            self.logs.iter().flat_map(|(node, log)| log.iter().map(move |l| (node, l)))
        {
            let (event, slot) = (logged.text("event"), logged.text("slot"));
            if slot.is_empty() || logged.text("job").is_empty() || event == "slot.missed" {
                continue;
            }
            let key = (logged.text("job").to_owned(), second(slot));
            if !scope.has(&key) {
                continue;
            }
            match event {
                "slot.claimed" | "run.started" | "run.finished" => {
                    let Some(line) = truth.get(logged.text("run_id")) else { continue };
                    let agrees = line.key == key
                        && line.node == *node
                        && logged.record["fence"].as_u64() == Some(line.fence)
                        && logged.record["attempt"].as_u64() == Some(line.attempt.into());
                    if !agrees {
                        let text = format!("{line:?}, but {node} logged {}", logged.record);
                        faults.push((key.clone(), text));
                    }
                    *told.entry((&line.run_id, event)).or_default() += 1;
                }
                "slot.skipped" if matches!(logged.text("reason"), "held" | "done") => {
                    skips += 1;
                    let holder = logged.text("holder");
                    // Where nobody ran it, the ledger says why.
                    let ran = ran_by.get(&key).is_none_or(|nodes| nodes.contains(&holder));
                    if !ran && !handed_over.contains(&(key.clone(), holder)) {
                        let text = format!("that node did not run it: {}", logged.record);
                        faults.push((key, text));
                    }
                }
                _ => {}
            }
        }
        for line in self.testimonies.iter().filter(|line| scope.has(&line.key)) {
            for event in ["slot.claimed", "run.started", "run.finished"] {
                let times = told.get(&(line.run_id.as_str(), event)).copied().unwrap_or(0);
                if times != 1 {
                    let text = format!("{event} was logged {times} times of {line:?}");
                    faults.push((line.key.clone(), text));
                }
            }
        }
        (skips, faults)
    }

    /// How many slots of `scope` were taken over or handed over before they ended.
    pub(crate) fn ran_again(&self, scope: &Scope) -> usize {
        let is_again = |entry: &&Entry| matches!(&*entry.outcome, "lease_lost" | "handed_over");
        let keys = self.ledger.iter().filter(is_again).map(|e| (e.job.clone(), e.from()));
        keys.filter(|key| scope.has(key)).collect::<BTreeSet<_>>().len()
    }

    /// The slots of `scope` that have no end in the ledger yet.
    pub(crate) fn open(&self, scope: &Scope) -> Vec<Key> {
        let runs = self.runs();
        let misses = self.misses(scope, &runs, &mut Vec::new());
        let is_ended = |key: &Key| {
            misses.contains_key(key)
                || runs.get(key).is_some_and(|runs| runs.iter().any(|run| run.is_an_end()))
        };
        scope.keys().filter(|key| !is_ended(key)).collect()
    }

    fn runs(&self) -> BTreeMap<Key, Vec<&Entry>> {
        let mut runs: BTreeMap<Key, Vec<&Entry>> = BTreeMap::new();
        for entry in self.ledger.iter().filter(|entry| !entry.is_missed()) {
            runs.entry((entry.job.clone(), entry.from())).or_default().push(entry);
        }
        runs
    }

    /// The ledger's runs of a slot, oldest first.
    pub(crate) fn runs_of(&self, key: &Key) -> Vec<&Entry> {
        let mut runs: Vec<_> = self.ledger.iter().filter(|entry| entry.is_a_run_of(key)).collect();
        runs.sort_by_key(|run| run.attempt);
        runs
    }

    /// Everything that was said about a slot, for a failed test to show.
    pub(crate) fn story(&self, key: &Key) -> String {
        let mut story = format!("--- {}\n", written(key));
        for line in self.testimonies.iter().filter(|line| line.key == *key) {
            story += &format!("file:   {line:?}\n");
        }
        for entry in &self.ledger {
            if entry.job == key.0 && (entry.from()..=entry.to()).contains(&key.1) {
                story += &format!("ledger: {entry:?}\n");
            }
        }
        for (node, log) in &self.logs {
            for logged in log.iter().filter(|logged| logged.text("job") == key.0) {
                let tells = !logged.text("slot").is_empty() && second(logged.text("slot")) == key.1;
                if tells {
                    story += &format!("{node}: {}\n", logged.record);
                }
            }
        }
        story
    }
}

/// An entry of slots that were missed.
struct Range<'a> {
    entry: &'a Entry,
    /// So many slots between its first and its last it is still to have.
    wanted: i64,
}

/// What is known of one slot.
struct Case<'a> {
    key: &'a Key,
    runs: &'a [&'a Entry],
    misses: &'a [&'a Entry],
    lines: &'a [&'a Testimony],
}

impl Case<'_> {
    fn judge(&self, in_scope: bool, account: &mut Account) {
        let mut fault = |text: String| account.faults.push((self.key.clone(), text));
        let ends: Vec<_> = self.runs.iter().filter(|run| run.is_an_end()).collect();
        match ends.len() + self.misses.len() {
            0 if in_scope && self.lines.is_empty() => fault("lost without a trace".to_owned()),
            0 if in_scope => fault("ran, but the ledger does not know its end".to_owned()),
            0 | 1 => {}
            n => fault(format!("has {n} ends: {ends:?} {:?}", self.misses)),
        }
        for line in self.lines {
            if !self.runs.iter().any(|run| is_of(run, line))
                && (in_scope || !self.misses.is_empty())
            {
                fault(format!("ran as the ledger does not know: {line:?}"));
            }
        }
        for (n, line) in self.lines.iter().enumerate() {
            if self.lines[..n].iter().any(|other| other.attempt == line.attempt) {
                fault(format!("ran twice: {line:?}"));
            }
        }
        for run in self.runs {
            let times = self.lines.iter().filter(|line| is_of(run, line)).count();
            let wanted = match run.outcome.as_str() {
                "succeeded" => 1..=1,
                // It may have been ended, or lost with its node, before it wrote.
                _ => 0..=1,
            };
            if !wanted.contains(&times) {
                fault(format!("is {times} times in the file: {run:?}"));
            }
        }
        let mut runs = self.runs.to_vec();
        runs.sort_by_key(|run| run.attempt);
        for pair in runs.windows(2) {
            if pair[0].attempt == pair[1].attempt || pair[0].fence >= pair[1].fence {
                fault(format!("its fences do not grow: {pair:?}"));
            }
        }
        if in_scope {
            match (ends.first(), self.misses.first()) {
                (Some(end), _) if end.outcome == "abandoned" => account.abandoned += 1,
                (Some(_), _) => {
                    account.ran += 1;
                    let had = |outcome| self.runs.iter().any(|run| run.outcome == outcome);
                    account.handed_over += usize::from(had("handed_over"));
                    account.taken_over += usize::from(had("lease_lost"));
                }
                (None, Some(missed)) => {
                    let reason = missed.reason.clone().unwrap_or_default();
                    *account.missed.entry(reason).or_default() += 1;
                }
                (None, None) => {}
            }
        }
    }
}

/// Whether the file's line is of the ledger's run, in every word.
fn is_of(run: &Entry, line: &Testimony) -> bool {
    run.run_id.as_deref() == Some(&line.run_id)
        && run.node.as_deref() == Some(&line.node)
        && run.fence == Some(line.fence)
        && run.attempt == Some(line.attempt)
}
