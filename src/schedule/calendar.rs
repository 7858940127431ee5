//! The calendar side of a schedule: which local times match its fields.
//!
//! No zone is known here. A local time is what the clock on the wall shows,
//! counted as if it were UTC: [`LocalTime`]. The next match is found by going
//! from field to field with bit sets, never by trying one second after another.

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::Offset;

use super::field::Field;

/// Seconds from 1970-01-01T00:00:00 on the local clock.
pub(super) type LocalTime = i64;

/// The fields of a schedule as sets. Times of day and dates are independent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Calendar {
    /// Bits 0 to 59.
    pub(super) seconds: u64,
    /// Bits 0 to 59.
    pub(super) minutes: u64,
    /// Bits 0 to 23.
    pub(super) hours: u32,
    /// Bits 1 to 12.
    pub(super) months: u16,
    pub(super) day_of_month: DayOfMonth,
    pub(super) day_of_week: DayOfWeek,
    pub(super) join: Join,
    pub(super) years: Years,
}

/// What the field day-of-month asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DayOfMonth {
    /// `*` or `?`: leaves the choice to day-of-week.
    Unrestricted,
    /// `listed` has bits 1 to 31; `last` is `L`, the last day whatever its number.
    Days { listed: u32, last: bool },
    /// `LW`: the last day from Monday to Friday.
    LastWeekday,
    /// `15W`: the day from Monday to Friday that is nearest to this one within the month.
    NearestWeekday(u8),
}

impl DayOfMonth {
    pub(super) fn is_unrestricted(self) -> bool {
        self == Self::Unrestricted
    }
}

/// What the field day-of-week asks for; 0 is Sunday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DayOfWeek {
    /// `*` or `?`: leaves the choice to day-of-month.
    Unrestricted,
    /// `weekly` has bit `d` for each such day of the month; `monthly[d]` has bit
    /// `n` for `d#n` and the bit [`DayOfWeek::LAST`] for `d#L`.
    Days { weekly: u8, monthly: [u8; 7] },
}

impl DayOfWeek {
    /// The bit of `d#L` in `monthly[d]`.
    pub(super) const LAST: u8 = 6;
}

/// How the two day fields go together when both are restricted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    /// A day that one of them matches.
    Either,
    /// `+` before day-of-week: a day that both of them match.
    Both,
}

/// A set of years from 1970 to 2199.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Years(pub(super) [u64; 4]);

impl Years {
    /// The first year at or after `year` that is in the set.
    fn at_or_after(self, year: i16) -> Option<i16> {
        let origin = Field::Year.first() as i16;
        let start = usize::try_from(year - origin).unwrap_or(0);
        let mut word = start / 64;
        let mut bits = self.0.get(word)? & (u64::MAX << (start % 64));
        while bits == 0 {
            word += 1;
            bits = *self.0.get(word)?;
        }
        Some(origin + (word * 64) as i16 + bits.trailing_zeros() as i16)
    }
}

/// The lowest set bit of `bits` at or above `from`.
fn bit_at_or_after(bits: u64, from: u32) -> Option<u32> {
    let bits = bits.checked_shr(from)? << from;
    (bits != 0).then(|| bits.trailing_zeros())
}

impl Calendar {
    /// The first local time from `from` on that all fields match, within the
    /// years of the set.
    pub(super) fn at_or_after(&self, from: LocalTime) -> Option<LocalTime> {
        let from = from.max(0);
        // Beyond jiff's calendar there is no year of the set either.
        let start = Offset::UTC.to_datetime(Timestamp::from_second(from).ok()?);
        let date = start.date();
        let midnight = from - from % 86_400;
        if self.matches(date)
            && let Some(second) = self.second_of_day_at_or_after((from % 86_400) as u32)
        {
            return Some(midnight + i64::from(second));
        }
        let date = self.date_after(date)?;
        let midnight = Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?.as_second();
        Some(midnight + i64::from(self.second_of_day_at_or_after(0)?))
    }

    /// The first matching second of a day from `from` on; seconds since midnight.
    fn second_of_day_at_or_after(&self, from: u32) -> Option<u32> {
        let (hour, minute, second) = (from / 3600, from / 60 % 60, from % 60);
        let first_second = self.seconds.trailing_zeros();
        let hours = u64::from(self.hours);
        if bit_at_or_after(hours, hour)? == hour {
            if bit_at_or_after(self.minutes, minute) == Some(minute)
                && let Some(second) = bit_at_or_after(self.seconds, second)
            {
                return Some(hour * 3600 + minute * 60 + second);
            }
            if let Some(minute) = bit_at_or_after(self.minutes, minute + 1) {
                return Some(hour * 3600 + minute * 60 + first_second);
            }
        }
        let hour = bit_at_or_after(hours, hour + 1)?;
        Some(hour * 3600 + self.minutes.trailing_zeros() * 60 + first_second)
    }

    fn matches(&self, date: Date) -> bool {
        self.years.at_or_after(date.year()) == Some(date.year())
            && self.months >> date.month() & 1 == 1
            && self.days_of(date.first_of_month()) >> date.day() & 1 == 1
    }

    /// The first matching date later than `date`. Ends soon also when there is
    /// none: it looks at each month of the set once.
    fn date_after(&self, date: Date) -> Option<Date> {
        let mut year = self.years.at_or_after(date.year())?;
        let (mut month, mut day) =
            if year == date.year() { (date.month() as u32, date.day() as u32 + 1) } else { (1, 1) };
        loop {
            while let Some(found) = bit_at_or_after(u64::from(self.months), month) {
                if found != month {
                    (month, day) = (found, 1);
                }
                let first = Date::new(year, month as i8, 1).ok()?;
                if let Some(day) = bit_at_or_after(u64::from(self.days_of(first)), day) {
                    return Date::new(year, month as i8, day as i8).ok();
                }
                (month, day) = (month + 1, 1);
            }
            year = self.years.at_or_after(year + 1)?;
            (month, day) = (1, 1);
        }
    }

    /// The matching days of the month that begins at `first`: bits 1 to 31.
    fn days_of(&self, first: Date) -> u32 {
        let month = Month::beginning(first);
        let by_date = month.by_date(self.day_of_month);
        let by_weekday = month.by_weekday(self.day_of_week);
        match (by_date, by_weekday, self.join) {
            (None, None, _) => month.all(),
            (Some(days), None, _) | (None, Some(days), _) => days,
            (Some(a), Some(b), Join::Either) => a | b,
            (Some(a), Some(b), Join::Both) => a & b,
        }
    }
}

/// One month: how long it is, and which weekday it begins with (0 is Sunday).
#[derive(Debug, Clone, Copy)]
struct Month {
    len: u32,
    first: u32,
}

impl Month {
    fn beginning(first: Date) -> Self {
        Self { len: first.days_in_month() as u32, first: weekday_number(first.weekday()) }
    }

    /// Bits 1 to the last day.
    fn all(self) -> u32 {
        (u32::MAX >> (31 - self.len)) & !1
    }

    fn weekday(self, day: u32) -> u32 {
        (self.first + day - 1) % 7
    }

    /// `None` when the field leaves the choice to the other one.
    fn by_date(self, field: DayOfMonth) -> Option<u32> {
        Some(match field {
            DayOfMonth::Unrestricted => return None,
            DayOfMonth::Days { listed, last } => {
                (listed & self.all()) | if last { 1 << self.len } else { 0 }
            }
            DayOfMonth::LastWeekday => 1 << self.nearest_weekday(self.len),
            DayOfMonth::NearestWeekday(day) if u32::from(day) > self.len => 0,
            DayOfMonth::NearestWeekday(day) => 1 << self.nearest_weekday(day.into()),
        })
    }

    /// The day from Monday to Friday nearest to `day`, without leaving the month.
    fn nearest_weekday(self, day: u32) -> u32 {
        match self.weekday(day) {
            6 if day == 1 => 3,
            6 => day - 1,
            0 if day == self.len => day - 2,
            0 => day + 1,
            _ => day,
        }
    }

    /// `None` when the field leaves the choice to the other one.
    fn by_weekday(self, field: DayOfWeek) -> Option<u32> {
        let DayOfWeek::Days { weekly, monthly } = field else { return None };
        let mut days = 0;
        for weekday in 0..7 {
            let (every, some) = (weekly >> weekday & 1 == 1, monthly[weekday as usize]);
            if !every && some == 0 {
                continue;
            }
            let first = 1 + (weekday + 7 - self.first) % 7;
            let mut day = first;
            for n in 1.. {
                let last = day + 7 > self.len;
                if every || some >> n & 1 == 1 || (last && some >> DayOfWeek::LAST & 1 == 1) {
                    days |= 1 << day;
                }
                if last {
                    break;
                }
                day += 7;
            }
        }
        Some(days)
    }
}

fn weekday_number(weekday: Weekday) -> u32 {
    weekday.to_sunday_zero_offset() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(year: i16, month: i8) -> Month {
        Month::beginning(Date::new(year, month, 1).unwrap())
    }

    #[test]
    fn the_nearest_weekday_never_leaves_the_month() {
        // August 2026 begins on a Saturday; May 2026 ends on a Sunday.
        assert_eq!(month(2026, 8).nearest_weekday(1), 3);
        assert_eq!(month(2026, 5).nearest_weekday(31), 29);
        assert_eq!(month(2026, 8).nearest_weekday(15), 14);
        assert_eq!(month(2026, 8).nearest_weekday(16), 17);
        assert_eq!(month(2026, 8).nearest_weekday(19), 19);
        // February 2026 begins on a Sunday and ends on a Saturday.
        assert_eq!(month(2026, 2).nearest_weekday(1), 2);
        assert_eq!(month(2026, 2).by_date(DayOfMonth::LastWeekday), Some(1 << 27));
    }

    #[test]
    fn a_nearest_weekday_of_a_day_that_the_month_lacks_is_none() {
        assert_eq!(month(2026, 2).by_date(DayOfMonth::NearestWeekday(30)), Some(0));
        assert_eq!(month(2026, 4).by_date(DayOfMonth::NearestWeekday(31)), Some(0));
    }

    #[test]
    fn a_month_has_its_days_and_no_others() {
        assert_eq!(month(2026, 2).all().count_ones(), 28);
        assert_eq!(month(2028, 2).all().count_ones(), 29);
        assert_eq!(month(2026, 1).all(), !1);
    }

    #[test]
    fn bits_are_found_at_both_ends() {
        assert_eq!(bit_at_or_after(1 << 63, 63), Some(63));
        assert_eq!(bit_at_or_after(u64::MAX, 64), None);
        assert_eq!(bit_at_or_after(0b1001, 1), Some(3));
        assert_eq!(bit_at_or_after(0, 0), None);
    }
}
