//! The one checker: what must hold once the killing stops, whatever was killed before.
//!
//! I1 every accepted job is known; I2 every job has ended; I3 every file is complete, in every
//! read; I4 answers, cache and disk agree; I5 no process of a scan is left; I6 states only moved
//! forward; I7 nothing old is left in `.staging`; I8 the server is no larger than before.

use super::{
    account::{Account, ClientRequest},
    reader::Reader,
    victims::Target,
};
use crate::support::{
    files,
    server::{Answer, TestServer},
    wait::{PATIENCE, eventually, until},
};
use scanwatch::model::{
    JobId, JobState, RepoState,
    master::{Master, ScanType, end_state},
    repository::RepositoryStatus,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// How old anything that a killed process left in `.staging` may get.
const LEFT_BEHIND: Duration = Duration::from_secs(90);
/// How much the server's memory may grow while it waits for the next round, in bytes.
const GROWTH: u64 = 32 << 20;

/// Checks, and remembers what was answered before.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// The ends of jobs, as reported.
    reported: BTreeMap<String, Value>,
    /// What the server had open at the first check, and its memory, by its process id.
    base: Option<(u32, usize, u64)>,
    /// Where the jobs folder is visible, if not at the path of the setup.
    seen_at: Option<PathBuf>,
}

impl Checker {
    /// A checker that reads the jobs folder through another path.
    pub(crate) fn looking_at(jobs: PathBuf) -> Self {
        Self { seen_at: Some(jobs), ..Self::default() }
    }

    fn jobs(&self, server: &TestServer) -> PathBuf {
        self.seen_at.clone().unwrap_or_else(|| server.setup().jobs())
    }

    /// Checks all invariants, for these jobs and for every other in the folder.
    pub(crate) async fn check(
        &mut self,
        server: &TestServer,
        accounts: &[Account],
        reader: Option<&Reader>,
    ) {
        let jobs = self.jobs(server);
        for account in accounts {
            self.check_job(server, account, reader).await;
        }
        let known: BTreeSet<&str> = accounts.iter().map(|account| account.id.as_str()).collect();
        for job in folders(&jobs) {
            if !known.contains(job.as_str()) {
                // Its submitter got no answer: whatever it is, it must be complete.
                self.check_job(server, &Account::of_unknown_origin(job), reader).await;
            }
        }
        server.no_process_left(Duration::from_secs(10)).await;
        check_staging(&jobs);
        self.check_size(server).await;
        let problems = reader.map(Reader::problems).unwrap_or_default();
        assert!(problems.is_empty(), "{problems:#?}");
    }

    /// Forgets a job that is removed.
    pub(crate) fn forget(&mut self, job: &str) {
        self.reported.remove(job);
    }

    async fn check_job(&mut self, server: &TestServer, account: &Account, reader: Option<&Reader>) {
        let id = &account.id;
        let folder = self.jobs(server).join(id);
        let known = server.get(&format!("/scan/{id}")).await;
        match (&account.removal, known.status) {
            (ClientRequest::Answered(_), status) => {
                assert_eq!(status, 404, "{id} was removed: {}", known.text);
                assert!(!folder.exists(), "{id} was removed, and lies there");
                return;
            }
            (ClientRequest::Unanswered, 404) => {
                assert!(!folder.exists(), "{id} is not known, and lies there");
                return;
            }
            _ => assert_eq!(known.status, 200, "{id} was accepted: {}", known.text),
        }
        server.finished(id).await;
        // A job counts as cancelled before all of it has ended, and lists the rest a moment later.
        let master = until(PATIENCE, &format!("{id} names all its repositories"), async || {
            let bytes = fs::read(folder.join("master.json")).unwrap();
            let (master, _) = Master::parse(&bytes).unwrap();
            (Some(master.named() as u64) == master.total_repositories).then_some(master)
        })
        .await;
        let document = server.progress(id).await;
        let shown = format!("{id}: {account:#?} {document:#}");
        let files = check_repositories(account, &folder, reader, &document);
        check_document(&document, &master, &files);
        let state = master.final_state().expect(&shown);
        check_state(account, &master, state, &files);

        let row = server.get(&format!("/jobs/{id}")).await.expect(200).json();
        assert_eq!(row["status"], state.coarse(), "{row:#} {shown}");
        assert_eq!(row["completed_at"], document["completed_at"], "{row:#} {shown}");
        let list = server.get("/jobs?per_page=100").await.expect(200).json();
        let rows = list["jobs"].as_array().cloned().unwrap_or_default();
        let row = rows.iter().find(|row| row["job_id"] == **id).expect(&shown);
        assert_eq!(row["status"], state.coarse(), "{row:#} {shown}");
        if state == JobState::Completed {
            let results = server.get(&format!("/jobs/{id}/results")).await;
            let Answer { status, text, .. } = &results;
            assert_eq!(*status, 200, "{text} {shown}");
        }
        // What has been reported stays, whatever is killed afterwards.
        let lasting = ["status", "summary", "repositories", "failed_repositories", "completed_at"];
        let lasting: Value =
            lasting.iter().map(|member| (*member, document[*member].clone())).collect();
        let before = self.reported.insert(id.clone(), lasting.clone());
        assert!(
            before.as_ref().is_none_or(|earlier| *earlier == lasting),
            "{before:#?}, now {shown}"
        );
    }

    /// The server has nothing more open than at the first check, and has hardly grown.
    async fn check_size(&mut self, server: &TestServer) {
        let pid = server.pid();
        let sizes = || (open_files(pid), resident(pid));
        let (files, memory) = match self.base {
            Some((base, files, memory)) if base == pid => (files, memory),
            _ => {
                let (files, memory) = sizes();
                self.base = Some((pid, files, memory));
                return;
            }
        };
        eventually("the server closes what it opened", async || {
            open_files(pid) <= files + files / 10 + 1
        })
        .await;
        let now = sizes().1;
        assert!(now < memory + GROWTH, "{now} bytes of memory, {memory} before");
    }
}

impl Account {
    /// A job found on disk, with an unknown history.
    fn of_unknown_origin(id: String) -> Self {
        let mut account = Self::new(id);
        account.cancel = ClientRequest::Unanswered;
        account.own_failure = Some("exit");
        for target in [Target::Shim, Target::Scanner, Target::Git, Target::Helper] {
            for index in 0..10 {
                for _ in 0..3 {
                    account.note_killed(index, target);
                }
            }
        }
        account
    }
}

/// Each repository of the plan has ended in a way that its account allows; returns what its files
/// say.
fn check_repositories(
    account: &Account,
    folder: &Path,
    reader: Option<&Reader>,
    document: &Value,
) -> BTreeMap<u32, RepositoryStatus> {
    let mut statuses = BTreeMap::new();
    for (index, row) in account.plan(folder) {
        let path = folder.join(format!("repo_{index}.json"));
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let raw: Value = serde_json::from_slice(&bytes).unwrap();
        let said = format!("{path:?}: {raw:#} {account:#?}");
        account.judge(index, &raw).unwrap_or_else(|why| panic!("{why}: {said}"));
        assert_eq!(raw["repo_name"], row["repo_name"], "{said}");
        assert!(raw["completed_at"].is_string() && raw["pid"].is_null(), "{said}");
        check_record(account, folder, index, &raw);
        if let Some(reader) = reader {
            let sights = reader.sights(&account.id, index);
            let attempt = raw["attempt"].as_u64().unwrap_or(0);
            // Its death loses nothing of its progress.
            let mut reached = sights
                .iter()
                .filter(|sight| sight.attempt == attempt)
                .filter_map(|sight| sight.total_files);
            let kept = raw["total_files"].as_u64();
            assert!(
                reached.next_back().is_none_or(|total| kept == Some(total)),
                "{sights:#?} {said}"
            );
        }
        let (status, warnings) = RepositoryStatus::parse(index, &bytes).unwrap();
        assert!(warnings.is_empty(), "{warnings:?} {said}");
        statuses.insert(index, status);
    }
    let rows = document["repositories"].as_array().map_or(0, Vec::len);
    assert_eq!(rows, statuses.len(), "{document:#}");
    statuses
}

/// A death is counted once, and nothing else is counted.
fn check_record(account: &Account, folder: &Path, index: u32, status: &Value) {
    let record = files::json(&folder.join(format!("locks/repo_{index}.attempt.json")));
    let (Some(record), Some(attempt)) = (record, status["attempt"].as_u64()) else {
        assert!(status["status"] == "cancelled", "{status:#}");
        return;
    };
    let deaths = record["interruptions"].as_u64().unwrap();
    let shims = account.killed(index, Target::Shim);
    assert!(deaths <= shims, "{deaths} deaths counted, of {shims}: {record:#} {status:#}");
    // A server that is killed after it recorded a death, and before it counted it, leaves it
    // uncounted: that is one attempt more, and never one too few.
    let all = account.lost_its_server || deaths + 1 + account.retries >= attempt;
    assert!(all, "attempt {attempt} after {deaths} deaths: {record:#} {status:#}");
}

/// The document agrees with the files.
fn check_document(document: &Value, master: &Master, files: &BTreeMap<u32, RepositoryStatus>) {
    let shown = format!("{document:#}");
    assert_eq!(document["warnings"], json!([]), "{shown}");
    assert_eq!(document["status"], master.status.clone().unwrap(), "{shown}");
    let count =
        |wanted: fn(RepoState) -> bool| files.values().filter(|file| wanted(file.state)).count();
    let (completed, failed) =
        (count(|state| state == RepoState::Completed), count(RepoState::is_failure));
    let summary = json!({
        "total_repositories": files.len(), "completed": completed, "in_progress": 0,
        "pending": 0, "failed": failed, "reused": 0,
    });
    assert_eq!(document["summary"], summary, "{shown}");
    for (row, (index, status)) in document["repositories"].as_array().unwrap().iter().zip(files) {
        assert_eq!(row["repo_index"], *index, "{shown}");
        assert_eq!(row["repo_name"], status.display_name(), "{shown}");
        assert_eq!(row["status"], status.word(), "{shown}");
    }
    let failures = files.values().filter(|file| file.state.is_failure());
    for (row, status) in document["failed_repositories"].as_array().unwrap().iter().zip(failures) {
        assert_eq!(row["failure"], json!(status.failure), "{shown}");
        assert_eq!(row["error"], json!(status.error), "{shown}");
    }
    let names = |wanted: fn(RepoState) -> bool| -> Vec<String> {
        files
            .values()
            .filter(|file| wanted(file.state))
            .map(RepositoryStatus::display_name)
            .collect()
    };
    let completed = names(|state| state == RepoState::Completed);
    assert_eq!(document["completed_repositories"], json!(completed), "{shown}");
    assert_eq!(master.completed_repositories.as_ref(), Some(&completed), "{master:#?}");
    assert_eq!(master.pending_repositories, Some(Vec::new()), "{master:#?}");
    let failed = names(RepoState::is_failure);
    let of_master: Vec<String> = master
        .failed_repositories
        .iter()
        .flatten()
        .filter_map(|repository| repository.repo_name.clone())
        .collect();
    assert_eq!(of_master, failed, "{master:#?}");
}

/// The job has ended as its repositories did, or as a client requested.
fn check_state(
    account: &Account,
    master: &Master,
    state: JobState,
    files: &BTreeMap<u32, RepositoryStatus>,
) {
    let count = |wanted: fn(RepoState) -> bool| {
        files.values().filter(|file| wanted(file.state)).count() as u64
    };
    let last = files.values().next().map_or(RepoState::Completed, |file| file.state);
    let of_parts = end_state(
        master.scan_type.unwrap_or(ScanType::Group),
        count(|state| state == RepoState::Completed),
        count(RepoState::is_failure),
        last,
    );
    let mut expected = vec![of_parts.to_string()];
    match &account.cancel {
        ClientRequest::Answered(word) => expected = vec![word.clone()],
        ClientRequest::None if account.removal == ClientRequest::None => {}
        ClientRequest::Unanswered | ClientRequest::None => {
            expected.push(JobState::Cancelled.to_string());
        }
    }
    assert!(expected.contains(&state.to_string()), "want one of {expected:?}: {master:#?}");
}

/// The job folders.
pub(crate) fn folders(jobs: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(jobs).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.parse::<JobId>().is_ok()).collect()
}

/// While nothing runs, no scratch folder exists, and nothing else stays long.
fn check_staging(jobs: &Path) {
    let staging = jobs.join(".staging");
    for entry in fs::read_dir(&staging).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(!name.starts_with("scratch-"), "{name} is left, and nothing runs");
        // One that disappears in the meantime is not left over.
        let Ok(changed) = entry.metadata().and_then(|metadata| metadata.modified()) else {
            continue;
        };
        let age = SystemTime::now().duration_since(changed).unwrap_or_default();
        assert!(age < LEFT_BEHIND, "{name} has been left for {age:?}");
    }
}

fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The resident memory of a process, private or shared, in bytes.
fn resident(pid: u32) -> u64 {
    let status = files::text(Path::new(&format!("/proc/{pid}/status")));
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

/// Waits until a job that is being removed is gone; through the server, as any client would.
pub(super) async fn remove(server: &TestServer, job: &str) {
    let path = format!("/scan/{job}");
    server.delete(&path).await.expect(204);
    assert!(!server.job_folder(job).exists(), "{job} lies there after its removal");
    crate::support::wait::within(PATIENCE, "it is not known any more", async || {
        server.get(&path).await.status == 404
    })
    .await;
}
