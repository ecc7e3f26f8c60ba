//! Repositories that are hostile, or merely odd.

use super::{Place, completes, fails, scan};
use crate::support::forge::{Entry, Forge, Leaf};
use scanwatch::worker::ScanEnd;
use std::fs;

#[test]
fn links_and_submodules_are_not_followed() {
    let (forge, trap) = (Forge::start(), Forge::start());
    let place = Place::new();
    let secret = place.file("secret");
    fs::copy("/etc/hostname", &secret).unwrap();
    let modules = format!("[submodule \"s\"]\n\tpath = s\n\turl = {}\n", trap.url("s"));
    let repository = forge.add_empty_repository("project");
    repository.commit(
        "main",
        &[
            Entry::File(b".gitmodules", modules.as_bytes()),
            Entry::Link(b"requirements.txt", secret.to_str().unwrap()),
            Entry::Link(b"up/requirements.txt", "../../../../../etc/passwd"),
            Entry::Link(b"self/requirements.txt", "/proc/self/environ"),
            Entry::Link(b"folder", "/etc"),
            Entry::Submodule(b"s"),
            Entry::File(b"b/requirements.txt", b"a==1\n"),
        ],
    );
    completes(&place.task_at(&forge, "project"));
    assert_eq!(place.packages(), ["a 1 @ b/requirements.txt"]);
    assert_eq!(
        place.warnings(),
        [
            "requirements.txt: skipped: a symbolic link, which is not followed",
            "s: skipped: a submodule, which is not fetched",
            "self/requirements.txt: skipped: a symbolic link, which is not followed",
            "up/requirements.txt: skipped: a symbolic link, which is not followed",
        ]
    );
    let files = serde_json::json!({"seen": 7, "parsed": 1, "failed": 0, "skipped": 4});
    assert_eq!(place.result()["files"], files);
    assert_eq!(trap.contacts(), 0);
}

#[test]
fn names_of_all_bytes_are_read_and_shown() {
    let forge = Forge::start();
    let repository = forge.add_empty_repository("project");
    let names: Vec<Vec<u8>> = (1..=255_u8)
        .filter(|byte| *byte != b'/' && *byte != b'.')
        .map(|byte| [&[byte], b"/requirements.txt".as_slice()].concat())
        .collect();
    let mut entries: Vec<Entry<'_>> =
        names.iter().map(|name| Entry::File(name, b"a==1\n")).collect();
    entries.push(Entry::File("x\u{202e}\n\x1b[31m/requirements.txt".as_bytes(), b"b==1\n"));
    repository.commit("main", &entries);
    let place = Place::new();
    let task = place.task_at(&forge, "project");
    completes(&task);
    assert_eq!(place.result()["files"]["parsed"], entries.len());
    let shown = place.packages();
    assert!(shown.contains(&"b 1 @ x\\u{202e}\\n\\u{1b}[31m/requirements.txt".to_owned()));
    for file in [&task.status_file, &task.result_file] {
        let text = fs::read_to_string(file).unwrap();
        assert!(
            text.chars().all(|character| character == '\n' || !character.is_control()),
            "{}",
            file.display()
        );
    }
}

#[test]
fn too_large_a_file_is_skipped_with_a_warning() {
    let forge = Forge::start();
    let large = vec![b'\n'; 2001];
    forge.add_repository(
        "project",
        &[("big/requirements.txt", &large), ("requirements.txt", b"a==1\n"), ("other", &large)],
    );
    let place = Place::new();
    let mut task = place.task_at(&forge, "project");
    task.limits.max_file_bytes = 2000;
    completes(&task);
    assert_eq!(place.packages(), ["a 1 @ requirements.txt"]);
    assert_eq!(
        place.warnings(),
        [
            "big/requirements.txt: skipped: too large: 2001 bytes are more than 2000 ([limits] max_file_bytes)"
        ]
    );
    let files = serde_json::json!({"seen": 3, "parsed": 1, "failed": 0, "skipped": 1});
    assert_eq!(place.result()["files"], files);
}

#[test]
fn limits_end_a_scan_with_a_reason() {
    let forge = Forge::start();
    let repository = forge.add_empty_repository("project");
    let deep = [b"d/".repeat(30).as_slice(), b"requirements.txt"].concat();
    let lines: Vec<String> = (0..30).map(|number| format!("p{number}==1")).collect();
    let lines = lines.join("\n");
    let others: Vec<String> = (0..30).map(|number| format!("f{number}")).collect();
    let mut entries: Vec<Entry<'_>> =
        others.iter().map(|other| Entry::File(other.as_bytes(), b"")).collect();
    entries.push(Entry::File(&deep, lines.as_bytes()));
    repository.commit("main", &entries);

    let place = Place::new();
    let task = place.task_at(&forge, "project");
    let with = |change: fn(&mut scanwatch::model::task::Limits), detail: &str| {
        let mut task = task.clone();
        change(&mut task.limits);
        fails(&place, &task, "limit", detail);
        // Each attempt has a scratch folder of its own.
        fs::rename(&task.work_dir, place.file(&detail.replace(' ', "-"))).unwrap();
        fs::create_dir(&task.work_dir).unwrap();
    };
    with(|limits| limits.max_tree_entries = 30, "too many files: more than 30");
    with(|limits| limits.max_tree_depth = 29, "folders are nested too deeply: more than 29");
    with(|limits| limits.max_path_bytes = 75, "a path is too long: more than 75 bytes");
    with(|limits| limits.max_packages = 29, "too many packages: more than 29");
    with(|limits| limits.max_packages = 10, "too many packages: more than 10");
    with(|limits| limits.max_result_bytes = 2000, "the result is too large: more than 2000 bytes");
    with(|limits| limits.max_fetch_bytes = 100, "too large: its fetch exceeds 100 bytes");
    let mut exact = task.clone();
    exact.limits.max_tree_entries = 31;
    exact.limits.max_tree_depth = 30;
    exact.limits.max_path_bytes = 76;
    exact.limits.max_packages = 30;
    completes(&exact);
}

#[test]
fn a_bomb_of_ten_thousand_million_files_ends_at_the_limit() {
    let forge = Forge::start();
    forge.add_empty_repository("project").commit_bomb(10, Leaf::File);
    let place = Place::new();
    fails(&place, &place.task_at(&forge, "project"), "limit", "too many files: more than 10000");
}

#[test]
fn a_bomb_that_lists_nothing_ends_in_time() {
    let forge = Forge::start();
    forge.add_empty_repository("project").commit_bomb(10, Leaf::EmptyFolder);
    let place = Place::new();
    let mut task = place.task_at(&forge, "project");
    task.limits.list_timeout_secs = 1;
    fails(&place, &task, "limit", "too many files: listing them takes more than 1 seconds");
}

#[test]
fn a_parser_panic_costs_only_its_file() {
    let forge = Forge::start();
    forge.add_repository(
        "project",
        &[("a/requirements.txt", b"x==1\npanic\n"), ("b/requirements.txt", b"y==1\n")],
    );
    let place = Place::new();
    assert!(matches!(scan(&place.task_at(&forge, "project")), ScanEnd::Completed));
    assert_eq!(place.packages(), ["y 1 @ b/requirements.txt"]);
    let warnings = place.warnings();
    assert!(
        warnings[0].starts_with("a/requirements.txt: the parser lines panicked: told to panic"),
        "{warnings:?}"
    );
    let files = serde_json::json!({"seen": 2, "parsed": 1, "failed": 1, "skipped": 0});
    assert_eq!(place.result()["files"], files);
    let error = &place.status()["errors"][0];
    assert!(error["message"].as_str().unwrap().contains("told to panic"), "{error:#}");
    assert_eq!(error["exception"], "panic");
    assert!(error["traceback"].as_str().unwrap().contains("worker"), "{error:#}");
}
