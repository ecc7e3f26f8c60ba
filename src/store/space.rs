//! Whether anything new can be begun on the disk of the jobs folder: there is a floor of free
//! space, so that what runs can still write its results and its end; the folder at the path has to
//! be the one that this process works in; and the disk has to take writes.
//!
//! Input: the file system's own figures, asked for each time, and the word of those whose
//! write has failed. Output: what stands in the way, if anything does. Invariants:
//! a file system that gives no answer, or counts no inodes, refuses nothing; a change is logged
//! once, whoever finds it.

use super::{
    atomic,
    layout::JobsDir,
    plainly,
    read::{Signature, is_absence},
    reserve,
    room::{Crowded, Place, Room},
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

/// What a scan makes in order to begin: lock, record, log, status, scratch folder, what is set aside,
/// and what the scanner makes first.
const FILES_TO_BEGIN: usize = 12;

/// What has to be free; 0 asks for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    pub bytes: u64,
    pub inodes: u64,
}

/// What is free for a process without privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    pub bytes: u64,
    /// `None` where the file system makes inodes as it needs them.
    pub inodes: Option<u64>,
}

/// Less is free than the floor wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    Bytes { free: u64, wanted: u64 },
    Inodes { free: u64, wanted: u64 },
}

/// Why nothing new can be begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    #[error("too little space: {0}")]
    Short(Shortage),
    #[error("the disk of the jobs folder is read-only")]
    ReadOnly,
    /// There is no folder at the path, or another one than that which this process works in.
    #[error("the jobs folder is gone: it was moved, removed or unmounted")]
    Away,
    /// The lock file was removed, and another process has locked the one that is there now.
    #[error(
        "another scanwatch works in the jobs folder: `.lock` was removed while this server ran; \
         stop one of the two"
    )]
    Taken,
    /// Scans run, and one more might not find room beside them.
    #[error(
        "{} scans run and may still take {}, one more may take {} ([limits] max_fetch_bytes), and {} \
         are free above the floor ([jobs] min_free_bytes)",
        .0.running, Size(.0.promised), Size(.0.most), Size(.0.free)
    )]
    Crowded(Crowded),
    /// A write has failed, and a try of our own fails as well.
    #[error("nothing can be written to the jobs folder: {0}")]
    Unwritable(String),
}

impl Obstacle {
    /// Whether nothing at all can be written. On a disk that is merely full, some of it can.
    pub fn forbids_all(&self) -> bool {
        matches!(self, Self::ReadOnly | Self::Away | Self::Taken)
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bytes { free, wanted } => write!(
                f,
                "{} free on the disk of the jobs folder, {} wanted ([jobs] min_free_bytes)",
                Size(free),
                Size(wanted)
            ),
            Self::Inodes { free, wanted } => write!(
                f,
                "{free} inodes free on the disk of the jobs folder, {wanted} wanted \
                 ([jobs] min_free_inodes)"
            ),
        }
    }
}

/// Bytes in the unit that suits them.
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
    /// What is short of the floor, if anything is.
    pub fn shortage(&self, free: Free) -> Option<Shortage> {
        if free.bytes < self.bytes {
            return Some(Shortage::Bytes { free: free.bytes, wanted: self.bytes });
        }
        let inodes = free.inodes.filter(|it| *it < self.inodes)?;
        Some(Shortage::Inodes { free: inodes, wanted: self.inodes })
    }
}

/// How many bytes are free, for a process without privileges, where this path lies. Blocks.
pub fn free_bytes(path: &Path) -> Option<u64> {
    statvfs(path).ok().map(|facts| facts.f_bavail.saturating_mul(facts.f_frsize))
}

/// The disk that the jobs folder lies on, and what has to be free there.
#[derive(Debug)]
pub struct Space {
    folder: PathBuf,
    staging: PathBuf,
    floor: Floor,
    /// The folder that this process works in, once it does.
    own: OnceLock<Signature>,
    /// This server's lock of the folder, once it has it.
    lock: OnceLock<ServerLock>,
    /// Somebody's write has failed, and none of ours has worked since.
    suspected: AtomicBool,
    /// What stood in the way when it was last asked.
    last: Mutex<Option<Obstacle>>,
    room: Arc<Room>,
    /// What the queue waits for that is in the way of nothing else.
    crowded: Mutex<Option<Crowded>>,
}

impl Space {
    /// Of the disk below this jobs folder.
    pub fn new(jobs: &JobsDir, floor: Floor) -> Self {
        Self {
            folder: jobs.root().to_owned(),
            staging: jobs.staging(),
            floor,
            own: OnceLock::new(),
            lock: OnceLock::new(),
            suspected: AtomicBool::new(false),
            last: Mutex::new(None),
            room: Arc::default(),
            crowded: Mutex::new(None),
        }
    }

    /// The same, with room for scans that may each take so many bytes.
    #[must_use]
    pub fn for_fetches_of(self, most: u64) -> Self {
        Self { room: Arc::new(Room::new(most)), ..self }
    }

    /// Notes that a scan runs whose scratch folder this is, until the place is dropped.
    pub fn place(&self, scratch: PathBuf) -> Place {
        self.room.place(scratch)
    }

    /// What stands in the way of one more scan now. Blocks.
    pub fn obstacle_to_scan(&self) -> Option<Obstacle> {
        if let Some(obstacle) = self.obstacle() {
            return Some(obstacle);
        }
        let free = self.free().map(|free| free.bytes.saturating_sub(self.floor.bytes));
        let crowded = free.and_then(|free| self.room.crowded(free));
        let before = std::mem::replace(
            &mut *self.crowded.lock().unwrap_or_else(PoisonError::into_inner),
            crowded,
        );
        let obstacle = crowded.map(Obstacle::Crowded);
        if let (None, Some(obstacle)) = (before, &obstacle) {
            tracing::warn!("scans wait for others to end: {obstacle}");
        }
        obstacle
    }

    /// What the queue waits for beside [`Self::obstacle`], in words for /health.
    pub fn crowding(&self) -> Option<String> {
        let crowded = *self.crowded.lock().unwrap_or_else(PoisonError::into_inner);
        crowded.map(|it| format!("queued scans wait for others to end: {}", Obstacle::Crowded(it)))
    }

    /// Notes that the folder which is at the path now is the one that this process works in: it
    /// has its lock, which is kept here. As long as that is held open, the folder stays the same
    /// one, also over an unmount.
    pub fn settle(&self, lock: ServerLock) {
        let _ = self.lock.set(lock);
        if let Some(now) = Signature::at(&self.folder) {
            let _ = self.own.set(now);
        }
    }

    /// Somebody could not write: until a try of our own works, nothing new is begun.
    pub fn suspect(&self) {
        self.suspected.store(true, Ordering::Relaxed);
    }

    /// What is free now; `None` if the disk does not say. Blocks.
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
            // Not even that can be told now: of descriptors, of memory, of a right.
            Err(error) => !is_absence(&error),
        }
    }

    /// What stands in the way of anything new now. Blocks.
    pub fn obstacle(&self) -> Option<Obstacle> {
        let obstacle = self.look();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*last, &obstacle) {
            (None, Some(obstacle)) => {
                tracing::warn!("new jobs are refused and queued ones wait: {obstacle}");
            }
            (Some(Obstacle::Short(_)), None) => {
                tracing::info!("there is space again: queued jobs go on");
            }
            (Some(_), None) => {
                tracing::info!("the jobs folder can be written again: queued jobs go on");
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
        if let Some(shortage) = self.free().and_then(|free| self.floor.shortage(free)) {
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

    /// Writes what nobody needs, flushed, and removes it: as much as a scan takes in order to begin,
    /// in bytes and in files.
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
        let text = shortage.map(|it| it.to_string());
        assert_eq!(text.is_some(), expected.is_some(), "{text:?}");
        assert!(text.unwrap_or_default().starts_with(expected.unwrap_or_default()), "{expected:?}");
    }

    #[test]
    fn below_the_floor_is_short_and_what_is_not_counted_is_not() {
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
