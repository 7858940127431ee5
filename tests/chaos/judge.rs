//! What became of the slots: what the jobs wrote, held against the schedule, the ledger,
//! and what the policy of each job promises.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::lives::Life;
use crate::harness::oracle::{Entry, Evidence, Fault, Key, Scope, Testimony};
use crate::jobs::promise;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) due: usize,
    /// Ran to an end at the first go.
    pub(crate) once: usize,
    /// Their holder was lost before, or drained.
    pub(crate) after_takeover: usize,
    pub(crate) after_handover: usize,
    /// Their holder was lost, and that is their job's end.
    pub(crate) abandoned: usize,
    pub(crate) missed: BTreeMap<String, usize>,
    pub(crate) broken: BTreeMap<Breach, Vec<Fault>>,
}

/// What must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Breach {
    RunTwice,
    Overlapping,
    LostSilently,
    /// Still to be run when everything has been well for long.
    Unsettled,
    /// The ledger is wrong, or a policy was not kept.
    WrongAccount,
}

impl Breach {
    pub(crate) const ALL: [Self; 5] = [
        Self::RunTwice,
        Self::Overlapping,
        Self::LostSilently,
        Self::Unsettled,
        Self::WrongAccount,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RunTwice => "run twice",
            Self::Overlapping => "overlapping",
            Self::LostSilently => "lost silently",
            Self::Unsettled => "unsettled",
            Self::WrongAccount => "wrong account",
        }
    }

    /// Which one the oracle's words are about.
    fn of(fault: &str) -> Self {
        let begins = |words: &[&str]| words.iter().any(|word| fault.starts_with(word));
        if begins(&["ran twice", "has ", "ran as the ledger does not know"]) {
            Self::RunTwice
        } else if begins(&["lost without a trace", "ran, but the ledger"]) {
            Self::LostSilently
        } else {
            Self::WrongAccount
        }
    }
}

/// What the jobs wrote, as the oracle takes it.
pub(crate) fn testimonies(lives: &[Life]) -> Vec<Testimony> {
    let testimony = |life: &Life| Testimony {
        key: life.key.clone(),
        node: life.node.clone(),
        run_id: life.run_id.clone(),
        fence: life.fence,
        attempt: life.attempt,
        up: life.begun,
    };
    lives.iter().map(testimony).collect()
}

/// Judges everything.
pub(crate) fn judge(lives: &[Life], ledger: Vec<Entry>, scope: &Scope) -> (Verdict, Evidence) {
    let evidence = Evidence { testimonies: testimonies(lives), ledger, logs: Vec::new() };
    let account = evidence.account(scope);
    let mut verdict = Verdict {
        due: scope.keys().count(),
        after_takeover: account.taken_over,
        after_handover: account.handed_over,
        abandoned: account.abandoned,
        missed: account.missed,
        ..Verdict::default()
    };
    for fault in account.faults {
        let breach = match Breach::of(&fault.1) {
            // The ledger has a run that was lost or handed over: the slot is to run again.
            Breach::LostSilently if !evidence.runs_of(&fault.0).is_empty() => Breach::Unsettled,
            breach => breach,
        };
        verdict.broken.entry(breach).or_default().push(fault);
    }
    verdict.once = account.ran.saturating_sub(evidence.ran_again(scope));
    for life in lives.iter().filter(|life| life.overlaps) {
        verdict.breach(Breach::Overlapping, &life.key, format!("another run lived: {life:?}"));
    }
    verdict.hold_against_policies(lives, &evidence);
    (verdict, evidence)
}

impl Verdict {
    fn breach(&mut self, breach: Breach, key: &Key, text: String) {
        self.broken.entry(breach).or_default().push((key.clone(), text));
    }

    /// How many of a kind there are.
    pub(crate) fn count(&self, breach: Breach) -> usize {
        let faults = self.broken.get(&breach).map_or(&[][..], Vec::as_slice);
        faults.iter().map(|(key, _)| key).collect::<BTreeSet<_>>().len()
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.broken.is_empty()
    }

    /// How many slots ran to an end.
    pub(crate) fn ran(&self) -> usize {
        let ends = self.missed.values().sum::<usize>() + self.abandoned;
        let lost = self.count(Breach::LostSilently) + self.count(Breach::Unsettled);
        self.due.saturating_sub(ends + lost)
    }

    fn hold_against_policies(&mut self, lives: &[Life], evidence: &Evidence) {
        let mut begun: BTreeMap<&Key, usize> = BTreeMap::new();
        for life in lives {
            *begun.entry(&life.key).or_default() += 1;
        }
        for (key, times) in begun {
            if !promise(&key.0).is_taken_over && times > 1 {
                self.breach(Breach::RunTwice, key, format!("is to run once, began {times} times"));
            }
        }
        let ended: BTreeSet<_> =
            lives.iter().filter(|life| life.ended.is_some()).map(|life| &life.run_id).collect();
        for entry in &evidence.ledger {
            let promise = promise(&entry.job);
            let is_kept = match (&*entry.outcome, promise.is_taken_over) {
                ("abandoned", is_taken_over) => !is_taken_over,
                ("lease_lost", is_taken_over) => is_taken_over,
                ("succeeded", _) => entry.run_id.as_ref().is_some_and(|run| ended.contains(run)),
                ("missed", _) => promise.may_miss_for(entry.reason.as_deref().unwrap_or_default()),
                ("failed" | "handed_over" | "cancelled", _) => true,
                _ => false,
            };
            if !is_kept {
                let key = (entry.job.clone(), entry.from());
                self.breach(Breach::WrongAccount, &key, format!("against its policy: {entry:?}"));
            }
        }
    }
}
