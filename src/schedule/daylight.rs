//! Where the calendar meets the clock on the wall: summer time and other jumps.
//!
//! Local time is followed stretch by stretch; within one it is UTC plus a
//! constant. Two kinds of schedule meet the seams differently:
//!
//! - A **fixed-time** schedule means "when the clock first comes to this time".
//!   So it looks only at local times above all that the clock has shown so far
//!   ([`Stretch::reached`]): a repeated time counts in its first pass, and times
//!   that were jumped over count together, once, at the first instant behind the
//!   gap. A gap over three hours is no summer time but a zone that moved on the
//!   map; what it swallowed is not made up for.
//! - A **wildcard** schedule means "whenever the clock shows this time". It takes
//!   each stretch as it is: skipped times do not exist, and repeated ones are
//!   slots in both passes.
//!
//! [`Stretch::reached`]: super::zone::Stretch

use super::calendar::{Calendar, LocalTime};
use super::zone::Zone;

/// How a schedule meets changes of the local clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Daylight {
    /// No `*` and no `H/n` in second, minute and hour; lists and ranges are fixed.
    FixedTime,
    /// A `*` or an `H/n` in one of them.
    Wildcard,
}

/// The longest gap whose skipped times are made up for, in seconds.
const LONGEST_GAP: i64 = 3 * 3600;

/// "There is no later match": later than any local time.
const NEVER: LocalTime = i64::MAX;

/// The first slot of `calendar` in `zone` later than `at`, in seconds since the
/// Unix epoch.
pub(super) fn next_after(
    calendar: &Calendar,
    daylight: Daylight,
    zone: &Zone,
    at: i64,
) -> Option<i64> {
    let stretches = zone.stretches();
    let earliest = at + 1;
    let current = zone.stretch_at(earliest);
    // The first match at or after `asked` is `found`: good for every question in between.
    let mut asked = NEVER;
    let mut found = NEVER;
    let mut first_match_from = |local: LocalTime| {
        if !(asked <= local && local <= found) {
            (asked, found) = (local, calendar.at_or_after(local).unwrap_or(NEVER));
        }
        found
    };
    for (index, stretch) in stretches.iter().enumerate().skip(current) {
        let start = earliest.max(stretch.from) + stretch.offset;
        let end = match stretches.get(index + 1) {
            Some(next) => next.from + stretch.offset,
            None => NEVER,
        };
        let shown = match daylight {
            Daylight::Wildcard => first_match_from(start),
            Daylight::FixedTime => {
                let at_seam = earliest <= stretch.from;
                let gap = stretch.local_start() - stretch.reached;
                if at_seam && gap > 0 && gap <= LONGEST_GAP {
                    let made_up_for = first_match_from(stretch.reached) < stretch.local_start();
                    if made_up_for {
                        return Some(stretch.from);
                    }
                }
                first_match_from(start.max(stretch.reached))
            }
        };
        if shown < end {
            return Some(shown - stretch.offset);
        }
    }
    None
}
