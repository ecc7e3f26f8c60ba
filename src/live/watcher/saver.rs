//! Writes copies of the idle jobs (`store::packed_jobs`), so that the next start need not read their
//! files.
//!
//! Input: idle jobs, at intervals and at the end. Output: the file of the copies.
//!
//! Invariants: a thread of its own writes, and the watcher's thread never waits for it, except at the
//! end, for a limited time; writing takes a small part of the time; a failure costs only the copies,
//! and is logged once.

use super::{JOIN_TIMEOUT, idle_folder::IdleFolder, join_within};
use crate::{
    model::JobState,
    store::{
        StoreError, chain,
        layout::JobsDir,
        packed_jobs::{self, NewRecord},
    },
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// The shortest time between two writes.
const SHORTEST: Duration = Duration::from_mins(1);
/// Writing takes at most this part (1/n) of the time.
const PART: u32 = 500;

/// The thread. Dropping it waits until it has written what it was given.
#[derive(Debug)]
pub(super) struct Saver {
    work: Option<Sender<Work>>,
    thread: Option<thread::JoinHandle<()>>,
    is_busy: Arc<AtomicBool>,
}

/// The idle jobs at one moment.
#[derive(Debug)]
struct Work {
    jobs: Vec<Arc<IdleFolder>>,
    /// The server ends: nothing follows.
    last: bool,
}

impl Saver {
    /// Starts the thread.
    pub(super) fn start(jobs: &JobsDir) -> io::Result<Self> {
        let (work, inbox) = channel::<Work>();
        let is_busy = Arc::new(AtomicBool::new(false));
        let (jobs, busy) = (jobs.clone(), Arc::clone(&is_busy));
        let run = move || {
            let mut failed = false;
            for work in inbox {
                let begun = Instant::now();
                match work.write(&jobs) {
                    Ok(()) => failed = false,
                    Err(error) if !failed => {
                        failed = true;
                        tracing::warn!(
                            error = chain(&error),
                            "cannot write the copies of finished jobs; the next start reads all files"
                        );
                    }
                    Err(_) => {}
                }
                if !work.last {
                    thread::park_timeout(SHORTEST.max(begun.elapsed() * PART));
                }
                busy.store(false, Relaxed);
            }
        };
        let thread = thread::Builder::new().name("packed-jobs".to_owned()).spawn(run)?;
        Ok(Self { work: Some(work), thread: Some(thread), is_busy })
    }

    /// Whether the thread writes, or rests afterwards.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy.load(Relaxed)
    }

    /// Writes copies of these jobs.
    pub(super) fn write(&self, jobs: Vec<Arc<IdleFolder>>) {
        self.is_busy.store(true, Relaxed);
        self.send(Work { jobs, last: false });
    }

    /// Writes copies of these jobs, and waits for it.
    pub(super) fn write_last(self, jobs: Vec<Arc<IdleFolder>>) {
        self.send(Work { jobs, last: true });
    }

    fn send(&self, work: Work) {
        if let Some(sender) = &self.work {
            // It fails only if the thread has panicked: then there are no copies.
            let _ = sender.send(work);
        }
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.work = None;
        let thread = self.thread.take();
        if let Some(thread) = &thread {
            thread.thread().unpark();
        }
        join_within(thread.into_iter().collect(), JOIN_TIMEOUT, "a write of the copies of jobs");
    }
}

impl Work {
    fn write(&self, jobs: &JobsDir) -> Result<(), StoreError> {
        let record = |folder: &Arc<IdleFolder>| {
            // A job that was requested recently may be open.
            folder.job.pack_unless_followed();
            let facts = folder.job.facts();
            Some(NewRecord {
                id: facts.id,
                listed: folder.listed,
                files: folder.files().collect(),
                // A cancel may have been interrupted: its repositories are checked at the start.
                needs_nothing: facts.state.is_final() && facts.state != JobState::Cancelled,
                content: folder.job.packed_copy()?,
            })
        };
        packed_jobs::write(jobs, self.jobs.iter().filter_map(record))
    }
}
