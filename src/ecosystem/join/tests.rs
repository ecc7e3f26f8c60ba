//! Combined findings of several files, shown with one package on each line.

use super::*;
use crate::ecosystem::{
    SourceFile, cargo::inherit_versions, fuzz::read_alone, locks, parser::read_within, parser_for,
};
use crate::model::scan_result::{Scope, Source};

mod charged;
mod direct;
mod projects;

/// Parses the files in this order and joins their findings.
fn joined<'f>(files: impl Iterator<Item = &'f (&'f str, &'f str)>) -> (Vec<Package>, Vec<Warning>) {
    let (mut packages, mut gathered) = (Vec::new(), Gathered::default());
    for (path, text) in files {
        let file = SourceFile::alone(path, text.as_bytes());
        let findings = read_within(parser_for(path).unwrap(), file);
        packages.extend(findings.packages);
        gathered.projects.extend(findings.project.map(|boxed| *boxed));
        if let Some(fact) = findings.fact {
            fact.gather(&mut gathered.facts);
        }
    }
    let warnings = join(&mut packages, gathered);
    (packages, warnings)
}

/// Joins the files in both orders, and compares the packages, one a line.
#[track_caller]
fn check(files: &[(&str, &str)], expected: &str) {
    let (packages, _) = joined(files.iter());
    let (reversed, _) = joined(files.iter().rev());
    assert_eq!(packages, reversed);
    let shown: Vec<_> = packages
        .iter()
        .map(|package| {
            let version =
                package.version.as_deref().or(package.specifier.as_deref()).unwrap_or("-");
            let direct =
                package.direct.map_or("-", |value| if value { "direct" } else { "transitive" });
            let scope = package.scope.map_or("-", Scope::as_str);
            let resolved = package.resolved.as_ref().map(|purl| format!(" = {purl}"));
            let resolved = resolved.unwrap_or_default();
            format!("{} {version} {direct} {scope} {}{resolved}", package.name, package.file)
        })
        .collect();
    assert_eq!(shown.join("\n"), expected);
}

/// Fails if a project of the repository is a package where another project of its workspace requires
/// it by name, or is dropped where a lock file lists it from a registry.
#[test]
fn projects_of_the_same_workspace_are_not_packages() {
    let left = ("libs/left/package.json", r#"{"name": "@o/Left", "dependencies": {"w": "^1"}}"#);
    let right =
        ("libs/right/package.json", r#"{"name": "right", "dependencies": {"@o/left": "^1"}}"#);
    let apart = ("else/package.json", r#"{"dependencies": {"right": "^2"}}"#);
    let expected = "right ^2 direct runtime else/package.json\n\
                        w ^1 direct runtime libs/left/package.json";
    for (path, text) in [
        ("package.json", r#"{"workspaces": ["libs/*"], "dependencies": {"right": "*"}}"#),
        ("package.json", r#"{"workspaces": {"packages": ["libs/*"]}}"#),
        ("pnpm-workspace.yaml", "packages:\n  - libs/**\n  - '!libs/test'\n"),
        ("lerna.json", r#"{"packages": ["libs/left", "libs/right"]}"#),
        (
            "rush.json",
            r#"{"projects": [{"packageName": "right", "projectFolder": "libs/right"},
                // The other one.
                {"packageName": "@o/left", "projectFolder": "libs/left"}]}"#,
        ),
    ] {
        check(&[(path, text), left, right, apart], expected);
    }
    let lock = (
        "yarn.lock",
        "\"@o/left@^1\":\n  version \"1.1.0\"\n  resolved \"https://r/l.tgz\"\nw@^1:\n  version \"1.0.0\"\n",
    );
    check(
        &[("package.json", r#"{"workspaces": ["libs/*"]}"#), left, right, lock],
        "@o/left 1.1.0 transitive - yarn.lock\n\
             w ^1 direct runtime libs/left/package.json\n\
             w 1.0.0 direct runtime yarn.lock",
    );
}

/// Fails if a gem of the repository is a package where another gem of it requires it by name and version.
#[test]
fn gems_of_the_repository_are_not_packages() {
    check(
        &[
            (
                "core/till_core.gemspec",
                "Gem::Specification.new do |s|\n  s.name = 'till_core'\n  s.version = '4.5.0'\n  \
                 s.add_dependency 'tally', '4.2.1'\nend\n",
            ),
            (
                "api/till_api.gemspec",
                "Gem::Specification.new('till_api', '4.5.0') do |s|\n  s.version = '4.5.0'\n  \
                 s.add_dependency 'till_core', s.version\n  s.add_dependency 'renders', '~> 2'\nend\n",
            ),
            ("Gemfile", "gemspec\ngem 'till_api', '4.5.0'\ngem 'rake'\n"),
            ("vendor/rake/rake.gemspec", "Gem::Specification.new do |s|\n  s.name = 'rake'\nend\n"),
        ],
        "rake - direct runtime Gemfile\n\
         renders ~> 2 direct runtime api/till_api.gemspec\n\
         tally 4.2.1 direct runtime core/till_core.gemspec",
    );
}

#[test]
fn path_repositories_are_not_packages() {
    check(
        &[
            (
                "apps/web/composer.json",
                r#"{"require": {"o/a": "*", "o/b": "*"}, "repositories": [{"type": "path", "url": "../../libs/*"}]}"#,
            ),
            (
                "apps/api/composer.json",
                r#"{"require": {"o/a": "*"}, "repositories": {"x": {"type": "vcs", "url": "../../libs/*"}}}"#,
            ),
            ("libs/a/composer.json", r#"{"name": "O/A"}"#),
        ],
        "o/a * direct runtime apps/api/composer.json\n\
             o/b * direct runtime apps/web/composer.json",
    );
}

#[test]
fn members_inherit_from_their_workspace() {
    check(
        &[
            ("Cargo.toml", "[workspace.dependencies]\nserde = '=1.0.1'\nown = { path = 'own' }\n"),
            (
                "own/Cargo.toml",
                "[dev-dependencies]\nserde.workspace = true\nown.workspace = true\n",
            ),
            (
                "Cargo.lock",
                "[[package]]\nname = 'own'\nversion = '1.0.0'\ndependencies = ['serde']\n[[package]]\nname = 'serde'\nversion = '1.0.1'\nsource = 'registry+x'\n",
            ),
        ],
        "serde 1.0.1 direct dev Cargo.lock\n\
             serde 1.0.1 direct - Cargo.toml\n\
             serde 1.0.1 direct dev own/Cargo.toml",
    );
}

/// Fails if crates of a workspace are packages because the workspace defines no other packages.
#[test]
fn path_crates_of_a_workspace_without_packages_are_not_packages() {
    check(
        &[
            ("Cargo.toml", "[workspace]\n[workspace.dependencies]\na = { path = 'a' }\n"),
            ("b/Cargo.toml", "[dependencies]\na.workspace = true\n"),
        ],
        "",
    );
}

#[test]
fn a_member_without_its_workspace_keeps_its_requirements() {
    check(
        &[("own/Cargo.toml", "[dependencies]\nserde.workspace = true\n")],
        "serde workspace = true direct runtime own/Cargo.toml",
    );
}

#[test]
fn nuget_names_are_compared_without_case() {
    check(
        &[
            ("paket.dependencies", "nuget Xunit 2.4.1\n"),
            ("paket.lock", "NUGET\n  remote: https://x\n    xunit (2.4.1)\n"),
        ],
        "Xunit 2.4.1 direct runtime paket.dependencies\n\
             xunit 2.4.1 direct runtime paket.lock",
    );
}

/// Fails if a lock file is completed from the manifest of another tool.
#[test]
fn a_lock_is_completed_from_the_manifest_of_its_tool_only() {
    check(
        &[
            (
                "poetry.lock",
                "[[package]]\nname = 'A.b'\nversion = '1'\n[[package]]\nname = 'c'\nversion = '2'\n",
            ),
            ("pyproject.toml", "[tool.poetry.group.dev.dependencies]\na-b = '^1'\n"),
            ("requirements.txt", "c==2\n"),
        ],
        "A.b 1 direct dev poetry.lock\n\
             a-b ^1 direct dev pyproject.toml\n\
             c 2 transitive - poetry.lock\n\
             c 2 direct runtime requirements.txt",
    );
}

#[test]
fn names_are_compared_by_the_rules_of_their_ecosystem() {
    check(
        &[
            ("composer.json", r#"{"require": {"Psr/Log": "^3"}}"#),
            ("composer.lock", r#"{"packages": [{"name": "psr/log", "version": "3.0.0"}]}"#),
        ],
        "Psr/Log ^3 direct runtime composer.json\n\
             psr/log 3.0.0 direct runtime composer.lock",
    );
}

/// Fails if an indirect requirement of go.mod counts as direct, a vendor folder counts as a project,
/// or what a vendored module needs itself counts as a package.
#[test]
fn vendored_packages_are_completed_from_the_folder_above() {
    check(
        &[
            ("go.mod", "module m\nrequire (\na.b/c v1.0.0\nd.e/f v1.0.0 // indirect\n)\n"),
            ("vendor/modules.txt", "# a.b/c v1.0.0\n## explicit\n# d.e/f v1.0.0\nd.e/f/g\n"),
            ("vendor/a.b/c/Dockerfile", "FROM golang:1.15\n"),
            ("vendor/a.b/c/go.mod", "module a.b/c\nrequire x.y/z v1.0.0\n"),
        ],
        "a.b/c v1.0.0 direct - go.mod\n\
             a.b/c v1.0.0 direct - vendor/modules.txt\n\
             d.e/f v1.0.0 transitive - go.mod\n\
             d.e/f v1.0.0 transitive - vendor/modules.txt",
    );
}

#[test]
fn an_sbt_lock_gets_direct_from_the_build() {
    check(
        &[
            (
                "build.sbt.lock",
                r#"{"lockVersion": 1, "dependencies": [{"org": "g", "name": "a_2.13", "version": "1", "configurations": ["compile"]},
                    {"org": "g", "name": "b_2.13", "version": "2", "configurations": ["compile"]}]}"#,
            ),
            (
                "build.sbt",
                "scalaVersion := \"2.13.1\"\nlibraryDependencies += \"g\" %% \"a\" % \"1\"\n",
            ),
            ("build.gradle", "dependencies {\nimplementation 'g:b_2.13:2'\n}\n"),
        ],
        "g:a_2.13 1 direct runtime build.sbt\n\
             g:a_2.13 1 direct runtime build.sbt.lock\n\
             g:b_2.13 2 direct runtime build.gradle\n\
             g:b_2.13 2 transitive runtime build.sbt.lock",
    );
}

#[test]
fn a_gradle_lock_gets_only_direct_from_the_build() {
    check(
        &[
            ("gradle.lockfile", "g:a:1=runtimeClasspath\ng:b:1=runtimeClasspath\n"),
            ("build.gradle", "dependencies {\nimplementation 'g:a:1'\n}\n"),
        ],
        "g:a 1 direct runtime build.gradle\n\
             g:a 1 direct runtime gradle.lockfile\n\
             g:b 1 - runtime gradle.lockfile",
    );
}

#[test]
fn repeats_are_dropped() {
    let file = SourceFile::alone("requirements.txt", b"a\nb\na");
    let mut packages = parser_for(file.path).unwrap().parse(file).packages;
    packages.extend(packages.clone());
    join(&mut packages, Gathered::default());
    let lines: Vec<_> = packages.iter().filter_map(|package| package.line).collect();
    assert_eq!(lines, [1, 2]);
}
