//! How what crosses a socket is laid out: numbers in little-endian order, texts behind
//! their length. Both ends are the same binary, so there are no versions.

use std::ffi::CString;
use std::time::Duration;

use crate::clock::BootInstant;

/// Puts values one behind the other.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    /// Without their length: for what comes last.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn instant(&mut self, at: BootInstant) -> &mut Self {
        self.u64(at.nanos())
    }

    /// What is longer than centuries becomes centuries.
    pub(super) fn duration(&mut self, d: Duration) -> &mut Self {
        self.u64(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
    }

    pub(super) fn option<T>(
        &mut self,
        value: Option<T>,
        put: impl FnOnce(&mut Self, T) -> &mut Self,
    ) -> &mut Self {
        match value {
            None => self.u8(0),
            Some(value) => put(self.u8(1), value),
        }
    }

    pub(super) fn list<T>(
        &mut self,
        items: &[T],
        put: impl for<'a> Fn(&'a mut Self, &T) -> &'a mut Self,
    ) -> &mut Self {
        // What has more items does not fit into memory.
        self.u32(u32::try_from(items.len()).unwrap_or(u32::MAX));
        for item in items {
            put(self, item);
        }
        self
    }

    pub(super) fn text(&mut self, text: &CString) -> &mut Self {
        let bytes = text.as_bytes();
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX)).bytes(bytes)
    }
}

/// Takes them off again. Nothing comes of what is too short.
#[derive(Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// All that has not been taken.
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn instant(&mut self) -> Option<BootInstant> {
        self.u64().map(BootInstant::from_nanos)
    }

    pub(super) fn duration(&mut self) -> Option<Duration> {
        self.u64().map(Duration::from_nanos)
    }

    /// The outer nothing is an error, the inner one a value.
    pub(super) fn option<T>(
        &mut self,
        get: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.u8()? {
            0 => Some(None),
            _ => get(self).map(Some),
        }
    }

    pub(super) fn list<T>(
        &mut self,
        mut get: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let length = self.u32()?;
        (0..length).map(|_| get(self)).collect()
    }

    pub(super) fn text(&mut self) -> Option<CString> {
        let length = self.u32()? as usize;
        CString::new(self.take(length)?).ok()
    }
}
