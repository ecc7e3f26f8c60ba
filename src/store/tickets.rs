//! What an agent keeps of an attempt that it runs for a server: the folder of the job, and a ticket with what it needs to
//! continue after a restart.
//!
//! Input: tickets as values. Output: the same from the disk, and folders of jobs.
//!
//! Invariants: tickets are where no sandboxed scanner can write; a job's folder exists while one of its attempts has a
//! ticket, and is removed with the last one.

use super::{
    StoreError,
    atomic::{self, Durability},
    layout::{JobDir, JobsDir},
    read, removal, trash,
};
use crate::model::{JobId, master::Master, plan::Plan};
use serde::{Serialize, de::DeserializeOwned};
use std::{fs, io, path::Path};

/// How the name of a ticket ends.
const SUFFIX: &str = ".ticket.json";

/// The maximum size of a ticket.
const TICKET_CAP: u64 = 1 << 20;

/// Creates the folder of a job, unless it exists, and writes the ticket of an attempt.
///
/// # Errors
/// If the disk refuses.
pub fn take<T: Serialize>(
    jobs: &JobsDir,
    id: &JobId,
    index: u32,
    mode: u32,
    ticket: &T,
) -> Result<(), StoreError> {
    let job = jobs.job(id);
    if read::is_missing_folder(job.path()) {
        jobs.create_job(id, mode, &Master::default(), &Plan::of([]))?;
    }
    let folder = job.kept_attempts();
    fs::create_dir_all(&folder).map_err(StoreError::at("create", folder))?;
    write(&job, index, ticket)
}

/// Replaces a ticket.
///
/// # Errors
/// If the disk refuses.
pub fn write<T: Serialize>(job: &JobDir, index: u32, ticket: &T) -> Result<(), StoreError> {
    atomic::replace_json(job.staging(), &job.ticket(index), ticket, Durability::Eventual)
}

/// All tickets, of all jobs. What cannot be read is no ticket.
///
/// # Errors
/// If the folder cannot be listed.
pub fn all<T: DeserializeOwned>(
    jobs: &JobsDir,
) -> Result<Vec<(JobId, u32, Option<T>)>, StoreError> {
    let mut found = Vec::new();
    for id in jobs.jobs()? {
        let job = jobs.job(&id);
        for index in indices(&job.kept_attempts()).map_err(StoreError::at("list", job.path()))? {
            let bytes = read::if_readable(&job.ticket(index), TICKET_CAP)?;
            let ticket = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            found.push((id.clone(), index, ticket));
        }
    }
    Ok(found)
}

/// Removes the files of an attempt, and with the last ticket the folder of its job.
///
/// # Errors
/// If the disk refuses.
pub fn give_back(jobs: &JobsDir, id: &JobId, index: u32) -> Result<(), StoreError> {
    let job = jobs.job(id);
    for path in [job.result(index), job.log(index), job.status(index), job.ticket(index)] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                removal::remove(job.staging(), &path)?;
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::at("remove", path)(error));
            }
            _ => {}
        }
    }
    let left = indices(&job.kept_attempts()).map_err(StoreError::at("list", job.path()))?;
    if left.is_empty() { trash::remove_job(jobs, id) } else { Ok(()) }
}

/// Removes the folders of jobs that have no ticket.
///
/// # Errors
/// If the folder cannot be listed, or the disk refuses.
pub fn remove_others(jobs: &JobsDir) -> Result<(), StoreError> {
    for id in jobs.jobs()? {
        let kept = jobs.job(&id).kept_attempts();
        if indices(&kept).map_err(StoreError::at("list", kept))?.is_empty() {
            trash::remove_job(jobs, &id)?;
        }
    }
    Ok(())
}

/// The repositories whose tickets are in a folder.
fn indices(folder: &Path) -> io::Result<Vec<u32>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let index = |entry: fs::DirEntry| {
        let name = entry.file_name();
        name.to_str()?.strip_prefix("repo_")?.strip_suffix(SUFFIX)?.parse().ok()
    };
    Ok(entries.flatten().filter_map(index).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_job_goes_with_its_last_ticket() {
        let root = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(root.path()).unwrap();
        jobs.create(0o750).unwrap();
        let id: JobId = "job".parse().unwrap();
        for index in [0, 7] {
            take(&jobs, &id, index, 0o750, &index).unwrap();
        }
        let other: JobId = "other".parse().unwrap();
        jobs.create_job(&other, 0o750, &Master::default(), &Plan::of([])).unwrap();
        remove_others(&jobs).unwrap();
        let mut found = all::<u32>(&jobs).unwrap();
        found.sort();
        assert_eq!(found, [(id.clone(), 0, Some(0)), (id.clone(), 7, Some(7))]);
        give_back(&jobs, &id, 0).unwrap();
        assert!(jobs.job(&id).path().exists() && !jobs.job(&other).path().exists());
        give_back(&jobs, &id, 7).unwrap();
        assert!(!jobs.job(&id).path().exists() && all::<u32>(&jobs).unwrap().is_empty());
    }
}
