//! The fetch: one commit of a repository comes into a bare folder, and of its blobs those that are
//! wanted.
//!
//! Input: the task. Output: the folder and the commit, or that there is none; later,
//! blobs by their ids. A small repository comes in one go, large blobs aside: a second fetch would take
//! longer than what it spares. As soon as git says that there is more, the commit is fetched without its
//! blobs ("partial clone"), and those that a parser wants come all at once, when it is known which: of
//! large repositories a small part. A server that leaves nothing out sends everything at once.
//! Invariants: silence, size and the wish to stop end it from outside, whatever git
//! and the server do; what it says meanwhile moves the figures of the status file.

use super::{
    Git, GitError,
    command::Call,
    diagnosis::diagnose,
    process::{Nudge, Running},
    progress::{Listener, Progress},
    reference::Reference,
    remote::Remote,
    repository,
    tree::GitTree,
};
use crate::{
    model::{state::Work, task::ScanTask},
    store::trash,
    worker::{reporter::Reporter, status::Stage},
};
use std::{
    collections::BTreeSet,
    io::{Read, Write},
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
/// What every fetch is told: the commit alone, no submodules, and how it gets on.
const ALWAYS: [&str; 4] =
    ["--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--progress"];
const WITHOUT_BLOBS: &str = "--filter=blob:none";
/// Room for nearly every manifest and for most lock files.
const WITHOUT_LARGE_BLOBS: &str = "--filter=blob:limit=64k";
/// The most objects that a small repository has. Of usual sources they come to about a megabyte, which
/// takes no longer than another connection and its questions.
const FEW_OBJECTS: u64 = 500;
/// How often the folder is measured.
const MEASURE: Duration = Duration::from_secs(1);
/// What git puts together of differences in a second, at the least. It is counted in what was
/// fetched: what that comes to may be thousands of times as much.
const SLOWEST_RESOLVING: u64 = 2 << 20;
/// For calls that only touch our own folder.
pub(super) const SHORT_CALL: Duration = Duration::from_mins(1);

/// When the blobs of a commit are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blobs {
    /// All but large ones with the commit, if there are few; else later.
    WithFew,
    /// Those that are wanted, once they are.
    Later,
    /// All of them, with the commit.
    AtOnce,
}

/// Fetches what the task names; none if the repository has no commit at all.
pub(crate) fn fetch<'a>(
    git: &'a Git,
    task: &'a ScanTask,
    reporter: &'a Reporter,
    blobs: Blobs,
) -> Result<Option<GitTree<'a>>, GitError> {
    let reference = Reference::parse(task.reference.as_deref())?;
    let remote = Remote::of(task)?;
    reporter.enter(Work::Cloning, Stage::Fetch, &format!("Connecting to {}", remote.host()));
    let mut source = Source { git, task, reporter, remote, reference, blobs };
    let mut format = "sha1";
    loop {
        match source.start_over(format) {
            Ok(true) => break,
            Ok(false) => return Ok(None),
            Err(GitError::ObjectFormat { .. }) if format == "sha1" => format = "sha256",
            Err(GitError::NotFew) => {
                source.blobs = Blobs::Later;
                trash::remove_from_scratch(git.work_dir(), REPOSITORY);
            }
            Err(error) => return Err(error),
        }
    }
    GitTree::fetched(git, source.repository(format), KEPT_AS, source).map(Some)
}

/// Where a repository is fetched from, and all that it takes.
#[derive(Debug)]
pub(super) struct Source<'a> {
    git: &'a Git,
    task: &'a ScanTask,
    reporter: &'a Reporter,
    remote: Remote,
    reference: Reference,
    blobs: Blobs,
}

/// What the folders begin with that are fetched into.
pub(crate) const REPOSITORY: &str = "repository-";

/// What the watch of a fetch and the reader of its words tell each other.
#[derive(Debug, Default)]
struct Signs {
    heard: AtomicBool,
    /// There is more than should come in one go.
    is_much: AtomicBool,
    bytes_on_disk: AtomicU64,
    /// All has come, and git puts together what came as differences.
    resolving: AtomicBool,
}

impl Source<'_> {
    /// The folder for a repository of this object format.
    fn repository(&self, object_format: &str) -> PathBuf {
        let whole = if self.blobs == Blobs::AtOnce { "whole-" } else { "" };
        self.git.work_dir().join(format!("{REPOSITORY}{whole}{object_format}.git"))
    }

    /// From nothing to the commit, with a folder of this object format; whether there is a commit.
    fn start_over(&self, object_format: &str) -> Result<bool, GitError> {
        let repository = self.repository(object_format);
        repository::create(&repository, object_format)
            .map_err(|source| GitError::Folder { source })?;
        match self.transfer(&repository) {
            Ok(()) => Ok(true),
            Err(GitError::ReferenceNotFound { .. }) if self.reference.is_default() => {
                self.without_default_branch(&repository)
            }
            Err(error) => Err(error),
        }
    }

    /// No default branch: then either there is none at all, or it was named wrongly, or this
    /// is no repository. A server that says nothing at all in git's protocol (an empty page)
    /// would otherwise pass for an empty repository.
    fn without_default_branch(&self, repository: &Path) -> Result<bool, GitError> {
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
        if refs.text().is_empty() { Ok(false) } else { Err(GitError::NoDefaultBranch) }
    }

    fn transfer(&self, repository: &Path) -> Result<(), GitError> {
        let filter: &[&str] = match self.blobs {
            Blobs::WithFew => &[WITHOUT_LARGE_BLOBS],
            Blobs::Later => &[WITHOUT_BLOBS],
            Blobs::AtOnce => &[],
        };
        let call = self
            .git
            .with_remote("fetch", repository, &self.remote)
            .args(["fetch", "--depth=1"])
            .args(ALWAYS)
            .args(filter.iter().copied())
            .args(["--", self.remote.url()])
            .arg(format!("+{}:{KEPT_AS}", self.reference.name()));
        self.run(call, repository, None).map_err(|error| match error {
            // A server may allow one filter and forbid another.
            GitError::Failed { said, .. } if said.contains("filter 'blob:limit' not supported") => {
                GitError::NotFew
            }
            other => other,
        })
    }

    /// Fetches blobs that were left out, all in one go.
    ///
    /// # Errors
    /// [`GitError::Withheld`] where it may help to fetch everything at once.
    pub(super) fn bring(&self, repository: &Path, ids: &BTreeSet<String>) -> Result<(), GitError> {
        let message = format!("Fetching {} files", ids.len());
        self.reporter.update(|it| it.message = message);
        let call = self
            .git
            .with_remote("fetch", repository, &self.remote)
            // There is nothing here from which the server could tell what it may leave out.
            .before("fetch.negotiationAlgorithm=noop")
            .arg("fetch")
            .args(ALWAYS)
            .args([WITHOUT_BLOBS, "--stdin", "--", self.remote.url()]);
        self.run(call, repository, Some(ids)).map_err(|error| match error {
            GitError::Failed { said, .. }
            | GitError::ReferenceNotFound { said, .. }
            | GitError::NotSmart { said, .. }
            | GitError::Server { said, .. } => GitError::Withheld { said },
            other => other,
        })
    }

    /// Runs a fetch to its end, and gives it ids of objects to read.
    fn run(
        &self,
        call: Call,
        repository: &Path,
        ids: Option<&BTreeSet<String>>,
    ) -> Result<(), GitError> {
        let signs = Arc::new(Signs::default());
        let input = if ids.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut running = call.start(input, self.watch(repository, Arc::clone(&signs)))?;
        let (questions, pipe) = (running.stdin(), running.stderr());
        let nudge = (self.blobs == Blobs::WithFew && ids.is_none()).then(|| running.nudge());
        let (ended, last_words) = thread::scope(|scope| {
            // git reads all of them before it begins; a pipe that breaks has ended.
            scope.spawn(move || {
                let mut questions = questions?;
                ids?.iter().try_for_each(|id| writeln!(questions, "{id}")).ok()
            });
            // Its end closes the pipe, also where a helper would hold it open.
            let listener = scope.spawn(|| self.listen(pipe, &signs, nudge));
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
            if signs.is_much.load(Ordering::Relaxed) {
                return Some(GitError::NotFew);
            }
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

    /// Turns what git says into figures; returns its last words. Where there is a `nudge`, it ends a
    /// transfer of more than a few objects, unless the server would leave nothing out of another.
    fn listen(
        &self,
        pipe: Option<impl Read>,
        signs: &Signs,
        mut nudge: Option<Nudge>,
    ) -> Vec<String> {
        let mut listener = Listener::default();
        let Some(mut pipe) = pipe else { return Vec::new() };
        let mut piece = [0; 4096];
        let mut objects = 0;
        // A pipe that breaks has ended.
        while let Ok(length @ 1..) = pipe.read(&mut piece) {
            signs.heard.store(true, Ordering::Relaxed);
            let on_disk = signs.bytes_on_disk.load(Ordering::Relaxed);
            listener.hear(&piece[..length], |progress| {
                signs.resolving.store(progress.is_resolving, Ordering::Relaxed);
                objects = objects.max(progress.objects.unwrap_or(0));
                self.show(progress, on_disk);
            });
            if objects > FEW_OBJECTS
                && !listener.is_unfiltered()
                && let Some(nudge) = nudge.take()
            {
                signs.is_much.store(true, Ordering::Relaxed);
                nudge.look();
            }
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
