//! Locks: one server per jobs folder, one shim per repository. All system calls for record locks
//! are in this file.
//!
//! Both are record locks (fcntl(2), `F_SETLK`): children do not inherit them, not even between fork
//! and exec; they end with their holder, however it dies, and `F_GETLK` names the holder. So the
//! kernel answers whether a shim lives and which process it is: there are no pid files, and reused
//! pids do no harm.
//!
//! A process loses a record lock as soon as it closes *any* descriptor of the locked file. The
//! registry of this module therefore knows every file that this process has locked: it is checked
//! before a lock file is opened, and a descriptor of such a file that was opened nevertheless
//! (through a hard link, for instance) stays open until the lock is released.
//!
//! Input: paths of lock files, and files that other code of this process has opened. Output: locks,
//! and their holders. Invariants: no descriptor of a locked file is closed before its lock is
//! released; the mutex of the registry is a leaf: nothing is awaited while it is held; an error of
//! the kernel is never taken for the end of a process.

use super::{StoreError, io_error::is_absence};
use rustix::{
    fs::{FlockOperation, OFlags, fcntl_lock},
    io::Errno,
    process::{Flock, FlockOffsetType, FlockType, Pid, PidfdFlags, fcntl_getlk, pidfd_open},
};
use std::{
    collections::BTreeMap,
    fs::{File, Metadata, OpenOptions},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// How often the holder may change between two queries before that is an error.
const TRIES: usize = 100;

/// The files that this process has locked, with additional descriptors that must stay open as long.
static REGISTRY: Mutex<BTreeMap<Inode, Vec<File>>> = Mutex::new(BTreeMap::new());
/// The number of locked files, to skip the registry when it is 0.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Identifies a file independently of its paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Inode {
    pub(super) device: u64,
    pub(super) number: u64,
}

impl Inode {
    fn of(facts: &Metadata) -> Self {
        Self { device: facts.dev(), number: facts.ino() }
    }
}

/// A lock that this process holds until it is dropped.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct RecordLock {
    file: Option<File>,
    inode: Inode,
}

impl RecordLock {
    /// Whether the locked file is still the one at this path. If that is unknown, the answer is
    /// yes.
    pub fn is_at(&self, path: &Path) -> bool {
        match std::fs::symlink_metadata(path) {
            Ok(facts) => Inode::of(&facts) == self.inode,
            Err(error) => !is_absence(&error),
        }
    }
}

impl Drop for RecordLock {
    fn drop(&mut self) {
        let mut registry = registry();
        registry.remove(&self.inode);
        COUNT.store(registry.len(), Ordering::Release);
        // Closed while the registry is locked, so that nobody takes the lock in between.
        drop(self.file.take());
    }
}

/// A living process that holds a shim's lock, with a pidfd that cannot refer to another process.
#[derive(Debug)]
pub struct Holder {
    /// For display; signals go through the pidfd.
    pub pid: u32,
    pub pidfd: OwnedFd,
}

/// Takes a lock; `None` if another process holds it, or this process already does.
pub fn take(path: &Path) -> Result<Option<RecordLock>, StoreError> {
    let mut registry = registry();
    if is_held_at(&registry, path) {
        return Ok(None);
    }
    let file = open(path).map_err(StoreError::at("open", path))?;
    let Some((file, inode)) =
        not_held(&mut registry, file).map_err(StoreError::at("open", path))?
    else {
        return Ok(None);
    };
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            registry.insert(inode, Vec::new());
            COUNT.store(registry.len(), Ordering::Release);
            Ok(Some(RecordLock { file: Some(file), inode }))
        }
        Err(Errno::ACCESS | Errno::AGAIN) => Ok(None),
        Err(error) => Err(StoreError::at("lock", path)(error.into())),
    }
}

/// The other process that holds a shim's lock; `None` if there is none, or the path is not a
/// regular file: a shim cannot hold a lock on anything that a scanner may have put there instead.
///
/// # Errors
/// If the kernel does not answer: the lock may be held.
pub fn holder(path: &Path) -> Result<Option<Holder>, StoreError> {
    let mut registry = registry();
    match std::fs::symlink_metadata(path) {
        Ok(facts) if facts.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::at("look at", path)(error)),
    }
    if is_held_at(&registry, path) {
        return Ok(None);
    }
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(FLAGS.bits().cast_signed())
        .open(path)
        .and_then(|file| not_held(&mut registry, file));
    let Some((file, _)) = opened.map_err(StoreError::at("open", path))? else { return Ok(None) };
    holder_of(|| ask(&file), |pid| pidfd_open(pid, PidfdFlags::empty()))
        .map_err(StoreError::at("ask for the holder of", path))
}

/// Determines the holder by two queries, between which its process is opened.
fn holder_of(
    ask: impl Fn() -> io::Result<Option<Pid>>,
    open: impl Fn(Pid) -> rustix::io::Result<OwnedFd>,
) -> io::Result<Option<Holder>> {
    for _ in 0..TRIES {
        let Some(pid) = ask()? else { return Ok(None) };
        let pidfd = match open(pid) {
            Ok(pidfd) => pidfd,
            // The holder exited between the two queries.
            Err(Errno::SRCH) => continue,
            Err(error) => return Err(error.into()),
        };
        // If the same process still holds the lock, the pidfd belongs to it.
        if ask()? == Some(pid) {
            return Ok(Some(Holder { pid: pid.as_raw_nonzero().get().cast_unsigned(), pidfd }));
        }
    }
    Err(io::Error::other("every holder exited before it could be identified"))
}

/// Checks a file that was opened for another purpose. If this process has locked the file, its
/// descriptor is kept until the lock is released, because closing it would release the lock.
pub fn keep_if_held(file: File, facts: &Metadata) -> Option<File> {
    keep_if_locked(file, Inode::of(facts))
}

/// As [`keep_if_held`].
pub(super) fn keep_if_locked(file: File, inode: Inode) -> Option<File> {
    // Usually this process holds no lock.
    if COUNT.load(Ordering::Acquire) == 0 {
        return Some(file);
    }
    match registry().get_mut(&inode) {
        Some(kept) => {
            kept.push(file);
            None
        }
        None => Some(file),
    }
}

fn registry() -> MutexGuard<'static, BTreeMap<Inode, Vec<File>>> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_held_at(registry: &BTreeMap<Inode, Vec<File>>, path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|facts| registry.contains_key(&Inode::of(&facts)))
}

/// A lock file that was opened; `None` if this process has locked it (the file may have been moved
/// to the path after the check).
fn not_held(
    registry: &mut BTreeMap<Inode, Vec<File>>,
    file: File,
) -> io::Result<Option<(File, Inode)>> {
    let inode = Inode::of(&file.metadata()?);
    match registry.get_mut(&inode) {
        Some(kept) => {
            kept.push(file);
            Ok(None)
        }
        None => Ok(Some((file, inode))),
    }
}

fn ask(file: &File) -> io::Result<Option<Pid>> {
    let query = Flock {
        start: 0,
        length: 0,
        pid: None,
        typ: FlockType::WriteLock,
        offset_type: FlockOffsetType::Set,
    };
    // A holder in another pid namespace has no pid here; it lives but cannot be identified.
    let answer = fcntl_getlk(file, &query)?;
    match answer {
        None => Ok(None),
        Some(Flock { pid: Some(pid), .. }) => Ok(Some(pid)),
        Some(Flock { pid: None, .. }) => {
            Err(io::Error::other("its holder runs in another pid namespace"))
        }
    }
}

/// Do not follow a symbolic link, and do not block on a FIFO.
const FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK);

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .custom_flags(FLAGS.bits().cast_signed())
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_lock_has_no_holder() {
        let root = tempfile::tempdir().unwrap();
        assert!(holder(&root.path().join("missing")).unwrap().is_none());
    }

    fn pid(number: u32) -> Pid {
        Pid::from_raw(number.cast_signed()).unwrap()
    }

    /// Breaks if a kernel that cannot open a process (out of descriptors or memory) is taken to say
    /// that the process has exited: the query would repeat for ever.
    #[test]
    fn an_error_of_the_kernel_is_not_the_end_of_a_process() {
        let found = holder_of(|| Ok(Some(pid(7))), |_| Err(Errno::MFILE));
        assert_eq!(found.unwrap_err().raw_os_error(), Some(Errno::MFILE.raw_os_error()));
        // An exited holder leads to another query, but not endlessly.
        assert!(holder_of(|| Ok(Some(pid(7))), |_| Err(Errno::SRCH)).is_err());
        let answers = std::cell::RefCell::new(vec![None, Some(pid(7))]);
        let ask = || Ok(answers.borrow_mut().pop().unwrap());
        assert!(holder_of(ask, |_| Err(Errno::SRCH)).unwrap().is_none());
    }

    /// Whether another process could take the lock.
    fn is_free(path: &Path) -> bool {
        let script = "import fcntl, sys\n\
                      with open(sys.argv[1], 'r+') as file:\n\
                      \x20   fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n";
        #[expect(clippy::disallowed_methods, reason = "only another process can tell")]
        let mut python = std::process::Command::new("python3");
        python.args(["-c", script]).arg(path).stderr(std::process::Stdio::null());
        python.status().unwrap().success()
    }

    /// Breaks if other code of this process releases the lock by querying it or by reading the file
    /// under another name.
    #[test]
    fn a_lock_is_held_until_drop_despite_queries_and_reads() {
        let root = tempfile::tempdir().unwrap();
        let (path, other) = (root.path().join("repo_0.lock"), root.path().join("repo_0.json"));
        let held = take(&path).unwrap().unwrap();
        std::fs::hard_link(&path, &other).unwrap();
        assert!(!is_free(&path));
        assert!(holder(&path).unwrap().is_none(), "no other process holds it");
        assert!(take(&path).unwrap().is_none(), "it is taken only once");
        assert!(crate::store::read::open(&other).is_err());
        assert!(!is_free(&path), "a query released it");
        // Moved to another path while it is held.
        std::fs::rename(&other, root.path().join("moved")).unwrap();
        assert!(holder(&root.path().join("moved")).unwrap().is_none());
        assert!(held.is_at(&path) && !held.is_at(&other));
        assert!(!is_free(&path));
        drop(held);
        assert!(is_free(&path));
        assert!(take(&path).unwrap().is_some());
    }
}
