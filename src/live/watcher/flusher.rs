//! An end is told once it would outlast a power cut: until its writer has flushed it, it may be
//! seen, and be gone after the next start.
//!
//! What flows in: files of jobs of ours in which an end stands that nobody has been told. What flows
//! out: the word that the content that was seen is on the disk. What must stay true: the files of one
//! job come out in the order in which they went in; a file waits here once at most; a disk that
//! refuses a flush does not keep an end from being told, for then nobody would ever hear of it; the
//! threads end with this, or are said not to.

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

/// How many jobs' files are flushed at once: a flush waits for the disk, and others may join it.
const HANDS: usize = 4;
/// How many files one hand takes at most before it says so: each folder of them is flushed once.
const AT_ONCE: usize = 64;
/// How long the end of this waits for a flush that is under way.
const END_PATIENCE: Duration = Duration::from_secs(3);

/// A file in which an end stands.
pub(super) struct Unflushed {
    pub(super) id: JobId,
    pub(super) file: JobFile,
    pub(super) dir: JobDir,
    /// The content that was seen.
    pub(super) signature: Signature,
}

/// The hands. When this is dropped they leave what is not flushed yet, and are waited for.
pub(super) struct Flusher {
    watcher: Sender<Message>,
    hands: Vec<Hand>,
    /// What the hands have.
    waiting: HashSet<(JobId, JobFile)>,
    ended: Arc<AtomicBool>,
}

struct Hand {
    files: Sender<Unflushed>,
    thread: JoinHandle<()>,
    #[cfg(test)]
    alive: std::sync::Weak<()>,
}

impl Flusher {
    /// What has been flushed is told to `watcher`.
    pub(super) fn start(watcher: &Sender<Message>) -> Self {
        let ended = Arc::default();
        let hands = (0..HANDS).filter_map(|_| Hand::start(watcher, &ended)).collect();
        Self { watcher: watcher.clone(), hands, waiting: HashSet::new(), ended }
    }

    /// Has a file flushed; whether somebody does. Of one that is being flushed it will be said
    /// which content that was.
    pub(super) fn flush(&mut self, file: Unflushed) -> bool {
        let key = (file.id.clone(), file.file);
        if self.waiting.contains(&key) {
            return true;
        }
        // One job is in one hand: its master's end must not come before those that it follows from.
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&file.id);
        let count = u64::try_from(self.hands.len().max(1)).unwrap_or(1);
        let hand = usize::try_from(hash % count).ok().and_then(|it| self.hands.get(it));
        let taken = hand.is_some_and(|hand| hand.files.send(file).is_ok());
        if taken {
            self.waiting.insert(key);
        }
        taken
    }

    /// The word of a file has come.
    pub(super) fn note_flushed(&mut self, id: &JobId, file: JobFile) {
        self.waiting.remove(&(id.clone(), file));
    }

    /// What each thread holds as long as it runs.
    #[cfg(test)]
    pub(super) fn threads(&self) -> Vec<std::sync::Weak<()>> {
        self.hands.iter().map(|it| it.alive.clone()).collect()
    }

    /// Whether a hand was lost, with what it had. There are new ones then.
    pub(super) fn mend(&mut self) -> bool {
        let lost = self.hands.len() < HANDS || self.hands.iter().any(|it| it.thread.is_finished());
        if lost {
            *self = Self::start(&self.watcher);
        }
        lost
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        let threads = self.hands.drain(..).map(|it| it.thread).collect();
        join_within(threads, END_PATIENCE, "a flush of a status file");
    }
}

impl Hand {
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

fn flush_all(files: &Receiver<Unflushed>, watcher: &Sender<Message>, ended: &AtomicBool) {
    while let Ok(first) = files.recv() {
        let mut batch = vec![first];
        batch.extend(files.try_iter().take(AT_ONCE));
        for path in batch.iter().flat_map(contents) {
            if ended.load(Relaxed) {
                return;
            }
            if let Err(error) = atomic::flush_content(&path) {
                tracing::warn!(
                    error = chain(&error),
                    "cannot flush a final state; it is published all the same, and a power cut may undo it"
                );
            }
        }
        let folders: BTreeSet<PathBuf> = batch.iter().map(|it| it.dir.path().to_owned()).collect();
        for folder in folders {
            if let Err(error) = atomic::flush_folder(&folder) {
                tracing::warn!(
                    error = chain(&error),
                    "cannot flush a final state; it is published all the same, and a power cut may undo it"
                );
            }
        }
        for Unflushed { id, file, signature, .. } in batch {
            // The watcher is gone only with the server.
            let _ = watcher.send(Message::Flushed(id, file, signature));
        }
    }
}

/// What has to be on the disk before the end is: of whoever wrote it, it is not known whether he
/// flushes. One that is clean costs next to nothing.
fn contents(it: &Unflushed) -> Vec<PathBuf> {
    match it.file {
        // The server's own, which is always flushed before it is renamed.
        JobFile::Master => Vec::new(),
        JobFile::Repository(index) => vec![it.dir.result(index), it.dir.status(index)],
    }
}
