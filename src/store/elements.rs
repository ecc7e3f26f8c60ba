//! The files through which a server and the nodes of a Slurm cluster agree on who runs an attempt: in `.slurm` of the
//! jobs folder, which is on a file system that they share.
//!
//! Input: tasks of shims, ends of attempts. Output: a task, given away once; the end of an attempt, decided once.
//!
//! Invariants: only a rename, an unlink or a link decides anything, because these are atomic on a shared file system, and
//! locks and events of one host are not seen by another. A task is taken by renaming its file: whoever succeeds runs the attempt,
//! or withdraws it. The end mark is made by a link: who comes second has not ended the attempt. A task contains
//! credentials: nobody but its owner can read it, and it is removed as soon as it is taken.

use super::{StoreError, atomic::flush_place, layout::JobsDir, read};
use crate::model::element::{ElementName, EndMark};
use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The task is waiting to be taken.
const TASK: &str = "task";
/// An element has taken its task.
const CLAIMED: &str = "claimed";
/// The attempt has ended.
const END: &str = "end";
/// The maximum size of an end mark.
const MARK_CAP: u64 = 1 << 16;

/// The folder of the elements' files.
#[derive(Debug, Clone)]
pub struct Elements {
    folder: PathBuf,
}

impl Elements {
    /// The folder, whether or not it exists.
    pub fn new(jobs: &JobsDir) -> Self {
        Self { folder: jobs.elements() }
    }

    /// The folder at this path.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The path of the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Creates the folder, for its owner alone.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn create(&self) -> Result<(), StoreError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(StoreError::at("create", &self.folder))
    }

    fn path(&self, name: &ElementName, kind: &str) -> PathBuf {
        self.folder.join(format!("{name}.{kind}"))
    }

    /// Stores the task of an element; [`Self::flush`] makes it durable.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn put(&self, name: &ElementName, task: &[u8]) -> Result<(), StoreError> {
        let path = self.path(name, TASK);
        let write = || {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(task)?;
            file.sync_all()
        };
        write().map_err(StoreError::at("write", &path))
    }

    /// Makes the names of all files durable.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn flush(&self) -> Result<(), StoreError> {
        flush_place(&self.folder.join(TASK)).map_err(StoreError::at("flush", &self.folder))
    }

    /// Takes the task of an element, to run it; `None` if it was taken or withdrawn before. `note` stays in the place of the task.
    ///
    /// # Errors
    /// If the task was taken and cannot be read, or the disk refuses.
    pub fn claim(&self, name: &ElementName, note: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let claimed = self.path(name, CLAIMED);
        if !is_done(fs::rename(self.path(name, TASK), &claimed))? {
            return Ok(None);
        }
        let mut task = Vec::new();
        OpenOptions::new().read(true).open(&claimed)?.read_to_end(&mut task)?;
        let mark = self.write_new(name, note)?;
        fs::rename(mark, &claimed)?;
        Ok(Some(task))
    }

    /// Withdraws the task of an element. Returns whether the element can never run it.
    ///
    /// # Errors
    /// If the disk refuses: the element may run it.
    pub fn withdraw(&self, name: &ElementName) -> Result<bool, StoreError> {
        let path = self.path(name, TASK);
        is_done(fs::remove_file(&path)).map_err(StoreError::at("remove", &path))
    }

    /// Ends the attempt of an element. Returns whether this call has ended it; otherwise it had ended before.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn end(&self, name: &ElementName, mark: &EndMark) -> io::Result<bool> {
        let new = self.write_new(name, &serde_json::to_vec(mark)?)?;
        let linked = fs::hard_link(&new, self.path(name, END));
        let _ = fs::remove_file(&new);
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes a file that has no final name yet.
    fn write_new(&self, name: &ElementName, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.folder.join(format!("new-{name}-{}", uuid::Uuid::now_v7().simple()));
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(path)
    }

    /// Whether the attempt of an element has ended.
    pub fn has_ended(&self, name: &ElementName) -> bool {
        self.path(name, END).exists()
    }

    /// How the attempt of an element ended, if it has.
    ///
    /// # Errors
    /// If the disk does not answer.
    pub fn end_of(&self, name: &ElementName) -> Result<Option<EndMark>, StoreError> {
        let bytes = read::if_readable(&self.path(name, END), MARK_CAP)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Whether the attempt of an element may still be under way: its task waits, or was taken.
    pub fn is_under_way(&self, name: &ElementName) -> bool {
        self.path(name, TASK).exists() || self.path(name, CLAIMED).exists()
    }

    /// Removes all files of an element.
    pub fn remove(&self, name: &ElementName) {
        // What stays is removed by the next sweep.
        for kind in [TASK, CLAIMED, END] {
            let _ = fs::remove_file(self.path(name, kind));
        }
    }

    /// The elements that have files, and those whose attempts have ended. Reads the folder once.
    ///
    /// # Errors
    /// If the disk does not answer.
    pub fn list(&self) -> io::Result<Listed> {
        let mut listed = Listed::default();
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listed),
            entries => entries?,
        };
        for entry in entries {
            let file = entry?.file_name();
            let text = file.to_string_lossy();
            let Some((name, kind)) = text.rsplit_once('.') else { continue };
            let Ok(name) = name.parse::<ElementName>() else { continue };
            if kind == END {
                listed.ended.insert(name.clone());
            }
            listed.known.insert(name);
        }
        Ok(listed)
    }

    /// Removes what writers that died have left; `seen` are the entries of an earlier call, and the return value those of now.
    pub fn sweep_new(&self, seen: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        let mut now = BTreeSet::new();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if !entry.file_name().to_string_lossy().starts_with("new-") {
                continue;
            }
            if seen.contains(&path) {
                let _ = fs::remove_file(&path);
            } else {
                now.insert(path);
            }
        }
        now
    }
}

/// The elements of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    pub known: BTreeSet<ElementName>,
    pub ended: BTreeSet<ElementName>,
}

/// Whether a call did what it was to do; not if the file is not there.
fn is_done(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::element::{ArrayName, ElementEnd};
    use std::os::unix::fs::PermissionsExt;

    fn elements() -> (tempfile::TempDir, Elements, ElementName) {
        let root = tempfile::tempdir().unwrap();
        let elements = Elements::new(&JobsDir::new(root.path()).unwrap());
        elements.create().unwrap();
        (root, elements, ElementName { array: ArrayName::unique(), index: 0 })
    }

    /// Breaks if two elements, or an element and a server that withdraws it, get the same task; or if credentials stay.
    #[test]
    fn a_task_is_taken_once_and_leaves_nothing_secret() {
        let (_root, elements, name) = elements();
        elements.put(&name, b"secret").unwrap();
        let mode = fs::metadata(elements.path(&name, TASK)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(elements.is_under_way(&name) && !elements.has_ended(&name));
        assert_eq!(elements.claim(&name, b"n1").unwrap().unwrap(), b"secret");
        assert!(elements.claim(&name, b"n2").unwrap().is_none());
        assert!(!elements.withdraw(&name).unwrap());
        assert!(elements.is_under_way(&name));
        for entry in fs::read_dir(elements.folder()).unwrap() {
            assert_eq!(fs::read(entry.unwrap().path()).unwrap(), b"n1");
        }
        let other = ElementName { index: 1, ..name };
        elements.put(&other, b"secret").unwrap();
        assert!(elements.withdraw(&other).unwrap());
        assert!(elements.claim(&other, b"n1").unwrap().is_none());
    }

    /// Breaks if a shim that Slurm had given up can end an attempt that the server has ended.
    #[test]
    fn an_attempt_ends_once() {
        let (_root, elements, name) = elements();
        let of_shim = EndMark {
            schema: 1,
            code: Some(0),
            terminated: false,
            cause: None,
            detail: String::new(),
        };
        let of_server = EndMark { code: None, cause: Some(ElementEnd::Lost), ..of_shim.clone() };
        assert!(elements.end(&name, &of_server).unwrap());
        assert!(!elements.end(&name, &of_shim).unwrap());
        assert_eq!(elements.end_of(&name).unwrap(), Some(of_server));
        assert_eq!(elements.list().unwrap().ended.len(), 1);
        assert_eq!(fs::read_dir(elements.folder()).unwrap().count(), 1, "nothing else is left");
        elements.remove(&name);
        assert_eq!(elements.list().unwrap(), Listed::default());
    }
}
