//! The text of a crontab.

use std::path::Path;

use super::config::{Machine, are_told};
use crate::config::{Overrides, load_text};
use crate::crontab::{Form, import};
use crate::schedule::Zone;

/// A crontab becomes a config without mistakes, always the same, or every line that cannot
/// be read is told at its place.
pub fn crontab(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let zone = Zone::named("Europe/Berlin").expect("a zone");
    for form in [Form::OfUser, Form::OfSystem] {
        for zone in [None, Some(&zone)] {
            match import(Path::new("crontab"), text, form, zone) {
                Ok(imported) => {
                    are_told(&imported.warnings);
                    is_good(&imported.config);
                    let again = import(Path::new("crontab"), text, form, zone);
                    assert_eq!(again.map(|again| again.config).ok(), Some(imported.config));
                }
                Err(errors) => {
                    assert!(errors.errors() > 0);
                    are_told(&errors);
                }
            }
        }
    }
}

/// A config that came of a crontab has no mistake, and as many jobs as tables of jobs.
fn is_good(config: &str) {
    let loaded = load_text(Path::new("jobs.toml"), config, &Overrides::default(), &Machine);
    let loaded = loaded.unwrap_or_else(|errors| panic!("{config}\n{errors}"));
    let titles = config.lines().filter(|line| line.starts_with("[jobs.")).count();
    // A command can have such lines, too.
    assert!(loaded.config.jobs.len() <= titles, "{config}");
}
