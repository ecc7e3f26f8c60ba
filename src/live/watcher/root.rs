//! The jobs folder itself: whether it is there, whether it is the same one, whether it can be listed.
//!
//! What must stay true: what is known stays known while the folder is away or cannot be looked at;
//! only a folder that is there, and does not have a job, takes it away.

use super::folder::is_young;
use crate::{
    model::JobId,
    store::{
        layout::{JobsDir, Listing},
        read::{Signature, is_absence},
    },
};
use std::{collections::HashSet, fs, io, time::SystemTime};

/// The jobs folder as it was found last.
#[derive(Debug, Default)]
pub(super) struct Root {
    /// The folder that its watch is on: a new one of the same name is another.
    known: Option<Signature>,
    /// As it was when it was listed last: a job that comes or goes makes it another.
    listed: Option<Signature>,
    /// What is under way.
    listing: Option<UnderWay>,
    /// What is wrong with it, in words.
    pub(super) problem: Option<String>,
}

/// A listing that is under way.
#[derive(Debug)]
struct UnderWay {
    entries: Listing,
    /// What holds once all of it has been listed.
    listed: Option<Signature>,
    /// Those of the jobs that were asked for that have not been found yet.
    missing: HashSet<JobId>,
}

/// What a listing has shown.
pub(super) enum Listed {
    /// Jobs that are there.
    Jobs(Vec<JobId>),
    /// There are no more, and these of the jobs that were asked for are not there.
    End(HashSet<JobId>),
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
    /// Looks where the folder is, and forgets what was listed if it is another or not there.
    /// `knows_jobs`: an empty one in its place is not taken for it then.
    pub(super) fn look(&mut self, jobs: &JobsDir, knows_jobs: bool) -> Look {
        let look = self.look_once(jobs, knows_jobs);
        if look != Look::Same {
            (self.listed, self.listing) = (None, None);
        }
        look
    }

    fn look_once(&mut self, jobs: &JobsDir, knows_jobs: bool) -> Look {
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

    /// Begins to list it, unless that would show the same jobs as the last time. `asked_for`: jobs of
    /// which it is to be told if they are not there.
    pub(super) fn list(&mut self, jobs: &JobsDir, asked_for: impl FnOnce() -> HashSet<JobId>) {
        let now = Signature::at(jobs.root());
        if now.is_some() && now == self.listed {
            return;
        }
        // What has just been changed may change again without showing it.
        let listed = now.filter(|it| !is_young(it.changed_at(), SystemTime::now()));
        (self.listed, self.listing) = (None, None);
        match jobs.listing() {
            Ok(entries) => {
                self.problem = None;
                self.listing = Some(UnderWay { entries, listed, missing: asked_for() });
            }
            Err(error) => self.note_unread(jobs, &error),
        }
    }

    pub(super) fn is_being_listed(&self) -> bool {
        self.listing.is_some()
    }

    /// The next jobs of the listing that is under way, of so many entries. Where it cannot be read any
    /// further, it ends.
    pub(super) fn next_jobs(&mut self, jobs: &JobsDir, entries: usize) -> Listed {
        let Some(listing) = &mut self.listing else { return Listed::End(HashSet::new()) };
        let read: io::Result<Vec<_>> = listing.entries.by_ref().take(entries).collect();
        match read {
            Ok(read) if !read.is_empty() => {
                let there: Vec<JobId> = read.into_iter().flatten().collect();
                for id in &there {
                    listing.missing.remove(id);
                }
                Listed::Jobs(there)
            }
            Ok(_) => {
                self.listed = listing.listed;
                Listed::End(self.listing.take().map(|it| it.missing).unwrap_or_default())
            }
            Err(error) => {
                self.note_unread(jobs, &error);
                self.listing = None;
                Listed::End(HashSet::new())
            }
        }
    }

    /// Not all that was listed could be read: it has to be listed again.
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

    fn list(root: &mut Root, jobs: &JobsDir, asked_for: &[&str]) -> Option<(usize, Vec<String>)> {
        root.list(jobs, || asked_for.iter().map(|it| it.parse().unwrap()).collect());
        let (mut there, mut turns) = (0, 0);
        while root.is_being_listed() {
            turns += 1;
            match root.next_jobs(jobs, 2) {
                Listed::Jobs(ids) => there += ids.len(),
                Listed::End(gone) => {
                    assert!(turns > there / 2, "at most two in a turn");
                    return Some((there, gone.iter().map(ToString::to_string).collect()));
                }
            }
        }
        None
    }

    /// Breaks if a folder that has not changed is listed again, or if one that has, or of which not all
    /// could be read, is not; or if nobody is told of a job that is gone.
    #[test]
    fn a_folder_is_listed_when_it_may_have_other_jobs() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(folder.path()).unwrap();
        for id in ["a", "b", "c"] {
            std::fs::create_dir(folder.path().join(id)).unwrap();
        }
        let mut root = Root::default();
        assert_eq!(root.look(&jobs, false), Look::Another);
        assert_eq!(list(&mut root, &jobs, &["a", "gone"]), Some((3, vec!["gone".to_owned()])));
        // What has just changed is listed until its time would tell another change.
        let list_until_it_is_old = |root: &mut Root| {
            while list(root, &jobs, &[]).is_some() {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        list_until_it_is_old(&mut root);
        std::fs::remove_dir(folder.path().join("a")).unwrap();
        assert_eq!(list(&mut root, &jobs, &["a", "b"]), Some((2, vec!["a".to_owned()])));
        list_until_it_is_old(&mut root);
        root.forget_listing();
        root.list(&jobs, HashSet::new);
        // While it is under way as well.
        root.forget_listing();
        while let Listed::Jobs(_) = root.next_jobs(&jobs, 2) {}
        assert_eq!(list(&mut root, &jobs, &[]), Some((2, Vec::new())));
        assert_eq!(list(&mut root, &jobs, &[]), None);
    }
}
