//! What proves that a lock is one's own, and what tells its holders in order.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// The owner token of a claim or of a lock, a UUIDv7: only who has it may prolong or
/// release. It is the value of a slot's lock key, and the ids of the runs under it
/// follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(Uuid);

impl Token {
    /// A new one.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    pub(crate) const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    pub(crate) const fn uuid(self) -> Uuid {
        self.0
    }

    /// As [`Display`](fmt::Display) has it, written into `room`.
    pub(crate) fn text(self, room: &mut [u8; Hyphenated::LENGTH]) -> &str {
        self.0.hyphenated().encode_lower(room)
    }

    /// Room for its text.
    pub(crate) const fn room() -> [u8; Hyphenated::LENGTH] {
        [0; Hyphenated::LENGTH]
    }
}

impl Default for Token {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Token {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A number that only grows: a later holder of a name has a larger one.
///
/// It is `max(last + 1, the store's time in microseconds)`, so that it grows
/// also when the store lost its last writes. It stays below 2^53 until the year
/// 2255, so every language can hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(u64);

impl Fence {
    /// The fence `number`.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The fence as a number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
