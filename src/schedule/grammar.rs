//! From text to a schedule: the zone before the fields, macros, and the fields.

use super::calendar::{Calendar, Join};
use super::daylight::Daylight;
use super::days::{day_of_month, day_of_week};
use super::error::{ScheduleError, nearest};
use super::every::Every;
use super::field::{Field, Values};
use super::item::{Reader, Star};
use super::piece::Piece;
use super::zone::Zone;
use super::{Context, Rule};
use crate::name::JobName;

/// What each macro stands for.
const MACROS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Reads a whole expression.
pub(super) fn parse(expr: &str, context: &Context<'_>) -> Result<(Zone, Rule), ScheduleError> {
    let text = Piece::trimmed(expr);
    if text.is_empty() {
        return Err(ScheduleError::new("a schedule cannot be empty", 0..expr.len())
            .help("write five fields such as `0 3 * * *`, or `@daily`"));
    }
    let (zone, body) = zone_and_body(text, context)?;
    let rule = if body.text.starts_with('@') {
        at_word(body, context.job)?
    } else {
        fields(body, context.job)?
    };
    Ok((zone, rule))
}

/// `CRON_TZ=` or `TZ=` before the fields, else the zone of the context.
fn zone_and_body<'a>(
    text: Piece<'a>,
    context: &Context<'_>,
) -> Result<(Zone, Piece<'a>), ScheduleError> {
    let (word, body) = text.first_word();
    let is_name = |key: Piece<'_>| {
        key.text.len() > 1 && key.text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_')
    };
    let Some((key, name)) = word.split_once('=').filter(|(key, _)| is_name(*key)) else {
        let zone = context.timezone.unwrap_or(context.default_timezone);
        return Ok((zone.clone(), text));
    };
    if !matches!(key.text, "CRON_TZ" | "TZ") {
        return Err(word
            .error(format!("{} cannot stand before the fields", word.shown()))
            .help("only `CRON_TZ=ZONE` or `TZ=ZONE` can"));
    }
    if let Some(own) = context.timezone {
        return Err(word
            .error(format!("the job has a time zone already: timezone = \"{own}\""))
            .help("remove one of the two"));
    }
    let zone = Zone::named(name.text).map_err(|unknown| {
        let at = if name.is_empty() { word } else { name };
        at.error(format!("unknown time zone {}", name.shown())).help(unknown.help())
    })?;
    if body.is_empty() {
        return Err(text.error("a time zone without fields behind it is no schedule"));
    }
    Ok((zone, body))
}

/// `@daily`, `@every 90s` and their like.
fn at_word(body: Piece<'_>, job: Option<&JobName>) -> Result<Rule, ScheduleError> {
    let (word, rest) = body.first_word();
    if word.is("@every") {
        if rest.is_empty() {
            return Err(word.error("`@every` needs a duration").help("such as `@every 90s`"));
        }
        return Every::parse(rest).map(Rule::Every);
    }
    if word.is("@reboot") {
        return Err(word
            .error("a cluster has no reboot: its replicas start one by one, at any time")
            .help("run the command from the service manager, or give it a schedule"));
    }
    let Some((_, meaning)) = MACROS.iter().find(|(name, _)| word.is(name)) else {
        return Err(unknown_macro(word));
    };
    if !rest.is_empty() {
        return Err(rest.error(format!("{} stands alone", word.shown())));
    }
    fields(Piece::trimmed(meaning), job)
}

fn unknown_macro(word: Piece<'_>) -> ScheduleError {
    let known: Vec<&str> = MACROS.iter().map(|(name, _)| *name).chain(["@every"]).collect();
    let error = word.error(format!("there is no {}", word.shown()));
    if word.text.get(..6).is_some_and(|head| head.eq_ignore_ascii_case("@every")) {
        return error.help("write `@every 5m`, with a blank");
    }
    let candidates = known.iter().map(|name| (name.to_string(), name.to_string()));
    match nearest(word.text, candidates).first() {
        Some(name) => error.help(format!("did you mean `{name}`?")),
        None => error.help(format!("there are {}", known.join(", "))),
    }
}

/// Five, six or seven fields.
fn fields(body: Piece<'_>, job: Option<&JobName>) -> Result<Rule, ScheduleError> {
    let words: Vec<Piece<'_>> = body.words().take(8).collect();
    let (second, rest, year) = match words.len() {
        5 => (None, &words[..], None),
        6 => (Some(words[0]), &words[1..], None),
        7 => (Some(words[0]), &words[1..6], Some(words[6])),
        _ => return Err(wrong_count(body)),
    };
    let read = |field, text| Reader { field, job }.values(text);
    let (seconds, second_star) = match second {
        Some(text) => read(Field::Second, text)?,
        None => (Values::one(Field::Second, 0), Star::Absent),
    };
    let (minutes, minute_star) = read(Field::Minute, rest[0])?;
    let (hours, hour_star) = read(Field::Hour, rest[1])?;
    let day_of_month = day_of_month(rest[2], job)?;
    let (months, _) = read(Field::Month, rest[3])?;
    let (day_of_week, join) = day_of_week(rest[4], job)?;
    let years = match year {
        Some(text) => read(Field::Year, text)?.0,
        None => Values::all(Field::Year),
    };
    let calendar = Calendar {
        seconds: seconds.word(),
        minutes: minutes.word(),
        hours: hours.word() as u32,
        months: months.word() as u16,
        day_of_month,
        day_of_week,
        // Without a second restricted field there is nothing to join.
        join: if day_of_month.is_unrestricted() { Join::Either } else { join },
        years: years.years(),
    };
    let daylight = if [second_star, minute_star, hour_star].contains(&Star::Present) {
        Daylight::Wildcard
    } else {
        Daylight::FixedTime
    };
    Ok(Rule::Calendar(calendar, daylight))
}

fn wrong_count(body: Piece<'_>) -> ScheduleError {
    let count = body.words().count();
    let error = body.error(format!("a schedule has 5, 6 or 7 fields, this has {count}"));
    let word = format!("@{}", body.first_word().0.text);
    let is_macro = |name: &str| name.eq_ignore_ascii_case(&word);
    if is_macro("@every") || MACROS.iter().any(|(name, _)| is_macro(name)) {
        return error.help(format!("did you mean `{}`?", word.to_ascii_lowercase()));
    }
    error.help("5: minute hour day-of-month month day-of-week; 6: second first; 7: year last, too")
}
