//! `@every D`: the multiples of a duration since the Unix epoch.
//!
//! Every node finds the same instants without talking, whenever it was started,
//! and no change of a clock touches them.

use super::error::ScheduleError;
use super::piece::Piece;

/// The end of 2199, in seconds since the Unix epoch: no schedule goes beyond.
const END: i64 = 7_258_118_400;

/// A period of whole seconds, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Every {
    seconds: i64,
}

impl Every {
    /// The first multiple of the period later than `at`, from 1970 to 2199.
    pub(super) fn next_after(self, at: i64) -> Option<i64> {
        let next = (at.max(-1).div_euclid(self.seconds) + 1) * self.seconds;
        (next < END).then_some(next)
    }

    /// The period, in seconds.
    pub(super) fn seconds(self) -> i64 {
        self.seconds
    }

    /// Reads a duration: integers with a unit, such as `90s` or `1h30m`.
    pub(super) fn parse(text: Piece<'_>) -> Result<Self, ScheduleError> {
        /// Milliseconds in each unit, the largest first.
        const UNITS: [(&str, u64); 5] =
            [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
        const HELP: &str = "a duration is a number with a unit, such as 90s, 5m or 1h30m";
        let mut rest = text;
        let mut allowed = UNITS.as_slice();
        let mut millis: u64 = 0;
        while !rest.is_empty() {
            let digits =
                rest.text.len() - rest.text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let behind = rest.from(digits);
            let letters = behind.text.len()
                - behind.text.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            let unit = &behind.text[..letters];
            if digits == 0 || (letters == 0 && !behind.is_empty()) {
                return Err(text.error(format!("{} is not a duration", text.shown())).help(HELP));
            }
            if letters == 0 {
                let help = format!("write `{0}s` or `{0}m`", &rest.text[..digits.min(20)]);
                return Err(rest.error(format!("{} has no unit", rest.shown())).help(help));
            }
            let Some(place) = UNITS.iter().position(|(known, _)| *known == unit) else {
                let unit = Piece { text: unit, at: behind.at };
                return Err(unit
                    .error(format!("{} is not a unit", unit.shown()))
                    .help("the units are d, h, m, s and ms"));
            };
            let Some(index) = allowed.iter().position(|known| *known == UNITS[place]) else {
                return Err(text
                    .error("the units of a duration go from large to small, each once")
                    .help(HELP));
            };
            allowed = &allowed[index + 1..];
            let part = rest.text[..digits].parse::<u64>().ok();
            millis = part
                .and_then(|n| n.checked_mul(UNITS[place].1))
                .and_then(|part| millis.checked_add(part))
                .ok_or_else(|| too_long(text))?;
            rest = behind.from(letters);
        }
        match millis {
            0 => Err(text.error("a period of zero has no slots").help("it is at least 1s")),
            1..1000 => Err(text
                .error(format!("{} is too short", text.shown()))
                .help("slots are whole seconds: the period is at least 1s")),
            _ if !millis.is_multiple_of(1000) => Err(text
                .error(format!("{} is not a whole number of seconds", text.shown()))
                .help("slots are whole seconds")),
            // At most u64::MAX / 1000, which i64 holds.
            _ if (millis / 1000) as i64 >= END => Err(too_long(text)),
            _ => Ok(Self { seconds: (millis / 1000) as i64 }),
        }
    }
}

fn too_long(text: Piece<'_>) -> ScheduleError {
    text.error(format!("{} is longer than all the years to 2199", text.shown()))
}
