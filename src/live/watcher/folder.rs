//! The folder of one job: which of its files have changed, and their content.
//!
//! Input: a file that may have changed, and its signature on the disk. Output: changes of the job,
//! and what to do next about the file.
//!
//! Invariants: a file is read only if its signature changed, or if it was changed so recently that
//! another change might not show; a file that cannot be parsed keeps its last content, and is read
//! again for a while before it counts as broken; a final state is held back until it is durable;
//! the cost of reading a file does not depend on the number of other files.

use super::{
    WatchOptions,
    change_time::{TICK, is_young, moment_of},
    folder_scan::{FolderScan, ScanStep},
    idle_folder::IdleFolder,
};
use crate::{
    live::{Live, file_content::FileContent, job::SharedJob},
    store::{
        io_error::is_absence,
        layout::{JobDir, JobFile},
        read::{self, Signature, is_missing_folder},
    },
};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// When a file that could not be parsed is read again. A file that is written in place is complete
/// after a moment.
const REREAD_AFTER: Duration = Duration::from_millis(50);
/// How long it is read again before it counts as broken.
const BROKEN_AFTER: Duration = Duration::from_millis(500);

/// What the watcher's thread knows of a job's folder.
pub(super) struct Folder {
    pub(super) job: SharedJob,
    pub(super) dir: JobDir,
    files: BTreeMap<JobFile, KnownFile>,
    /// How many of the files cannot be parsed.
    broken: usize,
    /// The signature of the folder when it was last listed.
    pub(super) listed: Option<Signature>,
    pub(super) watch: Watch,
    /// Since when nothing in the folder has changed, by the monotonic clock.
    still_since: Instant,
    /// Final states that are being fsynced and are not published yet.
    held: BTreeMap<JobFile, HeldFinalState>,
    /// How many of them wait for the flusher.
    flushing: usize,
    pub(super) final_states: FinalStates,
    /// A final state of the job that was read, but goes to the flusher only after those of its
    /// repositories.
    pub(super) master_final_state: Option<Signature>,
    /// The running scan.
    pub(super) scan: Option<FolderScan>,
    /// Whether this server created the job, once that is known.
    ours: Option<bool>,
}

/// A final state that is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeldFinalState {
    /// Until this content is durable.
    Flushing(Signature),
    /// This content is durable and may be published.
    Flushed(Signature),
}

/// Whether a new final state is held back until it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FinalStates {
    /// For files that are found at the start: their writers are done, or will write them again.
    PublishAtOnce,
    PublishOnceDurable,
}

/// What to do next about a file that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterRead {
    Nothing,
    /// Read it again at this time: its content may be incomplete, or a later change may not show.
    ReadAgain(Instant),
    /// It has a final state that is not published before this content is durable.
    Flush(Signature),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    /// The folder has an inotify watch.
    Notified,
    /// The folder is polled, because it could not get a watch.
    Polled,
    Off,
}

struct KnownFile {
    /// The number of the signature.
    signature: Option<u64>,
    /// Since when the content cannot be parsed.
    broken_since: Option<Instant>,
    /// The file had just been changed when it was read: another change may have the same signature.
    young: bool,
}

impl Folder {
    /// A folder of which nothing has been read yet. `facts`: its own signature.
    pub(super) fn new(
        job: SharedJob,
        dir: JobDir,
        facts: &Signature,
        final_states: FinalStates,
    ) -> Self {
        Self {
            job,
            dir,
            files: BTreeMap::new(),
            broken: 0,
            flushing: 0,
            final_states,
            master_final_state: None,
            scan: None,
            ours: None,
            listed: None,
            watch: Watch::Off,
            still_since: moment_of(facts.changed_at()),
            held: BTreeMap::new(),
        }
    }

    /// A folder with these known files, as they were when its own signature was `listed`.
    pub(super) fn of_known(
        job: SharedJob,
        dir: JobDir,
        listed: &Signature,
        files: impl IntoIterator<Item = (JobFile, u64)>,
        still_since: Instant,
    ) -> Self {
        let known =
            |signature| KnownFile { signature: Some(signature), broken_since: None, young: false };
        Self {
            files: files.into_iter().map(|(file, signature)| (file, known(signature))).collect(),
            listed: Some(*listed),
            still_since,
            ..Self::new(job, dir, listed, FinalStates::PublishOnceDurable)
        }
    }

    /// Restores the folder of an idle job; its files are read again if they have changed.
    pub(super) fn of_idle(idle: &IdleFolder, dir: JobDir) -> Self {
        let (job, listed) = (Arc::clone(&idle.job), idle.listed);
        Self::of_known(job, dir, &listed, idle.files(), moment_of(listed.changed_at()))
    }

    /// What has to be kept while nothing changes; `None` if something has to be read again.
    pub(super) fn to_idle(&self) -> Option<IdleFolder> {
        let may = self.held.is_empty() && self.broken == 0 && self.master_final_state.is_none();
        let listed = self.listed.filter(|_| may)?;
        let files = self.files.iter().filter(|(_, known)| !known.young);
        let files = files.filter_map(|(file, known)| Some((*file, known.signature?)));
        Some(IdleFolder::new(Arc::clone(&self.job), listed, files))
    }

    /// Whether nothing has changed for a resync interval.
    pub(super) fn is_quiet(&self, options: &WatchOptions) -> bool {
        self.is_published() && self.still_since.elapsed() >= options.resync_interval
    }

    /// Records that something in the folder changed at this time, if that is the newest change.
    pub(super) fn note_change_at(&mut self, at: Instant) {
        self.still_since = self.still_since.max(at);
    }

    /// How many of the files cannot be parsed, so that they have to be read again.
    pub(super) fn broken_files(&self) -> usize {
        self.broken
    }

    /// The next step of the running scan; `None` if no scan runs. Known files are read even if they
    /// are no longer listed.
    pub(super) fn next_scan_step(&mut self) -> Option<ScanStep> {
        Some(self.scan.as_mut()?.next(self.files.keys().copied()))
    }

    pub(super) fn is_over_and_quiet(&self, options: &WatchOptions) -> bool {
        self.is_quiet(options) && self.job.facts().is_over()
    }

    /// Reads a file if it changed, and publishes its content.
    pub(super) fn read(&mut self, file: JobFile, live: &Live) -> AfterRead {
        let path = self.dir.file(file);
        let signature = Signature::at(&path);
        let known = self.files.get(&file);
        let broken_since = known.and_then(|known| known.broken_since);
        let number = signature.map(|signature| signature.number());
        if known.is_some_and(|known| known.signature == number && !known.young)
            && broken_since.is_none()
        {
            return AfterRead::Nothing;
        }
        let held = self.held.get(&file).copied();
        if let (Some(HeldFinalState::Flushing(held)), Some(now)) = (held, signature)
            && held == now
        {
            return AfterRead::Nothing;
        }
        let begun = SystemTime::now();
        let (signature, problem) = match read_content(file, &path) {
            Ok((content, now)) => {
                let flushed = held == Some(HeldFinalState::Flushed(now))
                    || self.final_states == FinalStates::PublishAtOnce;
                let is_same = |known: &KnownFile| {
                    known.signature == Some(now.number()) && known.broken_since.is_none()
                };
                let published = known.is_some_and(is_same);
                if content.is_final() && !flushed && !published && self.is_ours() {
                    self.hold(file, Some(HeldFinalState::Flushing(now)));
                    return AfterRead::Flush(now);
                }
                self.hold(file, None);
                self.job.apply(content);
                (Some(now), None)
            }
            // The whole folder or the jobs folder is missing: they are checked on their own, and
            // may come back.
            Err(ReadError::Missing) if is_missing_folder(self.dir.path()) => {
                return AfterRead::Nothing;
            }
            Err(ReadError::Missing) => {
                self.note(file, None);
                self.hold(file, None);
                self.job.apply_missing(file);
                return AfterRead::Nothing;
            }
            Err(ReadError::Problem(text)) => (signature, Some(text)),
        };
        let number = signature.map(|signature| signature.number());
        let is_new = self.files.get(&file).is_none_or(|known| known.signature != number);
        let changed_at = signature.map_or_else(SystemTime::now, |signature| signature.changed_at());
        if is_new {
            // A file that is found at the start may be old; later, a new content has just been
            // written.
            self.still_since = if live.is_ready() { Instant::now() } else { moment_of(changed_at) };
        }
        let now = Instant::now();
        let Some(problem) = problem else {
            if is_new {
                live.observe_lag(changed_at);
            }
            let young = is_young(changed_at, begun);
            self.note(file, Some(KnownFile { signature: number, broken_since: None, young }));
            return if young { AfterRead::ReadAgain(now + TICK) } else { AfterRead::Nothing };
        };
        live.note(|health| health.failed_reads += 1);
        let since = broken_since.unwrap_or_else(Instant::now);
        self.note(
            file,
            Some(KnownFile { signature: number, broken_since: Some(since), young: false }),
        );
        // A writer may not be done: the last content stays, at first without a warning.
        if now.duration_since(since) < BROKEN_AFTER {
            return AfterRead::ReadAgain(now + REREAD_AFTER);
        }
        self.job.apply_problem(file, problem);
        AfterRead::Nothing
    }

    /// Records that this content of a file is durable, so that it may be published. If another
    /// content has been read by now, returns that one, which has to be fsynced next.
    pub(super) fn note_flushed(
        &mut self,
        file: JobFile,
        signature: Signature,
    ) -> Option<Signature> {
        match self.held.get(&file) {
            Some(HeldFinalState::Flushing(held)) if *held == signature => {
                self.hold(file, Some(HeldFinalState::Flushed(signature)));
                None
            }
            Some(HeldFinalState::Flushing(other)) => Some(*other),
            Some(HeldFinalState::Flushed(_)) | None => None,
        }
    }

    /// Forgets which files are being fsynced, so that they are read and queued again after the
    /// flusher lost its reports.
    pub(super) fn forget_flushing(&mut self) {
        self.held.retain(|_, held| matches!(held, HeldFinalState::Flushed(_)));
        self.flushing = 0;
    }

    /// Whether no final state of the folder is held back.
    pub(super) fn is_published(&self) -> bool {
        self.flushing == 0
    }

    fn hold(&mut self, file: JobFile, held: Option<HeldFinalState>) {
        let flushing = |held: Option<HeldFinalState>| {
            usize::from(matches!(held, Some(HeldFinalState::Flushing(_))))
        };
        let old = match held {
            Some(held) => self.held.insert(file, held),
            None => self.held.remove(&file),
        };
        self.flushing = self.flushing + flushing(held) - flushing(old);
    }

    fn note(&mut self, file: JobFile, known: Option<KnownFile>) {
        let broken = |file: Option<&KnownFile>| {
            usize::from(file.is_some_and(|file| file.broken_since.is_some()))
        };
        let now = broken(known.as_ref());
        let old = match known {
            Some(known) => self.files.insert(file, known),
            None => self.files.remove(&file),
        };
        self.broken = self.broken + now - broken(old.as_ref());
    }

    /// Final states of other programs' jobs are not held back: scanwatch makes no promise about
    /// them.
    fn is_ours(&mut self) -> bool {
        let dir = &self.dir;
        *self.ours.get_or_insert_with(|| dir.plan().is_file())
    }

    #[cfg(test)]
    pub(super) fn pretend_to_know(&mut self, file: JobFile) {
        let signature = Signature::at(&self.dir.file(file)).map(|signature| signature.number());
        if let Some(known) = self.files.get_mut(&file) {
            known.signature = signature;
        }
    }

    /// Forgets whether this server created the job.
    pub(super) fn forget_ownership(&mut self) {
        self.ours = None;
    }
}

fn read_content(file: JobFile, path: &Path) -> Result<(FileContent, Signature), ReadError> {
    let (bytes, signature) = read::whole(path, FileContent::cap(file)).map_err(|error| {
        if is_absence(&error) {
            ReadError::Missing
        } else {
            ReadError::Problem(format!("cannot be read: {error}"))
        }
    })?;
    let content = FileContent::parse(file, &bytes).map_err(ReadError::Problem)?;
    Ok((content, signature))
}

enum ReadError {
    Missing,
    Problem(String),
}
