//! Generated schedules against a slow reading of the rules that shares no code
//! with the module: it takes the instants of UTC one by one, or all local times
//! of a date, and asks jiff about each.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use proptest::sample::select;

use super::written::{Expression, Written, expression, field};
use super::*;

impl Expression {
    /// The slots of `from..to` in `zone`, by walking.
    fn walk(&self, zone: &TimeZone, from: i64, to: i64) -> BTreeSet<i64> {
        let local = |at: i64| zone.to_datetime(Timestamp::from_second(at).unwrap());
        if self.is_wildcard() {
            let shown = |at: &i64| {
                let local = local(*at);
                self.matches_time(local) && self.matches_date(local.date())
            };
            // Without seconds a slot is on a whole minute of a clock that is at most
            // half a minute off UTC's, in all the zones of the seams.
            let step = if self.second.is_some() { 1 } else { 30 };
            return (from..to).step_by(step).filter(shown).collect();
        }
        // Every second of every local date around, whether the clock shows it or not.
        let mut found = BTreeSet::new();
        let days = local(from).date().checked_sub(3.days()).unwrap().series(1.day());
        for date in days.take_while(|d| *d <= local(to).date() + 3.days()) {
            if !self.matches_date(date) {
                continue;
            }
            for (hour, minute, second) in self.times() {
                found.extend(slot_of(zone, date.at(hour, minute, second, 0)));
            }
        }
        found.into_iter().filter(|at| (from..to).contains(at)).collect()
    }

    fn times(&self) -> impl Iterator<Item = (i8, i8, i8)> + '_ {
        let seconds = self.second.as_ref().map_or([0].into(), |s| s.values.clone());
        self.hour.values.iter().flat_map(move |hour| {
            let seconds = seconds.clone();
            self.minute.values.iter().flat_map(move |minute| {
                let (hour, minute) = (*hour as i8, *minute as i8);
                seconds.clone().into_iter().map(move |second| (hour, minute, second as i8))
            })
        })
    }
}

/// When a fixed local time is due, as jiff sees it.
fn slot_of(zone: &TimeZone, local: DateTime) -> Option<i64> {
    let answer = zone.to_ambiguous_timestamp(local);
    match answer.offset() {
        AmbiguousOffset::Unambiguous { .. } => Some(answer.unambiguous().unwrap().as_second()),
        AmbiguousOffset::Fold { .. } => Some(answer.earlier().unwrap().as_second()),
        AmbiguousOffset::Gap { before, after } => {
            let before_it = answer.earlier().unwrap();
            let change = zone.following(before_it).next().unwrap().timestamp();
            let gap = after.seconds() - before.seconds();
            (gap <= 3 * 3600).then(|| change.as_second())
        }
    }
}

/// Zones, and instants near changes of their clocks.
const SEAMS: [(&str, &str); 30] = [
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("Europe/London", "2026-03-29T01:00:00Z"),
    ("Europe/Dublin", "2026-10-25T01:00:00Z"),
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("America/Sao_Paulo", "2018-02-18T02:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("Pacific/Kwajalein", "1993-08-21T12:00:00Z"),
    ("America/Metlakatla", "2015-11-01T10:00:00Z"),
    ("Antarctica/Troll", "2026-03-29T01:00:00Z"),
    ("Antarctica/Troll", "2026-10-25T01:00:00Z"),
    ("Antarctica/Casey", "2009-10-17T18:00:00Z"),
    ("Antarctica/Casey", "2010-03-04T15:00:00Z"),
    ("Africa/Casablanca", "2026-02-15T02:00:00Z"),
    ("Africa/Cairo", "2026-04-23T22:00:00Z"),
    ("America/Havana", "2015-03-08T05:00:00Z"),
    ("America/Havana", "2015-11-01T05:00:00Z"),
    ("America/Nuuk", "2023-03-26T01:00:00Z"),
    ("Asia/Tehran", "2021-03-21T20:30:00Z"),
    ("Asia/Pyongyang", "2015-08-14T15:00:00Z"),
    ("Asia/Kathmandu", "1985-12-31T18:30:00Z"),
    ("America/Caracas", "2007-12-09T07:00:00Z"),
    ("Pacific/Enderbury", "1994-12-31T11:00:00Z"),
    ("Africa/Monrovia", "1972-01-07T00:44:30Z"),
    ("America/St_Johns", "2000-04-02T03:31:00Z"),
    ("UTC", "2028-02-29T12:00:00Z"),
];

/// What `next_after` finds in `from..to`, checking that it only goes forward.
fn found(schedule: &Schedule, from: i64, to: i64) -> BTreeSet<i64> {
    let mut found = BTreeSet::new();
    let mut at = from - 1;
    while let Some(next) = schedule.next_after(SlotTime::from_unix_seconds(at)) {
        let next = next.unix_seconds();
        assert!(next > at, "{schedule}: from {at} to {next}");
        if next >= to {
            break;
        }
        found.insert(next);
        at = next;
    }
    found
}

#[test]
fn the_seams_are_seams() {
    for (name, near) in SEAMS {
        let zone = Zone::named(name).unwrap();
        let near = near.parse::<Timestamp>().unwrap();
        let offset = |hours: i64| zone.time_zone().to_offset(near + hours.hours());
        assert!(offset(-12) != offset(12) || name == "UTC", "{name} {near}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn slots_agree_with_a_walk_over_the_clock_where_it_changes(
        expression in expression(),
        (zone, near) in select(SEAMS.to_vec()),
        before in 100..3_300i64,
    ) {
        let schedule = super::schedule(&expression.text(), zone);
        let near = near.parse::<Timestamp>().unwrap().as_second();
        let (from, to) = (near - before * 30, near + 100_000);
        let walked = expression.walk(schedule.zone().time_zone(), from, to);
        prop_assert_eq!(&found(&schedule, from, to), &walked, "{} in {}", expression.text(), zone);
        // Asked in the middle, the answer is the same.
        for at in (from..to).step_by(1_801) {
            let next = schedule.next_after(SlotTime::from_unix_seconds(at));
            let next = next.map(SlotTime::unix_seconds).filter(|next| *next < to);
            prop_assert_eq!(next, walked.range(at + 1..).next().copied());
        }
    }

    #[test]
    fn dates_agree_with_a_walk_over_the_calendar(
        expression in expression(),
        year in 1970..2196i16,
    ) {
        let midnight = Written { text: "0".into(), values: [0].into(), starred: false };
        let expression =
            Expression { second: None, minute: midnight.clone(), hour: midnight, ..expression };
        let schedule = super::schedule(&expression.text(), "UTC");
        let first = Date::new(year, 1, 1).unwrap();
        let second = |date: Date| date.to_zoned(TimeZone::UTC).unwrap().timestamp().as_second();
        let walked: BTreeSet<i64> = first
            .series(1.day())
            .take(3 * 365)
            .filter(|date| expression.matches_date(*date))
            .map(second)
            .collect();
        let last = second(first + (3 * 365).days());
        prop_assert_eq!(found(&schedule, second(first), last), walked, "{}", expression.text());
    }

    #[test]
    fn the_normal_form_reads_back_as_the_same_schedule(
        expression in expression(),
        drawn in proptest::option::of(("H", 1..=60u32, any::<bool>())),
        year in proptest::option::of(field(1970, 2199, 1970, 2199)),
        zone in select(vec!["UTC", "Europe/Berlin"]),
    ) {
        let mut expression = expression;
        if let Some((h, n, step)) = drawn {
            expression.minute.text = if step { format!("{h}/{n}") } else { h.to_owned() };
        }
        let text = match (&expression.second, year) {
            (Some(_), Some(year)) => format!("{} {}", expression.text(), year.text),
            _ => expression.text(),
        };
        let schedule = super::schedule(&text, zone);
        let normal = schedule.canonical();
        let utc = Zone::utc();
        let bare = Context { job: None, timezone: None, default_timezone: &utc };
        let again = Schedule::parse(&normal, &bare);
        prop_assert_eq!(again.as_ref(), Ok(&schedule), "{} as {}", text, normal);
        prop_assert_eq!(again.unwrap().canonical(), normal);
    }

    #[test]
    fn any_text_is_read_or_refused_with_a_span_inside_it(
        text in prop_oneof![
            "\\PC{0,40}",
            "[-0-9*/,?LW#+HJANMOF()=@ \t]{0,40}",
            "([-0-9*/,?LW#+H]{1,6} ){4,6}[-0-9*/,?LW#+H]{1,6}",
            "(CRON_TZ|TZ)=[A-Za-z/_]{0,12} [*0-9 ]{0,12}",
            "@[a-zA-Z]{0,8} ?[0-9hmsd.]{0,22}",
        ],
        named in any::<bool>(),
    ) {
        let (utc, job) = (Zone::utc(), JobName::new("a").unwrap());
        let context = Context { job: named.then_some(&job), timezone: None, default_timezone: &utc };
        match Schedule::parse(&text, &context) {
            Ok(schedule) => {
                schedule.next_after("2026-01-01T00:00:00Z".parse().unwrap());
                let normal = schedule.canonical();
                prop_assert_eq!(Schedule::parse(&normal, &context), Ok(schedule));
            }
            Err(error) => {
                let part = text.get(error.span.clone());
                prop_assert!(part.is_some_and(|p| !p.is_empty() || text.is_empty()), "{:?}", error);
                prop_assert!(!error.message.contains('\n'));
            }
        }
    }

    #[test]
    fn slots_only_go_forward_over_all_the_years(
        expression in expression(),
        zone in select(vec!["America/New_York", "Pacific/Apia", "Africa/Casablanca", "Asia/Gaza"]),
        start in -86_400..7_258_118_400i64,
        leap in 1..40_000_000i64,
    ) {
        let schedule = super::schedule(&expression.text(), zone);
        let mut at = start;
        for _ in 0..30 {
            let Some(next) = schedule.next_after(SlotTime::from_unix_seconds(at)) else { break };
            prop_assert!(next.unix_seconds() > at);
            // Asked from just before, a slot is still a slot.
            let before = SlotTime::from_unix_seconds(next.unix_seconds() - 1);
            prop_assert_eq!(schedule.next_after(before), Some(next));
            at = next.unix_seconds() + leap;
        }
    }
}
