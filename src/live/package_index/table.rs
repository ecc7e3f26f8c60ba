//! The packages of a job in columns: one number for the name, one for the version, and the offset in the result file.
//!
//! Input: packages, repository by repository. Output: the rows that fit a search.
//!
//! Invariants: rows are in the order of repositories and, within one, of its result; the rows of a repository
//! are complete or not there; 16 bytes for each row, besides names and versions.

use super::interner::Interner;
use crate::{
    model::{ecosystem::AnyEcosystem, version_range::VersionRange},
    store::read::Signature,
};
use std::{collections::BTreeMap, ops::Range};

/// The version of a row that has none.
const NONE: u32 = u32::MAX;

/// The packages of a job.
#[derive(Debug, Default)]
pub(super) struct Table {
    ecosystems: Vec<AnyEcosystem>,
    /// Names, with the number of the ecosystem as tag.
    names: Interner,
    versions: Interner,
    name_of: Vec<u32>,
    version_of: Vec<u32>,
    place_of: Vec<u64>,
    segments: BTreeMap<u32, Segment>,
    /// Rows that belong to no segment any more.
    dead: usize,
}

/// The rows of one repository.
#[derive(Debug)]
struct Segment {
    rows: Range<usize>,
    file: Signature,
}

/// What is searched. Everything that is given has to fit.
#[derive(Debug, Default)]
pub struct PackageQuery {
    /// The exact name.
    pub name: Option<String>,
    /// A part of the name, whatever the case of its ASCII letters.
    pub fragment: Option<String>,
    /// The ecosystem's name.
    pub ecosystem: Option<String>,
    pub range: Option<VersionRange>,
}

/// The rows that fit.
#[derive(Debug, Default)]
pub struct FoundRows {
    /// How many rows fit.
    pub total: usize,
    /// In how many repositories.
    pub repositories: usize,
    /// How many rows fit but for the range, because they have no exact version.
    pub without_version: usize,
    /// How many rows fit, by ecosystem.
    pub by_ecosystem: BTreeMap<String, usize>,
    /// Those of the page.
    pub rows: Vec<FoundRow>,
}

/// A row of a page.
#[derive(Debug, Clone, Copy)]
pub struct FoundRow {
    pub repository: u32,
    /// The content of the result file that has the row.
    pub file: Signature,
    /// The offset of the package in the file.
    pub place: u64,
}

/// Whether a version is in a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InRange {
    Unasked,
    Yes,
    No,
    /// It has no place in the order of versions.
    Unordered,
}

impl From<Option<bool>> for InRange {
    fn from(contains: Option<bool>) -> Self {
        match contains {
            Some(true) => Self::Yes,
            Some(false) => Self::No,
            None => Self::Unordered,
        }
    }
}

/// No more rows fit into the table.
#[derive(Debug)]
pub(super) struct Full;

impl Table {
    /// How many rows there are, with those of a repository that is being added.
    pub(super) fn len(&self) -> usize {
        self.name_of.len()
    }

    /// Adds a row to the repository that is being added.
    pub(super) fn push(
        &mut self,
        ecosystem: &AnyEcosystem,
        name: &str,
        version: Option<&str>,
        place: u64,
    ) -> Result<(), Full> {
        let tag = self.tag(ecosystem).ok_or(Full)?;
        let name = self.names.add(tag, name).ok_or(Full)?;
        let version = match version {
            Some(version) => self.versions.add(0, version).filter(|number| *number != NONE),
            None => Some(NONE),
        };
        self.name_of.push(name);
        self.version_of.push(version.ok_or(Full)?);
        self.place_of.push(place);
        Ok(())
    }

    fn tag(&mut self, ecosystem: &AnyEcosystem) -> Option<u16> {
        let known = self.ecosystems.iter().position(|known| known == ecosystem);
        let place = known.unwrap_or_else(|| {
            self.ecosystems.push(ecosystem.clone());
            self.ecosystems.len() - 1
        });
        u16::try_from(place).ok()
    }

    /// Makes the rows from `from` on those of a repository.
    pub(super) fn finish(&mut self, repository: u32, from: usize, file: Signature) {
        self.remove(repository);
        self.segments.insert(repository, Segment { rows: from..self.len(), file });
    }

    /// Drops the rows from `from` on.
    pub(super) fn truncate(&mut self, from: usize) {
        self.name_of.truncate(from);
        self.version_of.truncate(from);
        self.place_of.truncate(from);
    }

    /// Drops the rows of a repository.
    pub(super) fn remove(&mut self, repository: u32) {
        if let Some(segment) = self.segments.remove(&repository) {
            self.dead += segment.rows.len();
        }
    }

    /// Moves rows together if most of them are dropped. Not while a repository is being added.
    pub(super) fn compact(&mut self) {
        if self.dead <= self.len() / 2 {
            return;
        }
        let mut kept = Self { ecosystems: std::mem::take(&mut self.ecosystems), ..Self::default() };
        let count = self.len() - self.dead;
        kept.name_of.reserve_exact(count);
        kept.version_of.reserve_exact(count);
        kept.place_of.reserve_exact(count);
        for (repository, segment) in std::mem::take(&mut self.segments) {
            let from = kept.len();
            kept.name_of.extend_from_slice(&self.name_of[segment.rows.clone()]);
            kept.version_of.extend_from_slice(&self.version_of[segment.rows.clone()]);
            kept.place_of.extend_from_slice(&self.place_of[segment.rows]);
            kept.segments
                .insert(repository, Segment { rows: from..kept.len(), file: segment.file });
        }
        kept.names = std::mem::take(&mut self.names);
        kept.versions = std::mem::take(&mut self.versions);
        *self = kept;
    }

    /// The size in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        // An entry of the map has a third more than its content.
        let segment = (size_of::<u32>() + size_of::<Segment>()) * 4 / 3;
        self.names.bytes()
            + self.versions.bytes()
            + (self.name_of.capacity() + self.version_of.capacity()) * size_of::<u32>()
            + self.place_of.capacity() * size_of::<u64>()
            + self.segments.len() * segment
    }

    /// Finds rows. `page`: which of them are returned.
    pub(super) fn search(&self, query: &PackageQuery, page: &Range<usize>) -> FoundRows {
        let wanted = self.wanted_names(query);
        let mut found = FoundRows::default();
        let mut by_tag = vec![0; self.ecosystems.len()];
        // By ecosystem and version: most versions occur many times.
        let mut in_range = vec![Vec::new(); self.ecosystems.len()];
        for (repository, segment) in &self.segments {
            let before = found.total;
            for row in segment.rows.clone() {
                let name = self.name_of[row];
                if wanted.as_ref().is_some_and(|wanted| !wanted[name as usize]) {
                    continue;
                }
                let tag = self.names.tag(name);
                if let Some(range) = &query.range {
                    let version = self.version_of[row];
                    if version == NONE {
                        found.without_version += 1;
                        continue;
                    }
                    let known = &mut in_range[usize::from(tag)];
                    if known.is_empty() {
                        known.resize(self.versions.len(), InRange::Unasked);
                    }
                    let answer = &mut known[version as usize];
                    if *answer == InRange::Unasked {
                        let ecosystem = &self.ecosystems[usize::from(tag)];
                        *answer = range.contains(ecosystem, self.versions.text(version)).into();
                    }
                    match answer {
                        InRange::Yes => {}
                        InRange::Unordered => {
                            found.without_version += 1;
                            continue;
                        }
                        InRange::No | InRange::Unasked => continue,
                    }
                }
                if page.contains(&found.total) {
                    let (file, place) = (segment.file, self.place_of[row]);
                    found.rows.push(FoundRow { repository: *repository, file, place });
                }
                found.total += 1;
                by_tag[usize::from(tag)] += 1;
            }
            found.repositories += usize::from(found.total > before);
        }
        let names = self.ecosystems.iter().map(|ecosystem| ecosystem.as_str().to_owned());
        found.by_ecosystem = names.zip(by_tag).filter(|(_, count)| *count > 0).collect();
        found
    }

    /// For each name whether it fits; `None` if all do.
    fn wanted_names(&self, query: &PackageQuery) -> Option<Vec<bool>> {
        let PackageQuery { name, fragment, ecosystem, range: _ } = query;
        if name.is_none() && fragment.is_none() && ecosystem.is_none() {
            return None;
        }
        let tags: Vec<bool> = self
            .ecosystems
            .iter()
            .map(|known| ecosystem.as_ref().is_none_or(|wanted| wanted == known.as_str()))
            .collect();
        let mut wanted = vec![false; self.names.len()];
        let mut add = |number: u32| {
            let fits_fragment = || {
                let Some(fragment) = &fragment else { return true };
                let text = self.names.text(number).to_ascii_lowercase();
                text.contains(&fragment.to_ascii_lowercase())
            };
            if tags[usize::from(self.names.tag(number))] && (name.is_none() || fits_fragment()) {
                wanted[number as usize] = true;
            }
        };
        match (name, fragment) {
            (Some(name), _) => {
                let tags = (0..self.ecosystems.len()).filter_map(|tag| u16::try_from(tag).ok());
                tags.filter_map(|tag| self.names.number(tag, name)).for_each(add);
            }
            (None, Some(fragment)) => self.names.containing(fragment, add),
            (None, None) => (0..self.names.len())
                .filter_map(|number| u32::try_from(number).ok())
                .for_each(&mut add),
        }
        Some(wanted)
    }

    /// Whether the rows of a repository are there.
    pub(super) fn has(&self, repository: u32) -> bool {
        self.segments.contains_key(&repository)
    }

    /// How many repositories have rows, or have none after their result was read.
    pub(super) fn repositories(&self) -> usize {
        self.segments.len()
    }

    /// The packages of a repository: ecosystem, name and version.
    pub(super) fn packages(
        &self,
        repository: u32,
    ) -> impl Iterator<Item = (&AnyEcosystem, &str, Option<&str>)> {
        let rows = self.segments.get(&repository).map_or(0..0, |segment| segment.rows.clone());
        rows.map(|row| {
            let (name, version) = (self.name_of[row], self.version_of[row]);
            let version = (version != NONE).then(|| self.versions.text(version));
            (&self.ecosystems[usize::from(self.names.tag(name))], self.names.text(name), version)
        })
    }
}

#[cfg(test)]
mod tests;
