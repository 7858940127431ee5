//! Sizes as people write them: an integer with a unit, such as `16KiB`.

use std::fmt;

use super::invalid::InvalidValue;

/// The units, by what each is in bytes.
const UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

/// Reads a size such as `512B`, `16KiB` or `1MB`.
pub fn parse(text: &str) -> Result<u64, InvalidValue> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(InvalidValue::new(0..text.len(), "this is not a size")
            .help("a size is an integer with a unit: \"512B\", \"16KiB\", \"1MiB\""));
    }
    if unit.is_empty() {
        return Err(InvalidValue::new(0..text.len(), format!("`{number}` has no unit"))
            .help(format!("write \"{number}B\" or \"{number}KiB\"")));
    }
    if unit.starts_with(['.', ',']) {
        return Err(InvalidValue::new(0..text.len(), "a size has no fractions")
            .help("take a smaller unit: \"1536KiB\" is one and a half MiB"));
    }
    let Some((_, bytes)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let meant = UNITS.iter().find(|(name, _)| {
            let unit = unit.trim();
            name.eq_ignore_ascii_case(unit)
                || name.trim_end_matches("iB").eq_ignore_ascii_case(unit)
        });
        return Err(InvalidValue::new(
            digits..text.len(),
            format!("`{unit}` is not a unit of size"),
        )
        .help(match meant {
            Some((meant, _)) => format!("did you mean \"{number}{meant}\"?"),
            None => "the units are B, kB, KiB, MB, MiB, GB, GiB".to_owned(),
        }));
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*bytes))
        .ok_or_else(|| InvalidValue::new(0..text.len(), "this size is too large to count"))
}

/// Writes a size as [`parse`] reads it, in the largest unit that is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Human(pub u64);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        let exact = binary.into_iter().find(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size));
        let (unit, size) = exact.unwrap_or(("B", 1));
        f.pad(&format!("{}{unit}", self.0 / size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_an_integer_with_a_unit() {
        for (text, bytes) in [
            ("0B", 0),
            ("512B", 512),
            ("16KiB", 16_384),
            ("16kB", 16_000),
            ("1MiB", 1_048_576),
            ("2MB", 2_000_000),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        assert_eq!(Human(16_384).to_string(), "16KiB");
        assert_eq!(Human(1_048_576).to_string(), "1MiB");
        assert_eq!(Human(1000).to_string(), "1000B");
    }

    #[test]
    fn what_is_not_a_size_says_what_and_where() {
        for (text, at, message, help) in [
            ("", "", "this is not a size", "a size is an integer"),
            ("big", "big", "this is not a size", "a size is an integer"),
            ("-1B", "-1B", "this is not a size", "a size is an integer"),
            ("16384", "16384", "`16384` has no unit", "write \"16384B\""),
            ("16K", "K", "`K` is not a unit of size", "did you mean \"16KiB\"?"),
            ("16kb", "kb", "`kb` is not a unit of size", "did you mean \"16kB\"?"),
            ("1 MiB", " MiB", "` MiB` is not a unit of size", "did you mean \"1MiB\"?"),
            ("1.5MiB", "1.5MiB", "a size has no fractions", "take a smaller unit"),
            ("1furlong", "furlong", "`furlong` is not a unit of size", "the units are"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.message, message, "{text}");
            assert_eq!(&text[error.span.clone()], at, "{text}");
            assert!(error.help.unwrap().starts_with(help), "{text}");
        }
        assert!(parse("99999999999999999999GiB").is_err());
        assert!(parse("99999999999999GiB").is_err());
    }
}
