//! Documents of results in memory, for tests: each is written in several ways, which must agree.

use super::{Budget, Document, Findings, Format, Gone, Repository, Visit};
use crate::model::{
    declared::Declared,
    repository::RepositoryStatus,
    scan_result::{FileCounts, Package, ScanResult, Scope, Source},
    time::Timestamp,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The subject of a document.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    Repository,
    Group { name: &'a str, missing: &'a [RepositoryStatus] },
}

pub(super) fn cyclonedx(subject: Subject<'_>, results: &[&ScanResult], now: Timestamp) -> Value {
    document(Format::CycloneDx, subject, results, now)
}

pub(super) fn spdx(subject: Subject<'_>, results: &[&ScanResult], now: Timestamp) -> Value {
    document(Format::Spdx, subject, results, now)
}

pub(super) fn spdx3(subject: Subject<'_>, results: &[&ScanResult], now: Timestamp) -> Value {
    document(Format::Spdx3, subject, results, now)
}

fn document(
    format: Format,
    subject: Subject<'_>,
    results: &[&ScanResult],
    now: Timestamp,
) -> Value {
    let (group, missing) = match subject {
        Subject::Repository => (None, &[][..]),
        Subject::Group { name, missing } => (Some(name.to_owned()), missing),
    };
    let make = |budget, frees_memory| {
        let findings = InMemory { results, missing };
        let mut document = Document::new(format, group.clone(), findings, now, budget);
        let mut bytes = Vec::new();
        while document.piece(&mut bytes).unwrap() {
            if frees_memory {
                document.free_memory();
            }
        }
        String::from_utf8(bytes).unwrap()
    };
    let text = make(Budget::default(), false);
    let in_pieces = Budget { piece: 1, ..Budget::default() };
    assert_eq!(make(in_pieces, true), text, "with freed memory");
    for most in [200, 1000, 5000] {
        let budget = Budget { components: most, component: most, piece: 1 };
        assert_eq!(make(budget, false), text, "with a budget of {most} bytes");
        assert_eq!(make(budget, true), text, "with a budget of {most} bytes and freed memory");
    }
    serde_json::from_str(&text).unwrap()
}

/// A package of npm that a lock file has; `a` has a license and a digest, `b` a license that is no expression.
pub(super) fn package(purl: &str, direct: bool, requires: &[&str]) -> Package {
    let (name, version) = purl.trim_start_matches("pkg:npm/").split_once('@').unwrap();
    let licenses = [("a", "MIT"), ("b", "our own")].into_iter();
    let licenses = licenses.filter(|(of, _)| *of == name).map(|(_, license)| license);
    Package {
        name: name.to_owned(),
        version: Some(version.to_owned()),
        specifier: None,
        ecosystem: "npm".into(),
        purl: purl.to_owned(),
        file: "package-lock.json".to_owned(),
        line: Some(1),
        direct: Some(direct),
        scope: Some(Scope::Runtime),
        source: Source::Lockfile,
        resolved: None,
        managed_by: Vec::new(),
        resolved_from: None,
        requires: requires.iter().map(|purl| (*purl).to_owned()).collect(),
        licenses: licenses.map(str::to_owned).collect(),
        hashes: (name == "a").then(|| format!("sha1:{}", "0a".repeat(20))).into_iter().collect(),
    }
}

/// The result of a repository with two packages.
pub(super) fn result(name: &str) -> ScanResult {
    ScanResult {
        schema: 1,
        repo_index: 0,
        repo_name: name.to_owned(),
        git_url: format!("https://user:secret@git.example/group/{name}.git"),
        commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        dirty: false,
        scanned_at: Timestamp::UNIX_EPOCH,
        duration_ms: 1,
        files: FileCounts::default(),
        exclude_paths: Vec::new(),
        packages: vec![
            package(
                "pkg:npm/a@1.0.0",
                true,
                &["pkg:npm/a@1.0.0", "pkg:npm/b@1.0.0", "pkg:npm/none@1"],
            ),
            package("pkg:npm/b@1.0.0", false, &[]),
        ],
        categories: BTreeMap::new(),
        infrastructure_usage: BTreeMap::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
    }
}

/// Results in memory, and the repositories without a result.
#[derive(Debug, Clone, Copy)]
struct InMemory<'a> {
    results: &'a [&'a ScanResult],
    missing: &'a [RepositoryStatus],
}

impl<'a> InMemory<'a> {
    fn result(&self, at: u32) -> Result<&'a ScanResult, Gone> {
        self.results.get(at as usize).copied().ok_or(Gone)
    }
}

impl Findings for InMemory<'_> {
    fn scanned(&self) -> u32 {
        u32::try_from(self.results.len()).unwrap_or(u32::MAX)
    }

    fn missing(&self) -> u32 {
        u32::try_from(self.missing.len()).unwrap_or(u32::MAX)
    }

    fn repository(&mut self, at: u32) -> Result<Repository, Gone> {
        let result = self.result(at)?;
        Ok(Repository {
            index: result.repo_index,
            name: result.repo_name.clone(),
            git_url: result.git_url.clone(),
            commit: result.commit.clone(),
            dirty: result.dirty,
            excluded: result.files.excluded,
            exclude_paths: result.exclude_paths.clone(),
        })
    }

    fn name(&mut self, at: u32) -> Result<String, Gone> {
        Ok(self.result(at)?.repo_name.clone())
    }

    fn unscanned(&mut self, at: u32) -> Result<RepositoryStatus, Gone> {
        self.missing.get(at as usize).cloned().ok_or(Gone)
    }

    fn packages(&mut self, at: u32, visit: Visit<'_>) -> Result<bool, Gone> {
        for (place, package) in (0..).zip(&self.result(at)?.packages) {
            visit(place, &Declared::of(package))?;
        }
        Ok(true)
    }

    fn package(
        &mut self,
        at: u32,
        place: u64,
        visit: &mut dyn FnMut(&Declared<'_>),
    ) -> Result<(), Gone> {
        let place = usize::try_from(place).map_err(|_| Gone)?;
        visit(&Declared::of(self.result(at)?.packages.get(place).ok_or(Gone)?));
        Ok(())
    }

    fn requires(&mut self, at: u32, place: u64, visit: &mut dyn FnMut(&str)) -> Result<(), Gone> {
        let place = usize::try_from(place).map_err(|_| Gone)?;
        let package = self.result(at)?.packages.get(place).ok_or(Gone)?;
        package.requires.iter().for_each(|purl| visit(purl));
        Ok(())
    }
}
