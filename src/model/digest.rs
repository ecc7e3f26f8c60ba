//! Digests of archives.
//!
//! Input: a digest as lock files write it: `sha512-…` in base64 (W3C "Subresource Integrity"), `sha256:…` or
//! `sha256=…` in hexadecimal digits (pip, poetry, OCI), or the digits alone. Output: `sha256:` or the name of another
//! algorithm, and lowercase hexadecimal digits. Invariants: the number of digits is that of the algorithm; every
//! other text is none.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::fmt::Write as _;

/// An algorithm, and its names.
#[derive(Debug, PartialEq, Eq)]
pub struct Algorithm {
    /// In lock files and in our results.
    pub name: &'static str,
    /// `hash-alg` of the `CycloneDX` schemas.
    pub cyclonedx: &'static str,
    /// The algorithm of a checksum in SPDX 2.3, section 7.10.
    pub spdx: &'static str,
    /// How many hexadecimal digits a digest has.
    digits: usize,
}

const ALGORITHMS: [Algorithm; 5] = [
    Algorithm { name: "md5", cyclonedx: "MD5", spdx: "MD5", digits: 32 },
    Algorithm { name: "sha1", cyclonedx: "SHA-1", spdx: "SHA1", digits: 40 },
    Algorithm { name: "sha256", cyclonedx: "SHA-256", spdx: "SHA256", digits: 64 },
    Algorithm { name: "sha384", cyclonedx: "SHA-384", spdx: "SHA384", digits: 96 },
    Algorithm { name: "sha512", cyclonedx: "SHA-512", spdx: "SHA512", digits: 128 },
];

/// A digest in our form.
pub fn normalize(text: &str) -> Option<String> {
    let text = text.trim();
    let name_ends = text.find([':', '=', '-']);
    let named = name_ends.and_then(|at| text.split_at_checked(at));
    let (algorithm, digits) = if let Some((name, rest)) = named {
        let is_named = |one: &&Algorithm| one.name.eq_ignore_ascii_case(name);
        let algorithm = ALGORITHMS.iter().find(is_named)?;
        // Options may follow a digest in base64.
        let rest = rest.get(1..)?.split('?').next()?;
        (
            algorithm,
            if is_digits(rest, algorithm) { rest.to_ascii_lowercase() } else { of_base64(rest)? },
        )
    } else {
        (ALGORITHMS.iter().find(|one| is_digits(text, one))?, text.to_ascii_lowercase())
    };
    (digits.len() == algorithm.digits).then(|| format!("{}:{digits}", algorithm.name))
}

/// The algorithm and the digits of a digest in our form; none for a text in another form, as another scanner
/// may have written it.
pub fn parts(text: &str) -> Option<(&'static Algorithm, &str)> {
    let (name, digits) = text.split_once(':')?;
    let algorithm = ALGORITHMS.iter().find(|one| one.name == name)?;
    let is_lower = !digits.bytes().any(|byte| byte.is_ascii_uppercase());
    (is_lower && is_digits(digits, algorithm)).then_some((algorithm, digits))
}

fn is_digits(text: &str, algorithm: &Algorithm) -> bool {
    text.len() == algorithm.digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Base64 as hexadecimal digits.
fn of_base64(base64: &str) -> Option<String> {
    // No digest is longer.
    let bytes = STANDARD.decode(base64.get(..base64.len().min(200))?).ok()?;
    Some(hexadecimal(&bytes))
}

/// Bytes as lowercase hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_becomes_the_same() {
        let [sha1, sha256] = ["da39a3ee5e6b4b0d3255bfef95601890afd80709", &"0f".repeat(32)];
        for (text, expected) in [
            ("sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=", Some(format!("sha1:{sha1}"))),
            ("sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=?foo", Some(format!("sha1:{sha1}"))),
            (&format!("sha256:{sha256}"), Some(format!("sha256:{sha256}"))),
            (&format!("SHA256={}", sha256.to_uppercase()), Some(format!("sha256:{sha256}"))),
            (sha1, Some(format!("sha1:{sha1}"))),
            (sha256, Some(format!("sha256:{sha256}"))),
            ("sha1:2jmj", None),
            ("sha1-", None),
            ("sha512-2jmj7l5rSw0yVb/vlWAYkK/YBwk=", None),
            ("h1:2jmj7l5rSw0yVb/vlWAYkK/YBwk=", None),
            ("10c0/ff", None),
            ("\u{e4}", None),
            ("", None),
        ] {
            assert_eq!(normalize(text), expected, "{text}");
        }
    }

    #[test]
    fn only_our_own_form_has_parts() {
        let text = format!("sha256:{}", "0f".repeat(32));
        let (algorithm, digits) = parts(&text).unwrap();
        assert_eq!(
            (algorithm.cyclonedx, algorithm.spdx, digits),
            ("SHA-256", "SHA256", &text[7..])
        );
        for text in ["sha256:0f", &text.to_uppercase(), "sha256", &text.replace("256", "1")] {
            assert_eq!(parts(text), None, "{text}");
        }
    }
}
