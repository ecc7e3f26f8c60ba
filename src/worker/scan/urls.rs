//! Finds the URLs in source files that match the `api_patterns` of a category: a program may use a
//! service by its address, without any package of it.
//!
//! Input: categories, and the bytes of sources. Output: the categories of which a pattern matches a
//! URL. Invariants: memory does not depend on the sources; the work for one file is bounded.

use super::categories::matches;
use crate::model::task::Category;
use std::collections::{BTreeMap, BTreeSet};

/// The maximum length of a URL, in bytes; the rest of a longer one is not compared.
const MOST_URL_BYTES: usize = 512;
/// How many URLs of one file are compared.
const MOST_URLS: usize = 2_000;

/// The categories that no URL has matched yet, and those that one has.
#[derive(Debug, Default)]
pub(super) struct UrlPatterns {
    open: Vec<(String, Vec<String>)>,
    found: BTreeSet<String>,
}

impl UrlPatterns {
    pub(super) fn new(categories: &BTreeMap<String, Category>) -> Self {
        let patterns = |category: &Category| {
            let patterns = category.api_patterns.iter().filter(|pattern| !pattern.is_empty());
            patterns.map(|pattern| format!("*{}*", pattern.to_ascii_lowercase())).collect()
        };
        let open = categories.iter().map(|(name, category)| (name.clone(), patterns(category)));
        let open = open.filter(|(_, patterns): &(_, Vec<String>)| !patterns.is_empty()).collect();
        Self { open, found: BTreeSet::new() }
    }

    /// Compares the URLs of a source file.
    pub(super) fn see(&mut self, source: &[u8]) {
        if self.open.is_empty() {
            return;
        }
        for url in urls(source).take(MOST_URLS) {
            let url = url.to_ascii_lowercase();
            let fits = |pattern: &String| matches(pattern.as_bytes(), &url);
            let matched = self.open.extract_if(.., |(_, patterns)| patterns.iter().any(fits));
            self.found.extend(matched.map(|(name, _)| name));
        }
    }

    /// The names of the categories of which a pattern matched.
    pub(super) fn into_found(self) -> BTreeSet<String> {
        self.found
    }
}

/// The URLs with an authority (RFC 3986, section 3) in a text, each up to the first character that
/// ends a literal.
fn urls(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let at = rest.windows(3).position(|part| part == b"://")?;
            let scheme = rest[..at].iter().rev().take_while(|b| b.is_ascii_alphabetic()).count();
            let after = &rest[at + 3..];
            let end = after.iter().take(MOST_URL_BYTES).take_while(|byte| is_part(**byte)).count();
            let url = &rest[at - scheme..at + 3 + end];
            rest = &after[end..];
            if scheme > 0 && end > 0 {
                return Some(url);
            }
        }
    })
}

/// Whether a byte continues a URL: neither white space nor one of the delimiters of a literal.
fn is_part(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && !byte.is_ascii_control() && !b"\"'`<>()[]{}\\|^".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(patterns: &[(&str, &[&str])], source: &str) -> Vec<String> {
        let categories = patterns.iter().map(|(name, patterns)| {
            let api_patterns = patterns.iter().map(|text| (*text).to_owned()).collect();
            ((*name).to_owned(), Category { api_patterns, ..Category::default() })
        });
        let mut urls = UrlPatterns::new(&categories.collect());
        urls.see(source.as_bytes());
        urls.into_found().into_iter().collect()
    }

    #[test]
    fn a_pattern_matches_a_part_of_a_url_and_nothing_else() {
        let patterns: &[(&str, &[&str])] = &[
            ("ai", &["api.openai.com", "generativelanguage.googleapis.com"]),
            ("mail", &["https://api.*.example/v1/send"]),
            ("none", &["example.org"]),
            ("empty", &[""]),
        ];
        let source = "call('https://API.openai.com/v1/chat', x) # example.org\n\
                      url = \"https://api.eu.example/v1/send?x=1\"; y = '://example.org'";
        assert_eq!(found(patterns, source), ["ai", "mail"]);
        // Two literals are two URLs, and the text between them belongs to none.
        assert!(found(&[("a", &["one.example*two"])], "'http://one.example' + '/two'").is_empty());
    }

    /// Fails if the work for one file grows with the product of its length and the patterns.
    #[test]
    fn a_file_full_of_urls_is_compared_in_bounded_time() {
        let source =
            "http://a/".to_owned() + &"aaaaaaaaaa".repeat(1 << 20) + &" x://b".repeat(1 << 20);
        let texts: Vec<String> = (0..200).map(|n| format!("{}*b{n}*c", "a*".repeat(50))).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert!(found(&[("a", &texts)], &source).is_empty());
        assert!(urls(source.as_bytes()).next().unwrap().len() <= MOST_URL_BYTES + 7);
    }
}
