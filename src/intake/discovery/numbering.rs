//! Numbers the entries of a listing in the order of their discovery, each once. Pure.
//!
//! Input: rows, page by page. Output: the rows that are new, with their numbers. Invariants: a
//! number never changes, also if a listing starts again and lists known entries in another order;
//! a repository is scanned once, whatever names it has; the memory per entry is a few words, and
//! the number and size of entries are limited.

use crate::model::plan::{PlannedRepository, SkipKind};
use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
};

/// The maximum size of all rows together, in bytes of JSON: a plan must stay readable.
const MAX_BYTES: usize = 48 << 20;
/// What a row takes in a plan beside its texts: the names of its members, and their indentation.
const ROW_BYTES: usize = 200;

/// The known entries of one listing.
#[derive(Debug)]
pub(super) struct Numbering {
    next_index: u32,
    max_entries: usize,
    bytes: usize,
    /// The hashes of name and URL of all entries.
    known: HashSet<u64>,
    /// The names of repositories that are scanned, by the hash of their URL.
    names: HashMap<u64, Box<str>>,
    hasher: RandomState,
}

/// The plan has no room for another entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// It has the maximum number of entries.
    Entries,
    /// It has the maximum size, which is given here.
    Bytes(usize),
}

impl Numbering {
    /// A numbering that continues after these rows.
    pub(super) fn after(rows: &[PlannedRepository], max_entries: usize) -> Self {
        let mut numbering = Self {
            next_index: 0,
            max_entries,
            bytes: 0,
            known: HashSet::new(),
            names: HashMap::new(),
            hasher: RandomState::new(),
        };
        for row in rows {
            numbering.known.insert(numbering.key(row));
            numbering.bytes += size(row);
            if let Some(index) = row.repo_index {
                numbering.next_index = numbering.next_index.max(index.saturating_add(1));
                if row.refused.is_none() {
                    let url = numbering.hasher.hash_one(&row.git_url);
                    numbering.names.entry(url).or_insert_with(|| row.repo_name.as_str().into());
                }
            }
        }
        numbering
    }

    /// How many entries are known.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Numbers a row; `None` if it is known.
    pub(super) fn add(
        &mut self,
        mut row: PlannedRepository,
    ) -> Result<Option<PlannedRepository>, Full> {
        let key = self.key(&row);
        if self.known.contains(&key) {
            return Ok(None);
        }
        if self.len() >= self.max_entries {
            return Err(Full::Entries);
        }
        if row.skipped.is_none() && row.refused.is_none() {
            let url = self.hasher.hash_one(&row.git_url);
            match self.names.get(&url) {
                Some(first) => {
                    row.skipped = Some(format!("the same repository as `{first}`"));
                    row.skipped_kind = Some(SkipKind::Duplicate);
                }
                None => drop(self.names.insert(url, row.repo_name.as_str().into())),
            }
        }
        self.bytes += size(&row);
        if self.bytes > MAX_BYTES {
            return Err(Full::Bytes(MAX_BYTES));
        }
        self.known.insert(key);
        if row.skipped.is_none() {
            row.repo_index = Some(self.next_index);
            self.next_index += 1;
        }
        Ok(Some(row))
    }

    fn key(&self, row: &PlannedRepository) -> u64 {
        self.hasher.hash_one((&row.repo_name, &row.git_url))
    }
}

fn size(row: &PlannedRepository) -> usize {
    let json = |text: &str| text.len() + text.bytes().filter(|byte| b"\"\\".contains(byte)).count();
    let reasons = row.skipped.iter().chain(&row.refused).map(|text| json(text));
    json(&row.repo_name) + json(&row.git_url) + reasons.sum::<usize>() + ROW_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, url: &str) -> PlannedRepository {
        PlannedRepository {
            repo_index: None,
            repo_name: name.to_owned(),
            git_url: format!("https://h.example/{url}.git"),
            ..PlannedRepository::default()
        }
    }

    /// `number name`, and why the entry is skipped.
    fn line(row: &PlannedRepository) -> String {
        let number = row.repo_index.map_or("-".to_owned(), |index| index.to_string());
        let reason = row.skipped.as_ref().map(|reason| format!(": {reason}"));
        format!("{number} {}{}", row.repo_name, reason.unwrap_or_default())
    }

    fn added(numbering: &mut Numbering, rows: Vec<PlannedRepository>) -> Vec<PlannedRepository> {
        rows.into_iter().filter_map(|row| numbering.add(row).unwrap()).collect()
    }

    fn lines(rows: &[PlannedRepository]) -> Vec<String> {
        rows.iter().map(line).collect()
    }

    /// Fails if an entry that appears on two pages, because the list grew in between, is scanned
    /// twice, or if one repository with two names is.
    #[test]
    fn an_entry_counts_once_across_pages() {
        let mut numbering = Numbering::after(&[], 100);
        let first = added(&mut numbering, vec![row("z", "z"), row("a", "a")]);
        assert_eq!(lines(&first), ["0 z", "1 a"], "the order of the forge");
        let empty = PlannedRepository { skipped: Some("empty".to_owned()), ..row("e", "e") };
        let refused = PlannedRepository { refused: Some("odd".to_owned()), ..row("r", "a") };
        let second = vec![row("a", "a"), row("b", "a"), empty.clone(), refused, row("c", "c")];
        let second = added(&mut numbering, second);
        let expected = ["- b: the same repository as `a`", "- e: empty", "2 r", "3 c"];
        assert_eq!(lines(&second), expected);
        assert!(added(&mut numbering, vec![row("b", "a"), empty]).is_empty());
    }

    /// Fails if a listing that starts again changes numbers, scans a known repository again, or
    /// takes a number twice.
    #[test]
    fn a_listing_that_starts_again_recognizes_its_entries() {
        let mut before = Numbering::after(&[], 100);
        let empty = PlannedRepository { skipped: Some("empty".to_owned()), ..row("e", "e") };
        let known = added(&mut before, vec![row("a", "a"), empty.clone(), row("b", "b")]);
        let mut numbering = Numbering::after(&known, 100);
        let again = vec![row("new", "n"), row("b", "b"), empty, row("a", "a"), row("alias", "b")];
        let again = added(&mut numbering, again);
        assert_eq!(lines(&again), ["2 new", "- alias: the same repository as `b`"]);
        assert_eq!(numbering.len(), 5);
    }

    /// Fails if a forge can fill the memory or the disk, or if known entries count again.
    #[test]
    fn entries_are_limited_in_number_and_size() {
        let mut numbering = Numbering::after(&[row("a", "a")], 2);
        assert_eq!(numbering.add(row("a", "a")), Ok(None));
        assert!(numbering.add(row("b", "b")).unwrap().is_some());
        assert_eq!(numbering.add(row("b", "b")), Ok(None), "known entries need no room");
        assert_eq!(numbering.add(row("c", "c")), Err(Full::Entries));

        let mut numbering = Numbering::after(&[], usize::MAX);
        let long = "\"".repeat(1 << 20);
        let full = (0..100).find_map(|n| numbering.add(row(&format!("{n}{long}"), "x")).err());
        assert_eq!(full, Some(Full::Bytes(MAX_BYTES)));
        assert!(numbering.len() < 24, "{}", numbering.len());
    }
}
