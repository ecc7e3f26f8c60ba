//! Converts imports to packages, once all files have been read.
//!
//! Input: the imports of a repository, and the packages that its manifests and lock files declare. Output: a
//! package for each library that is imported but not declared, and a warning for each package of the JVM
//! whose library is unknown.
//!
//! Decisions. A library counts as declared by any file of the repository, under any name that provides it
//! (`opencv-python-headless`, a Spring Boot starter); conda packages also declare Python libraries. A Scala
//! library is compared without its Scala version. A JVM package that is in no table may belong to a declared
//! group (`com.acme.util` of `com.acme:anything`); otherwise it has no purl, because neither the group nor
//! the artifact can be derived from the package. A specifier of JavaScript states the registry and the range.

use super::{
    gather::{Imports, MAX_NAMES},
    javascript::GENERIC,
    libraries::{Artifact, Library, artifact, parts},
    location::Location,
};
use crate::{
    ecosystem::{
        npm::{Specifier, version_or_range},
        purl::{canonical_name, python_name},
        step::Joining,
    },
    model::{
        ecosystem::Ecosystem,
        scan_result::{Package, Source, Warning},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet, btree_map::Entry},
    ops::Bound,
};

/// Unknown packages that get a warning each.
const MAX_UNKNOWN: usize = 50;
/// Segments by which unknown packages are grouped.
const SHOWN_SEGMENTS: usize = 3;

/// Adds the imported packages that no file declares.
pub(in crate::ecosystem) fn list_undeclared(joining: &mut Joining<'_>) {
    let imports: Imports = joining.facts.take();
    let (packages, warnings) = imports.resolve(joining.packages);
    joining.packages.extend(packages);
    joining.warnings.extend(warnings);
}

impl Imports {
    /// The imported packages that are not declared.
    pub(super) fn resolve(self, declared: &[Package]) -> (Vec<Package>, Vec<Warning>) {
        if self.python.is_empty() && self.jvm.is_empty() && self.javascript.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let specified = specified(self.javascript, declared);
        let declared = DeclaredPackages::of(declared);
        let mut found = specified;
        let mut warnings = Vec::new();
        for (name, (location, others)) in self.python {
            let is_declared =
                [name.as_str()].iter().chain(others).any(|name| declared.has_python(name));
            if !is_declared {
                found.extend(package(Ecosystem::PyPi, name, location));
            }
        }
        let mut libraries: BTreeMap<String, Location> = BTreeMap::new();
        let mut unknown: BTreeMap<String, Location> = BTreeMap::new();
        for (imported, (location, is_java)) in self.jvm {
            if self.packages.has(&imported) {
                continue;
            }
            match artifact(&imported) {
                Artifact::Library(library) if declared.has_library(&library) => {}
                Artifact::Library(library) => keep_first(&mut libraries, library.name, location),
                Artifact::Unknown if declared.has_group_of(&imported) => {}
                // Scala also imports from objects and values, whose names are not packages.
                Artifact::Unknown if is_java || is_reversed_domain(&imported) => {
                    let segments: Vec<_> = imported.split('.').take(SHOWN_SEGMENTS).collect();
                    keep_first(&mut unknown, segments.join("."), location);
                }
                Artifact::Platform | Artifact::Unknown => {}
            }
        }
        for (name, location) in libraries {
            found.extend(package(Ecosystem::Maven, name, location));
        }
        let omitted = unknown.len().saturating_sub(MAX_UNKNOWN);
        for (name, location) in unknown.into_iter().take(MAX_UNKNOWN) {
            let message = format!(
                "`{name}` is imported, but the package that provides it is unknown; it is not listed"
            );
            warnings.push(Warning { file: location.file, line: Some(location.line), message });
        }
        if omitted > 0 {
            let message = format!("{omitted} more imported packages are unknown");
            warnings.push(Warning { file: String::new(), line: None, message });
        }
        if self.is_full {
            let message =
                format!("more than {MAX_NAMES} imports, or too long ones; the rest is omitted");
            warnings.push(Warning { file: String::new(), line: None, message });
        }
        (found, warnings)
    }
}

/// The packages of specifiers whose name no file declares.
fn specified(specifiers: BTreeMap<String, Location>, declared: &[Package]) -> Vec<Package> {
    if specifiers.is_empty() {
        return Vec::new();
    }
    let of_registry = |package: &&Package| {
        package.ecosystem == Ecosystem::Npm || package.ecosystem == Ecosystem::Jsr
    };
    let declared: HashSet<String> =
        declared.iter().filter(of_registry).map(canonical_name).collect();
    let read = |(specifier, location): (String, Location)| {
        let (ecosystem, name, range) = if let Some(module) = specifier.strip_prefix(GENERIC) {
            let (name, range) = module.rsplit_once('@')?;
            (Ecosystem::Generic, name, range)
        } else {
            let Specifier { ecosystem, name, range } = Specifier::read(&specifier)?;
            (ecosystem, name, range)
        };
        let (version, range) = match ecosystem {
            Ecosystem::Generic => (Some(range), None),
            _ => version_or_range(range),
        };
        let mut package = package(ecosystem, name.to_owned(), location)?;
        if declared.contains(&package.purl) {
            return None;
        }
        package.purl = ecosystem.purl(name, version)?;
        package.version = version.map(str::to_owned);
        package.specifier = range.filter(|range| !range.is_empty()).map(str::to_owned);
        Some(package)
    };
    specifiers.into_iter().filter_map(read).collect()
}

fn keep_first(places: &mut BTreeMap<String, Location>, name: String, location: Location) {
    match places.entry(name) {
        Entry::Vacant(entry) => drop(entry.insert(location)),
        Entry::Occupied(mut entry) if location < *entry.get() => {
            entry.insert(location);
        }
        Entry::Occupied(_) => {}
    }
}

fn package(ecosystem: Ecosystem, name: String, location: Location) -> Option<Package> {
    Some(Package {
        purl: ecosystem.purl(&name, None)?,
        name,
        version: None,
        specifier: None,
        ecosystem: ecosystem.into(),
        scope: Some(location.scope()),
        file: location.file,
        line: Some(location.line),
        direct: Some(true),
        source: Source::Import,
        requires: Vec::new(),
        resolved: None,
        licenses: Vec::new(),
        hashes: Vec::new(),
        managed_by: Vec::new(),
        resolved_from: None,
    })
}

/// Whether a package begins like a reversed domain name.
fn is_reversed_domain(package: &str) -> bool {
    let top = package.split('.').next().unwrap_or(package);
    package.contains('.')
        && (top.len() == 2 || matches!(top, "com" | "org" | "net" | "dev" | "edu" | "gov" | "app"))
        && top.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// The packages that manifests and lock files declare.
struct DeclaredPackages {
    python: HashSet<String>,
    /// `group:artifact`, without Scala versions.
    maven: BTreeSet<String>,
    groups: HashSet<String>,
}

impl DeclaredPackages {
    fn of(packages: &[Package]) -> Self {
        let of = |ecosystem: Ecosystem| {
            packages.iter().filter(move |package| package.ecosystem == ecosystem)
        };
        let python = of(Ecosystem::PyPi).chain(of(Ecosystem::Conda));
        let group =
            |package: &Package| package.name.split(':').next().unwrap_or_default().to_owned();
        Self {
            python: python.map(|package| python_name(&package.name)).collect(),
            // A parent pom is no library, but it may be named like one: `spring-boot-starter-parent`.
            maven: of(Ecosystem::Maven)
                .filter(|package| !package.name.ends_with("-parent"))
                .map(|package| without_scala_version(&package.name).to_owned())
                .collect(),
            groups: of(Ecosystem::Maven).map(group).collect(),
        }
    }

    fn has_python(&self, name: &str) -> bool {
        self.python.contains(&python_name(name))
    }

    fn has_library(&self, library: &Library) -> bool {
        [library.name.as_str()].iter().chain(library.others).any(|name| {
            match name.strip_suffix('*') {
                Some(begin) => {
                    let from = (Bound::Included(begin), Bound::Unbounded);
                    self.maven
                        .range::<str, _>(from)
                        .next()
                        .is_some_and(|requirement| requirement.starts_with(begin))
                }
                None => self.maven.contains(*name),
            }
        })
    }

    fn has_group_of(&self, package: &str) -> bool {
        parts(package).any(|group| self.groups.contains(group))
    }
}

/// Removes the Scala version: `org.typelevel:cats-core_2.13` and `org.typelevel:cats-core_sjs1_3` become
/// `org.typelevel:cats-core`.
fn without_scala_version(name: &str) -> &str {
    let is_version = |suffix: &str| {
        ["2.10", "2.11", "2.12", "2.13", "3"].iter().any(|version| {
            suffix
                .strip_prefix(version)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    let Some((name, _)) = name.rsplit_once('_').filter(|(_, version)| is_version(version)) else {
        return name;
    };
    let is_platform =
        |platform: &str| platform.starts_with("sjs") || platform.starts_with("native");
    name.rsplit_once('_').filter(|(_, suffix)| is_platform(suffix)).map_or(name, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::{Gathered, SourceFile, join, parser_for, source_parser_for};

    /// Compares the findings of these files together: `name scope file:line`, and warnings.
    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let run = |files: &[&(&str, &str)]| {
            let (mut packages, mut gathered) = (Vec::new(), Gathered::default());
            for (path, _) in files {
                gathered.facts.with(|imports: &mut Imports| imports.see(path));
            }
            for (path, text) in files {
                let file = SourceFile::alone(path, text.as_bytes());
                let parser = source_parser_for(path).or_else(|| parser_for(path)).unwrap();
                let findings = parser.parse(file);
                packages.extend(findings.packages);
                if let Some(fact) = findings.fact {
                    fact.gather(&mut gathered.facts);
                }
            }
            let warnings = join(&mut packages, gathered);
            let imported = packages.iter().filter(|package| package.source == Source::Import);
            let shown = imported.map(|package| {
                assert_eq!(package.direct, Some(true));
                let scope = package.scope.map_or("-", |scope| scope.as_str());
                let version = package.version.iter().chain(&package.specifier).next();
                let version = version.map(|version| format!(" {version}")).unwrap_or_default();
                let line = package.line.unwrap_or(0);
                format!("{}{version} {scope} {}:{line}", package.name, package.file)
            });
            let warnings = warnings.iter().map(|warning| {
                let name = warning.message.split('`').nth(1).unwrap_or(&warning.message);
                format!("? {name} {}:{}", warning.file, warning.line.unwrap_or(0))
            });
            shown.chain(warnings).collect::<Vec<_>>()
        };
        let forwards: Vec<_> = files.iter().collect();
        let backwards: Vec<_> = files.iter().rev().collect();
        assert_eq!(run(&forwards), expected);
        assert_eq!(run(&backwards), expected);
    }

    #[test]
    fn declared_packages_are_not_listed_again() {
        check(
            &[
                ("requirements.txt", "Flask==3.0\nopencv-python-headless\n"),
                ("environment.yml", "dependencies:\n  - pyyaml\n"),
                ("app.py", "import flask, cv2, yaml, requests, os, helpers\n"),
                ("helpers.py", "import requests\nimport numpy\n"),
                ("tests/test_app.py", "import pytest\nimport numpy\n"),
            ],
            &[
                "numpy runtime helpers.py:2",
                "pytest test tests/test_app.py:1",
                "requests runtime app.py:1",
            ],
        );
    }

    #[test]
    fn specifiers_of_javascript_name_their_packages() {
        check(
            &[
                ("deno.json", r#"{"imports": {"lantern": "npm:lantern@^2"}}"#),
                (
                    "app/main.ts",
                    "import \"npm:lantern@2.4.1\";\nimport a from \"npm:@s/wick@1.0.0/sub\";\n\
                     import b from \"jsr:@s/oil@^3\";\nimport \"https://deno.land/x/kit@v1.2.3/mod.ts\";\n",
                ),
                ("app/again.ts", "import a from \"npm:@s/wick@1.0.0\";\n"),
                ("tests/main.test.ts", "import \"npm:checks\";\n"),
            ],
            &[
                "@s/oil ^3 runtime app/main.ts:3",
                "@s/wick 1.0.0 runtime app/again.ts:1",
                "checks test tests/main.test.ts:1",
                "deno.land/x/kit v1.2.3 runtime app/main.ts:4",
            ],
        );
    }

    #[test]
    fn jvm_packages_are_resolved_by_tables_groups_and_own_packages() {
        check(
            &[
                (
                    "build.sbt",
                    "scalaVersion := \"2.13.14\"\nlibraryDependencies += \"org.typelevel\" %% \"cats-core\" % \"2.12.0\"\nlibraryDependencies += \"com.acme.util\" % \"text\" % \"1\"\n",
                ),
                (
                    "src/main/scala/App.scala",
                    "package de.shop.app\nimport cats.data.Chain\nimport zio.ZIO\nimport spark.implicits._\nimport com.acme.util.text.Words\nimport io.other.thing.X\n",
                ),
                (
                    "src/test/java/de/shop/app/AppTest.java",
                    "package de.shop.app;\nimport org.junit.jupiter.api.Test;\nimport de.shop.app.core.X;\nimport java.util.List;\nimport unheard.of.Thing;\n",
                ),
            ],
            &[
                "dev.zio:zio runtime src/main/scala/App.scala:3",
                "org.junit.jupiter:junit-jupiter-api test src/test/java/de/shop/app/AppTest.java:2",
                "? io.other.thing src/main/scala/App.scala:6",
                "? unheard.of src/test/java/de/shop/app/AppTest.java:5",
            ],
        );
    }

    #[test]
    fn a_starter_declares_the_libraries_that_it_provides() {
        let source = "import org.springframework.web.bind.annotation.GetMapping;\nimport org.springframework.kafka.core.KafkaTemplate;\n";
        check(
            &[
                (
                    "build.gradle",
                    "dependencies {\n  implementation 'org.springframework.boot:spring-boot-starter-web:3.3.0'\n}\n",
                ),
                ("src/main/java/A.java", source),
            ],
            &["org.springframework.kafka:spring-kafka runtime src/main/java/A.java:2"],
        );
    }

    #[test]
    fn unknown_packages_beyond_the_limit_are_counted() {
        let lines = (10..70).map(|number| format!("import a.b.c{number}.D;\n"));
        let source = lines.collect::<Vec<_>>().concat();
        let mut imports = Imports::default();
        let file = SourceFile::alone("A.java", source.as_bytes());
        imports.add(source_parser_for("A.java").unwrap().parse(file).into_fact());
        let (packages, warnings) = imports.resolve(&[]);
        assert_eq!((packages.len(), warnings.len()), (0, MAX_UNKNOWN + 1));
        assert_eq!(warnings[MAX_UNKNOWN].message, "10 more imported packages are unknown");
    }

    #[test]
    fn scala_versions_are_removed_from_names() {
        for (name, expected) in [
            ("g:cats-core_2.13", "g:cats-core"),
            ("g:cats-core_3", "g:cats-core"),
            ("g:kernel_2.13.14", "g:kernel"),
            ("g:cats-core_sjs1_3", "g:cats-core"),
            ("g:cats-core_native0.5_2.13", "g:cats-core"),
            ("g:under_score", "g:under_score"),
            ("g:plain", "g:plain"),
            ("g:model_3d", "g:model_3d"),
        ] {
            assert_eq!(without_scala_version(name), expected);
        }
    }

    #[test]
    fn packages_are_distinguished_from_values() {
        for name in ["com.acme.x", "de.acme", "org.x", "io.acme.y"] {
            assert!(is_reversed_domain(name), "{name}");
        }
        for name in ["spark.implicits", "com", "system.dispatcher", "Ab.x"] {
            assert!(!is_reversed_domain(name), "{name}");
        }
    }
}
