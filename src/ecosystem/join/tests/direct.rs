//! Which packages of lock files are direct, and which of several versions a requirement gets.

use super::{check, joined};

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

/// Fails if a project of a subspace of Rush finds the lock file or the catalogs of another one.
#[test]
fn the_lock_and_the_catalogs_of_a_subspace_are_those_of_its_projects() {
    let lock = |importer: &str, version: &str| {
        format!(
            "lockfileVersion: '9.0'\nimporters:\n  .: {{}}\n  ../../../{importer}:\n    dependencies:\n      \
             kit: {{specifier: 'catalog:', version: {version}}}\npackages:\n  kit@{version}: {{}}\n"
        )
    };
    check(
        &[
            (
                "rush.json",
                r#"{"projects": [{"projectFolder": "apps/one"}, {"projectFolder": "apps/two", "subspaceName": "two"}]}"#,
            ),
            ("apps/one/package.json", r#"{"dependencies": {"kit": "catalog:"}}"#),
            ("apps/two/package.json", r#"{"dependencies": {"kit": "catalog:"}}"#),
            (
                "common/config/subspaces/default/pnpm-config.json",
                r#"{"globalCatalogs": {"default": {"kit": "^1"}}}"#,
            ),
            (
                "common/config/rush/pnpm-config.json",
                r#"{"globalCatalogs": {"default": {"kit": "^2"}}}"#,
            ),
            ("common/config/subspaces/default/pnpm-lock.yaml", &lock("apps/one", "1.3.0")),
            ("common/config/subspaces/two/pnpm-lock.yaml", &lock("apps/two", "2.1.0")),
        ],
        "kit ^1 direct runtime apps/one/package.json\n\
         kit ^2 direct runtime apps/two/package.json\n\
         kit 1.3.0 direct runtime common/config/subspaces/default/pnpm-lock.yaml\n\
         kit 2.1.0 direct runtime common/config/subspaces/two/pnpm-lock.yaml",
    );
}

/// Fails if the projects of a repository of Rush do not find their lock file, which is apart from them.
#[test]
fn the_lock_of_rush_is_that_of_its_projects() {
    check(
        &[
            (
                "web/apps/one/package.json",
                r#"{"dependencies": {"kit": "^1", "own": "workspace:*"}}"#,
            ),
            ("web/apps/two/package.json", r#"{"devDependencies": {"kit": "^2"}}"#),
            ("other/package.json", r#"{"dependencies": {"kit": "^2"}}"#),
            (
                "web/common/config/rush/pnpm-lock.yaml",
                "lockfileVersion: '9.0'\nimporters:\n  .: {}\n  ../../apps/one:\n    dependencies:\n      \
                 kit: {specifier: ^1, version: 1.3.0}\n  ../../apps/two:\n    devDependencies:\n      \
                 kit: {specifier: ^2, version: 2.1.0}\npackages:\n  kit@1.3.0: {}\n  kit@2.1.0: {}\n",
            ),
        ],
        "kit ^1 direct runtime web/apps/one/package.json = pkg:npm/kit@1.3.0\n\
         kit ^2 direct runtime other/package.json\n\
         kit ^2 direct dev web/apps/two/package.json = pkg:npm/kit@2.1.0\n\
         kit 1.3.0 direct runtime web/common/config/rush/pnpm-lock.yaml\n\
         kit 2.1.0 direct dev web/common/config/rush/pnpm-lock.yaml",
    );
}
