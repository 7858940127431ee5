//! The normal form of a schedule. `H` is resolved to numbers, macros are fields,
//! the zone is named, values are sorted and joined to ranges: the many ways to
//! write one set of fields become one, and a digest over it does not change with
//! the way that somebody happened to choose.
//!
//! The normal form is read by the same grammar. It needs one word of its own:
//! `H=7/15`, an `H/15` that drew 7. Numbers alone would lose that `H/15` follows
//! the clock through a change as `*/15` does.

use std::fmt::{self, Formatter, Write};

use super::Calendar;
use super::calendar::{DayOfMonth, DayOfWeek, Join};
use super::daylight::Daylight;
use super::field::{Field, Values};

/// Writes the fields of `calendar`: six, or seven when the years are restricted.
pub(super) fn write_fields(
    f: &mut Formatter<'_>,
    calendar: &Calendar,
    daylight: Daylight,
) -> fmt::Result {
    let word = |field, bits: u64| Values::from_bits(field, [bits, 0, 0, 0]);
    let times = [
        word(Field::Second, calendar.seconds),
        word(Field::Minute, calendar.minutes),
        word(Field::Hour, calendar.hours.into()),
    ];
    // One star is enough for the meaning. A field of all values takes one anyway;
    // otherwise it goes where it reads best.
    let starred = match daylight {
        Daylight::FixedTime => None,
        Daylight::Wildcard => {
            times.iter().min_by_key(|values| Starred::of(values).awkwardness(values.field()))
        }
    };
    for values in &times {
        let all = *values == Values::all(values.field());
        if starred == Some(values) || (starred.is_some() && all) {
            write_starred(f, values)?;
        } else {
            write_list(f, values)?;
        }
        f.write_char(' ')?;
    }
    write_day_of_month(f, calendar.day_of_month)?;
    f.write_char(' ')?;
    write_all_or_list(f, &word(Field::Month, calendar.months.into()))?;
    f.write_char(' ')?;
    write_day_of_week(f, calendar.day_of_week, calendar.join)?;
    let years = Values::from_bits(Field::Year, calendar.years.0);
    if years != Values::all(Field::Year) {
        f.write_char(' ')?;
        write_list(f, &years)?;
    }
    Ok(())
}

/// How a set of values can be written with a star.
enum Starred {
    /// `*`
    All,
    /// `*/n`: every `n`-th value from the smallest of the field on.
    Step(u32),
    /// `H=a/n`: every `n`-th value from `a` on.
    Drawn(u32, u32),
    /// `H=a/n` with the other values behind it; here `n` is the size of the
    /// field, so that it stands for `a` alone.
    Listed(u32),
}

impl Starred {
    fn of(values: &Values) -> Self {
        let field = values.field();
        let mut members = values.iter();
        let first = members.next().unwrap_or(field.first());
        let step = members.next().map_or(field.size(), |second| second - first);
        let mut stepped = Values::none(field);
        stepped.add(first..=field.last(), step);
        if stepped != *values {
            Self::Listed(first)
        } else if first > field.first() {
            Self::Drawn(first, step)
        } else if step == 1 {
            Self::All
        } else {
            Self::Step(step)
        }
    }

    /// Less is better. A step that leaves one value is a number in disguise.
    fn awkwardness(&self, field: Field) -> u32 {
        match *self {
            Self::All => 0,
            Self::Step(step) if step < field.size() => 1,
            Self::Drawn(_, step) if step < field.size() => 2,
            Self::Step(_) => 3,
            Self::Drawn(..) => 4,
            Self::Listed(_) => 5,
        }
    }
}

fn write_starred(f: &mut Formatter<'_>, values: &Values) -> fmt::Result {
    match Starred::of(values) {
        Starred::All => f.write_char('*'),
        Starred::Step(step) => write!(f, "*/{step}"),
        Starred::Drawn(first, step) => write!(f, "H={first}/{step}"),
        Starred::Listed(first) => {
            write!(f, "H={first}/{}", values.field().size())?;
            f.write_char(',')?;
            write_list(f, values)
        }
    }
}

/// `*` for all values: for the month, which has no second meaning of a star.
fn write_all_or_list(f: &mut Formatter<'_>, values: &Values) -> fmt::Result {
    if *values == Values::all(values.field()) { f.write_char('*') } else { write_list(f, values) }
}

/// The values in order, neighbours joined: `1,3-5`.
fn write_list(f: &mut Formatter<'_>, values: &Values) -> fmt::Result {
    let mut separator = "";
    let mut members = values.iter().peekable();
    while let Some(first) = members.next() {
        let mut last = first;
        while let Some(next) = members.next_if_eq(&(last + 1)) {
            last = next;
        }
        write!(f, "{separator}{first}")?;
        if last > first {
            write!(f, "-{last}")?;
        }
        separator = ",";
    }
    Ok(())
}

fn write_day_of_month(f: &mut Formatter<'_>, field: DayOfMonth) -> fmt::Result {
    match field {
        DayOfMonth::Unrestricted => f.write_char('*'),
        DayOfMonth::LastWeekday => f.write_str("LW"),
        DayOfMonth::NearestWeekday(day) => write!(f, "{day}W"),
        DayOfMonth::Days { listed, last } => {
            write_list(f, &Values::from_bits(Field::DayOfMonth, [listed.into(), 0, 0, 0]))?;
            match (last, listed) {
                (false, _) => Ok(()),
                (true, 0) => f.write_char('L'),
                (true, _) => f.write_str(",L"),
            }
        }
    }
}

fn write_day_of_week(f: &mut Formatter<'_>, field: DayOfWeek, join: Join) -> fmt::Result {
    let DayOfWeek::Days { weekly, monthly } = field else { return f.write_char('*') };
    if join == Join::Both {
        f.write_char('+')?;
    }
    write_list(f, &Values::from_bits(Field::DayOfWeek, [weekly.into(), 0, 0, 0]))?;
    let mut separator = if weekly == 0 { "" } else { "," };
    for (day, places) in monthly.iter().enumerate() {
        for place in (1..=DayOfWeek::LAST).filter(|place| places >> place & 1 == 1) {
            match place {
                DayOfWeek::LAST => write!(f, "{separator}{day}#L")?,
                _ => write!(f, "{separator}{day}#{place}")?,
            }
            separator = ",";
        }
    }
    Ok(())
}
