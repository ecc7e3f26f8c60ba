//! Resolves the Gradle builds of a repository to packages.
//!
//! Input: the files of the builds, in any order. Output: the modules and plugins that each script requires,
//! with the values of the names and catalogs of its build, and a warning for each that no file of the
//! repository defines. Invariants: the order of the files does not matter; the number of modules from
//! bundles, which are many modules for one name, is bounded.

use super::{
    names::{Builds, Names},
    notation::{self, Module},
    script::{GradleFile, Library, Requested},
    statement::NotationKind,
};
use crate::ecosystem::{
    Findings, SourceFile,
    budget::Budget,
    collect::{Collector, Declared},
    step::Joining,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::{collections::HashMap, sync::Arc};

/// Modules from the bundles of all catalogs.
const MAX_OF_BUNDLES: usize = 100_000;

/// Resolves the scripts of one repository.
pub(in crate::ecosystem) fn resolve_builds(joining: &mut Joining<'_>) {
    let found = resolve(joining.facts.take(), joining.budget);
    joining.add(found);
}

fn resolve(mut files: Vec<GradleFile>, budget: &Budget) -> Findings {
    files.sort_by(|a, b| a.file.cmp(&b.file));
    let builds = Builds::of(&files);
    let mut all = Findings::default();
    let mut of_bundles = MAX_OF_BUNDLES;
    for file in files.iter().filter(|file| !file.requested.is_empty()) {
        let source = SourceFile { path: &file.file, bytes: b"", budget };
        let mut reader = Reader {
            names: builds.names(file, budget),
            modules: Vec::new(),
            constraints: HashMap::new(),
            catalog: Vec::new(),
            of_bundles: &mut of_bundles,
            found: Collector::new(source, Ecosystem::Maven, Source::Manifest),
        };
        for requested in &file.requested {
            reader.read(requested);
        }
        let findings = reader.finish();
        all.packages.extend(findings.packages);
        all.warnings.extend(findings.warnings);
    }
    all
}

struct Reader<'b, 'w, 'f> {
    names: Names<'b>,
    modules: Vec<(Module, Option<Scope>, u32)>,
    /// The versions that `constraints` set, by module.
    constraints: HashMap<Arc<str>, Module>,
    /// The lines of references to a version catalog that is missing.
    catalog: Vec<u32>,
    of_bundles: &'w mut usize,
    found: Collector<'f>,
}

impl Reader<'_, '_, '_> {
    fn read(&mut self, requested: &Requested) {
        match &requested.kind {
            NotationKind::Text(text) => self.add(requested, notation::read(text, &self.names)),
            NotationKind::Parts { group, name, version } => {
                let module = notation::of_parts(group, name, version.as_deref(), &self.names);
                self.add(requested, module);
            }
            NotationKind::Name(path) if self.names.get(path).is_some() => {
                self.add(requested, notation::read(&format!("${{{path}}}"), &self.names));
            }
            NotationKind::Name(path) => match self.names.libraries(path) {
                Some([library]) => self.add(requested, Ok(module_of(library))),
                Some(bundle) => {
                    for library in bundle.iter().take(*self.of_bundles) {
                        *self.of_bundles -= 1;
                        self.add(requested, Ok(module_of(library)));
                    }
                }
                None if self.names.is_of_catalog(path) => self.catalog.push(requested.line),
                None => {
                    let path = text::excerpt(path);
                    self.found.warn(requested.line, format!("`{path}` has no single value here"));
                }
            },
        }
    }

    fn add(&mut self, requested: &Requested, module: Result<Module, String>) {
        let mut module = match module {
            Ok(module) => module,
            Err(why) => return self.found.warn(requested.line, why),
        };
        if let (None, Some(version)) = (&module.version, &requested.rich_version) {
            module.set_version(version);
        }
        let version =
            module.version.as_ref().or(module.range.as_ref()).map_or(0, |version| version.len());
        if !self.found.budget().copy(module.name.len() + version) {
            return;
        }
        if requested.is_constraint {
            self.constraints.insert(Arc::clone(&module.name), module);
        } else {
            self.modules.push((module, requested.scope, requested.line));
        }
    }

    fn finish(mut self) -> Findings {
        for (module, scope, line) in &self.modules {
            let is_unversioned = module.version.is_none() && module.range.is_none();
            let constraint = self.constraints.get(&module.name).filter(|_| is_unversioned);
            let known = constraint.unwrap_or(module);
            let name = text::excerpt(&module.name);
            if let Some(problem) = &known.problem {
                self.found.warn(*line, format!("`{name}`: {problem}"));
            } else if known.version.is_none() && known.range.is_none() {
                self.found.defined_elsewhere(*line, &module.name);
            }
            self.found.add(Declared {
                name: &module.name,
                version: known.version.as_deref(),
                specifier: known.range.as_deref(),
                line: *line,
                direct: Some(true),
                scope: *scope,
            });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::parser_for;

    /// Compares the findings of these files together: `name version|specifier file:line`.
    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let mut gradle: Vec<GradleFile> = Vec::new();
        for (path, text) in files {
            let file = SourceFile::alone(path, text.as_bytes());
            gradle.push(parser_for(path).unwrap().parse(file).into_fact());
        }
        let found = resolve(gradle, Budget::alone(1 << 20));
        let mut shown: Vec<_> = found
            .packages
            .iter()
            .map(|package| {
                let version =
                    package.version.as_deref().or(package.specifier.as_deref()).unwrap_or("-");
                format!(
                    "{} {version} {}:{}",
                    package.name,
                    package.file,
                    package.line.unwrap_or_default()
                )
            })
            .collect();
        shown.extend(found.warnings.into_iter().map(|warning| warning.message));
        assert_eq!(shown, expected);
    }

    const CATALOG: (&str, &str) = (
        "gradle/libs.versions.toml",
        "[versions]\nktor = '2.3.4'\n[libraries]\nktor-core = { module = 'io.ktor:core', version.ref = 'ktor' }\n\
         ktor_netty = 'io.ktor:netty:2.3.5'\n[bundles]\nweb-all = ['ktor-core', 'ktor_netty']\n\
         [plugins]\nshadow = { id = 'x.shadow', version = '8.1' }\n",
    );

    #[test]
    fn references_to_a_catalog_are_resolved() {
        let script = "plugins { alias(libs.plugins.shadow) }\ndependencies {\nimplementation(libs.ktor.core)\n\
                      api(libs.bundles.web.all)\napi(\"a:b:${libs.versions.ktor.get()}\")\n\
                      api(libs.findLibrary(\"ktor-core\").get())\napi(libs.missing)\n}\n";
        check(
            &[("app/build.gradle.kts", script), CATALOG],
            &[
                "x.shadow:x.shadow.gradle.plugin 8.1 app/build.gradle.kts:1",
                "io.ktor:core 2.3.4 app/build.gradle.kts:3",
                "io.ktor:core 2.3.4 app/build.gradle.kts:4",
                "io.ktor:netty 2.3.5 app/build.gradle.kts:4",
                "a:b 2.3.4 app/build.gradle.kts:5",
                "io.ktor:core 2.3.4 app/build.gradle.kts:6",
                "1 references to a version catalog are not resolved",
            ],
        );
    }

    #[test]
    fn names_of_the_folders_above_are_known() {
        check(
            &[
                ("build.gradle", "ext.junit = '5.10'\next.both = 'script'\n"),
                ("gradle.properties", "# a comment\nkotlin = 1.9\nboth=properties\n"),
                ("gradle/deps.gradle", "ext.deps = [okio: 'com.squareup:okio:3.0']\n"),
                ("buildSrc/src/main/kotlin/Deps.kt", "object Deps { const val x = \"g:x:1\" }\n"),
                ("other/gradle.properties", "elsewhere=1\n"),
                (
                    "app/build.gradle",
                    "def kotlin = project.kotlin\ndependencies {\napi \"g:a:$junit\"\napi \"g:b:$kotlin\"\napi deps.okio\n\
                     api Deps.x\napi \"g:c:$both\"\napi \"g:d:$elsewhere\"\n}\n",
                ),
            ],
            &[
                "g:a 5.10 app/build.gradle:3",
                "g:b 1.9 app/build.gradle:4",
                "com.squareup:okio 3.0 app/build.gradle:5",
                "g:x 1 app/build.gradle:6",
                "g:c script app/build.gradle:7",
                "g:d ${elsewhere} app/build.gradle:8",
                "`g:d`: `${elsewhere}` has no single value here",
            ],
        );
    }
}
