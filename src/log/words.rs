//! Parts of messages: counts and durations as people say them, names of signals.

use std::fmt;
use std::time::Duration;

use nix::sys::signal::Signal;

/// `1 run`, `2 runs`.
pub(super) struct Count(pub(super) u64, pub(super) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{ending}", self.0, self.1)
    }
}

/// `7ms`, `1.25s`, `2m03s`, `26h02m`.
pub(super) struct Took(pub(super) Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        let s = ms / 1000;
        let (whole, unit, part, part_unit) = match s {
            0 => (ms, "ms", 0, ""),
            1..60 => return write!(f, "{}s", (ms / 10) as f64 / 100.0),
            60..3600 => (s / 60, "m", s % 60, "s"),
            _ => (s / 3600, "h", s / 60 % 60, "m"),
        };
        match part {
            0 => write!(f, "{whole}{unit}"),
            _ => write!(f, "{whole}{unit}{part:02}{part_unit}"),
        }
    }
}

/// `SIGTERM`, or `signal 42`.
pub(super) struct SignalName(pub(super) i32);

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Signal::try_from(self.0) {
            Ok(signal) => f.write_str(signal.as_str()),
            Err(_) => write!(f, "signal {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_long_as_people_need_them() {
        for (ms, said) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_000, "1s"),
            (59_999, "59.99s"),
            (1_250, "1.25s"),
            (60_000, "1m"),
            (123_000, "2m03s"),
            (3_600_000, "1h"),
            (93_720_000, "26h02m"),
        ] {
            assert_eq!(Took(Duration::from_millis(ms)).to_string(), said);
        }
    }

    #[test]
    fn signals_have_names_as_far_as_they_are_known() {
        assert_eq!(SignalName(9).to_string(), "SIGKILL");
        assert_eq!(SignalName(64).to_string(), "signal 64");
    }
}
