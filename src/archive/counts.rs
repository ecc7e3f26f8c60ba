//! Figures and answers about the archive.
//!
//! Input: none. Output: plain values. Invariants: they are the same with and without object storage.

/// The state of the archive, for /health and /metrics.
#[derive(Debug, Clone, Copy, Default)]
pub struct ArchiveCounts {
    /// Objects that were uploaded and verified, and their size.
    pub objects: u64,
    pub bytes: u64,
    /// Transfers that failed; all of them are repeated.
    pub failures: u64,
    /// Jobs that were uploaded as a whole.
    pub jobs: u64,
    /// Files that were read from the archive for requests.
    pub fetched: u64,
    /// Jobs that were removed from the archive.
    pub removed: u64,
    /// Finished jobs that are not in the archive yet.
    pub waiting: usize,
    /// How long the first of them has been waiting.
    pub oldest_secs: f64,
    /// Removals that are not carried out yet.
    pub removals: usize,
    /// Whether the storage works.
    pub available: bool,
}

/// Whether a job that is not here is in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// It is here now.
    Here,
    /// It is in the archive.
    There,
    /// It is not in the archive.
    Absent,
    /// It is being brought back, or others are; a request should be repeated later.
    Busy,
    /// The archive, or the disk here, does not work.
    Unavailable,
}
