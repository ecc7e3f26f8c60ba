//! Makes final states durable (fsynced) before they are published. Otherwise clients could see a
//! state that is gone after a power cut.
//!
//! Input: files of this server's jobs with a final state that has not been published. Output: a
//! message for each content that is durable.
//!
//! Invariants: the files of one job are reported in the order in which they were queued; a file is
//! queued at most once; if the disk refuses an fsync, the final state is reported anyway, because
//! it would never be published otherwise; dropping the flusher ends its threads, or logs that they
//! hang.

use super::{Message, join_within};
use crate::{
    model::JobId,
    store::{
        atomic, chain,
        layout::{JobDir, JobFile},
        read::Signature,
    },
};
use std::{
    collections::{BTreeSet, HashSet},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How many threads fsync files: each waits for the disk, and concurrent fsyncs may share a commit.
const WORKERS: usize = 4;
/// How many files a worker handles as one batch: each of their folders is fsynced once.
const MAX_BATCH: usize = 64;
/// How long dropping the flusher waits for a running fsync.
const JOIN_TIMEOUT: Duration = Duration::from_secs(3);

/// A file with a final state, to be fsynced.
pub(super) struct FlushRequest {
    pub(super) id: JobId,
    pub(super) file: JobFile,
    pub(super) dir: JobDir,
    /// The content that was read.
    pub(super) signature: Signature,
}

/// The workers. Dropping the flusher skips what has not been fsynced yet, and waits for the
/// threads.
pub(super) struct Flusher {
    watcher: Sender<Message>,
    workers: Vec<FlushWorker>,
    /// The files that the workers have.
    waiting: HashSet<(JobId, JobFile)>,
    ended: Arc<AtomicBool>,
}

struct FlushWorker {
    files: Sender<FlushRequest>,
    thread: JoinHandle<()>,
    #[cfg(test)]
    alive: std::sync::Weak<()>,
}

impl Flusher {
    /// Starts the workers, which report to `watcher`.
    pub(super) fn start(watcher: &Sender<Message>) -> Self {
        let ended = Arc::default();
        let workers = (0..WORKERS).filter_map(|_| FlushWorker::start(watcher, &ended)).collect();
        Self { watcher: watcher.clone(), workers, waiting: HashSet::new(), ended }
    }

    /// Queues a file; false if no worker takes it. If the file is already queued, the report says
    /// which content was fsynced.
    pub(super) fn flush(&mut self, file: FlushRequest) -> bool {
        let key = (file.id.clone(), file.file);
        if self.waiting.contains(&key) {
            return true;
        }
        // All files of a job go to one worker, because the final state of a job must not be
        // reported before those of its repositories.
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&file.id);
        let count = u64::try_from(self.workers.len().max(1)).unwrap_or(1);
        let worker = usize::try_from(hash % count).ok().and_then(|number| self.workers.get(number));
        let taken = worker.is_some_and(|worker| worker.files.send(file).is_ok());
        if taken {
            self.waiting.insert(key);
        }
        taken
    }

    /// Records that the report of a file has arrived.
    pub(super) fn note_flushed(&mut self, id: &JobId, file: JobFile) {
        self.waiting.remove(&(id.clone(), file));
    }

    /// A reference per thread, alive as long as the thread runs.
    #[cfg(test)]
    pub(super) fn threads(&self) -> Vec<std::sync::Weak<()>> {
        self.workers.iter().map(|worker| worker.alive.clone()).collect()
    }

    /// Replaces all workers if one has ended, for example after a panic. Returns whether this was
    /// the case; its files then have to be queued again.
    pub(super) fn restart_lost_workers(&mut self) -> bool {
        let lost = self.workers.len() < WORKERS
            || self.workers.iter().any(|worker| worker.thread.is_finished());
        if lost {
            *self = Self::start(&self.watcher);
        }
        lost
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        let threads = self.workers.drain(..).map(|worker| worker.thread).collect();
        join_within(threads, JOIN_TIMEOUT, "an fsync of a status file");
    }
}

impl FlushWorker {
    fn start(watcher: &Sender<Message>, ended: &Arc<AtomicBool>) -> Option<Self> {
        let (sender, files) = channel();
        let (watcher, ended) = (watcher.clone(), Arc::clone(ended));
        #[cfg(test)]
        let (running, alive) = {
            let running = Arc::new(());
            let alive = Arc::downgrade(&running);
            (running, alive)
        };
        let thread = thread::Builder::new().name("flusher".to_owned()).spawn(move || {
            flush_all(&files, &watcher, &ended);
            #[cfg(test)]
            drop(running);
        });
        Some(Self {
            files: sender,
            thread: thread.ok()?,
            #[cfg(test)]
            alive,
        })
    }
}

fn flush_all(files: &Receiver<FlushRequest>, watcher: &Sender<Message>, ended: &AtomicBool) {
    while let Ok(first) = files.recv() {
        let mut batch = vec![first];
        batch.extend(files.try_iter().take(MAX_BATCH));
        for path in batch.iter().flat_map(files_of) {
            if ended.load(Relaxed) {
                return;
            }
            if let Err(error) = atomic::flush_content(&path) {
                tracing::warn!(
                    error = chain(&error),
                    "cannot fsync a final state; publishing it anyway, although a power cut may undo it"
                );
            }
        }
        let folders: BTreeSet<PathBuf> =
            batch.iter().map(|request| request.dir.path().to_owned()).collect();
        for folder in folders {
            if let Err(error) = atomic::flush_folder(&folder) {
                tracing::warn!(
                    error = chain(&error),
                    "cannot fsync a final state; publishing it anyway, although a power cut may undo it"
                );
            }
        }
        for FlushRequest { id, file, signature, .. } in batch {
            // Sending fails only while the server shuts down.
            let _ = watcher.send(Message::Flushed(id, file, signature));
        }
    }
}

/// The files that have to be durable before a final state is published. It is unknown whether their
/// writer fsyncs them; an fsync of a clean file costs next to nothing.
fn files_of(request: &FlushRequest) -> Vec<PathBuf> {
    match request.file {
        // Written by the server, which fsyncs it before the rename.
        JobFile::Master => Vec::new(),
        JobFile::Repository(index) => vec![request.dir.result(index), request.dir.status(index)],
    }
}
