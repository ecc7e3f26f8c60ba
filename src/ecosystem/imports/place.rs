//! Where something is imported, and what for.

use crate::model::scan_result::Scope;

/// A place of an import. Of two the lesser counts: what is shipped before what only tests need,
/// then by path and line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) is_test: bool,
    pub(super) file: String,
    pub(super) line: u32,
}

impl Place {
    pub(super) fn scope(&self) -> Scope {
        if self.is_test { Scope::Test } else { Scope::Runtime }
    }

    /// Whether an import there comes before this one.
    pub(super) fn is_after(&self, is_test: bool, file: &str, line: u32) -> bool {
        (is_test, file, line) < (self.is_test, self.file.as_str(), self.line)
    }
}

/// Whether a source is there for tests, judged by the names of its folders and its own.
pub(super) fn is_test(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.split('.').next().unwrap_or(name);
    let is_folder = |it: &str| {
        let it = it.to_ascii_lowercase();
        matches!(it.as_str(), "test" | "tests" | "testing" | "integrationtest" | "androidtest")
    };
    folders.split('/').any(is_folder)
        || format!("/{folders}/").contains("/src/it/")
        || stem == "conftest"
        || (name.ends_with(".py") && (stem.starts_with("test_") || stem.ends_with("_test")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_told_by_their_paths() {
        for path in [
            "tests/a.py",
            "a/test/b.py",
            "a/test_b.py",
            "a/b_test.py",
            "conftest.py",
            "src/test/java/a/B.java",
            "core/src/it/scala/B.scala",
            "src/integrationTest/java/B.java",
        ] {
            assert!(is_test(path), "{path}");
        }
        for path in
            ["a.py", "contest/a.py", "locale/it/a.py", "testing.py", "src/main/java/Test.java"]
        {
            assert!(!is_test(path), "{path}");
        }
    }

    #[test]
    fn what_is_shipped_comes_first() {
        let place = Place { is_test: true, file: "b".to_owned(), line: 2 };
        assert!(place.is_after(false, "z", 9) && place.is_after(true, "a", 9));
        assert!(place.is_after(true, "b", 1) && !place.is_after(true, "b", 2));
    }
}
