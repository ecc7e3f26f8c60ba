//! Converts the entries of all poms to packages.
//!
//! Input: the poms of one repository, in any order. Output: the packages that each pom requires, and a
//! warning for each version that no pom of the repository defines.
//!
//! Decisions. An inherited entry is a package of the project that inherits it if the project gives it another
//! version or scope than the parent; its line is that of the `parent` element. Parents and imported BOMs
//! outside the repository are packages with the scope build: their versions decide what the file does
//! not state. A package without a version names those of them that may define it, and a package whose version
//! comes from the local cache names the pom.
//!
//! Invariants: a project of the repository is not a package of another one, in the version in the repository;
//! an older released version of it is one. The number of inherited packages is bounded.

use super::{
    cached,
    evaluate::{Evaluated, Evaluator, Unknown, Version},
    inheritance::Inheritance,
    parents,
    pom::Pom,
    repository::Repository,
};
use crate::ecosystem::{
    Findings, SourceFile,
    budget::Budget,
    collect::{Collector, Declared},
    module_cache::ModuleCache,
    step::Joining,
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// Packages of one repository that projects inherit.
const MAX_INHERITED: usize = 100_000;

/// Resolves the poms of one repository.
pub(in crate::ecosystem) fn resolve_poms(joining: &mut Joining<'_>) {
    let poms = joining.facts.take();
    let found = resolve(poms, joining.cache.as_deref_mut(), joining.budget);
    joining.add(found);
}

pub(super) fn resolve(
    mut poms: Vec<Pom>,
    cache: Option<&mut (dyn ModuleCache + 'static)>,
    budget: &Budget,
) -> Findings {
    poms.sort_by(|a, b| a.file.cmp(&b.file));
    parents::complete(&mut poms);
    if let Some(cache) = cache {
        cached::load(&mut poms, cache, budget);
    }
    let repository = Repository::of(&poms, budget);
    let inheritance = Inheritance::of(&repository);
    let evaluator = Evaluator::of(&inheritance, &repository);
    let mut inherited = MAX_INHERITED;
    let mut all = Findings::default();
    // Those of the cache follow the others.
    let own = poms.iter().enumerate().take_while(|(_, pom)| !pom.is_cached);
    for (at, pom) in own.clone() {
        let file = SourceFile { path: &pom.file, bytes: b"", budget };
        let found = Collector::new(file, Ecosystem::Maven, Source::Manifest);
        let mut lister = Lister { evaluator: &evaluator, at, pom, found };
        lister.sources(&repository);
        for entry in pom.entries.iter().filter(|entry| inheritance.is_used(at, entry)) {
            match evaluator.entry(at, at, entry) {
                Ok(package) => lister.add(entry.line, package),
                Err(unknown) => {
                    let message = format!("`{}` is undefined", text::excerpt(&unknown));
                    lister.found.warn(entry.line, message);
                }
            }
        }
        let above = repository.parent(at).filter(|above| repository.cached(*above).is_none());
        if above.is_none() || !inheritance.is_as_above(at) {
            for (holder, entry) in inheritance.inherited(at) {
                let package = evaluator.entry(at, holder, entry).ok().flatten();
                let of_parent = above.map(|above| evaluator.entry(above, holder, entry));
                let of_parent = of_parent.and_then(|of_parent| of_parent.ok().flatten());
                let is_other = package.as_ref().is_some_and(|package| {
                    of_parent.is_none_or(|of_parent| !package.is_like(&of_parent))
                });
                if is_other && inherited > 0 {
                    inherited -= 1;
                    lister.add(pom.parent.as_ref().map_or(1, |parent| parent.line), package);
                }
            }
        }
        let findings = lister.found.finish();
        all.packages.extend(findings.packages);
        all.warnings.extend(findings.warnings);
    }
    let message = if repository.is_exhausted() {
        Some("the poms refer to each other too often; some versions are unknown".to_owned())
    } else {
        let message =
            || format!("more than {MAX_INHERITED} inherited packages; the rest is skipped");
        (inherited == 0).then(message)
    };
    if let (Some((_, last)), Some(message)) = (own.last(), message) {
        let file = SourceFile { path: &last.file, bytes: b"", budget };
        all.warnings.push(file.warning(None, message));
    }
    all
}

/// Lists the packages of one pom.
struct Lister<'e, 'r, 'a> {
    evaluator: &'e Evaluator<'r, 'a>,
    at: usize,
    pom: &'a Pom,
    found: Collector<'a>,
}

impl<'a> Lister<'_, '_, 'a> {
    /// Lists the parent and the imported BOMs that are outside the repository.
    fn sources(&mut self, repository: &Repository<'_>) {
        if let Some(parent) = &self.pom.parent {
            if parent.of.version.is_some() {
                let package = self.evaluator.source(self.at, None, &parent.of, None);
                self.add(parent.line, package);
            } else {
                let message =
                    "the parent has no version, and no pom at its relative path states it";
                self.found.warn(parent.line, message);
            }
        }
        for import in self.pom.managed.iter().filter(|entry| entry.is_import()) {
            let outer = repository.outer(self.at);
            let package = self.evaluator.source(self.at, import.profile, &import.of, outer);
            self.add(import.line, package);
        }
    }

    fn add(&mut self, line: u32, package: Option<Evaluated<'a>>) {
        let Some(Evaluated { name, version, scope, source }) = package else { return };
        let mut managed_by = Vec::new();
        if let Version::Unknown(Unknown { declared, why, outside }) = &version {
            match declared {
                None => self.found.unresolved(line, &name, why),
                Some(_) => self.found.warn(line, format!("`{}`: {why}", text::excerpt(&name))),
            }
            managed_by = outside.purls();
        }
        let (specifier, version) = (version.specifier(), version.exact());
        let (direct, scope) = (Some(true), Some(scope));
        let declared = Declared { name: &name, version, specifier, line, direct, scope };
        let added = self.found.take(Ecosystem::Maven, declared);
        self.found.managed(added, managed_by, source);
    }
}
