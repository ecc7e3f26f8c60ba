//! The session: one scan from its first to its final status.
//!
//! Input: a task. Output: a result and a final status.
//!
//! Invariants: the result is durable before the status is `completed`; every outcome writes a final
//! status, except a stop by a signal: whoever sent it writes the final status; and a repository that has not
//! changed: the shim completes it with the stored result.

use super::{
    error::ScanError,
    git::{self, Blobs, Checkout, Git, GitError, GitTree, Reference},
    isolation::Isolation,
    local::{self, Folder, Local, LocalError, Place, WorkTree},
    reporter::Reporter,
    result::{self, Scanned},
    scan::{ParserFor, Scan, ScanFindings, scan},
    stop::Stop,
};
use crate::{
    model::{pattern::Pattern, redact::Redactor, scan_result::Warning, task::ScanTask},
    store::{StoreError, chain, trash},
    sys::{
        cpu::CpuClock,
        memory::{MemoryWatch, Victim},
    },
};
use chrono::Utc;
use std::{
    backtrace::Backtrace,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How a scan ended.
#[derive(Debug)]
pub enum ScanEnd {
    /// The status file says `completed`.
    Completed,
    /// The status file reports that the known result is that of this scan, too.
    Unchanged,
    /// The status file says `failed`, with the cause.
    Failed,
    /// Stopped by this signal; the status file is unchanged.
    Stopped(i32),
    /// The final status could not be written.
    Unwritten(StoreError),
}

/// The resources of a scan, in addition to its task.
pub(super) struct Resources<'a> {
    pub(super) parser_for: ParserFor,
    pub(super) stop: &'a Stop,
    pub(super) memory: MemoryWatch,
    pub(super) cpu: CpuClock,
    pub(super) isolation: Isolation,
}

/// Runs the scan of a task.
pub(super) fn perform(task: &ScanTask, resources: Resources<'_>) -> ScanEnd {
    let Resources { parser_for, stop, mut memory, cpu, isolation } = resources;
    let mut session = Session::start(task, parser_for, stop, cpu);
    let done = session.begin(&isolation).and_then(|()| session.scan());
    session.cpu.note_others();
    let is_over_budget = session.cpu.used() >= Duration::from_secs(task.limits.max_cpu_secs);
    let written = match done.map_err(|error| with_evidence(error, &mut memory, is_over_budget)) {
        Ok(None) => {
            session.reporter.log().info("nothing has changed since the scan that is known");
            session.reporter.end_unchanged().map(|()| ScanEnd::Unchanged)
        }
        Ok(Some(packages)) => {
            let message = format!("Completed: {packages} packages");
            session.reporter.log().info(&message);
            session.reporter.complete(&message).map(|()| ScanEnd::Completed)
        }
        Err(error) => {
            if let Some(signal) = error.stopped() {
                session.reporter.log().warn(&format!("stopped by signal {signal}"));
                return ScanEnd::Stopped(signal);
            }
            session.give_back();
            let traceback = error.is_internal().then(|| Backtrace::force_capture().to_string());
            session
                .reporter
                .fail(&error.failure(), error.name(), traceback.as_deref())
                .map(|()| ScanEnd::Failed)
        }
    };
    written.unwrap_or_else(|error| {
        session.reporter.log().error(&chain(&error));
        ScanEnd::Unwritten(error)
    })
}

/// Replaces an error that a killed git may have caused by the kernel's evidence: git itself cannot
/// report it.
fn with_evidence(error: ScanError, memory: &mut MemoryWatch, is_over_budget: bool) -> ScanError {
    match error {
        ScanError::Git(error) if error.may_be_a_death() && is_over_budget => {
            GitError::TooMuchWork.into()
        }
        ScanError::Git(error)
            if error.may_be_a_death() && memory.has_killed(Victim::Named("git")) =>
        {
            GitError::OutOfMemory { said: format!("the kernel killed git; {error}") }.into()
        }
        other => other,
    }
}

struct Session<'a> {
    task: &'a ScanTask,
    parser_for: ParserFor,
    stop: &'a Stop,
    cpu: CpuClock,
    redactor: Redactor,
    reporter: Reporter,
    exclude: Vec<Pattern>,
    begin: Instant,
}

impl<'a> Session<'a> {
    fn start(task: &'a ScanTask, parser_for: ParserFor, stop: &'a Stop, cpu: CpuClock) -> Self {
        let redactor = Redactor::of_logins(task.logins());
        let reporter = Reporter::start(task, redactor.clone());
        reporter.log().info(&format!("scanning {} ({})", task.repo_name, task.git_url));
        let begin = Instant::now();
        Self { task, parser_for, stop, cpu, redactor, reporter, exclude: Vec::new(), begin }
    }

    /// Logs the sandbox level of this process, and reads the patterns of the task.
    fn begin(&mut self, isolation: &Isolation) -> Result<(), ScanError> {
        let line = isolation.describe();
        if isolation.is_too_low() {
            return Err(ScanError::Isolation(line));
        }
        if isolation.level.is_full() {
            self.reporter.log().info(&line);
        } else {
            self.reporter.log().warn(&line);
        }
        let patterns = self.task.exclude_paths.iter().map(|text| Pattern::of_path(text));
        self.exclude = patterns.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Scans, writes the result, and returns the number of packages; `None` if the known result is that of this scan, too.
    fn scan(&self) -> Result<Option<usize>, ScanError> {
        if self.task.check_only {
            let git = self.git()?;
            return Ok(if self.has_known_commit(&git)? { None } else { Some(0) });
        }
        let path = Path::new(&self.task.git_url);
        let scanned = if self.task.network.local_paths && path.is_absolute() {
            self.scan_local(path)?
        } else {
            match self.scan_remote()? {
                Some(scanned) => scanned,
                None => return Ok(None),
            }
        };
        self.give_back();
        let count = scanned.findings.packages.len();
        let files = scanned.findings.files;
        self.reporter.log().info(&format!(
            "{} files seen, {} parsed, {} failed, {} skipped ({} of them excluded); {count} packages",
            files.seen, files.parsed, files.failed, files.skipped, files.excluded
        ));
        let files_digest = scanned.findings.files_digest.clone();
        self.reporter.update(|figures| figures.files_digest = files_digest);
        result::write(self.task, &self.redactor, scanned, self.begin.elapsed())?;
        Ok(Some(count))
    }

    /// Removes the fetched repository: the result and the final status need the space.
    fn give_back(&self) {
        trash::remove_from_scratch(&self.task.work_dir, git::REPOSITORY);
    }

    /// Scans a remote repository; `None` if nothing has changed.
    fn scan_remote(&self) -> Result<Option<Scanned>, ScanError> {
        let git = self.git()?;
        if self.has_known_commit(&git)? {
            return Ok(None);
        }
        let scanned = match self.fetch_and_scan(&git, Blobs::WithFew) {
            Err(ScanError::Git(GitError::Withheld { said })) => {
                let message = "the server does not serve single files; fetching all of them";
                self.reporter.log().warn(&format!("{message} ({said})"));
                self.fetch_and_scan(&git, Blobs::AtOnce)
            }
            done => done,
        }?;
        if !scanned.findings.is_unchanged {
            return Ok(Some(scanned));
        }
        let seen = scanned.findings.files.seen;
        self.reporter.update(|figures| figures.files_seen = Some(seen));
        Ok(None)
    }

    /// Whether the forge still has the commit of the known result.
    fn has_known_commit(&self, git: &Git) -> Result<bool, ScanError> {
        let known = self.task.known.as_ref().map(|known| &known.commit);
        if known.is_none() && !self.task.check_only {
            return Ok(false);
        }
        let commit = git::current_commit(git, self.task, &self.reporter)?;
        let is_known = known.is_some() && commit.as_ref() == known;
        self.reporter.update(|figures| {
            figures.checked_at = commit.is_some().then(Utc::now);
            // Of a commit that is fetched, the fetch names the id.
            figures.commit = commit.filter(|_| is_known || self.task.check_only);
        });
        Ok(is_known)
    }

    fn fetch_and_scan(&self, git: &Git, blobs: Blobs) -> Result<Scanned, ScanError> {
        match git::fetch(git, self.task, &self.reporter, blobs)? {
            None => Ok(Scanned::of(self.nothing(), None)),
            Some(fetched) => {
                let tree = GitTree::of_fetched(git, fetched)?;
                let (commit, seconds) = (tree.commit(), seconds(self.begin.elapsed()));
                self.reporter.log().info(&format!("fetched commit {commit} in {seconds}"));
                self.scan_commit(tree)
            }
        }
    }

    fn scan_local(&self, path: &Path) -> Result<Scanned, ScanError> {
        match local::open(path)? {
            Local::Bare(repository) => {
                let reference = Reference::parse(self.task.reference.as_deref())?;
                let git = self.git()?;
                match GitTree::of_local(&git, &repository, &reference)? {
                    Some(tree) => self.scan_commit(tree),
                    None => Ok(Scanned::of(self.nothing(), None)),
                }
            }
            Local::WorkTree(place) if self.task.reference.is_some() => {
                Err(LocalError::ReferenceOfFolder { path: place.folder() }.into())
            }
            Local::WorkTree(place) => self.scan_work_tree(&place),
            Local::Folder(path) if self.task.reference.is_some() => {
                Err(LocalError::ReferenceOfFolder { path }.into())
            }
            Local::Folder(path) => self.scan_folder(path),
        }
    }

    fn scan_folder(&self, path: PathBuf) -> Result<Scanned, ScanError> {
        Ok(Scanned::of(scan(&mut Folder::new(path, self.stop), self.with())?, None))
    }

    /// Scans a work tree. Without git, or if git cannot read it, it is a plain folder.
    fn scan_work_tree(&self, place: &Place) -> Result<Scanned, ScanError> {
        let git = match self.git() {
            Ok(git) => git,
            Err(error) => return self.scan_unread(place, error),
        };
        let mut tree = match self.open_work_tree(&git, place) {
            Ok(Some(tree)) => tree,
            // Whoever names an ignored folder wants it read.
            Ok(None) => return self.scan_folder(place.folder()),
            Err(error) => return self.scan_unread(place, error.into()),
        };
        let commit = tree.commit().map(str::to_owned);
        self.reporter.update(|figures| figures.commit.clone_from(&commit));
        let mut scanned = Scanned::of(scan(&mut tree, self.with())?, commit);
        if scanned.commit.is_some() {
            match tree.is_dirty(&self.task.limits) {
                Ok(dirty) => scanned.dirty = dirty,
                Err(GitError::Stopped(signal)) => return Err(ScanError::Stopped(signal)),
                Err(error) => {
                    let message = "it is unknown whether the work tree differs from its commit";
                    self.warn(&mut scanned, format!("{message}: {}", chain(&error)));
                }
            }
        }
        Ok(scanned)
    }

    /// Opens a work tree; `None` for a folder in it that is ignored as a whole.
    fn open_work_tree<'g>(
        &self,
        git: &'g Git,
        place: &Place,
    ) -> Result<Option<WorkTree<'g>>, GitError> {
        let limits = &self.task.limits;
        let checkout = Checkout::open(git, &place.top, &place.git_dir, &place.part)?;
        let tree = WorkTree::open(checkout, limits, self.task.no_ignore, self.stop)?;
        Ok(if tree.is_ignored(limits)? { None } else { Some(tree) })
    }

    /// Scans a work tree that git cannot read.
    fn scan_unread(&self, place: &Place, error: ScanError) -> Result<Scanned, ScanError> {
        if error.stopped().is_some() {
            return Err(error);
        }
        let mut scanned = self.scan_folder(place.folder())?;
        let message =
            "ignored files are read too, because git cannot read the repository of this folder";
        self.warn(&mut scanned, format!("{message}: {}", chain(&error)));
        Ok(scanned)
    }

    /// Adds a warning about the whole repository.
    fn warn(&self, scanned: &mut Scanned, message: String) {
        self.reporter.log().warn(&message);
        let warning = Warning { file: String::new(), line: None, message };
        scanned.findings.warnings.insert(0, warning);
    }

    fn scan_commit(&self, mut tree: GitTree<'_>) -> Result<Scanned, ScanError> {
        let commit = tree.commit().to_owned();
        self.reporter.update(|figures| figures.commit = Some(commit.clone()));
        Ok(Scanned::of(scan(&mut tree, self.with())?, Some(commit)))
    }

    fn git(&self) -> Result<Git, ScanError> {
        let git = Git::new(&self.task.work_dir, self.stop)?;
        // The version is the same for all repositories of a job, and the query starts a process.
        if self.task.repo_index == 0 {
            git::warn_if_old(&git, self.reporter.log())?;
        }
        Ok(git)
    }

    fn with(&self) -> Scan<'_> {
        Scan {
            limits: &self.task.limits,
            reporter: &self.reporter,
            stop: self.stop,
            cpu: &self.cpu,
            parser_for: self.parser_for,
            exclude: &self.exclude,
            deep: self.task.deep,
            archives: self.task.archives,
            module_caches: &self.task.module_caches,
            categories: &self.task.categories,
            known: self.task.known.as_ref(),
        }
    }

    /// A repository without commits is not a failure: it has no packages.
    fn nothing(&self) -> ScanFindings {
        let message = "the repository is empty: it has no commit".to_owned();
        self.reporter.log().warn(&message);
        self.reporter.update(|figures| {
            figures.total_files = Some(0);
            figures.dependencies_found = Some(0);
        });
        let warning = Warning { file: String::new(), line: None, message };
        ScanFindings { warnings: vec![warning], ..ScanFindings::default() }
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
