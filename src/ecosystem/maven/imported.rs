//! Versions that BOMs outside the repository manage, for builds of other tools than Maven.
//!
//! Input: BOMs, the modules that a build requires without a version, and a local cache. Output: for each module its
//! version, or the BOMs that may manage it. Invariants: as for a pom that imports the BOMs, because it is one: the
//! first BOM that manages a module decides, and one that the cache does not have may be that BOM.

use super::{
    cached,
    evaluate::{Evaluator, Version},
    inheritance::Inheritance,
    pom::{Coordinates, Entry, Pom},
    repository::Repository,
};
use crate::ecosystem::{budget::Budget, module_cache::ModuleCache};

/// Modules whose versions are those of BOMs.
#[derive(Debug)]
pub(in crate::ecosystem) struct Request {
    /// The file that imports the BOMs.
    pub(in crate::ecosystem) file: String,
    /// `group:artifact` and the version of each, in the order of precedence.
    pub(in crate::ecosystem) boms: Vec<(String, Option<String>)>,
    /// `group:artifact` of each.
    pub(in crate::ecosystem) modules: Vec<String>,
}

/// What is known about the version of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecosystem) enum Imported {
    /// No BOM manages it.
    Unmanaged,
    /// The version, and the pom of the cache that states it.
    Exact { version: String, source: Option<String> },
    /// Why it is unknown, and the purls of the BOMs that may manage it.
    Unknown { why: String, managed_by: Vec<String> },
}

/// The versions of the modules of each request.
pub(in crate::ecosystem) fn versions_of(
    requests: &[Request],
    cache: Option<&mut (dyn ModuleCache + 'static)>,
    budget: &Budget,
) -> Vec<Vec<Imported>> {
    let mut poms: Vec<Pom> = requests.iter().map(pom_of).collect();
    if let Some(cache) = cache {
        cached::load(&mut poms, cache, budget);
    }
    let repository = Repository::of(&poms, budget);
    let inheritance = Inheritance::of(&repository);
    let evaluator = Evaluator::of(&inheritance, &repository);
    let own = poms.iter().enumerate().take(requests.len());
    let versions = own.map(|(at, pom)| {
        let versions = pom.entries.iter().map(|entry| {
            let evaluated = evaluator.entry(at, at, entry).ok().flatten();
            let Some(evaluated) = evaluated else { return Imported::Unmanaged };
            let source = evaluated.source.map(str::to_owned);
            match evaluated.version {
                Version::Exact(version) => Imported::Exact { version, source },
                Version::Range(_) => Imported::Unmanaged,
                Version::Unknown(unknown) => {
                    let managed_by = unknown.outside.purls();
                    if managed_by.is_empty() {
                        return Imported::Unmanaged;
                    }
                    Imported::Unknown { why: unknown.why, managed_by }
                }
            }
        });
        versions.collect()
    });
    versions.collect()
}

/// A pom that requires the modules and imports the BOMs.
fn pom_of(request: &Request) -> Pom {
    let module = |name: &str| {
        let (group, artifact) = name.split_once(':').unwrap_or((name, ""));
        let (group, artifact) = (Some(group.to_owned()), Some(artifact.to_owned()));
        Entry { of: Coordinates { group, artifact, version: None }, ..Entry::default() }
    };
    let import = |(name, version): &(String, Option<String>)| {
        let mut import = module(name);
        import.of.version.clone_from(version);
        import.kind = Some("pom".to_owned());
        import.scope = Some("import".to_owned());
        import
    };
    Pom {
        file: request.file.clone(),
        entries: request.modules.iter().map(|name| module(name)).collect(),
        managed: request.boms.iter().map(import).collect(),
        ..Pom::default()
    }
}
