//! The items of one field: values, ranges, steps and `H`, strictly.
//!
//! What only the two day fields take (`L`, `W`, `#`) is in [`super::days`].

use std::ops::RangeInclusive;

use super::error::{ScheduleError, nearest};
use super::field::{Field, Values};
use super::hash::draw;
use super::piece::Piece;
use crate::name::JobName;

/// Whether a field has a `*`, with or without a step, or an `H/n`: what decides
/// how the schedule meets a change of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Star {
    Absent,
    Present,
}

/// A field being read: which one, and the job that its `H` draws for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) field: Field,
    pub(super) job: Option<&'a JobName>,
}

impl Reader<'_> {
    /// Reads a whole field that has neither `L`, `W` nor `#`.
    pub(super) fn values(self, text: Piece<'_>) -> Result<(Values, Star), ScheduleError> {
        let mut values = Values::none(self.field);
        let mut star = Star::Absent;
        for item in text.items() {
            if self.add_item(&mut values, item, text)? == Star::Present {
                star = Star::Present;
            }
        }
        Ok((values, star))
    }

    /// Adds what `item`, one of the list `list`, stands for.
    pub(super) fn add_item(
        self,
        values: &mut Values,
        item: Piece<'_>,
        list: Piece<'_>,
    ) -> Result<Star, ScheduleError> {
        if item.is_empty() {
            return Err(self.empty_item(item, list));
        }
        let (base, step) = match item.split_once('/') {
            Some((base, step)) => (base, Some(self.step(item, step)?)),
            None => (item, None),
        };
        if base.is_empty() {
            return Err(item
                .error("a step needs something to step over")
                .help(format!("write `*{}`", item.text)));
        }
        if base.text == "*" {
            values.add(self.field.values(), step.unwrap_or(1));
            return Ok(Star::Present);
        }
        if let Some(drawn) = self.hashed(base) {
            return self.add_drawn(values, base, drawn?, step);
        }
        if base.text.contains('-') {
            values.add(self.range(base)?, step.unwrap_or(1));
            return Ok(Star::Absent);
        }
        let first = self.value(base)?;
        match step {
            None => values.add(first..=first, 1),
            // Sunday is one day, whether it is written 0 or 7.
            Some(step) if self.field == Field::DayOfWeek => {
                values.add(first % 7..=self.field.last(), step);
            }
            Some(step) => values.add(first..=self.field.last(), step),
        }
        Ok(Star::Absent)
    }

    fn empty_item(self, item: Piece<'_>, list: Piece<'_>) -> ScheduleError {
        // Point at the comma before it, or behind it.
        let comma = if item.at > list.at { item.at - 1 } else { item.at };
        let message = format!("an empty item in the list of {}", self.field.name());
        ScheduleError::new(message, comma..comma + 1).help("remove the extra comma")
    }

    /// `n` behind the `/` of `item`.
    fn step(self, item: Piece<'_>, step: Piece<'_>) -> Result<u32, ScheduleError> {
        let (name, size) = (self.field.name(), self.field.size());
        if step.is_empty() {
            return Err(item.error("a step needs a number behind the `/`"));
        }
        if step.text.contains('/') {
            return Err(item.error("an item has at most one step"));
        }
        if !step.is_number() {
            return Err(step
                .error(format!("{} is not a step", step.shown()))
                .help(format!("a step is a number from 1 to {size}")));
        }
        match step.text.parse() {
            Ok(0) => Err(step.error("a step cannot be zero")),
            Ok(n) if n <= size => Ok(n),
            // Larger than the field, or than u32.
            _ => Err(step
                .error(format!(
                    "a step of {} is larger than the {size} values of {name}",
                    step.shown().trim_matches('`')
                ))
                .help(format!("use a step from 1 to {size}"))),
        }
    }

    /// `a-b`; in day-of-week `b` may be 7, and a closing `SUN` is.
    fn range(self, text: Piece<'_>) -> Result<RangeInclusive<u32>, ScheduleError> {
        let Some((start, end)) = text.split_once('-') else {
            return Err(text.error(format!("{} is not a range", text.shown())));
        };
        for (part, what) in [(start, "start"), (end, "end")] {
            if part.is_empty() {
                return Err(text.error(format!("the range {} has no {what}", text.shown())));
            }
        }
        let (a, mut b) = (self.value(start)?, self.value(end)?);
        if self.field == Field::DayOfWeek && end.is("SUN") && a > 0 {
            b = 7;
        }
        if a > b {
            let part = |a, b| if a == b { format!("{a}") } else { format!("{a}-{b}") };
            let (up, down) = (part(a, self.field.last().max(a)), part(self.field.first(), b));
            return Err(text
                .error(format!("the range {} goes backwards", text.shown()))
                .help(format!("write {up},{down} if it shall wrap around")));
        }
        Ok(a..=b)
    }

    /// One value: a number, or a name where the field has names.
    pub(super) fn value(self, text: Piece<'_>) -> Result<u32, ScheduleError> {
        let field = self.field;
        if !text.is_number() {
            return field.value_of_name(text.text).ok_or_else(|| self.not_a_value(text));
        }
        let allowed = field.first()..=field.last_written();
        match text.text.parse() {
            Ok(value) if allowed.contains(&value) => Ok(value),
            _ => Err(text.error(format!(
                "{} must be {}-{}, not {}",
                field.name(),
                allowed.start(),
                allowed.end(),
                text.shown().trim_matches('`')
            ))),
        }
    }

    /// What an `H` in `base` draws from; `None` when `base` is something else.
    fn hashed(self, base: Piece<'_>) -> Option<Result<Drawn, ScheduleError>> {
        let head = base.text.as_bytes().first()?;
        if !head.eq_ignore_ascii_case(&b'H') {
            return None;
        }
        let rest = base.from(1);
        Some(if rest.is_empty() {
            Ok(Drawn::Field)
        } else if matches!(rest.text, "=" | "()") {
            // There is nothing in between to point at.
            Err(not_a_form(base))
        } else if let Some(drawn) = rest.text.strip_prefix('=') {
            let drawn = Piece { text: drawn, at: rest.at + 1 };
            self.value(drawn).map(Drawn::Already)
        } else if let Some(inner) =
            rest.text.strip_prefix('(').and_then(|inner| inner.strip_suffix(')'))
        {
            self.range(Piece { text: inner, at: rest.at + 1 }).map(Drawn::Range)
        } else {
            Err(not_a_form(base))
        })
    }

    fn add_drawn(
        self,
        values: &mut Values,
        base: Piece<'_>,
        drawn: Drawn,
        step: Option<u32>,
    ) -> Result<Star, ScheduleError> {
        let (from, star) = match drawn {
            Drawn::Field => (self.field.drawn_from(), Star::Present),
            Drawn::Range(range) => (range, Star::Absent),
            Drawn::Already(first) => {
                let step = step.ok_or_else(|| {
                    base.error("`H=` is a step whose start is drawn already")
                        .help("write the number alone, or `H=7/15`")
                })?;
                values.add(first..=self.field.last(), step);
                return Ok(Star::Present);
            }
        };
        let job = self.job.ok_or_else(|| {
            base.error("`H` is drawn from the name of the job, and no job is named")
                .help("give the name with --job NAME")
        })?;
        let (first, last) = (*from.start(), *from.end());
        let size = last - first + 1;
        let Some(step) = step else {
            let value = draw(job, self.field, first, size);
            values.add(value..=value, 1);
            return Ok(Star::Absent);
        };
        values.add(draw(job, self.field, first, step.min(size))..=last, step);
        Ok(star)
    }

    /// Why `text` is no value of this field, as well as that can be guessed.
    fn not_a_value(self, text: Piece<'_>) -> ScheduleError {
        let field = self.field;
        let (name, shown) = (field.name(), text.shown());
        let takes = format!("{name} takes {}", self.takes());
        let named = |other: Field| other.value_of_name(text.text).is_some();
        if field.names().is_empty() && (named(Field::Month) || named(Field::DayOfWeek)) {
            return text.error("names are allowed only in month and day-of-week").help(takes);
        }
        if named(Field::Month) {
            return text.error(format!("{shown} is a month, not a day of the week")).help(takes);
        }
        if named(Field::DayOfWeek) {
            return text.error(format!("{shown} is a day of the week, not a month")).help(takes);
        }
        for (sign, place) in [
            ('?', "only in day-of-month and day-of-week, and alone"),
            ('#', "only in day-of-week, behind one day"),
            ('+', "only at the start of day-of-week"),
            ('*', "only alone or before a step"),
        ] {
            if text.text.contains(sign) {
                return text.error(format!("`{sign}` is allowed {place}")).help(takes);
            }
        }
        let special = |letter| {
            text.strip_last(letter).is_some_and(|before| before.is_empty() || before.is_number())
        };
        if text.is("LW") || special(b'W') {
            return text.error("`W` is allowed only in day-of-month, alone").help(takes);
        }
        if special(b'L') && field == Field::DayOfMonth {
            return text.error("`L` takes neither a step nor a range").help(takes);
        }
        if special(b'L') {
            let place = "`L` is allowed only in day-of-month and day-of-week";
            return text.error(place).help(takes);
        }
        let error = text.error(format!("{shown} is not a value of {name}"));
        let short = text.text.get(..3).filter(|short| field.value_of_name(short).is_some());
        if let Some(short) = short {
            let short = short.to_ascii_uppercase();
            return error.help(format!("names have three letters: {short}"));
        }
        let names = field.names().iter().map(|name| (name.to_string(), name.to_string()));
        match nearest(text.text, names).as_slice() {
            [] => error.help(takes),
            names => error.help(format!("did you mean {}?", names.join(" or "))),
        }
    }

    /// The values of the field as a message shows them.
    fn takes(self) -> String {
        let range = format!("{}-{}", self.field.first(), self.field.last_written());
        match self.field.names() {
            [first, .., last] => format!("{range} or {first}-{last}"),
            _ => range,
        }
    }
}

fn not_a_form(base: Piece<'_>) -> ScheduleError {
    base.error(format!("{} is not a form of `H`", base.shown()))
        .help("write H, H/5, H(0-29) or H(0-29)/5")
}

/// What an `H` draws from.
enum Drawn {
    /// `H`: all that the field offers.
    Field,
    /// `H(a-b)`.
    Range(RangeInclusive<u32>),
    /// `H=a/n`: nothing, the start of the steps is `a`. The normal form of a
    /// schedule writes an `H/n` so.
    Already(u32),
}
