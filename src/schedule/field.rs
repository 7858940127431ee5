//! The seven fields, the values that each may have, and sets of such values.

use std::ops::RangeInclusive;

use super::calendar::Years;

/// One of the fields of an expression, in the order in which they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Second,
    Minute,
    Hour,
    DayOfMonth,
    Month,
    DayOfWeek,
    Year,
}

impl Field {
    /// The name in messages; also what `H` hashes, so it never changes.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day-of-month",
            Self::Month => "month",
            Self::DayOfWeek => "day-of-week",
            Self::Year => "year",
        }
    }

    /// What `*` stands for. Sunday counts once, as 0.
    pub(super) fn values(self) -> RangeInclusive<u32> {
        match self {
            Self::Second | Self::Minute => 0..=59,
            Self::Hour => 0..=23,
            Self::DayOfMonth => 1..=31,
            Self::Month => 1..=12,
            Self::DayOfWeek => 0..=6,
            Self::Year => 1970..=2199,
        }
    }

    /// The smallest value.
    pub(super) fn first(self) -> u32 {
        *self.values().start()
    }

    /// The largest value of `*`.
    pub(super) fn last(self) -> u32 {
        *self.values().end()
    }

    /// The largest value that may be written: 7 is Sunday, too.
    pub(super) fn last_written(self) -> u32 {
        if self == Self::DayOfWeek { 7 } else { self.last() }
    }

    /// How many values there are.
    pub(super) fn size(self) -> u32 {
        self.last() - self.first() + 1
    }

    /// What a bare `H` draws from. Every month has the days 1 to 28.
    pub(super) fn drawn_from(self) -> RangeInclusive<u32> {
        if self == Self::DayOfMonth { 1..=28 } else { self.values() }
    }

    /// The names of the values, beginning with the smallest.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Month => &[
                "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
            ],
            Self::DayOfWeek => &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
            _ => &[],
        }
    }

    /// The value of a three-letter name in any case.
    pub(super) fn value_of_name(self, name: &str) -> Option<u32> {
        let place = self.names().iter().position(|known| known.eq_ignore_ascii_case(name))?;
        Some(self.first() + place as u32)
    }
}

/// Values of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Values {
    field: Field,
    bits: [u64; 4],
}

impl Values {
    pub(super) fn none(field: Field) -> Self {
        Self { field, bits: [0; 4] }
    }

    /// All that `*` stands for.
    pub(super) fn all(field: Field) -> Self {
        let mut all = Self::none(field);
        all.add(field.values(), 1);
        all
    }

    pub(super) fn one(field: Field, value: u32) -> Self {
        let mut one = Self::none(field);
        one.add(value..=value, 1);
        one
    }

    /// The values in `bits`, which counts from 0, or from 1970 for years.
    pub(super) fn from_bits(field: Field, bits: [u64; 4]) -> Self {
        Self { field, bits }
    }

    /// Whose values these are.
    pub(super) fn field(&self) -> Field {
        self.field
    }

    /// Adds every `step`-th value of `range`, its start included. A 7 in
    /// day-of-week is added as 0.
    pub(super) fn add(&mut self, range: RangeInclusive<u32>, step: u32) {
        for value in range.step_by(step as usize) {
            let value = if self.field == Field::DayOfWeek { value % 7 } else { value };
            let bit = self.bit_of(value);
            self.bits[bit / 64] |= 1 << (bit % 64);
        }
    }

    fn bit_of(&self, value: u32) -> usize {
        let origin = if self.field == Field::Year { Field::Year.first() } else { 0 };
        (value - origin) as usize
    }

    pub(super) fn has(&self, value: u32) -> bool {
        let bit = self.bit_of(value);
        self.bits[bit / 64] >> (bit % 64) & 1 == 1
    }

    /// The values in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.field.values().filter(|value| self.has(*value))
    }

    /// The set as one word, bit 0 being 0; for all fields but the year.
    pub(super) fn word(&self) -> u64 {
        debug_assert!(self.field != Field::Year);
        self.bits[0]
    }

    pub(super) fn years(&self) -> Years {
        debug_assert!(self.field == Field::Year);
        Years(self.bits)
    }
}
