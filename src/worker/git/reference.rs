//! Git references: the default branch, a branch, a tag or a commit.
//!
//! Input: a name from a request. Output: a checked name. Invariants: a checked name is valid by the
//! rules of git-check-ref-format(1), so it is not an option, a pattern or an expression, and cannot
//! end the source side of a refspec.

use super::GitError;
use crate::worker::text;

/// The longest allowed name, in bytes.
const LONGEST: usize = 512;

/// A checked name; `None` for the default branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference(Option<String>);

impl Reference {
    /// Checks a name; `None` is the default branch.
    pub(crate) fn parse(name: Option<&str>) -> Result<Self, GitError> {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Ok(Self(None));
        };
        let refuse =
            |reason| GitError::Reference { shown: text::cut(&text::one_line(name), 120), reason };
        if name.len() > LONGEST {
            return Err(refuse("it is longer than 512 bytes"));
        }
        if name.starts_with('-') {
            return Err(refuse("it starts with -"));
        }
        let forbidden = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
        if name.contains(forbidden) || name.contains("..") || name.contains("@{") || name == "@" {
            return Err(refuse("it contains characters that git does not allow in names"));
        }
        let is_bad = |part: &str| {
            part.is_empty() || part.starts_with('.') || part.strip_suffix(".lock").is_some()
        };
        if name.ends_with('.') || name.split('/').any(is_bad) {
            return Err(refuse("it contains a part that git does not allow in names"));
        }
        Ok(Self(Some(name.to_owned())))
    }

    /// Whether this is the default branch because nothing was named.
    pub(crate) fn is_default(&self) -> bool {
        self.0.is_none()
    }

    /// The name, if it is the full id of a commit.
    pub(crate) fn full_id(&self) -> Option<&str> {
        let is_hex = |name: &&str| name.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.0.as_deref().filter(|name| matches!(name.len(), 40 | 64)).filter(is_hex)
    }

    /// The name for git.
    pub(crate) fn name(&self) -> &str {
        self.0.as_deref().unwrap_or("HEAD")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_tags_and_commits_are_accepted() {
        for name in [
            "main",
            "feature/x-1",
            "v1.2.3",
            "refs/heads/a",
            "+odd",
            "0123456789abcdef0123456789abcdef01234567",
            "größe",
            "HEAD",
        ] {
            assert_eq!(Reference::parse(Some(name)).unwrap().name(), name);
        }
        assert_eq!(Reference::parse(None).unwrap().name(), "HEAD");
    }

    #[test]
    fn options_patterns_and_expressions_are_refused() {
        for name in [
            "-",
            "--upload-pack=touch /x",
            "-oProxyCommand=x",
            "a:refs/heads/b",
            "a b",
            "a\nb",
            "a\0",
            "a..b",
            "a^",
            "a~1",
            "refs/heads/*",
            "a?",
            "a[b",
            "a\\b",
            "@",
            "HEAD@{1}",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.",
        ] {
            assert!(Reference::parse(Some(name)).is_err(), "{name:?}");
        }
        assert!(Reference::parse(Some(&"a".repeat(513))).is_err());
    }
}
