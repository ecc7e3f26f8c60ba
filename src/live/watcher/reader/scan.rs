//! Scans a job's folder, in turns: lists it, and reads the files that have changed.
//!
//! Input: a job's folder. Output: the newest content of its files.
//!
//! Invariants: a folder is watched before it is read; a running scan continues where it stopped,
//! and ends; a final state of the job goes to the flusher only after all status files have been
//! read since it was seen; whether a job is finished is decided only after all of it has been read.

use super::{JobsReader, TURN};
use crate::{
    live::watcher::{
        change_time::folder_time,
        folder::{AfterRead, FinalStates, Folder, Watch},
        folder_scan::{FolderScan, ScanStep},
    },
    model::JobId,
    store::{io_error::is_absence, layout::JobFile, read::Signature},
};
use std::{fs, time::Instant};

impl JobsReader {
    /// A turn for a job's folder. `from_start`: scan it from the start, after the running scan.
    /// Returns whether the scan is complete.
    pub(super) fn scan(&mut self, id: &JobId, from_start: bool) -> bool {
        let end = Instant::now() + TURN;
        if self.folders.get(id).is_some_and(|folder| folder.scan.is_some()) {
            if from_start {
                self.queue.queue_scan(id);
            }
        } else {
            self.queue.note_started(id);
            if !self.begin_scan(id) {
                self.finalize(id);
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
        !self.queue.wants_scan(id)
    }

    /// Begins a scan. False if there is nothing to read.
    fn begin_scan(&mut self, id: &JobId) -> bool {
        let dir = self.jobs.job(id);
        let facts = match fs::symlink_metadata(dir.path()) {
            Ok(facts) if facts.is_dir() => facts,
            // The folder may exist: this is unknown at the moment.
            Err(error) if !is_absence(&error) => {
                self.root.forget_listing();
                return false;
            }
            _ => {
                // If the whole jobs folder is missing, it may come back with all its jobs.
                if self.root.is_here(&self.jobs) {
                    self.forget(id);
                }
                return false;
            }
        };
        let now = Signature::of(&facts);
        if let Some(idle) = self.idle.get(id) {
            if idle.is_as_listed(&now) {
                return false;
            }
            if idle.is_same_folder(&now) {
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
                && folder.master_final_state.is_none()
            {
                // Files are replaced by rename, which would have changed the folder.
                return false;
            }
        }
        if !self.folders.contains_key(id) {
            let final_states = if self.is_beginning(id) {
                FinalStates::PublishAtOnce
            } else {
                FinalStates::PublishOnceDurable
            };
            let job = self.live.insert(id);
            if let Some(time) = folder_time(dir.path()) {
                job.note_folder_time(time);
            }
            let folder = Folder::new(job, dir, &now, final_states);
            self.folders.insert(id.clone(), folder);
        }
        // The folder is watched before it is read. An existing watch is renewed too, because a
        // folder that was moved away and back has lost it, with everything that was written before
        // the next watch. A finished job is read without a watch.
        let mut watched = self.folders.get(id).is_some_and(|folder| folder.watch != Watch::Off);
        if watched {
            self.watch(id);
        }
        self.read_master(id);
        if !watched
            && self.folders.get(id).is_some_and(|folder| !folder.job.facts().state.is_final())
        {
            self.watch(id);
            watched = true;
        }
        self.start_scan(id, now, watched);
        true
    }

    /// Reads the master file before all others, so that a final state in it is followed by reading
    /// them.
    fn read_master(&mut self, id: &JobId) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        match folder.read(JobFile::Master, &self.live) {
            AfterRead::Nothing => {}
            AfterRead::ReadAgain(at) => {
                self.retries.set(at, id, JobFile::Master);
            }
            AfterRead::Flush(signature) => folder.master_final_state = Some(signature),
        }
    }

    fn start_scan(&mut self, id: &JobId, now: Signature, watched: bool) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        folder.forget_ownership();
        let master_final_state = folder.master_final_state.take();
        folder.scan = Some(FolderScan::begin(&folder.dir, now, watched, master_final_state));
    }

    /// A small step of the scan. Returns whether there is more.
    fn scan_step(&mut self, id: &JobId) -> bool {
        match self.folders.get_mut(id).and_then(Folder::next_scan_step) {
            Some(ScanStep::List) => true,
            Some(ScanStep::Read(file)) => {
                self.read_file(id, file);
                true
            }
            Some(ScanStep::End) => self.end_scan(id),
            None => false,
        }
    }

    /// Ends the scan, after everything has been read. A job that is not finished after all is
    /// watched and read once more; the result says whether there is more.
    fn end_scan(&mut self, id: &JobId) -> bool {
        let Some(folder) = self.folders.get_mut(id) else { return false };
        let Some(scan) = folder.scan.take() else { return false };
        let is_idle = folder.is_over_and_quiet(&self.options);
        if !scan.watched && !is_idle {
            // A final state of the job, if one was seen, still has to go to the flusher.
            folder.master_final_state = folder.master_final_state.or(scan.master_final_state);
            self.watch(id);
            if let Some(listed) = scan.listed {
                self.start_scan(id, listed, true);
                return true;
            }
        }
        let Some(folder) = self.folders.get_mut(id) else { return false };
        folder.listed = scan.listed;
        folder.final_states = FinalStates::PublishOnceDurable;
        folder.job.finalize(folder.is_quiet(&self.options));
        if let Some(signature) = scan.master_final_state.filter(|_| scan.listed.is_some()) {
            self.flush(id, JobFile::Master, signature);
        }
        false
    }
}
