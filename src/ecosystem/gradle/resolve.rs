//! Resolves the Gradle builds of a repository to packages.
//!
//! Input: the files of the builds, in any order. Output: the modules and plugins that each script requires, and the
//! entries of the version catalogs, with the values of the names and catalogs of their build, and a warning for
//! each that no file of the repository defines. Invariants: the order of the files does not matter; the number of
//! modules from bundles, which are many modules for one name, is bounded; plugins that the repository builds are
//! not packages.

use super::{
    catalog_parts::Library,
    catalogs,
    names::{Builds, Names},
    notation::{self, Module},
    platforms::{self, Platforms},
    plugins::{self, Own, Versions},
    script::{GradleFile, Requested, Role},
    statement::{self, NotationKind},
};
use crate::ecosystem::{
    Findings,
    budget::Budget,
    collect::{Collector, Declared},
    maven::Imported,
    module_cache::ModuleCache,
    step::Joining,
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Scope};
use std::{collections::HashMap, sync::Arc};

/// Modules from the bundles of all catalogs.
const MAX_OF_BUNDLES: usize = 100_000;

/// Names that lead to each other until one leads to a module: `val bom = platform(libs.bom)`.
const MAX_NAMES: usize = 8;

/// Resolves the scripts of one repository.
pub(in crate::ecosystem) fn resolve_builds(joining: &mut Joining<'_>) {
    let files = joining.facts.take();
    let found = resolve(files, joining.cache.as_deref_mut(), joining.budget);
    joining.add(found);
}

pub(super) fn resolve(
    mut files: Vec<GradleFile>,
    cache: Option<&mut (dyn ModuleCache + 'static)>,
    budget: &Budget,
) -> Findings {
    files.sort_by(|a, b| a.file.cmp(&b.file));
    let complete;
    let mut builds = Builds::of(&files);
    let mut own = Own::of(&files, &builds, budget);
    let mut found;
    (complete, found) = catalogs::complete(&files, &builds, &mut own, budget);
    builds.add(&complete);
    let mut of_bundles = MAX_OF_BUNDLES;
    let mut versions = Versions::default();
    let mut readers = Vec::new();
    for file in &files {
        let of_catalogs = found.remove(file.file.as_str());
        if file.requested.is_empty() && of_catalogs.is_none() {
            continue;
        }
        let mut reader = Reader {
            file: &file.file,
            names: builds.names(file, budget),
            modules: Vec::new(),
            constraints: HashMap::new(),
            platforms: Platforms::default(),
            catalog: Vec::new(),
            found: of_catalogs.unwrap_or_else(|| catalogs::collector(file, budget)),
        };
        for requested in &file.requested {
            reader.read(requested, &mut of_bundles);
        }
        for (module, ..) in &reader.modules {
            versions.see(&file.file, module);
        }
        readers.push(reader);
    }
    for reader in &mut readers {
        reader.complete(&versions);
    }
    let managed = platforms::versions_of(
        readers.iter().map(|reader| (reader.file, &reader.platforms, reader.unversioned(&own))),
        cache,
        budget,
    );
    let mut all = Findings::default();
    for (reader, managed) in readers.into_iter().zip(managed) {
        let findings = reader.finish(&managed, &own);
        all.packages.extend(findings.packages);
        all.warnings.extend(findings.warnings);
    }
    all
}

struct Reader<'b, 'f> {
    file: &'f str,
    names: Names<'b>,
    modules: Vec<(Module, Option<Scope>, u32)>,
    /// The versions that `constraints` set, by module.
    constraints: HashMap<Arc<str>, Module>,
    /// The BOMs that manage other versions.
    platforms: Platforms,
    /// The lines of references to a version catalog that is missing.
    catalog: Vec<u32>,
    found: Collector<'f>,
}

impl Reader<'_, '_> {
    fn read(&mut self, requested: &Requested, of_bundles: &mut usize) {
        match &requested.kind {
            NotationKind::Text(text) => self.add(requested, notation::read(text, &self.names)),
            NotationKind::Parts { group, name, version } => {
                let module = notation::of_parts(group, name, version.as_deref(), &self.names);
                self.add(requested, module);
            }
            NotationKind::Name(path) => self.read_name(requested, path, of_bundles),
        }
    }

    /// Reads a path of names: that of a constant, or of an entry of a catalog.
    fn read_name(&mut self, requested: &Requested, path: &str, of_bundles: &mut usize) {
        let mut path = path.to_owned();
        let platform = Requested { role: Role::Platform, ..requested.clone() };
        let mut requested = requested;
        for _ in 0..MAX_NAMES {
            let Some(value) = self.names.get(&path) else { break };
            // `val bom = platform("g:a:v")`
            if requested.role == Role::Module
                && self.names.get(&format!("{path}.platform")).is_some()
            {
                requested = &platform;
            }
            let NotationKind::Name(next) = NotationKind::of(value.to_owned()) else {
                return self.add(requested, notation::read(value, &self.names));
            };
            path = next;
        }
        if statement::is_local(&path) {
            return;
        }
        // A map of parts: `def guava = [group: "g", name: "a"]`.
        let part = |key: &str| self.names.get(&format!("{path}.{key}"));
        if let (Some(group), Some(name)) = (part("group"), part("name")) {
            let module = notation::of_parts(group, name, part("version"), &self.names);
            return self.add(requested, module);
        }
        match self.names.libraries(&path) {
            Some([library]) => self.add(requested, Ok(module_of(library))),
            Some(bundle) => {
                for library in bundle.iter().take(*of_bundles) {
                    *of_bundles -= 1;
                    self.add(requested, Ok(module_of(library)));
                }
            }
            None if self.names.is_of_catalog(&path) => self.catalog.push(requested.line),
            None => {
                let path = text::excerpt(&path);
                self.found.warn(requested.line, format!("`{path}` has no single value here"));
            }
        }
    }

    fn add(&mut self, requested: &Requested, module: Result<Module, String>) {
        let mut module = match module {
            Ok(module) => module,
            Err(why) => return self.found.warn(requested.line, why),
        };
        module.apply(&requested.rich, &self.names);
        let version =
            module.version.as_ref().or(module.range.as_ref()).map_or(0, |version| version.len());
        if !self.found.budget().copy(module.name.len() + version) {
            return;
        }
        match requested.role {
            Role::Constraint => {
                self.constraints.insert(Arc::clone(&module.name), module);
                return;
            }
            Role::Platform => self.platforms.add(&module),
            Role::Import => self.platforms.import(&module),
            Role::Module => {}
        }
        self.modules.push((module, requested.scope, requested.line));
    }

    /// Gives plugins without a version that of the build.
    fn complete(&mut self, versions: &Versions<'_>) {
        for (module, ..) in &mut self.modules {
            if module.is_unversioned() && module.name.ends_with(plugins::MARKER) {
                let budget = self.found.budget();
                if let Some((version, range)) = versions.of(self.file, &module.name, budget) {
                    module.version.clone_from(version);
                    module.range.clone_from(range);
                }
            }
        }
        self.platforms.add_that_of_spring(self.modules.iter().map(|(module, ..)| module));
    }

    /// The modules whose versions only a BOM can manage.
    fn unversioned<'s>(&'s self, own: &'s Own) -> impl Iterator<Item = &'s Arc<str>> {
        let modules = self.modules.iter().map(|(module, ..)| module);
        let unversioned = modules.filter(|module| {
            module.is_unversioned()
                && !own.has(&module.name)
                && !module.name.ends_with(plugins::MARKER)
                && !self.constraints.contains_key(&module.name)
        });
        unversioned.map(|module| &module.name)
    }

    fn finish(mut self, managed: &HashMap<Arc<str>, Imported>, own: &Own) -> Findings {
        for (module, scope, line) in &self.modules {
            if own.has(&module.name) {
                continue;
            }
            let is_unversioned = module.is_unversioned();
            let constraint = self.constraints.get(&module.name).filter(|_| is_unversioned);
            let known = constraint.unwrap_or(module);
            let managed = managed.get(&module.name).filter(|_| known.is_unversioned());
            let name = text::excerpt(&module.name);
            let (mut version, mut source, mut managed_by) =
                (known.version.as_deref(), None, Vec::new());
            if let Some(problem) = &known.problem {
                self.found.warn(*line, format!("`{name}`: {problem}"));
            } else if known.is_unversioned() {
                match managed {
                    Some(Imported::Exact { version: exact, source: file }) => {
                        (version, source) = (Some(exact.as_str()), file.as_deref());
                    }
                    Some(Imported::Unknown { why, managed_by: boms }) => {
                        self.found.unresolved(*line, &module.name, why);
                        managed_by.clone_from(boms);
                    }
                    None | Some(Imported::Unmanaged) => {
                        self.found.defined_elsewhere(*line, &module.name);
                    }
                }
            }
            let declared = Declared {
                name: &module.name,
                version,
                specifier: known.range.as_deref(),
                line: *line,
                direct: Some(true),
                scope: *scope,
            };
            let added = self.found.take(Ecosystem::Maven, declared);
            self.found.managed(added, managed_by, source);
        }
        if let Some(first) = self.catalog.iter().min() {
            let count = self.catalog.len();
            let message = format!("{count} references to a version catalog are not resolved");
            self.found.warn(*first, message);
        }
        self.found.finish()
    }
}

fn module_of(library: &Library) -> Module {
    let Library { name, version, range } = library.clone();
    Module { name, version, range, problem: None }
}
