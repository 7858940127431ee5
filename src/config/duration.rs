//! Durations as people write them: integers with a unit, joined from large to
//! small, such as `30s` or `1h30m`.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::invalid::InvalidValue;

/// The units and what each is in milliseconds, from large to small.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration such as `500ms`, `30s` or `1h30m`.
pub fn parse(text: &str) -> Result<Duration, InvalidValue> {
    let whole = 0..text.len();
    if text.is_empty() {
        return Err(InvalidValue::new(whole, "a duration cannot be empty").help("write \"30s\""));
    }
    let mut millis: u64 = 0;
    let mut at = 0;
    let mut next_unit = 0;
    while at < text.len() {
        let rest = &text[at..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if digits == 0 {
            return Err(not_a_number(text, at));
        }
        let after = &rest[digits..];
        let letters = after.find(|c: char| !(c.is_alphabetic() || c == 'µ')).unwrap_or(after.len());
        let unit = &after[..letters];
        let end = at + digits + letters;
        if unit.is_empty() {
            return Err(no_unit(text, at, digits));
        }
        let Some(index) = UNITS.iter().position(|(name, _)| *name == unit) else {
            return Err(unknown_unit(text, unit, at + digits));
        };
        if index < next_unit {
            return Err(InvalidValue::new(at..end, "units go from large to small, each once")
                .help("write \"1h30m\""));
        }
        next_unit = index + 1;
        let part = rest[..digits]
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(UNITS[index].1));
        millis = part
            .and_then(|part| millis.checked_add(part))
            .ok_or_else(|| InvalidValue::new(at..end, "this duration is too long to count"))?;
        at = end;
    }
    Ok(Duration::from_millis(millis))
}

fn not_a_number(text: &str, at: usize) -> InvalidValue {
    let bad = text[at..].chars().next().unwrap_or(' ');
    let span = at..at + bad.len_utf8();
    match bad {
        '-' => InvalidValue::new(span, "a duration cannot be negative"),
        '+' => InvalidValue::new(span, "a duration takes no sign"),
        c if c.is_whitespace() => blank(text, span),
        _ => InvalidValue::new(0..text.len(), "this is not a duration").help(
            "a duration is an integer with a unit: \"500ms\", \"30s\", \"5m\", \"1h30m\", \"7d\"",
        ),
    }
}

fn no_unit(text: &str, at: usize, digits: usize) -> InvalidValue {
    let number = &text[at..at + digits];
    let end = at + digits;
    match text[end..].chars().next() {
        Some('.' | ',') => InvalidValue::new(0..text.len(), "a duration has no fractions")
            .help("take a smaller unit: \"1500ms\" is a second and a half"),
        Some(c) if c.is_whitespace() => blank(text, end..end + c.len_utf8()),
        Some(_) => not_a_number(text, end),
        None => InvalidValue::new(at..end, format!("`{number}` has no unit"))
            .help(format!("write \"{text}s\" for seconds; the units are ms, s, m, h, d")),
    }
}

fn blank(text: &str, span: Range<usize>) -> InvalidValue {
    InvalidValue::new(span, "a duration has no blanks")
        .help(meant(text).unwrap_or_else(|| "write \"1h30m\"".to_owned()))
}

fn unknown_unit(text: &str, unit: &str, at: usize) -> InvalidValue {
    let help = meant(text).unwrap_or_else(|| match unit.to_lowercase().as_str() {
        "w" | "week" | "weeks" => "a week is \"7d\"".to_owned(),
        "y" | "year" | "years" => "a year is \"365d\"".to_owned(),
        _ => "the units are ms, s, m, h, d".to_owned(),
    });
    InvalidValue::new(at..at + unit.len(), format!("`{unit}` is not a unit of time")).help(help)
}

/// The duration that someone meant who wrote units in words, or blanks.
fn meant(text: &str) -> Option<String> {
    let mut guess = String::new();
    let packed: String = text.to_lowercase().split_whitespace().collect();
    let mut rest = packed.as_str();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        guess.push_str(number);
        guess.push_str(match unit {
            "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => "ms",
            "s" | "sec" | "secs" | "second" | "seconds" => "s",
            "m" | "min" | "mins" | "minute" | "minutes" => "m",
            "h" | "hr" | "hrs" | "hour" | "hours" => "h",
            "d" | "day" | "days" => "d",
            _ => return None,
        });
        rest = next;
    }
    parse(&guess).is_ok().then(|| format!("did you mean \"{guess}\"?"))
}

/// Writes a duration as [`parse`] reads it: `1h30m`. Parts below a millisecond are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Human(pub Duration);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let mut text = String::new();
        for (unit, size) in UNITS {
            if left >= size {
                text.push_str(&format!("{}{unit}", left / size));
                left %= size;
            }
        }
        f.pad(if text.is_empty() { "0s" } else { &text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_integers_with_units_from_large_to_small() {
        for (text, millis) in [
            ("0s", 0),
            ("1ms", 1),
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("007s", 7_000),
            ("30d", 2_592_000_000),
            ("90m", 5_400_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_says_what_and_where() {
        for (text, at, message) in [
            ("", "", "a duration cannot be empty"),
            ("30", "30", "`30` has no unit"),
            ("1h30", "30", "`30` has no unit"),
            ("30sec", "sec", "`sec` is not a unit of time"),
            ("2w", "w", "`w` is not a unit of time"),
            ("5M", "M", "`M` is not a unit of time"),
            ("5µs", "µs", "`µs` is not a unit of time"),
            ("1.5s", "1.5s", "a duration has no fractions"),
            ("-1s", "-", "a duration cannot be negative"),
            ("30 s", " ", "a duration has no blanks"),
            ("1h 30m", " ", "a duration has no blanks"),
            ("30m1h", "1h", "units go from large to small, each once"),
            ("1s1s", "1s", "units go from large to small, each once"),
            ("soon", "soon", "this is not a duration"),
            (
                "99999999999999999999d",
                "99999999999999999999d",
                "this duration is too long to count",
            ),
            ("999999999999999999d", "999999999999999999d", "this duration is too long to count"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.message, message, "{text}");
            assert_eq!(&text[error.span.clone()], at, "{text}");
        }
    }

    #[test]
    fn a_unit_in_words_is_answered_with_the_right_one() {
        for (text, help) in [
            ("30sec", "did you mean \"30s\"?"),
            ("1h5mins", "did you mean \"1h5m\"?"),
            ("5M", "did you mean \"5m\"?"),
            ("1 hour 30 minutes", "did you mean \"1h30m\"?"),
            ("30 parsecs", "write \"1h30m\""),
            ("1h30", "write \"1h30s\" for seconds; the units are ms, s, m, h, d"),
            ("2w", "a week is \"7d\""),
            ("30", "write \"30s\" for seconds; the units are ms, s, m, h, d"),
        ] {
            assert_eq!(parse(text).unwrap_err().help.as_deref(), Some(help), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_inside_its_bounds(text in "\\PC*|[0-9smhd .-]*") {
            if let Err(error) = parse(&text) {
                proptest::prop_assert!(text.get(error.span).is_some());
            }
        }

        #[test]
        fn what_is_written_is_read_back(millis in 0_u64..10_000_000_000_000) {
            let duration = Duration::from_millis(millis);
            proptest::prop_assert_eq!(parse(&Human(duration).to_string()), Ok(duration));
        }
    }
}
