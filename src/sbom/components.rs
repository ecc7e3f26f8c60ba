//! Merges the packages of results to components.
//!
//! Input: results of one or several repositories, with one package for each declaration. Output: the purl
//! of each component, in order, with the positions of all its declarations.
//!
//! Invariants: components are sorted by purl; a range in a manifest that a lock file resolves is one
//! component with the resolved version, which the result names if the lock file has several; memory is bounded by the budget of the index, whatever the results:
//! what does not fit is collected by reading the results again.

use super::{
    findings::{Findings, Gone},
    sorted::{Place, Sorted},
};
use crate::model::{declared::Declared, scan_result::Source};
use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hasher},
    ops::Range,
};

/// Visits a package: the purl of its component, its position, and its declaration.
type Visit<'v> = &'v mut dyn FnMut(&str, u64, &Declared<'_>);

/// Visits the packages of a result. False if the result is malformed.
pub(super) fn each<F: Findings>(findings: &mut F, at: u32, visit: Visit<'_>) -> Result<bool, Gone> {
    let (mut locked, mut open) = (Locked::default(), Vec::new());
    let is_valid = findings.packages(at, &mut |place, package| {
        let is_locked = package.source == Source::Lockfile;
        if package.version.is_none() && !is_locked {
            open.push(place);
            return Ok(());
        }
        if is_locked && package.direct == Some(true) {
            locked.add(package, place);
        }
        visit(&package.purl, place, package);
        Ok(())
    })?;
    if !is_valid {
        return Ok(false);
    }
    locked.finish();
    for place in open {
        let mut resolved = None;
        findings.package(at, place, &mut |package| resolved = locked.resolved(package))?;
        let mut purl = None;
        if let Some(resolved) = resolved {
            findings.package(at, resolved, &mut |package| {
                purl = Some(package.purl.clone().into_owned());
            })?;
        }
        findings.package(at, place, &mut |package| {
            visit(purl.as_deref().unwrap_or(&package.purl), place, package);
        })?;
    }
    Ok(true)
}

/// The direct dependencies in the lock files of a result, by folder and by purl without version, which is
/// canonical.
#[derive(Debug, Default)]
struct Locked(Vec<Candidate>);

#[derive(Debug, Clone, Copy)]
struct Candidate {
    key: u64,
    place: u64,
    purl: u64,
}

impl Locked {
    fn add(&mut self, package: &Declared<'_>, place: u64) {
        let key = keys(&unversioned(&package.purl), folder_of(&package.file)).pop();
        let purl = hash(&package.purl);
        self.0.extend(key.map(|key| Candidate { key, place, purl }));
    }

    fn finish(&mut self) {
        self.0.sort_unstable_by_key(|candidate| (candidate.key, candidate.place));
    }

    /// The position of the locked package that a declaration without a version resolves to, in the nearest
    /// lock file. Of several it is the one that the declaration names; otherwise none, because the range could
    /// be any of them.
    fn resolved(&self, package: &Declared<'_>) -> Option<u64> {
        let keys = keys(&package.purl, folder_of(&package.file));
        let found = keys.iter().rev().map(|key| self.of(*key)).find(|range| !range.is_empty())?;
        let found = self.0.get(found)?;
        if let Some(resolved) = package.resolved.as_deref().map(hash) {
            let named = found.iter().find(|candidate| candidate.purl == resolved);
            return named.map(|candidate| candidate.place);
        }
        let (first, rest) = found.split_first()?;
        rest.iter().all(|candidate| candidate.purl == first.purl).then_some(first.place)
    }

    fn of(&self, key: u64) -> Range<usize> {
        let start = self.0.partition_point(|candidate| candidate.key < key);
        start..start + self.0[start..].partition_point(|candidate| candidate.key == key)
    }
}

/// A hash of a purl, or of another text.
pub(super) fn hash(purl: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(purl.as_bytes());
    hasher.finish()
}

/// The keys of a purl in each folder from the root to `folder`, which is the last. Takes linear time in the
/// length of both.
fn keys(purl: &str, folder: &str) -> Vec<u64> {
    let mut hasher = DefaultHasher::new();
    hasher.write(purl.as_bytes());
    hasher.write_u8(0xff);
    let mut keys = vec![hasher.finish()];
    let mut start = 0;
    let ends = folder.match_indices('/').map(|(position, _)| position);
    for end in ends.chain([folder.len()]).filter(|end| *end > 0) {
        hasher.write(&folder.as_bytes()[start..end]);
        keys.push(hasher.finish());
        start = end;
    }
    keys
}

/// A purl without its version. Every other `@`, `?` and `#` in a purl is percent-encoded.
fn unversioned(purl: &str) -> Cow<'_, str> {
    let Some((before, behind)) = purl.split_once('@') else { return Cow::Borrowed(purl) };
    match behind.find(['?', '#']).and_then(|at| behind.get(at..)) {
        Some(rest) => Cow::Owned(format!("{before}{rest}")),
        None => Cow::Borrowed(before),
    }
}

fn folder_of(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// One component: its purl, and the positions of its declarations.
#[derive(Debug)]
pub(super) struct Component {
    pub(super) purl: String,
    places: Places,
}

#[derive(Debug)]
enum Places {
    These(Vec<Place>),
    /// Too many to keep: each visit searches for them.
    Many,
}

impl Component {
    /// Visits the declarations, in order.
    pub(super) fn each<F: Findings>(
        &self,
        findings: &mut F,
        visit: &mut dyn FnMut(Place, &Declared<'_>),
    ) -> Result<(), Gone> {
        match &self.places {
            Places::These(places) => {
                for (at, place) in places {
                    findings.package(*at, *place, &mut |package| visit((*at, *place), package))?;
                }
            }
            Places::Many => {
                for at in 0..findings.scanned() {
                    each(findings, at, &mut |purl, place, package| {
                        if purl == self.purl {
                            visit((at, place), package);
                        }
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Visits the purls of the dependencies, as often as they are named.
    pub(super) fn each_required<F: Findings>(
        &self,
        findings: &mut F,
        visit: &mut dyn FnMut(&str),
    ) -> Result<(), Gone> {
        if let Places::These(places) = &self.places {
            return places.iter().try_for_each(|(at, place)| findings.requires(*at, *place, visit));
        }
        for at in 0..findings.scanned() {
            let mut places = Vec::new();
            each(findings, at, &mut |purl, place, package| {
                if purl == self.purl && package.required > 0 {
                    places.push(place);
                }
            })?;
            for place in places {
                findings.requires(at, place, visit)?;
            }
        }
        Ok(())
    }
}

/// The components in order, as many at a time as fit. By default none fit.
#[derive(Debug, Default)]
pub(super) struct Index {
    purls: Sorted,
    state: State,
    next: usize,
    /// Whether all components fit, as far as is known.
    fits: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Empty,
    /// Results before this one have been read.
    Filling(u32),
    Filled,
}

/// The answer of the index to a request for the next component.
#[derive(Debug)]
pub(super) enum Next {
    Component(Component),
    /// The index has to be filled first.
    Fill,
    None,
}

impl Index {
    /// An index of at most `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { purls: Sorted::new(most), state: State::Empty, next: 0, fits: true }
    }

    /// Frees the memory, unless the index is being filled. It is filled again on demand.
    pub(super) fn free_memory(&mut self) {
        if self.state == State::Filled {
            self.purls.free();
            self.state = State::Empty;
        }
    }

    /// Starts again with the first component.
    pub(super) fn rewind(&mut self) {
        self.next = 0;
        if !self.fits {
            self.state = State::Empty;
        }
    }

    /// The next component after `last`.
    pub(super) fn next(&mut self, last: Option<&str>) -> Next {
        if self.state != State::Filled {
            return Next::Fill;
        }
        let Some((purl, first)) = self.purls.get(self.next) else {
            if self.purls.is_last() {
                return Next::None;
            }
            self.state = State::Empty;
            return Next::Fill;
        };
        let Ok(text) = std::str::from_utf8(purl) else { return Next::None };
        debug_assert!(last.is_none_or(|last| last < text), "in order");
        let purl_text = text.to_owned();
        let mut places = vec![first];
        let mut next = self.next + 1;
        while let Some((_, place)) = self.purls.get(next).filter(|(other, _)| *other == purl) {
            places.push(place);
            next += 1;
        }
        let is_crowded = self.purls.is_crowded(purl);
        self.next = next;
        let places = if is_crowded { Places::Many } else { Places::These(places) };
        Next::Component(Component { purl: purl_text, places })
    }

    /// Reads one more result. Returns whether the index is filled; call it until it is.
    pub(super) fn fill<F: Findings>(
        &mut self,
        findings: &mut F,
        last: Option<&str>,
    ) -> Result<bool, Gone> {
        let after = || last.map(|purl| purl.as_bytes().to_vec());
        let at = match self.state {
            State::Filled => return Ok(true),
            State::Filling(at) => at,
            State::Empty => {
                self.purls.begin(if self.fits { None } else { after() });
                0
            }
        };
        // Reset in case reading fails, because half of an index is useless.
        self.state = State::Empty;
        if at < findings.scanned() {
            let mark = self.purls.len();
            let purls = &mut self.purls;
            let is_valid = each(findings, at, &mut |purl, place, _| {
                purls.push(purl.as_bytes(), (at, place));
            })?;
            if !is_valid && self.purls.len() != mark {
                self.purls.forget(at);
            }
            self.state = State::Filling(at + 1);
            return Ok(false);
        }
        self.purls.finish();
        self.fits &= self.purls.is_whole();
        self.next = last.map_or(0, |purl| self.purls.behind(purl.as_bytes()));
        self.state = State::Filled;
        Ok(true)
    }

    /// Whether there is a component with this purl; `None` if the index does not contain all components.
    pub(super) fn contains(&self, purl: &str) -> Option<bool> {
        let knows = self.state == State::Filled && self.purls.is_whole();
        knows.then(|| self.purls.contains(purl.as_bytes()))
    }

    /// Whether the index contains all components at once.
    pub(super) fn fits(&self) -> bool {
        self.fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unversioned_removes_only_the_version() {
        for (purl, expected) in [
            ("pkg:npm/%40a/b@1.0.0", "pkg:npm/%40a/b"),
            ("pkg:npm/b", "pkg:npm/b"),
            ("pkg:julia/A@1?uuid=x", "pkg:julia/A?uuid=x"),
            ("pkg:cocoapods/A@1#B", "pkg:cocoapods/A#B"),
        ] {
            assert_eq!(unversioned(purl), expected);
        }
    }

    #[test]
    fn keys_are_those_of_the_folder_and_the_folders_above() {
        let of = |folder| keys("pkg:npm/a", folder);
        assert_eq!(of("").len(), 1);
        for folder in ["a", "a/b", "a/bc/d"] {
            let around = of(folder_of(folder));
            assert_eq!(of(folder)[..around.len()], around, "{folder}");
            assert_eq!(of(folder).len(), around.len() + 1);
        }
        assert_ne!(of("a"), keys("pkg:npm/b", "a"));
        assert_ne!(of("ab").pop(), of("a/b").pop());
    }
}
