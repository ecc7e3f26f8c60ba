//! The store: what is found again, and what the clean-up removes.

use super::*;
use crate::{
    model::{
        JobId,
        address::NetworkPolicy,
        task::{Category, Limits, Reuse, Sandbox, ScanTask, ShimTask},
    },
    store::atomic::{self, Durability},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashSet},
    fs,
    time::{Duration, SystemTime},
};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const NEXT: &str = "1123456789abcdef0123456789abcdef01234567";
const DAY: Duration = Duration::from_hours(24);

struct Place {
    root: tempfile::TempDir,
    store: ResultStore,
    task: ShimTask,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(root.path()).unwrap();
        jobs.create(0o750).unwrap();
        let task = task(root.path());
        Self { store: ResultStore::of(&jobs), root, task }
    }

    fn target(&self) -> ResultKey {
        ResultKey::of(&self.task).unwrap()
    }

    fn write(&self, text: &str) -> PathBuf {
        let path = self.root.path().join("result.json");
        write(&path, text.as_bytes());
        path
    }

    fn store(&self, text: &str, commit: Option<&str>) -> bool {
        let path = self.write(text);
        let facts = Facts { dependencies_found: Some(2), total_files: None };
        self.store.store(&self.target(), &path, commit, Some("digest"), origin(), facts).unwrap()
    }

    /// The result of the task, made from the stored one.
    fn reused(&self, commit: &str, seen: Option<u64>) -> Option<Value> {
        let mut stored = self.store.open(&self.target())?;
        let scan = &self.task.scan;
        let names = self.names(commit, seen);
        stored.write_result(self.root.path(), &scan.result_file, &names).unwrap();
        Some(serde_json::from_slice(&fs::read(&self.task.scan.result_file).unwrap()).unwrap())
    }

    fn names<'a>(&'a self, commit: &'a str, seen: Option<u64>) -> Names<'a> {
        let ScanTask { repo_index, repo_name, git_url, .. } = &self.task.scan;
        Names { repo_index: *repo_index, repo_name, git_url, commit, seen }
    }

    /// The names in the store.
    fn files(&self) -> Vec<PathBuf> {
        let shard = self.store.shard(&self.target());
        let mut files: Vec<_> =
            fs::read_dir(shard).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

/// Replaces a file.
fn write(path: &Path, bytes: &[u8]) {
    atomic::replace(path.parent().unwrap(), path, bytes, Durability::Eventual).unwrap();
}

fn origin() -> Origin {
    Origin {
        job_id: "first".parse().unwrap(),
        repo_index: 0,
        repo_name: "r".to_owned(),
        produced_at: chrono::Utc::now(),
    }
}

fn task(root: &Path) -> ShimTask {
    let limits: Value = toml::from_str::<Value>(include_str!("../../../config/default.toml"))
        .map(|settings| settings["limits"].clone())
        .unwrap();
    let limits: Limits = serde_json::from_value(limits).unwrap();
    ShimTask {
        jobs_dir: root.to_owned(),
        command: Vec::new(),
        path: String::new(),
        timeout_secs: 1,
        kill_grace_secs: 1,
        stall_timeout_secs: 1,
        log_max_bytes: 1,
        interruptions: 0,
        retries: 0,
        alone: false,
        reuse: Reuse::Reuse,
        command_version: String::new(),
        element: None,
        scan: ScanTask {
            job_id: "second".parse::<JobId>().unwrap(),
            repo_index: 3,
            repo_name: "group/r".to_owned(),
            git_url: "https://h.example/group/r.git".to_owned(),
            reference: None,
            attempt: 1,
            status_file: root.join("repo_3.json"),
            result_file: root.join("reused.json"),
            work_dir: root.to_owned(),
            update_interval_secs: 1,
            progress_interval_ms: 1,
            deep: false,
            archives: false,
            exclude_paths: Vec::new(),
            no_ignore: false,
            module_caches: Vec::new(),
            limits,
            network: NetworkPolicy::default(),
            categories: BTreeMap::new(),
            sandbox: Sandbox::default(),
            credentials: None,
            known: None,
            check_only: false,
        },
    }
}

/// A result as the built-in scanner writes it.
fn result(packages: usize) -> String {
    let packages: Vec<Value> =
        (0..packages).map(|number| json!({ "name": format!("p{number}") })).collect();
    let value = json!({
        "schema": 1, "repo_index": 0, "repo_name": "r", "git_url": "https://h.example/group/r.git",
        "commit": COMMIT, "scanned_at": "2026-01-01T00:00:00.000Z", "duration_ms": 7,
        "files": { "seen": 9, "parsed": 1, "failed": 0, "skipped": 0 },
        "packages": packages, "categories": {}, "warnings": [],
    });
    format!("{value:#}\n")
}

/// Fails if a result is found for another option, limit, category, version or URL, or not found for the same.
#[test]
fn every_option_is_a_part_of_the_key() {
    let place = Place::new();
    let base = place.target();
    let mut keys = HashSet::from([base.clone()]);
    let mut with = |change: &dyn Fn(&mut ShimTask)| {
        let mut task = place.task.clone();
        change(&mut task);
        let key = ResultKey::of(&task).unwrap();
        assert!(keys.insert(key), "another task has the same key");
    };
    with(&|task| task.scan.git_url = "https://h.example/group/other.git".into());
    with(&|task| task.scan.reference = Some("v1".into()));
    with(&|task| task.scan.deep = true);
    with(&|task| task.scan.archives = true);
    with(&|task| task.scan.exclude_paths = vec!["testdata".into()]);
    with(&|task| task.scan.exclude_paths = vec!["test".into(), "data".into()]);
    with(&|task| {
        task.scan.categories.insert("Web".into(), Category::default());
    });
    with(&|task| {
        let category = Category { dependencies: vec!["flask".into()], ..Category::default() };
        task.scan.categories.insert("Web".into(), category);
    });
    let limits = serde_json::to_value(place.task.scan.limits).unwrap();
    for name in limits.as_object().unwrap().keys() {
        with(&|task| {
            let mut limits = limits.clone();
            limits[name] = (limits[name].as_u64().unwrap() + 1).into();
            task.scan.limits = serde_json::from_value(limits).unwrap();
        });
    }
    let command = |task: &mut ShimTask, version: &str| {
        (task.command, task.command_version) = (vec!["scan".into()], version.into());
    };
    with(&|task| command(task, "1"));
    with(&|task| command(task, "2"));
    with(&|task| (task.command, task.command_version) = (vec!["scan2".into()], "2".into()));
    let of_version = |version| ResultKey::for_version(&place.task, version);
    assert_ne!(of_version("1.0.0"), of_version("1.0.1"), "another version finds the result");
    assert_eq!(of_version(env!("CARGO_PKG_VERSION")), Some(base.clone()));
    // What does not change a result.
    let mut same = place.task.clone();
    (same.scan.job_id, same.scan.repo_index) = ("third".parse().unwrap(), 9);
    (same.scan.attempt, same.reuse, same.timeout_secs) = (2, Reuse::Store, 9);
    same.scan.git_url = "https://H.EXAMPLE:443/group/r.git".into();
    assert_eq!(ResultKey::of(&same), Some(base));
    // What is never stored.
    for change in [
        |task: &mut ShimTask| task.reuse = Reuse::Off,
        |task: &mut ShimTask| (task.command, task.command_version) = (vec!["x".into()], " ".into()),
        |task: &mut ShimTask| task.scan.network.local_paths = true,
        |task: &mut ShimTask| task.scan.module_caches = vec!["/m2".into()],
        |task: &mut ShimTask| task.scan.git_url = "/tmp/folder".into(),
    ] {
        let mut task = place.task.clone();
        change(&mut task);
        assert_eq!(ResultKey::of(&task), None);
    }
}

/// Fails if a reused result differs from the stored one in more than the names of its repository.
#[test]
fn a_reused_result_has_the_names_of_its_own_job() {
    for packages in [0, 3] {
        let place = Place::new();
        assert!(place.store(&result(packages), Some(COMMIT)));
        let mut expected: Value = serde_json::from_str(&result(packages)).unwrap();
        expected["repo_index"] = 3.into();
        expected["repo_name"] = "group/r".into();
        assert_eq!(place.reused(COMMIT, None), Some(expected.clone()));
        expected["commit"] = NEXT.into();
        expected["files"]["seen"] = 10.into();
        assert_eq!(place.reused(NEXT, Some(10)), Some(expected.clone()));
        let text = fs::read_to_string(&place.task.scan.result_file).unwrap();
        assert_eq!(text, format!("{expected:#}\n"), "it is written as a scanner writes it");
    }
}

/// Fails if the result of another scanner is lost, or has a member twice.
#[test]
fn a_result_in_another_layout_is_brought_into_ours() {
    let place = Place::new();
    let text = format!(r#"{{"packages":[{{"name":"p"}}],"commit":"{COMMIT}","own":[1]}}"#);
    assert!(place.store(&text, None));
    let reused = place.reused(COMMIT, None).unwrap();
    assert_eq!(reused["packages"], json!([{ "name": "p" }]));
    assert_eq!((&reused["own"], &reused["repo_name"]), (&json!([1]), &json!("group/r")));
    let text = fs::read_to_string(&place.task.scan.result_file).unwrap();
    assert_eq!(text.matches("\"commit\"").count(), 1, "{text}");
}

/// Fails if a result is stored that is not that of the commit.
#[test]
fn results_without_a_commit_or_with_changes_are_not_stored() {
    let place = Place::new();
    let dirty = result(1).replace("\"scanned_at\"", "\"dirty\": true, \"scanned_at\"");
    for (text, commit) in [
        (dirty.as_str(), Some(COMMIT)),
        (&result(1), Some(NEXT)),
        (&result(1), Some("../x")),
        (r#"{"packages":[]}"#, None),
        (r#"{"packages":[]}"#, Some("HEAD")),
        (r#"{"commit":"x"}"#, Some(COMMIT)),
        ("[]", Some(COMMIT)),
        ("{", Some(COMMIT)),
    ] {
        assert!(!place.store(text, commit), "{text}");
        assert!(place.store.open(&place.target()).is_none());
    }
}

/// Fails if a result is reused that is not the one that was stored.
#[test]
fn a_damaged_store_has_no_results() {
    let damages: [fn(&Path, &Path); 7] = [
        |result, _| fs::remove_file(result).unwrap(),
        |_, record| fs::remove_file(record).unwrap(),
        |result, _| write(result, b""),
        |result, _| {
            let mut bytes = fs::read(result).unwrap();
            let at = bytes.len() - 5;
            bytes[at] ^= 1;
            write(result, &bytes);
        },
        |_, record| write(record, b"{"),
        |_, record| {
            let text = fs::read_to_string(record).unwrap();
            write(record, text.replace(COMMIT, "../../etc/passwd").as_bytes());
        },
        |result, _| {
            let elsewhere = result.with_extension("moved");
            fs::rename(result, &elsewhere).unwrap();
            std::os::unix::fs::symlink(&elsewhere, result).unwrap();
        },
    ];
    for damage in damages {
        let place = Place::new();
        assert!(place.store(&result(3), Some(COMMIT)));
        let [result, record] = &place.files()[..] else { panic!("{:?}", place.files()) };
        assert!(place.store.open(&place.target()).is_some());
        damage(result, record);
        assert!(place.store.open(&place.target()).is_none());
    }
}

/// Fails if an opened result vanishes or changes with the clean-up or with a newer result.
#[test]
fn an_opened_result_stays() {
    let place = Place::new();
    assert!(place.store(&result(3), Some(COMMIT)));
    let mut stored = place.store.open(&place.target()).unwrap();
    let newer = result(5).replace("\"duration_ms\": 7", "\"duration_ms\": 8");
    assert!(place.store(&newer, Some(COMMIT)));
    let later = SystemTime::now() + 2 * DAY;
    place.store.clean(DAY, later).unwrap();
    assert!(place.files().is_empty());
    let path = &place.task.scan.result_file;
    stored.write_result(place.root.path(), path, &place.names(COMMIT, None)).unwrap();
    let bytes = fs::read(&place.task.scan.result_file).unwrap();
    let reused: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(reused["packages"].as_array().unwrap().len(), 3);
}

/// Fails if the newest result of a target is removed while it is used, an unused one stays, or what a crash left stays.
#[test]
fn the_clean_up_keeps_the_newest_result_while_it_is_used() {
    let place = Place::new();
    assert!(place.store(&result(3), Some(COMMIT)));
    assert!(place.store(&result(3).replace(COMMIT, NEXT), Some(NEXT)));
    assert_eq!(place.files().len(), 3);
    let now = SystemTime::now();
    // Another shim may be about to write the record of a young result.
    assert_eq!(place.store.clean(DAY, now).unwrap(), Removed::default());
    let in_two_hours = now + Duration::from_hours(2);
    let removed = place.store.clean(DAY, in_two_hours).unwrap();
    assert_eq!(removed, Removed { records: 0, results: 1 });
    assert_eq!(place.reused(NEXT, None).unwrap()["commit"], NEXT);
    // A use keeps it, whenever it was stored.
    let record = place.store.record(&place.target());
    let result = place.store.content(&place.target(), NEXT);
    for path in [&record, &result] {
        fs::File::open(path).unwrap().set_modified(now - 9 * DAY).unwrap();
    }
    place.store.note_use(&place.store.open(&place.target()).unwrap());
    assert_eq!(place.store.clean(DAY, now + Duration::from_secs(1)).unwrap(), Removed::default());
    let removed = place.store.clean(DAY, now + 2 * DAY).unwrap();
    assert_eq!(removed, Removed { records: 1, results: 1 });
    assert!(place.files().is_empty());
    // A clock that was set back removes nothing.
    assert!(place.store(&super::tests::result(1), Some(COMMIT)));
    assert_eq!(place.store.clean(DAY, now - 9 * DAY).unwrap(), Removed::default());
}
