//! One job's folder: which of its files are as they were, and what the others say now.
//!
//! What must stay true: a file is read only if it is another than before; one that makes no sense
//! keeps what it said last, and is read again for a while before it counts as broken; an end is held
//! back until it has been flushed.

use super::WatchOptions;
use crate::{
    live::{
        Live,
        job::{LiveJob, SharedJob},
    },
    model::{master::Master, repository::RepositoryStatus},
    store::{
        layout::{JobDir, JobFile},
        read::{self, Signature, is_absence, is_missing_folder},
    },
};
use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

/// When a file that could not be understood is read again: half a file of a writer that does not
/// rename is whole a moment later.
const SECOND_LOOK: Duration = Duration::from_millis(50);
/// For how long it is read again and again, until it counts as broken.
const PATIENCE: Duration = Duration::from_millis(500);

/// A job's folder, as far as the thread needs to know it.
pub(super) struct Folder {
    pub(super) job: SharedJob,
    pub(super) dir: JobDir,
    pub(super) files: BTreeMap<JobFile, Known>,
    /// The folder's own facts when it was last listed.
    pub(super) listed: Option<Signature>,
    pub(super) watch: Watch,
    /// Since when nothing in it has changed. By the clock that nobody can set.
    still_since: Instant,
    /// Ends that are being flushed, and are not told yet.
    pub(super) held: BTreeMap<JobFile, Held>,
}

/// An end that is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// Until this content is on the disk.
    Flushing(Signature),
    /// It is, and may be told.
    Flushed(Signature),
}

/// Whether an end that is news is held back until it is flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// What is found at the start: its writers are done with it, or will have it written anew.
    ToldAtOnce,
    ToldOnceFlushed,
}

/// What is to be done about a file after it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    /// What is in it makes no sense: look again then.
    LookAgain(Instant),
    /// An end is in it that is not told before this content has been flushed.
    Flush(Signature),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    Notified,
    /// For want of watches it is looked at.
    Polled,
    /// Over and quiet: only the folder's own facts are compared.
    Off,
}

pub(super) struct Known {
    signature: Option<Signature>,
    /// Since when its content cannot be understood.
    pub(super) broken_since: Option<Instant>,
}

impl Folder {
    /// A folder of which nothing has been read yet, and its own facts.
    pub(super) fn new(job: SharedJob, dir: JobDir, facts: &Signature) -> Self {
        Self {
            job,
            dir,
            files: BTreeMap::new(),
            listed: None,
            watch: Watch::Off,
            still_since: moment_of(facts.changed_at()),
            held: BTreeMap::new(),
        }
    }

    /// Whether nothing has changed for a resync period.
    pub(super) fn is_quiet(&self, options: &WatchOptions) -> bool {
        self.is_told() && self.still_since.elapsed() >= options.resync_interval
    }

    /// Whether one of its files cannot be understood, so that it is worth another look.
    pub(super) fn has_broken_files(&self) -> bool {
        self.files.values().any(|it| it.broken_since.is_some())
    }

    pub(super) fn is_over_and_quiet(&self, options: &WatchOptions) -> bool {
        self.job.facts().state.is_final()
            && self.job.facts().summary.in_progress == 0
            && self.is_quiet(options)
    }

    /// Reads a file if it changed, and tells what is in it.
    pub(super) fn read(&mut self, file: JobFile, live: &Live, ends: Ends) -> Next {
        let path = self.dir.file(file);
        let signature = Signature::at(&path);
        let known = self.files.get(&file);
        let broken_since = known.and_then(|it| it.broken_since);
        if known.is_some_and(|it| it.signature == signature) && broken_since.is_none() {
            return Next::Nothing;
        }
        let held = self.held.get(&file).copied();
        if let (Some(Held::Flushing(held)), Some(now)) = (held, signature)
            && held == now
        {
            return Next::Nothing;
        }
        let (signature, problem) = match look(file, &path) {
            Ok((content, now)) => {
                let flushed = held == Some(Held::Flushed(now)) || ends == Ends::ToldAtOnce;
                if content.is_end() && !flushed && self.is_ours() {
                    self.held.insert(file, Held::Flushing(now));
                    return Next::Flush(now);
                }
                self.held.remove(&file);
                content.tell(&self.job);
                (Some(now), None)
            }
            // With the whole folder, or the jobs folder: their own fate decides, they may come back.
            Err(Unread::Missing) if is_missing_folder(self.dir.path()) => return Next::Nothing,
            Err(Unread::Missing) => {
                self.files.remove(&file);
                self.held.remove(&file);
                self.job.apply_missing(file);
                return Next::Nothing;
            }
            Err(Unread::Problem(text)) => (signature, Some(text)),
        };
        let is_new = known.is_none_or(|it| it.signature != signature);
        let changed_at = signature.map_or_else(SystemTime::now, |it| it.changed_at());
        if is_new {
            // What is found at the start may be old; later, what is found has just changed.
            self.still_since = if live.is_ready() { Instant::now() } else { moment_of(changed_at) };
        }
        let Some(problem) = problem else {
            if is_new {
                live.note_taken_in(changed_at);
            }
            self.files.insert(file, Known { signature, broken_since: None });
            return Next::Nothing;
        };
        live.note(|health| health.failed_reads += 1);
        let since = broken_since.unwrap_or_else(Instant::now);
        self.files.insert(file, Known { signature, broken_since: Some(since) });
        // Perhaps a writer is in the middle of it: what it said before stays, in silence at first.
        let now = Instant::now();
        if now.duration_since(since) < PATIENCE {
            return Next::LookAgain(now + SECOND_LOOK);
        }
        self.job.apply_problem(file, problem);
        Next::Nothing
    }

    /// This content of a file is on the disk: if there is no other by now, it may be told.
    pub(super) fn note_flushed(&mut self, file: JobFile, signature: Signature) {
        if self.held.get(&file) == Some(&Held::Flushing(signature)) {
            self.held.insert(file, Held::Flushed(signature));
        }
    }

    /// Forgets what is being flushed, so that it is read again: should the word of it be lost, the
    /// end would never be told.
    pub(super) fn hold_nothing(&mut self) {
        self.held.retain(|_, it| matches!(it, Held::Flushed(_)));
    }

    /// Whether nothing of it is held back.
    pub(super) fn is_told(&self) -> bool {
        !self.held.values().any(|it| matches!(it, Held::Flushing(_)))
    }

    /// What other programs write is flushed by them, or not: nothing was promised of it.
    fn is_ours(&self) -> bool {
        self.dir.plan().is_file()
    }
}

/// What is in a file.
enum Content {
    Master(Master, Vec<String>),
    Repository(RepositoryStatus, Vec<String>),
}

impl Content {
    /// Whether it is an end: of the job, or of the repository.
    fn is_end(&self) -> bool {
        match self {
            Self::Master(master, _) => master.final_state().is_some(),
            Self::Repository(status, _) => status.state.is_final(),
        }
    }

    fn tell(self, job: &LiveJob) {
        match self {
            Self::Master(master, warnings) => job.apply_master(master, warnings),
            Self::Repository(status, warnings) => job.apply_repository(status, warnings),
        }
    }
}

fn look(file: JobFile, path: &Path) -> Result<(Content, Signature), Unread> {
    let cap = match file {
        JobFile::Master => read::MASTER_CAP,
        JobFile::Repository(_) => read::STATUS_CAP,
    };
    let (bytes, signature) = read::whole(path, cap).map_err(|error| {
        if is_absence(&error) {
            Unread::Missing
        } else {
            Unread::Problem(format!("cannot be read: {error}"))
        }
    })?;
    let content = match file {
        JobFile::Master => Master::parse(&bytes).map(|(it, texts)| Content::Master(it, texts)),
        JobFile::Repository(index) => {
            RepositoryStatus::parse(index, &bytes).map(|(it, texts)| Content::Repository(it, texts))
        }
    };
    Ok((content.map_err(Unread::Problem)?, signature))
}

/// The moment of a time of the wall clock, as far as that can be believed: what lies in the future
/// was just now.
fn moment_of(at: SystemTime) -> Instant {
    let now = Instant::now();
    let age = SystemTime::now().duration_since(at).unwrap_or_default();
    now.checked_sub(age).unwrap_or(now)
}

enum Unread {
    Missing,
    Problem(String),
}
