//! Fetches one commit of a repository into a bare folder, and of its blobs those that are wanted.
//!
//! Input: the task. Output: the folder and the commit, or that there is none; later, blobs by their
//! ids.
//!
//! A small repository is fetched in one request, without its large blobs: a second request would
//! take longer than it saves. As soon as git reports more objects, the commit is fetched without
//! blobs ("partial clone"), and the wanted blobs follow in one request once they are known: of
//! large repositories that is a small part. A server that does not support filters sends everything
//! at once.
//!
//! Invariants: timeouts, size limits and stop requests end the fetch from outside, whatever git and
//! the server do; git's progress messages update the status file.

use super::{
    Git, GitError,
    command::Call,
    diagnosis::diagnose,
    process::{Nudge, Running},
    progress::{LastWords, Listener, Progress},
    reference::Reference,
    remote::Remote,
    repository,
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

/// The ref under which the commit is kept; no branch or tag of the server can have this name here.
pub(super) const KEPT_AS: &str = "refs/scan/head";
/// Options of every fetch: only the commit, no submodules, and progress messages.
const ALWAYS: [&str; 4] =
    ["--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--progress"];
const WITHOUT_BLOBS: &str = "--filter=blob:none";
/// Includes nearly every manifest and most lock files.
const WITHOUT_LARGE_BLOBS: &str = "--filter=blob:limit=64k";
/// The maximum number of objects of a small repository. With typical sources they amount to about a
/// megabyte, which takes no longer than a second request.
const FEW_OBJECTS: u64 = 500;
/// How often the folder's size is measured.
const MEASURE: Duration = Duration::from_secs(1);
/// The minimum rate at which git resolves deltas, in fetched bytes per second. The resolved objects
/// may be thousands of times as large.
const SLOWEST_RESOLVING: u64 = 2 << 20;
/// When the blobs of a commit are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blobs {
    /// With the commit, except large ones, if there are few objects; otherwise later.
    WithFew,
    /// Once it is known which are wanted.
    Later,
    /// All of them with the commit.
    AtOnce,
}

/// A commit that was fetched.
#[derive(Debug)]
pub(crate) struct Fetched<'a> {
    /// The folder with the commit, under [`KEPT_AS`].
    pub(super) repository: PathBuf,
    /// The origin of the blobs that are not in the folder.
    pub(super) source: FetchSource<'a>,
}

/// Fetches the task's commit; `None` if the repository has no commit at all.
pub(crate) fn fetch<'a>(
    git: &'a Git,
    task: &'a ScanTask,
    reporter: &'a Reporter,
    blobs: Blobs,
) -> Result<Option<Fetched<'a>>, GitError> {
    let reference = Reference::parse(task.reference.as_deref())?;
    let remote = Remote::of(task)?;
    reporter.enter(Work::Cloning, Stage::Fetch, &format!("Connecting to {}", remote.host()));
    let mut source = FetchSource { git, task, reporter, remote, reference, blobs };
    let mut format = "sha1";
    loop {
        match source.start_over(format) {
            Ok(true) => break,
            Ok(false) => return Ok(None),
            Err(GitError::ObjectFormat { .. }) if format == "sha1" => format = "sha256",
            // Many servers do not admit that there is a private repository.
            Err(
                GitError::CredentialsNeeded { .. }
                | GitError::Forbidden { .. }
                | GitError::RepositoryNotFound { .. },
            ) if source.remote.offer_credentials() => {}
            Err(GitError::NotFew) => {
                source.blobs = Blobs::Later;
                trash::remove_from_scratch(git.work_dir(), REPOSITORY);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Some(Fetched { repository: source.repository(format), source }))
}

/// The origin of a repository, with everything that fetching needs.
#[derive(Debug)]
pub(super) struct FetchSource<'a> {
    git: &'a Git,
    task: &'a ScanTask,
    reporter: &'a Reporter,
    remote: Remote,
    reference: Reference,
    blobs: Blobs,
}

/// The prefix of folders that repositories are fetched into.
pub(crate) const REPOSITORY: &str = "repository-";

/// The name of the folder of a repository with this object format.
pub(super) fn folder_name(object_format: &str) -> String {
    format!("{REPOSITORY}{object_format}.git")
}

/// State that a fetch's watch and the reader of its messages share.
#[derive(Debug, Default)]
struct Signs {
    heard: AtomicBool,
    /// There are too many objects for one request.
    is_much: AtomicBool,
    bytes_on_disk: AtomicU64,
    /// Everything has been received, and git resolves the deltas.
    resolving: AtomicBool,
}

impl FetchSource<'_> {
    /// The folder of a repository with this object format.
    fn repository(&self, object_format: &str) -> PathBuf {
        let whole = if self.blobs == Blobs::AtOnce { "whole-" } else { "" };
        self.git.work_dir().join(folder_name(&format!("{whole}{object_format}")))
    }

    /// Creates a folder with this object format and fetches the commit into it; returns whether
    /// there is one.
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

    /// Handles a missing default branch: the repository is empty, its default branch is named
    /// wrongly, or this is not a repository. A server that sends nothing in git's protocol (an
    /// empty page) must not pass for an empty repository.
    fn without_default_branch(&self, repository: &Path) -> Result<bool, GitError> {
        let step = "ls-remote";
        // The trace is inside the measured folder, because a trace of many refs is long. It
        // contains git's protocol, not the headers with the credentials.
        let trace = repository.join("packets");
        let refs = self
            .git
            .with_remote(step, repository, &self.remote)
            .traced_to(&trace)
            .args([step, "--quiet", "--", self.remote.url()])
            .start(Stdio::null(), self.watch(repository, Arc::default()))?
            .output()?
            .successful(step)?;
        let spoke = trace.metadata().is_ok_and(|facts| facts.len() > 0);
        if !spoke {
            let said = "it did not list branches in git's protocol".to_owned();
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
            // A server may support one filter and not another.
            GitError::Failed { said, .. } if said.contains("filter 'blob:limit' not supported") => {
                GitError::NotFew
            }
            other => other,
        })
    }

    /// Fetches omitted blobs in one request.
    ///
    /// # Errors
    /// [`GitError::Withheld`] if fetching everything at once may help.
    pub(super) fn bring(&self, repository: &Path, ids: &BTreeSet<String>) -> Result<(), GitError> {
        let message = format!("Fetching {} files", ids.len());
        self.reporter.update(|figures| figures.message = message);
        let call = self
            .git
            .with_remote("fetch", repository, &self.remote)
            // Nothing here helps the server to decide what to omit.
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

    /// Runs a fetch to its end and passes it object ids on standard input.
    fn run(
        &self,
        call: Call,
        repository: &Path,
        ids: Option<&BTreeSet<String>>,
    ) -> Result<(), GitError> {
        let signs = Arc::new(Signs::default());
        let input = if ids.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut running =
            call.with_traced_headers().start(input, self.watch(repository, Arc::clone(&signs)))?;
        let (questions, pipe) = (running.stdin(), running.stderr());
        let nudge = (self.blobs == Blobs::WithFew && ids.is_none()).then(|| running.nudge());
        let (ended, last_words) = thread::scope(|scope| {
            // git reads all ids before it starts; a broken pipe means that git has exited.
            scope.spawn(move || {
                let mut questions = questions?;
                ids?.iter().try_for_each(|id| writeln!(questions, "{id}")).ok()
            });
            // `finish` closes the pipe even if a helper process holds it open.
            let listener = scope.spawn(|| self.listen(pipe, &signs, nudge));
            let ended = Running::finish(running);
            (ended, listener.join().unwrap_or_default())
        });
        let most = self.task.limits.max_fetch_bytes;
        if !ended?.success() {
            // git does not always report that a file size limit stopped it.
            if folder_bytes(repository) >= most {
                return Err(GitError::TooLarge { most });
            }
            return Err(diagnose(&last_words, &self.remote, &self.reference, most));
        }
        let bytes = folder_bytes(repository);
        self.reporter
            .update(|figures| figures.download_bytes = figures.download_bytes.max(Some(bytes)));
        if bytes > most { Err(GitError::TooLarge { most }) } else { Ok(()) }
    }

    /// Decides whether the fetch has to be killed, and why.
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
        // Counted by ticks, so that time in which this process was stopped does not count.
        let mut resolved_for = 0;
        move || {
            if signs.is_much.load(Ordering::Relaxed) {
                return Some(GitError::NotFew);
            }
            let silent = !signs.heard.load(Ordering::Relaxed);
            // curl's own connect timeout is five minutes and cannot be set through git.
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

    /// Turns git's messages into figures and returns the last messages. With a `nudge`, kills a
    /// transfer of more than a few objects, unless the server ignores filters anyway.
    fn listen(
        &self,
        pipe: Option<impl Read>,
        signs: &Signs,
        mut nudge: Option<Nudge>,
    ) -> LastWords {
        let mut listener = Listener::default();
        let Some(mut pipe) = pipe else { return LastWords::default() };
        let mut piece = [0; 4096];
        let mut objects = 0;
        // A broken pipe means the end.
        while let Ok(length @ 1..) = pipe.read(&mut piece) {
            let on_disk = signs.bytes_on_disk.load(Ordering::Relaxed);
            listener.hear(&piece[..length], |progress| {
                signs.resolving.store(progress.is_resolving, Ordering::Relaxed);
                objects = objects.max(progress.objects.unwrap_or(0));
                self.show(progress, on_disk);
            });
            signs.heard.store(listener.has_heard(), Ordering::Relaxed);
            if objects > FEW_OBJECTS
                && !listener.is_unfiltered()
                && let Some(nudge) = nudge.take()
            {
                signs.is_much.store(true, Ordering::Relaxed);
                nudge.look();
            }
        }
        listener.finish()
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

/// The size of all files below a folder. Files that come and go meanwhile are not counted.
fn folder_bytes(folder: &Path) -> u64 {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .map(|facts| facts.len())
        .sum()
}
