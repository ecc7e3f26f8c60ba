//! Successful fetches.

use super::{CANARY, Place, canary, completes};
use crate::support::{
    dice::Dice,
    forge::{Behaviour, Entry, Forge, Repository},
    patience::eventually,
};
use scanwatch::model::{repository::RepositoryStatus, task::Category};
use std::{fs, thread};

#[test]
fn a_repository_is_fetched_scanned_and_reported() {
    let forge = Forge::start();
    let repository = forge.add_repository(
        "project",
        &[
            ("requirements.txt", b"flask==3.0.0\nwhat is this\n"),
            ("api/requirements.txt", b"attrs==23.1.0\n"),
            ("api/Dockerfile", b"FROM scratch\n"),
            ("README.md", b"# Hello\n"),
        ],
    );
    let place = Place::new();
    let mut task = place.task_at(&forge, "project");
    let web = Category { dependencies: vec!["Flask".to_owned()], ..Category::default() };
    task.categories.insert("Web frameworks".to_owned(), web);
    completes(&task);

    assert_eq!(
        place.packages(),
        ["attrs 23.1.0 @ api/requirements.txt", "flask 3.0.0 @ requirements.txt"]
    );
    let result = place.result();
    assert_eq!(result["commit"], repository.git(&["rev-parse", "main"], b""));
    assert_eq!(
        result["files"],
        serde_json::json!({"seen": 4, "parsed": 2, "failed": 0, "skipped": 0})
    );
    assert_eq!(result["categories"]["Web frameworks"], true);
    assert_eq!(result["infrastructure_usage"]["docker"], true);
    assert_eq!(result["infrastructure_usage"]["terraform"], false);
    assert_eq!(place.warnings(), ["requirements.txt: not understood"]);

    let status = place.status();
    for (field, value) in [
        ("schema", serde_json::json!(1)),
        ("repo_index", 3.into()),
        ("repo_name", "group/project".into()),
        ("git_url", task.git_url.as_str().into()),
        ("status", "completed".into()),
        ("attempt", 1.into()),
        ("pid", serde_json::Value::Null),
        ("total_files", 2.into()),
        ("current_file", 2.into()),
        ("percentage", 100.0.into()),
        ("dependencies_found", 2.into()),
        ("commit", result["commit"].clone()),
        ("stage_index", 5.into()),
        ("stage_total", 5.into()),
        ("errors", serde_json::json!([])),
        ("error_message", serde_json::Value::Null),
    ] {
        assert_eq!(status[field], value, "{field} of {status:#}");
    }
    assert!(status["download_bytes"].as_u64() > Some(0), "{status:#}");
    let bytes = fs::read(&task.status_file).unwrap();
    let (_, warnings) = RepositoryStatus::parse(3, &bytes).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
}

/// Bytes that do not compress.
fn noise(dice: &mut Dice, length: usize) -> Vec<u8> {
    (0..length).map(|_| u8::try_from(dice.below(256)).unwrap()).collect()
}

/// A repository of a megabyte, of which fifty bytes are needed.
fn mostly_noise(forge: &Forge) -> Repository {
    let noise = noise(&mut Dice::new(11), 1 << 20);
    forge.add_repository(
        "project",
        &[
            ("noise", &noise),
            ("requirements.txt", b"flask==3.0.0\n"),
            ("same/requirements.txt", b"flask==3.0.0\n"),
            ("api/requirements.txt", b"attrs==23.1.0\n"),
        ],
    )
}

/// How often git requested something.
fn asked(forge: &Forge) -> usize {
    forge.seen().iter().filter(|request| request.path.ends_with("/git-upload-pack")).count()
}

const OF_THE_NOISE: [&str; 3] = [
    "attrs 23.1.0 @ api/requirements.txt",
    "flask 3.0.0 @ requirements.txt",
    "flask 3.0.0 @ same/requirements.txt",
];

/// Breaks if unneeded files are fetched from a server that could leave them out.
#[test]
fn unneeded_files_are_not_fetched() {
    let forge = Forge::start();
    mostly_noise(&forge).allow_filters();
    let place = Place::new();
    completes(&place.task_at(&forge, "project"));
    assert_eq!(place.packages(), OF_THE_NOISE);
    assert!(forge.sent() < 20_000, "{} bytes were sent", forge.sent());
    assert!(place.status()["download_bytes"].as_u64() < Some(50_000), "{:#}", place.status());
    // Branches, and the commit with its small files.
    assert_eq!(asked(&forge), 2, "{:#?}", forge.seen());
}

/// A manifest that is too large to come with its commit.
fn large_manifest() -> Vec<u8> {
    [b"flask==3.0.0\n".as_slice(), b"#".repeat(70_000).as_slice()].concat()
}

/// Breaks if a large file that is needed is not fetched, or one that is not needed is.
#[test]
fn a_large_file_is_fetched_only_if_needed() {
    let forge = Forge::start();
    let repository = mostly_noise(&forge);
    repository.commit("main", &[Entry::File(b"requirements.txt", &large_manifest())]);
    repository.allow_filters();
    let place = Place::new();
    completes(&place.task_at(&forge, "project"));
    assert_eq!(place.packages(), ["flask 3.0.0 @ requirements.txt"]);
    // Branches, the commit, and the large files that are needed.
    assert_eq!(asked(&forge), 3, "{:#?}", forge.seen());
}

/// A repository of two manifests among 600 other files, more than are fetched at once.
fn of_many_files(forge: &Forge) -> Repository {
    let mut dice = Dice::new(12);
    let noise: Vec<_> =
        (0..600).map(|number| (format!("noise/{number}"), noise(&mut dice, 500))).collect();
    let mut files: Vec<(&str, &[u8])> =
        noise.iter().map(|entry| (entry.0.as_str(), &*entry.1)).collect();
    files.push(("requirements.txt", b"flask==3.0.0\n"));
    files.push(("api/requirements.txt", b"attrs==23.1.0\n"));
    forge.add_repository("project", &files)
}

const OF_MANY_FILES: [&str; 2] =
    ["attrs 23.1.0 @ api/requirements.txt", "flask 3.0.0 @ requirements.txt"];

/// Breaks if all files of a repository with many are fetched.
#[test]
fn only_needed_files_of_many_are_fetched() {
    let forge = Forge::start();
    of_many_files(&forge).allow_filters();
    // So slow that it is stopped long before its end.
    forge.behave(Behaviour::Slow(50_000));
    let place = Place::new();
    completes(&place.task_at(&forge, "project"));
    assert_eq!(place.packages(), OF_MANY_FILES);
    // Branches and the commit, which turns out to be large; both without any files; and two files.
    assert_eq!(asked(&forge), 5, "{:#?}", forge.seen());
}

/// Breaks if a server without filters is interrupted, and asked for the same again.
#[test]
fn many_files_of_a_server_without_filters_are_fetched_once() {
    let forge = Forge::start();
    of_many_files(&forge);
    forge.behave(Behaviour::Slow(200_000));
    let place = Place::new();
    completes(&place.task_at(&forge, "project"));
    assert_eq!(place.packages(), OF_MANY_FILES);
    assert_eq!(asked(&forge), 2, "{:#?}", forge.seen());
}

/// Breaks if a server that refuses one kind of filter, but not the other, costs the scan.
#[test]
fn a_server_with_one_filter_is_asked_for_that() {
    let forge = Forge::start();
    let repository = mostly_noise(&forge);
    repository.allow_filters();
    repository.git(&["config", "uploadpackfilter.allow", "false"], b"");
    repository.git(&["config", "uploadpackfilter.blob:none.allow", "true"], b"");
    let place = Place::new();
    completes(&place.task_at(&forge, "project"));
    assert_eq!(place.packages(), OF_THE_NOISE);
    assert!(forge.sent() < 20_000, "{} bytes were sent", forge.sent());
}

/// Breaks if a server without filters is asked twice, or fails.
#[test]
fn a_server_without_filters_is_asked_once() {
    let forge = Forge::start();
    mostly_noise(&forge);
    let place = Place::new();
    completes(&place.task_at(&forge, "project"));
    assert_eq!(place.packages(), OF_THE_NOISE);
    assert_eq!(asked(&forge), 2, "{:#?}", forge.seen());
}

/// Breaks if a server that leaves files out and then does not deliver them costs the scan.
#[test]
fn a_server_that_withholds_files_is_asked_for_all() {
    let forge = Forge::start();
    let repository = mostly_noise(&forge);
    let noise = noise(&mut Dice::new(13), 1 << 20);
    let files =
        [Entry::File(b"noise", &noise), Entry::File(b"requirements.txt", &large_manifest())];
    repository.commit("main", &files);
    repository.allow_filters();
    forge.behave(Behaviour::OldProtocol);
    let place = Place::new();
    completes(&place.task_at(&forge, "project"));
    assert_eq!(place.packages(), ["flask 3.0.0 @ requirements.txt"]);
    assert!(forge.sent() > 1 << 20, "{} bytes were sent", forge.sent());
    // For the commit, for a file that is not delivered, and for everything.
    let begun = forge.seen().iter().filter(|request| request.method == "GET").count();
    assert_eq!(begun, 3, "{:#?}", forge.seen());
}

#[test]
fn two_scans_of_one_commit_are_equal() {
    let forge = Forge::start();
    let files: Vec<(String, Vec<u8>)> = (0..40)
        .map(|number| {
            (
                format!("d{}/requirements.txt", number * 7 % 40),
                format!("p{number}==1\nodd\n").into(),
            )
        })
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|file| (file.0.as_str(), &*file.1)).collect();
    forge.add_repository("project", &files);
    let (one, other) = (Place::new(), Place::new());
    completes(&one.task_at(&forge, "project"));
    completes(&other.task_at(&forge, "project"));
    assert_eq!(one.result().to_string(), other.result().to_string());
}

#[test]
fn branches_tags_and_commits_are_found_by_name() {
    let forge = Forge::start();
    let repository = forge.add_repository("project", &[("requirements.txt", b"a==1\n")]);
    repository.tag("v1", "main");
    let first = repository.git(&["rev-parse", "main"], b"");
    repository.commit("main", &[Entry::File(b"requirements.txt", b"a==2\n")]);
    repository.commit("feature/x", &[Entry::File(b"requirements.txt", b"a==3\n")]);
    for (reference, version) in
        [(None, "2"), (Some("feature/x"), "3"), (Some("v1"), "1"), (Some(first.as_str()), "1")]
    {
        let place = Place::new();
        let mut task = place.task_at(&forge, "project");
        task.reference = reference.map(str::to_owned);
        completes(&task);
        assert_eq!(place.packages(), [format!("a {version} @ requirements.txt")], "{reference:?}");
    }
}

#[test]
fn an_empty_repository_has_no_packages_and_says_so() {
    let forge = Forge::start();
    forge.add_empty_repository("project");
    let place = Place::new();
    completes(&place.task_at(&forge, "project"));
    assert!(place.packages().is_empty());
    assert_eq!(place.warnings(), [": the repository is empty: it has no commit"]);
    assert!(place.result()["commit"].is_null());
}

#[test]
fn a_commit_without_files_has_no_packages() {
    let forge = Forge::start();
    forge.add_repository("project", &[]);
    let place = Place::new();
    completes(&place.task_at(&forge, "project"));
    assert!(place.packages().is_empty() && place.warnings().is_empty());
}

#[test]
fn objects_named_by_sha256_are_read_too() {
    let forge = Forge::start();
    let repository = forge.add_sha256_repository("project");
    repository.commit("main", &[Entry::File(b"requirements.txt", b"a==1\n")]);
    let place = Place::new();
    completes(&place.task_at(&forge, "project"));
    assert_eq!(place.packages(), ["a 1 @ requirements.txt"]);
}

#[test]
fn credentials_open_the_repository_and_appear_nowhere() {
    let forge = Forge::start();
    forge.require_login("oauth2", CANARY);
    let noise: Vec<u8> = (0..200_000_u32)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let leak = format!("git+https://oauth2:{CANARY}@h.example/x==1\n");
    forge.add_repository("project", &[("requirements.txt", leak.as_bytes()), ("noise", &noise)]);
    // Slow enough that the sampler sees git at work.
    forge.behave(Behaviour::Slow(2_000_000));
    let place = Place::new();
    let mut task = place.task_at(&forge, "project");
    task.credentials = Some(canary());

    let samples = thread::scope(|scope| {
        let scanning = scope.spawn(|| completes(&task));
        let mut git_calls = 0;
        while !scanning.is_finished() {
            for entry in fs::read_dir("/proc").unwrap().flatten() {
                let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line);
                git_calls += u32::from(line.contains(&forge.url("project")));
                assert!(!line.contains(CANARY), "{line}");
                assert!(!line.contains("b2F1dGgyOm"), "{line}");
            }
        }
        git_calls
    });
    assert!(samples > 0, "the sampler never saw git");
    assert!(forge.seen().iter().all(|request| request.had_authorization));
    for entry in walkdir::WalkDir::new(place.path()).into_iter().flatten() {
        if entry.file_type().is_file() {
            let bytes = fs::read(entry.path()).unwrap();
            let holds = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
            assert!(!holds, "{}", entry.path().display());
        }
    }
    assert!(fs::read_to_string(&task.result_file).unwrap().contains("***"));
}

#[test]
fn a_slow_fetch_reports_its_progress() {
    let forge = Forge::start();
    let noise: Vec<u8> = (0..100_000_u32)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    forge.add_repository("project", &[("requirements.txt", b"a==1\n"), ("noise", &noise)]);
    forge.behave(Behaviour::Slow(200_000));
    let place = Place::new();
    let task = place.task_at(&forge, "project");
    thread::scope(|scope| {
        scope.spawn(|| completes(&task));
        let mut revisions = Vec::new();
        eventually("figures of a download", || {
            let Some(status) = place.json("repo_3.json") else { return false };
            revisions.push(status["revision"].as_u64().unwrap());
            status["status"] == "cloning"
                && status["stage"] == "fetch"
                && status["pid"] == std::process::id()
                && status["total_files"].is_null()
                && status["download_bytes"].as_u64() > Some(0)
                && status["message"]
                    .as_str()
                    .is_some_and(|text| text.starts_with("Receiving objects"))
        });
        assert!(revisions.is_sorted());
    });
}
