//! One job's folder: which of its files are as they were, and what the others say now.
//!
//! What must stay true: a file is read only if it is another than before, or has been changed so
//! lately that a further change might not show; one that makes no sense keeps what it said last,
//! and is read again for a while before it counts as broken; an end is held back until it has been
//! flushed; to read a file costs the same however many others there are.

use super::{WatchOptions, reader::Scan, resting::Resting};
use crate::{
    live::{Live, content::Content, job::SharedJob},
    store::{
        layout::{JobDir, JobFile},
        read::{self, Signature, is_absence, is_missing_folder},
    },
};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// When a file that could not be understood is read again: half a file of a writer that does not
/// rename is whole a moment later.
const SECOND_LOOK: Duration = Duration::from_millis(50);
/// For how long it is read again and again, until it counts as broken.
const PATIENCE: Duration = Duration::from_millis(500);

/// For how long after a change the time of change may be that of another change: clocks of file
/// systems tick every 10 ms, or less. (Since Linux 6.13 most of them tell each change that somebody
/// has seen from the next.)
const TICK: Duration = Duration::from_millis(20);

/// A job's folder, as far as the thread needs to know it.
pub(super) struct Folder {
    pub(super) job: SharedJob,
    pub(super) dir: JobDir,
    files: BTreeMap<JobFile, Known>,
    /// How many of them cannot be understood.
    broken: usize,
    /// The folder's own facts when it was last listed.
    pub(super) listed: Option<Signature>,
    pub(super) watch: Watch,
    /// Since when nothing in it has changed. By the clock that nobody can set.
    still_since: Instant,
    /// Ends that are being flushed, and are not told yet.
    held: BTreeMap<JobFile, Held>,
    /// How many of them wait for the flusher.
    flushing: usize,
    pub(super) ends: Ends,
    /// An end of the job that is seen, but is not given to the flusher before its repositories' ends.
    pub(super) master_end: Option<Signature>,
    /// What is under way.
    pub(super) scan: Option<Scan>,
    /// Whether the job is ours, once that is known.
    ours: Option<bool>,
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
    /// By the kernel's notifications.
    Notified,
    /// For want of watches it is looked at.
    Polled,
    Off,
}

struct Known {
    /// The number of its signature.
    signature: Option<u64>,
    /// Since when its content cannot be understood.
    broken_since: Option<Instant>,
    /// When it was read it had just been changed: another change may have left the same signature.
    young: bool,
}

impl Folder {
    /// A folder of which nothing has been read yet, and its own facts.
    pub(super) fn new(job: SharedJob, dir: JobDir, facts: &Signature, ends: Ends) -> Self {
        Self {
            job,
            dir,
            files: BTreeMap::new(),
            broken: 0,
            flushing: 0,
            ends,
            master_end: None,
            scan: None,
            ours: None,
            listed: None,
            watch: Watch::Off,
            still_since: moment_of(facts.changed_at()),
            held: BTreeMap::new(),
        }
    }

    /// A folder of which these files are known, as they were when its own facts were `listed`.
    pub(super) fn of_known(
        job: SharedJob,
        dir: JobDir,
        listed: &Signature,
        files: impl IntoIterator<Item = (JobFile, u64)>,
        still_since: Instant,
    ) -> Self {
        let known =
            |signature| Known { signature: Some(signature), broken_since: None, young: false };
        Self {
            files: files.into_iter().map(|(file, signature)| (file, known(signature))).collect(),
            listed: Some(*listed),
            still_since,
            ..Self::new(job, dir, listed, Ends::ToldOnceFlushed)
        }
    }

    /// What has to be known of it while nothing changes; none if something of it is to be read again.
    pub(super) fn rest(&self) -> Option<Resting> {
        let may = self.held.is_empty() && self.broken == 0 && self.master_end.is_none();
        let listed = self.listed.filter(|_| may)?;
        let files = self.files.iter().filter(|(_, it)| !it.young);
        let files = files.filter_map(|(file, it)| Some((*file, it.signature?)));
        Some(Resting::new(Arc::clone(&self.job), listed, files))
    }

    /// Whether nothing has changed for a resync period.
    pub(super) fn is_quiet(&self, options: &WatchOptions) -> bool {
        self.is_told() && self.still_since.elapsed() >= options.resync_interval
    }

    /// How many of its files cannot be understood, so that they are worth another look.
    pub(super) fn broken_files(&self) -> usize {
        self.broken
    }

    /// The files that are known.
    pub(super) fn known(&self) -> impl Iterator<Item = JobFile> {
        self.files.keys().copied()
    }

    pub(super) fn is_over_and_quiet(&self, options: &WatchOptions) -> bool {
        self.is_quiet(options) && self.job.facts().is_over()
    }

    /// Reads a file if it changed, and tells what is in it.
    pub(super) fn read(&mut self, file: JobFile, live: &Live) -> Next {
        let path = self.dir.file(file);
        let signature = Signature::at(&path);
        let known = self.files.get(&file);
        let broken_since = known.and_then(|it| it.broken_since);
        let number = signature.map(|it| it.number());
        if known.is_some_and(|it| it.signature == number && !it.young) && broken_since.is_none() {
            return Next::Nothing;
        }
        let held = self.held.get(&file).copied();
        if let (Some(Held::Flushing(held)), Some(now)) = (held, signature)
            && held == now
        {
            return Next::Nothing;
        }
        let begun = SystemTime::now();
        let (signature, problem) = match look(file, &path) {
            Ok((content, now)) => {
                let flushed = held == Some(Held::Flushed(now)) || self.ends == Ends::ToldAtOnce;
                let is_same =
                    |it: &Known| it.signature == Some(now.number()) && it.broken_since.is_none();
                let told = known.is_some_and(is_same);
                if content.is_end() && !flushed && !told && self.is_ours() {
                    self.hold(file, Some(Held::Flushing(now)));
                    return Next::Flush(now);
                }
                self.hold(file, None);
                self.job.apply(content);
                (Some(now), None)
            }
            // With the whole folder, or the jobs folder: their own fate decides, they may come back.
            Err(Unread::Missing) if is_missing_folder(self.dir.path()) => return Next::Nothing,
            Err(Unread::Missing) => {
                self.note(file, None);
                self.hold(file, None);
                self.job.apply_missing(file);
                return Next::Nothing;
            }
            Err(Unread::Problem(text)) => (signature, Some(text)),
        };
        let number = signature.map(|it| it.number());
        let is_new = self.files.get(&file).is_none_or(|it| it.signature != number);
        let changed_at = signature.map_or_else(SystemTime::now, |it| it.changed_at());
        if is_new {
            // What is found at the start may be old; later, what is found has just changed.
            self.still_since = if live.is_ready() { Instant::now() } else { moment_of(changed_at) };
        }
        let now = Instant::now();
        let Some(problem) = problem else {
            if is_new {
                live.note_taken_in(changed_at);
            }
            let young = is_young(changed_at, begun);
            self.note(file, Some(Known { signature: number, broken_since: None, young }));
            return if young { Next::LookAgain(now + TICK) } else { Next::Nothing };
        };
        live.note(|health| health.failed_reads += 1);
        let since = broken_since.unwrap_or_else(Instant::now);
        self.note(file, Some(Known { signature: number, broken_since: Some(since), young: false }));
        // Perhaps a writer is in the middle of it: what it said before stays, in silence at first.
        if now.duration_since(since) < PATIENCE {
            return Next::LookAgain(now + SECOND_LOOK);
        }
        self.job.apply_problem(file, problem);
        Next::Nothing
    }

    /// This content of a file is on the disk: if there is no other by now, it may be told. If there
    /// is another, that is what is to be flushed next.
    pub(super) fn note_flushed(
        &mut self,
        file: JobFile,
        signature: Signature,
    ) -> Option<Signature> {
        match self.held.get(&file) {
            Some(Held::Flushing(held)) if *held == signature => {
                self.hold(file, Some(Held::Flushed(signature)));
                None
            }
            Some(Held::Flushing(other)) => Some(*other),
            Some(Held::Flushed(_)) | None => None,
        }
    }

    /// Forgets what is being flushed, so that it is read again: should the word of it be lost, the
    /// end would never be told.
    pub(super) fn hold_nothing(&mut self) {
        self.held.retain(|_, it| matches!(it, Held::Flushed(_)));
        self.flushing = 0;
    }

    /// Whether nothing of it is held back.
    pub(super) fn is_told(&self) -> bool {
        self.flushing == 0
    }

    fn hold(&mut self, file: JobFile, held: Option<Held>) {
        let flushing = |it: Option<Held>| usize::from(matches!(it, Some(Held::Flushing(_))));
        let old = match held {
            Some(held) => self.held.insert(file, held),
            None => self.held.remove(&file),
        };
        self.flushing = self.flushing + flushing(held) - flushing(old);
    }

    fn note(&mut self, file: JobFile, known: Option<Known>) {
        let broken =
            |it: Option<&Known>| usize::from(it.is_some_and(|it| it.broken_since.is_some()));
        let now = broken(known.as_ref());
        let old = match known {
            Some(known) => self.files.insert(file, known),
            None => self.files.remove(&file),
        };
        self.broken = self.broken + now - broken(old.as_ref());
    }

    /// What other programs write is flushed by them, or not: nothing was promised of it.
    fn is_ours(&mut self) -> bool {
        let dir = &self.dir;
        *self.ours.get_or_insert_with(|| dir.plan().is_file())
    }

    #[cfg(test)]
    pub(super) fn pretend_to_know(&mut self, file: JobFile) {
        let signature = Signature::at(&self.dir.file(file)).map(|it| it.number());
        if let Some(known) = self.files.get_mut(&file) {
            known.signature = signature;
        }
    }

    /// Whether it is ours is to be found out again.
    pub(super) fn forget_whose(&mut self) {
        self.ours = None;
    }
}

fn look(file: JobFile, path: &Path) -> Result<(Content, Signature), Unread> {
    let (bytes, signature) = read::whole(path, Content::cap(file)).map_err(|error| {
        if is_absence(&error) {
            Unread::Missing
        } else {
            Unread::Problem(format!("cannot be read: {error}"))
        }
    })?;
    let content = Content::parse(file, &bytes).map_err(Unread::Problem)?;
    Ok((content, signature))
}

/// The moment of a time of the wall clock, as far as that can be believed: what lies in the future
/// was just now.
pub(super) fn moment_of(at: SystemTime) -> Instant {
    let now = Instant::now();
    let age = SystemTime::now().duration_since(at).unwrap_or_default();
    now.checked_sub(age).unwrap_or(now)
}

/// Whether a file that was changed then may be changed again without its time of change showing it.
pub(super) fn is_young(changed_at: SystemTime, read_at: SystemTime) -> bool {
    match read_at.duration_since(changed_at) {
        Ok(age) => age < TICK,
        // The coarse clock of files lags behind; far ahead of it, the clock was set.
        Err(ahead) => ahead.duration() < TICK,
    }
}

enum Unread {
    Missing,
    Problem(String),
}
