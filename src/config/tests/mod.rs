//! The whole way from text to config.

mod call;
mod defaults;
mod grammar;
mod http;
mod mistakes;
mod notify;
mod parts;
mod random;
mod reference;
mod secrets;
mod sources;
mod stores;

use std::path::Path;

use super::environment::Fixed;
use super::*;
use crate::name::JobName;
use crate::table::Job;

/// A machine with a host name and a home.
fn machine() -> Fixed {
    Fixed::default().host("web-1").set("HOME", "/home/ada")
}

/// Loads `text` as `solocron.toml`.
fn read(text: &str) -> Result<Loaded, Diagnostics> {
    read_with(text, &Overrides::default(), &machine())
}

fn read_with(text: &str, overrides: &Overrides, env: &Fixed) -> Result<Loaded, Diagnostics> {
    load_text(Path::new("solocron.toml"), text, overrides, env)
}

/// The only job of a config in which `[jobs.a]` has `keys`, beside a schedule.
fn job(keys: &str) -> Job {
    let text = format!("[jobs.a]\nschedule = '@hourly'\n{keys}");
    let loaded = read(&text).unwrap_or_else(|errors| panic!("{errors}"));
    let job = loaded.config.jobs.get(&JobName::new("a").unwrap()).unwrap();
    Job::clone(job)
}

/// `LINE:COL: TEXT`, as the first line of each diagnostic has it.
fn first_lines(found: &Diagnostics) -> Vec<String> {
    let line = |found: &Diagnostic| {
        format!(
            "{}:{}: {}: {}",
            found.place.line, found.place.column, found.severity, found.message
        )
    };
    found.iter().map(line).collect()
}

/// What is underlined of `text`, or `<nothing>`.
fn underlined<'t>(text: &'t str, found: &Diagnostic) -> &'t str {
    match &text[found.span.clone()] {
        "" => "<nothing>",
        part => part,
    }
}
