//! What must hold of the readers of credentials, and of the files of users and tokens, whatever is
//! in them.

use super::{header::Presented, htpasswd, is_usable_name, tokens};

/// Reads the same bytes as each file and as a header.
pub(crate) fn credentials(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match htpasswd::parse(&text, Some("root")) {
        Ok(users) => {
            assert!(users.iter().all(|it| is_usable_name(&it.name) && it.name != "root"));
        }
        Err(line) => assert!(line.number >= 1 && line.number <= text.lines().count()),
    }
    match tokens::parse(&text) {
        Ok(tokens) => assert!(tokens.iter().all(|it| is_usable_name(&it.name))),
        Err(line) => assert!(line.number >= 1 && line.number <= text.lines().count()),
    }
    if let Some(Presented::Password { name, .. }) = Presented::parse(bytes) {
        assert!(!name.contains(&b':'));
    }
}
