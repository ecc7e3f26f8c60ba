//! `Chart.yaml`, `Chart.lock`, and `requirements.yaml` and `.lock` of Helm 2.
//!
//! Input: the `dependencies`. Output: the charts that a chart depends on; a lock file gives their resolved
//! versions. Invariants: a local chart (`file://`) and the chart itself are not packages.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    text,
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
        yaml::read(file.bytes, Collector::new(file, Ecosystem::Helm, source), walk)
    }
}

fn walk(tree: &Tree<'_>, found: &mut Collector<'_>) {
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
        // A dependency without a repository is in `charts/`.
        add(name, version, dependency.line, found);
    }
}

/// Adds a chart. An exact version becomes the version, anything else the specifier.
pub(super) fn add(name: &str, wanted: Option<&str>, line: u32, found: &mut Collector<'_>) {
    let exact = wanted.filter(|version| is_version(version));
    let specifier = wanted.filter(|_| exact.is_none());
    let (direct, scope) = (Some(true), Some(Scope::Runtime));
    let declared = Declared { name, version: exact, specifier, line, direct, scope };
    found.add_of(Ecosystem::Helm, declared);
}

/// Whether a text is a complete version and not a range.
fn is_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let core = text.split(['-', '+']).next().unwrap_or(text);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
}
