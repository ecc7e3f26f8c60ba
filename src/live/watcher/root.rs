//! The jobs folder itself: whether it is there, whether it is the same one, whether it can be listed.
//!
//! What must stay true: what is known stays known while the folder is away or cannot be looked at;
//! only a folder that is there, and does not have a job, takes it away.

use crate::{
    model::JobId,
    store::{
        layout::{JobsDir, Listing},
        read::{Signature, is_absence},
    },
};
use std::{fs, io};

/// The jobs folder as it was found last.
#[derive(Debug, Default)]
pub(super) struct Root {
    /// The folder that its watch is on: a new one of the same name is another.
    known: Option<Signature>,
    /// What is wrong with it, in words.
    pub(super) problem: Option<String>,
}

/// What a look at the jobs folder has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Same,
    /// Another folder is in its place, or it is back: watches are on folders, not on names.
    Another,
    /// It cannot be worked with now.
    Away,
}

impl Root {
    /// Looks where the folder is. `knows_jobs`: an empty one in its place is not taken for it then.
    pub(super) fn look(&mut self, jobs: &JobsDir, knows_jobs: bool) -> Look {
        let path = jobs.root();
        let gone = |more: &str| Some(format!("the jobs folder `{}` is gone{more}", path.display()));
        let now = match fs::symlink_metadata(path) {
            Ok(facts) if facts.is_dir() => Signature::of(&facts),
            Err(error) if !is_absence(&error) => {
                self.problem =
                    Some(format!("the jobs folder `{}` cannot be found: {error}", path.display()));
                return Look::Away;
            }
            _ => {
                (self.known, self.problem) = (None, gone(""));
                return Look::Away;
            }
        };
        if self.known.is_some_and(|old| old.same_file(&now)) {
            return Look::Same;
        }
        if knows_jobs && jobs.jobs().is_ok_and(|jobs| jobs.is_empty()) {
            // As where a disk is mounted, while it is not.
            (self.known, self.problem) = (None, gone(": an empty one is in its place"));
            return Look::Away;
        }
        (self.known, self.problem) = (Some(now), None);
        Look::Another
    }

    /// Whether the folder at the path is, at this very moment, the one that was looked at.
    pub(super) fn is_here(&self, jobs: &JobsDir) -> bool {
        let now = Signature::at(jobs.root());
        self.known.zip(now).is_some_and(|(known, now)| known.same_file(&now))
    }

    /// Begins to list it; `None` if it cannot be read.
    pub(super) fn list(&mut self, jobs: &JobsDir) -> Option<Listing> {
        match jobs.listing() {
            Ok(listing) => {
                self.problem = None;
                Some(listing)
            }
            Err(error) => {
                self.note_unread(jobs, &error);
                None
            }
        }
    }

    /// The next jobs of a listing, of so many entries; none at its end, or where it cannot be read any further.
    pub(super) fn next_jobs(
        &mut self,
        jobs: &JobsDir,
        listing: &mut Listing,
        entries: usize,
    ) -> Option<Vec<JobId>> {
        let read: io::Result<Vec<_>> = listing.take(entries).collect();
        match read {
            Ok(read) => (!read.is_empty()).then(|| read.into_iter().flatten().collect()),
            Err(error) => {
                self.note_unread(jobs, &error);
                None
            }
        }
    }

    fn note_unread(&mut self, jobs: &JobsDir, error: &io::Error) {
        let path = jobs.root().display();
        self.problem = Some(format!("the jobs folder `{path}` cannot be read: {error}"));
    }
}
