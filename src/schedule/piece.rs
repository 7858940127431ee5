//! A piece of an expression that remembers where it stood, so that whatever
//! finds fault with it can point at it.

use std::ops::Range;

use super::error::{ScheduleError, excerpt};

/// Spaces and tabs separate fields; nothing else does.
const BLANKS: [char; 2] = [' ', '\t'];

/// `text` begins at the byte `at` of the expression.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

impl<'a> Piece<'a> {
    /// All of `expr`, without the blanks around it.
    pub(super) fn trimmed(expr: &'a str) -> Self {
        Self { text: expr, at: 0 }.trim()
    }

    /// The bytes of the expression that this is.
    pub(super) fn span(self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }

    pub(super) fn is_empty(self) -> bool {
        self.text.is_empty()
    }

    /// The piece as a message shows it: `` `61` ``.
    pub(super) fn shown(self) -> String {
        format!("`{}`", excerpt(self.text))
    }

    /// An error about this piece.
    pub(super) fn error(self, message: impl Into<String>) -> ScheduleError {
        ScheduleError::new(message, self.span())
    }

    /// From the byte `start` of this piece on.
    pub(super) fn from(self, start: usize) -> Self {
        Self { text: &self.text[start..], at: self.at + start }
    }

    pub(super) fn trim(self) -> Self {
        let start = self.from(self.text.len() - self.text.trim_start_matches(BLANKS).len());
        Self { text: start.text.trim_end_matches(BLANKS), ..start }
    }

    /// What is before and what is behind the first `separator`.
    pub(super) fn split_once(self, separator: char) -> Option<(Self, Self)> {
        let place = self.text.find(separator)?;
        let before = Self { text: &self.text[..place], ..self };
        Some((before, self.from(place + separator.len_utf8())))
    }

    /// The first word, and the rest without the blanks between.
    pub(super) fn first_word(self) -> (Self, Self) {
        let end = self.text.find(BLANKS).unwrap_or(self.text.len());
        (Self { text: &self.text[..end], ..self }, self.from(end).trim())
    }

    /// The words between blanks.
    pub(super) fn words(self) -> impl Iterator<Item = Self> {
        self.split(BLANKS).filter(|word| !word.is_empty())
    }

    /// The items between commas, empty ones included.
    pub(super) fn items(self) -> impl Iterator<Item = Self> {
        self.split([','])
    }

    fn split<const N: usize>(self, separators: [char; N]) -> impl Iterator<Item = Self> {
        let mut at = self.at;
        // The separators are ASCII: each is one byte.
        self.text.split(separators).map(move |text| {
            let piece = Self { text, at };
            at += text.len() + 1;
            piece
        })
    }

    /// Whether the piece is this word, in any case.
    pub(super) fn is(self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }

    /// Whether the piece is digits, at least one.
    pub(super) fn is_number(self) -> bool {
        !self.is_empty() && self.text.bytes().all(|b| b.is_ascii_digit())
    }

    /// The piece without the letter `last` at its end, in any case.
    pub(super) fn strip_last(self, last: u8) -> Option<Self> {
        let (end, before) = self.text.as_bytes().split_last()?;
        // An ASCII byte is a whole character, so `before` ends on a boundary.
        end.eq_ignore_ascii_case(&last).then(|| Self { text: &self.text[..before.len()], ..self })
    }
}
