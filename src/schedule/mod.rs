//! What a schedule means: from an expression and a zone to slots.
//!
//! A schedule is pure. The same text, zone and instant give the same slots on
//! every node, so that nodes agree on what is due without talking: no clock is
//! read here, nothing of the host's, and the zone data is part of the binary.
//!
//! # The rules
//!
//! 1. **Fields.** Five: `minute hour day-of-month month day-of-week`. Six: seconds
//!    first. Seven: seconds first, year last (1970 to 2199). Spaces or tabs between.
//! 2. **Items.** `*`, `a`, `a-b`, each also with `/n`; `a/n` goes on to the largest
//!    value (day-of-week: 6). Lists with commas. A step is at most as large as the
//!    field has values; a range never goes backwards.
//! 3. **Names.** Three letters, any case, only in month and day-of-week. 0 and 7 are
//!    Sunday, and `FRI-SUN` is three days.
//! 4. **Days.** If both day fields are restricted, a day that either of them matches;
//!    with a `+` before day-of-week one that both match. Only a bare `*` or `?` is
//!    unrestricted: `*/2` restricts, as it does not in Vixie cron.
//! 5. **Special days.** `L`, `LW`, `15W` in day-of-month; `FRI#2`, `5L`, `FRI#L` in
//!    day-of-week.
//! 6. **Macros.** `@yearly @annually @monthly @weekly @daily @midnight @hourly`.
//! 7. **`@every D`.** The multiples of D since the Unix epoch: `every`.
//! 8. **`H`.** A number that the job's name draws: `hash`.
//! 9. **Zone.** Bundled IANA data, UTC unless said otherwise: `zone`.
//! 10. **Fixed times** (no `*` and no `H/n` in second, minute and hour) that a change
//!     of the clock skips get one slot behind the gap; repeated ones only their first
//!     pass. **Wildcard** schedules follow the clock as it runs: `daylight`.
//! 11. **Next** is strictly later. A date that never comes is a valid schedule that
//!     is never due.
//! 12. Several schedules of one job are their union, each instant once:
//!     [`ScheduleSet`].
//!
//! # The map
//!
//! An expression travels through `grammar` (the whole), `item` and `days`
//! (one field) into a `calendar`, which knows local times only; `daylight`
//! puts it on the time line of a `zone`.

mod calendar;
mod canonical;
mod daylight;
mod days;
mod error;
mod every;
mod field;
mod grammar;
mod hash;
mod item;
mod piece;
mod words;
mod zone;

#[cfg(test)]
mod tests;

use std::fmt;

pub use error::ScheduleError;
pub use zone::{UnknownZone, Zone, zone_data_version};

use crate::name::JobName;
use crate::slot::SlotTime;
use calendar::Calendar;
use daylight::Daylight;
use every::Every;

/// What an expression is read in.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The job that `H` draws for; without one an `H` is an error.
    pub job: Option<&'a JobName>,
    /// The job's own `timezone` key. With a zone in the expression, too, it is
    /// an error.
    pub timezone: Option<&'a Zone>,
    /// The zone of jobs that name none. A zone in the expression overrides it.
    pub default_timezone: &'a Zone,
}

/// When a job is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    zone: Zone,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Every(Every),
    Calendar(Calendar, Daylight),
}

impl Schedule {
    /// Reads an expression, such as `0 3 * * *` or `CRON_TZ=Asia/Tokyo @daily`.
    ///
    /// # Errors
    /// When the expression breaks a rule of this module; the error says which,
    /// where, and what would be right.
    pub fn parse(expr: &str, context: &Context<'_>) -> Result<Self, ScheduleError> {
        let (zone, rule) = grammar::parse(expr, context)?;
        Ok(Self { zone, rule })
    }

    /// The first slot strictly later than `at`; `None` when there is none until
    /// the end of 2199.
    pub fn next_after(&self, at: SlotTime) -> Option<SlotTime> {
        let at = at.unix_seconds();
        let next = match &self.rule {
            Rule::Every(every) => every.next_after(at),
            Rule::Calendar(calendar, daylight) => {
                daylight::next_after(calendar, *daylight, &self.zone, at)
            }
        };
        next.map(SlotTime::from_unix_seconds)
    }

    /// Whether no slot exists at all from 1970 to 2199, as for `0 0 30 2 *`.
    pub fn is_never(&self) -> bool {
        self.next_after(SlotTime::from_unix_seconds(i64::MIN)).is_none()
    }

    /// The zone whose clock the schedule follows.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The normal form: zone, then fields with `H` and macros resolved. Reading
    /// it gives an equal schedule, whatever the job and the default zone.
    pub fn canonical(&self) -> String {
        self.to_string()
    }
}

/// The normal form, `CRON_TZ=Europe/Berlin 0 30 2 * * *`.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CRON_TZ={} ", self.zone)?;
        match &self.rule {
            Rule::Every(every) => write!(f, "@every {}s", every.seconds()),
            Rule::Calendar(calendar, daylight) => canonical::write_fields(f, calendar, *daylight),
        }
    }
}

/// The schedules of one job together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleSet {
    schedules: Vec<Schedule>,
}

impl ScheduleSet {
    /// The union of `schedules`; never due when there are none.
    pub fn new(schedules: Vec<Schedule>) -> Self {
        Self { schedules }
    }

    /// The first slot of any of them strictly later than `at`; an instant that
    /// several of them name is one slot.
    pub fn next_after(&self, at: SlotTime) -> Option<SlotTime> {
        self.schedules.iter().filter_map(|schedule| schedule.next_after(at)).min()
    }

    /// Whether none of them has a slot from 1970 to 2199.
    pub fn is_never(&self) -> bool {
        self.schedules.iter().all(Schedule::is_never)
    }

    /// The schedules, in the order in which they were given.
    pub fn schedules(&self) -> &[Schedule] {
        &self.schedules
    }
}
