//! The jobs folder itself: whether it exists, whether it is the same folder, whether it can be
//! listed.
//!
//! Input: the path of the jobs folder. Output: its state, the ids of its jobs in turns, and a
//! problem for `/health`.
//!
//! Invariants: what is known stays known while the folder is missing or cannot be read; only an
//! existing folder that does not contain a job removes this job from the cache.

use super::change_time::is_young;
use crate::{
    model::JobId,
    store::{
        io_error::is_absence,
        layout::{JobsDir, Listing},
        read::Signature,
    },
};
use std::{collections::HashSet, fs, io, time::SystemTime};

/// The jobs folder as it was when it was last checked.
#[derive(Debug, Default)]
pub(super) struct Root {
    /// The folder that has the watch: a new folder of the same name is another one.
    known: Option<Signature>,
    /// The signature when it was last listed: a job that is added or removed changes it.
    listed: Option<Signature>,
    /// The running listing.
    listing: Option<ListingInProgress>,
    /// The current problem, as a message for people.
    pub(super) problem: Option<String>,
}

/// A running listing.
#[derive(Debug)]
struct ListingInProgress {
    entries: Listing,
    /// The signature to record once everything has been listed.
    listed: Option<Signature>,
    /// The expected jobs that have not been found yet.
    missing: HashSet<JobId>,
}

/// The next result of a listing.
pub(super) enum ListingStep {
    /// Jobs that exist.
    Jobs(Vec<JobId>),
    /// The end of the listing: these of the expected jobs do not exist.
    End(HashSet<JobId>),
}

/// The state of the jobs folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RootState {
    Same,
    /// Another folder is in its place, or it is back: watches belong to folders, not to names.
    Replaced,
    /// It cannot be used now.
    Unavailable,
}

impl Root {
    /// Checks the folder, and forgets the last listing if it is missing or another folder.
    /// `knows_jobs`: then an empty folder in its place is not accepted.
    pub(super) fn check(&mut self, jobs: &JobsDir, knows_jobs: bool) -> RootState {
        let state = self.check_once(jobs, knows_jobs);
        if state != RootState::Same {
            (self.listed, self.listing) = (None, None);
        }
        state
    }

    fn check_once(&mut self, jobs: &JobsDir, knows_jobs: bool) -> RootState {
        let path = jobs.root();
        let gone = |more: &str| Some(format!("the jobs folder `{}` is gone{more}", path.display()));
        let now = match fs::symlink_metadata(path) {
            Ok(facts) if facts.is_dir() => Signature::of(&facts),
            Err(error) if !is_absence(&error) => {
                self.problem =
                    Some(format!("the jobs folder `{}` cannot be found: {error}", path.display()));
                return RootState::Unavailable;
            }
            _ => {
                (self.known, self.problem) = (None, gone(""));
                return RootState::Unavailable;
            }
        };
        if self.known.is_some_and(|old| old.same_file(&now)) {
            return RootState::Same;
        }
        if knows_jobs && jobs.jobs().is_ok_and(|jobs| jobs.is_empty()) {
            // The mount point of a disk that is not mounted looks like this.
            (self.known, self.problem) = (None, gone(": an empty one is in its place"));
            return RootState::Unavailable;
        }
        (self.known, self.problem) = (Some(now), None);
        RootState::Replaced
    }

    /// Whether the folder at the path is at this moment the one that was checked.
    pub(super) fn is_here(&self, jobs: &JobsDir) -> bool {
        let now = Signature::at(jobs.root());
        self.known.zip(now).is_some_and(|(known, now)| known.same_file(&now))
    }

    /// Begins a listing, unless it would show the same jobs as the last one. `expected`: jobs that
    /// are reported at the end if they do not exist.
    pub(super) fn list(&mut self, jobs: &JobsDir, expected: impl FnOnce() -> HashSet<JobId>) {
        let now = Signature::at(jobs.root());
        if now.is_some() && now == self.listed {
            return;
        }
        // A folder that has just been changed may change again without a visible difference.
        let listed = now.filter(|now| !is_young(now.changed_at(), SystemTime::now()));
        (self.listed, self.listing) = (None, None);
        match jobs.listing() {
            Ok(entries) => {
                self.problem = None;
                self.listing = Some(ListingInProgress { entries, listed, missing: expected() });
            }
            Err(error) => self.note_unread(jobs, &error),
        }
    }

    pub(super) fn is_being_listed(&self) -> bool {
        self.listing.is_some()
    }

    /// The jobs among the next `entries` entries of the running listing. A read error ends the
    /// listing.
    pub(super) fn next_jobs(&mut self, jobs: &JobsDir, entries: usize) -> ListingStep {
        let Some(listing) = &mut self.listing else { return ListingStep::End(HashSet::new()) };
        let read: io::Result<Vec<_>> = listing.entries.by_ref().take(entries).collect();
        match read {
            Ok(read) if !read.is_empty() => {
                let found: Vec<JobId> = read.into_iter().flatten().collect();
                for id in &found {
                    listing.missing.remove(id);
                }
                ListingStep::Jobs(found)
            }
            Ok(_) => {
                self.listed = listing.listed;
                ListingStep::End(
                    self.listing.take().map(|listing| listing.missing).unwrap_or_default(),
                )
            }
            Err(error) => {
                self.note_unread(jobs, &error);
                self.listing = None;
                ListingStep::End(HashSet::new())
            }
        }
    }

    /// Has the folder listed again, because a listed job could not be read.
    pub(super) fn forget_listing(&mut self) {
        self.listed = None;
        if let Some(listing) = &mut self.listing {
            listing.listed = None;
        }
    }

    fn note_unread(&mut self, jobs: &JobsDir, error: &io::Error) {
        let path = jobs.root().display();
        self.problem = Some(format!("the jobs folder `{path}` cannot be read: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn list(root: &mut Root, jobs: &JobsDir, expected: &[&str]) -> Option<(usize, Vec<String>)> {
        root.list(jobs, || expected.iter().map(|id| id.parse().unwrap()).collect());
        let (mut found, mut turns) = (0, 0);
        while root.is_being_listed() {
            turns += 1;
            match root.next_jobs(jobs, 2) {
                ListingStep::Jobs(ids) => found += ids.len(),
                ListingStep::End(gone) => {
                    assert!(turns > found / 2, "at most two jobs per turn");
                    return Some((found, gone.iter().map(ToString::to_string).collect()));
                }
            }
        }
        None
    }

    /// Fails if an unchanged folder is listed again, if a changed or partly read one is not, or if
    /// a missing job is not reported.
    #[test]
    fn the_folder_is_listed_only_if_its_jobs_may_have_changed() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(folder.path()).unwrap();
        for id in ["a", "b", "c"] {
            std::fs::create_dir(folder.path().join(id)).unwrap();
        }
        let mut root = Root::default();
        assert_eq!(root.check(&jobs, false), RootState::Replaced);
        assert_eq!(list(&mut root, &jobs, &["a", "gone"]), Some((3, vec!["gone".to_owned()])));
        // A folder that has just changed is listed until a further change would be visible.
        let list_until_unchanged = |root: &mut Root| {
            while list(root, &jobs, &[]).is_some() {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        list_until_unchanged(&mut root);
        std::fs::remove_dir(folder.path().join("a")).unwrap();
        assert_eq!(list(&mut root, &jobs, &["a", "b"]), Some((2, vec!["a".to_owned()])));
        list_until_unchanged(&mut root);
        root.forget_listing();
        root.list(&jobs, HashSet::new);
        // The same during a running listing.
        root.forget_listing();
        while let ListingStep::Jobs(_) = root.next_jobs(&jobs, 2) {}
        assert_eq!(list(&mut root, &jobs, &[]), Some((2, Vec::new())));
        assert_eq!(list(&mut root, &jobs, &[]), None);
    }
}
