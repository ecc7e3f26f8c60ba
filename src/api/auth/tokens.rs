//! Parses the file of API tokens, and generates new tokens.
//!
//! A line is `NAME SCOPE SHA256 [EXPIRES]`: the name of the token; `read`, `write` or `admin`; the
//! SHA-256 of the token in hexadecimal; and the last day (UTC) on which it is valid, or the
//! instant (RFC 3339) at which it expires.
//!
//! Input: the text of the file; or a name, a scope and an expiry. Output: names, scopes, hashes
//! and expiries; or a new token with its line.
//!
//! Invariants: the file contains no secret, so that reading it does not grant access; a token is
//! long enough that a fast hash is safe.

use super::{AuthError, is_usable_name, list_file::BadLine};
use crate::{
    api::scope::{NoScope, Scope},
    model::digest::hexadecimal,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Days, NaiveDate, Utc};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use secrecy::SecretString;
use std::{collections::HashSet, str::FromStr};

/// The prefix of every token, by which people and secret scanners recognize one.
const PREFIX: &str = "scanwatch_";
/// Random bytes of a token.
const BYTES: usize = 32;

/// The SHA-256 of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenHash(pub(super) [u8; 32]);

impl TokenHash {
    pub(super) fn of(token: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, token).as_ref());
        Self(bytes)
    }

    fn parse(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

/// When a token expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    text: String,
    at: DateTime<Utc>,
}

/// A text that is neither a day nor an instant.
#[derive(Debug, thiserror::Error)]
#[error(
    "the expiry must be a day, such as 2030-12-31, or an instant, such as 2030-12-31T18:00:00Z"
)]
pub struct NoExpiry;

impl FromStr for Expiry {
    type Err = NoExpiry;

    fn from_str(text: &str) -> Result<Self, NoExpiry> {
        let at = match text.parse::<NaiveDate>() {
            Ok(day) => day
                .checked_add_days(Days::new(1))
                .and_then(|day| day.and_hms_opt(0, 0, 0))
                .ok_or(NoExpiry)?
                .and_utc(),
            Err(_) => DateTime::parse_from_rfc3339(text).map_err(|_| NoExpiry)?.to_utc(),
        };
        Ok(Self { text: text.to_owned(), at })
    }
}

/// A token of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) scope: Scope,
    pub(super) hash: TokenHash,
    pub(super) expires: Option<DateTime<Utc>>,
}

/// Parses a file.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, BadLine> {
    let (mut names, mut hashes) = (HashSet::new(), HashSet::new());
    let mut entries = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = entry(line).map_err(|reason| BadLine { number, reason })?;
        if !names.insert(entry.name.clone()) {
            let reason = format!("`{}` is listed twice", entry.name);
            return Err(BadLine { number, reason });
        }
        if !hashes.insert(entry.hash) {
            let reason = "this token is already listed under another name".to_owned();
            return Err(BadLine { number, reason });
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(line: &str) -> Result<Entry, String> {
    let words: Vec<_> = line.split_whitespace().collect();
    let (name, scope, hash, expires) = match words[..] {
        [name, scope, hash] => (name, scope, hash, None),
        [name, scope, hash, expires] => (name, scope, hash, Some(expires)),
        _ => {
            return Err(
                "the line must be NAME SCOPE SHA256 [EXPIRES], as `scanwatch token new` prints it"
                    .to_owned(),
            );
        }
    };
    if !is_usable_name(name) {
        return Err("the token's name contains a colon or control characters".to_owned());
    }
    let scope = scope.parse().map_err(|error: NoScope| error.to_string())?;
    // The message omits the text: somebody may have put the token itself there.
    let hash = TokenHash::parse(hash)
        .ok_or("the hash must be the token's SHA-256, 64 hexadecimal digits")?;
    let expires =
        expires.map(str::parse::<Expiry>).transpose().map_err(|error| error.to_string())?;
    Ok(Entry { name: name.to_owned(), scope, hash, expires: expires.map(|expiry| expiry.at) })
}

/// A newly generated token.
#[derive(Debug)]
pub struct NewToken {
    /// The token itself, which is shown once.
    pub secret: SecretString,
    /// The line for the tokens file.
    pub line: String,
}

impl NewToken {
    /// Generates a token from the system's random numbers.
    ///
    /// # Errors
    /// A name that a line cannot hold, or a system without random numbers.
    pub fn make(name: &str, scope: Scope, expires: Option<&Expiry>) -> Result<Self, AuthError> {
        if !is_usable_name(name) || name.starts_with('#') || name.contains(char::is_whitespace) {
            return Err(AuthError::UnusableTokenName);
        }
        let mut bytes = [0; BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| AuthError::NoRandomness)?;
        let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        let hash = hexadecimal(&TokenHash::of(secret.as_bytes()).0);
        let expires = expires.map(|expiry| format!(" {}", expiry.text)).unwrap_or_default();
        Ok(Self { secret: secret.into(), line: format!("{name} {scope} {hash}{expires}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    /// The hash of "abc", an example of the standard.
    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[track_caller]
    fn refused(text: &str, line: usize, reason: &str) {
        let error = parse(text).unwrap_err();
        assert_eq!(error.number, line, "{text}");
        assert!(error.reason.contains(reason), "{}", error.reason);
    }

    #[test]
    fn entries_comments_and_expiries_are_parsed() {
        let other = "0".repeat(64);
        let text = format!("# c\n\nci read {HASH}\n cd\twrite {other} 2030-12-31\r\n");
        let entries = parse(&text).unwrap();
        assert_eq!(entries[0].hash, TokenHash::of(b"abc"));
        assert_eq!((entries[0].scope, entries[0].expires), (Scope::Read, None));
        let end = entries[1].expires.unwrap();
        assert_eq!(
            end.to_rfc3339(),
            "2031-01-01T00:00:00+00:00",
            "the token is valid on the day itself"
        );
        let instant: Expiry = "2030-12-31T18:00:00+01:00".parse().unwrap();
        assert_eq!(instant.at.to_rfc3339(), "2030-12-31T17:00:00+00:00");
    }

    #[test]
    fn bad_lines_are_refused() {
        refused("\nci read", 2, "must be NAME SCOPE");
        refused(&format!("ci read {HASH} 2030-01-01 x"), 1, "must be NAME SCOPE");
        refused(&format!("ci all {HASH}"), 1, "must be read, write or admin");
        refused(&format!("c:i read {HASH}"), 1, "colon");
        refused("ci read scanwatch_abc", 1, "64 hexadecimal");
        refused(&format!("ci read {}", HASH.replace('b', "g")), 1, "64 hexadecimal");
        refused(&format!("ci read {HASH} tomorrow"), 1, "must be a day");
        refused(&format!("ci read {HASH}\nci write {}", "0".repeat(64)), 2, "`ci` is listed twice");
        refused(&format!("ci read {HASH}\ncd write {HASH}"), 2, "another name");
        let error = parse("ci read scanwatch_s3cret").unwrap_err();
        assert!(!error.reason.contains("s3cret"));
    }

    #[test]
    fn a_new_token_is_random_and_its_line_can_be_parsed() {
        let expires: Expiry = "2030-12-31".parse().unwrap();
        let token = NewToken::make("ci", Scope::Write, Some(&expires)).unwrap();
        let secret = token.secret.expose_secret();
        assert_eq!(secret.len(), PREFIX.len() + 43);
        let entries = parse(&token.line).unwrap();
        let expected = Entry {
            name: "ci".to_owned(),
            scope: Scope::Write,
            hash: TokenHash::of(secret.as_bytes()),
            expires: Some(expires.at),
        };
        assert_eq!(entries, [expected]);
        assert!(!token.line.contains(secret));
        let second = NewToken::make("ci", Scope::Write, None).unwrap();
        assert_ne!(second.secret.expose_secret(), secret);
        for name in ["", "a b", "a:b", "#a", "a\n"] {
            assert!(NewToken::make(name, Scope::Read, None).is_err(), "{name:?}");
        }
    }
}
