//! What a parser has found so far.
//!
//! What flows in: one declaration after the other. What flows out: the file's [`Findings`]. What
//! must stay true: a declaration without a usable name is a warning, not a package; no message
//! carries credentials; and a file of nothing but mistakes gives a bounded number of warnings.

use super::{
    budget::{Budget, NODE},
    credentials::without_credentials,
    join::stronger,
    purl::Ecosystem,
    source::{Findings, SourceFile},
    text,
    workspace::Project,
};
use crate::model::scan_result::{Package, Scope, Source};
use std::collections::HashMap;

/// After this many warnings about one file, the rest are only counted.
const MAX_WARNINGS: usize = 100;

/// Of one file no more packages are taken; a whole repository is allowed fewer, unless the
/// settings say otherwise. It bounds the memory, and so does the bound of their texts in bytes.
const MAX_PACKAGES: usize = 250_000;
const MAX_TEXT: usize = 64 << 20;

/// No registry takes a longer name, in bytes, and nothing that is longer tells a version.
pub(crate) const MAX_NAME: usize = 1000;
pub(crate) const MAX_VERSION: usize = 4000;

/// One package as a parser read it, before it has a purl.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Declared<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: Option<&'a str>,
    pub(crate) specifier: Option<&'a str>,
    pub(crate) line: u32,
    pub(crate) direct: Option<bool>,
    pub(crate) scope: Option<Scope>,
}

/// A package of the file that was taken, as one end of what [`Collector::requires`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Added(usize);

/// Gathers the findings of one file.
#[derive(Debug)]
pub(crate) struct Collector<'f> {
    file: SourceFile<'f>,
    ecosystem: Ecosystem,
    source: Source,
    findings: Findings,
    warnings_left_out: usize,
    /// Bytes of the texts of the packages so far.
    text: usize,
    packages_left_out: usize,
    requirements_left_out: usize,
    /// Whether packages with one purl become one.
    merges: bool,
}

impl<'f> Collector<'f> {
    pub(crate) fn new(file: SourceFile<'f>, ecosystem: Ecosystem, source: Source) -> Self {
        Self {
            file,
            ecosystem,
            source,
            findings: Findings::default(),
            warnings_left_out: 0,
            text: 0,
            packages_left_out: 0,
            requirements_left_out: 0,
            merges: false,
        }
    }

    /// The budget of work of the file. Once it is used up, nothing more is taken.
    pub(crate) fn budget(&self) -> &'f Budget {
        self.file.budget
    }

    /// For a file that may ask for one package in several places: it is listed once.
    pub(crate) fn merging(mut self) -> Self {
        self.merges = true;
        self
    }

    pub(crate) fn add(&mut self, declared: Declared<'_>) {
        let _ = self.take(self.ecosystem, declared);
    }

    /// As [`add`](Self::add), for a file that lists packages of several ecosystems.
    pub(crate) fn add_of(&mut self, ecosystem: Ecosystem, declared: Declared<'_>) {
        let _ = self.take(ecosystem, declared);
    }

    /// As [`add_of`](Self::add_of), of which more is to be said; none where it is not taken.
    pub(crate) fn take(&mut self, ecosystem: Ecosystem, declared: Declared<'_>) -> Option<Added> {
        self.take_as(ecosystem.as_str(), declared, |version| {
            ecosystem.purl(declared.name.trim(), version)
        })
    }

    /// As [`take`](Self::take), where the purl follows from more than the name, or the type is
    /// one that only the file knows.
    pub(crate) fn take_as(
        &mut self,
        ecosystem: &str,
        declared: Declared<'_>,
        purl: impl FnOnce(Option<&str>) -> Option<String>,
    ) -> Option<Added> {
        if self.findings.packages.len() >= MAX_PACKAGES || self.text > MAX_TEXT {
            self.packages_left_out += 1;
            return None;
        }
        let texts = [Some(declared.name), declared.version, declared.specifier];
        let read: usize = texts.into_iter().flatten().map(|it| it.len().min(MAX_VERSION)).sum();
        if !self.file.budget.spend(NODE + read as u64) {
            return None;
        }
        let name = declared.name.trim();
        let version = self.bounded(declared.version, declared);
        let specifier = self.bounded(declared.specifier, declared);
        let unusable = name.is_empty() || name.len() > MAX_NAME;
        let purl = if unusable { None } else { purl(version) };
        let Some(purl) = purl else {
            let message = format!("`{}` is no package name", text::excerpt(name));
            self.warn(declared.line, message);
            return None;
        };
        let package = Package {
            name: name.to_owned(),
            version: version.map(str::to_owned),
            specifier: specifier.map(|it| without_credentials(it).into_owned()),
            ecosystem: ecosystem.to_owned(),
            purl,
            file: self.file.path.to_owned(),
            line: Some(declared.line),
            direct: declared.direct,
            scope: declared.scope,
            source: self.source,
            requires: Vec::new(),
        };
        let text = package.text_len();
        // The path is as long for each file of this name: it is bounded, but no work of this file.
        if !self.file.budget.copy(text - package.file.len()) {
            return None;
        }
        self.text += text;
        self.findings.packages.push(package);
        Some(Added(self.findings.packages.len() - 1))
    }

    /// Takes note of what the manifest says of its own project.
    pub(crate) fn describe<'a>(
        &mut self,
        name: Option<&str>,
        members: impl Iterator<Item = &'a str>,
    ) {
        let ecosystem = self.ecosystem;
        let name = name.and_then(|it| ecosystem.purl(it.trim(), None));
        let project = Project::new(self.file.path, ecosystem.as_str(), name, members);
        self.findings.project = Some(Box::new(project));
    }

    /// One package of the file requires another one itself.
    pub(crate) fn requires(&mut self, Added(package): Added, Added(required): Added) {
        let purl = self.findings.packages.get(required).map(|it| it.purl.as_str());
        let Some(purl) = purl.filter(|it| self.file.budget.copy(it.len())).map(str::to_owned)
        else {
            return;
        };
        let Some(package) = self.findings.packages.get_mut(package) else { return };
        if self.text > MAX_TEXT {
            self.requirements_left_out += 1;
        } else if package.purl != purl {
            self.text += purl.len();
            package.requires.push(purl);
        }
    }

    /// A version or a specifier, unless it is empty, or too long to be one.
    fn bounded<'a>(&mut self, text: Option<&'a str>, of: Declared<'_>) -> Option<&'a str> {
        // One that is much too long is not even trimmed: many declarations may share it.
        let text = text.map(|it| if it.len() > 2 * MAX_VERSION { it } else { it.trim() });
        let text = text.filter(|it| !it.is_empty())?;
        if text.len() > MAX_VERSION {
            let name = text::excerpt(of.name);
            let message =
                format!("`{name}`: a version of more than {MAX_VERSION} bytes is not read");
            self.warn(of.line, message);
            return None;
        }
        Some(text)
    }

    /// A warning about a line; none once the budget of work is used up, when what is missing was
    /// only not read.
    pub(crate) fn warn(&mut self, line: u32, message: impl AsRef<str>) {
        if !self.file.budget.visit() {
            return;
        }
        if self.findings.warnings.len() < MAX_WARNINGS {
            let message = without_credentials(message.as_ref());
            self.findings.warnings.push(self.file.warning(Some(line), message));
        } else {
            self.warnings_left_out += 1;
        }
    }

    pub(crate) fn has_warnings(&self) -> bool {
        !self.findings.warnings.is_empty()
    }

    /// Of packages with one purl keeps the first, under the scope that needs it most.
    fn merge(&mut self) {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut kept: Vec<Package> = Vec::new();
        for package in std::mem::take(&mut self.findings.packages) {
            if let Some(before) = places.get(&package.purl).and_then(|at| kept.get_mut(*at)) {
                before.scope = stronger(before.scope, package.scope);
                before.specifier = before.specifier.take().or(package.specifier);
                before.requires.extend(package.requires);
            } else {
                places.insert(package.purl.clone(), kept.len());
                kept.push(package);
            }
        }
        self.findings.packages = kept;
    }

    /// The findings of a file that was understood, at least in part.
    pub(crate) fn finish(mut self) -> Findings {
        if self.merges {
            self.merge();
        }
        self.findings.warnings.sort_by_key(|it| it.line);
        for package in &mut self.findings.packages {
            package.requires.sort_unstable();
            package.requires.dedup();
        }
        if self.packages_left_out > 0 {
            let message = format!(
                "{} more packages are left out: the file declares more than any is read for",
                self.packages_left_out
            );
            self.findings.warnings.push(self.file.warning(None, message));
        }
        if self.requirements_left_out > 0 {
            let message = format!(
                "{} times it is left out which package requires which: there are more than any is read for",
                self.requirements_left_out
            );
            self.findings.warnings.push(self.file.warning(None, message));
        }
        if self.warnings_left_out > 0 {
            let message = format!("{} more warnings are left out", self.warnings_left_out);
            self.findings.warnings.push(self.file.warning(None, message));
        }
        self.findings
    }

    /// As [`finish`](Self::finish), for a file of which nothing was understood.
    pub(crate) fn unreadable(self) -> Findings {
        Findings { unreadable: true, ..self.finish() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_bounded_and_names_checked() {
        let file = SourceFile { path: "Cargo.lock", bytes: b"", budget: Budget::alone(1 << 30) };
        let mut collector = Collector::new(file, Ecosystem::Cargo, Source::Lockfile);
        for line in 1..=150 {
            collector.add(Declared { name: " ", line, ..Declared::default() });
        }
        let findings = collector.finish();
        assert!(findings.packages.is_empty());
        assert_eq!(findings.warnings.len(), 101);
        assert_eq!(findings.warnings[100].message, "50 more warnings are left out");
    }

    /// Breaks if the memory that the packages of one file take has no bound.
    #[test]
    fn packages_are_bounded_by_number_and_by_text() {
        let left_out = |path: &str, wanted: u32| {
            let file = SourceFile { path, bytes: b"", budget: Budget::alone(1 << 30) };
            let mut collector = Collector::new(file, Ecosystem::Cargo, Source::Lockfile);
            for line in 1..=wanted {
                collector.add(Declared { name: "a", line, ..Declared::default() });
            }
            let findings = collector.finish();
            let warning = findings.warnings.first().map(|it| it.message.clone());
            (findings.packages.len(), warning.unwrap_or_default())
        };
        let more = "1 more packages are left out: the file declares more than any is read for";
        assert_eq!(left_out("Cargo.lock", 250_001), (250_000, more.to_owned()));
        assert_eq!(left_out("Cargo.lock", 250_000), (250_000, String::new()));
        let (kept, warning) = left_out(&"d".repeat(20_000), 4_000);
        assert!(kept < 3_500 && warning.contains("more packages are left out"), "{kept} {warning}");
    }

    #[test]
    fn what_requires_what_is_told_once_by_purl_and_is_bounded() {
        let file = SourceFile { path: "Cargo.lock", bytes: b"", budget: Budget::alone(1 << 30) };
        let mut collector = Collector::new(file, Ecosystem::Cargo, Source::Lockfile);
        let named = |name| Declared { name, line: 1, ..Declared::default() };
        let [b, a, c] = ["b", "a", "c"].map(|it| collector.take(Ecosystem::Cargo, named(it)));
        for required in [c, a, c, b] {
            collector.requires(b.unwrap(), required.unwrap());
        }
        collector.text = MAX_TEXT + 1;
        collector.requires(a.unwrap(), c.unwrap());
        let findings = collector.finish();
        assert_eq!(findings.packages[0].requires, ["pkg:cargo/a", "pkg:cargo/c"]);
        assert!(findings.packages[1].requires.is_empty());
        assert!(findings.warnings[0].message.starts_with("1 times it is left out"));
    }

    /// Breaks if an entry of which the rest was not read becomes a package or a warning.
    #[test]
    fn nothing_is_taken_or_said_once_the_budget_is_used_up() {
        let file = SourceFile::alone("Cargo.lock", b"");
        let mut collector = Collector::new(file, Ecosystem::Cargo, Source::Lockfile);
        let named = |name| Declared { name, line: 1, ..Declared::default() };
        let [a, b] = ["a", "b"].map(|it| collector.take(Ecosystem::Cargo, named(it)).unwrap());
        assert!(!file.budget.spend(file.budget.allowed()));
        assert_eq!(collector.take(Ecosystem::Cargo, named("c")), None);
        collector.requires(a, b);
        collector.warn(1, "`d` has no version");
        let findings = collector.finish();
        assert_eq!((findings.packages.len(), findings.warnings.len()), (2, 0));
        assert!(findings.packages[0].requires.is_empty());
    }

    #[test]
    fn names_and_versions_have_a_length() {
        let file = SourceFile { path: "Cargo.toml", bytes: b"", budget: Budget::alone(1 << 30) };
        let mut collector = Collector::new(file, Ecosystem::Cargo, Source::Manifest);
        let long = "1".repeat(5_000);
        collector.add(Declared { name: &long, line: 1, ..Declared::default() });
        let (version, specifier) = (Some(long.as_str()), Some(long.as_str()));
        collector.add(Declared { name: "a", version, specifier, line: 2, ..Declared::default() });
        let findings = collector.finish();
        let [package] = findings.packages.as_slice() else { panic!("{findings:?}") };
        assert_eq!((&package.version, &package.specifier), (&None, &None));
        let lines: Vec<_> = findings.warnings.iter().filter_map(|it| it.line).collect();
        assert_eq!(lines, [1, 2, 2]);
    }

    #[test]
    fn no_message_carries_a_part_of_a_secret() {
        let file =
            SourceFile { path: "requirements.txt", bytes: b"", budget: Budget::alone(1 << 30) };
        let mut collector = Collector::new(file, Ecosystem::PyPi, Source::Manifest);
        let line = format!("x https://user:{}@git.example/x", "secret".repeat(50));
        collector.warn(1, format!("`{}` is odd", text::excerpt(&line)));
        collector.warn(2, &line);
        let messages: Vec<_> =
            collector.finish().warnings.into_iter().map(|it| it.message).collect();
        assert_eq!(messages, ["`x https://git.example/x` is odd", "x https://git.example/x"]);
    }
}
