//! Removal of what scanwatch created, and nothing else.
//!
//! Input: jobs, attempts, leftovers. Output: they are gone.
//!
//! Invariants: a job's folder disappears for every reader at once (`removal`); what a crash leaves
//! in `.staging` is removed once it is old and belongs to no attempt.

use super::{
    StoreError,
    layout::{JobDir, JobsDir},
    new_folder,
    read::is_missing_folder,
    removal::{remove, remove_folder},
};
use crate::model::JobId;
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// The minimum age of a leftover in `.staging`: far longer than a write takes, and short enough for
/// an operator who waits.
const LEFT_BEHIND: Duration = Duration::from_mins(1);
/// That of a folder that was being restored.
const LEFT_RESTORING: Duration = Duration::from_hours(24);

/// The prefix of a self-test's folder in `.staging`.
pub const SELF_TEST: &str = "self-test-";

/// Removes a job's folder with all its content. Succeeds if it is already gone.
pub fn remove_job(jobs: &JobsDir, id: &JobId) -> Result<(), StoreError> {
    let job = jobs.job(id);
    remove(&jobs.staging(), job.path())?;
    remove_kept(&job.kept_attempts())
}

/// Removes the second records of a job's attempts. Succeeds if there are none.
fn remove_kept(path: &Path) -> Result<(), StoreError> {
    match remove_folder(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(StoreError::at("remove", path)),
    }
}

/// The scratch folder of one attempt. Its shim removes it, or the server once the shim is dead.
pub fn scratch(job: &JobDir, id: &JobId, index: u32, attempt: u64) -> PathBuf {
    job.staging().join(format!("scratch-{id}-{index}-{attempt}"))
}

/// The paths of the reserved space for the first and the final state of one attempt; removed with
/// the scratch folder.
pub fn reserves(job: &JobDir, id: &JobId, index: u32, attempt: u64) -> [PathBuf; 2] {
    ["first", "last"]
        .map(|which| job.staging().join(format!("reserve-{id}-{index}-{attempt}-{which}")))
}

/// Removes the files of [`reserves`]. Succeeds if they are already gone.
pub fn remove_reserves(paths: &[PathBuf]) -> Result<(), StoreError> {
    paths.iter().try_for_each(|path| match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(StoreError::at("remove", path)),
    })
}

/// Removes entries of a scratch folder by their prefix: what is no longer needed must not keep the
/// disk full.
pub fn remove_from_scratch(scratch: &Path, prefix: &str) {
    for entry in fs::read_dir(scratch).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            // What stays is removed with the folder.
            let _ = remove_folder(&entry.path());
        }
    }
}

/// Removes a folder of [`scratch`]. Succeeds if it is already gone.
pub fn remove_scratch(path: &Path) -> Result<(), StoreError> {
    match remove_folder(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(StoreError::at("remove", path)),
    }
}

/// The names of all entries in `.staging`. Names are never reused.
pub fn staged(jobs: &JobsDir) -> BTreeSet<OsString> {
    let entries = fs::read_dir(jobs.staging()).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).collect()
}

/// Removes what crashes left in `.staging`, if it is older than a minute: temporary files, and
/// half-created and half-removed jobs. Scratch folders are removed when their attempt is finalized.
/// While others write there, only entries that are also in `among`, an earlier listing, are
/// removed.
///
/// # Errors
/// The first removal that failed; the others are still carried out.
pub fn sweep(jobs: &JobsDir, among: Option<&BTreeSet<OsString>>) -> Result<(), StoreError> {
    let staging = jobs.staging();
    let entries = fs::read_dir(&staging).map_err(StoreError::at("list", &staging))?;
    let mut outcome = Ok(());
    for entry in entries.flatten() {
        let name = entry.file_name();
        let ours = ["write-", "new-", "trash-", SELF_TEST]
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix));
        let meant = among.is_none_or(|them| them.contains(&name));
        let restoring = name.to_string_lossy().starts_with(new_folder::PREFIX);
        let is_left = (ours && is_old(&entry.path()))
            || (restoring && is_older(&entry.path(), LEFT_RESTORING));
        if meant && is_left {
            outcome = outcome.and(remove_old(&entry.path()));
        }
    }
    outcome
}

/// Removes the second records of attempts whose jobs somebody else removed. Checks every job, so it
/// is not for frequent use.
///
/// # Errors
/// The first removal that failed; the others are still carried out.
pub fn sweep_kept(jobs: &JobsDir) -> Result<(), StoreError> {
    let mut outcome = Ok(());
    for entry in fs::read_dir(jobs.attempts()).into_iter().flatten().flatten() {
        let job = jobs.root().join(entry.file_name());
        if is_missing_folder(&job) && is_old(&entry.path()) {
            outcome = outcome.and(remove_kept(&entry.path()));
        }
    }
    outcome
}

fn is_old(path: &Path) -> bool {
    is_older(path, LEFT_BEHIND)
}

fn is_older(path: &Path, least: Duration) -> bool {
    fs::symlink_metadata(path)
        .and_then(|facts| facts.modified())
        .is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > least))
}

fn remove_old(path: &Path) -> Result<(), StoreError> {
    let facts = fs::symlink_metadata(path);
    let done = if facts.is_ok_and(|facts| facts.is_dir()) {
        remove_folder(path)
    } else {
        fs::remove_file(path)
    };
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(StoreError::at("remove", path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_others_write_only_earlier_entries_are_swept() {
        let root = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(root.path()).unwrap();
        jobs.create(0o750).unwrap();
        let make = |name: &str| {
            let path = jobs.staging().join(name);
            fs::create_dir(&path).unwrap();
            let an_hour_ago = SystemTime::now() - Duration::from_hours(1);
            fs::File::open(&path).unwrap().set_modified(an_hour_ago).unwrap();
            path
        };
        let left = make("new-left");
        let before = staged(&jobs);
        let being_made = make("new-being-made");
        sweep(&jobs, Some(&before)).unwrap();
        assert!(!left.exists() && being_made.exists());
        sweep(&jobs, None).unwrap();
        assert!(!being_made.exists());
    }
}
