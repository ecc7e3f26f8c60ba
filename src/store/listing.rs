//! The pages of a listing that goes on, beside the plan: one line of JSON for each page.
//!
//! Input: pages. Output: the plan so far, and how its listing continues.
//!
//! Invariants: a page costs the same however many pages there are; a page is durable before
//! anybody relies on it; a line that a crash or a full disk tore counts as not written. The file is
//! in `.attempts`, because a sandboxed scanner of the same job must not change what is scanned.

use super::{
    StoreError,
    atomic::{Durability, flush_place},
    io_error::is_no_file_of_ours,
    layout::JobDir,
    read,
};
use crate::model::{
    listing::{PlanPage, StoredPlan},
    plan::Plan,
};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// The size limit of all pages of a job, in bytes.
pub const PAGES_CAP: u64 = 128 << 20;

/// Adds a page; returns once it is durable.
///
/// # Errors
/// If the disk refuses. The page may be there nevertheless; adding it again does no harm.
pub fn append(job: &JobDir, page: &PlanPage) -> Result<(), StoreError> {
    let path = job.pages();
    add_line(&path, page).map_err(StoreError::at("write", path))
}

fn add_line(path: &Path, page: &PlanPage) -> io::Result<()> {
    let is_new = !path.exists();
    if is_new && let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let options = || OpenOptions::new().read(true).append(true).create(true).mode(0o640).clone();
    let mut file: File = options().open(path)?;
    let mut line = Vec::new();
    if !ends_with_line(&mut file)? {
        line.push(b'\n');
    }
    serde_json::to_writer(&mut line, page)?;
    line.push(b'\n');
    file.write_all(&line)?;
    file.sync_data()?;
    if is_new {
        // The file, its folder and `.attempts` may all be new.
        path.ancestors().take(3).try_for_each(flush_place)?;
    }
    Ok(())
}

/// Whether the last line is complete; an earlier write may have been torn.
fn ends_with_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Reads a job's plan with all pages; `None` if there is no plan of ours.
///
/// # Errors
/// The text of a malformed plan, or why a file cannot be read.
pub fn read(job: &JobDir) -> Result<Option<StoredPlan>, ReadError> {
    let path = job.plan();
    let bytes = match read::whole(&path, read::MASTER_CAP) {
        Ok((bytes, _)) => bytes,
        Err(error) if is_no_file_of_ours(&error) => return Ok(None),
        Err(error) => return Err(StoreError::at("read", path)(error).into()),
    };
    let plan: Plan = serde_json::from_slice(&bytes)
        .map_err(|error| ReadError::Broken(format!("repositories.json: {error}")))?;
    drop(bytes);
    if plan.complete {
        return Ok(Some(StoredPlan::of(plan)));
    }
    let pages = pages(job)?;
    Ok(Some(with_pages(plan, &pages)))
}

/// Why a plan cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk refused; a later read may succeed.
    #[error(transparent)]
    Disk(#[from] StoreError),
    /// The file is malformed.
    #[error("{0}")]
    Broken(String),
}

/// The plan of these pages; without any, the plan as it is.
fn with_pages(plan: Plan, bytes: &[u8]) -> StoredPlan {
    let mut pages = bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<PlanPage>(line).ok())
        .peekable();
    // The plan is a copy of the pages, which may be older than they are.
    let mut stored = StoredPlan::of(if pages.peek().is_some() { Plan::unknown() } else { plan });
    for page in pages {
        stored.add(page);
    }
    stored
}

/// Brings `repositories.json` up to date, for people and for the routes that list repositories.
///
/// # Errors
/// If the disk refuses.
pub fn publish(job: &JobDir, durability: Durability) -> Result<(), StoreError> {
    job.write_plan(&listed(job)?, durability)
}

/// Writes the complete plan, durably, and removes the pages.
///
/// # Errors
/// If the disk refuses.
pub fn complete(job: &JobDir) -> Result<(), StoreError> {
    let plan = Plan { complete: true, ..listed(job)? };
    job.write_plan(&plan, Durability::Flushed)?;
    // The plan counts from now on; what stays of the pages is removed with the job.
    let _ = fs::remove_file(job.pages());
    Ok(())
}

/// The plan of the pages, whatever another program has done to `repositories.json`.
fn listed(job: &JobDir) -> Result<Plan, StoreError> {
    let stored = with_pages(Plan::unknown(), &pages(job)?);
    if stored.listing.sequence > 0 {
        return Ok(stored.plan);
    }
    match read(job) {
        Ok(stored) => Ok(stored.map_or_else(Plan::unknown, |stored| stored.plan)),
        Err(ReadError::Disk(error)) => Err(error),
        Err(ReadError::Broken(text)) => {
            Err(StoreError::at("read", job.plan())(io::Error::other(text)))
        }
    }
}

/// The content of the file of pages; empty if there is none.
fn pages(job: &JobDir) -> Result<Vec<u8>, StoreError> {
    let path = job.pages();
    match read::whole(&path, PAGES_CAP) {
        Ok((bytes, _)) => Ok(bytes),
        Err(error) if is_no_file_of_ours(&error) => Ok(Vec::new()),
        Err(error) => Err(StoreError::at("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{JobId, listing::Cursor, master::Master, plan::PlannedRepository},
        store::layout::JobsDir,
    };

    fn job(root: &Path) -> JobDir {
        let jobs = JobsDir::new(&root.join("jobs")).unwrap();
        jobs.create(0o750).unwrap();
        let id = JobId::generate();
        let master = Master::new(&id, "https://h.example/g", None, vec![], chrono::Utc::now());
        jobs.create_job(&id, 0o750, &master, &Plan::unknown()).unwrap()
    }

    fn page(sequence: u64) -> PlanPage {
        let index = u32::try_from(sequence).unwrap() - 1;
        let name = format!("r{index}");
        let mut row = Plan::of([(name.clone(), format!("https://h.example/g/{name}.git"))]);
        let row = PlannedRepository { repo_index: Some(index), ..row.repositories.remove(0) };
        let next = Cursor { url: format!("https://h.example/{sequence}"), page: 2, listed: 1 };
        PlanPage { sequence, repositories: vec![row], next: Some(next), ..PlanPage::default() }
    }

    fn names(stored: &StoredPlan) -> Vec<&str> {
        stored.plan.repositories.iter().map(|row| row.repo_name.as_str()).collect()
    }

    /// Fails if a torn line, as a crash or a full disk leaves it, affects the pages around it, or
    /// counts itself.
    #[test]
    fn a_torn_page_is_not_there_and_is_written_again() {
        let root = tempfile::tempdir().unwrap();
        let job = job(root.path());
        append(&job, &page(1)).unwrap();
        append(&job, &page(2)).unwrap();
        let path = job.pages();
        let whole = std::fs::read(&path).unwrap();
        let second = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for kept in second..whole.len() {
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(kept as u64).unwrap();
            let stored = read(&job).unwrap().unwrap();
            // Without its newline the line is complete as well.
            let expected = if kept + 1 == whole.len() { 2 } else { 1 };
            assert_eq!(stored.listing.sequence, expected, "{kept}");
            append(&job, &page(2)).unwrap();
            append(&job, &page(3)).unwrap();
            let stored = read(&job).unwrap().unwrap();
            assert_eq!(names(&stored), ["r0", "r1", "r2"], "{kept}");
            assert_eq!(stored.listing.next.unwrap().url, "https://h.example/3");
            let mut file = OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
            file.write_all(&whole).unwrap();
        }
    }

    /// Fails if the published plan lags behind the pages, seems complete too early, or if the
    /// complete plan misses a page or leaves the pages behind.
    #[test]
    fn the_plan_is_published_and_completed() {
        let root = tempfile::tempdir().unwrap();
        let job = job(root.path());
        append(&job, &page(1)).unwrap();
        publish(&job, Durability::Eventual).unwrap();
        append(&job, &page(2)).unwrap();
        let published = |job: &JobDir| -> Plan {
            serde_json::from_slice(&std::fs::read(job.plan()).unwrap()).unwrap()
        };
        assert_eq!((published(&job).complete, published(&job).repositories.len()), (false, 1));
        assert_eq!(names(&read(&job).unwrap().unwrap()), ["r0", "r1"]);
        complete(&job).unwrap();
        assert_eq!((published(&job).complete, published(&job).repositories.len()), (true, 2));
        assert!(!job.pages().exists());
        assert_eq!(names(&read(&job).unwrap().unwrap()), ["r0", "r1"]);
    }
}
