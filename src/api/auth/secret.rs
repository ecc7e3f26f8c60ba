//! Secrets in memory: bytes come in, "equal" or "not equal" goes out, or a mark that stands for
//! them.
//!
//! What must stay true: no time that a client can measure depends on where a wrong secret differs
//! from the right one, or on how long the right one is; a fingerprint means nothing to anybody
//! but this process.

use super::AuthError;
use ring::{
    hmac::{self, HMAC_SHA256},
    rand::SystemRandom,
};
use secrecy::{ExposeSecret, SecretSlice};
use subtle::{Choice, ConstantTimeEq};

/// Secrets are compared in blocks of this many bytes, so that only their number could be measured.
const BLOCK: usize = 256;

/// A secret, filled up to whole blocks.
#[derive(Debug)]
pub(super) struct Padded {
    bytes: SecretSlice<u8>,
    length: u64,
}

impl Padded {
    pub(super) fn new(secret: &[u8]) -> Self {
        let width = secret.len().next_multiple_of(BLOCK).max(BLOCK);
        Self { bytes: fill(secret, width), length: secret.len() as u64 }
    }

    /// Takes as long for each `given` of one length, and does not depend on our own length but by
    /// whole blocks.
    pub(super) fn equals(&self, given: &[u8]) -> Choice {
        let ours = self.bytes.expose_secret();
        let theirs = fill(given, ours.len());
        ours.ct_eq(theirs.expose_secret()) & self.length.ct_eq(&(given.len() as u64))
    }
}

/// The first `width` bytes of `text`, filled up with zeros.
fn fill(text: &[u8], width: usize) -> SecretSlice<u8> {
    let mut bytes = vec![0; width];
    let kept = text.len().min(width);
    bytes[..kept].copy_from_slice(&text[..kept]);
    bytes.into()
}

/// Stands for a secret or a name, at a fixed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 32]);

/// Makes fingerprints, by a key that is made at the start and never leaves the process.
#[derive(Debug)]
pub(super) struct Fingerprints(hmac::Key);

impl Fingerprints {
    pub(super) fn new() -> Result<Self, AuthError> {
        let key = hmac::Key::generate(HMAC_SHA256, &SystemRandom::new());
        key.map(Self).map_err(|_| AuthError::NoRandomness)
    }

    /// The fingerprint of some parts; where one part ends and the next begins makes a difference.
    pub(super) fn of(&self, parts: &[&[u8]]) -> Fingerprint {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.sign().as_ref());
        Fingerprint(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_secrets_are_compared_to_their_end_and_in_their_length() {
        let secret = "p".repeat(700);
        let padded = Padded::new(secret.as_bytes());
        assert!(bool::from(padded.equals(secret.as_bytes())));
        assert!(!bool::from(padded.equals(format!("{}q", &secret[1..]).as_bytes())));
        // What the padding would hide, were lengths not compared.
        assert!(!bool::from(padded.equals(format!("{secret}\0").as_bytes())));
    }

    #[test]
    fn a_fingerprint_depends_on_every_part_and_on_the_process() {
        let prints = Fingerprints::new().unwrap();
        assert_eq!(prints.of(&[b"ab", b"c"]), prints.of(&[b"ab", b"c"]));
        assert_ne!(prints.of(&[b"ab", b"c"]), prints.of(&[b"a", b"bc"]));
        assert_ne!(prints.of(&[b"ab"]), Fingerprints::new().unwrap().of(&[b"ab"]));
    }
}
