//! The floor of free space: below it nothing new is begun, so that what runs can still write its
//! results and its end.
//!
//! What flows in: the file system's own figures, asked for each time. What flows out: what is
//! short, if anything is. What must stay true: a file system that gives no answer, or counts no
//! inodes, refuses nothing; a change is logged once, whoever finds it.

use rustix::fs::statvfs;
use std::{
    fmt,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

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

/// The disk that a folder lies on, and what has to be free there.
#[derive(Debug)]
pub struct Space {
    folder: PathBuf,
    floor: Floor,
    /// Whether something was short when it was last asked.
    short: AtomicBool,
}

impl Space {
    /// Of the disk below this folder.
    pub fn new(folder: PathBuf, floor: Floor) -> Self {
        Self { folder, floor, short: AtomicBool::new(false) }
    }

    /// What is free now; `None` if the disk does not say. Blocks.
    pub fn free(&self) -> Option<Free> {
        let facts = statvfs(&self.folder).ok()?;
        let inodes = (facts.f_files > 0).then_some(facts.f_favail);
        Some(Free { bytes: facts.f_bavail.saturating_mul(facts.f_frsize), inodes })
    }

    /// What is short now, if anything is. Blocks.
    pub fn shortage(&self) -> Option<Shortage> {
        let free = self.free()?;
        let shortage = self.floor.shortage(free);
        let was_short = self.short.swap(shortage.is_some(), Ordering::Relaxed);
        match (was_short, &shortage) {
            (false, Some(shortage)) => {
                tracing::warn!(
                    "too little space, so new jobs are refused and queued ones wait: {shortage}"
                );
            }
            (true, None) => tracing::info!("there is space again: queued jobs go on"),
            _ => {}
        }
        shortage
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
        assert!(Space::new(root.path().join("gone"), floor).shortage().is_none());
        assert!(Space::new(root.path().to_owned(), floor).shortage().is_some());
    }
}
