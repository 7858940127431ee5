//! The two fields that choose days, with what only they take.

use super::calendar::{DayOfMonth, DayOfWeek, Join};
use super::error::ScheduleError;
use super::field::{Field, Values};
use super::item::Reader;
use super::piece::Piece;
use crate::name::JobName;

/// Only a bare `*` or `?` leaves the choice to the other day field: `*/2`, and
/// `*` in a list, restrict.
fn is_unrestricted(text: Piece<'_>) -> bool {
    matches!(text.text, "*" | "?")
}

/// Reads day-of-month: `L`, `LW` and `15W` beside the usual items.
pub(super) fn day_of_month(
    text: Piece<'_>,
    job: Option<&JobName>,
) -> Result<DayOfMonth, ScheduleError> {
    if is_unrestricted(text) {
        return Ok(DayOfMonth::Unrestricted);
    }
    if text.is("LW") {
        return Ok(DayOfMonth::LastWeekday);
    }
    let reader = Reader { field: Field::DayOfMonth, job };
    if let Some(day) = text.strip_last(b'W').filter(|day| day.is_number()) {
        // A day of the month is at most 31.
        return Ok(DayOfMonth::NearestWeekday(reader.value(day)? as u8));
    }
    let mut listed = Values::none(Field::DayOfMonth);
    let mut last = false;
    for item in text.items() {
        if item.is("L") {
            last = true;
        } else {
            refuse_in_day_of_month(item)?;
            reader.add_item(&mut listed, item, text)?;
        }
    }
    Ok(DayOfMonth::Days { listed: listed.word() as u32, last })
}

fn refuse_in_day_of_month(item: Piece<'_>) -> Result<(), ScheduleError> {
    let starts_with = |letter: u8| {
        item.text.as_bytes().first().is_some_and(|first| first.eq_ignore_ascii_case(&letter))
    };
    let in_list = item.is("LW") || item.strip_last(b'W').is_some_and(Piece::is_number);
    if in_list {
        return Err(item
            .error(format!("{} cannot stand in a list", item.shown()))
            .help("give the job a list of schedules: each instant counts once"));
    }
    if starts_with(b'W') && item.from(1).is_number() {
        return Err(item
            .error(format!("{} is the wrong way round", item.shown()))
            .help(format!("write {}W", item.from(1).text)));
    }
    if starts_with(b'L') && item.text[1..].starts_with('-') {
        return Err(item
            .error("an offset from the last day of the month is not supported")
            .help("`L` is the last day, `LW` the last day from Monday to Friday"));
    }
    let weekday = item
        .strip_last(b'L')
        .filter(|day| day.is_number() || Field::DayOfWeek.value_of_name(day.text).is_some());
    if weekday.is_some() {
        return Err(item
            .error(format!("{} belongs in day-of-week", item.shown()))
            .help("the last day of the month is `L`"));
    }
    Ok(())
}

/// Reads day-of-week: `+`, `5L`, `FRI#L` and `FRI#2` beside the usual items.
pub(super) fn day_of_week(
    text: Piece<'_>,
    job: Option<&JobName>,
) -> Result<(DayOfWeek, Join), ScheduleError> {
    let (list, join) = match text.text.strip_prefix('+') {
        Some("") => {
            return Err(text
                .error("`+` needs days behind it")
                .help("`+FRI` is a Friday that day-of-month matches, too"));
        }
        Some(_) => (text.from(1), Join::Both),
        None => (text, Join::Either),
    };
    // `?` stands alone, also without a `+`.
    if is_unrestricted(text) || list.text == "*" {
        return Ok((DayOfWeek::Unrestricted, Join::Either));
    }
    let reader = Reader { field: Field::DayOfWeek, job };
    let mut weekly = Values::none(Field::DayOfWeek);
    let mut monthly = [0; 7];
    for item in list.items() {
        match in_month(reader, item)? {
            Some((day, bit)) => monthly[day as usize] |= 1 << bit,
            None => {
                reader.add_item(&mut weekly, item, list)?;
            }
        }
    }
    Ok((DayOfWeek::Days { weekly: weekly.word() as u8, monthly }, join))
}

/// `5L`, `FRI#L` and `FRI#2`: the day, and its bit in [`DayOfWeek::Days`].
fn in_month(reader: Reader<'_>, item: Piece<'_>) -> Result<Option<(u32, u8)>, ScheduleError> {
    if item.is("L") {
        return Err(item
            .error("`L` alone does not say which day of the week")
            .help("the last Friday of the month is `5L` or `FRI#L`"));
    }
    if let Some((day, place)) = item.split_once('#') {
        if day.text.contains('-') {
            return Err(item
                .error("a range cannot take `#`")
                .help("list the days, such as FRI#2,SAT#2"));
        }
        if day.is_empty() {
            return Err(item.error("`#` needs a day before it").help("such as FRI#2 or FRI#L"));
        }
        let day = reader.value(day)? % 7;
        return match place.text {
            "L" | "l" => Ok(Some((day, DayOfWeek::LAST))),
            "1" | "2" | "3" | "4" | "5" => Ok(Some((day, place.text.as_bytes()[0] - b'0'))),
            _ => Err(item
                .error(format!("behind `#` stands 1 to 5 or L, not {}", place.shown()))
                .help("`FRI#2` is the second Friday of the month, `FRI#L` the last")),
        };
    }
    let Some(day) = item.strip_last(b'L') else { return Ok(None) };
    if day.text.contains('-') {
        return Err(item
            .error("a range cannot take `L`")
            .help("list the days, such as FRI#L,SAT#L"));
    }
    if day.is_number() || Field::DayOfWeek.value_of_name(day.text).is_some() {
        return Ok(Some((reader.value(day)? % 7, DayOfWeek::LAST)));
    }
    Ok(None)
}
