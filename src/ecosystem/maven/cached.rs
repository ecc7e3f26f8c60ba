//! Reads the poms outside the repository from a local cache; module metadata of Gradle count as such.
//!
//! Input: the poms of a repository, and the cache. Output: the same poms, then those of the cache to which
//! they refer, directly or through each other: parents and imported BOMs. Invariants: each pom is asked for
//! once, and their number is bounded; a pom whose own coordinates are others than those it was asked by is
//! ignored; the order of the added poms does not depend on that of the files.

use super::{
    management::Management,
    module_metadata,
    outside::Outside,
    pom::{self, Coordinates, Pom},
    repository::Repository,
};
use crate::ecosystem::{
    SourceFile,
    budget::Budget,
    module_cache::{CachedFile, ModuleCache, ModuleId},
};
use std::collections::{BTreeSet, HashSet};

/// Poms that one repository asks for. The BOMs of a large framework import about a hundred others.
const MAX_MODULES: usize = 1_000;

/// Rounds of reading the poms that those of the last round refer to.
const MAX_ROUNDS: usize = 32;

/// Adds the poms of the cache to which the others refer.
pub(super) fn load(poms: &mut Vec<Pom>, cache: &mut dyn ModuleCache, budget: &Budget) {
    let mut asked = HashSet::new();
    for _ in 0..MAX_ROUNDS {
        let before = poms.len();
        for module in missing(poms, budget) {
            if asked.len() < MAX_MODULES && asked.insert(module.clone()) {
                let file = cache.pom(&module);
                poms.extend(file.and_then(|file| read(&module, &file)));
            }
        }
        if poms.len() == before {
            return;
        }
    }
}

/// The modules that the poms refer to, and that are not among them.
fn missing(poms: &[Pom], budget: &Budget) -> BTreeSet<ModuleId> {
    let repository = Repository::of(poms, budget);
    let management = Management::of(&repository);
    let mut found = BTreeSet::new();
    for at in 0..poms.len() {
        let parent = repository.missing_parent(at);
        for Outside { name, version } in parent.into_iter().chain(management.missing_boms(at)) {
            let name = name.split_once(':');
            let coordinates = name.and_then(|(group, artifact)| Some((group, artifact, version?)));
            found.extend(
                coordinates.and_then(|(group, artifact, version)| {
                    ModuleId::new(group, artifact, &version)
                }),
            );
        }
    }
    found
}

fn read(module: &ModuleId, file: &CachedFile) -> Option<Pom> {
    let budget = Budget::of(file.bytes.len() as u64);
    let file = SourceFile { path: &file.path, bytes: &file.bytes, budget: &budget };
    let is_metadata = file.path.ends_with(".module");
    let mut pom = if is_metadata { module_metadata::read(file)? } else { pom::read(file)? };
    let agrees =
        |own: Option<&str>, asked: &str| own.is_none_or(|own| own.contains("${") || own == asked);
    let is_meant = agrees(pom.group(), module.group())
        && agrees(pom.own.artifact.as_deref(), module.artifact())
        && agrees(pom.version(), module.version());
    pom.own = Coordinates {
        group: Some(module.group().to_owned()),
        artifact: Some(module.artifact().to_owned()),
        version: Some(module.version().to_owned()),
    };
    if let Some(parent) = &mut pom.parent {
        // The files around it are not those of its project.
        parent.path = None;
    }
    pom.is_cached = true;
    is_meant.then_some(pom)
}
