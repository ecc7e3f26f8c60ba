//! Validates names of branches, tags and commits in requests.
//!
//! Input: a name. Output: the rule that it breaks, if any.

use super::control_chars::is_invisible;

/// Checks a name by the rules of git-check-ref-format(1). Also refuses what git could take for an
/// option or a refspec, and invisible characters, which git allows.
///
/// # Errors
/// A clause that names the broken rule.
pub fn check(name: &str) -> Result<(), &'static str> {
    let forbidden =
        |c: char| is_invisible(c) || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    if name.is_empty() {
        Err("it is empty")
    } else if name.len() > 255 {
        Err("it is longer than 255 bytes")
    } else if name.starts_with(['-', '+', '/']) || name.ends_with('/') || name.contains("//") {
        Err("it starts with - or +, or has a / at its start, at its end or next to another")
    } else if name.contains(forbidden) {
        Err("it contains blanks, control or invisible characters, or one of ~ ^ : ? * [ \\")
    } else if name.contains("..") || name.contains("@{") || name == "@" {
        Err("it contains .. or @{")
    } else if name.ends_with('.')
        || name.split('/').any(|part| part.starts_with('.') || part.ends_with(".lock"))
    {
        Err("one of its parts starts or ends with . or ends with .lock")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn names_that_git_would_interpret_differently_are_refused() {
        for good in ["main", "v1.2.3", "feature/x-y", "refs/tags/v1", &"a1".repeat(20)] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-x",
            "--upload-pack=id",
            "+main",
            "a..b",
            "a b",
            "a\n",
            "a:b",
            "a~1",
            "a^",
            "@",
            "a@{1}",
            "x.lock",
            ".x",
            "a/.x",
            "a//b",
            "/a",
            "a/",
            "a.",
            "*",
            "[",
            "\\",
            "main\u{202e}",
            "ma\u{200b}in",
            "\u{feff}main",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
