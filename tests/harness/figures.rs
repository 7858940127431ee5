//! What can be measured from the evidence of a storm.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use solocron::clock::BootInstant;

use super::oracle::{Evidence, Key, Scope, second};

/// Measured values, in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// These durations.
    pub(crate) fn of(durations: Vec<Duration>) -> Self {
        Self::new(durations.into_iter().map(|one| one.as_secs_f64() * 1000.0).collect())
    }

    /// The value below which `share` of all lie.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        assert!(!self.0.is_empty(), "nothing was measured");
        let last = self.0.len() - 1;
        self.0[((last as f64 * share).round() as usize).min(last)]
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [half, most, last] = [0.5, 0.99, 1.0].map(|share| self.quantile(share));
        write!(f, "median {half:.0} ms, 99 % {most:.0} ms, longest {last:.0} ms")
    }
}

impl Evidence {
    /// For each slot, how far apart the nodes had their verdict on it, by the
    /// instants at which the test read their logs. Only slots that all nodes tell of.
    pub(crate) fn spread(&self, scope: &Scope) -> Figures {
        let mut told: BTreeMap<Key, BTreeMap<&str, BootInstant>> = BTreeMap::new();
        for (node, log) in &self.logs {
            for logged in log {
                if matches!(logged.text("event"), "slot.claimed" | "slot.skipped") {
                    let key = (logged.text("job").to_owned(), second(logged.text("slot")));
                    told.entry(key).or_default().entry(node).or_insert(logged.at);
                }
            }
        }
        let spread = scope.keys().filter_map(|key| {
            let nodes = told.get(&key).filter(|nodes| nodes.len() == self.logs.len())?;
            let (first, last) = (nodes.values().min()?, nodes.values().max()?);
            Some(last.since(*first).as_secs_f64() * 1000.0)
        });
        Figures::new(spread.collect())
    }

    /// How late the jobs themselves came, against the one that came earliest.
    pub(crate) fn lateness(&self) -> Figures {
        let offsets = self.testimonies.iter().map(|line| line.up - line.key.1 as f64);
        let earliest = offsets.clone().fold(f64::INFINITY, f64::min);
        Figures::new(offsets.map(|offset| (offset - earliest) * 1000.0).collect())
    }
}
