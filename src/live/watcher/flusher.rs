//! An end is told once it would outlast a power cut: until its writer has flushed it, it may be
//! seen, and be gone after the next start.
//!
//! What flows in: files of jobs of ours in which an end stands that nobody has been told. What flows
//! out: the word that the content that was seen is on the disk. What must stay true: the files of one
//! job come out in the order in which they went in; a disk that refuses a flush does not keep an
//! end from being told, for then nobody would ever hear of it.

use super::Message;
use crate::{
    model::JobId,
    store::{
        atomic, chain,
        layout::{JobDir, JobFile},
        read::Signature,
    },
};
use std::{
    collections::BTreeSet,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    path::PathBuf,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

/// How many jobs' files are flushed at once: a flush waits for the disk, and others may join it.
const HANDS: usize = 4;
/// How many files one hand takes at most before it says so: each folder of them is flushed once.
const AT_ONCE: usize = 64;

/// A file in which an end stands.
pub(super) struct Unflushed {
    pub(super) id: JobId,
    pub(super) file: JobFile,
    pub(super) dir: JobDir,
    /// The content that was seen.
    pub(super) signature: Signature,
}

/// The hands; they rest, and end, when this is dropped.
pub(super) struct Flusher {
    hands: Vec<Sender<Unflushed>>,
}

impl Flusher {
    /// What has been flushed is told to `watcher`.
    pub(super) fn start(watcher: &Sender<Message>) -> Self {
        let hand = |_| {
            let (sender, files) = channel();
            let watcher = watcher.clone();
            let started = thread::Builder::new()
                .name("flusher".to_owned())
                .spawn(move || flush_all(&files, &watcher));
            started.is_ok().then_some(sender)
        };
        Self { hands: (0..HANDS).filter_map(hand).collect() }
    }

    /// Has a file flushed; whether somebody does.
    pub(super) fn flush(&self, file: Unflushed) -> bool {
        // One job is in one hand: its master's end must not come before those that it follows from.
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&file.id);
        let count = u64::try_from(self.hands.len().max(1)).unwrap_or(1);
        let hand = usize::try_from(hash % count).ok().and_then(|it| self.hands.get(it));
        hand.is_some_and(|hand| hand.send(file).is_ok())
    }
}

fn flush_all(files: &Receiver<Unflushed>, watcher: &Sender<Message>) {
    while let Ok(first) = files.recv() {
        let mut batch = vec![first];
        batch.extend(files.try_iter().take(AT_ONCE));
        for path in batch.iter().flat_map(contents) {
            if let Err(error) = atomic::flush_content(&path) {
                tracing::warn!(error = chain(&error), "an end is told that is not flushed");
            }
        }
        let folders: BTreeSet<PathBuf> = batch.iter().map(|it| it.dir.path().to_owned()).collect();
        for folder in folders {
            if let Err(error) = atomic::flush_folder(&folder) {
                tracing::warn!(error = chain(&error), "an end is told that is not flushed");
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
