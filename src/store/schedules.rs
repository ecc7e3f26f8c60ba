//! The files of schedules: `.schedules/NAME.json`, what is scanned when, and `NAME.state.json`, what
//! has been run.
//!
//! Input: names and values. Output: files, replaced as a whole and durable, and their contents.
//! Invariants: a file that cannot be read or is not ours is reported and left alone; only the files of
//! the named schedule are removed.

use super::{
    StoreError,
    atomic::{self, Durability},
    layout::JobsDir,
    plainly, read,
};
use crate::model::schedule::{MOST_SCHEDULES, ScheduleName};
use serde::Serialize;
use std::{collections::BTreeMap, fs, io, os::unix::fs::DirBuilderExt, path::PathBuf};

/// The size limit of a file, in bytes.
const CAP: u64 = 256 << 10;
/// The most files of the folder that are read.
const MOST_FILES: usize = 4 * MOST_SCHEDULES;
/// The extension of the file of a schedule: what is scanned, and when.
const DEFINITION: &str = ".json";
/// The ending of a file that records what has been run.
const STATE: &str = ".state.json";

/// The content of a file, or why it cannot be read.
pub type Content = Result<Vec<u8>, String>;

/// All files of the folder.
#[derive(Debug, Default)]
pub struct Found {
    pub definitions: BTreeMap<ScheduleName, Content>,
    pub states: BTreeMap<ScheduleName, Content>,
    /// The names of files that are no files of schedules.
    pub unknown: Vec<String>,
}

/// The folder `.schedules`.
#[derive(Debug, Clone)]
pub struct ScheduleFiles {
    folder: PathBuf,
    staging: PathBuf,
    /// The mode of the folder, which is created with the first file.
    mode: u32,
}

impl ScheduleFiles {
    /// The files of a jobs folder.
    pub fn new(jobs: &JobsDir, mode: u32) -> Self {
        Self { folder: jobs.schedules(), staging: jobs.staging(), mode }
    }

    /// Reads all files.
    ///
    /// # Errors
    /// If the folder exists and cannot be listed.
    pub fn read(&self) -> Result<Found, StoreError> {
        let mut found = Found::default();
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            entries => entries.map_err(StoreError::at("list", &self.folder))?,
        };
        for entry in entries.take(MOST_FILES) {
            let entry = entry.map_err(StoreError::at("list", &self.folder))?;
            let file_name = entry.file_name();
            let text = file_name.to_string_lossy();
            // Files of editors.
            if text.starts_with('.') {
                continue;
            }
            let (files, stem) = if let Some(stem) = text.strip_suffix(STATE) {
                (&mut found.states, Some(stem))
            } else {
                (&mut found.definitions, text.strip_suffix(DEFINITION))
            };
            if let Some(name) = stem.and_then(|stem| stem.parse::<ScheduleName>().ok()) {
                let content = read::whole(&entry.path(), CAP);
                let content = content.map(|(bytes, _)| bytes).map_err(|error| reason(&error));
                files.insert(name, content);
            } else if found.unknown.len() < MOST_SCHEDULES {
                found.unknown.push(text.into_owned());
            }
        }
        found.unknown.sort_unstable();
        Ok(found)
    }

    /// Writes what is scanned when; durable when it returns.
    ///
    /// # Errors
    /// If the disk refuses; the old file stays.
    pub fn write_definition(
        &self,
        name: &ScheduleName,
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        self.write(format!("{name}{DEFINITION}"), value)
    }

    /// Writes what has been run; durable when it returns.
    ///
    /// # Errors
    /// If the disk refuses; the old file stays.
    pub fn write_state(
        &self,
        name: &ScheduleName,
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        self.write(format!("{name}{STATE}"), value)
    }

    /// Removes both files of a schedule, durably. Succeeds if there are none. The state goes last: a crash between
    /// the two leaves a state without a schedule, which [`remove_state`](Self::remove_state) removes.
    ///
    /// # Errors
    /// If the disk refuses; the schedule may be there or gone then.
    pub fn remove(&self, name: &ScheduleName) -> Result<(), StoreError> {
        self.remove_file(format!("{name}{DEFINITION}"))?;
        self.remove_state(name)
    }

    /// Removes the state of a schedule that does not exist any more.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn remove_state(&self, name: &ScheduleName) -> Result<(), StoreError> {
        self.remove_file(format!("{name}{STATE}"))
    }

    fn write(&self, file: String, value: &impl Serialize) -> Result<(), StoreError> {
        if !self.folder.is_dir() {
            let made = fs::DirBuilder::new().recursive(true).mode(self.mode).create(&self.folder);
            made.map_err(StoreError::at("create", &self.folder))?;
            atomic::flush_place(&self.folder).map_err(StoreError::at("create", &self.folder))?;
        }
        let path = self.folder.join(file);
        atomic::replace_json(&self.staging, &path, value, Durability::Flushed)
    }

    fn remove_file(&self, file: String) -> Result<(), StoreError> {
        let path = self.folder.join(file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed
                .and_then(|()| atomic::flush_place(&path))
                .map_err(StoreError::at("remove", &path)),
        }
    }
}

/// Why a file cannot be read, without its path.
fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(_) => plainly(error),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn files(root: &std::path::Path) -> ScheduleFiles {
        let jobs = JobsDir::new(root).unwrap();
        jobs.create(0o750).unwrap();
        ScheduleFiles::new(&jobs, 0o750)
    }

    /// Fails if a file that is not ours is read as a schedule, or removed, or hides the others.
    #[test]
    fn files_are_sorted_by_their_names_and_strange_ones_stay() {
        let root = tempfile::tempdir().unwrap();
        let files = files(root.path());
        assert!(files.read().unwrap().definitions.is_empty());
        let name: ScheduleName = "a.b".parse().unwrap();
        files.write_definition(&name, &json!({ "cron": "x" })).unwrap();
        files.write_state(&name, &json!({})).unwrap();
        let folder = root.path().join(".schedules");
        for other in ["notes.txt", "a b.json", ".a.json.swp"] {
            atomic::replace(root.path(), &folder.join(other), b"{}", Durability::Eventual).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", folder.join("link.json")).unwrap();
        let found = files.read().unwrap();
        assert_eq!(found.unknown, ["a b.json", "notes.txt"]);
        assert_eq!(found.states.keys().collect::<Vec<_>>(), [&name]);
        assert!(found.definitions[&name].is_ok());
        let link = &found.definitions[&"link".parse().unwrap()];
        assert!(link.as_ref().is_err_and(|why| !why.contains('/')), "{link:?}");
        files.remove(&name).unwrap();
        files.remove(&name).unwrap();
        assert_eq!(fs::read_dir(folder).unwrap().count(), 4);
    }
}
