//! Determines which of the operator's categories a repository belongs to, by the names of its
//! packages and the URLs in its sources.
//!
//! Input: categories, packages, the categories of URLs. Output: each category, and whether it applies.

use crate::model::{scan_result::Package, task::Category};
use std::collections::{BTreeMap, BTreeSet};

/// Each category, and whether one of its names or patterns matches a package, or one of its
/// `api_patterns` a URL (`of_urls`).
pub(crate) fn categories(
    wanted: &BTreeMap<String, Category>,
    packages: &[Package],
    of_urls: &BTreeSet<String>,
) -> BTreeMap<String, bool> {
    let names: BTreeSet<String> = packages.iter().map(|package| plain(&package.name)).collect();
    wanted
        .iter()
        .map(|(category, wanted)| {
            let by_name = wanted.dependencies.iter().any(|name| names.contains(&plain(name)));
            let by_pattern = || {
                wanted.patterns.iter().map(|pattern| plain(pattern)).any(|pattern| {
                    names.iter().any(|name| matches(pattern.as_bytes(), name.as_bytes()))
                })
            };
            let applies = of_urls.contains(category) || by_name || by_pattern();
            (category.clone(), applies)
        })
        .collect()
}

/// Normalizes a name for comparison: ignores case, and treats `-`, `_` and `.` as equal.
fn plain(name: &str) -> String {
    name.chars()
        .flat_map(char::to_lowercase)
        .map(|c| if "_.".contains(c) { '-' } else { c })
        .collect()
}

/// Whether the whole name matches the pattern, in which `*` matches any sequence of characters.
///
/// Greedy, with backtracking only to the last `*`: at worst the product of the two lengths.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut retry = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, n));
            p += 1;
        } else if pattern.get(p) == Some(&name[n]) {
            p += 1;
            n += 1;
        } else if let Some((after_star, from)) = retry {
            retry = Some((after_star, from + 1));
            p = after_star;
            n = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::scan_result::Source;

    #[test]
    fn names_and_patterns_are_compared_loosely() {
        for (pattern, name, fits) in [
            ("flask", "flask", true),
            ("flask", "flask2", false),
            ("flask*", "flask-login", true),
            ("*", "", true),
            ("*-sdk", "aws-java-sdk", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
            ("", "a", false),
            ("*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn each_category_is_reported() {
        let package = |name: &str| Package {
            name: name.to_owned(),
            version: None,
            specifier: None,
            ecosystem: "pypi".into(),
            purl: String::new(),
            file: String::new(),
            line: None,
            direct: None,
            scope: None,
            source: Source::Manifest,
            requires: Vec::new(),
            resolved: None,
            licenses: Vec::new(),
            hashes: Vec::new(),
            managed_by: Vec::new(),
            resolved_from: None,
        };
        let category = |names: &[&str], patterns: &[&str]| Category {
            dependencies: names.iter().map(|name| (*name).to_owned()).collect(),
            patterns: patterns.iter().map(|pattern| (*pattern).to_owned()).collect(),
            api_patterns: Vec::new(),
        };
        let wanted = BTreeMap::from([
            ("data".to_owned(), category(&["Apache_Beam"], &[])),
            ("web".to_owned(), category(&["flask"], &[])),
            ("cloud".to_owned(), category(&[], &["Google.Cloud*"])),
            ("none".to_owned(), category(&[], &[])),
        ]);
        let packages = [package("apache.beam"), package("google-cloud_storage")];
        let found = categories(&wanted, &packages, &BTreeSet::new());
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("cloud", true), ("data", true), ("none", false), ("web", false)]
                .map(|(name, is)| (name.to_owned(), is))
        );
    }
}
