//! What is to be read of a repository: its default branch, a branch, a tag or a commit.
//!
//! Invariants: a name that gets through here is one by the rules of
//! git-check-ref-format(1), so that it is neither an option nor a pattern nor an expression,
//! and cannot end the source side of a refspec.

use super::GitError;
use crate::worker::text;

/// The longest name that is looked at, in bytes.
const LONGEST: usize = 512;

/// A checked name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference(Option<String>);

impl Reference {
    /// Checks a name; none stands for the default branch.
    pub(crate) fn parse(name: Option<&str>) -> Result<Self, GitError> {
        let Some(name) = name.filter(|it| !it.is_empty()) else {
            return Ok(Self(None));
        };
        let refuse =
            |reason| GitError::Reference { shown: text::cut(&text::one_line(name), 120), reason };
        if name.len() > LONGEST {
            return Err(refuse("it is longer than 512 bytes"));
        }
        if name.starts_with('-') {
            return Err(refuse("it begins with -"));
        }
        let forbidden = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
        if name.contains(forbidden) || name.contains("..") || name.contains("@{") || name == "@" {
            return Err(refuse("git allows no such characters in a name"));
        }
        let is_bad = |part: &str| {
            part.is_empty() || part.starts_with('.') || part.strip_suffix(".lock").is_some()
        };
        if name.ends_with('.') || name.split('/').any(is_bad) {
            return Err(refuse("git allows no such part of a name"));
        }
        Ok(Self(Some(name.to_owned())))
    }

    /// Whether the default branch is meant because nothing was named.
    pub(crate) fn is_default(&self) -> bool {
        self.0.is_none()
    }

    /// The name to give to git.
    pub(crate) fn name(&self) -> &str {
        self.0.as_deref().unwrap_or("HEAD")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_branches_tags_and_commits_pass() {
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
    fn options_patterns_and_expressions_do_not() {
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
