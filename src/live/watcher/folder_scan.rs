//! A scan of a job's folder, in small steps: lists the folder, then names the files to read.
//!
//! Input: a job's folder, and the files that are known already. Output: one step at a time.
//!
//! Invariants: a file is named only after the whole folder has been listed; each file is named once;
//! a scan ends.

use crate::store::{
    layout::{JobDir, JobFile},
    read::Signature,
};
use std::{
    collections::{BTreeSet, btree_set},
    fs,
};

/// How many entries of a folder are listed in one step.
const ENTRIES: usize = 256;

/// A running scan.
pub(super) struct FolderScan {
    progress: Progress,
    /// The signature of the folder when the scan began; `None` if the folder could not be listed.
    pub(super) listed: Option<Signature>,
    /// Whether the folder has been watched or polled since before the scan began.
    pub(super) watched: bool,
    /// The final state of the job that was seen before.
    pub(super) master_final_state: Option<Signature>,
}

enum Progress {
    /// Lists the files.
    Listing(fs::ReadDir, BTreeSet<JobFile>),
    /// Names the files to read.
    Reading(btree_set::IntoIter<JobFile>),
}

/// A step of a scan.
pub(super) enum ScanStep {
    /// A part of the folder has been listed.
    List,
    /// This file is to be read if it changed.
    Read(JobFile),
    /// All files have been named.
    End,
}

impl FolderScan {
    pub(super) fn begin(
        dir: &JobDir,
        now: Signature,
        watched: bool,
        master_final_state: Option<Signature>,
    ) -> Self {
        let (progress, listed) = match fs::read_dir(dir.path()) {
            Ok(entries) => (Progress::Listing(entries, BTreeSet::new()), Some(now)),
            // A folder that could not be listed is scanned again.
            Err(_) => (Progress::Reading(BTreeSet::new().into_iter()), None),
        };
        Self { progress, listed, watched, master_final_state }
    }

    /// The next step. `known`: files that are named even if they are not listed.
    pub(super) fn next(&mut self, known: impl Iterator<Item = JobFile>) -> ScanStep {
        match &mut self.progress {
            Progress::Listing(entries, files) => {
                let mut left = ENTRIES;
                for entry in entries.by_ref().take(ENTRIES) {
                    left -= 1;
                    files.extend(entry.ok().and_then(|entry| JobFile::parse(&entry.file_name())));
                }
                if left > 0 {
                    let mut files = std::mem::take(files);
                    files.extend(known);
                    self.progress = Progress::Reading(files.into_iter());
                }
                ScanStep::List
            }
            Progress::Reading(files) => files.next().map_or(ScanStep::End, ScanStep::Read),
        }
    }
}
