//! Archived jobs, read from their records on request.
//!
//! Input: ids of jobs whose folders were removed. Output: such a job as if its files were still there, and the paths of
//! its results, logs and plan; rows for a list of archived jobs.
//!
//! Invariants: nothing is in memory unless it was requested within a minute. A record is read once for all requests that
//! come meanwhile; few are kept: the last one, and as many others as have [`KEPT_BYTES`] on the disk together. Records that
//! answers are using stay, and have at most [`USED_BYTES`] together: a request beyond that is refused. A job that has a
//! folder is not archived.

mod rows;

use super::{Live, file_content::FileContent, job::LiveJob, job_index::JobIndex};
use crate::{
    model::{JobId, time::Timestamp},
    store::{
        archive::{Archive, ArchiveReader, Blob, CleanError, Unreadable},
        layout::{JobFile, JobsDir},
        read::{Signature, is_missing_folder},
    },
};
pub use rows::ArchivedRow;
use rows::Rows;
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// The size of the records of jobs that are kept for further requests, without the last one.
const KEPT_BYTES: u64 = 8 << 20;
/// The size of the records of all jobs that answers are using. One record may be larger.
const USED_BYTES: u64 = 128 << 20;
/// How many of the jobs that were archived last are remembered.
const MOVING: usize = 256;
/// How long a job, or the list, is kept after its last request.
const KEPT_FOR: Duration = Duration::from_mins(1);

/// The archived jobs of one jobs folder.
#[derive(Debug)]
pub struct ArchivedJobs {
    archive: Archive,
    jobs: JobsDir,
    job_index: Arc<JobIndex>,
    /// In the order of their last requests, the newest last.
    kept: Mutex<VecDeque<Kept>>,
    rows: Mutex<Rows>,
    /// A record was removed, so there may be blobs that no record names.
    has_unused: AtomicBool,
    problem: Mutex<Option<String>>,
    /// The jobs that were archived last.
    moving: Mutex<VecDeque<JobId>>,
}

#[derive(Debug)]
struct Kept {
    job: Arc<LiveJob>,
    files: Arc<ArchivedFiles>,
    signature: Signature,
    bytes: u64,
    requested_at: Instant,
}

/// An archived job, and its files.
type Found = (Arc<LiveJob>, Arc<ArchivedFiles>);

/// The files of an archived job.
#[derive(Debug)]
struct ArchivedFiles {
    plan: Option<Blob>,
    /// The result and the log of each repository that has one.
    repositories: BTreeMap<u32, [Option<Blob>; 2]>,
}

/// Why an archived job is not served.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("the archived jobs that are being read need more than {} MiB", USED_BYTES >> 20)]
    Busy,
}

impl From<ArchiveError> for io::Error {
    fn from(error: ArchiveError) -> Self {
        Self::other(error)
    }
}

impl ArchivedJobs {
    /// The archived jobs of a jobs folder; does not touch the disk.
    pub fn new(jobs: &JobsDir, live: &Live) -> Self {
        Self {
            archive: Archive::of(jobs),
            jobs: jobs.clone(),
            job_index: Arc::clone(live.job_index()),
            kept: Mutex::default(),
            rows: Mutex::default(),
            has_unused: AtomicBool::new(true),
            problem: Mutex::default(),
            moving: Mutex::default(),
        }
    }

    /// The archived job with this id; `None` if there is none. Blocks.
    ///
    /// # Errors
    /// If its record cannot be read, or too many others are in use.
    pub fn get(&self, id: &JobId) -> Result<Option<Arc<LiveJob>>, ArchiveError> {
        Ok(self.find(id)?.map(|(job, _)| job))
    }

    /// Whether there is a record of a job that has no folder. Blocks.
    pub fn has(&self, id: &JobId) -> bool {
        self.record(id).is_some()
    }

    /// The path of the result of a repository of an archived job, if there is one. Blocks.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn result(&self, id: &JobId, index: u32) -> Result<Option<PathBuf>, ArchiveError> {
        self.path(id, |files| files.repositories.get(&index)?[0].as_ref())
    }

    /// The path of the log of a repository of an archived job, if there is one. Blocks.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn log(&self, id: &JobId, index: u32) -> Result<Option<PathBuf>, ArchiveError> {
        self.path(id, |files| files.repositories.get(&index)?[1].as_ref())
    }

    /// The path of the plan of an archived job, if there is one. Blocks.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn plan(&self, id: &JobId) -> Result<Option<PathBuf>, ArchiveError> {
        self.path(id, |files| files.plan.as_ref())
    }

    /// Drops a job whose record was removed, and ends the answers about it.
    pub fn forget(&self, id: &JobId) {
        self.has_unused.store(true, Ordering::Relaxed);
        self.moving.lock().unwrap_or_else(PoisonError::into_inner).retain(|moved| moved != id);
        let forgotten = {
            let mut kept = self.kept();
            let found = kept.iter().position(|kept| kept.job.id() == id);
            found.and_then(|at| kept.remove(at))
        };
        if let Some(kept) = forgotten {
            kept.job.remove();
        }
    }

    /// Drops what was not requested recently.
    pub fn forget_idle(&self) {
        let is_recent = |at: Instant| at.elapsed() < KEPT_FOR;
        let mut kept = self.kept();
        kept.retain(|kept| kept.is_used() || is_recent(kept.requested_at));
        kept.shrink_to_fit();
        drop(kept);
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.forget_unless(is_recent);
    }

    /// Removes the records of jobs that ended more than `retention` ago and that `may_go` allows to remove, and blobs that no record names. Returns how many
    /// of each. Blocks.
    ///
    /// # Errors
    /// The first operation that failed; the others are still carried out.
    pub fn clean(
        &self,
        retention: Duration,
        now: Timestamp,
        may_go: &dyn Fn(&JobId) -> bool,
    ) -> Result<(u64, u64), CleanError> {
        let expired = self.archive.remove_expired(retention, now, may_go);
        if !matches!(expired, Ok(0)) {
            self.has_unused.store(true, Ordering::Relaxed);
        }
        // Without this, every clean-up would read every record.
        if !self.has_unused.swap(false, Ordering::Relaxed) {
            return expired.map(|records| (records, 0));
        }
        let swept = self.archive.sweep();
        if swept.is_err() {
            self.has_unused.store(true, Ordering::Relaxed);
        }
        Ok((expired?, swept?))
    }

    /// Records that a job is about to be archived: until then its results are read from its folder.
    pub fn note_archiving(&self, id: &JobId) {
        let mut moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        if moving.len() == MOVING {
            moving.pop_front();
        }
        moving.push_back(id.clone());
    }

    /// Whether the job was archived lately: an answer that was reading its folder can be repeated.
    pub fn has_moved(&self, id: &JobId) -> bool {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// Records why jobs could not be archived, or that there is no such problem any more.
    pub fn note_problem(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// Why jobs could not be archived at the last clean-up.
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn path(
        &self,
        id: &JobId,
        blob: impl FnOnce(&ArchivedFiles) -> Option<&Blob>,
    ) -> Result<Option<PathBuf>, ArchiveError> {
        let found = self.find(id)?;
        Ok(found.and_then(|(_, files)| blob(&files).map(|blob| self.archive.blob_path(blob))))
    }

    /// The signature of the record of a job that has no folder.
    fn record(&self, id: &JobId) -> Option<Signature> {
        let signature = Signature::at(&self.archive.record_path(id))?;
        is_missing_folder(self.jobs.job(id).path()).then_some(signature)
    }

    fn find(&self, id: &JobId) -> Result<Option<Found>, ArchiveError> {
        let Some(signature) = self.record(id) else { return Ok(None) };
        {
            let mut kept = self.kept();
            let found = kept.iter().position(|kept| kept.job.id() == id);
            if let Some(mut found) = found.and_then(|at| kept.remove(at))
                && found.signature == signature
            {
                found.requested_at = Instant::now();
                let both = (Arc::clone(&found.job), Arc::clone(&found.files));
                kept.push_back(found);
                return Ok(Some(both));
            }
        }
        // Read outside the lock, so that requests for other jobs do not wait.
        let Some(reader) = self.archive.read(id)? else { return Ok(None) };
        if !self.has_room(reader.size()) {
            return Err(ArchiveError::Busy);
        }
        let read = self.load(reader)?;
        let both = (Arc::clone(&read.job), Arc::clone(&read.files));
        self.keep(read);
        Ok(Some(both))
    }

    fn load(&self, mut reader: ArchiveReader) -> Result<Kept, ArchiveError> {
        let (signature, bytes) = (reader.signature(), reader.size());
        let header = reader.header().clone();
        let mut repositories = BTreeMap::new();
        let mut failure = None;
        let master = serde_json::to_vec(&reader.master()?.master).unwrap_or_default();
        let rows = std::iter::from_fn(|| match reader.repository() {
            Ok(Some(row)) => {
                let text = serde_json::to_vec(&row.status).unwrap_or_default();
                let content = FileContent::parse(JobFile::Repository(row.index), &text);
                repositories.insert(row.index, [row.result, row.log]);
                // One that was not JSON has no content.
                Some(content.ok())
            }
            Ok(None) => None,
            Err(error) => {
                failure = Some(error);
                None
            }
        });
        let master = FileContent::parse(JobFile::Master, &master).ok();
        let files = std::iter::once(master).chain(rows).flatten();
        let index = Arc::clone(&self.job_index);
        let job = LiveJob::of_archive(header.job.clone(), index, header.created_at, files);
        if let Some(error) = failure {
            return Err(error.into());
        }
        let files = ArchivedFiles { plan: header.plan, repositories };
        let (job, files, requested_at) = (Arc::new(job), Arc::new(files), Instant::now());
        Ok(Kept { job, files, signature, bytes, requested_at })
    }

    /// Whether an answer may use another record of this size.
    fn has_room(&self, bytes: u64) -> bool {
        let kept = self.kept();
        let used: u64 = kept.iter().filter(|kept| kept.is_used()).map(|kept| kept.bytes).sum();
        used == 0 || used + bytes <= USED_BYTES
    }

    fn keep(&self, read: Kept) {
        let mut kept = self.kept();
        // Another thread may have read it at the same time.
        kept.retain(|kept| kept.job.id() != read.job.id() || kept.is_used());
        let mut left = KEPT_BYTES;
        let mut is_kept: Vec<bool> = kept
            .iter()
            .rev()
            .map(|kept| {
                let rest = left.checked_sub(kept.bytes);
                left = rest.unwrap_or(0);
                rest.is_some() || kept.is_used()
            })
            .collect();
        kept.retain(|_| is_kept.pop().unwrap_or(true));
        kept.push_back(read);
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Whether an answer uses the job, whose memory would stay if it was dropped here.
    fn is_used(&self) -> bool {
        Arc::strong_count(&self.job) > 1
    }
}
