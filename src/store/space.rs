//! Decides whether new work can start on the disk of the jobs folder: enough free space above the
//! floor, so that running scans can still write their results and final states; the jobs folder is
//! still the one that this process works in; and the disk accepts writes.
//!
//! Input: the file system's figures, queried each time, and reports of failed writes. Output: the
//! obstacle, if there is one. Invariants: a file system that does not answer, or counts no inodes,
//! refuses nothing; each change is logged once.

use super::{
    admission::{Admission, Crowded, ScanRegistration},
    atomic,
    io_error::is_absence,
    layout::JobsDir,
    plainly,
    read::Signature,
    reserve,
    server_lock::ServerLock,
};
use rustix::fs::{StatVfsMountFlags, statvfs};
use std::{
    fmt,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// The files that a scan creates to start: lock, record, log, status, scratch folder, reserved
/// space, and the first files of the scanner.
const FILES_TO_BEGIN: usize = 12;

/// The required free space; 0 requires nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    pub bytes: u64,
    pub inodes: u64,
}

/// The free space for an unprivileged process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    pub bytes: u64,
    /// `None` if the file system allocates inodes dynamically.
    pub inodes: Option<u64>,
}

/// Less is free than the floor requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    Bytes { free: u64, wanted: u64 },
    Inodes { free: u64, wanted: u64 },
}

/// Why no new work can start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    #[error("not enough free space: {0}")]
    Short(Shortage),
    #[error("the disk of the jobs folder is read-only")]
    ReadOnly,
    /// The path is missing, or is a different folder from the one that this process works in.
    #[error("the jobs folder is gone: it was moved, removed or unmounted")]
    Away,
    /// The lock file was removed, and another process has locked the new one.
    #[error(
        "another scanwatch works in the jobs folder: `.lock` was removed while this server ran; \
         stop one of the two"
    )]
    Taken,
    /// Scans run, and one more might not have enough room beside them.
    #[error(
        "{} scans run and may still use {}, one more may use {} ([limits] max_fetch_bytes), and {} \
         are free above the floor ([jobs] min_free_bytes)",
        .0.running, Size(.0.promised), Size(.0.most), Size(.0.free)
    )]
    Crowded(Crowded),
    /// A write has failed, and so does a test write.
    #[error("the jobs folder is not writable: {0}")]
    Unwritable(String),
}

impl Obstacle {
    /// Whether nothing at all can be written. On a full disk some writes succeed.
    pub fn forbids_all(&self) -> bool {
        matches!(self, Self::ReadOnly | Self::Away | Self::Taken)
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bytes { free, wanted } => write!(
                f,
                "{} free on the disk of the jobs folder, {} required ([jobs] min_free_bytes)",
                Size(free),
                Size(wanted)
            ),
            Self::Inodes { free, wanted } => write!(
                f,
                "{free} inodes free on the disk of the jobs folder, {wanted} required \
                 ([jobs] min_free_inodes)"
            ),
        }
    }
}

/// Bytes, formatted in a suitable unit.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = *self;
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if bytes >> shift > 0 {
                #[expect(clippy::cast_precision_loss, reason = "shown to one decimal")]
                let size = bytes as f64 / (1_u64 << shift) as f64;
                return write!(f, "{size:.1} {unit}");
            }
        }
        write!(f, "{bytes} bytes")
    }
}

impl Floor {
    /// What falls short of the floor, if anything does.
    pub fn shortage(&self, free: Free) -> Option<Shortage> {
        if free.bytes < self.bytes {
            return Some(Shortage::Bytes { free: free.bytes, wanted: self.bytes });
        }
        let inodes = free.inodes.filter(|free| *free < self.inodes)?;
        Some(Shortage::Inodes { free: inodes, wanted: self.inodes })
    }
}

/// How many bytes are free for an unprivileged process on the disk of this path. Blocks.
pub fn free_bytes(path: &Path) -> Option<u64> {
    statvfs(path).ok().map(|facts| facts.f_bavail.saturating_mul(facts.f_frsize))
}

/// The disk of the jobs folder, and what has to be free there.
#[derive(Debug)]
pub struct Space {
    folder: PathBuf,
    staging: PathBuf,
    floor: Mutex<Floor>,
    /// The folder that this process works in, once it is known.
    own: OnceLock<Signature>,
    /// This server's lock of the folder, once it is taken.
    lock: OnceLock<ServerLock>,
    /// A write has failed, and no test write has succeeded since.
    suspected: AtomicBool,
    /// The obstacle at the last check.
    last: Mutex<Option<Obstacle>>,
    admission: Arc<Admission>,
    /// What only the queue waits for.
    crowded: Mutex<Option<Crowded>>,
}

impl Space {
    /// The disk of this jobs folder.
    pub fn new(jobs: &JobsDir, floor: Floor) -> Self {
        Self {
            folder: jobs.root().to_owned(),
            staging: jobs.staging(),
            floor: Mutex::new(floor),
            own: OnceLock::new(),
            lock: OnceLock::new(),
            suspected: AtomicBool::new(false),
            last: Mutex::new(None),
            admission: Arc::default(),
            crowded: Mutex::new(None),
        }
    }

    /// Adds the limit of a fetch, which running scans may each use.
    #[must_use]
    pub fn for_fetches_of(self, most: u64) -> Self {
        Self { admission: Arc::new(Admission::new(most)), ..self }
    }

    /// Replaces the required free space, and the limit of a fetch.
    pub fn limit(&self, floor: Floor, most: u64) {
        *self.floor.lock().unwrap_or_else(PoisonError::into_inner) = floor;
        self.admission.limit(most);
    }

    fn floor(&self) -> Floor {
        *self.floor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a running scan with this scratch folder until the return value is dropped.
    pub fn register(&self, scratch: PathBuf) -> ScanRegistration {
        self.admission.register(scratch)
    }

    /// The obstacle to one more scan, if there is one. Blocks.
    pub fn obstacle_to_scan(&self) -> Option<Obstacle> {
        if let Some(obstacle) = self.obstacle() {
            return Some(obstacle);
        }
        let free = self.free().map(|free| free.bytes.saturating_sub(self.floor().bytes));
        let crowded = free.and_then(|free| self.admission.crowded(free));
        let before = std::mem::replace(
            &mut *self.crowded.lock().unwrap_or_else(PoisonError::into_inner),
            crowded,
        );
        let obstacle = crowded.map(Obstacle::Crowded);
        if let (None, Some(obstacle)) = (before, &obstacle) {
            tracing::warn!(
                "not enough free space for another scan; queued scans wait for running ones: {obstacle}"
            );
        }
        obstacle
    }

    /// What the queue waits for in addition to [`Self::obstacle`], for /health.
    pub fn crowding(&self) -> Option<String> {
        let crowded = *self.crowded.lock().unwrap_or_else(PoisonError::into_inner);
        crowded.map(|crowded| {
            format!("queued scans wait for running ones: {}", Obstacle::Crowded(crowded))
        })
    }

    /// Records that this process works in the folder now at the path, and keeps its lock. While the
    /// lock is open, the folder keeps its identity, even across an unmount.
    pub fn adopt(&self, lock: ServerLock) {
        let _ = self.lock.set(lock);
        if let Some(now) = Signature::at(&self.folder) {
            let _ = self.own.set(now);
        }
    }

    /// Reports a failed write: no new work starts until a test write succeeds.
    pub fn suspect(&self) {
        self.suspected.store(true, Ordering::Relaxed);
    }

    /// The free space; `None` if the disk does not report it. Blocks.
    pub fn free(&self) -> Option<Free> {
        let facts = statvfs(&self.folder).ok()?;
        let inodes = (facts.f_files > 0).then_some(facts.f_favail);
        Some(Free { bytes: facts.f_bavail.saturating_mul(facts.f_frsize), inodes })
    }

    /// Whether the folder at the path is the one that this process works in. Blocks.
    pub fn is_here(&self) -> bool {
        let Some(own) = self.own.get() else { return true };
        match std::fs::symlink_metadata(&self.folder) {
            Ok(facts) => facts.is_dir() && Signature::of(&facts).same_file(own),
            // Unknown for now: out of descriptors or memory, or permission is missing.
            Err(error) => !is_absence(&error),
        }
    }

    /// The obstacle to any new work, if there is one. Blocks.
    pub fn obstacle(&self) -> Option<Obstacle> {
        let obstacle = self.look();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*last, &obstacle) {
            (None, Some(obstacle)) => {
                tracing::warn!("new jobs are refused and queued jobs wait: {obstacle}");
            }
            (Some(Obstacle::Short(_)), None) => {
                tracing::info!("enough free space again; queued jobs continue");
            }
            (Some(_), None) => {
                tracing::info!("the jobs folder is writable again; queued jobs continue");
            }
            _ => {}
        }
        last.clone_from(&obstacle);
        obstacle
    }

    fn look(&self) -> Option<Obstacle> {
        if !self.is_here() {
            return Some(Obstacle::Away);
        }
        if self.lock.get().is_some_and(|lock| !lock.is_ours()) {
            return Some(Obstacle::Taken);
        }
        if let Ok(facts) = statvfs(&self.folder)
            && facts.f_flag.contains(StatVfsMountFlags::RDONLY)
        {
            return Some(Obstacle::ReadOnly);
        }
        if let Some(shortage) = self.free().and_then(|free| self.floor().shortage(free)) {
            return Some(Obstacle::Short(shortage));
        }
        if !self.suspected.load(Ordering::Relaxed) {
            return None;
        }
        match self.try_to_write() {
            Ok(()) => {
                self.suspected.store(false, Ordering::Relaxed);
                None
            }
            Err(error) => Some(Obstacle::Unwritable(plainly(&error))),
        }
    }

    /// Test write: writes and fsyncs as many bytes and files as a scan needs to start, and removes
    /// them.
    fn try_to_write(&self) -> io::Result<()> {
        let mut file = atomic::new_file(&self.staging)?;
        file.as_file_mut().write_all(&vec![b' '; 2 * reserve::SIZE])?;
        file.as_file().sync_all()?;
        let files: io::Result<Vec<_>> =
            (1..FILES_TO_BEGIN).map(|_| atomic::new_file(&self.staging)).collect();
        files.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(floor: (u64, u64), free: (u64, Option<u64>), expected: Option<&str>) {
        let floor = Floor { bytes: floor.0, inodes: floor.1 };
        let shortage = floor.shortage(Free { bytes: free.0, inodes: free.1 });
        let text = shortage.map(|shortage| shortage.to_string());
        assert_eq!(text.is_some(), expected.is_some(), "{text:?}");
        assert!(text.unwrap_or_default().starts_with(expected.unwrap_or_default()), "{expected:?}");
    }

    #[test]
    fn space_below_the_floor_is_short_and_uncounted_inodes_are_not() {
        check((1 << 30, 0), (1 << 30, Some(0)), None);
        check((1 << 30, 0), (5 << 19, Some(9)), Some("2.5 MiB free on the disk of the jobs"));
        check((1 << 30, 0), (7, None), Some("7 bytes free"));
        check((0, 10), (0, Some(9)), Some("9 inodes free"));
        check((0, 10), (0, None), None);
        check((0, 0), (0, Some(0)), None);
    }

    #[test]
    fn a_disk_that_does_not_answer_refuses_nothing() {
        let floor = Floor { bytes: u64::MAX, inodes: u64::MAX };
        let root = tempfile::tempdir().unwrap();
        let of = |path: &Path| Space::new(&JobsDir::new(path).unwrap(), floor);
        assert!(of(&root.path().join("gone")).obstacle().is_none());
        assert!(of(root.path()).obstacle().is_some());
    }
}
