//! When a line is due, in the words of a job table.
//!
//! The fields are read as cron reads them, with one difference to mend. Vixie's cron takes
//! a day field that begins with `*` for no restriction when it asks whether both day fields
//! are given: then both have to match, and else either. So `0 0 */2 * 1` are the Mondays
//! among the odd days there, and all of both here, where only a bare `*` leaves the choice
//! to the other field. A `+` says that both must match.

use super::part::Part;
use crate::config::Report;
use crate::schedule::{Context, Schedule, Zone};

/// When a line is due.
#[derive(Debug)]
pub(super) enum When<'t> {
    /// A schedule of a job table.
    At {
        schedule: String,
        /// The day field that cron reads otherwise than a job table, had it no `+`.
        both: Option<Part<'t>>,
    },
    /// When cron starts.
    Reboot(Part<'t>),
}

/// Reads five fields, or a macro.
pub(super) fn read<'t>(when: Part<'t>, report: &mut Report) -> Option<When<'t>> {
    if when.text.eq_ignore_ascii_case("@reboot") {
        return Some(When::Reboot(when));
    }
    let utc = Zone::utc();
    let context = Context { job: None, timezone: None, default_timezone: &utc };
    if let Err(error) = Schedule::parse(when.text, &context) {
        let at = when.from(error.span.start).to(error.span.len());
        report.error(at.spot(), error.message).help.extend(error.help);
        return None;
    }
    let (mut fields, mut rest) = (Vec::new(), when);
    while !rest.text.is_empty() {
        let (field, more) = rest.first_word();
        fields.push(field);
        rest = more;
    }
    let both = match fields[..] {
        [_, _, day_of_month, _, day_of_week] => both_have_to_match(day_of_month, day_of_week),
        _ => None,
    };
    let mut words: Vec<_> = fields.iter().map(|field| field.text.to_owned()).collect();
    if both.is_some() {
        words[4].insert(0, '+');
    }
    Some(When::At { schedule: words.join(" "), both })
}

/// The day field that begins with `*` and restricts nevertheless, where the other one
/// restricts, too.
fn both_have_to_match<'t>(day_of_month: Part<'t>, day_of_week: Part<'t>) -> Option<Part<'t>> {
    let days = [day_of_month, day_of_week];
    let restricted = |day: &Part<'_>| !["*", "?"].contains(&day.text);
    if !days.iter().all(restricted) || day_of_week.text.starts_with('+') {
        return None;
    }
    days.into_iter().find(|day| day.text.starts_with('*'))
}
