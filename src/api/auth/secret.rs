//! Constant-time comparison of secrets, and fingerprints that stand for them.
//!
//! Input: bytes. Output: whether they are equal; a [`Fingerprint`].
//!
//! Invariants: the time of a comparison does not depend on where a wrong secret differs from the
//! right one, or on the length of the right one; a fingerprint is meaningless outside of this
//! process.

use super::AuthError;
use ring::{
    hmac::{self, HMAC_SHA256},
    rand::SystemRandom,
};
use secrecy::{ExposeSecret, SecretSlice};
use subtle::{Choice, ConstantTimeEq};

/// Secrets are compared in blocks of this many bytes, so that timing reveals only their number.
const BLOCK: usize = 256;

/// Bytes that are compared at once.
const WORD: usize = size_of::<u64>();

/// A secret, padded to whole blocks.
#[derive(Debug)]
pub(super) struct Padded {
    bytes: SecretSlice<u8>,
    length: u64,
}

impl Padded {
    pub(super) fn new(secret: &[u8]) -> Self {
        let width = secret.len().next_multiple_of(BLOCK).max(BLOCK);
        let mut bytes = vec![0; width];
        bytes[..secret.len()].copy_from_slice(secret);
        Self { bytes: bytes.into(), length: secret.len() as u64 }
    }

    /// Compares in a time that depends only on the length of `given` and on the number of our
    /// blocks.
    pub(super) fn equals(&self, given: &[u8]) -> Choice {
        let ours = self.bytes.expose_secret();
        // All differences are accumulated before any of them is tested.
        let places = (0..ours.len()).step_by(WORD);
        let differences = places.fold(0, |all, at| all | (word(ours, at) ^ word(given, at)));
        differences.ct_eq(&0) & self.length.ct_eq(&(given.len() as u64))
    }
}

/// The word of `text` at this offset, padded with zeros.
fn word(text: &[u8], at: usize) -> u64 {
    let rest = text.get(at..).unwrap_or_default();
    let mut bytes = [0; WORD];
    match rest.first_chunk() {
        Some(whole) => bytes = *whole,
        None => bytes[..rest.len()].copy_from_slice(rest),
    }
    u64::from_le_bytes(bytes)
}

/// A fixed-size value that stands for a secret or a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 32]);

/// Computes fingerprints with a key that is created at startup and never leaves the process.
#[derive(Debug)]
pub(super) struct Fingerprints(hmac::Key);

impl Fingerprints {
    pub(super) fn new() -> Result<Self, AuthError> {
        let key = hmac::Key::generate(HMAC_SHA256, &SystemRandom::new());
        key.map(Self).map_err(|_| AuthError::NoRandomness)
    }

    /// The fingerprint of these parts, whose boundaries are significant.
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
        // The padding would hide this difference if lengths were not compared.
        assert!(!bool::from(padded.equals(format!("{secret}\0").as_bytes())));
    }

    #[test]
    fn every_byte_and_every_length_makes_a_difference() {
        for length in [0, 1, 7, 8, 9, 31, 255, 256, 257] {
            let secret: Vec<u8> =
                (1..=length).map(|number: u16| number.to_le_bytes()[0] | 1).collect();
            let padded = Padded::new(&secret);
            assert!(bool::from(padded.equals(&secret)), "{length}");
            for at in 0..secret.len() {
                let mut wrong = secret.clone();
                wrong[at] ^= 0x80;
                assert!(!bool::from(padded.equals(&wrong)), "{length} {at}");
                assert!(!bool::from(padded.equals(&secret[..at])), "{length} {at}");
            }
            assert!(!bool::from(padded.equals(&[&secret[..], b"\0"].concat())), "{length}");
        }
    }

    #[test]
    fn a_fingerprint_depends_on_every_part_and_on_the_process() {
        let prints = Fingerprints::new().unwrap();
        assert_eq!(prints.of(&[b"ab", b"c"]), prints.of(&[b"ab", b"c"]));
        assert_ne!(prints.of(&[b"ab", b"c"]), prints.of(&[b"a", b"bc"]));
        assert_ne!(prints.of(&[b"ab"]), Fingerprints::new().unwrap().of(&[b"ab"]));
    }
}
