//! The fetch: one commit of a repository comes into a bare folder.
//!
//! What flows in: the task. What flows out: the folder and the commit, or that there is none.
//! What must stay true: silence, size and the wish to stop end it from outside, whatever git
//! and the server do; what it says meanwhile moves the figures of the status file.

use super::{
    Git, GitError,
    diagnosis::diagnose,
    process::Running,
    progress::{Listener, Progress},
    reference::Reference,
    remote::Remote,
};
use crate::{
    model::{state::Work, task::ScanTask},
    worker::{reporter::Reporter, status::Stage},
};
use std::{
    io::Read,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The name under which the commit is kept; no server's branch or tag can be called so here.
const KEPT_AS: &str = "refs/scan/head";
/// How often the folder is measured.
const MEASURE: Duration = Duration::from_secs(1);
/// What git puts together of differences in a second, at the least. It is counted in what was
/// fetched: what that comes to may be thousands of times as much.
const SLOWEST_RESOLVING: u64 = 2 << 20;
/// For calls that only touch our own folder.
pub(super) const SHORT_CALL: Duration = Duration::from_mins(1);

/// What a fetch brought.
#[derive(Debug)]
pub(crate) enum Fetched {
    Commit {
        repository: PathBuf,
        commit: String,
    },
    /// The repository has no commit at all.
    Empty,
}

/// Fetches what the task names.
pub(crate) fn fetch(git: &Git, task: &ScanTask, reporter: &Reporter) -> Result<Fetched, GitError> {
    let reference = Reference::parse(task.reference.as_deref())?;
    let remote = Remote::of(task)?;
    reporter.enter(Work::Cloning, Stage::Fetch, &format!("Connecting to {}", remote.host()));
    let fetch = Fetch { git, task, reporter, remote, reference };
    match fetch.start_over("sha1") {
        Err(GitError::ObjectFormat { .. }) => fetch.start_over("sha256"),
        other => other,
    }
}

struct Fetch<'a> {
    git: &'a Git,
    task: &'a ScanTask,
    reporter: &'a Reporter,
    remote: Remote,
    reference: Reference,
}

/// What the watch of a fetch and the reader of its words tell each other.
#[derive(Debug, Default)]
struct Signs {
    heard: AtomicBool,
    bytes_on_disk: AtomicU64,
    /// All has come, and git puts together what came as differences.
    resolving: AtomicBool,
}

impl Fetch<'_> {
    /// From nothing to the commit, with a folder of this object format.
    fn start_over(&self, object_format: &str) -> Result<Fetched, GitError> {
        let repository = self.git.work_dir().join(format!("repository-{object_format}.git"));
        self.git
            .local("init")
            .args(["init", "--quiet", "--bare", "--initial-branch=main"])
            .arg(format!("--object-format={object_format}"))
            .arg("--")
            .arg(&repository)
            .output(SHORT_CALL)?
            .successful("init")?;
        match self.transfer(&repository) {
            Ok(()) => {}
            Err(GitError::ReferenceNotFound { .. }) if self.reference.is_default() => {
                return self.without_default_branch(&repository);
            }
            Err(error) => return Err(error),
        }
        let commit = commit_of(self.git, &repository, KEPT_AS)?;
        Ok(Fetched::Commit { repository, commit })
    }

    /// No default branch: then either there is none at all, or it was named wrongly, or this
    /// is no repository. A server that says nothing at all in git's protocol (an empty page)
    /// would otherwise pass for an empty repository.
    fn without_default_branch(&self, repository: &Path) -> Result<Fetched, GitError> {
        let step = "ls-remote";
        // Within the folder that is measured, as a trace of many refs is long. What is traced
        // is git's protocol, not the headers that carry the credentials.
        let trace = repository.join("packets");
        let refs = self
            .git
            .with_remote(step, repository, &self.remote)
            .traced_to(&trace)
            .args([step, "--quiet", "--", self.remote.url()])
            .start(Stdio::null(), self.watch(repository, Arc::default()))?
            .output()?
            .successful(step)?;
        let spoke = trace.metadata().is_ok_and(|it| it.len() > 0);
        if !spoke {
            let said = "it lists no branches in git's protocol".to_owned();
            return Err(GitError::NotSmart { host: self.remote.host(), said });
        }
        if refs.text().is_empty() { Ok(Fetched::Empty) } else { Err(GitError::NoDefaultBranch) }
    }

    fn transfer(&self, repository: &Path) -> Result<(), GitError> {
        let signs = Arc::new(Signs::default());
        let mut running = self
            .git
            .with_remote("fetch", repository, &self.remote)
            .args(["fetch", "--depth=1", "--no-tags", "--no-recurse-submodules"])
            .args(["--no-write-fetch-head", "--progress", "--", self.remote.url()])
            .arg(format!("+{}:{KEPT_AS}", self.reference.name()))
            .start(Stdio::null(), self.watch(repository, Arc::clone(&signs)))?;
        let pipe = running.stderr();
        let (ended, last_words) = thread::scope(|scope| {
            // Its end closes the pipe, also where a helper would hold it open.
            let listener = scope.spawn(|| self.listen(pipe, &signs));
            let ended = Running::finish(running);
            (ended, listener.join().unwrap_or_default())
        });
        let most = self.task.limits.max_fetch_bytes;
        if !ended?.success() {
            // git does not always say that it was stopped for the size of a file.
            if folder_bytes(repository) >= most {
                return Err(GitError::TooLarge { most });
            }
            return Err(diagnose(&last_words, &self.remote, &self.reference, most));
        }
        let bytes = folder_bytes(repository);
        self.reporter.update(|it| it.download_bytes = it.download_bytes.max(Some(bytes)));
        if bytes > most { Err(GitError::TooLarge { most }) } else { Ok(()) }
    }

    /// Why the fetch has to be ended from outside.
    fn watch(
        &self,
        repository: &Path,
        signs: Arc<Signs>,
    ) -> impl FnMut() -> Option<GitError> + Send + 'static {
        let limits = self.task.limits;
        let host = self.remote.host();
        let repository = repository.to_owned();
        let begin = Instant::now();
        let mut measured = begin;
        // Counted by looks, so that the time for which all of us are stopped is none.
        let mut resolved_for = 0;
        move || {
            let silent = !signs.heard.load(Ordering::Relaxed);
            // curl's own limit for a connection is five minutes and cannot be set through git.
            if silent && begin.elapsed() >= Duration::from_secs(limits.connect_timeout_secs) {
                let seconds = limits.connect_timeout_secs;
                return Some(GitError::Silent { host: host.clone(), seconds });
            }
            if measured.elapsed() >= MEASURE {
                let bytes = folder_bytes(&repository);
                signs.bytes_on_disk.store(bytes, Ordering::Relaxed);
                measured = Instant::now();
                if bytes > limits.max_fetch_bytes {
                    return Some(GitError::TooLarge { most: limits.max_fetch_bytes });
                }
                resolved_for += u64::from(signs.resolving.load(Ordering::Relaxed));
                let seconds = limits.fetch_stall_timeout_secs + bytes / SLOWEST_RESOLVING;
                if resolved_for > seconds {
                    return Some(GitError::TooTight { bytes, seconds });
                }
            }
            None
        }
    }

    /// Turns what git says into figures; returns its last words.
    fn listen(&self, pipe: Option<impl Read>, signs: &Signs) -> Vec<String> {
        let mut listener = Listener::default();
        let Some(mut pipe) = pipe else { return Vec::new() };
        let mut piece = [0; 4096];
        // A pipe that breaks has ended.
        while let Ok(length @ 1..) = pipe.read(&mut piece) {
            signs.heard.store(true, Ordering::Relaxed);
            let on_disk = signs.bytes_on_disk.load(Ordering::Relaxed);
            listener.hear(&piece[..length], |progress| {
                signs.resolving.store(progress.is_resolving, Ordering::Relaxed);
                self.show(progress, on_disk);
            });
        }
        listener.into_last_words()
    }

    fn show(&self, progress: Progress, on_disk: u64) {
        self.reporter.update(|figures| {
            let bytes = progress.bytes.unwrap_or(0).max(on_disk);
            if bytes > 0 {
                figures.download_bytes = figures.download_bytes.max(Some(bytes));
            }
            figures.stage_progress = progress.percent;
            figures.message = progress.message;
        });
    }
}

/// The commit that a name stands for.
pub(super) fn commit_of(git: &Git, repository: &Path, name: &str) -> Result<String, GitError> {
    let answer = git
        .on("rev-parse", repository)
        .args(["rev-parse", "--verify", "--quiet"])
        .arg(format!("{name}^{{commit}}"))
        .output(SHORT_CALL)?;
    let commit = answer.text();
    let is_id = matches!(commit.len(), 40 | 64) && commit.bytes().all(|it| it.is_ascii_hexdigit());
    if answer.status.success() && is_id {
        Ok(commit)
    } else {
        let said = format!("`{name}` stands for no commit");
        Err(GitError::Failed { step: "rev-parse", said })
    }
}

/// The size of all files below a folder. Files that come and go meanwhile are left out.
fn folder_bytes(folder: &Path) -> u64 {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .flatten()
        .filter_map(|it| it.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .map(|it| it.len())
        .sum()
}
