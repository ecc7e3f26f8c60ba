//! Parses an Apache htpasswd file.
//!
//! Input: the text of the file. Output: users with bcrypt hashes, or the first refused line.
//!
//! Invariants: no hash weaker than bcrypt is accepted, and none whose cost is above the limit; no
//! refusal repeats a hash.

use super::{hashing::PasswordHash, is_usable_name, list_file::BadLine};
use std::collections::HashSet;

/// A user of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) hash: PasswordHash,
}

/// Parses a file. `taken` is the name of the user of the environment.
pub(super) fn parse(text: &str, taken: Option<&str>) -> Result<Vec<Entry>, BadLine> {
    let mut names = HashSet::new();
    let mut entries = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let refuse = |reason: String| BadLine { number, reason };
        let Some((name, hash)) = line.split_once(':') else {
            return Err(refuse(
                "the line must be NAME:HASH, as `htpasswd -B` writes it".to_owned(),
            ));
        };
        if !is_usable_name(name) {
            return Err(refuse("the user name is empty or contains control characters".to_owned()));
        }
        if taken == Some(name) {
            return Err(refuse(format!("`{name}` is already the user of API_USERNAME")));
        }
        if !names.insert(name) {
            return Err(refuse(format!("`{name}` is listed twice")));
        }
        let hash = hash.parse().map_err(refuse)?;
        entries.push(Entry { name: name.to_owned(), hash });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The password is "s3cret"; as written by `htpasswd -nbBC 4 anna s3cret`.
    const HASH: &str = "$2y$04$wB7iXV6lf9mkT0NQKeUOk.WKDmZqt5K4xSVYPMZxJsFTbcvPlBoxy";

    #[track_caller]
    fn refused(text: &str, line: usize, reason: &str) {
        let error = parse(text, Some("root")).unwrap_err();
        assert_eq!(error.number, line, "{text}");
        assert!(error.reason.contains(reason), "{}", error.reason);
        assert!(!error.reason.contains("4$"), "{}", error.reason);
    }

    #[test]
    fn users_comments_and_empty_lines_are_parsed() {
        let text = format!("# the team\n\nanna:{HASH}\r\nbérnd o:{HASH}\n#x:y\n");
        let names: Vec<_> =
            parse(&text, None).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["anna", "bérnd o"]);
        for prefix in ["$2a$", "$2b$"] {
            assert_eq!(parse(&format!("a:{prefix}{}", &HASH[4..]), None).unwrap().len(), 1);
        }
        assert_eq!(parse("", None).unwrap(), []);
    }

    #[test]
    fn a_weak_duplicate_or_damaged_entry_is_refused_with_its_line() {
        refused("\n# c\na:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", 3, "SHA-1");
        refused("a:$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00", 1, "MD5");
        refused("a:$6$salt$hash", 1, "unsupported scheme");
        refused("a:rqXexS6ZhobKA", 1, "crypt or plain");
        refused("a:s3cret", 1, "crypt or plain");
        refused("a:", 1, "crypt or plain");
        refused(&format!("a:$2x${}", &HASH[4..]), 1, "outdated kind");
        refused(&format!("a:{}", &HASH[..59]), 1, "damaged");
        refused(&format!("a:{HASH}:comment"), 1, "damaged");
        refused(&format!("a:$2y$15${}", &HASH[7..]), 1, "cost is 15, but must be 4 to 14");
        refused(&format!("a:$2y$03${}", &HASH[7..]), 1, "cost is 3");
        refused(&format!(":{HASH}"), 1, "name is empty");
        refused(&format!("a\tb:{HASH}"), 1, "control characters");
        refused("just words", 1, "must be NAME:HASH");
        refused(&format!("a:{HASH}\nb:{HASH}\na:{HASH}"), 3, "`a` is listed twice");
        refused(&format!("root:{HASH}"), 1, "API_USERNAME");
    }
}
