//! Local folders and repositories.

use super::{Place, completes, fails};
use crate::support::forge::{Entry, Repository, program};
use scanwatch::model::task::ScanTask;
use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    path::Path,
};

fn task(place: &Place, path: &Path) -> ScanTask {
    let mut task = place.task(path.to_str().unwrap());
    task.network.local_paths = true;
    task
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::create(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn a_folder_is_read_as_it_lies_on_disk() {
    let place = Place::new();
    let folder = place.file("project");
    for name in [
        ".git",
        "node_modules",
        ".venv",
        "venv",
        "__pycache__",
        ".tox",
        "a/node_modules/b",
        "target",
    ] {
        put(&folder.join(name).join("requirements.txt"), b"left-out==1\n");
    }
    put(&folder.join("target/CACHEDIR.TAG"), b"Signature: 8a477f597d28d172789f06886806bc55");
    put(&folder.join("requirements.txt"), b"a==1\n");
    put(&folder.join(".gitignore"), b"ignored\n");
    put(&folder.join("ignored/requirements.txt"), b"b==1\n");
    put(&folder.join("src/target/requirements.txt"), b"c==1\n");
    put(&folder.join(".github/workflows/test.yml"), b"");
    put(&place.file("outside/requirements.txt"), b"outside==1\n");
    symlink(place.file("outside"), folder.join("linked")).unwrap();
    fs::create_dir(folder.join("l")).unwrap();
    symlink(place.file("outside/requirements.txt"), folder.join("l/requirements.txt")).unwrap();
    symlink(&folder, folder.join("loop")).unwrap();
    fs::create_dir(folder.join("p")).unwrap();
    let pipe = folder.join("p/requirements.txt");
    assert!(program("mkfifo").arg(&pipe).status().unwrap().success());

    completes(&task(&place, &folder));
    assert_eq!(
        place.packages(),
        [
            "a 1 @ requirements.txt",
            "b 1 @ ignored/requirements.txt",
            "c 1 @ src/target/requirements.txt"
        ]
    );
    assert_eq!(
        place.warnings(),
        [
            "l/requirements.txt: skipped: a symbolic link, which is not followed",
            "p/requirements.txt: skipped: neither a file nor a folder",
        ]
    );
    assert_eq!(place.result()["infrastructure_usage"]["github_actions"], true);
    assert!(place.result()["commit"].is_null());
    assert_eq!(place.status()["stage_index"], 5);
}

#[test]
fn the_limits_hold_for_folders_too() {
    let place = Place::new();
    let folder = place.file("project");
    put(&folder.join("a/b/c/requirements.txt"), b"a==1\n");
    for (change, detail) in [
        (
            (|task| task.limits.max_tree_entries = 3) as fn(&mut ScanTask),
            "too many files: more than 3",
        ),
        (|task| task.limits.max_tree_depth = 2, "folders are nested too deeply: more than 2"),
    ] {
        let mut task = task(&place, &folder);
        change(&mut task);
        fails(&place, &task, "limit", detail);
    }
}

#[test]
fn a_bare_repository_is_read_in_place() {
    let place = Place::new();
    let repository = Repository::create(place.file("project.git"), "sha1");
    completes(&task(&place, repository.path()));
    assert_eq!(place.warnings(), [": the repository is empty: it has no commit"]);

    let old = repository.commit("main", &[Entry::File(b"requirements.txt", b"a==1\n")]);
    repository.commit("main", &[Entry::File(b"requirements.txt", b"a==2\n")]);
    // Hooks and settings of a foreign repository must not run anything.
    let canary = place.file("canary");
    let touch = format!("touch {}", canary.display());
    for setting in ["core.fsmonitor", "core.sshCommand", "core.askPass", "credential.helper"] {
        repository.git(&["config", setting, &touch], b"");
    }
    let listing = || {
        let walk = walkdir::WalkDir::new(repository.path()).sort_by_file_name();
        walk.into_iter()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.path().to_owned(), entry.metadata().unwrap().modified().unwrap()))
            .collect::<Vec<_>>()
    };
    let before = listing();
    for (reference, version) in [(None, "2"), (Some(old.as_str()), "1"), (Some("main"), "2")] {
        let mut task = task(&place, repository.path());
        task.reference = reference.map(str::to_owned);
        completes(&task);
        assert_eq!(place.packages(), [format!("a {version} @ requirements.txt")]);
    }
    assert_eq!(place.result()["commit"], repository.git(&["rev-parse", "main"], b""));
    assert_eq!(listing(), before);
    assert!(!canary.exists());
}

#[test]
fn other_paths_are_refused_with_a_reason() {
    let place = Place::new();
    let folder = place.file("project");
    put(&folder.join("requirements.txt"), b"a==1\n");
    fails(&place, &task(&place, &place.file("missing")), "clone", "No such file or directory");
    fails(&place, &task(&place, &folder.join("requirements.txt")), "clone", "is not a folder");
    let mut at_branch = task(&place, &folder);
    at_branch.reference = Some("main".to_owned());
    fails(&place, &at_branch, "clone", "is a plain folder");

    let repository = Repository::create(place.file("project.git"), "sha1");
    repository.commit("main", &[Entry::File(b"a", b"")]);
    let bundle = place.file("project.bundle");
    repository.git(&["bundle", "create", "--quiet", bundle.to_str().unwrap(), "main"], b"");
    fails(&place, &task(&place, &bundle), "clone", "is not a folder");
    let mut lost = task(&place, repository.path());
    lost.reference = Some("nope".to_owned());
    fails(&place, &lost, "clone", "`nope` does not refer to a commit");
}
