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
