//! Fuzz invariants of the parsers of credentials and of the files of users and tokens.
//!
//! Input: arbitrary bytes. Output: a panic where an invariant is violated. Invariants: as asserted
//! here.

use super::{header::Presented, htpasswd, is_usable_name, tokens};

/// Parses the same bytes as each file and as a header.
pub(crate) fn credentials(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match htpasswd::parse(&text, Some("root")) {
        Ok(users) => {
            assert!(users.iter().all(|user| is_usable_name(&user.name) && user.name != "root"));
        }
        Err(line) => assert!(line.number >= 1 && line.number <= text.lines().count()),
    }
    match tokens::parse(&text) {
        Ok(tokens) => assert!(tokens.iter().all(|token| is_usable_name(&token.name))),
        Err(line) => assert!(line.number >= 1 && line.number <= text.lines().count()),
    }
    if let Some(Presented::Password { name, .. }) = Presented::parse(bytes) {
        assert!(!name.contains(&b':'));
    }
}
