//! Tokens: who may look and who may act. What is kept of a secret is its SHA-256.
//!
//! Secrets are long and drawn at random (the config refuses short ones), so one round of
//! SHA-256 without salt is enough: there is nothing to guess.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::word::words;

words! {
    /// What a token is for.
    Role {
        /// It may see everything.
        Viewer = "viewer",
        /// It may also trigger, pause, resume and cancel.
        Operator = "operator",
    }
}

/// The SHA-256 of a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of `secret`.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// Whether `secret` has this hash, in a time that does not tell how nearly.
    pub fn fits(&self, secret: &str) -> bool {
        self.0.ct_eq(&Self::of(secret).0).into()
    }
}

/// It is not printed: who reads it could try secrets against it.
impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The text is not a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not `sha256:` and 64 hex digits")]
pub struct InvalidHash;

impl FromStr for Hash {
    type Err = InvalidHash;

    /// Reads `sha256:` and 64 hex digits, or the digits alone.
    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(InvalidHash);
        }
        let mut hash = [0; 32];
        for (byte, place) in hash.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&digits[place..place + 2], 16).map_err(|_| InvalidHash)?;
        }
        Ok(Self(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_what_sha256sum_prints_and_fits_its_secret_alone() {
        let printed = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        for text in [printed.to_owned(), format!("sha256:{printed}"), printed.to_uppercase()] {
            let hash: Hash = text.parse().unwrap();
            assert_eq!(hash, Hash::of("test"));
            assert!(hash.fits("test") && !hash.fits("tesT") && !hash.fits(""));
        }
        for bad in ["", "sha256:", "sha1:00", &printed[1..], &printed.replace('9', "g"), "é"] {
            assert_eq!(bad.parse::<Hash>(), Err(InvalidHash), "{bad}");
        }
        assert_eq!(format!("{:?}", Hash::of("test")), "***");
    }
}
