//! The signature of a webhook, by the rules of Standard Webhooks
//! (<https://www.standardwebhooks.com>), for which every language has a library.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What requests are signed with. It is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(Box<[u8]>);

impl SigningKey {
    /// The key that `text` is: `whsec_` and Base64, as such services give it out; any
    /// other text is the key itself.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("an empty secret signs nothing");
        }
        match text.strip_prefix("whsec_") {
            None => Ok(Self(text.as_bytes().into())),
            Some(encoded) => match STANDARD.decode(encoded) {
                Ok(key) if !key.is_empty() => Ok(Self(key.into())),
                _ => Err("behind `whsec_` stands Base64, and this is none"),
            },
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The header `webhook-signature` of a request: `v1,` and the Base64 of the HMAC-SHA256
/// over `ID.SECONDS.BODY`.
pub fn sign(key: &SigningKey, id: &str, seconds: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes a key of any length");
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn the_known_example_has_the_known_signature() {
        let key = SigningKey::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signature = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_without_the_prefix_is_the_key_itself() {
        let raw = SigningKey::new("MfKQ").unwrap();
        assert_ne!(raw, SigningKey::new("whsec_MfKQ").unwrap());
        assert_eq!(raw, SigningKey(b"MfKQ".as_slice().into()));
        assert!(SigningKey::new("").is_err());
        assert!(SigningKey::new("whsec_").is_err());
        assert!(SigningKey::new("whsec_no base64").is_err());
    }
}
