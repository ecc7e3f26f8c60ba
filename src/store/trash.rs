//! Removal of what scanwatch created, and nothing else.
//!
//! Input: jobs, attempts, leftovers. Output: they are gone.
//!
//! Invariants: a job's folder is first renamed into `.staging`, so that it disappears for every
//! reader at once, and then removed there. `remove_dir_all` of the standard library does not follow
//! symbolic links. What a crash leaves in `.staging` is removed once it is old and belongs to no
//! attempt.

use super::{
    StoreError, atomic,
    layout::{JobDir, JobsDir},
    read::is_missing_folder,
};
use crate::model::JobId;
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// The minimum age of a leftover in `.staging`: far longer than a write takes, and short enough for
/// an operator who waits.
const LEFT_BEHIND: Duration = Duration::from_mins(1);

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

/// Removes a path of ours, at once for every reader.
pub(super) fn remove(staging: &Path, path: &Path) -> Result<(), StoreError> {
    let bin = tempfile::Builder::new()
        .prefix("trash-")
        .tempdir_in(staging)
        .map_err(StoreError::at("create a folder in", staging))?;
    match fs::rename(path, bin.path().join("removed")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::at("remove", path)(error)),
        Ok(()) => {
            let bin = bin.keep();
            // A removal must not be undone by a power cut.
            let flushed = atomic::flush_place(path);
            remove_folder(&bin).map_err(StoreError::at("remove", path))?;
            flushed.map_err(StoreError::at("flush the folder of", path))
        }
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

/// Removes a folder with all its content, including folders that a scanner made read-only, as Go
/// does with its module cache.
#[expect(clippy::disallowed_methods, reason = "only paths that this module named")]
fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        other => other,
    }
}

fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // `file_type` does not follow symbolic links.
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
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
        if ours && meant && is_old(&entry.path()) {
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
    fs::symlink_metadata(path)
        .and_then(|facts| facts.modified())
        .is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > LEFT_BEHIND))
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

    #[test]
    fn read_only_folders_are_removed_and_the_targets_of_links_stay() {
        let root = tempfile::tempdir().unwrap();
        let (scratch, elsewhere) = (root.path().join("scratch-a-0-1"), root.path().join("else"));
        let cache = scratch.join("go/pkg/mod");
        fs::create_dir_all(&cache).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, cache.join("link")).unwrap();
        for folder in [&cache, &elsewhere] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).unwrap();
        }
        // Root may remove anything; any other user depends on `open_up`.
        open_up(&scratch).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&cache), mode(&elsewhere)), (0o700, 0o555));
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o555)).unwrap();
        remove_scratch(&scratch).unwrap();
        assert!(!scratch.exists());
        remove_scratch(&scratch).unwrap();
    }
}
