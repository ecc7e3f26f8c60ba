//! The watcher: the thread that reads status files, and keeps the cache up to date with the disk.
//!
//! Input: inotify events, nudges of this server's own writers, and time. Output: changes of
//! [`Live`].
//!
//! Invariants:
//! - One thread changes the cache, and reads the files of jobs that are in it, one after another.
//!   The content that it read last is the newest, whoever wrote the file. Jobs that exist at the
//!   start are read by other threads (`loader`) before they are visible, and added by this thread.
//! - A new folder is watched before it is read. Otherwise a change in between would be lost.
//! - Recursive watches lose what happens in a new folder before its watch exists. So the root and
//!   each job's folder have a watch of their own, a job's until it is finished and quiet.
//! - A resync compares everything with the disk at an interval, whatever events arrived; of
//!   finished and quiet jobs, it compares as many as take a small part of a processor
//!   (`reader::idle`).
//! - A large folder is read in turns: other jobs, and requests that wait, are served in between.
//! - A final state that appears while the server runs is published after it is durable, not before.

mod change_time;
mod flusher;
mod folder;
mod folder_scan;
mod hints;
mod idle_folder;
mod loader;
mod notifications;
mod reader;
mod root;
mod saver;
mod work_queue;

use super::Live;
use crate::{
    model::JobId,
    store::{
        layout::{JobFile, JobsDir},
        packed_jobs::PackedJobs,
        read::Signature,
    },
};
use loader::Loaded;
use reader::JobsReader;
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};
use tokio::{sync::oneshot, time::timeout};

/// How long a shutdown waits for the threads, and a writer for its job to be read.
const JOIN_TIMEOUT: Duration = Duration::from_secs(5);
const NUDGE_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before the thread restarts after a panic.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// How the disk is watched.
#[derive(Debug, Clone, Copy)]
pub struct WatchOptions {
    /// Use inotify as long as it is available; otherwise only polling.
    pub notify: bool,
    /// The interval between two polls of a folder without a watch.
    pub poll_interval: Duration,
    /// The interval between two resyncs.
    pub resync_interval: Duration,
}

/// A handle of the thread, which ends when the handle is dropped.
#[derive(Debug)]
pub struct Watcher {
    inbox: Sender<Message>,
    thread: Option<thread::JoinHandle<()>>,
}

/// A message to the thread. The channel is unbounded on purpose: the kernel's own queue is bounded,
/// and the thread merges duplicates.
#[derive(Debug)]
enum Message {
    /// A job's folder may have changed.
    Job(JobId),
    /// One of its files may have changed.
    File(JobId, JobFile),
    /// Anything may have changed.
    Everything,
    /// Anything may have changed, because the kernel lost events.
    Overflow,
    /// Like `Job`, from one of this server's writers, which waits until the job has been read.
    Nudge(JobId, oneshot::Sender<()>),
    /// This content of a file is durable.
    Flushed(JobId, JobFile, Signature),
    /// Jobs that existed at the start have been read.
    Loaded(Vec<Loaded>),
    /// One of the threads that read these jobs has ended.
    LoaderEnded,
    Stop,
}

impl Watcher {
    /// Starts to watch, and to fill a new cache. `packed`: copies of finished jobs, which are used
    /// instead of their files if nothing has changed since.
    pub fn start(
        jobs: JobsDir,
        packed: PackedJobs,
        options: WatchOptions,
    ) -> io::Result<(Arc<Live>, Self)> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // A different number in each run: versions of two runs must not be mixed up.
        let epoch = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let live = Live::new(epoch);
        let (inbox, messages) = channel();
        let shared = Arc::clone(&live);
        let sender = inbox.clone();
        let thread = thread::Builder::new()
            .name("watcher".to_owned())
            .spawn(move || run(&shared, &jobs, packed, options, &sender, &messages))?;
        Ok((live, Self { inbox, thread: Some(thread) }))
    }

    /// A handle for this server's own writers.
    pub fn nudger(&self) -> Nudger {
        Nudger { inbox: self.inbox.clone(), limit: NUDGE_TIMEOUT }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.inbox.send(Message::Stop);
        join_within(
            self.thread.take().into_iter().collect(),
            JOIN_TIMEOUT,
            "a read of the jobs folder",
        );
    }
}

/// Waits for these threads to end, but not longer than `limit` for one that hangs in the kernel.
fn join_within(mut threads: Vec<thread::JoinHandle<()>>, limit: Duration, what: &str) {
    let end = Instant::now() + limit;
    while threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < end {
        thread::sleep(Duration::from_millis(2));
    }
    for thread in threads.extract_if(.., |thread| thread.is_finished()) {
        let _ = thread.join();
    }
    if !threads.is_empty() {
        tracing::warn!(
            threads = threads.len(),
            "{what} hangs; not waiting for its threads any longer"
        );
    }
}

/// Notifies the watcher of a write by this server, so that the next answer already shows it. The
/// content is still read from the disk.
#[derive(Debug, Clone)]
pub struct Nudger {
    inbox: Sender<Message>,
    limit: Duration,
}

impl Nudger {
    /// Returns true once the job's folder has been read, or found missing. Returns false if that
    /// takes too long, for example because the disk hangs: the cache may then be older than the
    /// write.
    pub async fn nudge(&self, id: &JobId) -> bool {
        let (done, read) = oneshot::channel();
        if self.inbox.send(Message::Nudge(id.clone(), done)).is_err() {
            return false;
        }
        let in_time = matches!(timeout(self.limit, read).await, Ok(Ok(())));
        if !in_time {
            tracing::warn!(job = %id, limit = ?self.limit, "the files of the job could not be read within the limit; the answer may be older than the files; check whether the disk is slow");
        }
        in_time
    }
}

/// Runs the reader until it ends. After a panic a new reader reads everything again.
fn run(
    live: &Arc<Live>,
    jobs: &JobsDir,
    mut packed: PackedJobs,
    options: WatchOptions,
    sender: &Sender<Message>,
    messages: &Receiver<Message>,
) {
    restart_after_panics(live, RESTART_PAUSE, || {
        let mut reader = JobsReader::new(Arc::clone(live), jobs.clone(), options, sender.clone());
        // After a panic, everything is read.
        reader.use_copies(std::mem::take(&mut packed));
        reader.run(messages);
    });
}

/// Runs `work` until it returns. After a panic it is restarted; the cache is kept, and `/health`
/// reports the problem until everything has been read again.
fn restart_after_panics(live: &Live, pause: Duration, mut work: impl FnMut()) {
    while catch_unwind(AssertUnwindSafe(&mut work)).is_err() {
        tracing::error!(
            "the watcher panicked; restarting it, and reading the whole jobs folder again"
        );
        live.note(|health| {
            health.panics += 1;
            health.problems =
                vec!["the watcher of the jobs folder panicked and is restarting".to_owned()];
        });
        thread::sleep(pause);
    }
}

#[cfg(test)]
mod tests;
