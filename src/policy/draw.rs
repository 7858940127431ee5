//! A number drawn from bytes: the same bytes give the same number on every
//! node, and different ones give numbers that look unrelated.

use sha2::{Digest, Sha256};

/// A number less than `below` drawn from `bytes`: the first 8 bytes of their
/// SHA-256, read as a big-endian number, modulo `below`. 0 when `below` is 0.
///
/// It never changes between releases; [`jitter`](super::jitter) says why.
pub(crate) fn draw(bytes: &[u8], below: u64) -> u64 {
    let digest = Sha256::digest(bytes);
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(head).checked_rem(below).unwrap_or(0)
}
