//! One job's folder: which of its files are as they were, and what the others say now.
//!
//! What must stay true: a file is read only if it is another than before; one that makes no sense
//! keeps what it said last, and is read again for a while before it counts as broken.

use super::WatchOptions;
use crate::{
    live::{
        Live,
        job::{LiveJob, SharedJob},
    },
    model::{master::Master, repository::RepositoryStatus},
    store::{
        layout::{JobDir, JobFile},
        read::{self, Signature},
    },
};
use std::{
    collections::BTreeMap,
    io,
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
    /// When anything in it changed last.
    pub(super) changed: SystemTime,
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
    /// Whether nothing has changed for a resync period.
    pub(super) fn is_quiet(&self, options: &WatchOptions) -> bool {
        // A clock that was set back makes a change lie in the future: not quiet.
        SystemTime::now()
            .duration_since(self.changed)
            .is_ok_and(|age| age >= options.resync_interval)
    }

    pub(super) fn is_over_and_quiet(&self, options: &WatchOptions) -> bool {
        self.job.facts().state.is_final()
            && self.job.facts().summary.in_progress == 0
            && self.is_quiet(options)
    }

    /// Reads a file if it changed. Says when to look again, if what is in it makes no sense.
    pub(super) fn read(&mut self, file: JobFile, live: &Live) -> Option<Instant> {
        let path = self.dir.file(file);
        let signature = Signature::at(&path);
        let known = self.files.get(&file);
        let broken_since = known.and_then(|it| it.broken_since);
        if known.is_some_and(|it| it.signature == signature) && broken_since.is_none() {
            return None;
        }
        let (signature, problem) = match self.take_in(file, &path) {
            Ok(signature) => (Some(signature), None),
            // With the whole folder, or the jobs folder: their own fate decides, they may come back.
            Err(Unread::Missing) if !self.dir.path().is_dir() => return None,
            Err(Unread::Missing) => {
                self.files.remove(&file);
                self.job.apply_missing(file);
                return None;
            }
            Err(Unread::Problem(text)) => (signature, Some(text)),
        };
        let is_new = known.is_none_or(|it| it.signature != signature);
        if is_new {
            self.changed = signature.map_or_else(SystemTime::now, |it| it.changed_at());
        }
        let Some(problem) = problem else {
            if is_new {
                live.note_taken_in(self.changed);
            }
            self.files.insert(file, Known { signature, broken_since: None });
            return None;
        };
        live.note(|health| health.failed_reads += 1);
        let since = broken_since.unwrap_or_else(Instant::now);
        self.files.insert(file, Known { signature, broken_since: Some(since) });
        // Perhaps a writer is in the middle of it: what it said before stays, in silence at first.
        let now = Instant::now();
        if now.duration_since(since) < PATIENCE {
            return Some(now + SECOND_LOOK);
        }
        self.job.apply_problem(file, problem);
        None
    }

    fn take_in(&self, file: JobFile, path: &Path) -> Result<Signature, Unread> {
        let cap = match file {
            JobFile::Master => read::MASTER_CAP,
            JobFile::Repository(_) => read::STATUS_CAP,
        };
        let (bytes, signature) = read::whole(path, cap).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                Unread::Missing
            } else {
                Unread::Problem(format!("cannot be read: {error}"))
            }
        })?;
        apply(&self.job, file, &bytes).map_err(Unread::Problem)?;
        Ok(signature)
    }
}

enum Unread {
    Missing,
    Problem(String),
}

fn apply(job: &LiveJob, file: JobFile, bytes: &[u8]) -> Result<(), String> {
    match file {
        JobFile::Master => {
            let (master, warnings) = Master::parse(bytes)?;
            job.apply_master(master, warnings);
        }
        JobFile::Repository(index) => {
            let (status, warnings) = RepositoryStatus::parse(index, bytes)?;
            job.apply_repository(status, warnings);
        }
    }
    Ok(())
}
