//! Builds of several files.

use super::{resolve::resolve, script::GradleFile};
use crate::ecosystem::{SourceFile, budget::Budget, parser_for};

/// Compares the findings of these files together: `name version|specifier file:line`.
#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let mut gradle: Vec<GradleFile> = Vec::new();
    for (path, text) in files {
        let file = SourceFile::alone(path, text.as_bytes());
        gradle.push(parser_for(path).unwrap().parse(file).into_fact());
    }
    let found = resolve(gradle, None, Budget::alone(1 << 20));
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
            "io.ktor:core 2.3.4 gradle/libs.versions.toml:4",
            "io.ktor:netty 2.3.5 gradle/libs.versions.toml:5",
            "x.shadow:x.shadow.gradle.plugin 8.1 gradle/libs.versions.toml:9",
            "1 references to a version catalog are not resolved",
        ],
    );
}

#[test]
fn catalogs_have_other_names_and_entries_have_parts() {
    let root = "ext {\n    libraries = libs\n}\n";
    let script = "dependencies {\nimplementation libraries.ktor.core\napi rootProject.libs.ktor.core\n\
                  api \"${libs.ktor.core.get().module}:${libs.ktor.core.get().version}:tests\"\n}\n";
    check(
        &[("build.gradle", root), ("app/build.gradle", script), CATALOG],
        &[
            "io.ktor:core 2.3.4 app/build.gradle:2",
            "io.ktor:core 2.3.4 app/build.gradle:3",
            "io.ktor:core 2.3.4 app/build.gradle:4",
            "io.ktor:core 2.3.4 gradle/libs.versions.toml:4",
            "io.ktor:netty 2.3.5 gradle/libs.versions.toml:5",
            "x.shadow:x.shadow.gradle.plugin 8.1 gradle/libs.versions.toml:9",
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

#[test]
fn catalogs_of_the_settings_are_resolved() {
    let settings = "val ver = \"1.1\"\ndependencyResolutionManagement {\nversionCatalogs {\ncreate(\"libs\") {\n\
                    val kotlin = version(\"kotlin\", \"1.9.24\")\n\
                    version(\"rich\") { strictly(\"[3, 4[\"); prefer(\"3.9\") }\n\
                    library(\"own-a\", \"g\", \"a\").version(\"1.0\")\nlibrary(\"b\", \"g:b:$ver\")\n\
                    library(\"c\", \"g\", \"c\").versionRef(kotlin)\nlibrary(\"d\", \"g\", \"d\")\n    .versionRef(\"rich\")\n\
                    library(\"e\", \"g\", \"e\").withoutVersion()\nlibrary(\"f\", \"g\", \"f\").version { prefer(\"1.6\") }\n\
                    plugin(\"kotlin-jvm\", \"org.jetbrains.kotlin.jvm\").versionRef(\"kotlin\")\n\
                    bundle(\"both\", listOf(\"own-a\", \"b\"))\n}\n\
                    create(\"corp\") { from(\"com.acme:catalog:2.0\") }\n}\n}\n";
    let script = "plugins { alias(libs.plugins.kotlin.jvm) }\ndependencies {\napi(libs.own.a)\napi(libs.bundles.both)\n\
                  api(\"g:x:${libs.versions.kotlin.get()}\")\napi(corp.tool)\n}\n";
    check(
        &[("settings.gradle.kts", settings), ("app/build.gradle.kts", script)],
        &[
            "org.jetbrains.kotlin.jvm:org.jetbrains.kotlin.jvm.gradle.plugin 1.9.24 app/build.gradle.kts:1",
            "g:a 1.0 app/build.gradle.kts:3",
            "g:a 1.0 app/build.gradle.kts:4",
            "g:b 1.1 app/build.gradle.kts:4",
            "g:x 1.9.24 app/build.gradle.kts:5",
            "g:a 1.0 settings.gradle.kts:7",
            "g:b 1.1 settings.gradle.kts:8",
            "g:c 1.9.24 settings.gradle.kts:9",
            "g:d 3.9 settings.gradle.kts:10",
            "g:e - settings.gradle.kts:12",
            "g:f 1.6 settings.gradle.kts:13",
            "org.jetbrains.kotlin.jvm:org.jetbrains.kotlin.jvm.gradle.plugin 1.9.24 settings.gradle.kts:14",
            "com.acme:catalog 2.0 settings.gradle.kts:17",
            "1 references to a version catalog are not resolved",
        ],
    );
}

#[test]
fn settings_import_files_and_replace_their_versions() {
    let settings = "dependencyResolutionManagement { versionCatalogs {\n\
                    libs { from(files('../gradle/libs.versions.toml')); version('ktor', '3.0') }\n\
                    tools { from(files(\"$rootDir/gradle/tools.toml\")) }\n\
                    gone { from(files('gradle/gone.toml')) }\n} }\n";
    check(
        &[
            ("logic/settings.gradle", settings),
            ("logic/gradle/tools.toml", "[libraries]\nlint = 'g:lint:1.2'\n"),
            ("logic/gradle/other.toml", "[libraries]\nother = 'g:other:1.3'\n<"),
            ("logic/build.gradle", "dependencies {\napi libs.ktor.core\napi tools.lint\n}\n"),
            ("build.gradle", "dependencies {\napi libs.ktor.core\n}\n"),
            CATALOG,
        ],
        &[
            "io.ktor:core 2.3.4 build.gradle:2",
            "io.ktor:core 3.0 gradle/libs.versions.toml:4",
            "io.ktor:netty 2.3.5 gradle/libs.versions.toml:5",
            "x.shadow:x.shadow.gradle.plugin 8.1 gradle/libs.versions.toml:9",
            "io.ktor:core 3.0 logic/build.gradle:2",
            "g:lint 1.2 logic/build.gradle:3",
            "g:lint 1.2 logic/gradle/tools.toml:2",
            "`gradle/gone.toml` of the version catalog `gone` is not known",
        ],
    );
}

#[test]
fn own_plugins_are_no_packages() {
    let conventions = "plugins {\nid(\"acme.base\")\nid(\"com.example.tool\")\n}\n";
    let plugin = "group = 'acme'\ngradlePlugin {\nplugins {\nlint { id = 'acme.lint'; implementationClass = 'X' }\n\
                  create('named') { id = \"${group}.named\" }\n\
                  entry { id = libs.plugins.own.entry.get().pluginId }\n}\n}\n\
                  dependencies { implementation 'com.example.tool:com.example.tool.gradle.plugin:1.0' }\n";
    let app = "plugins {\nid 'acme.java'\nid 'acme.lint'\nid 'acme.named'\nid 'com.acme.packaged'\n\
               id 'acme.described'\nalias(libs.plugins.own)\nalias(libs.plugins.own.entry)\n}\n";
    check(
        &[
            ("logic/src/main/kotlin/acme.java.gradle.kts", conventions),
            ("logic/src/main/kotlin/acme.base.gradle.kts", ""),
            ("logic/src/main/kotlin/com/acme/packaged.gradle.kts", "package com.acme\n"),
            ("logic/build.gradle", plugin),
            ("tool/src/main/resources/META-INF/gradle-plugins/acme.described.properties", "x=y\n"),
            (
                "gradle/libs.versions.toml",
                "[plugins]\nown = { id = 'acme.java' }\nown-entry = { id = 'acme.entry', version = 'unspecified' }\n",
            ),
            ("app/build.gradle", app),
        ],
        &[
            "com.example.tool:com.example.tool.gradle.plugin 1.0 logic/build.gradle:9",
            "com.example.tool:com.example.tool.gradle.plugin 1.0 logic/src/main/kotlin/acme.java.gradle.kts:3",
        ],
    );
}

#[test]
fn plugins_without_a_version_have_that_of_the_folders_above() {
    let settings = "pluginManagement { plugins { id 'com.example.managed' version '1.0' } }\n";
    let root = "plugins {\nid 'com.example.root' version '2.0' apply false\n}\n";
    let app =
        "plugins {\nid 'com.example.root'\nid 'com.example.managed'\nid 'com.example.unknown'\n}\n";
    check(
        &[("settings.gradle", settings), ("build.gradle", root), ("app/build.gradle", app)],
        &[
            "com.example.root:com.example.root.gradle.plugin 2.0 app/build.gradle:2",
            "com.example.managed:com.example.managed.gradle.plugin 1.0 app/build.gradle:3",
            "com.example.unknown:com.example.unknown.gradle.plugin - app/build.gradle:4",
            "com.example.root:com.example.root.gradle.plugin 2.0 build.gradle:2",
            "com.example.managed:com.example.managed.gradle.plugin 1.0 settings.gradle:1",
            "`com.example.unknown:com.example.unknown.gradle.plugin`: the version is defined outside the repository",
        ],
    );
}

#[test]
fn names_of_modules_may_lead_to_a_catalog() {
    let script = "val bom = platform(libs.ktor.core)\nval wrapped = enforcedPlatform(\"g:bom:1.0\")\n\
                  val own = project(\":own\")\nval test = testFixtures(bom)\ndependencies {\napi(bom)\napi(wrapped)\napi(own)\n\
                  api(test)\napi(variantOf(libs.ktor.netty) { classifier(\"x\") })\n}\n";
    check(
        &[("app/build.gradle.kts", script), CATALOG],
        &[
            "io.ktor:core 2.3.4 app/build.gradle.kts:6",
            "g:bom 1.0 app/build.gradle.kts:7",
            "io.ktor:core 2.3.4 app/build.gradle.kts:9",
            "io.ktor:netty 2.3.5 app/build.gradle.kts:10",
            "io.ktor:core 2.3.4 gradle/libs.versions.toml:4",
            "io.ktor:netty 2.3.5 gradle/libs.versions.toml:5",
            "x.shadow:x.shadow.gradle.plugin 8.1 gradle/libs.versions.toml:9",
        ],
    );
}

/// The BOMs that each package without a version names: `name <- purl purl`.
fn managed_by(files: &[(&str, &str)]) -> Vec<String> {
    let read = |(path, text): &(&str, &str)| {
        let file = SourceFile::alone(path, text.as_bytes());
        parser_for(path).unwrap().parse(file).into_fact()
    };
    let found = resolve(files.iter().map(read).collect(), None, Budget::alone(1 << 20));
    let unversioned = found.packages.iter().filter(|package| package.version.is_none());
    unversioned
        .map(|package| format!("{} <- {}", package.name, package.managed_by.join(" ")))
        .collect()
}

#[test]
fn modules_without_a_version_name_the_boms_of_their_script() {
    let platforms = "dependencies {\nimplementation(platform(\"a:bom:1.0\"))\napi(project.dependencies.enforcedPlatform('b:bom:2'))\n\
                     implementation platform(group: 'c', name: 'bom', version: '3')\napi(\"x:y\")\napi(\"x:z:1\")\n\
                     constraints { api(\"x:set:4\") }\napi(\"x:set\")\n}\n";
    let all = "x:y <- pkg:maven/a/bom@1.0 pkg:maven/b/bom@2 pkg:maven/c/bom@3";
    assert_eq!(managed_by(&[("build.gradle", platforms)]), [all]);
    let named = "val bom = platform(\"a:bom:1.0\")\nval forced = dependencies.enforcedPlatform(libs.absent)\n\
                 def other = project(':x')\ndependencies {\nimplementation(bom)\napi(\"x:y\")\n}\n";
    assert_eq!(managed_by(&[("build.gradle.kts", named)]), ["x:y <- pkg:maven/a/bom@1.0"]);
    let spring = "plugins {\nid 'org.springframework.boot' version '3.2.0'\nid 'io.spring.dependency-management' version '1.1.4'\n}\n\
                  ext.cloud = '2023.0.0'\ndependencyManagement {\nimports { mavenBom \"s:cloud:${cloud}\" }\n\
                  dependencies { dependency 'x:set:4'\ndependency('x:other:5') { exclude 'a:b' } }\n}\n\
                  dependencies {\nimplementation 'x:y'\nimplementation 'x:set'\n}\n";
    let boot = "pkg:maven/org.springframework.boot/spring-boot-dependencies@3.2.0";
    assert_eq!(
        managed_by(&[("build.gradle", spring)]),
        [format!("x:y <- pkg:maven/s/cloud@2023.0.0 {boot}")]
    );
    let root = "plugins { id(\"org.springframework.boot\") version \"3.3.1\" apply false }\n";
    let app = "plugins {\nid(\"org.springframework.boot\")\nid(\"io.spring.dependency-management\")\n}\n\
               configure<DependencyManagementExtension> { imports { mavenBom(\"s:cloud:1\") } }\n\
               dependencies { api(\"x:y\") }\n";
    let found = managed_by(&[("build.gradle.kts", root), ("app/build.gradle.kts", app)]);
    let boot = boot.replace("3.2.0", "3.3.1");
    let plugin = "io.spring.dependency-management:io.spring.dependency-management.gradle.plugin";
    assert_eq!(found, [format!("{plugin} <- "), format!("x:y <- pkg:maven/s/cloud@1 {boot}")]);
}
