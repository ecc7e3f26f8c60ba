//! The version catalogs of a build, by "Version Catalogs" of Gradle's manual.
//!
//! Input: the catalogs that files define: `*.versions.toml`, and `versionCatalogs` of the settings, which may
//! import such files. Output: the entries of each catalog as packages, and all of them by the names that scripts
//! use. Invariants: a version of the settings replaces that of an imported file; a file is listed once, however
//! many catalogs import it; a bundle is a list of libraries and not a package; `direct` is unknown, because a
//! catalog does not state whether a build uses an entry; what cannot be resolved is a warning.

use super::{
    catalog_parts::{Catalog, Complete, Entry, EntryVersion, Import, Library},
    names::{Builds, Names, accessor, home},
    notation::{self, Module},
    plugins::Own,
    script::GradleFile,
    statement::NotationKind,
    version::Rich,
};
use crate::ecosystem::{
    SourceFile,
    budget::Budget,
    collect::{Collector, Declared},
    path::folder_of,
    script::Constants,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Libraries in all bundles of one catalog.
const MAX_OF_BUNDLES: usize = 10_000;

/// The findings of each file, to which those of its other statements are added.
pub(super) type Found<'a> = HashMap<&'a str, Collector<'a>>;

/// Completes all catalogs, and lists their entries. The plugins that the repository builds are no packages.
pub(super) fn complete<'a>(
    files: &'a [GradleFile],
    builds: &Builds<'_>,
    own: &mut Own,
    budget: &'a Budget,
) -> (Vec<Complete>, Found<'a>) {
    let is_toml = |file: &&GradleFile| file.file.ends_with(".toml");
    let toml: HashMap<&str, &GradleFile> =
        files.iter().filter(is_toml).map(|file| (file.file.as_str(), file)).collect();
    let mut writer = Writer { own, budget, listed: HashSet::new(), found: Found::new() };
    let mut complete = Vec::new();
    let in_script = |file: &&GradleFile| !is_toml(file) && !file.catalogs.is_empty();
    for file in files.iter().filter(in_script) {
        let folder = folder_of(&file.file);
        let names = builds.names(file, budget);
        for catalog in &file.catalogs {
            let mut parts = writer.imported(file, catalog, &toml, &names);
            if catalog.name == "libs" && catalog.imports.is_empty() {
                // Gradle imports its default file whatever the settings add to the catalog.
                let default = join(folder, "gradle/libs.versions.toml");
                parts.extend(default.and_then(|path| part_of(&toml, &path)));
            }
            parts.push((file, catalog));
            complete.push(writer.catalog(folder, &catalog.name, &parts, &names));
        }
    }
    for file in files.iter().filter(|file| file.file.ends_with(".versions.toml")) {
        let names = builds.names(file, budget);
        for catalog in &file.catalogs {
            let parts = [(file, catalog)];
            complete.push(writer.catalog(home(&file.file), &catalog.name, &parts, &names));
        }
    }
    (complete, writer.found)
}

/// A part of a catalog, and the file that defines it.
type Part<'a> = (&'a GradleFile, &'a Catalog);

fn part_of<'a>(toml: &HashMap<&str, &'a GradleFile>, path: &str) -> Option<Part<'a>> {
    let file = *toml.get(path)?;
    Some((file, file.catalogs.first()?))
}

struct Writer<'a, 'o> {
    own: &'o mut Own,
    budget: &'a Budget,
    /// The catalogs whose entries are listed, by their addresses.
    listed: HashSet<*const Catalog>,
    found: Found<'a>,
}

/// The findings of a file.
pub(super) fn collector<'f>(file: &'f GradleFile, budget: &'f Budget) -> Collector<'f> {
    let file = SourceFile { path: &file.file, bytes: b"", budget };
    Collector::new(file, Ecosystem::Maven, Source::Manifest)
}

impl<'a> Writer<'a, '_> {
    /// The catalogs that a catalog of the settings imports. A published one is a package.
    fn imported(
        &mut self,
        file: &'a GradleFile,
        catalog: &Catalog,
        toml: &HashMap<&str, &'a GradleFile>,
        names: &Names<'_>,
    ) -> Vec<Part<'a>> {
        let new = || collector(file, self.budget);
        let found = self.found.entry(&file.file).or_insert_with(new);
        let mut parts = Vec::new();
        for (import, line) in &catalog.imports {
            match import {
                Import::File(written) => {
                    let path = path_of(written, folder_of(&file.file), names);
                    if let Some(part) = path.and_then(|path| part_of(toml, &path)) {
                        parts.push(part);
                    } else {
                        let (path, name) = (text::excerpt(written), text::excerpt(&catalog.name));
                        let message =
                            format!("`{path}` of the version catalog `{name}` is not known");
                        found.warn(*line, message);
                    }
                }
                Import::Module(written) => match notation::read(written, names) {
                    Ok(module) => list(&module, Some(true), Some(Scope::Build), *line, found),
                    Err(why) => found.warn(*line, why),
                },
            }
        }
        parts
    }

    /// Completes a catalog from its parts, of which the last one takes precedence.
    fn catalog(
        &mut self,
        folder: &str,
        name: &str,
        parts: &[Part<'a>],
        names: &Names<'_>,
    ) -> Complete {
        let versions = parts.iter().flat_map(|(_, part)| &part.versions);
        let versions: BTreeMap<String, &Rich> =
            versions.map(|(alias, rich)| (accessor(alias), rich)).collect();
        let (folder, name) = (folder.to_owned(), name.to_owned());
        let mut complete =
            Complete { folder, name, constants: Constants::default(), entries: HashMap::new() };
        for (alias, rich) in &versions {
            let mut module = Module::default();
            module.apply(rich, names);
            let version = module.version.or(module.range).filter(|_| module.problem.is_none());
            if let Some(version) = version {
                let name = format!("{}.versions.{alias}", complete.name);
                complete.constants.define(&name, &version);
            }
        }
        let budget = self.budget;
        for &(file, part) in parts {
            let is_new = self.listed.insert(std::ptr::from_ref(part));
            let found = self.found.entry(&file.file).or_insert_with(|| collector(file, budget));
            for entry in part.entries.iter().take_while(|_| budget.visit()) {
                let module = match module_of(entry, &versions, names) {
                    Ok(module) => module,
                    Err(why) => {
                        found.warn(entry.line, why);
                        continue;
                    }
                };
                let alias = names.expand(&entry.alias).unwrap_or_else(|_| entry.alias.clone());
                let prefix = if entry.is_plugin { "plugins." } else { "" };
                let path = format!("{prefix}{}", accessor(&alias));
                if entry.is_plugin {
                    self.own.see(&complete.name, &path, &module.name);
                }
                let scope = entry.is_plugin.then_some(Scope::Build);
                if is_new && !self.own.has(&module.name) {
                    list(&module, None, scope, entry.line, found);
                }
                let Module { name, version, range, .. } = module;
                let length =
                    name.len() + version.as_ref().or(range.as_ref()).map_or(0, |it| it.len());
                if budget.copy(length) {
                    complete.entries.insert(path, vec![Library { name, version, range }]);
                }
            }
            for warning in file.withheld.iter().filter(|_| is_new) {
                found.warn(warning.line.unwrap_or(1), &warning.message);
            }
        }
        bundles(parts, &mut complete, budget);
        complete
    }
}

/// Adds an entry as a package.
fn list(
    module: &Module,
    direct: Option<bool>,
    scope: Option<Scope>,
    line: u32,
    found: &mut Collector<'_>,
) {
    if let Some(problem) = &module.problem {
        found.warn(line, format!("`{}`: {problem}", text::excerpt(&module.name)));
    }
    let (version, specifier) = (module.version.as_deref(), module.range.as_deref());
    found.add(Declared { name: &module.name, version, specifier, line, direct, scope });
}

/// The module of an entry.
fn module_of(
    entry: &Entry,
    versions: &BTreeMap<String, &Rich>,
    names: &Names<'_>,
) -> Result<Module, String> {
    let mut module = match &entry.kind {
        NotationKind::Text(text) => notation::read(text, names)?,
        NotationKind::Name(path) => notation::read(&format!("${{{path}}}"), names)?,
        NotationKind::Parts { group, name, version } => {
            notation::of_parts(group, name, version.as_deref(), names)?
        }
    };
    match &entry.version {
        EntryVersion::None => {}
        EntryVersion::Rich(rich) => module.apply(rich, names),
        EntryVersion::Reference(alias) => {
            let name = names.expand(alias).unwrap_or_else(|_| alias.clone());
            match versions.get(&accessor(&name)) {
                Some(rich) => module.apply(rich, names),
                None => {
                    module.problem = Some(format!("undefined version `{}`", text::excerpt(alias)));
                }
            }
        }
    }
    Ok(module)
}

/// Adds the bundles: `web = ["spring-web", "jackson"]`.
fn bundles(parts: &[Part<'_>], complete: &mut Complete, budget: &Budget) {
    let mut libraries = MAX_OF_BUNDLES;
    for (name, aliases) in parts.iter().flat_map(|(_, part)| &part.bundles) {
        let known = aliases.iter().filter_map(|alias| complete.entries.get(&accessor(alias)));
        let known = known.flatten().take_while(|_| budget.visit());
        let bundle: Vec<_> = known.take(libraries).cloned().collect();
        libraries -= bundle.len();
        complete.entries.insert(format!("bundles.{}", accessor(name)), bundle);
    }
}

/// The path of an imported file. `$rootDir/…` is below the folder of the settings.
fn path_of(written: &str, folder: &str, names: &Names<'_>) -> Option<String> {
    let variable = written.strip_prefix("${").and_then(|rest| rest.split_once('}'));
    let is_root = |name: &str| {
        matches!(name.rsplit('.').next(), Some("rootDir" | "settingsDir" | "projectDir"))
    };
    let below = variable.filter(|(name, _)| is_root(name)).map(|(_, rest)| rest);
    join(folder, &names.expand(below.unwrap_or(written)).ok()?)
}

/// A path relative to a folder, from the root of the repository.
fn join(folder: &str, path: &str) -> Option<String> {
    let mut segments: Vec<&str> = folder.split('/').filter(|name| !name.is_empty()).collect();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()?),
            name => segments.push(name),
        }
    }
    Some(segments.join("/"))
}
