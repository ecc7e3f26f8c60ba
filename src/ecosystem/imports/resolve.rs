//! From imports to packages, once everything is read.
//!
//! What flows in: the imports of a repository, and the packages that its manifests and lock files
//! declare. What flows out: a package for each library that is imported and not declared, and a
//! warning for each package of the JVM of which nobody knows whose it is.
//!
//! Decisions. A library counts as declared by any file of the repository, under any of the names
//! that bring it (`opencv-python-headless`, a Spring Boot starter), and a Python library by conda too. A
//! Scala library counts by its name without the Scala version. A package of the JVM that no table
//! knows may be of a declared group (`com.acme.util` of `com.acme:anything`); else there is no
//! name that could be right: a purl needs the group and the artifact, and the package tells neither.

use super::{
    gather::{Imports, MOST_NAMES},
    libraries::{Artifact, Library, artifact, parts},
    place::Place,
};
use crate::{
    ecosystem::purl::{Ecosystem, python_name},
    model::scan_result::{Package, Source, Warning},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet, btree_map::Entry},
    ops::Bound,
};

/// Unknown packages that are named one by one.
const MOST_UNKNOWN: usize = 50;
/// The segments by which unknown packages are told apart.
const SHOWN_SEGMENTS: usize = 3;

impl Imports {
    /// The packages that are imported, beside those that are declared.
    pub(in crate::ecosystem) fn resolve(
        self,
        declared: &[Package],
    ) -> (Vec<Package>, Vec<Warning>) {
        if self.python.is_empty() && self.jvm.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let declared = Declared::of(declared);
        let mut found = Vec::new();
        let mut warnings = Vec::new();
        for (name, (place, others)) in self.python {
            let is_declared =
                [name.as_str()].iter().chain(others).any(|it| declared.has_python(it));
            if !is_declared {
                found.extend(package(Ecosystem::PyPi, name, place));
            }
        }
        let mut libraries: BTreeMap<String, Place> = BTreeMap::new();
        let mut unknown: BTreeMap<String, Place> = BTreeMap::new();
        for (imported, (place, is_java)) in self.jvm {
            if self.packages.has(&imported) {
                continue;
            }
            match artifact(&imported) {
                Artifact::Library(library) if declared.has_library(&library) => {}
                Artifact::Library(library) => keep_first(&mut libraries, library.name, place),
                Artifact::Unknown if declared.has_group_of(&imported) => {}
                // Scala imports from objects and values too, whose names are no packages.
                Artifact::Unknown if is_java || is_reversed_domain(&imported) => {
                    let segments: Vec<_> = imported.split('.').take(SHOWN_SEGMENTS).collect();
                    keep_first(&mut unknown, segments.join("."), place);
                }
                Artifact::Platform | Artifact::Unknown => {}
            }
        }
        for (name, place) in libraries {
            found.extend(package(Ecosystem::Maven, name, place));
        }
        let left_out = unknown.len().saturating_sub(MOST_UNKNOWN);
        for (name, place) in unknown.into_iter().take(MOST_UNKNOWN) {
            let message = format!(
                "`{name}` is imported, but which package holds it is not known: it is not listed"
            );
            warnings.push(Warning { file: place.file, line: Some(place.line), message });
        }
        if left_out > 0 {
            let message = format!("{left_out} more imported packages are not known");
            warnings.push(Warning { file: String::new(), line: None, message });
        }
        if self.is_full {
            let message = format!(
                "more than {MOST_NAMES} imports, or long ones: the rest of them is left out"
            );
            warnings.push(Warning { file: String::new(), line: None, message });
        }
        (found, warnings)
    }
}

fn keep_first(places: &mut BTreeMap<String, Place>, name: String, place: Place) {
    match places.entry(name) {
        Entry::Vacant(entry) => drop(entry.insert(place)),
        Entry::Occupied(mut entry) if place < *entry.get() => {
            entry.insert(place);
        }
        Entry::Occupied(_) => {}
    }
}

fn package(ecosystem: Ecosystem, name: String, place: Place) -> Option<Package> {
    Some(Package {
        purl: ecosystem.purl(&name, None)?,
        name,
        version: None,
        specifier: None,
        ecosystem: ecosystem.as_str().to_owned(),
        scope: Some(place.scope()),
        file: place.file,
        line: Some(place.line),
        direct: Some(true),
        source: Source::Import,
        requires: Vec::new(),
    })
}

/// Whether a name begins as packages do that are called after a domain.
fn is_reversed_domain(package: &str) -> bool {
    let top = package.split('.').next().unwrap_or(package);
    package.contains('.')
        && (top.len() == 2 || matches!(top, "com" | "org" | "net" | "dev" | "edu" | "gov" | "app"))
        && top.bytes().all(|it| it.is_ascii_lowercase())
}

/// What the manifests and lock files declare.
struct Declared {
    python: HashSet<String>,
    /// `group:artifact`, without Scala versions.
    maven: BTreeSet<String>,
    groups: HashSet<String>,
}

impl Declared {
    fn of(packages: &[Package]) -> Self {
        let of = |ecosystem: Ecosystem| {
            packages.iter().filter(move |it| it.ecosystem == ecosystem.as_str())
        };
        let python = of(Ecosystem::PyPi).chain(of(Ecosystem::Conda));
        let group = |it: &Package| it.name.split(':').next().unwrap_or_default().to_owned();
        Self {
            python: python.map(|it| python_name(&it.name)).collect(),
            maven: of(Ecosystem::Maven)
                .map(|it| without_scala_version(&it.name).to_owned())
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
                    self.maven.range::<str, _>(from).next().is_some_and(|it| it.starts_with(begin))
                }
                None => self.maven.contains(*name),
            }
        })
    }

    fn has_group_of(&self, package: &str) -> bool {
        parts(package).any(|it| self.groups.contains(it))
    }
}

/// `org.typelevel:cats-core_2.13` and `org.typelevel:cats-core_sjs1_3` are `org.typelevel:cats-core`.
fn without_scala_version(name: &str) -> &str {
    let is_version = |it: &str| {
        ["2.10", "2.11", "2.12", "2.13", "3"].iter().any(|version| {
            it.strip_prefix(version).is_some_and(|it| it.is_empty() || it.starts_with('.'))
        })
    };
    let Some((name, _)) = name.rsplit_once('_').filter(|(_, version)| is_version(version)) else {
        return name;
    };
    let is_platform = |it: &str| it.starts_with("sjs") || it.starts_with("native");
    name.rsplit_once('_').filter(|(_, it)| is_platform(it)).map_or(name, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::{Gathered, SourceFile, join, parser_for, source_parser_for};

    /// What is found in these files together: `name scope file:line`, and warnings.
    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let run = |files: &[&(&str, &str)]| {
            let mut imports = Imports::default();
            let (mut packages, mut gradle) = (Vec::new(), Vec::new());
            for (path, _) in files {
                imports.see(path);
            }
            for (path, text) in files {
                let file = SourceFile::alone(path, text.as_bytes());
                let parser = parser_for(path).or_else(|| source_parser_for(path)).unwrap();
                let findings = parser.parse(file);
                packages.extend(findings.packages);
                gradle.extend(findings.gradle.map(|it| *it));
                if let Some(named) = findings.imports {
                    imports.add(path, *named);
                }
            }
            let warnings = join(&mut packages, Gathered { gradle, imports, ..Gathered::default() });
            let imported = packages.iter().filter(|it| it.source == Source::Import);
            let shown = imported.map(|it| {
                assert_eq!((it.direct, &it.version), (Some(true), &None));
                let scope = it.scope.map_or("-", |it| it.as_str());
                format!("{} {scope} {}:{}", it.name, it.file, it.line.unwrap_or(0))
            });
            let warnings = warnings.iter().map(|it| {
                let name = it.message.split('`').nth(1).unwrap_or(&it.message);
                format!("? {name} {}:{}", it.file, it.line.unwrap_or(0))
            });
            shown.chain(warnings).collect::<Vec<_>>()
        };
        let forwards: Vec<_> = files.iter().collect();
        let backwards: Vec<_> = files.iter().rev().collect();
        assert_eq!(run(&forwards), expected);
        assert_eq!(run(&backwards), expected);
    }

    #[test]
    fn what_is_declared_is_not_listed_again() {
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
    fn the_jvm_is_resolved_by_tables_groups_and_own_packages() {
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
    fn a_starter_declares_what_it_brings() {
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
    fn unknown_packages_are_counted_where_they_are_many() {
        let lines = (10..70).map(|it| format!("import a.b.c{it}.D;\n"));
        let source = lines.collect::<Vec<_>>().concat();
        let mut imports = Imports::default();
        let file = SourceFile::alone("A.java", source.as_bytes());
        let named = source_parser_for("A.java").unwrap().parse(file).imports.unwrap();
        imports.add("A.java", *named);
        let (packages, warnings) = imports.resolve(&[]);
        assert_eq!((packages.len(), warnings.len()), (0, MOST_UNKNOWN + 1));
        assert_eq!(warnings[MOST_UNKNOWN].message, "10 more imported packages are not known");
    }

    #[test]
    fn scala_versions_are_no_part_of_a_name() {
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
    fn packages_are_told_from_values() {
        for name in ["com.acme.x", "de.acme", "org.x", "io.acme.y"] {
            assert!(is_reversed_domain(name), "{name}");
        }
        for name in ["spark.implicits", "com", "system.dispatcher", "Ab.x"] {
            assert!(!is_reversed_domain(name), "{name}");
        }
    }
}
