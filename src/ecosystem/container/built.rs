//! Images that a compose file names and another compose file of the repository builds.
//!
//! Input: the services of all compose files. Output: their packages without these images. Decisions: an image
//! is built here if its reference is the `image` of a service with `build`, or if its service extends one with
//! `build`.
//!
//! Invariants: only packages of compose files are dropped; the order of the files does not matter.

use crate::ecosystem::{
    facts::{Fact, Facts},
    image::name_and_tag,
    step::Joining,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Package};
use std::collections::{HashMap, HashSet};

/// What the steps need of a compose file.
#[derive(Debug)]
pub(in crate::ecosystem) struct ComposePart {
    file: String,
    /// The references of the images that its services build.
    pub(super) built: Vec<String>,
    /// The names of these services.
    pub(super) services: Vec<String>,
    pub(super) extending: Vec<Extending>,
}

/// A service with an image that extends a service of another file.
#[derive(Debug)]
pub(super) struct Extending {
    /// The line of its image.
    pub(super) line: u32,
    /// The other file, from the root of the repository.
    pub(super) file: String,
    pub(super) service: String,
}

impl ComposePart {
    pub(super) fn new(path: &str) -> Self {
        let file = path.to_owned();
        Self { file, built: Vec::new(), services: Vec::new(), extending: Vec::new() }
    }

    pub(in crate::ecosystem) fn boxed(self) -> Box<dyn Fact> {
        Box::new(self)
    }
}

impl Fact for ComposePart {
    fn size(&self) -> usize {
        self.built.len() + self.services.len() + self.extending.len()
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|parts: &mut Vec<Self>| parts.push(*self));
    }
}

/// Drops the images that the repository builds.
pub(in crate::ecosystem) fn drop_built(joining: &mut Joining<'_>) {
    let parts: Vec<ComposePart> = joining.facts.take();
    if parts.is_empty() {
        return;
    }
    let budget = joining.budget;
    let mut built = HashSet::new();
    let mut services = HashSet::new();
    // By file: the lines of the images whose services extend another one.
    let mut extending: HashMap<&str, HashMap<u32, (&str, &str)>> = HashMap::new();
    for part in &parts {
        let bytes = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
        if !budget.read(bytes(&part.built) + bytes(&part.services) + part.file.len()) {
            return;
        }
        built.extend(part.built.iter().filter_map(|reference| name_and_tag(reference)));
        services.extend(part.services.iter().map(|name| (part.file.as_str(), name.as_str())));
        let lines = extending.entry(&part.file).or_default();
        for Extending { line, file, service } in &part.extending {
            lines.insert(*line, (file.as_str(), service.as_str()));
        }
    }
    let is_built = |package: &Package| {
        let Some(lines) = extending.get(package.file.as_str()) else { return false };
        let tag = package.version.as_deref().or(package.specifier.as_deref());
        let extended = package.line.and_then(|line| lines.get(&line));
        package.ecosystem == Ecosystem::Docker
            && (built.contains(&(package.name.as_str(), tag))
                || extended.is_some_and(|service| services.contains(service)))
    };
    joining.packages.retain(|package| !is_built(package));
}
