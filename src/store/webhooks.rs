//! The files of webhooks, in `.webhooks` below the jobs folder.
//!
//! Input: names of webhooks, ids of deliveries and of jobs, values. Output: whole files.
//!
//! Invariants: a delivery is one file in the folder of its state, so listing a folder is enough to know what waits; it is
//! written to its new folder before it is removed from the old one, so a crash leaves it in both, never in none; nothing
//! here is removed with a job.

use super::{
    StoreError,
    atomic::{self, Durability},
    layout::JobsDir,
    read,
};
use crate::model::{JobId, webhook::DeliveryState};
use serde::Serialize;
use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// The size limit of a delivery, in bytes: its payload has one job or one repository.
const DELIVERY_CAP: u64 = 1 << 20;
/// The size limit of a compressed document, in bytes.
pub const DOCUMENT_CAP: u64 = 64 << 20;

/// The folder `.webhooks`.
#[derive(Debug, Clone)]
pub struct WebhookFolder {
    root: PathBuf,
    staging: PathBuf,
    mode: u32,
}

impl WebhookFolder {
    /// The folder of these jobs; does not touch the disk.
    pub fn new(jobs: &JobsDir, mode: u32) -> Self {
        Self { root: jobs.webhooks(), staging: jobs.staging(), mode }
    }

    /// Creates the folders of these webhooks, unless they exist.
    pub fn create<'a>(
        &self,
        webhooks: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), StoreError> {
        let make = |path: PathBuf| {
            let made = DirBuilder::new().recursive(true).mode(self.mode).create(&path);
            made.map_err(StoreError::at("create", path))
        };
        make(self.markers())?;
        for webhook in webhooks {
            for state in DeliveryState::ALL {
                make(self.deliveries(webhook, state))?;
            }
            make(self.documents(webhook))?;
            atomic::flush_folder(&self.target(webhook))?;
        }
        atomic::flush_folder(&self.root.join("targets"))
            .or_else(|error| {
                if error.source.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
            })
            .and_then(|()| atomic::flush_folder(&self.root))
    }

    /// Whether the records of jobs are complete: every event since [`begin`](Self::begin) is or will be recorded.
    pub fn is_begun(&self) -> bool {
        fs::symlink_metadata(self.ledger()).is_ok_and(|facts| facts.is_file())
    }

    /// Makes the records of jobs durable, and states that they are complete.
    pub fn begin(&self, statement: &impl Serialize) -> Result<(), StoreError> {
        let path = self.markers();
        let flush = || -> io::Result<()> { Ok(rustix::fs::syncfs(File::open(&path)?)?) };
        flush().map_err(StoreError::at("flush the disk of", &path))?;
        atomic::replace_json(&self.staging, &self.ledger(), statement, Durability::Flushed)
    }

    /// States that the records of jobs are not complete any more. Succeeds if they never were.
    pub fn end(&self) -> Result<(), StoreError> {
        let path = self.ledger();
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StoreError::at("remove", path)(error)),
            Ok(()) => atomic::flush_folder(&self.root),
        }
    }

    /// The jobs that have a record.
    pub fn marked(&self) -> Result<Vec<JobId>, StoreError> {
        let ids = names(&self.markers())?;
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// The record of a job: which of its events are recorded as deliveries.
    pub fn marker(&self, id: &JobId) -> Result<Option<Vec<u8>>, StoreError> {
        read::if_readable(&self.marker_path(id), read::MASTER_CAP)
    }

    /// Replaces the record of a job.
    pub fn write_marker(
        &self,
        id: &JobId,
        marker: &impl Serialize,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let path = self.marker_path(id);
        let bytes = serde_json::to_vec(marker).map_err(io::Error::other);
        let bytes = bytes.map_err(StoreError::at("write", &path))?;
        atomic::replace(&self.staging, &path, &bytes, durability)
    }

    /// Removes the record of a job. Succeeds if there is none.
    pub fn remove_marker(&self, id: &JobId) -> Result<(), StoreError> {
        remove(&self.marker_path(id))
    }

    /// The ids of the deliveries of a webhook in one state.
    pub fn list(&self, webhook: &str, state: DeliveryState) -> Result<Vec<String>, StoreError> {
        names(&self.deliveries(webhook, state))
    }

    /// A delivery; `None` if it is missing.
    pub fn delivery(
        &self,
        webhook: &str,
        state: DeliveryState,
        id: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        read::if_readable(&self.delivery_path(webhook, state, id), DELIVERY_CAP)
    }

    /// Writes a delivery. With [`Durability::Content`] its name is durable after [`flush`](Self::flush).
    pub fn write_delivery(
        &self,
        webhook: &str,
        state: DeliveryState,
        id: &str,
        delivery: &impl Serialize,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let path = self.delivery_path(webhook, state, id);
        atomic::replace_json(&self.staging, &path, delivery, durability)
    }

    /// Makes the names of the deliveries of a webhook in one state durable.
    pub fn flush(&self, webhook: &str, state: DeliveryState) -> Result<(), StoreError> {
        atomic::flush_folder(&self.deliveries(webhook, state))
    }

    /// Removes a delivery. Succeeds if there is none.
    pub fn remove_delivery(
        &self,
        webhook: &str,
        state: DeliveryState,
        id: &str,
    ) -> Result<(), StoreError> {
        remove(&self.delivery_path(webhook, state, id))
    }

    /// The compressed document of a delivery; `None` if it is missing.
    pub fn document(&self, webhook: &str, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        read::if_readable(&self.document_path(webhook, id), DOCUMENT_CAP)
    }

    /// The ids of the deliveries that have a document.
    pub fn documented(&self, webhook: &str) -> Result<Vec<String>, StoreError> {
        names(&self.documents(webhook))
    }

    /// Writes the document of a delivery as `write` writes it, durably.
    ///
    /// # Errors
    /// Of the disk, or of `write`.
    pub fn write_document(
        &self,
        webhook: &str,
        id: &str,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        atomic::replace_by(&self.staging, &self.document_path(webhook, id), write)
    }

    /// Removes the document of a delivery. Succeeds if there is none.
    pub fn remove_document(&self, webhook: &str, id: &str) -> Result<(), StoreError> {
        remove(&self.document_path(webhook, id))
    }

    /// How many deliveries of a webhook were removed unsent, as it was written last; `None` if none was.
    pub fn losses(&self, webhook: &str) -> Result<Option<Vec<u8>>, StoreError> {
        read::if_readable(&self.target(webhook).join("lost.json"), DELIVERY_CAP)
    }

    /// Records how many deliveries of a webhook were removed unsent.
    pub fn write_losses(&self, webhook: &str, losses: &impl Serialize) -> Result<(), StoreError> {
        let path = self.target(webhook).join("lost.json");
        atomic::replace_json(&self.staging, &path, losses, Durability::Flushed)
    }

    fn ledger(&self) -> PathBuf {
        self.root.join("ledger.json")
    }

    fn markers(&self) -> PathBuf {
        self.root.join("jobs")
    }

    fn marker_path(&self, id: &JobId) -> PathBuf {
        self.markers().join(format!("{id}.json"))
    }

    fn target(&self, webhook: &str) -> PathBuf {
        self.root.join("targets").join(webhook)
    }

    fn deliveries(&self, webhook: &str, state: DeliveryState) -> PathBuf {
        self.target(webhook).join(state.as_str())
    }

    fn delivery_path(&self, webhook: &str, state: DeliveryState, id: &str) -> PathBuf {
        self.deliveries(webhook, state).join(format!("{id}.json"))
    }

    fn documents(&self, webhook: &str) -> PathBuf {
        self.target(webhook).join("documents")
    }

    fn document_path(&self, webhook: &str, id: &str) -> PathBuf {
        self.documents(webhook).join(format!("{id}.json.gz"))
    }
}

/// The names of the files in a folder, without their endings; none if there is no folder.
fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let list = || -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let stem = name.to_str().and_then(|name| {
                name.strip_suffix(".json.gz").or_else(|| name.strip_suffix(".json"))
            });
            found.extend(stem.map(str::to_owned));
        }
        Ok(found)
    };
    match list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(StoreError::at("list", folder)),
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(StoreError::at("remove", path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_delivery_is_in_the_folder_of_its_state() {
        let root = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(root.path()).unwrap();
        jobs.create(0o750).unwrap();
        let folder = WebhookFolder::new(&jobs, 0o750);
        assert_eq!(folder.list("ci", DeliveryState::Pending).unwrap(), Vec::<String>::new());
        folder.create(["ci"]).unwrap();
        let (value, written) = (json!({"a": 1}), Durability::Content);
        folder.write_delivery("ci", DeliveryState::Pending, "x", &value, written).unwrap();
        assert_eq!(folder.list("ci", DeliveryState::Pending).unwrap(), ["x"]);
        assert_eq!(folder.list("ci", DeliveryState::Failed).unwrap(), Vec::<String>::new());
        assert!(folder.delivery("ci", DeliveryState::Pending, "x").unwrap().is_some());
        folder.remove_delivery("ci", DeliveryState::Pending, "x").unwrap();
        assert!(folder.delivery("ci", DeliveryState::Pending, "x").unwrap().is_none());
        assert!(!folder.is_begun());
        folder.begin(&value).unwrap();
        assert!(folder.is_begun());
        folder.end().unwrap();
        assert!(!folder.is_begun());
    }
}
