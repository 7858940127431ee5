//! Generated lines: the table has the slots that cron would have run them at. What cron
//! does is written down here anew, from crontab(5): sets of values, and which day field
//! begins with a star.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::slot::SlotTime;

/// A field as text, and what cron makes of it.
#[derive(Debug, Clone)]
struct Field {
    text: String,
    values: BTreeSet<u32>,
}

impl Field {
    fn begins_with_a_star(&self) -> bool {
        self.text.starts_with('*')
    }
}

fn item(all: RangeInclusive<u32>, names: &'static [&'static str]) -> BoxedStrategy<Field> {
    let (low, high) = (*all.start(), *all.end());
    let values = |range: RangeInclusive<u32>, step: u32| range.step_by(step as usize).collect();
    let steps = 1..=high - low;
    let named = move |value: u32, by_name: bool| {
        let name = names.get((value - low) as usize).filter(|_| by_name);
        name.map_or(value.to_string(), |name| (*name).to_owned())
    };
    prop_oneof![
        2 => Just(Field { text: "*".into(), values: values(low..=high, 1) }),
        2 => steps.clone().prop_map(move |n| Field {
            text: format!("*/{n}"),
            values: values(low..=high, n),
        }),
        5 => (all.clone(), any::<bool>()).prop_map(move |(a, by_name)| Field {
            text: named(a, by_name),
            values: values(a..=a, 1),
        }),
        3 => (all.clone(), all, proptest::option::of(steps)).prop_map(move |(a, b, step)| {
            let (a, b) = (a.min(b), a.max(b));
            let step_text = step.map(|n| format!("/{n}")).unwrap_or_default();
            Field {
                text: format!("{a}-{b}{step_text}"),
                values: values(a..=b, step.unwrap_or(1)),
            }
        }),
    ]
    .boxed()
}

fn field(all: RangeInclusive<u32>, names: &'static [&'static str]) -> BoxedStrategy<Field> {
    proptest::collection::vec(item(all, names), 1..=3)
        .prop_map(|items| Field {
            text: items.iter().map(|item| item.text.as_str()).collect::<Vec<_>>().join(","),
            values: items.iter().flat_map(|item| item.values.iter().copied()).collect(),
        })
        .boxed()
}

const MONTHS: &[&str] =
    &["jan", "FEB", "Mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "MON", "Tue", "wed", "thu", "fri", "sat"];

/// A line, and what cron makes of it.
#[derive(Debug, Clone)]
struct Written {
    fields: [Field; 5],
}

fn written() -> impl Strategy<Value = Written> {
    let fields = [
        field(0..=59, &[]),
        field(0..=23, &[]),
        field(1..=31, &[]),
        field(1..=12, MONTHS),
        // To cron's sets 7 is a value of its own, and Sunday.
        field(0..=7, DAYS),
    ];
    fields.prop_map(|fields| Written { fields })
}

impl Written {
    fn is_due_on(&self, date: Date) -> bool {
        let [_, _, day_of_month, month, day_of_week] = &self.fields;
        let weekday = date.weekday().to_sunday_zero_offset() as u32;
        let by_month = day_of_month.values.contains(&(date.day() as u32));
        let by_week = day_of_week.values.contains(&weekday)
            || (weekday == 0 && day_of_week.values.contains(&7));
        let starred = day_of_month.begins_with_a_star() || day_of_week.begins_with_a_star();
        let day = if starred { by_month && by_week } else { by_month || by_week };
        day && month.values.contains(&(date.month() as u32))
    }

    /// The first `count` slots of the days from `first` on, in UTC.
    fn slots(&self, first: Date, days: usize, count: usize) -> Vec<SlotTime> {
        let [minutes, hours, ..] = &self.fields;
        let days = first.series(jiff::Span::new().days(1)).take(days);
        let times = hours
            .values
            .iter()
            .flat_map(|&hour| minutes.values.iter().map(move |&minute| (hour as i8, minute as i8)));
        days.filter(|date| self.is_due_on(*date))
            .flat_map(|date| times.clone().map(move |(hour, minute)| date.at(hour, minute, 0, 0)))
            .map(|at| SlotTime::from(at.to_zoned(TimeZone::UTC).unwrap().timestamp()))
            .take(count)
            .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_has_the_slots_at_which_cron_runs_the_line(
        written in written(),
        blank in proptest::sample::select(vec![" ", "\t", "  \t "]),
        year in 1990..2150i16,
        month in 1..=12i8,
    ) {
        const DAYS: usize = 3 * 365;
        const COUNT: usize = 40;
        let fields = written.fields.each_ref().map(|field| field.text.as_str());
        let line = format!("{}{blank}true\n", fields.join(blank));
        let table = jobs(&config(&line));
        let job = table.iter().next().expect("it has a job");

        let first = Date::new(year, month, 1).unwrap();
        let begin = first.to_zoned(TimeZone::UTC).unwrap().timestamp().as_second();
        let end = begin + DAYS as i64 * 86_400;
        let next = |at: SlotTime| job.schedule.next_after(at);
        let slots: Vec<_> =
            std::iter::successors(next(SlotTime::from_unix_seconds(begin - 1)), |&at| next(at))
                .take_while(|at| at.unix_seconds() < end)
                .take(COUNT)
                .collect();
        prop_assert_eq!(slots, written.slots(first, DAYS, COUNT), "{}", line);
    }
}

#[test]
fn the_macros_of_cron_are_those_of_a_table() {
    for (macro_, fields) in [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
    ] {
        let table = jobs(&config(&format!("{macro_} true\n{fields} true\n")));
        let all: Vec<_> = table.iter().map(|job| &job.schedule).collect();
        assert_eq!(all[0], all[1], "{macro_}");
    }
}
