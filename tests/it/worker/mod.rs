//! The built-in scanner against a real forge, and a misbehaving one.

mod deep;
mod failures;
mod fetching;
mod hostile;
mod local;
mod network;
mod process;

use crate::support::forge::Forge;
use scanwatch::{
    ecosystem::{Findings, Parser, SourceFile},
    model::{
        address::NetworkPolicy,
        scan_result::{Package, Scope, Source},
        task::{Credentials, Limits, Sandbox, ScanTask},
    },
    worker::{self, ScanEnd, Stop},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// The secret that must not appear anywhere.
const CANARY: &str = "canary-s3cr3t-0451";

/// The files of one scan.
pub(crate) struct Place {
    root: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let root = TempDir::new().expect("making a folder");
        fs::create_dir(root.path().join("work")).expect("making a folder");
        Self { root }
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A task for this URL; no forge is trusted yet.
    pub(crate) fn task(&self, url: &str) -> ScanTask {
        ScanTask {
            job_id: "job".parse().expect("a job's name"),
            repo_index: 3,
            repo_name: "group/project".to_owned(),
            git_url: url.to_owned(),
            reference: None,
            attempt: 1,
            status_file: self.file("repo_3.json"),
            result_file: self.file("result.json"),
            work_dir: self.file("work"),
            update_interval_secs: 30,
            progress_interval_ms: 10,
            deep: false,
            exclude_paths: Vec::new(),
            archives: false,
            no_ignore: false,
            module_caches: Vec::new(),
            limits: Limits {
                max_tree_entries: 10_000,
                max_tree_depth: 64,
                max_path_bytes: 4096,
                list_timeout_secs: 60,
                max_file_bytes: 1 << 20,
                max_lock_file_bytes: 1 << 20,
                max_fetch_bytes: 1 << 30,
                connect_timeout_secs: 30,
                fetch_stall_timeout_secs: 30,
                max_source_files: 1000,
                max_archive_bytes: 1 << 20,
                max_archive_entries: 1000,
                max_archive_unpacked_bytes: 1 << 20,
                max_archives_secs: 60,
                max_packages: 100_000,
                max_result_bytes: 50 << 20,
                max_memory_bytes: 2 << 30,
                max_data_bytes: 256 << 20,
                max_cpu_secs: 3600,
            },
            network: NetworkPolicy { allow_ports: vec![443], ..NetworkPolicy::default() },
            categories: BTreeMap::new(),
            sandbox: Sandbox::default(),
            credentials: None,
            known: None,
            check_only: false,
        }
    }

    /// A task for a repository of a forge that the settings name.
    fn task_at(&self, forge: &Forge, name: &str) -> ScanTask {
        let mut task = self.task(&forge.url(name));
        task.network.trusted.push(forge.origin());
        task
    }

    pub(crate) fn status(&self) -> Value {
        self.json("repo_3.json").expect("there is a status")
    }

    /// The result with its times set to zero.
    fn result(&self) -> Value {
        let mut result = self.json("result.json").expect("there is a result");
        result["scanned_at"] = "".into();
        result["duration_ms"] = 0.into();
        result
    }

    fn json(&self, name: &str) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.file(name)).ok()?).ok()
    }

    /// `name version @ file` of each package, in the order of the result.
    fn packages(&self) -> Vec<String> {
        let result = self.result();
        let packages = result["packages"].as_array().expect("a list");
        packages
            .iter()
            .map(|package| {
                let text = |key: &str| package[key].as_str().unwrap_or("-").to_owned();
                format!("{} {} @ {}", text("name"), text("version"), text("file"))
            })
            .collect()
    }

    /// `file: message` of each warning.
    fn warnings(&self) -> Vec<String> {
        let result = self.result();
        let warnings = result["warnings"].as_array().expect("a list");
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or("-").to_owned();
        warnings
            .iter()
            .map(|warning| format!("{}: {}", text(warning, "file"), text(warning, "message")))
            .collect()
    }
}

fn canary() -> Credentials {
    Credentials { username: "oauth2".to_owned(), password: CANARY.to_owned(), on_request: false }
}

/// Scans in this process, with the parser of these tests.
pub(crate) fn scan(task: &ScanTask) -> ScanEnd {
    worker::scan(task, parser_for, &Stop::default())
}

#[track_caller]
fn completes(task: &ScanTask) {
    let ending = scan(task);
    let status = fs::read_to_string(&task.status_file).unwrap_or_default();
    assert!(matches!(ending, ScanEnd::Completed), "{ending:?}\n{status}");
}

/// Scans, and compares the failure's kind, and a part of its detail.
#[track_caller]
fn fails(place: &Place, task: &ScanTask, kind: &str, detail: &str) {
    let ending = scan(task);
    let status = place.status();
    assert!(matches!(ending, ScanEnd::Failed), "{ending:?}\n{status:#}");
    assert_eq!(status["status"], "failed");
    assert_eq!(status["failure"]["kind"], kind, "{status:#}");
    let said = status["failure"]["detail"].as_str().unwrap_or_default();
    assert!(said.contains(detail), "want {detail:?} in {said:?}");
    assert_eq!(status["errors"][0]["message"], status["failure"]["detail"]);
    assert_eq!(status["error_message"], status["failure"]["detail"]);
    assert!(status["completed_at"].is_string() && status["pid"].is_null(), "{status:#}");
    assert!(!task.result_file.exists(), "a failed scan has no result");
}

fn parser_for(path: &str) -> Option<&'static dyn Parser> {
    Lines.wants(path).then_some(&Lines)
}

/// Reads `name==version` lines of `requirements.txt`; the line `panic` makes it panic.
struct Lines;

impl Parser for Lines {
    fn name(&self) -> &'static str {
        "lines"
    }

    fn wants(&self, path: &str) -> bool {
        path == "requirements.txt" || path.ends_with("/requirements.txt")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Findings::default();
        for (number, line) in (1..).zip(String::from_utf8_lossy(file.bytes).lines()) {
            assert!(line != "panic", "told to panic");
            match line.split_once("==") {
                Some((name, version)) => found.packages.push(Package {
                    name: name.to_owned(),
                    version: Some(version.to_owned()),
                    specifier: None,
                    ecosystem: "pypi".into(),
                    purl: format!("pkg:pypi/{name}@{version}"),
                    file: file.path.to_owned(),
                    line: Some(number),
                    direct: Some(true),
                    scope: Some(Scope::Runtime),
                    source: Source::Manifest,
                    requires: Vec::new(),
                    resolved: None,
                    licenses: Vec::new(),
                    hashes: Vec::new(),
                    managed_by: Vec::new(),
                    resolved_from: None,
                }),
                None => found.warnings.push(file.warning(Some(number), "not understood")),
            }
        }
        found
    }
}
