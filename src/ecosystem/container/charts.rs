//! Charts of Helm that consist of several files: the `appVersion` of `Chart.yaml` as tag of the images in
//! `values.yaml`, and charts below `charts/`.
//!
//! Input: the charts of a repository, and the images of their values that have an empty tag, or of their files that
//! have `{{ .Chart.AppVersion }}` as tag. Output: these images with the version of their chart; the dependencies without those that are charts of the repository.
//! Sources: "Charts" of Helm's manual, sections "The Chart.yaml File" and "Managing Dependencies manually via
//! the charts/ directory", and the template that `helm create` writes
//! (`.Values.image.tag | default .Chart.AppVersion`).
//!
//! Invariants: a version in the values takes precedence; a dependency with a repository stays a package, even if
//! a copy of it is in `charts/`; the order of the files does not matter.

use crate::ecosystem::{
    facts::{Fact, Facts},
    path::{file_name, folder_of, upwards},
    step::Joining,
};
use crate::model::ecosystem::Ecosystem;
use std::collections::{HashMap, HashSet};

/// Longest name and version in bytes that are kept.
const MAX_LENGTH: usize = 256;

/// What the steps need of a `Chart.yaml`, or of a file beside it that lists dependencies.
#[derive(Debug)]
pub(super) struct ChartPart {
    file: String,
    name: Option<String>,
    app_version: Option<String>,
    /// The lines of the dependencies without a repository.
    pub(super) without_repository: Vec<u32>,
}

impl ChartPart {
    pub(super) fn new(path: &str) -> Self {
        let file = path.to_owned();
        Self { file, name: None, app_version: None, without_repository: Vec::new() }
    }

    /// Sets the name and the `appVersion` of the chart. What cannot be the tag of an image is not a version.
    pub(super) fn describe(&mut self, name: Option<&str>, app_version: Option<&str>) {
        let is_version = |version: &&str| {
            !version.is_empty()
                && version
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        let bounded = |text: &&str| text.len() <= MAX_LENGTH;
        self.name = name.filter(bounded).map(str::to_owned);
        self.app_version = app_version.filter(bounded).filter(is_version).map(str::to_owned);
    }

    /// Whether the file makes its folder a chart.
    fn is_chart(&self) -> bool {
        matches!(file_name(&self.file), "Chart.yaml" | "Chart.yml")
    }
}

impl Fact for ChartPart {
    fn size(&self) -> usize {
        1 + self.without_repository.len()
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|parts: &mut Vec<Self>| parts.push(*self));
    }
}

/// The images with an empty tag in a file of values.
#[derive(Debug)]
pub(super) struct UntaggedImages {
    file: String,
    pub(super) lines: Vec<u32>,
}

impl UntaggedImages {
    pub(super) fn new(path: &str) -> Self {
        Self { file: path.to_owned(), lines: Vec::new() }
    }
}

impl Fact for UntaggedImages {
    fn size(&self) -> usize {
        self.lines.len()
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|files: &mut Vec<Self>| files.push(*self));
    }
}

/// Sets the versions of untagged images, and drops the repository's own charts.
pub(in crate::ecosystem) fn complete_charts(joining: &mut Joining<'_>) {
    let parts: Vec<ChartPart> = joining.facts.take();
    let values: Vec<UntaggedImages> = joining.facts.take();
    let bytes: usize = parts.iter().map(|part| part.file.len() + MAX_LENGTH).sum();
    if parts.is_empty() || !joining.budget.read(bytes) {
        return;
    }
    set_versions(joining, &parts, &values);
    drop_own(joining, &parts);
}

fn set_versions(joining: &mut Joining<'_>, parts: &[ChartPart], values: &[UntaggedImages]) {
    let charts = parts.iter().filter(|part| part.is_chart());
    let versions: HashMap<&str, &str> = charts
        .filter_map(|part| Some((folder_of(&part.file), part.app_version.as_deref()?)))
        .collect();
    let untagged: HashMap<&str, HashSet<u32>> = values
        .iter()
        .filter(|file| versions.contains_key(folder_of(&file.file)))
        .map(|file| (file.file.as_str(), file.lines.iter().copied().collect()))
        .collect();
    let budget = joining.budget;
    for package in joining.packages.iter_mut() {
        if package.ecosystem != Ecosystem::Docker || package.version.is_some() {
            continue;
        }
        let folder = folder_of(&package.file);
        let version = match package.specifier.as_deref() {
            Some(tag) if is_app_version(tag) => {
                let mut around = upwards(folder).take_while(|above| budget.read(above.len() + 1));
                around.find_map(|folder| versions.get(folder))
            }
            Some(_) => None,
            None => {
                let lines = untagged.get(package.file.as_str()).zip(package.line);
                let is_listed = lines.is_some_and(|(lines, line)| lines.contains(&line));
                versions.get(folder).filter(|_| is_listed)
            }
        };
        let Some(version) = version.filter(|version| budget.copy(version.len())) else { continue };
        if let Some(purl) = Ecosystem::Docker.purl(&package.name, Some(version)) {
            (package.purl, package.specifier) = (purl, None);
            package.version = Some((*version).to_owned());
        }
    }
}

/// Whether a tag is `{{ .Chart.AppVersion }}`.
fn is_app_version(tag: &str) -> bool {
    let inner = tag.strip_prefix("{{").and_then(|inner| inner.strip_suffix("}}"));
    inner.is_some_and(|inner| inner.trim_matches([' ', '-']) == ".Chart.AppVersion")
}

fn drop_own(joining: &mut Joining<'_>, parts: &[ChartPart]) {
    // By the folder of the chart that contains them: the names of the charts and of their folders.
    let mut own: HashMap<&str, HashSet<&str>> = HashMap::new();
    for part in parts.iter().filter(|part| part.is_chart()) {
        let folder = folder_of(&part.file);
        let (above, name) = folder.rsplit_once('/').unwrap_or(("", folder));
        if let Some(chart) = above.strip_suffix("charts").map(|chart| chart.trim_end_matches('/'))
            && (above == "charts" || above.ends_with("/charts"))
        {
            let names = own.entry(chart).or_default();
            names.insert(name);
            names.extend(part.name.as_deref());
        }
    }
    let local: HashMap<&str, HashSet<u32>> = parts
        .iter()
        .filter(|part| !part.without_repository.is_empty())
        .map(|part| (part.file.as_str(), part.without_repository.iter().copied().collect()))
        .collect();
    joining.packages.retain(|package| {
        let is_local = package.ecosystem == Ecosystem::Helm
            && local
                .get(package.file.as_str())
                .zip(package.line)
                .is_some_and(|(lines, line)| lines.contains(&line));
        let names = || own.get(folder_of(&package.file));
        !is_local || names().is_none_or(|names| !names.contains(package.name.as_str()))
    });
}
