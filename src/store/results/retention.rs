//! The clean-up of stored results.
//!
//! Input: how long a result is kept. Output: outdated results are gone.
//!
//! Invariants: the newest result of a target stays for the retention time from when it was stored or last reused, whichever
//! is later; an older one of the same target has no record any more, and is removed after an hour. The record is
//! removed before its result. A shim that reuses a result at the same moment has opened it; one that stores a result at the same
//! moment has written it less than an hour ago.

use super::{RECORD, ResultKey, ResultStore};
use crate::store::{StoreError, read};
use std::{
    collections::HashSet,
    ffi::OsString,
    fs, io,
    path::Path,
    time::{Duration, SystemTime},
};

/// How old a result without a record must be: far longer than storing one takes.
const UNRECORDED: Duration = Duration::from_hours(1);
/// The size limit of a record.
const RECORD_CAP: u64 = 64 << 10;

/// What a clean-up removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    pub records: u64,
    pub results: u64,
}

impl ResultStore {
    /// Removes results that were neither stored nor reused within `retention`, and results without a record.
    ///
    /// # Errors
    /// The first operation that failed; the others are still carried out.
    pub fn clean(&self, retention: Duration, now: SystemTime) -> Result<Removed, StoreError> {
        let mut removed = Removed::default();
        let mut outcome = Ok(());
        let shards = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(removed),
            listed => listed.map_err(StoreError::at("list", &self.root))?,
        };
        for shard in shards.flatten() {
            let is_shard = shard.file_name().len() == 2;
            if is_shard && shard.file_type().is_ok_and(|kind| kind.is_dir()) {
                let cleaned = clean_shard(&shard.path(), retention, now, &mut removed);
                outcome = outcome.and(cleaned);
            }
        }
        outcome.map(|()| removed)
    }
}

fn clean_shard(
    shard: &Path,
    retention: Duration,
    now: SystemTime,
    removed: &mut Removed,
) -> Result<(), StoreError> {
    let entries = fs::read_dir(shard).map_err(StoreError::at("list", shard))?;
    // One of 256 folders: a store of a million results has 4,000 names here.
    let names: Vec<OsString> = entries.flatten().map(|entry| entry.file_name()).collect();
    let mut outcome = Ok(());
    let mut kept = HashSet::new();
    for name in names.iter().filter_map(|name| name.to_str()) {
        if !name.ends_with(RECORD) {
            continue;
        }
        let path = shard.join(name);
        if age(&path, now).is_some_and(|age| age > retention) {
            outcome = outcome.and(remove(&path, &mut removed.records));
        } else if let Some(result) = result_of(name, &path) {
            kept.insert(result);
        }
    }
    for name in &names {
        let text = name.to_string_lossy();
        let path = shard.join(name);
        let is_wanted = text.ends_with(RECORD) || kept.contains(text.as_ref());
        if !is_wanted && age(&path, now).is_some_and(|age| age > UNRECORDED) {
            outcome = outcome.and(remove(&path, &mut removed.results));
        }
    }
    outcome
}

/// The name of the result that a record describes.
fn result_of(name: &str, path: &Path) -> Option<String> {
    let target = ResultKey::at_start_of(name)?;
    let (bytes, _) = read::whole(path, RECORD_CAP).ok()?;
    let record: super::Record = serde_json::from_slice(&bytes).ok()?;
    Some(format!("{target}.{}.json", record.commit))
}

/// The time since the last change; none if it is in the future, or unknown.
fn age(path: &Path, now: SystemTime) -> Option<Duration> {
    let changed = fs::symlink_metadata(path).and_then(|facts| facts.modified()).ok()?;
    now.duration_since(changed).ok()
}

fn remove(path: &Path, count: &mut u64) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Ok(()) => {
            *count += 1;
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::at("remove", path)(error)),
    }
}
