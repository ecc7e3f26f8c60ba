//! Paths below the root of a repository, with `/`.
//!
//! Input: the path of a file or folder. Output: its name, its folder, the folders above. Invariants: pure
//! text; the root is the empty path.

/// The last segment of a path. Called by each parser for each path of a tree: for so few bytes a loop
/// from the end is faster than `rsplit`.
pub(crate) fn file_name(path: &str) -> &str {
    let slash = path.bytes().rposition(|byte| byte == b'/');
    slash.and_then(|at| path.get(at + 1..)).unwrap_or(path)
}

/// The name of a YAML file without its extension, in lower case.
pub(super) fn yaml_stem(path: &str) -> Option<String> {
    let file = file_name(path).to_ascii_lowercase();
    let stem = file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml"))?;
    Some(stem.to_owned())
}

/// The folder of a file; empty for the root.
pub(super) fn folder_of(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A folder and all folders above it, up to the root.
pub(super) fn upwards(folder: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(folder), |folder| {
        (!folder.is_empty()).then(|| folder.rsplit_once('/').map_or("", |(parent, _)| parent))
    })
}

/// The folders whose own files are usually run one by one.
const PLACES_OF_SCRIPTS: [&str; 10] =
    ["bin", "ci", "example", "examples", "hack", "notebooks", "script", "scripts", "tool", "tools"];

/// Whether a file is where scripts usually are: in the root, or directly in a folder such as `scripts`. For
/// formats that are part of a source file, because not every source can be read to find the few scripts.
pub(super) fn is_place_of_scripts(path: &str) -> bool {
    let folder = folder_of(path);
    let name = file_name(folder);
    folder.is_empty() || PLACES_OF_SCRIPTS.iter().any(|place| name.eq_ignore_ascii_case(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upwards_ends_at_the_root() {
        assert_eq!(upwards("a/b").collect::<Vec<_>>(), ["a/b", "a", ""]);
        assert_eq!(upwards("").collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn scripts_are_in_the_root_or_directly_in_certain_folders() {
        for path in ["a.py", "scripts/a.py", "web/Tools/a.py"] {
            assert!(is_place_of_scripts(path), "{path}");
        }
        for path in ["src/a.py", "scripts/lib/a.py", "myscripts/a.py"] {
            assert!(!is_place_of_scripts(path), "{path}");
        }
    }
}
