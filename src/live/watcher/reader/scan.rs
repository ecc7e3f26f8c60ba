//! The comparison of a job's folder with what is known of it, in turns.
//!
//! Input: a job's folder. Output: its files, read as far as they are not as they were.
//! Invariants: a folder is watched first and read then; what is under way goes on where it was, and
//! ends; the end of the job is given to the flusher when all its repositories' files have been read
//! since it was seen; a job is judged to be over when all of it has been read, and not before.

use super::{Reader, TURN};
use crate::{
    live::watcher::folder::{Ends, Folder, Next, Watch},
    model::JobId,
    store::{
        layout::JobFile,
        read::{Signature, is_absence},
    },
};
use std::{
    collections::{BTreeSet, btree_set},
    fs,
    time::Instant,
};

/// How many entries of a folder are looked at together.
const ENTRIES: usize = 256;

/// A comparison that is under way.
pub(in super::super) struct Scan {
    step: Step,
    /// The folder's own facts when it was begun; none if it could not be listed.
    listed: Option<Signature>,
    /// Whether the folder is watched, or looked at, since before it was begun.
    watched: bool,
    /// The end of the job that was seen before.
    master_end: Option<Signature>,
}

enum Step {
    /// Finds out which files there are.
    Listing(fs::ReadDir, BTreeSet<JobFile>),
    /// Reads those that changed.
    Reading(btree_set::IntoIter<JobFile>),
}

impl Reader {
    /// A turn for a job's folder; `anew`: from its beginning, once what is under way is done. Says
    /// whether nothing is left to do.
    pub(super) fn scan(&mut self, id: &JobId, anew: bool) -> bool {
        let end = Instant::now() + TURN;
        if self.folders.get(id).is_some_and(|it| it.scan.is_some()) {
            if anew {
                self.agenda.scan(id);
            }
        } else {
            self.agenda.note_begun(id);
            if !self.begin_scan(id) {
                self.note_scanned(id);
                return true;
            }
        }
        while self.scan_step(id) {
            if Instant::now() >= end {
                return false;
            }
        }
        self.note_scanned(id);
        !self.agenda.wants_scan(id)
    }

    /// Whether there is anything to compare.
    fn begin_scan(&mut self, id: &JobId) -> bool {
        let dir = self.jobs.job(id);
        let facts = match fs::symlink_metadata(dir.path()) {
            Ok(facts) if facts.is_dir() => facts,
            // It may be there: that cannot be told now.
            Err(error) if !is_absence(&error) => {
                self.root.forget_listing();
                return false;
            }
            _ => {
                // A jobs folder that is gone as a whole may come back, with all that is in it.
                if self.root.is_here(&self.jobs) {
                    self.forget(id);
                }
                return false;
            }
        };
        let now = Signature::of(&facts);
        if let Some(resting) = self.resting.get(id) {
            if resting.is_as_listed(&now) {
                return false;
            }
            if resting.is_same_folder(&now) {
                self.wake(id);
            } else {
                self.forget(id);
            }
        }
        if let Some(folder) = self.folders.get(id) {
            let replaced = folder.listed.is_some_and(|old| !old.same_file(&now));
            if replaced {
                self.forget(id);
            } else if folder.watch == Watch::Off
                && folder.listed == Some(now)
                && folder.broken_files() == 0
                && folder.master_end.is_none()
            {
                // Files are replaced by rename, and that changes the folder.
                return false;
            }
        }
        if !self.folders.contains_key(id) {
            let ends = if self.is_beginning(id) { Ends::ToldAtOnce } else { Ends::ToldOnceFlushed };
            let folder = Folder::new(self.live.insert(id), dir, &now, ends);
            self.folders.insert(id.clone(), folder);
        }
        // Watched first, read then: also what is watched already, for its watch is lost when it is
        // moved away and back, with all that is written before the next one stands. A job that is
        // over is read without a watch.
        let mut watched = self.folders.get(id).is_some_and(|it| it.watch != Watch::Off);
        if watched {
            self.watch(id);
        }
        self.read_master(id);
        if !watched && self.folders.get(id).is_some_and(|it| !it.job.facts().state.is_final()) {
            self.watch(id);
            watched = true;
        }
        self.start_scan(id, now, watched);
        true
    }

    /// Reads the master file before all others: an end that is seen now is followed by them.
    fn read_master(&mut self, id: &JobId) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        match folder.read(JobFile::Master, &self.live) {
            Next::Nothing => {}
            Next::LookAgain(at) => {
                self.retries.set(at, id, JobFile::Master);
            }
            Next::Flush(signature) => folder.master_end = Some(signature),
        }
    }

    fn start_scan(&mut self, id: &JobId, now: Signature, watched: bool) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        folder.forget_whose();
        let (step, listed) = match fs::read_dir(folder.dir.path()) {
            Ok(entries) => (Step::Listing(entries, BTreeSet::new()), Some(now)),
            // What could not be listed is looked at again.
            Err(_) => (Step::Reading(BTreeSet::new().into_iter()), None),
        };
        let master_end = folder.master_end.take();
        folder.scan = Some(Scan { step, listed, watched, master_end });
    }

    /// A small part of it. Whether there is more.
    fn scan_step(&mut self, id: &JobId) -> bool {
        let Some(folder) = self.folders.get_mut(id) else { return false };
        let Some(scan) = &mut folder.scan else { return false };
        match &mut scan.step {
            Step::Listing(entries, files) => {
                let mut left = ENTRIES;
                for entry in entries.by_ref().take(ENTRIES) {
                    left -= 1;
                    files.extend(entry.ok().and_then(|it| JobFile::parse(&it.file_name())));
                }
                if left > 0 {
                    let mut files = std::mem::take(files);
                    files.extend(folder.known());
                    if let Some(scan) = &mut folder.scan {
                        scan.step = Step::Reading(files.into_iter());
                    }
                }
                true
            }
            Step::Reading(files) => match files.next() {
                Some(file) => {
                    self.read_file(id, file);
                    true
                }
                None => self.end_scan(id),
            },
        }
    }

    /// Everything has been read. Whether there is more: what turns out not to be over is watched, and
    /// read once more.
    fn end_scan(&mut self, id: &JobId) -> bool {
        let Some(folder) = self.folders.get_mut(id) else { return false };
        let Some(scan) = folder.scan.take() else { return false };
        let rests = folder.is_over_and_quiet(&self.options);
        if !scan.watched && !rests {
            // The end of the job, if one was seen, is still to be given to the flusher.
            folder.master_end = folder.master_end.or(scan.master_end);
            self.watch(id);
            if let Some(listed) = scan.listed {
                self.start_scan(id, listed, true);
                return true;
            }
        }
        let Some(folder) = self.folders.get_mut(id) else { return false };
        folder.listed = scan.listed;
        folder.ends = Ends::ToldOnceFlushed;
        folder.job.settle(folder.is_quiet(&self.options));
        if let Some(signature) = scan.master_end.filter(|_| scan.listed.is_some()) {
            self.flush(id, JobFile::Master, signature);
        }
        false
    }
}
