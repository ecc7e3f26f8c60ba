//! Room on the disk for scans: each may take up to the limit of a fetch, and together they must not
//! take more than is free.
//!
//! Input: the limit of a fetch, the scratch folders of running scans, what is free. Output: whether
//! one more may begin, and if not, what it waits for.
//!
//! Invariants: one scan alone may always begin, however little is free; what a scan has taken
//! already is not counted twice; what could not be measured counts as not taken yet.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many files of a scratch folder are measured at most. A fetch has a few dozens.
const MEASURED: usize = 2_000;
/// How deep below it.
const DEPTH: usize = 16;

/// The scans that run, by their scratch folders, and what one of them may take.
#[derive(Debug, Default)]
pub struct Room {
    /// The limit of a fetch in bytes; 0: not limited by room.
    most: u64,
    running: Mutex<BTreeMap<PathBuf, usize>>,
}

/// The place of a running scan; given back when this is dropped.
#[derive(Debug)]
pub struct Place {
    room: Arc<Room>,
    scratch: PathBuf,
}

/// There is no room for one more scan beside those that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowded {
    pub running: usize,
    /// What is free above the floor.
    pub free: u64,
    /// What the running ones may still take.
    pub promised: u64,
    /// What one more may take.
    pub most: u64,
}

impl Room {
    /// For scans that may take so much each.
    pub fn new(most: u64) -> Self {
        Self { most, running: Mutex::default() }
    }

    /// Notes that a scan runs.
    pub fn place(self: &Arc<Self>, scratch: PathBuf) -> Place {
        *self.running().entry(scratch.clone()).or_default() += 1;
        Place { room: Arc::clone(self), scratch }
    }

    /// What keeps one more scan from beginning, if so much is free above the floor. Blocks.
    pub fn crowded(&self, free: u64) -> Option<Crowded> {
        let scratches: Vec<PathBuf> = self.running().keys().cloned().collect();
        let (running, most) = (scratches.len(), self.most);
        let needed = |promised: u64| promised.saturating_add(most);
        // Without measuring anything, in the usual case.
        if running == 0 || free >= needed(most.saturating_mul(running as u64)) {
            return None;
        }
        let left = |scratch: &PathBuf| most.saturating_sub(taken(scratch));
        let promised = scratches.iter().map(left).fold(0, u64::saturating_add);
        (free < needed(promised)).then_some(Crowded { running, free, promised, most })
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<PathBuf, usize>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = self.room.running();
        if let Some(count) = running.get_mut(&self.scratch) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.scratch);
            }
        }
    }
}

/// What a scratch folder has taken of the disk, as far as it is measured: less is on the safe side.
fn taken(scratch: &Path) -> u64 {
    let mut left = MEASURED;
    let mut bytes = 0;
    let _ = measure(scratch, DEPTH, &mut left, &mut bytes);
    bytes
}

fn measure(folder: &Path, depth: usize, left: &mut usize, bytes: &mut u64) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        if *left == 0 || depth == 0 {
            return Ok(());
        }
        *left -= 1;
        let entry = entry?;
        let Ok(facts) = entry.metadata() else { continue };
        if facts.is_dir() {
            // One that went meanwhile has taken nothing.
            let _ = measure(&entry.path(), depth - 1, left, bytes);
        } else {
            // Blocks of 512 bytes (stat(2)): of a file with holes, what it really takes.
            *bytes += facts.blocks() * 512;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::atomic::{self, Durability};

    const MIB: u64 = 1 << 20;

    /// Breaks if several scans are begun that together may take more than is free, or if none is
    /// begun at all where there is little.
    #[test]
    fn scans_begin_beside_each_other_only_where_all_of_them_have_room() {
        let folder = tempfile::tempdir().unwrap();
        let room = Arc::new(Room::new(100 * MIB));
        assert_eq!(room.crowded(0), None, "one alone always begins");
        let scratch = folder.path().join("scratch");
        fs::create_dir_all(scratch.join("objects/pack")).unwrap();
        let place = room.place(scratch.clone());
        assert_eq!(room.crowded(200 * MIB), None);
        let crowded = Crowded { running: 1, free: 199 * MIB, promised: 100 * MIB, most: 100 * MIB };
        assert_eq!(room.crowded(199 * MIB), Some(crowded));
        // What it has taken is not free any more, so it is not promised again.
        let (pack, eventual) = (scratch.join("objects/pack/pack"), Durability::Eventual);
        atomic::replace(folder.path(), &pack, &vec![1; 10 << 20], eventual).unwrap();
        assert_eq!(room.crowded(190 * MIB), None);
        assert!(room.crowded(189 * MIB).is_some());
        let second = room.place(folder.path().join("none"));
        assert_eq!(room.crowded(290 * MIB), None);
        assert_eq!(room.crowded(289 * MIB).map(|it| it.promised), Some(190 * MIB));
        drop((place, second));
        assert_eq!(room.crowded(0), None);
        assert_eq!(Arc::new(Room::default()).crowded(0), None);
    }
}
