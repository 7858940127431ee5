//! Generated schedules against a slow reading of the rules that shares no code
//! with the module: it builds the sets while it writes the text, takes UTC
//! seconds one by one, and asks jiff what each local time is.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// One field as text, and what it means.
#[derive(Debug, Clone)]
struct Written {
    text: String,
    values: BTreeSet<u32>,
    starred: bool,
}

fn item(low: u32, high: u32, from: u32, to: u32, largest_step: u32) -> BoxedStrategy<Written> {
    let values =
        |range: std::ops::RangeInclusive<u32>, step: u32| range.step_by(step as usize).collect();
    let step = 1..=largest_step;
    prop_oneof![
        1 => Just(Written { text: "*".into(), values: values(low..=high, 1), starred: true }),
        2 => step.clone().prop_map(move |n| Written {
            text: format!("*/{n}"),
            values: values(low..=high, n),
            starred: true,
        }),
        6 => (from..=to).prop_map(move |a| Written {
            text: a.to_string(),
            values: values(a..=a, 1),
            starred: false,
        }),
        2 => (from..=to, step.clone()).prop_map(move |(a, n)| Written {
            text: format!("{a}/{n}"),
            values: values(a..=high, n),
            starred: false,
        }),
        3 => (from..=to, from..=to, proptest::option::of(step)).prop_map(move |(a, b, n)| {
            let (a, b) = (a.min(b), a.max(b));
            let text = n.map_or(format!("{a}-{b}"), |n| format!("{a}-{b}/{n}"));
            Written { text, values: values(a..=b, n.unwrap_or(1)), starred: false }
        }),
    ]
    .boxed()
}

/// A list of items over `low..=high` whose numbers are from `from..=to`.
fn field(low: u32, high: u32, from: u32, to: u32) -> BoxedStrategy<Written> {
    proptest::collection::vec(item(low, high, from, to, high - low + 1), 1..=3)
        .prop_map(|items| Written {
            text: items.iter().map(|i| i.text.as_str()).collect::<Vec<_>>().join(","),
            values: items.iter().flat_map(|i| i.values.iter().copied()).collect(),
            starred: items.iter().any(|i| i.starred),
        })
        .boxed()
}

/// A day field as text, and the days that it means; `None` leaves the other one alone.
#[derive(Debug, Clone)]
struct Days {
    text: String,
    rule: Option<Rule>,
}

#[derive(Debug, Clone)]
enum Rule {
    Dates { dates: BTreeSet<u32>, last: bool },
    LastWeekday,
    Nearest(u32),
    Weekdays { weekly: BTreeSet<u32>, nth: Vec<(u32, Option<u32>)> },
}

fn day_of_month() -> BoxedStrategy<Days> {
    let dates = || field(1, 31, 1, 31).prop_filter("a bare star", |f| f.text != "*");
    prop_oneof![
        4 => select(vec!["*", "?"]).prop_map(|text| Days { text: text.into(), rule: None }),
        4 => dates().prop_map(|f| Days {
            text: f.text,
            rule: Some(Rule::Dates { dates: f.values, last: false }),
        }),
        1 => dates().prop_map(|f| Days {
            text: format!("L,{}", f.text),
            rule: Some(Rule::Dates { dates: f.values, last: true }),
        }),
        1 => Just(Days {
            text: "L".into(),
            rule: Some(Rule::Dates { dates: BTreeSet::new(), last: true }),
        }),
        1 => Just(Days { text: "LW".into(), rule: Some(Rule::LastWeekday) }),
        2 => (1u32..=31).prop_map(|n| Days { text: format!("{n}W"), rule: Some(Rule::Nearest(n)) }),
    ]
    .boxed()
}

fn day_of_week() -> BoxedStrategy<Days> {
    let nth = || {
        proptest::collection::vec((0u32..=7, proptest::option::of(1u32..=5)), 1..=2).prop_map(
            |nth| {
                let text: Vec<_> = nth
                    .iter()
                    .map(|(day, n)| n.map_or(format!("{day}#L"), |n| format!("{day}#{n}")))
                    .collect();
                (text.join(","), nth.iter().map(|(day, n)| (day % 7, *n)).collect::<Vec<_>>())
            },
        )
    };
    let weekly = || field(0, 6, 0, 6).prop_filter("a bare star", |f| f.text != "*");
    prop_oneof![
        4 => select(vec!["*", "?"]).prop_map(|text| Days { text: text.into(), rule: None }),
        4 => weekly().prop_map(|f| Days {
            text: f.text,
            rule: Some(Rule::Weekdays { weekly: f.values, nth: vec![] }),
        }),
        2 => nth().prop_map(|(text, nth)| Days {
            text,
            rule: Some(Rule::Weekdays { weekly: BTreeSet::new(), nth }),
        }),
        1 => (weekly(), nth()).prop_map(|(f, (text, nth))| Days {
            text: format!("{},{text}", f.text),
            rule: Some(Rule::Weekdays { weekly: f.values, nth }),
        }),
    ]
    .boxed()
}

impl Rule {
    fn matches(&self, date: Date) -> bool {
        let day = date.day() as u32;
        let tomorrow_is_another_month = date.tomorrow().unwrap().month() != date.month();
        let works = |date: &Date| (1..=5).contains(&date.weekday().to_monday_one_offset());
        match self {
            Self::Dates { dates, last } => {
                dates.contains(&day) || (*last && tomorrow_is_another_month)
            }
            Self::LastWeekday => {
                works(&date)
                    && date
                        .series(1.day())
                        .skip(1)
                        .take_while(|d| d.month() == date.month())
                        .all(|d| !works(&d))
            }
            Self::Nearest(n) => {
                let Ok(wanted) = Date::new(date.year(), date.month(), *n as i8) else {
                    return false;
                };
                // Of all the weekdays of the month the one nearest to the date;
                // two that are as near do not occur around a weekend.
                let nearest = date
                    .first_of_month()
                    .series(1.day())
                    .take_while(|d| d.month() == date.month())
                    .filter(works)
                    .min_by_key(|d| (i32::from(d.day()) - i32::from(wanted.day())).abs());
                nearest == Some(date)
            }
            Self::Weekdays { weekly, nth } => {
                let weekday = date.weekday().to_sunday_zero_offset() as u32;
                weekly.contains(&weekday)
                    || nth.iter().any(|(d, n)| {
                        *d == weekday
                            && match n {
                                Some(n) => day.div_ceil(7) == *n,
                                None => (date + 7.days()).month() != date.month(),
                            }
                    })
            }
        }
    }
}

/// A whole expression, and its meaning.
#[derive(Debug, Clone)]
struct Expression {
    second: Option<Written>,
    minute: Written,
    hour: Written,
    day_of_month: Days,
    month: Written,
    day_of_week: Days,
    plus: bool,
}

fn expression() -> impl Strategy<Value = Expression> {
    let hour = prop_oneof![3 => field(0, 23, 0, 4), 1 => field(0, 23, 0, 23)];
    let month = prop_oneof![
        2 => Just(Written { text: "*".into(), values: (1..=12).collect(), starred: true }),
        1 => field(1, 12, 1, 12),
    ];
    (
        proptest::option::weighted(0.2, field(0, 59, 0, 59)),
        field(0, 59, 0, 59),
        hour,
        day_of_month(),
        month,
        day_of_week(),
        any::<bool>(),
    )
        .prop_map(|(second, minute, hour, day_of_month, month, day_of_week, plus)| {
            let plus = plus && day_of_week.rule.is_some();
            Expression { second, minute, hour, day_of_month, month, day_of_week, plus }
        })
}

impl Expression {
    fn text(&self) -> String {
        let second = self.second.as_ref().map_or(String::new(), |s| format!("{} ", s.text));
        let plus = if self.plus { "+" } else { "" };
        format!(
            "{second}{} {} {} {} {plus}{}",
            self.minute.text,
            self.hour.text,
            self.day_of_month.text,
            self.month.text,
            self.day_of_week.text
        )
    }

    fn matches_date(&self, date: Date) -> bool {
        let by_date = self.day_of_month.rule.as_ref().map(|rule| rule.matches(date));
        let by_weekday = self.day_of_week.rule.as_ref().map(|rule| rule.matches(date));
        let day = match (by_date, by_weekday) {
            (Some(a), Some(b)) if self.plus => a && b,
            (Some(a), Some(b)) => a || b,
            (a, b) => a.or(b).unwrap_or(true),
        };
        day && self.month.values.contains(&(date.month() as u32))
    }

    fn matches_time(&self, at: DateTime) -> bool {
        self.hour.values.contains(&(at.hour() as u32))
            && self.minute.values.contains(&(at.minute() as u32))
            && match &self.second {
                Some(second) => second.values.contains(&(at.second() as u32)),
                None => at.second() == 0,
            }
    }

    fn is_wildcard(&self) -> bool {
        self.minute.starred
            || self.hour.starred
            || self.second.as_ref().is_some_and(|second| second.starred)
    }

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
