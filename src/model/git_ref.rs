//! Names of branches, tags and commits, as a submitter may give them.

use super::unseen::is_invisible;

/// Says what is wrong with a name, by the rules of git-check-ref-format(1); also refused is what
/// git could take for an option or a refspec, and invisible characters, which git allows.
///
/// # Errors
/// A clause for people that names the rule.
pub fn check(name: &str) -> Result<(), &'static str> {
    let forbidden =
        |c: char| is_invisible(c) || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    if name.is_empty() {
        Err("it is empty")
    } else if name.len() > 255 {
        Err("it is longer than 255 bytes")
    } else if name.starts_with(['-', '+', '/']) || name.ends_with('/') || name.contains("//") {
        Err("it begins with - or +, or has / where no name can")
    } else if name.contains(forbidden) {
        Err("it has blanks, control or invisible characters or any of ~ ^ : ? * [ \\")
    } else if name.contains("..") || name.contains("@{") || name == "@" {
        Err("it has .. or @{ in it")
    } else if name.ends_with('.')
        || name.split('/').any(|part| part.starts_with('.') || part.ends_with(".lock"))
    {
        Err("a part of it begins or ends with . or ends with .lock")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn names_that_git_would_take_for_something_else_are_refused() {
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
