//! Platforms and BOMs: the modules that manage the versions of others.
//!
//! Input: the BOMs of each script, and its modules without a version. Output: the versions of these, as far as a local
//! cache has the BOMs; else the BOMs that may manage them.
//!
//! Sources: "Using Platforms" of Gradle's manual: of several platforms the highest version counts. The reference of
//! Spring's dependency management plugin: of several BOMs that it imports, the last one counts. "Managing
//! Dependencies" of Spring Boot's Gradle plugin: together with that plugin it imports its own BOM.
//!
//! Invariants: a script has the platforms that it names itself; a version is known only if all its platforms are.

use super::{notation::Module, plugins};
use crate::{
    ecosystem::{
        budget::Budget,
        maven::{self, Imported, Request},
        module_cache::ModuleCache,
    },
    model::{ecosystem::Ecosystem, version_order},
};
use std::{cmp::Ordering, collections::HashMap, sync::Arc};

/// The plugins that together import the BOM of Spring Boot.
const SPRING_BOOT: &str = "org.springframework.boot";
const MANAGEMENT: &str = "io.spring.dependency-management";
/// That BOM.
const SPRING_BOM: &str = "org.springframework.boot:spring-boot-dependencies";
/// BOMs of one script.
const MAX_BOMS: usize = 100;

/// A BOM and its version.
type Bom = (String, Option<String>);

/// The BOMs of one script.
#[derive(Debug, Default)]
pub(super) struct Platforms {
    platforms: Vec<Bom>,
    /// The BOMs that Spring's dependency management plugin imports, in their order.
    imported: Vec<Bom>,
}

impl Platforms {
    pub(super) fn add(&mut self, module: &Module) {
        push(&mut self.platforms, bom(module));
    }

    pub(super) fn import(&mut self, module: &Module) {
        push(&mut self.imported, bom(module));
    }

    /// Imports the BOM of Spring Boot, if the plugins of the script do so.
    pub(super) fn add_that_of_spring<'m>(&mut self, modules: impl Iterator<Item = &'m Module>) {
        let (mut boot, mut imports) = (None, false);
        for module in modules {
            match module.name.strip_suffix(plugins::MARKER).and_then(|name| name.split(':').next())
            {
                Some(SPRING_BOOT) => boot = module.version.as_ref(),
                Some(MANAGEMENT) => imports = true,
                _ => {}
            }
        }
        if let Some(version) = boot.filter(|_| imports) {
            self.imported.insert(0, (SPRING_BOM.to_owned(), Some((**version).to_owned())));
        }
    }

    /// The BOMs whose versions compete, each in order of precedence.
    fn groups(&self) -> impl Iterator<Item = Vec<Bom>> {
        let imported: Vec<Bom> = self.imported.iter().rev().cloned().collect();
        let imported = (!imported.is_empty()).then_some(imported);
        self.platforms.iter().map(|bom| vec![bom.clone()]).chain(imported)
    }
}

fn bom(module: &Module) -> Bom {
    ((*module.name).to_owned(), module.version.as_deref().map(str::to_owned))
}

fn push(boms: &mut Vec<Bom>, bom: Bom) {
    if boms.len() < MAX_BOMS && !boms.contains(&bom) {
        boms.push(bom);
    }
}

/// For each script the versions of its modules: those of the path, the platforms and the modules.
pub(super) fn versions_of<'s, M: Iterator<Item = &'s Arc<str>>>(
    scripts: impl Iterator<Item = (&'s str, &'s Platforms, M)>,
    cache: Option<&mut (dyn ModuleCache + 'static)>,
    budget: &Budget,
) -> Vec<HashMap<Arc<str>, Imported>> {
    let (mut requests, mut of_scripts) = (Vec::new(), Vec::new());
    for (file, platforms, modules) in scripts {
        let mut names: Vec<Arc<str>> = modules.cloned().collect();
        names.sort();
        names.dedup();
        let from = requests.len();
        for boms in platforms.groups() {
            let size = names.iter().map(|name| name.len()).sum::<usize>();
            if names.is_empty() || !budget.copy(size) {
                break;
            }
            let modules = names.iter().map(|name| (**name).to_owned()).collect();
            requests.push(Request { file: file.to_owned(), boms, modules });
        }
        of_scripts.push((names, from..requests.len()));
    }
    let versions = maven::versions_of(&requests, cache, budget);
    let of_script = |(names, requests): (Vec<Arc<str>>, std::ops::Range<usize>)| {
        let versions = versions.get(requests).unwrap_or_default();
        let of_name = |(place, name): (usize, Arc<str>)| {
            let all = versions.iter().filter_map(|versions| versions.get(place));
            (name, all.cloned().fold(Imported::Unmanaged, higher))
        };
        names.into_iter().enumerate().map(of_name).collect()
    };
    of_scripts.into_iter().map(of_script).collect()
}

/// What two platforms say together: the higher version; but a platform that is unknown may manage a still higher one.
fn higher(a: Imported, b: Imported) -> Imported {
    match (a, b) {
        (Imported::Unmanaged, other) | (other, Imported::Unmanaged) => other,
        (
            Imported::Unknown { why, managed_by: mut all },
            Imported::Unknown { managed_by: more, .. },
        ) => {
            all.extend(more);
            let why = if all.len() > 1 {
                "the version is managed by a platform that is outside the repository".to_owned()
            } else {
                why
            };
            Imported::Unknown { why, managed_by: all }
        }
        (unknown @ Imported::Unknown { .. }, _) | (_, unknown @ Imported::Unknown { .. }) => {
            unknown
        }
        (
            Imported::Exact { version: x, source: of_x },
            Imported::Exact { version: y, source: of_y },
        ) => {
            if version_order::compare(&Ecosystem::Maven.into(), &x, &y) == Ordering::Less {
                Imported::Exact { version: y, source: of_y }
            } else {
                Imported::Exact { version: x, source: of_x }
            }
        }
    }
}
