//! Git work trees on this machine: which files are read, what the result says about them, and that nothing
//! of their configuration is run.

use crate::support::{files, forge::program, namespace::run_command, python::succeed};
use serde_json::{Value, json};
use std::{
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A work tree in a test's own folder.
struct Project {
    home: TempDir,
}

impl Project {
    /// An empty one.
    fn new() -> Self {
        let project = Self { home: TempDir::new().unwrap() };
        run_command(
            program("git").args(["init", "--quiet", "--initial-branch=main"]).arg(project.path()),
        );
        project.git(&["config", "user.email", "a@example.com"]);
        project.git(&["config", "user.name", "A"]);
        project
    }

    fn path(&self) -> PathBuf {
        self.home.path().join("project")
    }

    fn git(&self, arguments: &[&str]) -> String {
        let out = run_command(program("git").arg("-C").arg(self.path()).args(arguments));
        out.trim().to_owned()
    }

    fn put(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        files::write(&path, text);
    }

    /// A manifest with a package of this name.
    fn manifest(&self, path: &str, package: &str) {
        self.put(path, format!(r#"{{"dependencies": {{"{package}": "1.0.0"}}}}"#));
    }

    /// Commits these paths, ignored or not.
    fn commit(&self, paths: &[&str]) -> String {
        self.git(&[&["add", "--force", "--"], paths].concat());
        self.git(&["commit", "--quiet", "--message", "x"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn scan(&self, of: &str, arguments: &[&str]) -> Value {
        let mut scan = self.scanner();
        scan.args(["scan", of, "--format", "json"]).args(arguments);
        serde_json::from_slice(&succeed(&mut scan).stdout).unwrap()
    }

    fn scanner(&self) -> Command {
        let mut scanner = program(env!("CARGO_BIN_EXE_scanwatch"));
        scanner.env("TMPDIR", self.home.path()).current_dir(self.home.path());
        scanner
    }
}

fn names(result: &Value) -> Vec<&str> {
    let packages = result["packages"].as_array().unwrap();
    packages.iter().map(|package| package["name"].as_str().unwrap()).collect()
}

fn skipped(result: &Value) -> u64 {
    result["files"]["skipped"].as_u64().unwrap()
}

/// Breaks if an ignored file is read, a tracked or an untracked one is not, or if the result does not say
/// which commit was read and whether something differed.
#[test]
fn tracked_and_untracked_files_are_read_and_ignored_ones_are_counted() {
    let project = Project::new();
    project.put(".gitignore", "ignored/\n*.local/\n/tracked\n");
    project.manifest("package.json", "a");
    project.manifest("tracked/package.json", "b");
    project.manifest("node_modules/c/package.json", "c");
    let commit =
        project.commit(&[".gitignore", "package.json", "tracked", "node_modules/c/package.json"]);
    let clean = project.scan("project", &[]);
    assert_eq!(names(&clean), ["a", "b", "c"], "ignored or not, they are tracked");
    assert_eq!((&clean["commit"], &clean["dirty"]), (&json!(commit), &Value::Null));
    assert_eq!(skipped(&clean), 0);

    // Ignored files do not differ from the commit.
    project.manifest("ignored/one/package.json", "d");
    project.manifest("ignored/package.json", "e");
    project.put("ignored/readme.md", "");
    project.put(".git/info/exclude", "/excluded\n");
    project.manifest("excluded/package.json", "f");
    let ignored = project.scan("project", &[]);
    assert_eq!(names(&ignored), ["a", "b", "c"]);
    assert_eq!(skipped(&ignored), 3, "the readme would not have been read");
    assert!(ignored["dirty"].is_null() && ignored["warnings"] == json!([]), "{ignored:#}");
    let everything = project.scan("project", &["--no-ignore"]);
    assert_eq!(names(&everything), ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(skipped(&everything), 0);

    // A new file does, unless a tool created it.
    project.manifest("node_modules/g/package.json", "g");
    let generated = project.scan("project", &[]);
    assert_eq!(names(&generated), ["a", "b", "c"]);
    assert!(generated["dirty"].is_null() && skipped(&generated) == 3, "{generated:#}");
    project.manifest("new/package.json", "h");
    let untracked = project.scan("project", &[]);
    assert_eq!(names(&untracked), ["a", "b", "c", "h"]);
    assert_eq!((&untracked["commit"], &untracked["dirty"]), (&json!(commit), &json!(true)));
    std::fs::rename(project.path().join("new"), project.home.path().join("gone")).unwrap();

    // So does a changed or a deleted one.
    project.manifest("package.json", "z");
    let changed = project.scan("project", &[]);
    assert_eq!((names(&changed), &changed["dirty"]), (vec!["b", "c", "z"], &json!(true)));
    project.git(&["checkout", "--quiet", "package.json"]);
    std::fs::remove_file(project.path().join("tracked/package.json")).unwrap();
    let deleted = project.scan("project", &[]);
    assert_eq!((names(&deleted), &deleted["dirty"]), (vec!["a", "c"], &json!(true)));

    let bom = succeed(project.scanner().args(["scan", "project", "--format", "cyclonedx"])).stdout;
    let bom: Value = serde_json::from_slice(&bom).unwrap();
    let dirty = json!([{ "name": "scanwatch:dirty", "value": "true" }]);
    assert_eq!(bom["metadata"]["component"]["properties"], dirty, "{bom:#}");
}

/// Breaks if a folder and a bare repository of the same commit have different packages.
#[test]
fn a_folder_and_a_bare_repository_of_one_commit_have_the_same_packages() {
    let project = Project::new();
    project.put(".gitignore", "vendor/\n");
    for (path, package) in [
        ("package.json", "a"),
        ("vendor/x/package.json", "b"),
        ("target/package.json", "c"),
        (".venv/package.json", "d"),
        ("größe/package.json", "e"),
    ] {
        project.manifest(path, package);
    }
    project.put("target/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55");
    std::fs::create_dir(project.path().join("links")).unwrap();
    symlink("../package.json", project.path().join("links/package.json")).unwrap();
    let module = "0123456789012345678901234567890123456789";
    project.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{module},module")]);
    project.commit(&["."]);
    let bare = project.home.path().join("project.git");
    run_command(program("git").args(["clone", "--quiet", "--bare"]).arg(project.path()).arg(&bare));
    let by_commit = project.scan("project.git", &[]);
    let by_folder = project.scan("project", &[]);
    assert_eq!(names(&by_commit), ["a", "b", "c", "d", "e"]);
    for member in ["packages", "commit", "files", "warnings", "infrastructure_usage", "dirty"] {
        assert_eq!(by_folder[member], by_commit[member], "{member}");
    }
    // Also in a further work tree, whose repository is elsewhere.
    let second = project.home.path().join("second");
    project.git(&["worktree", "add", "--quiet", "--detach", second.to_str().unwrap()]);
    let by_second = project.scan("second", &[]);
    for member in ["packages", "commit", "files", "dirty"] {
        assert_eq!(by_second[member], by_commit[member], "{member}");
    }
    // What a sparse checkout leaves out is counted, not forgotten.
    project.git(&["sparse-checkout", "set", "--no-cone", "/*", "!/vendor/"]);
    let sparse = project.scan("project", &[]);
    assert_eq!(names(&sparse), ["a", "c", "d", "e"]);
    assert_eq!(skipped(&sparse), skipped(&by_commit) + 1);
    assert!(sparse["dirty"].is_null(), "{sparse:#}");
}

/// Breaks if anything that the configuration of a work tree names is run.
#[test]
fn nothing_that_the_configuration_of_a_work_tree_names_is_run() {
    let project = Project::new();
    project.manifest("package.json", "a");
    project.put("filtered.json", "{}");
    project.put(".gitattributes", "*.json filter=trap diff=trap\n");
    project.commit(&["."]);
    let traps = project.home.path().join("traps");
    std::fs::create_dir(&traps).unwrap();
    let trap = |name: &str| {
        let program = project.home.path().join(format!("{name}.sh"));
        files::write(&program, format!("#!/bin/sh\ntouch '{}/{name}'\n", traps.display()));
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        program.display().to_string()
    };
    for setting in [
        "core.fsmonitor",
        "filter.trap.clean",
        "filter.trap.smudge",
        "filter.trap.process",
        "diff.trap.command",
        "diff.trap.textconv",
        "diff.external",
        "core.sshCommand",
        "core.askPass",
        "core.pager",
        "core.editor",
        "credential.helper",
        "uploadpack.packObjectsHook",
        "gpg.program",
    ] {
        let program = trap(setting);
        project.git(&["config", setting, &program]);
    }
    project.git(&["config", "filter.trap.required", "true"]);
    let hooks = project.home.path().join("hooks");
    std::fs::create_dir(&hooks).unwrap();
    for hook in ["post-index-change", "post-checkout", "pre-commit", "fsmonitor-watchman"] {
        let program = trap(hook);
        std::fs::copy(&program, hooks.join(hook)).unwrap();
        std::fs::copy(&program, project.path().join(".git/hooks").join(hook)).unwrap();
    }
    project.git(&["config", "core.hooksPath", hooks.to_str().unwrap()]);
    // So that git has to compare the contents.
    project.put("filtered.json", "{ }");
    let sprung = || -> Vec<String> {
        let entries = std::fs::read_dir(&traps).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    for arguments in [&[][..], &["--no-ignore"], &["--set", "scanner.sandbox=off"]] {
        let result = project.scan("project", arguments);
        assert_eq!((names(&result), &result["dirty"]), (vec!["a"], &json!(true)), "{result:#}");
        assert_eq!(sprung(), [""; 0], "{arguments:?}");
    }
    // The traps do work: git itself runs into them.
    let git = program("git").arg("-C").arg(project.path()).args(["status", "--short"]).output();
    assert!(sprung().len() >= 2, "{:?}: {git:?}", sprung());
}

/// Breaks if a folder within a work tree is read by other rules than the whole, or if what is not a
/// repository is taken for one.
#[test]
fn a_folder_within_a_work_tree_is_read_by_the_same_rules() {
    let project = Project::new();
    project.put(".gitignore", "build/\n");
    project.manifest("package.json", "a");
    project.manifest("web/package.json", "b");
    let commit = project.commit(&["."]);
    project.manifest("web/build/package.json", "c");
    project.manifest("new/package.json", "d");
    let part = project.scan("project/web", &[]);
    assert_eq!(names(&part), ["b"]);
    assert_eq!(part["packages"][0]["file"], "package.json");
    assert_eq!((&part["commit"], &part["dirty"]), (&json!(commit), &Value::Null), "{part:#}");
    assert_eq!(skipped(&part), 1);
    // A folder that git does not know at all was typed for a reason.
    let ignored = project.scan("project/web/build", &[]);
    assert_eq!((names(&ignored), &ignored["commit"]), (vec!["c"], &Value::Null), "{ignored:#}");
    // A repository of its own within the work tree, and a work tree without a commit.
    run_command(program("git").args(["init", "--quiet"]).arg(project.path().join("new")));
    assert_eq!(names(&project.scan("project", &[])), ["a", "b", "d"]);
    let nested = project.scan("project/new", &[]);
    assert_eq!((names(&nested), &nested["commit"]), (vec!["d"], &Value::Null), "{nested:#}");
    assert!(nested["dirty"].is_null());
}

/// Breaks if a damaged repository hides the files of its work tree.
#[test]
fn a_work_tree_that_git_cannot_read_is_a_plain_folder() {
    let project = Project::new();
    project.put(".gitignore", "ignored/\n");
    project.manifest("package.json", "a");
    project.commit(&["."]);
    project.manifest("ignored/package.json", "b");
    project.put(".git/index", "not an index");
    let result = project.scan("project", &[]);
    assert_eq!((names(&result), &result["commit"]), (vec!["a", "b"], &Value::Null), "{result:#}");
    let warning = result["warnings"][0]["message"].as_str().unwrap();
    assert!(
        warning.contains("ignored files are read too") && warning.contains("index"),
        "{warning}"
    );
}

/// Breaks if a link in the place of a tracked folder leads out of the work tree.
#[test]
fn no_link_in_a_work_tree_is_followed() {
    let project = Project::new();
    project.manifest("package.json", "a");
    project.manifest("web/package.json", "b");
    project.commit(&["."]);
    let outside = project.home.path().join("outside");
    std::fs::rename(project.path().join("web"), &outside).unwrap();
    symlink(&outside, project.path().join("web")).unwrap();
    for more in [&[][..], &["--set", "scanner.sandbox=off"]] {
        let result = project.scan("project", more);
        assert_eq!((names(&result), &result["dirty"]), (vec!["a"], &json!(true)), "{result:#}");
    }
}

/// Breaks if a repository of another user decides which files are read.
#[test]
fn a_repository_of_another_user_above_a_folder_is_ignored() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let project = Project::new();
    project.put(".gitignore", "*\n");
    project.manifest("web/package.json", "b");
    project.put("web/tracked.txt", "");
    project.commit(&["web/tracked.txt"]);
    let chown = |path: &Path| {
        run_command(program("chown").arg("-R").arg("1234").arg(path));
    };
    chown(&project.path().join(".git"));
    let result = project.scan("project/web", &[]);
    assert_eq!((names(&result), &result["commit"]), (vec!["b"], &Value::Null), "{result:#}");
}
