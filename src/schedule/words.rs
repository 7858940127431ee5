//! A schedule in words, for people who do not read cron fields.

use std::fmt::Write;

use super::calendar::{Calendar, DayOfMonth, DayOfWeek, Join};
use super::field::{Field, Values};
use super::{Rule, Schedule};

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// So many times of day are named one by one.
const NAMED: usize = 6;

impl Schedule {
    /// What it says, such as `at 02:30 on Monday`; its zone is not part of it.
    pub fn in_words(&self) -> String {
        match &self.rule {
            Rule::Every(every) => format!("every {}", span(every.seconds())),
            Rule::Calendar(calendar, _) => of_calendar(calendar),
        }
    }
}

/// `10 seconds`, `1 hour 30 minutes`; one of a kind is named without its number.
fn span(seconds: i64) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    if let Some((_, unit)) = units.iter().find(|(length, _)| *length == seconds) {
        return (*unit).to_owned();
    }
    let (mut rest, mut parts) = (seconds, Vec::new());
    for (length, unit) in units {
        let count = rest / length;
        rest %= length;
        if count > 0 {
            parts.push(format!("{count} {unit}{}", if count == 1 { "" } else { "s" }));
        }
    }
    parts.join(" ")
}

fn of_calendar(calendar: &Calendar) -> String {
    let mut words = time_of_day(calendar);
    let (days, months) = (days(calendar), months(calendar));
    let is_fixed = words.starts_with("at ");
    match (days.is_empty(), is_fixed && months.is_empty()) {
        (false, _) => {
            words.push(' ');
            words.push_str(&days);
        }
        (true, true) => words.push_str(" every day"),
        (true, false) if is_fixed => words.push_str(" on every day"),
        (true, false) => {}
    }
    if !months.is_empty() {
        words.push_str(" in ");
        words.push_str(&months);
    }
    let years = Values::from_bits(Field::Year, calendar.years.0);
    if years != Values::all(Field::Year) {
        let _ = write!(words, ", {}", listed(&years, |year| year.to_string()));
    }
    words
}

fn months(calendar: &Calendar) -> String {
    let months = Values::from_bits(Field::Month, [calendar.months.into(), 0, 0, 0]);
    if months == Values::all(Field::Month) {
        return String::new();
    }
    listed(&months, |month| MONTHS[month as usize - 1].to_owned())
}

fn time_of_day(calendar: &Calendar) -> String {
    let word = |field, bits: u64| Values::from_bits(field, [bits, 0, 0, 0]);
    let seconds = word(Field::Second, calendar.seconds);
    let minutes = word(Field::Minute, calendar.minutes);
    let hours = word(Field::Hour, calendar.hours.into());
    let all = |values: &Values| *values == Values::all(values.field());
    let single = |values: &Values| {
        let mut members = values.iter();
        members.next().filter(|_| members.next().is_none())
    };
    let number = |value: u32| value.to_string();
    if let Some(named) = single(&seconds).and_then(|second| times(&hours, &minutes, second)) {
        return named;
    }
    // From the smallest field on, up to the first that leaves nothing out.
    let mut words = match (single(&seconds), steps(&seconds)) {
        (Some(0), _) => String::new(),
        (Some(second), _) => format!("second {second} of "),
        (None, _) if all(&seconds) => "every second of ".to_owned(),
        (None, Some(step)) => format!("every {step} seconds of "),
        (None, None) => format!("seconds {} of ", listed(&seconds, number)),
    };
    let every_minute = match (single(&minutes), steps(&minutes)) {
        _ if all(&minutes) => true,
        (Some(minute), _) => {
            let _ = write!(words, "minute {minute} of ");
            false
        }
        (None, Some(step)) => {
            let _ = write!(words, "every {step} minutes of ");
            false
        }
        (None, None) => {
            let _ = write!(words, "minutes {} of ", listed(&minutes, number));
            false
        }
    };
    if every_minute {
        words.push_str("every minute of ");
    }
    match steps(&hours) {
        _ if all(&hours) => words.push_str("every hour"),
        Some(step) => {
            let _ = write!(words, "every {step} hours");
        }
        None => {
            let _ = write!(words, "{}", listed(&hours, |hour| format!("{hour:02}:00")));
        }
    }
    shortened(&words)
}

/// What is said of all is not said of each.
fn shortened(words: &str) -> String {
    let mut words = words.to_owned();
    for (long, short) in [
        ("every second of every minute of every hour", "every second"),
        ("every minute of every hour", "every minute"),
        ("seconds of every minute", "seconds"),
        ("minutes of every hour", "minutes"),
    ] {
        words = words.replace(long, short);
    }
    words
}

/// `at 02:30 and 14:30`, where there are few.
fn times(hours: &Values, minutes: &Values, second: u32) -> Option<String> {
    let count = hours.iter().count() * minutes.iter().count();
    if count > NAMED {
        return None;
    }
    let named: Vec<_> = hours
        .iter()
        .flat_map(|hour| minutes.iter().map(move |minute| (hour, minute)))
        .map(|(hour, minute)| match second {
            0 => format!("{hour:02}:{minute:02}"),
            second => format!("{hour:02}:{minute:02}:{second:02}"),
        })
        .collect();
    Some(format!("at {}", joined(&named)))
}

/// The step, where the values are all that a step of more than one leads to from 0.
fn steps(values: &Values) -> Option<u32> {
    let field = values.field();
    let mut members = values.iter();
    let (first, second) = (members.next()?, members.next()?);
    let step = second - first;
    let mut stepped = Values::none(field);
    stepped.add(first..=field.last(), step);
    (first == 0 && step > 1 && stepped == *values && field.size().is_multiple_of(step))
        .then_some(step)
}

fn days(calendar: &Calendar) -> String {
    let (month, week) = (of_month(calendar.day_of_month), of_week(calendar.day_of_week));
    match (month.is_empty(), week.is_empty(), calendar.join) {
        (false, false, Join::Either) => format!("{month} or {week}"),
        (false, false, Join::Both) => {
            format!("{month} if that is {}", week.trim_start_matches("on "))
        }
        _ => month + &week,
    }
}

fn of_month(days: DayOfMonth) -> String {
    match days {
        DayOfMonth::Unrestricted => String::new(),
        DayOfMonth::LastWeekday => "on the last weekday of the month".to_owned(),
        DayOfMonth::NearestWeekday(day) => {
            format!("on the weekday nearest to day {day} of the month")
        }
        DayOfMonth::Days { listed: bits, last } => {
            let listed_days = Values::from_bits(Field::DayOfMonth, [bits.into(), 0, 0, 0]);
            let mut parts = Vec::new();
            if bits != 0 {
                parts.push(format!("day {}", listed(&listed_days, |day| day.to_string())));
            }
            if last {
                parts.push("the last day".to_owned());
            }
            format!("on {} of the month", joined(&parts))
        }
    }
}

fn of_week(days: DayOfWeek) -> String {
    let DayOfWeek::Days { weekly, monthly } = days else { return String::new() };
    let mut parts = Vec::new();
    if weekly != 0 {
        let weekly = Values::from_bits(Field::DayOfWeek, [weekly.into(), 0, 0, 0]);
        parts.push(listed(&weekly, |day| DAYS[day as usize].to_owned()));
    }
    for (bits, day) in monthly.into_iter().zip(DAYS) {
        for (number, word) in
            [(1, "first"), (2, "second"), (3, "third"), (4, "fourth"), (5, "fifth")]
        {
            if bits & (1 << number) != 0 {
                parts.push(format!("the {word} {day} of the month"));
            }
        }
        if bits & (1 << DayOfWeek::LAST) != 0 {
            parts.push(format!("the last {day} of the month"));
        }
    }
    format!("on {}", joined(&parts))
}

/// `8 to 18`, `1, 2 and 15`: three in a row or more are a range.
fn listed(values: &Values, name: impl Fn(u32) -> String) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for value in values.iter() {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == value => *last = value,
            _ => ranges.push((value, value)),
        }
    }
    let mut parts = Vec::new();
    for (first, last) in ranges {
        match last - first {
            0 => parts.push(name(first)),
            1 => parts.extend([name(first), name(last)]),
            _ => parts.push(format!("{} to {}", name(first), name(last))),
        }
    }
    joined(&parts)
}

fn joined(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [some @ .., last] => format!("{} and {last}", some.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use crate::schedule::{Context, Schedule, Zone};

    #[test]
    fn a_schedule_is_said_as_people_say_it() {
        let utc = Zone::utc();
        for (expression, words) in [
            ("* * * * * *", "every second"),
            ("*/10 * * * * *", "every 10 seconds"),
            ("* * * * *", "every minute"),
            ("*/15 * * * *", "every 15 minutes"),
            ("0 * * * *", "minute 0 of every hour"),
            ("30 5 * * * *", "second 30 of minute 5 of every hour"),
            ("0 3 * * *", "at 03:00 every day"),
            ("30 2,14 * * *", "at 02:30 and 14:30 every day"),
            ("0 0 3 * * 1", "at 03:00 on Monday"),
            ("15 30 4 * * *", "at 04:30:15 every day"),
            ("*/15 8-18 * * MON-FRI", "every 15 minutes of 08:00 to 18:00 on Monday to Friday"),
            ("0 0 L * *", "at 00:00 on the last day of the month"),
            ("0 0 1,15 * *", "at 00:00 on day 1 and 15 of the month"),
            ("0 0 1 1 *", "at 00:00 on day 1 of the month in January"),
            ("0 0 1 * 5", "at 00:00 on day 1 of the month or on Friday"),
            ("0 0 13 * +5", "at 00:00 on day 13 of the month if that is Friday"),
            ("0 0 * * FRI#L", "at 00:00 on the last Friday of the month"),
            ("0 0 LW * *", "at 00:00 on the last weekday of the month"),
            ("0 0 15W * *", "at 00:00 on the weekday nearest to day 15 of the month"),
            ("0 3 * 6-8 *", "at 03:00 on every day in June to August"),
            ("0 0 3 22 11 * 2026", "at 03:00 on day 22 of the month in November, 2026"),
            ("0 */2 * * *", "minute 0 of every 2 hours"),
            ("@every 10s", "every 10 seconds"),
            ("@every 1h30m", "every 1 hour 30 minutes"),
            ("@every 1d", "every day"),
        ] {
            let context = Context { job: None, timezone: None, default_timezone: &utc };
            let schedule = Schedule::parse(expression, &context).unwrap();
            assert_eq!(schedule.in_words(), words, "{expression}");
        }
    }
}
