//! A log that is sent while it grows: what there is, then what is added, until its repository is
//! over and everything is sent.
//!
//! What must stay true: one piece at most is in memory; the file is looked at a few times a second
//! at most, sooner where the job moves; lines of two attempts are never mixed: when the log is
//! begun anew, the answer ends; it ends with the server, too.

use super::{
    state::{Api, StreamPlace},
    streamed::{BrokenOff, Piece},
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
use std::{fs::File, io, os::unix::fs::FileExt, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// The most bytes of a piece.
const PIECE: usize = 64 << 10;
/// The shortest and the longest time between two looks at the file: the job's own changes wake
/// sooner, but lines alone change nothing in it.
const REST: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));
/// How many of the last bytes that were sent are compared with the file at each look.
const COMPARED: usize = 256;

/// Where in a log to begin: given the open file, the first byte to send.
pub(super) type Start = Box<dyn FnOnce(&mut File) -> io::Result<u64> + Send>;

/// Follows the log of a repository.
pub(super) fn follow(
    api: &Api,
    job: Arc<LiveJob>,
    status: &RepositoryStatus,
    start: Start,
    place: StreamPlace,
) -> impl Stream<Item = Piece> + Send + use<> {
    let folder = api.jobs.job(job.id());
    let follower = Follower {
        changes: job.changes(),
        index: status.index,
        attempt: status.attempt,
        begun: status.state != RepoState::Pending,
        log: Some(Log::new(&folder, status.index, start)),
        look_at: Instant::now(),
        shutdown: api.shutdown.clone(),
        files: api.reads.files.clone(),
        job,
        _place: place,
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
    /// The attempt whose log this is, as far as its status says.
    attempt: Option<u64>,
    /// Whether the attempt was seen at work or over.
    begun: bool,
    /// None when nothing more can be read of it.
    log: Option<Log>,
    look_at: Instant,
    shutdown: CancellationToken,
    files: Pool,
    _place: StreamPlace,
}

impl Follower {
    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Option<Piece> {
        loop {
            let look_at = self.look_at;
            self.shutdown.run_until_cancelled(sleep_until(look_at)).await?;
            // Marked as seen before looking, so that a change while looking wakes again.
            self.changes.borrow_and_update();
            let ended = self.has_ended()?;
            let mut log = self.log.take()?;
            let read = self.files.run(move || {
                let news = log.look(ended);
                (log, news)
            });
            let Ok((log, Ok(news))) = read.await else { return Some(Err(BrokenOff)) };
            self.look_at = Instant::now() + REST.0;
            match news {
                News::Bytes(bytes) => {
                    if bytes.len() == PIECE {
                        self.look_at = Instant::now();
                    }
                    self.log = Some(log);
                    return Some(Ok(bytes));
                }
                News::NothingYet => self.log = Some(log),
                News::Over => return None,
            }
            tokio::select! {
                changed = self.changes.changed() => if changed.is_err() || self.job.is_removed() {
                    return None;
                },
                () = sleep_until(look_at + REST.1) => {}
                () = self.shutdown.cancelled() => return None,
            }
        }
    }

    /// Whether the attempt is over; `None` where this log is not its log any more.
    fn has_ended(&mut self) -> Option<bool> {
        // Another job may have been made under the same id.
        let status = self.job.repository(self.index).filter(|_| !self.job.is_removed())?;
        // A scanner need not say which attempt it is.
        let is_other =
            self.attempt.is_some() && status.attempt.is_some() && self.attempt != status.attempt;
        if status.state == RepoState::Pending && (is_other || self.begun) {
            // One that waits for its next attempt has the log of the last: its end is to be sent,
            // whether or not the final state in between was seen.
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

/// What a look at the file brings.
enum News {
    Bytes(Bytes),
    NothingYet,
    /// Everything is sent, or it is another log.
    Over,
}

/// A log that is being read.
struct Log {
    path: PathBuf,
    /// Held by the shim, which writes the last lines after the final state.
    lock: PathBuf,
    start: Option<Start>,
    file: Option<File>,
    /// The first byte that is not sent.
    next: u64,
    /// The last bytes before it.
    before: Vec<u8>,
}

impl Log {
    fn new(folder: &JobDir, index: u32, start: Start) -> Self {
        Self {
            path: folder.log(index),
            lock: folder.lock(index),
            start: Some(start),
            file: None,
            next: 0,
            before: Vec::new(),
        }
    }

    /// Looks for what is new. `ended`: the repository has a final state. Blocks.
    fn look(&mut self, ended: bool) -> io::Result<News> {
        // Asked for before reading: what is written before that is read. Where it cannot be told who
        // holds the lock, more may come.
        let over = ended && matches!(lock::holder(&self.lock), Ok(None));
        let nothing = if over { News::Over } else { News::NothingYet };
        let file = match self.file.take() {
            Some(file) if !self.is_same(&file)? => return Ok(News::Over),
            Some(file) => file,
            None => match self.open() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(nothing),
                opened => opened?,
            },
        };
        let mut bytes = vec![0; PIECE];
        let count = file.read_at(&mut bytes, self.next)?;
        bytes.truncate(count);
        self.file = Some(file);
        if bytes.is_empty() {
            return Ok(nothing);
        }
        self.next += count as u64;
        self.before.extend_from_slice(&bytes[count.saturating_sub(COMPARED)..]);
        self.before.drain(..self.before.len().saturating_sub(COMPARED));
        Ok(News::Bytes(bytes.into()))
    }

    fn open(&mut self) -> io::Result<File> {
        let mut file = read::open(&self.path)?;
        if let Some(start) = self.start.take() {
            self.next = start(&mut file)?;
        }
        Ok(file)
    }

    /// Whether the log is still the one that was begun: the same file, no shorter than what was
    /// sent, and with the same bytes where that ended.
    fn is_same(&self, file: &File) -> io::Result<bool> {
        let facts = file.metadata()?;
        let there = Signature::at(&self.path);
        if !there.is_some_and(|file| file.same_file(&Signature::of(&facts)))
            || facts.len() < self.next
        {
            return Ok(false);
        }
        let mut bytes = vec![0; self.before.len()];
        file.read_exact_at(&mut bytes, self.next - self.before.len() as u64)?;
        Ok(bytes == self.before)
    }
}
