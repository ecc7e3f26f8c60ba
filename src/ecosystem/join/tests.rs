//! Combined findings of several files, shown with one package on each line.

use super::*;
use crate::ecosystem::{
    SourceFile, cargo::inherit_versions, fuzz::read_alone, locks, parser::read_within, parser_for,
};
use crate::model::scan_result::{Scope, Source};

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

#[test]
fn an_old_npm_lock_gets_direct_from_the_manifest() {
    check(
        &[
            (
                "a/package-lock.json",
                r#"{"lockfileVersion": 1, "dependencies": {"x": {"version": "1.0.0", "dependencies": {"y": {"version": "2.0.0"}}}, "y": {"version": "1.0.0"}}}"#,
            ),
            ("a/package.json", r#"{"dependencies": {"x": "^1"}}"#),
            ("package.json", r#"{"dependencies": {"y": "^1"}}"#),
        ],
        "x - direct runtime a/package.json\n\
             x 1.0.0 direct runtime a/package-lock.json\n\
             y - direct runtime package.json\n\
             y 1.0.0 transitive runtime a/package-lock.json\n\
             y 2.0.0 transitive runtime a/package-lock.json"
            .replace("x - ", "x ^1 ")
            .replace("y - ", "y ^1 ")
            .as_str(),
    );
}

#[test]
fn a_yarn_lock_gets_direct_and_scope_from_all_members() {
    check(
        &[
            (
                "yarn.lock",
                "x@^1:\n  version \"1.1.0\"\n\"y@npm:z@^2\":\n  version \"2.0.0\"\nw@1:\n  version \"1.0.0\"\n",
            ),
            ("package.json", r#"{"devDependencies": {"x": "1.1.0"}}"#),
            ("own/package.json", r#"{"dependencies": {"y": "npm:z@2.0.0"}}"#),
        ],
        "w 1.0.0 transitive - yarn.lock\n\
             x 1.1.0 direct dev package.json\n\
             x 1.1.0 direct dev yarn.lock\n\
             z 2.0.0 direct runtime own/package.json\n\
             z 2.0.0 direct runtime yarn.lock",
    );
}

/// Fails if a name decides which of several versions is direct: with yarn the range does.
#[test]
fn of_several_versions_in_a_yarn_lock_the_range_decides() {
    let root = ("package.json", r#"{"dependencies": {"a": "^2.1", "tool": "npm:b@~1.0"}}"#);
    let own = ("own/package.json", r#"{"devDependencies": {"a": "1.0.0", "b": "latest"}}"#);
    let expected = |scope: &str| {
        format!(
            "a ^2.1 direct runtime package.json = pkg:npm/a@2.1.3\n\
             a 1.0.0 direct dev own/package.json\n\
             a 1.0.0 direct dev yarn.lock\n\
             a 2.0.0 transitive - yarn.lock\n\
             a 2.1.3 direct runtime yarn.lock\n\
             b latest direct dev own/package.json = pkg:npm/b@3.0.0\n\
             b ~1.0 direct runtime package.json = pkg:npm/b@1.0.7\n\
             b 1.0.7 direct runtime yarn.lock\n\
             b 3.0.0 direct {scope} yarn.lock"
        )
    };
    let version_1 = "a@1.0.0:\n  version \"1.0.0\"\n\na@2.0.0, a@~2.0.0:\n  version \"2.0.0\"\n\n\
                     a@^2.1:\n  version \"2.1.3\"\n\nb@latest:\n  version \"3.0.0\"\n\n\
                     \"tool@npm:b@~1.0\":\n  version \"1.0.7\"\n";
    check(&[root, own, ("yarn.lock", version_1)], &expected("dev"));
    let berry = "__metadata:\n  version: 8\n\n\
                 \"a@npm:1.0.0\":\n  version: 1.0.0\n  resolution: \"a@npm:1.0.0\"\n\n\
                 \"a@npm:2.0.0, a@npm:~2.0.0\":\n  version: 2.0.0\n  resolution: \"a@npm:2.0.0\"\n\n\
                 \"a@npm:^2.1\":\n  version: 2.1.3\n  resolution: \"a@npm:2.1.3\"\n\n\
                 \"b@npm:latest\":\n  version: 3.0.0\n  resolution: \"b@npm:3.0.0\"\n\n\
                 \"tool@npm:b@~1.0\":\n  version: 1.0.7\n  resolution: \"b@npm:1.0.7\"\n";
    check(&[root, own, ("yarn.lock", berry)], &expected("dev"));
}

/// Fails if the members of a workspace get each other's versions.
#[test]
fn of_several_versions_each_member_gets_its_own() {
    let files = [
        ("package.json", r#"{"dependencies": {"a": "^2.1"}}"#),
        ("own/package.json", r#"{"devDependencies": {"a": "~1.0"}}"#),
    ];
    for (path, text, third) in [
        (
            "package-lock.json",
            r#"{"lockfileVersion": 3, "packages": {
                "": {"dependencies": {"a": "^2.1"}},
                "own": {"name": "own", "devDependencies": {"a": "~1.0"}},
                "node_modules/own": {"resolved": "own", "link": true},
                "node_modules/a": {"version": "2.1.3"},
                "own/node_modules/a": {"version": "1.0.0", "dev": true},
                "node_modules/b/node_modules/a": {"version": "3.0.0", "optional": true}}}"#,
            "optional",
        ),
        (
            "bun.lock",
            r#"{"lockfileVersion": 1, "workspaces": {
                "": {"dependencies": {"a": "^2.1"}},
                "own": {"name": "own", "devDependencies": {"a": "~1.0"}}},
                "packages": {
                "a": ["a@2.1.3", "", {}, ""], "own": ["own@workspace:own"],
                "own/a": ["a@1.0.0", "", {}, ""], "b/a": ["a@3.0.0", "", {}, ""]}}"#,
            "-",
        ),
        (
            "pnpm-lock.yaml",
            "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      \
             a: {specifier: ^2.1, version: 2.1.3}\n  own:\n    devDependencies:\n      \
             a: {specifier: ~1.0, version: 1.0.0}\npackages:\n  a@2.1.3: {}\n  a@1.0.0: {}\n  \
             a@3.0.0: {}\n",
            "-",
        ),
        (
            "pnpm-lock.yaml",
            "lockfileVersion: 5.4\nimporters:\n  .:\n    specifiers: {a: ^2.1}\n    \
             dependencies: {a: 2.1.3}\n  own:\n    specifiers: {a: ~1.0}\n    \
             devDependencies: {a: 1.0.0}\npackages:\n  /a/2.1.3: {}\n  /a/1.0.0: {dev: true}\n  \
             /a/3.0.0: {dev: true}\n",
            "dev",
        ),
    ] {
        let expected = format!(
            "a ^2.1 direct runtime package.json = pkg:npm/a@2.1.3\n\
             a ~1.0 direct dev own/package.json = pkg:npm/a@1.0.0\n\
             a 1.0.0 direct dev {path}\n\
             a 2.1.3 direct runtime {path}\n\
             a 3.0.0 transitive {third} {path}"
        );
        check(&[files[0], files[1], (path, text)], &expected);
    }
}

/// Fails if each version of a package of JSR or npm is the one that `deno.json` names.
#[test]
fn of_several_versions_in_a_deno_lock_the_specifier_decides() {
    check(
        &[
            ("deno.json", r#"{"imports": {"a": "jsr:@s/a@^2", "b": "npm:b@1.0.0"}}"#),
            (
                "deno.lock",
                r#"{"version": "5", "specifiers": {"jsr:@s/a@^2": "2.1.0", "jsr:@s/a@1": "1.0.0",
                    "npm:b@1.0.0": "1.0.0", "npm:b@^2": "2.0.0"},
                    "jsr": {"@s/a@1.0.0": {}, "@s/a@2.1.0": {}}, "npm": {"b@1.0.0": {}, "b@2.0.0": {}}}"#,
            ),
        ],
        "@s/a ^2 direct runtime deno.json = pkg:jsr/%40s/a@2.1.0\n\
         @s/a 1.0.0 - - deno.lock\n\
         @s/a 2.1.0 direct runtime deno.lock\n\
         b 1.0.0 direct runtime deno.json\n\
         b 1.0.0 direct runtime deno.lock\n\
         b 2.0.0 - - deno.lock",
    );
}

/// Fails if a crate gets the scope or the version of another member's requirement.
#[test]
fn of_several_versions_in_a_cargo_lock_the_member_decides() {
    let files = [
        ("Cargo.toml", "[workspace]\nmembers = ['*']\n[workspace.dependencies]\nrng = '0.7'\n"),
        ("dice/Cargo.toml", "[package]\nname = 'dice'\n[dependencies]\nrng = '0.7.1'\n"),
        (
            "cards/Cargo.toml",
            "[package]\nname = 'cards'\n[dev-dependencies]\nrng = '>=0.8'\n\
             [build-dependencies]\nnew = { package = 'rng', version = '1' }\n",
        ),
        (
            "Cargo.lock",
            "version = 4\n\
             [[package]]\nname = 'cards'\nversion = '0.1.0'\ndependencies = ['rng 0.9.0', 'rng 1.2.0']\n\
             [[package]]\nname = 'dice'\nversion = '0.1.0'\ndependencies = ['rng 0.7.3']\n\
             [[package]]\nname = 'rng'\nversion = '0.7.3'\nsource = 'registry+x'\n\
             [[package]]\nname = 'rng'\nversion = '0.9.0'\nsource = 'registry+x'\n\
             [[package]]\nname = 'rng'\nversion = '1.2.0'\nsource = 'registry+x'\n\
             [[package]]\nname = 'rng'\nversion = '0.5.0'\nsource = 'registry+x'\n",
        ),
    ];
    check(
        &files,
        "rng 0.7 direct - Cargo.toml = pkg:cargo/rng@0.7.3\n\
         rng 0.7.1 direct runtime dice/Cargo.toml = pkg:cargo/rng@0.7.3\n\
         rng 1 direct build cards/Cargo.toml = pkg:cargo/rng@1.2.0\n\
         rng >=0.8 direct dev cards/Cargo.toml\n\
         rng 0.5.0 transitive - Cargo.lock\n\
         rng 0.7.3 direct runtime Cargo.lock\n\
         rng 0.9.0 direct - Cargo.lock\n\
         rng 1.2.0 direct build Cargo.lock",
    );
}

/// Fails if a requirement keeps `catalog:` although a file of any tool defines it.
#[test]
fn catalogs_define_ranges_and_names() {
    let one = (
        "apps/one/package.json",
        r#"{"dependencies": {"kit": "catalog:", "tool": "catalog:", "own": "catalog:"},
            "devDependencies": {"check": "catalog: next ", "lost": "catalog:none"}}"#,
    );
    let expected = "@real/tool 1.0.0 direct runtime apps/one/package.json\n\
                    check ^2.1 direct dev apps/one/package.json\n\
                    kit ^18.3 direct runtime apps/one/package.json\n\
                    lost catalog:none direct dev apps/one/package.json";
    let yaml = "catalog:\n  kit: ^18.3\n  tool: npm:@real/tool@1.0.0\n  own: workspace:*\n\
                catalogs:\n  next: {check: ^2.1}\n";
    let json = r#""catalog": {"kit": "^18.3", "tool": "npm:@real/tool@1.0.0", "own": "workspace:*"},
                  "catalogs": {"next": {"check": "^2.1"}}"#;
    for (path, text) in [
        ("pnpm-workspace.yaml", format!("packages: ['apps/*']\n{yaml}")),
        (".yarnrc.yml", format!("nodeLinker: node-modules\n{yaml}")),
        ("package.json", format!("{{{json}}}")),
        ("package.json", format!(r#"{{"workspaces": {{"packages": ["apps/*"], {json}}}}}"#)),
        ("bun.lock", format!(r#"{{"lockfileVersion": 1, {json}}}"#)),
        (
            "pnpm-lock.yaml",
            "lockfileVersion: '9.0'\ncatalogs:\n  default:\n    \
             kit: {specifier: ^18.3, version: 18.3.1}\n    \
             tool: {specifier: 'npm:@real/tool@1.0.0'}\n    own: {specifier: 'workspace:*'}\n  \
             next:\n    check: {specifier: ^2.1}\n"
                .to_owned(),
        ),
    ] {
        check(&[one, (path, text.as_str())], expected);
        let (_, warnings) = joined([one, (path, text.as_str())].iter());
        let messages: Vec<_> = warnings.iter().map(|warning| warning.message.as_str()).collect();
        assert_eq!(messages, ["`lost` is not defined in the catalog `none`"], "{path}");
    }
}

/// Fails if the range of a catalog does not tell which of two versions of a package it gets.
#[test]
fn the_range_of_a_catalog_is_resolved_like_that_of_a_manifest() {
    let manifest =
        ("a/package.json", r#"{"dependencies": {"kit": "catalog:", "new": "npm:kit@^2"}}"#);
    for (path, text) in [
        (
            "pnpm-lock.yaml",
            "lockfileVersion: '9.0'\ncatalogs:\n  default:\n    kit: {specifier: ^1.2, version: 1.3.0}\n\
             importers:\n  a:\n    dependencies:\n      kit: {specifier: 'catalog:', version: 1.3.0}\n      \
             new: {specifier: npm:kit@^2, version: kit@2.1.0}\npackages:\n  kit@1.3.0: {}\n  kit@2.1.0: {}\n",
        ),
        (
            "bun.lock",
            r#"{"lockfileVersion": 1, "workspaces": {"": {}, "a": {"name": "a",
                "dependencies": {"kit": "catalog:", "new": "npm:kit@^2"}}},
                "catalog": {"kit": "^1.2"},
                "packages": {"kit": ["kit@1.3.0", "", {}, ""], "new": ["kit@2.1.0", "", {}, ""]}}"#,
        ),
    ] {
        let expected = format!(
            "kit ^1.2 direct runtime a/package.json = pkg:npm/kit@1.3.0\n\
             kit ^2 direct runtime a/package.json = pkg:npm/kit@2.1.0\n\
             kit 1.3.0 direct runtime {path}\n\
             kit 2.1.0 direct runtime {path}"
        );
        check(&[manifest, (path, text)], &expected);
    }
}

/// Fails if a package of a catalog is transitive because yarn.lock does not state the range of the catalog.
#[test]
fn packages_of_yarn_catalogs_are_direct() {
    let entry = |key: &str, version: &str| {
        format!("\"kit@npm:{key}\":\n  version: {version}\n  resolution: \"kit@npm:{version}\"\n\n")
    };
    let lock = format!(
        "__metadata:\n  version: 8\n\n{}{}\"till@workspace:.\":\n  version: 0.0.0-use.local\n  \
         resolution: \"till@workspace:.\"\n  dependencies:\n    kit: \"catalog:\"\n",
        entry("^1.2", "1.3.0"),
        entry("^2", "2.1.0"),
    );
    check(
        &[
            ("package.json", r#"{"name": "till", "dependencies": {"kit": "catalog:"}}"#),
            (".yarnrc.yml", "catalog:\n  kit: ^1.2\n"),
            ("yarn.lock", lock.as_str()),
        ],
        "kit ^1.2 direct runtime package.json = pkg:npm/kit@1.3.0\n\
         kit 1.3.0 direct runtime yarn.lock\n\
         kit 2.1.0 transitive - yarn.lock",
    );
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

/// A package that a manifest requires or a lock file lists.
fn package(file: &str, name: &str, source: Source) -> Package {
    let path = "Cargo.toml";
    let file_of = SourceFile::alone(path, b"[dependencies]\nx = '1'\n");
    let one = read_alone(parser_for(path).unwrap(), file_of).packages.remove(0);
    let purl = format!("pkg:cargo/{name}");
    Package { file: file.to_owned(), name: name.to_owned(), purl, source, ..one }
}

/// Paths of manifests 20 folders deep, each in a folder of its own.
fn deep(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{}m{number}/Cargo.toml", "deep/".repeat(20))).collect()
}

/// Runs a step on packages, with an unlimited budget and with none: the units spent, and both results.
fn with_and_without(
    step: fn(&mut Joining<'_>),
    packages: &[Package],
) -> (u64, Vec<Package>, Vec<Package>) {
    let run = |budget: &Budget| {
        let mut packages = packages.to_vec();
        let (warnings, projects, facts) = (Vec::new(), Vec::new(), Facts::default());
        let cache = None;
        step(&mut Joining { packages: &mut packages, warnings, projects, facts, budget, cache });
        packages
    };
    let unlimited = Budget::unlimited();
    let all = run(&unlimited);
    (unlimited.spent(), all, run(&Budget::limited_to(0)))
}

/// Fails if the search for the lock file of a workspace member is not charged.
#[test]
fn the_search_for_the_lock_of_a_member_is_charged() {
    let mut packages = vec![package("Cargo.lock", "x", Source::Lockfile)];
    packages[0].direct = None;
    packages.extend(deep(50).iter().map(|folder| package(folder, "x", Source::Manifest)));
    let (spent, all, none) = with_and_without(locks::complete, &packages);
    assert_eq!((all[0].direct, none[0].direct), (Some(true), None));
    // A folder of 100 bytes, and the 20 folders above it.
    assert!(spent > 50 * 1_000, "{spent}");
}

/// Fails if the search for inherited versions, or copying them, is not charged.
#[test]
fn what_members_inherit_is_charged() {
    let members = deep(50);
    let packages = |defined: &str| {
        let mut packages = vec![package("Cargo.toml", "x", Source::Manifest)];
        (packages[0].scope, packages[0].specifier) = (None, Some(defined.to_owned()));
        packages.extend(members.iter().map(|folder| {
            let inherits = Some("workspace = true".to_owned());
            Package { specifier: inherits, ..package(folder, "x", Source::Manifest) }
        }));
        packages
    };
    let inherited = |packages: &[Package], defined: &str| {
        let inherits = |package: &&Package| package.specifier.as_deref() == Some(defined);
        packages.iter().skip(1).filter(inherits).count()
    };
    let (spent, all, none) = with_and_without(inherit_versions, &packages("1"));
    assert_eq!((inherited(&all, "1"), inherited(&none, "1")), (50, 0));
    // The length of each folder above each member, twice.
    assert!(spent > 50 * 2_000, "{spent}");
    let long = "1".repeat(1_000);
    let (of_long, ..) = with_and_without(inherit_versions, &packages(&long));
    assert!(of_long > spent + 50 * 1_000, "copying was not charged: {of_long} and {spent}");

    // Many folders above that define packages, but not the required one: each lookup is charged.
    let mut wide: Vec<Package> = std::iter::successors(Some("deep/".repeat(20)), |folder| {
        folder.strip_suffix("deep/").map(str::to_owned)
    })
    .map(|folder| Package {
        scope: None,
        ..package(&format!("{folder}Cargo.toml"), "y", Source::Manifest)
    })
    .collect();
    wide.extend((0..50).map(|number| {
        let file = format!("{}Cargo.toml", "deep/".repeat(20));
        let inherits = Some("workspace = true".to_owned());
        Package { specifier: inherits, ..package(&file, &format!("x{number}"), Source::Manifest) }
    }));
    let (spent, ..) = with_and_without(inherit_versions, &wide);
    assert!(spent > 50 * 1_000, "{spent}");
}
