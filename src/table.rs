//! The job table.

use std::fmt;

/// Names the slots of a job and their windows: equal digests, equal slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScheduleDigest(u64);

impl ScheduleDigest {
    /// The digest `bits`.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// 16 hex digits.
impl fmt::Display for ScheduleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
