//! Which packages are projects of the repository, and which files belong to a project, in several ecosystems.

use super::check;

/// Fails if a member of a workspace is a package where another member requires it by name, or if a project
/// outside of the workspace is dropped.
#[test]
fn members_of_workspaces_of_other_ecosystems_are_not_packages() {
    check(
        &[
            ("pubspec.yaml", "name: _\nworkspace: [packages/a, packages/b]\n"),
            (
                "packages/a/pubspec.yaml",
                "name: a\nresolution: workspace\ndependencies: {b: ^1.0.0, c: ^1.0.0}\n",
            ),
            ("packages/b/pubspec.yaml", "name: b\nresolution: workspace\n"),
            ("c/pubspec.yaml", "name: c\ndependencies: {a: ^1.0.0}\n"),
        ],
        "a ^1.0.0 direct runtime c/pubspec.yaml\n\
             c ^1.0.0 direct runtime packages/a/pubspec.yaml",
    );
    check(
        &[
            ("app/pubspec.yaml", "name: app\ndependencies: {a: ^1.0.0, b: ^1.0.0}\n"),
            ("app/pubspec_overrides.yaml", "dependency_overrides: {a: {path: ../a}}\n"),
            ("a/pubspec.yaml", "name: a\n"),
            ("b/pubspec.yaml", "name: b\n"),
        ],
        "b ^1.0.0 direct runtime app/pubspec.yaml",
    );
    check(
        &[
            ("cabal.project", "packages: core/core.cabal\n  ./apps/*/*.cabal\n"),
            ("core/core.cabal", "name: core\nlibrary\n  build-depends: base, web\n"),
            ("apps/web/web.cabal", "name: web\nlibrary\n  build-depends: core ==1.0\n"),
            ("old/old.cabal", "name: old\nlibrary\n  build-depends: core\n"),
        ],
        "base - direct runtime core/core.cabal\n\
             core - direct runtime old/old.cabal",
    );
    check(
        &[
            ("stack.yaml", "packages: [., lib]\n"),
            ("app.cabal", "name: app\nlibrary\n  build-depends: lib, text\n"),
            ("lib/lib.cabal", "name: lib\n"),
        ],
        "text - direct runtime app.cabal",
    );
    check(
        &[
            ("go.work", "go 1.22\nuse (\n\t./a\n\t./b\n)\n"),
            (
                "a/go.mod",
                "module h.example/a\ngo 1.22\nrequire (\nh.example/b v1.0.0\nh.example/c v1.0.0\n)\n",
            ),
            ("b/go.mod", "module h.example/b\ngo 1.22\n"),
            ("c/go.mod", "module h.example/c\ngo 1.22\nrequire h.example/a v1.0.0\n"),
        ],
        "h.example/a v1.0.0 direct - c/go.mod\n\
             h.example/c v1.0.0 direct - a/go.mod",
    );
    check(
        &[
            (
                "pyproject.toml",
                "[tool.uv.workspace]\nmembers = [\"libs/*\"]\nexclude = [\"libs/old\"]\n",
            ),
            (
                "libs/a/pyproject.toml",
                "[project]\nname = \"a\"\ndependencies = [\"B_x>=1\", \"old\"]\n",
            ),
            ("libs/b/pyproject.toml", "[project]\nname = \"b.x\"\n"),
            ("libs/old/pyproject.toml", "[project]\nname = \"old\"\n"),
        ],
        "old - direct runtime libs/a/pyproject.toml",
    );
    let uuid = "1b9f0f0e-6a0c-4c7e-9a39-000000000001";
    check(
        &[
            ("Project.toml", &format!("name = \"Own\"\nuuid = \"{uuid}\"\n")),
            ("docs/Project.toml", &format!("[deps]\nOwn = \"{uuid}\"\n")),
            ("other/Project.toml", &format!("[deps]\nOwn = \"{uuid}\"\n")),
        ],
        "Own - direct runtime other/Project.toml",
    );
    check(
        &[
            ("Project.toml", &format!("[deps]\nOwn = \"{uuid}\"\n")),
            ("Manifest.toml", &format!("[[Own]]\npath = \"dev/Own\"\nuuid = \"{uuid}\"\n")),
            ("dev/Own/Project.toml", &format!("name = \"Own\"\nuuid = \"{uuid}\"\n")),
        ],
        "",
    );
}

/// Fails if the metadata of a script completes the lock file of a project in the same folder.
#[test]
fn the_lock_of_a_script_belongs_to_the_script() {
    let lock = "version = 1\n[[package]]\nname = \"x\"\nversion = \"1.0\"\n";
    check(
        &[
            ("tools/run.py", "# /// script\n# dependencies = [\"x>=1\"]\n# ///\n"),
            ("tools/run.py.lock", lock),
            ("tools/other.py.lock", lock),
            ("tools/Pipfile.lock", r#"{"default": {"x": {"version": "==1.0"}}}"#),
        ],
        "x >=1 direct runtime tools/run.py\n\
             x 1.0 - runtime tools/Pipfile.lock\n\
             x 1.0 - - tools/other.py.lock\n\
             x 1.0 direct runtime tools/run.py.lock",
    );
}

/// Fails if what dep has copied into a vendor folder counts as a project.
#[test]
fn a_vendor_folder_of_dep_is_not_a_project() {
    check(
        &[
            ("Gopkg.lock", "[[projects]]\nname = \"a.b/c\"\nversion = \"v1.0.0\"\n"),
            ("Gopkg.toml", "[[constraint]]\nname = \"a.b/c\"\nversion = \"1.0.0\"\n"),
            ("vendor/a.b/c/Gopkg.toml", "[[constraint]]\nname = \"d.e/f\"\n"),
        ],
        "a.b/c 1.0.0 direct - Gopkg.toml\n\
             a.b/c v1.0.0 direct - Gopkg.lock",
    );
}
