//! The collector: assembles the findings of one file.
//!
//! Input: one declaration after the other. Output: the file's [`Findings`]. Invariants: a
//! declaration without a valid name is a warning, not a package; no message contains credentials;
//! the numbers of packages and warnings are bounded.

use super::{
    budget::{Budget, NODE},
    credentials::without_credentials,
    facts::{Fact, together},
    parser::{Findings, SourceFile},
    project::Project,
    resolution::{Importer, Resolution, Resolutions},
    text,
};
use crate::model::{
    ecosystem::{AnyEcosystem, Ecosystem},
    scan_result::{Package, Scope, Source},
};
use std::collections::{BTreeMap, HashMap};

/// Warnings of one file. Further ones are only counted.
const MAX_WARNINGS: usize = 100;

/// Packages of one file, and bytes of their texts: these bound the memory. The limits of a whole
/// repository are lower by default.
const MAX_PACKAGES: usize = 250_000;
const MAX_TEXT: usize = 64 << 20;

/// Longest name and version in bytes. No registry accepts longer names.
pub(crate) const MAX_NAME: usize = 1000;
pub(crate) const MAX_VERSION: usize = 4000;

/// How many digests and licenses of one package are kept: a Python package has an archive for each platform.
const MAX_STATED: usize = 100;

/// One package as a parser read it, without a purl.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Declared<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: Option<&'a str>,
    pub(crate) specifier: Option<&'a str>,
    /// The line in the file, from 1; 0 in a file without lines.
    pub(crate) line: u32,
    pub(crate) direct: Option<bool>,
    pub(crate) scope: Option<Scope>,
}

/// A package of the collector, as an argument of [`Collector::requires`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Added(usize);

/// Collects the findings of one file.
#[derive(Debug)]
pub(crate) struct Collector<'f> {
    file: SourceFile<'f>,
    ecosystem: Ecosystem,
    source: Source,
    findings: Findings,
    warnings_omitted: usize,
    /// The packages whose version is unknown, by the reason: the line and name of the first, and how many
    /// more there are.
    unresolved: BTreeMap<String, (u32, String, usize)>,
    /// Bytes of the texts of all packages.
    text: usize,
    packages_omitted: usize,
    requirements_omitted: usize,
    /// Whether packages with equal purls are merged.
    merges: bool,
    /// What the format keeps of the file.
    facts: Vec<Box<dyn Fact>>,
    resolutions: Vec<Resolution>,
}

impl<'f> Collector<'f> {
    pub(crate) fn new(file: SourceFile<'f>, ecosystem: Ecosystem, source: Source) -> Self {
        Self {
            file,
            ecosystem,
            source,
            findings: Findings::default(),
            warnings_omitted: 0,
            unresolved: BTreeMap::new(),
            text: 0,
            packages_omitted: 0,
            requirements_omitted: 0,
            merges: false,
            facts: Vec::new(),
            resolutions: Vec::new(),
        }
    }

    /// The work budget of the file. Once it is used up, the collector accepts nothing more.
    pub(crate) fn budget(&self) -> &'f Budget {
        self.file.budget
    }

    /// Merges packages with equal purls: for formats that may require one package in several places.
    pub(crate) fn merging(mut self) -> Self {
        self.merges = true;
        self
    }

    /// Adds a package of the file's ecosystem.
    pub(crate) fn add(&mut self, declared: Declared<'_>) {
        let _ = self.take(self.ecosystem, declared);
    }

    /// As [`add`](Self::add), for formats that list packages of several ecosystems.
    pub(crate) fn add_of(&mut self, ecosystem: Ecosystem, declared: Declared<'_>) {
        let _ = self.take(ecosystem, declared);
    }

    /// As [`add_of`](Self::add_of). Returns a handle for [`requires`](Self::requires); none where the
    /// package was rejected.
    pub(crate) fn take(&mut self, ecosystem: Ecosystem, declared: Declared<'_>) -> Option<Added> {
        self.take_as(ecosystem.into(), declared, |version| {
            ecosystem.purl(declared.name.trim(), version)
        })
    }

    /// As [`take`](Self::take), where the purl depends on more than the name, or the purl type is
    /// one that only the file defines.
    pub(crate) fn take_as(
        &mut self,
        ecosystem: AnyEcosystem,
        declared: Declared<'_>,
        purl: impl FnOnce(Option<&str>) -> Option<String>,
    ) -> Option<Added> {
        if self.findings.packages.len() >= MAX_PACKAGES || self.text > MAX_TEXT {
            self.packages_omitted += 1;
            return None;
        }
        let texts = [Some(declared.name), declared.version, declared.specifier];
        let read: usize = texts.into_iter().flatten().map(|text| text.len().min(MAX_VERSION)).sum();
        if !self.file.budget.spend(NODE + read as u64) {
            return None;
        }
        let name = declared.name.trim();
        let version = self.bounded(declared.version, declared);
        let specifier = self.bounded(declared.specifier, declared);
        let unusable = name.is_empty() || name.len() > MAX_NAME;
        let purl = if unusable { None } else { purl(version) };
        let Some(purl) = purl else {
            let message = format!("`{}` is not a valid package name", text::excerpt(name));
            self.warn(declared.line, message);
            return None;
        };
        let package = Package {
            name: name.to_owned(),
            version: version.map(str::to_owned),
            specifier: specifier.map(|specifier| without_credentials(specifier).into_owned()),
            ecosystem,
            purl,
            file: self.file.path.to_owned(),
            line: (declared.line > 0).then_some(declared.line),
            direct: declared.direct,
            scope: declared.scope,
            source: self.source,
            requires: Vec::new(),
            resolved: None,
            licenses: Vec::new(),
            hashes: Vec::new(),
            managed_by: Vec::new(),
            resolved_from: None,
        };
        let text = package.text_len();
        // The path is not work of this file, but counts towards the bound of memory.
        if !self.file.budget.copy(text - package.file.len()) {
            return None;
        }
        self.text += text;
        self.findings.packages.push(package);
        Some(Added(self.findings.packages.len() - 1))
    }

    /// Records the project that the manifest describes.
    pub(crate) fn describe<'a>(
        &mut self,
        name: Option<&str>,
        members: impl Iterator<Item = &'a str>,
    ) {
        let ecosystem = self.ecosystem;
        let name = name.and_then(|name| ecosystem.purl(name.trim(), None));
        let project = Project::new(self.file.path, ecosystem, name, members);
        self.findings.project = Some(Box::new(project));
    }

    /// Records that one package of the file requires another one.
    pub(crate) fn requires(&mut self, Added(package): Added, Added(required): Added) {
        let purl = self.findings.packages.get(required).map(|package| package.purl.as_str());
        let Some(purl) = purl.filter(|purl| self.file.budget.copy(purl.len())).map(str::to_owned)
        else {
            return;
        };
        let Some(package) = self.findings.packages.get_mut(package) else { return };
        if self.text > MAX_TEXT {
            self.requirements_omitted += 1;
        } else if package.purl != purl {
            self.text += purl.len();
            package.requires.push(purl);
        }
    }

    /// Records that a package of this lock file is the one for a requirement of a manifest, by the range that the
    /// manifest states. Only needed where the lock file has several versions of a package.
    pub(crate) fn resolves(
        &mut self,
        Added(package): Added,
        importer: Importer<'_>,
        range: Option<&str>,
    ) {
        let Some(package) = self.findings.packages.get(package) else { return };
        let range = range.unwrap_or_default().trim();
        // No manifest has a specifier of this length.
        if range.len() > MAX_VERSION || self.text > MAX_TEXT {
            return;
        }
        let resolution = Resolution::new(&package.purl, importer, range, self.file.path);
        let size = resolution.text_len();
        if self.file.budget.copy(size) {
            self.text += size;
            self.resolutions.push(resolution);
        }
    }

    /// Keeps a fact of the file until all files have been read.
    pub(crate) fn keep(&mut self, fact: impl Fact) {
        self.facts.push(Box::new(fact));
    }

    /// A trimmed version or specifier; none if it is empty or too long.
    fn bounded<'a>(&mut self, text: Option<&'a str>, of: Declared<'_>) -> Option<&'a str> {
        // A text that is much too long is not even trimmed, because many declarations may share it.
        let text = text.map(|text| if text.len() > 2 * MAX_VERSION { text } else { text.trim() });
        let text = text.filter(|text| !text.is_empty())?;
        if text.len() > MAX_VERSION {
            let name = text::excerpt(of.name);
            let message =
                format!("`{name}`: the version is longer than {MAX_VERSION} bytes and is ignored");
            self.warn(of.line, message);
            return None;
        }
        Some(text)
    }

    /// Adds a warning about a line. Once the budget is used up, parsing is incomplete, so further
    /// warnings would be misleading: they are dropped.
    pub(crate) fn warn(&mut self, line: u32, message: impl AsRef<str>) {
        if !self.file.budget.visit() {
            return;
        }
        if self.findings.warnings.len() < MAX_WARNINGS {
            let message = without_credentials(message.as_ref());
            self.findings.warnings.push(self.file.warning((line > 0).then_some(line), message));
        } else {
            self.warnings_omitted += 1;
        }
    }

    /// Adds a warning about the file as a whole.
    pub(crate) fn warn_of_file(&mut self, message: impl AsRef<str>) {
        let message = without_credentials(message.as_ref());
        self.findings.warnings.push(self.file.warning(None, message));
    }

    /// Adds a note about a line, which needs no action. A parser adds a few per file.
    pub(crate) fn note(&mut self, line: u32, message: impl AsRef<str>) {
        let message = without_credentials(message.as_ref());
        self.findings.notes.push(self.file.warning((line > 0).then_some(line), message));
    }

    /// Notes a package whose version is defined outside the repository.
    pub(crate) fn defined_elsewhere(&mut self, line: u32, name: &str) {
        self.unresolved(line, name, "the version is defined outside the repository");
    }

    /// Notes a package whose version is unknown. All packages with the same reason get one warning:
    /// a file that relies on another one for its versions does so for most of its packages.
    pub(crate) fn unresolved(&mut self, line: u32, name: &str, why: &str) {
        if !self.file.budget.visit() {
            return;
        }
        if let Some((first, shown, more)) = self.unresolved.get_mut(why) {
            *more += 1;
            if line < *first {
                (*first, *shown) = (line, text::excerpt(name));
            }
        } else {
            self.unresolved.insert(why.to_owned(), (line, text::excerpt(name), 0));
        }
    }

    pub(crate) fn has_warnings(&self) -> bool {
        !self.findings.warnings.is_empty() || !self.unresolved.is_empty()
    }

    /// Merges packages with equal purls: keeps the first, with the strongest scope.
    fn merge(&mut self) {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut kept: Vec<Package> = Vec::new();
        for package in std::mem::take(&mut self.findings.packages) {
            if let Some(before) = places.get(&package.purl).and_then(|at| kept.get_mut(*at)) {
                before.scope = Scope::stronger(before.scope, package.scope);
                before.specifier = before.specifier.take().or(package.specifier);
                before.requires.extend(package.requires);
                before.licenses.extend(package.licenses);
                before.hashes.extend(package.hashes);
            } else {
                places.insert(package.purl.clone(), kept.len());
                kept.push(package);
            }
        }
        self.findings.packages = kept;
    }

    /// The findings of a file that could be parsed at least in part.
    pub(crate) fn finish(mut self) -> Findings {
        if self.merges {
            self.merge();
        }
        for (why, (line, name, more)) in std::mem::take(&mut self.unresolved) {
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            self.warn(line, format!("`{name}`{more}: {why}"));
        }
        self.findings.warnings.sort_by_key(|warning| warning.line);
        for package in &mut self.findings.packages {
            let Package { requires, licenses, hashes, .. } = package;
            for list in [requires, licenses, hashes] {
                list.sort_unstable();
                list.dedup();
            }
        }
        if self.packages_omitted > 0 {
            let message = format!(
                "{} more packages are omitted: the file declares more than the limit of one file",
                self.packages_omitted
            );
            self.findings.warnings.push(self.file.warning(None, message));
        }
        if self.requirements_omitted > 0 {
            let message = format!(
                "{} relations between packages are omitted: the file declares more than the limit of one file",
                self.requirements_omitted
            );
            self.findings.warnings.push(self.file.warning(None, message));
        }
        if self.warnings_omitted > 0 {
            let message = format!("{} more warnings are omitted", self.warnings_omitted);
            self.findings.warnings.push(self.file.warning(None, message));
        }
        if !self.resolutions.is_empty() {
            let file = self.file.path.to_owned();
            self.facts.push(Box::new(Resolutions { file, all: self.resolutions }));
        }
        self.findings.fact = together(self.facts);
        self.findings
    }

    /// As [`finish`](Self::finish), for a file of which nothing could be parsed.
    pub(crate) fn unreadable(self) -> Findings {
        Findings { unreadable: true, ..self.finish() }
    }
}

mod stated;
#[cfg(test)]
mod tests;
