//! The location of an import, and whether it belongs to tests.

use crate::model::scan_result::Scope;

/// The location of an import. Locations in shipped code are less than those in tests, then they are
/// ordered by path and line; the first one counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Location {
    pub(super) is_test: bool,
    pub(super) file: String,
    pub(super) line: u32,
}

impl Location {
    pub(super) fn scope(&self) -> Scope {
        if self.is_test { Scope::Test } else { Scope::Runtime }
    }

    /// Whether an import at the given location comes before this one.
    pub(super) fn is_after(&self, is_test: bool, file: &str, line: u32) -> bool {
        (is_test, file, line) < (self.is_test, self.file.as_str(), self.line)
    }
}

/// Whether a source belongs to tests, by the names of its folders and its own.
pub(super) fn is_test(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.split('.').next().unwrap_or(name);
    let is_folder = |folder: &str| {
        let folder = folder.to_ascii_lowercase();
        matches!(
            folder.as_str(),
            "test" | "tests" | "testing" | "integrationtest" | "androidtest" | "__tests__"
        )
    };
    folders.split('/').any(is_folder)
        || format!("/{folders}/").contains("/src/it/")
        || stem == "conftest"
        || (name.ends_with(".py") && (stem.starts_with("test_") || stem.ends_with("_test")))
        // `a.test.ts`, `a.spec.js`, and by Deno's convention `a_test.ts`.
        || name.split('.').skip(1).any(|part| matches!(part, "test" | "spec"))
        || name.ends_with("_test.ts")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_recognized_by_their_paths() {
        for path in [
            "tests/a.py",
            "a/test/b.py",
            "a/test_b.py",
            "a/b_test.py",
            "conftest.py",
            "src/test/java/a/B.java",
            "core/src/it/scala/B.scala",
            "src/integrationTest/java/B.java",
            "src/__tests__/a.js",
            "src/a.test.ts",
            "a.spec.js",
            "a_test.ts",
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
    fn shipped_code_comes_first() {
        let location = Location { is_test: true, file: "b".to_owned(), line: 2 };
        assert!(location.is_after(false, "z", 9) && location.is_after(true, "a", 9));
        assert!(location.is_after(true, "b", 1) && !location.is_after(true, "b", 2));
    }
}
