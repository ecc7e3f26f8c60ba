//! Streams a log while it grows.
//!
//! Input: a log file, and the changes of its job. Output: the existing content, then everything
//! that is appended, until the repository is finished and everything is sent.
//!
//! Invariants: at most one piece is in memory; the file is checked a few times a second at most,
//! sooner when the job changes; lines of two attempts are never mixed: a restarted log ends the
//! answer; so does a stop of the server.

use super::log_position::LogPosition;
use crate::api::{
    answers::stream_body::{Aborted, Piece},
    state::{Api, StreamSlot},
};
use crate::{
    live::LiveJob,
    model::{RepoState, repository::RepositoryStatus},
    pool::Pool,
    store::{
        layout::JobDir,
        lock,
        read::{self, Signature},
    },
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use std::{fs::File, io, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// The maximum size of a piece.
const PIECE: usize = 64 << 10;
/// The minimum and maximum interval between two checks of the file. Changes of the job wake the
/// follower sooner, but new lines do not change the job.
const INTERVAL: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));

/// Determines the first byte to send of the opened file.
pub(crate) type Start = Box<dyn FnOnce(&mut File) -> io::Result<u64> + Send>;

/// Follows the log of a repository.
pub(crate) fn follow(
    api: &Api,
    job: Arc<LiveJob>,
    status: &RepositoryStatus,
    start: Start,
    slot: StreamSlot,
) -> impl Stream<Item = Piece> + Send + use<> {
    let folder = api.jobs.job(job.id());
    let follower = Follower {
        changes: job.changes(),
        index: status.index,
        attempt: status.attempt,
        begun: status.state != RepoState::Pending,
        log: Some(Log::new(&folder, status.index, start)),
        check_at: Instant::now(),
        shutdown: api.shutdown.clone(),
        files: api.read_pools.files.clone(),
        job,
        _slot: slot,
    };
    stream::unfold(follower, |mut follower| async move {
        let piece = follower.next().await?;
        Some((piece, follower))
    })
}

struct Follower {
    job: Arc<LiveJob>,
    changes: watch::Receiver<u64>,
    index: u32,
    /// The attempt of this log, if the status names it.
    attempt: Option<u64>,
    /// Whether the attempt was seen working or finished.
    begun: bool,
    /// `None` when nothing more can be read.
    log: Option<Log>,
    check_at: Instant,
    shutdown: CancellationToken,
    files: Pool,
    _slot: StreamSlot,
}

impl Follower {
    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Option<Piece> {
        loop {
            let check_at = self.check_at;
            self.shutdown.run_until_cancelled(sleep_until(check_at)).await?;
            // Marked as seen before the check, so that a change during the check wakes the follower
            // again.
            self.changes.borrow_and_update();
            let ended = self.has_ended()?;
            let mut log = self.log.take()?;
            let read = self.files.run(move || {
                let outcome = log.read(ended);
                (log, outcome)
            });
            let Ok((log, Ok(outcome))) = read.await else { return Some(Err(Aborted)) };
            self.check_at = Instant::now() + INTERVAL.0;
            match outcome {
                ReadOutcome::Bytes(bytes) => {
                    if bytes.len() == PIECE {
                        self.check_at = Instant::now();
                    }
                    self.log = Some(log);
                    return Some(Ok(bytes));
                }
                ReadOutcome::NothingYet => self.log = Some(log),
                ReadOutcome::Over => return None,
            }
            tokio::select! {
                changed = self.changes.changed() => if changed.is_err() || self.job.is_removed() {
                    return None;
                },
                () = sleep_until(check_at + INTERVAL.1) => {}
                () = self.shutdown.cancelled() => return None,
            }
        }
    }

    /// Whether the attempt is finished; `None` if this log no longer belongs to it.
    fn has_ended(&mut self) -> Option<bool> {
        // Another job may have been created with the same id.
        let status = self.job.repository(self.index).filter(|_| !self.job.is_removed())?;
        // A scanner need not report its attempt.
        let is_other =
            self.attempt.is_some() && status.attempt.is_some() && self.attempt != status.attempt;
        if status.state == RepoState::Pending && (is_other || self.begun) {
            // The repository waits for a retry and still has the log of the last attempt, whose end
            // is to be sent, even if its final state was not seen.
            return Some(true);
        }
        if is_other {
            return None;
        }
        self.begun = status.state != RepoState::Pending;
        self.attempt = status.attempt.or(self.attempt);
        Some(status.state.is_final())
    }
}

/// The outcome of a read.
enum ReadOutcome {
    Bytes(Bytes),
    NothingYet,
    /// Everything is sent, or the file is another log.
    Over,
}

/// A log that is being read.
struct Log {
    path: PathBuf,
    /// The lock of the shim, which writes the last lines after the final state.
    lock: PathBuf,
    start: Option<Start>,
    /// The open log, and the first unsent byte.
    open: Option<(File, LogPosition)>,
}

impl Log {
    fn new(folder: &JobDir, index: u32, start: Start) -> Self {
        Self { path: folder.log(index), lock: folder.lock(index), start: Some(start), open: None }
    }

    /// Reads new bytes. `ended`: the repository has a final state. Blocks.
    fn read(&mut self, ended: bool) -> io::Result<ReadOutcome> {
        // Checked before reading, so that everything written by then is read. If the holder of the
        // lock cannot be determined, more may follow.
        let over = ended && matches!(lock::holder(&self.lock), Ok(None));
        let nothing = if over { ReadOutcome::Over } else { ReadOutcome::NothingYet };
        let (file, mut position) = match self.open.take() {
            Some((file, _)) if !self.is_in_place(&file)? => return Ok(ReadOutcome::Over),
            Some(open) => open,
            None => match self.open() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(nothing),
                opened => opened?,
            },
        };
        let Some(bytes) = position.read(&file, PIECE)? else { return Ok(ReadOutcome::Over) };
        self.open = Some((file, position));
        Ok(if bytes.is_empty() { nothing } else { ReadOutcome::Bytes(bytes.into()) })
    }

    fn open(&mut self) -> io::Result<(File, LogPosition)> {
        let mut file = read::open(&self.path)?;
        let next = match self.start.take() {
            Some(start) => start(&mut file)?,
            None => 0,
        };
        let position = LogPosition::new(&file, next)?;
        Ok((file, position))
    }

    /// Whether the open file is still the one at its path.
    fn is_in_place(&self, file: &File) -> io::Result<bool> {
        let open = Signature::of(&file.metadata()?);
        Ok(Signature::at(&self.path).is_some_and(|there| there.same_file(&open)))
    }
}
