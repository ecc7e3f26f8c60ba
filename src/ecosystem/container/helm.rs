//! `Chart.yaml`, `Chart.lock`, and `requirements.yaml` and `.lock` of Helm 2.
//!
//! Input: the `dependencies`. Output: the charts that a chart depends on; a lock file gives their resolved
//! versions. Invariants: a local chart (`file://`) and the chart itself are not packages; a chart without a
//! repository is local if it is in the folder `charts/` ([`charts`](super::charts)).

use super::charts::ChartPart;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    text, version,
    yaml::{self, Node, Seen, Tree},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads the dependencies of a Helm chart.
#[derive(Debug)]
pub(in crate::ecosystem) struct HelmChart;

impl Parser for HelmChart {
    fn name(&self) -> &'static str {
        "helm-chart"
    }

    fn wants(&self, path: &str) -> bool {
        matches!(
            file_name(path),
            "Chart.yaml" | "Chart.yml" | "Chart.lock" | "requirements.yaml" | "requirements.lock"
        )
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let is_lock = file.file_name().ends_with(".lock");
        let source = if is_lock { Source::Lockfile } else { Source::Manifest };
        let found = Collector::new(file, Ecosystem::Helm, source);
        let mut part = ChartPart::new(file.path);
        let findings = yaml::read(file.bytes, found, |tree, found| walk(tree, &mut part, found));
        Findings { fact: Some(Box::new(part)), ..findings }
    }
}

fn walk(tree: &Tree<'_>, part: &mut ChartPart, found: &mut Collector<'_>) {
    if let Some(root) = tree.root() {
        part.describe(root.text("name"), root.text("appVersion"));
    }
    let dependencies = tree.documents().filter_map(|root| root.get("dependencies"));
    let mut seen = Seen::default();
    for dependency in dependencies.flat_map(Node::elements) {
        if dependency.is_null() || !seen.is_new((), dependency) {
            continue;
        }
        let repository = dependency.text("repository").unwrap_or_default();
        if repository.starts_with("file:") || repository.starts_with('.') {
            continue;
        }
        let Some(name) = dependency.text("name") else {
            found.warn(dependency.line, "a dependency without a name");
            continue;
        };
        let version = dependency.text("version");
        if version.is_none() {
            found.warn(dependency.line, format!("`{}` has no version", text::excerpt(name)));
        }
        if repository.is_empty() {
            part.without_repository.push(dependency.line);
        }
        add(name, version, dependency.line, found);
    }
}

/// Adds a chart. An exact version becomes the version, anything else the specifier.
pub(super) fn add(name: &str, wanted: Option<&str>, line: u32, found: &mut Collector<'_>) {
    let exact = wanted.filter(|version| version::is_complete(version));
    let specifier = wanted.filter(|_| exact.is_none());
    let (direct, scope) = (Some(true), Some(Scope::Runtime));
    let declared = Declared { name, version: exact, specifier, line, direct, scope };
    found.add_of(Ecosystem::Helm, declared);
}
