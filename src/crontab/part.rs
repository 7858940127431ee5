//! A part of the text that knows where it stands.

use std::ops::Range;

use crate::config::Spot;

/// What separates words in a crontab.
const BLANKS: [char; 2] = [' ', '\t'];

/// `text` begins at the byte `at` of the whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
}

impl<'t> Part<'t> {
    /// The lines of `text`, without what ends them.
    pub(super) fn lines(text: &'t str) -> impl Iterator<Item = Self> {
        let mut at = 0;
        text.split_inclusive('\n').map(move |line| {
            let part = Self { text: line.trim_end_matches(['\r', '\n']), at };
            at += line.len();
            part
        })
    }

    pub(super) fn span(self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }

    pub(super) fn spot(self) -> Spot {
        Spot { source: 0, span: self.span() }
    }

    /// From the byte `start` of this part on.
    pub(super) fn from(self, start: usize) -> Self {
        Self { text: &self.text[start..], at: self.at + start }
    }

    /// Up to the byte `end` of this part.
    pub(super) fn to(self, end: usize) -> Self {
        Self { text: &self.text[..end], ..self }
    }

    /// Without the blanks before it.
    pub(super) fn trim_start(self) -> Self {
        self.from(self.text.len() - self.text.trim_start_matches(BLANKS).len())
    }

    /// Without the blanks behind it.
    pub(super) fn trim_end(self) -> Self {
        self.to(self.text.trim_end_matches(BLANKS).len())
    }

    /// The first word, and what follows it without the blanks between.
    pub(super) fn first_word(self) -> (Self, Self) {
        let end = self.text.find(BLANKS).unwrap_or(self.text.len());
        (self.to(end), self.from(end).trim_start())
    }

    /// The first `count` words with what is between them, and what follows; `None` when
    /// there are fewer.
    pub(super) fn first_words(self, count: usize) -> Option<(Self, Self)> {
        let (mut end, mut rest) = (0, self);
        for _ in 0..count {
            let (word, more) = rest.first_word();
            if word.text.is_empty() {
                return None;
            }
            end = word.span().end - self.at;
            rest = more;
        }
        Some((self.to(end), rest))
    }
}
