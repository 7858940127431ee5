//! Generated expressions that know their own meaning: the sets grow beside the
//! text, and nothing of the parser is used.

use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::{Date, DateTime};
use proptest::prelude::*;
use proptest::sample::select;

/// One field as text, and what it means.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) values: BTreeSet<u32>,
    pub(super) starred: bool,
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
pub(super) fn field(low: u32, high: u32, from: u32, to: u32) -> BoxedStrategy<Written> {
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
pub(super) struct Days {
    text: String,
    rule: Option<Rule>,
}

#[derive(Debug, Clone)]
pub(super) enum Rule {
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
pub(super) struct Expression {
    pub(super) second: Option<Written>,
    pub(super) minute: Written,
    pub(super) hour: Written,
    pub(super) day_of_month: Days,
    pub(super) month: Written,
    pub(super) day_of_week: Days,
    pub(super) plus: bool,
}

pub(super) fn expression() -> impl Strategy<Value = Expression> {
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
    pub(super) fn text(&self) -> String {
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

    pub(super) fn matches_date(&self, date: Date) -> bool {
        let by_date = self.day_of_month.rule.as_ref().map(|rule| rule.matches(date));
        let by_weekday = self.day_of_week.rule.as_ref().map(|rule| rule.matches(date));
        let day = match (by_date, by_weekday) {
            (Some(a), Some(b)) if self.plus => a && b,
            (Some(a), Some(b)) => a || b,
            (a, b) => a.or(b).unwrap_or(true),
        };
        day && self.month.values.contains(&(date.month() as u32))
    }

    pub(super) fn matches_time(&self, at: DateTime) -> bool {
        self.hour.values.contains(&(at.hour() as u32))
            && self.minute.values.contains(&(at.minute() as u32))
            && match &self.second {
                Some(second) => second.values.contains(&(at.second() as u32)),
                None => at.second() == 0,
            }
    }

    pub(super) fn is_wildcard(&self) -> bool {
        self.minute.starred
            || self.hour.starred
            || self.second.as_ref().is_some_and(|second| second.starred)
    }
}
