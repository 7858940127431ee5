//! From a crontab to a config, the whole way.

mod mistakes;
mod slots;
mod tables;
mod texts;

use std::path::Path;

use super::*;
use crate::config::{self, Overrides, ThisMachine};
use crate::table::JobTable;

fn imported(text: &str, form: Form, zone: Option<&str>) -> Imported {
    let zone = zone.map(|zone| Zone::named(zone).unwrap());
    let imported = import(Path::new("crontab"), text, form, zone.as_ref());
    imported.unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

/// The config that a user's crontab becomes in UTC.
fn config(text: &str) -> String {
    imported(text, Form::OfUser, Some("UTC")).config
}

/// The jobs of a config, which has no mistakes.
fn jobs(config: &str) -> JobTable {
    let loaded =
        config::load_text(Path::new("jobs.toml"), config, &Overrides::default(), &ThisMachine);
    loaded.unwrap_or_else(|errors| panic!("{config}\n{errors}")).config.jobs
}

/// `LINE:COL: SEVERITY: TEXT`, of each diagnostic.
fn first_lines(found: &Diagnostics) -> Vec<String> {
    let line = |found: &config::Diagnostic| {
        let (line, column) = (found.place.line, found.place.column);
        format!("{line}:{column}: {}: {}", found.severity, found.message)
    };
    found.iter().map(line).collect()
}
