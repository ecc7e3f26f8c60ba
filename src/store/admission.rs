//! Admission of scans by free disk space: each scan may use up to the limit of a fetch, and
//! together they must not use more than is free.
//!
//! Input: the limit of a fetch, the scratch folders of running scans, the free space. Output:
//! whether one more scan may start, and if not, why.
//!
//! Invariants: a single scan may always start, however little is free; space that a scan already
//! uses is not counted twice; what could not be measured counts as not used yet.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// How many files of a scratch folder are measured at most. A fetch has a few dozen.
const MEASURED: usize = 2_000;
/// The maximum depth of the measurement.
const DEPTH: usize = 16;

/// The running scans, by their scratch folders, and the limit of each.
#[derive(Debug, Default)]
pub struct Admission {
    /// The limit of a fetch in bytes; 0 disables the check.
    most: AtomicU64,
    running: Mutex<BTreeMap<PathBuf, usize>>,
}

/// The registration of a running scan; removed on drop.
#[derive(Debug)]
pub struct ScanRegistration {
    admission: Arc<Admission>,
    scratch: PathBuf,
}

/// The disk has no room for one more scan beside the running ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowded {
    pub running: usize,
    /// The free space above the floor.
    pub free: u64,
    /// What the running scans may still use.
    pub promised: u64,
    /// What one more scan may use.
    pub most: u64,
}

impl Admission {
    /// Admission for scans that may each use this many bytes.
    pub fn new(most: u64) -> Self {
        Self { most: AtomicU64::new(most), running: Mutex::default() }
    }

    /// Replaces the limit. Scans that already run count with the new one.
    pub fn limit(&self, most: u64) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Registers a running scan.
    pub fn register(self: &Arc<Self>, scratch: PathBuf) -> ScanRegistration {
        *self.running().entry(scratch.clone()).or_default() += 1;
        ScanRegistration { admission: Arc::clone(self), scratch }
    }

    /// Why one more scan cannot start with this much free space above the floor. Blocks.
    pub fn crowded(&self, free: u64) -> Option<Crowded> {
        let scratches: Vec<PathBuf> = self.running().keys().cloned().collect();
        let (running, most) = (scratches.len(), self.most.load(Ordering::Relaxed));
        let needed = |promised: u64| promised.saturating_add(most);
        // Usually nothing has to be measured.
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

impl Drop for ScanRegistration {
    fn drop(&mut self) {
        let mut running = self.admission.running();
        if let Some(count) = running.get_mut(&self.scratch) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.scratch);
            }
        }
    }
}

/// What a scratch folder uses on the disk, as far as it is measured: underestimating is safe.
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
            // A folder that has disappeared uses nothing.
            let _ = measure(&entry.path(), depth - 1, left, bytes);
        } else {
            // Blocks of 512 bytes (stat(2)): what a sparse file really uses.
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

    /// Breaks if scans start that together may use more than is free, or if no scan starts when
    /// little is free.
    #[test]
    fn concurrent_scans_start_only_if_all_of_them_have_room() {
        let folder = tempfile::tempdir().unwrap();
        let admission = Arc::new(Admission::new(100 * MIB));
        assert_eq!(admission.crowded(0), None, "a single scan always starts");
        let scratch = folder.path().join("scratch");
        fs::create_dir_all(scratch.join("objects/pack")).unwrap();
        let registration = admission.register(scratch.clone());
        assert_eq!(admission.crowded(200 * MIB), None);
        let crowded = Crowded { running: 1, free: 199 * MIB, promised: 100 * MIB, most: 100 * MIB };
        assert_eq!(admission.crowded(199 * MIB), Some(crowded));
        // Space that the scan already uses is not free any more, so it is not counted again.
        let (pack, eventual) = (scratch.join("objects/pack/pack"), Durability::Eventual);
        atomic::replace(folder.path(), &pack, &vec![1; 10 << 20], eventual).unwrap();
        assert_eq!(admission.crowded(190 * MIB), None);
        assert!(admission.crowded(189 * MIB).is_some());
        let second = admission.register(folder.path().join("none"));
        assert_eq!(admission.crowded(290 * MIB), None);
        assert_eq!(admission.crowded(289 * MIB).map(|crowded| crowded.promised), Some(190 * MIB));
        drop((registration, second));
        assert_eq!(admission.crowded(0), None);
        assert_eq!(Arc::new(Admission::default()).crowded(0), None);
    }
}
