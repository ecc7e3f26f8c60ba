//! An Apache htpasswd file: its text comes in, users with bcrypt hashes go out, or the first line
//! that is refused.
//!
//! What must stay true: nothing weaker than bcrypt is taken, and nothing that takes us longer to
//! judge than is bearable; no refusal repeats a hash.

use super::{hashing::PasswordHash, is_usable_name, list_file::BadLine};
use std::collections::HashSet;

/// A user as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) hash: PasswordHash,
}

/// Reads a file. `taken` is the name of a user who is known by other means.
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
            return Err(refuse("want NAME:HASH, as `htpasswd -B` writes it".to_owned()));
        };
        if !is_usable_name(name) {
            return Err(refuse("the user's name is empty or has control characters".to_owned()));
        }
        if taken == Some(name) {
            return Err(refuse(format!("`{name}` is the user of API_USERNAME already")));
        }
        if !names.insert(name) {
            return Err(refuse(format!("`{name}` stands here for the second time")));
        }
        let hash = hash.parse().map_err(refuse)?;
        entries.push(Entry { name: name.to_owned(), hash });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The password is "s3cret"; written by `htpasswd -nbBC 4 anna s3cret`, but for the hash.
    const HASH: &str = "$2y$04$wB7iXV6lf9mkT0NQKeUOk.WKDmZqt5K4xSVYPMZxJsFTbcvPlBoxy";

    #[track_caller]
    fn refused(text: &str, line: usize, reason: &str) {
        let error = parse(text, Some("root")).unwrap_err();
        assert_eq!(error.number, line, "{text}");
        assert!(error.reason.contains(reason), "{}", error.reason);
        assert!(!error.reason.contains("4$"), "{}", error.reason);
    }

    #[test]
    fn users_comments_and_empty_lines_are_read() {
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
    fn what_is_weak_doubled_or_damaged_is_refused_by_its_line() {
        refused("\n# c\na:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", 3, "SHA-1");
        refused("a:$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00", 1, "MD5");
        refused("a:$6$salt$hash", 1, "another kind");
        refused("a:rqXexS6ZhobKA", 1, "crypt or plain");
        refused("a:s3cret", 1, "crypt or plain");
        refused("a:", 1, "crypt or plain");
        refused(&format!("a:$2x${}", &HASH[4..]), 1, "old kind");
        refused(&format!("a:{}", &HASH[..59]), 1, "damaged");
        refused(&format!("a:{HASH}:comment"), 1, "damaged");
        refused(&format!("a:$2y$15${}", &HASH[7..]), 1, "cost is 15, want 4 to 14");
        refused(&format!("a:$2y$03${}", &HASH[7..]), 1, "cost is 3");
        refused(&format!(":{HASH}"), 1, "name is empty");
        refused(&format!("a\tb:{HASH}"), 1, "control characters");
        refused("just words", 1, "want NAME:HASH");
        refused(&format!("a:{HASH}\nb:{HASH}\na:{HASH}"), 3, "`a` stands here for the second");
        refused(&format!("root:{HASH}"), 1, "API_USERNAME");
    }
}
