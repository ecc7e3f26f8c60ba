//! The one thread that reads status files: hints come in, the cache follows the disk.
//!
//! What flows in: notifications of the kernel, nudges of our own writers, and time. What flows out:
//! changes of [`Live`].
//!
//! What must stay true:
//! - One thread changes the cache, and reads the files whose jobs are in it, one after the other: the
//!   last content that it read is the newest, whoever wrote the file. Jobs that are there at the start
//!   are read by others (`loader`) before anybody knows them, and put in by this thread.
//! - A new folder is watched first and read then, or a change between the two would be lost.
//! - Recursive watches lose what happens in a new folder before the watch stands; so the root
//!   and each job's folder are watched by themselves, a job's until it is over and quiet.
//! - Everything known is compared with the disk at an interval, whatever was notified; of finished and
//!   quiet jobs as many as take a small part of a processor (`reader::sweep`).
//! - A large folder is read in turns: others' news and those who wait are served in between.
//! - An end that comes while this runs is told once it is on the disk, and not a moment before.

mod agenda;
mod flusher;
mod folder;
mod hints;
mod loader;
mod notifications;
mod reader;
mod resting;
mod root;

use super::Live;
use crate::{
    model::JobId,
    store::{
        layout::{JobFile, JobsDir},
        read::Signature,
    },
};
use loader::Loaded;
use reader::Reader;
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

/// How long the thread is waited for at the end, and who has written for it to read.
const END_PATIENCE: Duration = Duration::from_secs(5);
const NUDGE_PATIENCE: Duration = Duration::from_secs(5);

/// How long the reader rests after a panic.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// How the disk is watched.
#[derive(Debug, Clone, Copy)]
pub struct WatchOptions {
    /// By the kernel's notifications, as long as they can be had; by looking alone otherwise.
    pub notify: bool,
    /// Between two looks at a folder that is not notified.
    pub poll_interval: Duration,
    /// Between two comparisons of everything known with the disk.
    pub resync_interval: Duration,
}

/// The handle of the thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Watcher {
    inbox: Sender<Message>,
    thread: Option<thread::JoinHandle<()>>,
}

/// What the thread is told. Unbounded on purpose: the kernel's own queue is bounded, the thread
/// folds what is doubled.
#[derive(Debug)]
enum Message {
    /// Something about a job's folder itself.
    Job(JobId),
    /// Something about one of its files.
    File(JobId, JobFile),
    /// Anything may have changed.
    Everything,
    /// Anything may have changed: the kernel has lost events.
    Overflow,
    /// As `Job`, by one of our own writers, who waits until it has been read.
    Nudge(JobId, oneshot::Sender<()>),
    /// This content of a file is on the disk.
    Flushed(JobId, JobFile, Signature),
    /// Jobs that were there at the start have been read.
    Loaded(Vec<Loaded>),
    /// One of the threads that read such jobs has ended.
    LoaderEnded,
    Stop,
}

impl Watcher {
    /// Starts to watch, and to fill a new cache.
    pub fn start(jobs: JobsDir, options: WatchOptions) -> io::Result<(Arc<Live>, Self)> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // Another number each run: versions of two runs must not be mistaken for each other.
        let epoch = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let live = Live::new(epoch);
        let (inbox, messages) = channel();
        let shared = Arc::clone(&live);
        let sender = inbox.clone();
        let thread = thread::Builder::new()
            .name("watcher".to_owned())
            .spawn(move || run(&shared, &jobs, options, &sender, &messages))?;
        Ok((live, Self { inbox, thread: Some(thread) }))
    }

    /// A handle for those who write.
    pub fn nudger(&self) -> Nudger {
        Nudger { inbox: self.inbox.clone(), patience: NUDGE_PATIENCE }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.inbox.send(Message::Stop);
        join_within(self.thread.take().into_iter().collect(), END_PATIENCE, "a look at the disk");
    }
}

/// Waits for these threads to end, but not for one that hangs in the kernel.
fn join_within(mut threads: Vec<thread::JoinHandle<()>>, patience: Duration, what: &str) {
    let end = Instant::now() + patience;
    while threads.iter().any(|it| !it.is_finished()) && Instant::now() < end {
        thread::sleep(Duration::from_millis(2));
    }
    for thread in threads.extract_if(.., |it| it.is_finished()) {
        let _ = thread.join();
    }
    if !threads.is_empty() {
        tracing::warn!(threads = threads.len(), "not waited for any longer: {what} hangs");
    }
}

/// Tells the watcher of a write of our own, so that an answer that follows already shows it. The
/// content still comes from the disk.
#[derive(Debug, Clone)]
pub struct Nudger {
    inbox: Sender<Message>,
    patience: Duration,
}

impl Nudger {
    /// Returns once the job's folder has been read (or found missing): true. False where that takes
    /// too long, as with a disk that hangs: what is known may be older than the write then.
    pub async fn nudge(&self, id: &JobId) -> bool {
        let (done, read) = oneshot::channel();
        if self.inbox.send(Message::Nudge(id.clone(), done)).is_err() {
            return false;
        }
        let in_time = matches!(timeout(self.patience, read).await, Ok(Ok(())));
        if !in_time {
            tracing::warn!(job = %id, "answered before the files of the job were read again");
        }
        in_time
    }
}

/// Runs the reader to its end, with everything read anew after a panic.
fn run(
    live: &Arc<Live>,
    jobs: &JobsDir,
    options: WatchOptions,
    sender: &Sender<Message>,
    messages: &Receiver<Message>,
) {
    outlive_panics(live, RESTART_PAUSE, || {
        Reader::new(Arc::clone(live), jobs.clone(), options, sender.clone()).run(messages);
    });
}

/// Does the work until it is done. A panic in it costs a fresh start, not the cache: what was known
/// stays, and that it is not being kept up is said until it is again.
fn outlive_panics(live: &Live, pause: Duration, mut work: impl FnMut()) {
    while catch_unwind(AssertUnwindSafe(&mut work)).is_err() {
        tracing::error!("the watcher panicked; it starts again and reads everything anew");
        live.note(|health| {
            health.panics += 1;
            health.problems =
                vec!["the reader of the jobs folder has failed, and starts again".to_owned()];
        });
        thread::sleep(pause);
    }
}

#[cfg(test)]
mod tests;
