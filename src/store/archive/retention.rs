//! The clean-up of archived jobs.
//!
//! Input: how long results are kept after the end of their job. Output: expired records are gone, and blobs that no record
//! names.
//!
//! Invariants: a record is removed before its blobs; no blob is removed unless every record could be read; the names in
//! memory are at most [`MOST_NAMES`], however many blobs there are: with more of them, the folders of blobs are cleaned in
//! several passes over the records.

use super::{Archive, Blob, Unreadable};
use crate::{
    model::{JobId, time::Timestamp},
    store::StoreError,
};
use std::{collections::HashSet, fs, io, path::Path, time::Duration};

/// How many names of blobs are in memory at a time: 16 bytes each.
const MOST_NAMES: usize = 1_000_000;

/// Why archived jobs were not cleaned up.
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "nothing that archived jobs use is removed while a record is unreadable; remove the record if it is damaged"
    )]
    Unreadable(#[from] Unreadable),
}

impl Archive {
    /// Removes the records of jobs that ended more than `retention` ago and that `may_go` allows to remove.
    ///
    /// # Errors
    /// The first operation that failed; the others are still carried out.
    pub fn remove_expired(
        &self,
        retention: Duration,
        now: Timestamp,
        may_go: &dyn Fn(&JobId) -> bool,
    ) -> Result<u64, CleanError> {
        let mut removed = 0;
        let mut outcome = Ok(());
        for id in self.jobs()? {
            let remove = || -> Result<bool, CleanError> {
                let Some(record) = self.read(&id)? else { return Ok(false) };
                let age = (now - record.header().finished_at).to_std().unwrap_or_default();
                Ok(age > retention && may_go(&id) && self.remove(&id)?)
            };
            match remove() {
                Ok(is_removed) => removed += u64::from(is_removed),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome.map(|()| removed)
    }

    /// Removes the blobs that no record names.
    ///
    /// # Errors
    /// If a record or a folder cannot be read, or the disk refuses.
    pub fn sweep(&self) -> Result<u64, CleanError> {
        self.sweep_with(MOST_NAMES)
    }

    pub(super) fn sweep_with(&self, most: usize) -> Result<u64, CleanError> {
        let _exclusive = Self::exclusive();
        let mut removed = 0;
        let mut begin = 0;
        while begin < 256 {
            let (named, end) = self.named(begin, most)?;
            for shard in begin..end {
                removed += self.sweep_shard(&format!("{shard:02x}"), &named)?;
            }
            begin = end;
        }
        Ok(removed)
    }

    /// The blobs in the folders from `begin` on that a record names, and the first folder without its names.
    fn named(&self, begin: u32, most: usize) -> Result<(HashSet<u128>, u32), CleanError> {
        let mut end = 256;
        let mut named = HashSet::new();
        let mut add = |blob: Option<&Blob>| {
            let Some(name) = blob.and_then(|blob| Name::of(blob.sha256())) else { return };
            if (begin..end).contains(&name.shard()) {
                named.insert(name.0);
            }
            while named.len() > most && end - begin > 1 {
                end = begin + (end - begin) / 2;
                named.retain(|name| Name(*name).shard() < end);
            }
        };
        for id in self.jobs()? {
            let Some(mut record) = self.read(&id)? else { continue };
            add(record.header().plan.as_ref());
            record.master()?;
            while let Some(repository) = record.repository()? {
                add(repository.result.as_ref());
                add(repository.log.as_ref());
            }
        }
        Ok((named, end))
    }

    fn sweep_shard(&self, shard: &str, named: &HashSet<u128>) -> Result<u64, StoreError> {
        let folder = self.blobs().join(shard);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            listed => listed.map_err(StoreError::at("list", &folder))?,
        };
        let mut removed = 0;
        for entry in entries {
            let entry = entry.map_err(StoreError::at("list", &folder))?;
            let name = entry.file_name();
            let is_named =
                name.to_str().and_then(Name::of).is_none_or(|name| named.contains(&name.0));
            // A name that is none of ours stays.
            if !is_named {
                remove(&entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// The first half of a SHA-256.
#[derive(Debug, Clone, Copy)]
struct Name(u128);

impl Name {
    fn of(sha256: &str) -> Option<Self> {
        let is_whole = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_whole.then(|| u128::from_str_radix(&sha256[..32], 16).ok().map(Self)).flatten()
    }

    /// The number of its folder.
    fn shard(self) -> u32 {
        (self.0 >> 120) as u32
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::at("remove", path)(error))
        }
        _ => Ok(()),
    }
}
