//! The files of enrolled agents: `.agents/NAME.json` below the jobs folder.
//!
//! Input: agents. Output: files, replaced as a whole and durable, and their contents.
//!
//! Invariants: a file holds only the public key of an agent; a file that cannot be read or is not ours is reported and
//! left alone.

use super::{
    StoreError,
    atomic::{self, Durability},
    layout::JobsDir,
    read,
};
use crate::model::time::{self, Timestamp};
use serde::{Deserialize, Serialize};
use std::{fs, io, os::unix::fs::DirBuilderExt, path::PathBuf};

/// The size limit of a file, in bytes.
const CAP: u64 = 64 << 10;
/// The maximum number of agents.
pub const MOST_AGENTS: usize = 10_000;

/// An agent that may scan for this server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolledAgent {
    pub schema: u32,
    pub name: String,
    /// Credentials are sealed to this key.
    pub public_key: String,
    /// The labels whose repositories it may scan; all if there are none.
    #[serde(default)]
    pub labels: Vec<String>,
    #[serde(with = "time")]
    pub enrolled_at: Timestamp,
}

/// The folder `.agents`.
#[derive(Debug, Clone)]
pub struct AgentFiles {
    folder: PathBuf,
    staging: PathBuf,
    mode: u32,
}

impl AgentFiles {
    /// The files of a jobs folder, which is created with the first one.
    pub fn new(jobs: &JobsDir, mode: u32) -> Self {
        Self { folder: jobs.agents(), staging: jobs.staging(), mode }
    }

    /// Reads all files. A file that is unusable is logged.
    ///
    /// # Errors
    /// If the folder exists and cannot be listed.
    pub fn read(&self) -> Result<Vec<EnrolledAgent>, StoreError> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(StoreError::at("list", &self.folder))?,
        };
        let mut agents = Vec::new();
        for entry in entries.take(2 * MOST_AGENTS) {
            let path = entry.map_err(StoreError::at("list", &self.folder))?.path();
            let Some(stem) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json"))
            else {
                continue;
            };
            let read = read::whole(&path, CAP).map_err(|error| error.to_string());
            let agent = read.and_then(|(bytes, _)| {
                serde_json::from_slice::<EnrolledAgent>(&bytes).map_err(|error| error.to_string())
            });
            match agent {
                Ok(agent) if agent.name == stem => agents.push(agent),
                Ok(_) => {
                    tracing::error!(path = %path.display(), "the file of an enrolled agent names another agent; enroll it again");
                }
                Err(error) => {
                    tracing::error!(path = %path.display(), error, "cannot read the file of an enrolled agent; enroll it again");
                }
            }
        }
        Ok(agents)
    }

    /// Writes an agent, whose name is usable as a file name; durable when it returns.
    ///
    /// # Errors
    /// If the disk refuses; the old file stays.
    pub fn write(&self, agent: &EnrolledAgent) -> Result<(), StoreError> {
        if !self.folder.is_dir() {
            let made = fs::DirBuilder::new().recursive(true).mode(self.mode).create(&self.folder);
            made.map_err(StoreError::at("create", &self.folder))?;
            atomic::flush_place(&self.folder).map_err(StoreError::at("create", &self.folder))?;
        }
        let path = self.path(&agent.name);
        atomic::replace_json(&self.staging, &path, agent, Durability::Flushed)
    }

    /// Removes an agent durably. Succeeds if there is none.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed
                .and_then(|()| atomic::flush_place(&path))
                .map_err(StoreError::at("remove", &path)),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_read_as_they_were_written_and_strange_files_stay() {
        let root = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(root.path()).unwrap();
        jobs.create(0o750).unwrap();
        let files = AgentFiles::new(&jobs, 0o750);
        assert!(files.read().unwrap().is_empty());
        let agent = EnrolledAgent {
            schema: 1,
            name: "a1".to_owned(),
            public_key: "X".to_owned(),
            labels: vec!["dmz".to_owned()],
            enrolled_at: Timestamp::default(),
        };
        files.write(&agent).unwrap();
        for (name, text) in [("b.json", "{}"), ("c.json", "x"), ("notes", "")] {
            let path = root.path().join(".agents").join(name);
            atomic::replace(root.path(), &path, text.as_bytes(), Durability::Eventual).unwrap();
        }
        assert_eq!(files.read().unwrap(), [agent]);
        files.remove("a1").unwrap();
        files.remove("a1").unwrap();
        assert!(files.read().unwrap().is_empty());
        assert_eq!(fs::read_dir(root.path().join(".agents")).unwrap().count(), 3);
    }
}
