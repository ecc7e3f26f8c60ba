//! The layout of the jobs folder: which path holds what.
//!
//! Input: job ids and indices. Output: paths, and new job folders. Invariants: no other module
//! joins paths below the jobs folder; a job's folder appears as a whole or not at all.

use super::{
    StoreError,
    atomic::{self, Durability},
    removal,
};
use crate::model::{JobId, master::Master, plan::Plan};
use serde::Serialize;
use serde_json::Value;
use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The folder for temporary files and scratch folders, below the jobs folder.
const STAGING: &str = ".staging";

/// The folder of the second records of attempts, which no sandboxed scanner can write: below the
/// jobs folder, outside of every job's folder.
const ATTEMPTS: &str = ".attempts";

/// The folder of schedules and of what they have run, below the jobs folder.
const SCHEDULES: &str = ".schedules";
/// The folder of webhooks: what was sent, what waits, and which events of jobs are recorded.
const WEBHOOKS: &str = ".webhooks";
/// The folder of enrolled agents, below the jobs folder.
const AGENTS: &str = ".agents";
/// The folder of the files through which a server and the nodes of a Slurm cluster agree, below the jobs folder.
const ELEMENTS: &str = ".slurm";
/// The folder of stored results, which no sandboxed scanner can access.
const RESULTS: &str = ".results";

/// The file of copies of finished jobs, which may be removed at any time.
pub(super) const PACKED_JOBS: &str = ".packed-jobs";

/// The jobs folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobsDir {
    root: PathBuf,
}

/// One job's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobDir {
    path: PathBuf,
    staging: PathBuf,
}

/// The kind of a file in a job's folder, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobFile {
    /// `master.json`
    Master,
    /// `repo_N.json`
    Repository(u32),
}

impl JobFile {
    /// Parses a file name; `None` for files that scanwatch does not read.
    pub fn parse(name: &OsStr) -> Option<Self> {
        let name = name.to_str()?;
        if name == "master.json" {
            return Some(Self::Master);
        }
        let digits = name.strip_prefix("repo_")?.strip_suffix(".json")?;
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // `repo_007.json` would be a second file for repository 7.
        let plain = plain && (digits == "0" || !digits.starts_with('0'));
        if plain { digits.parse().ok().map(Self::Repository) } else { None }
    }

    /// The file's name.
    pub fn name(self) -> String {
        match self {
            Self::Master => "master.json".to_owned(),
            Self::Repository(index) => format!("repo_{index}.json"),
        }
    }
}

impl JobsDir {
    /// A jobs folder; does not touch the disk.
    ///
    /// # Errors
    /// If the working directory is unknown.
    pub fn new(path: &Path) -> Result<Self, StoreError> {
        let root = std::path::absolute(path).map_err(StoreError::at("locate", path))?;
        Ok(Self { root })
    }

    /// Creates the folder and `.staging` below it, with `mode`, unless they exist.
    ///
    /// # Errors
    /// If they cannot be created, if one of them is a symbolic link, or if the folder belongs to a
    /// different user than this process, who could put anything into it.
    pub fn create(&self, mode: u32) -> Result<(), StoreError> {
        let make = |path: &Path| DirBuilder::new().recursive(true).mode(mode).create(path);
        make(&self.root).map_err(StoreError::at("create", &self.root))?;
        let staging = self.staging();
        make(&staging).map_err(StoreError::at("create", &staging))?;
        for path in [&self.root, &staging] {
            check_owner(path).map_err(StoreError::at("use", path))?;
        }
        Ok(())
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder for temporary files: same file system, never watched.
    pub fn staging(&self) -> PathBuf {
        self.root.join(STAGING)
    }

    /// The folder of the second records of all jobs' attempts.
    pub fn attempts(&self) -> PathBuf {
        self.root.join(ATTEMPTS)
    }

    /// The folder of schedules.
    pub(super) fn schedules(&self) -> PathBuf {
        self.root.join(SCHEDULES)
    }

    /// The folder of webhooks.
    pub(super) fn webhooks(&self) -> PathBuf {
        self.root.join(WEBHOOKS)
    }

    /// The folder of enrolled agents.
    pub(super) fn agents(&self) -> PathBuf {
        self.root.join(AGENTS)
    }

    /// The folder of the files of Slurm's elements.
    pub(super) fn elements(&self) -> PathBuf {
        self.root.join(ELEMENTS)
    }

    /// The folder of stored results.
    pub fn result_store(&self) -> PathBuf {
        self.root.join(RESULTS)
    }

    /// The file that the running server locks.
    pub fn server_lock(&self) -> PathBuf {
        self.root.join(".lock")
    }

    /// The file of copies of finished jobs.
    pub(super) fn packed_jobs(&self) -> PathBuf {
        self.root.join(PACKED_JOBS)
    }

    /// The folder of a job, whether or not it exists.
    pub fn job(&self, id: &JobId) -> JobDir {
        JobDir { path: self.root.join(id.as_str()), staging: self.staging() }
    }

    /// The jobs that have folders.
    pub fn jobs(&self) -> Result<Vec<JobId>, StoreError> {
        let read = || -> io::Result<Vec<JobId>> {
            self.listing()?.filter_map(io::Result::transpose).collect()
        };
        read().map_err(StoreError::at("list", &self.root))
    }

    /// As [`Self::jobs`], entry by entry.
    pub fn listing(&self) -> io::Result<Listing> {
        fs::read_dir(&self.root).map(Listing)
    }

    /// Creates a job with all its files by one rename, fsynced. After a crash there is the whole
    /// job or none of it.
    pub fn create_job(
        &self,
        id: &JobId,
        mode: u32,
        master: &Master,
        plan: &Plan,
    ) -> Result<JobDir, StoreError> {
        let job = self.job(id);
        let staging = self.staging();
        let new = tempfile::Builder::new()
            .prefix("new-")
            .permissions(Permissions::from_mode(mode))
            .tempdir_in(&staging)
            .map_err(StoreError::at("create a folder in", &staging))?;
        for name in ["results", "logs", "locks"] {
            let path = new.path().join(name);
            DirBuilder::new().mode(mode).create(&path).map_err(StoreError::at("create", &path))?;
        }
        let new_job = JobDir { path: new.path().to_owned(), staging: staging.clone() };
        new_job.write_master(master, Durability::Content)?;
        atomic::replace_json(&staging, &new_job.plan(), plan, Durability::Content)?;
        fs::rename(new.path(), &job.path).map_err(StoreError::at("create", &job.path))?;
        // The folder has been renamed; its guard must not remove anything.
        let _ = new.keep();
        // Fsynced last, the outer folder first: the filesystem's journal then includes the inner
        // entries.
        let flush = |path: &Path| {
            let flushed = File::open(path).and_then(|folder| folder.sync_all());
            flushed.map_err(StoreError::at("flush", path))
        };
        match flush(&self.root).and_then(|()| flush(&job.path)) {
            Ok(()) => Ok(job),
            Err(error) => {
                // A caller that gets an error must not find the job after a restart.
                let _ = removal::remove(&staging, &job.path);
                Err(error)
            }
        }
    }
}

impl JobDir {
    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder in which this job's files are made before they are renamed.
    pub fn staging(&self) -> &Path {
        &self.staging
    }

    /// The path of a watched file.
    pub fn file(&self, file: JobFile) -> PathBuf {
        self.path.join(file.name())
    }

    /// `repositories.json`
    pub fn plan(&self) -> PathBuf {
        self.path.join("repositories.json")
    }

    /// `repo_N.json`
    pub fn status(&self, index: u32) -> PathBuf {
        self.file(JobFile::Repository(index))
    }

    /// `results/repo_N.json`
    pub fn result(&self, index: u32) -> PathBuf {
        self.path.join("results").join(format!("repo_{index}.json"))
    }

    /// `logs/repo_N.log`
    pub fn log(&self, index: u32) -> PathBuf {
        self.path.join("logs").join(format!("repo_{index}.log"))
    }

    /// The file that a living shim locks.
    pub fn lock(&self, index: u32) -> PathBuf {
        self.path.join("locks").join(format!("repo_{index}.lock"))
    }

    /// The record of the last attempt; its shim writes it before anything else.
    pub fn attempt(&self, index: u32) -> PathBuf {
        self.path.join("locks").join(format!("repo_{index}.attempt.json"))
    }

    /// The folder of the second records of this job's attempts.
    pub(super) fn kept_attempts(&self) -> PathBuf {
        let root = self.staging.parent().unwrap_or(&self.staging);
        root.join(ATTEMPTS).join(self.path.file_name().unwrap_or_default())
    }

    /// The pages of a listing that goes on, where no sandboxed scanner can write.
    pub(super) fn pages(&self) -> PathBuf {
        self.kept_attempts().join("listing.jsonl")
    }

    /// As [`Self::attempt`], where no sandboxed scanner can write.
    pub(super) fn kept_attempt(&self, index: u32) -> PathBuf {
        self.kept_attempts().join(format!("repo_{index}.attempt.json"))
    }

    /// The ticket of an attempt that an agent runs for a server, where no sandboxed scanner can write.
    #[cfg(feature = "nats")]
    pub(super) fn ticket(&self, index: u32) -> PathBuf {
        self.kept_attempts().join(format!("repo_{index}.ticket.json"))
    }

    /// The order to a shim, with its reason; written before the signal.
    pub fn order(&self, index: u32) -> PathBuf {
        self.path.join("locks").join(format!("repo_{index}.order.json"))
    }

    /// Replaces `master.json`.
    pub fn write_master(&self, master: &Master, durability: Durability) -> Result<(), StoreError> {
        self.write(JobFile::Master, master, durability)
    }

    /// Replaces `repositories.json`.
    pub fn write_plan(&self, plan: &Plan, durability: Durability) -> Result<(), StoreError> {
        atomic::replace_json(&self.staging, &self.plan(), plan, durability)
    }

    /// Replaces `repo_N.json`.
    pub fn write_status(
        &self,
        index: u32,
        status: &Value,
        durability: Durability,
    ) -> Result<(), StoreError> {
        self.write(JobFile::Repository(index), status, durability)
    }

    fn write(
        &self,
        file: JobFile,
        value: &impl Serialize,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let path = self.file(file);
        match atomic::replace_json(&self.staging, &path, value, durability) {
            // A scanner can create a folder at a file's path. The folder is removed, because the
            // final state could never be written otherwise.
            Err(error) if error.source.kind() == io::ErrorKind::IsADirectory => {
                removal::remove(&self.staging, &path)?;
                atomic::replace_json(&self.staging, &path, value, durability)
            }
            other => other,
        }
    }
}

/// The entries of the jobs folder: a job id for each job's folder, `None` for anything else.
#[derive(Debug)]
pub struct Listing(fs::ReadDir);

impl Iterator for Listing {
    type Item = io::Result<Option<JobId>>;

    fn next(&mut self) -> Option<Self::Item> {
        let job = |entry: fs::DirEntry| {
            // A symbolic link is ignored: it may lead anywhere.
            let is_folder = entry.file_type()?.is_dir();
            Ok(entry.file_name().to_str().filter(|_| is_folder).and_then(|name| name.parse().ok()))
        };
        Some(self.0.next()?.and_then(job))
    }
}

fn check_owner(path: &Path) -> io::Result<()> {
    let facts = fs::symlink_metadata(path)?;
    if !facts.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::NotADirectory,
            "it is a symbolic link, not a folder",
        ));
    }
    let me = rustix::process::geteuid().as_raw();
    if facts.uid() != me {
        let text = format!(
            "it belongs to user {}, but this process runs as user {me}; change its owner or the server's user",
            facts.uid()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
