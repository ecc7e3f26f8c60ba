//! Reads the folders of the jobs that are there at the start, on as many threads as there are processors.
//!
//! Input: ids. Output: jobs that nobody knows yet, with what their files say, and the signatures of these
//! files, each as a message to the watcher's thread.
//! Invariants: nothing is published here: the watcher's thread puts a job in the cache, unless it has
//! read the job by itself meanwhile. A folder that may still change is watched first and read then. A
//! file that makes no sense, or has just been changed, is left to the watcher's thread. Threads that
//! cannot be started, or fail, leave their jobs to it too.

use super::{
    END_PATIENCE, Message, WatchOptions,
    folder::{is_young, moment_of},
    join_within,
    notifications::Notifications,
    resting::Resting,
};
use crate::{
    live::{
        board::Board,
        content::Content,
        job::{LiveJob, SharedJob},
    },
    model::JobId,
    store::{
        layout::{JobFile, JobsDir},
        open_folder::OpenFolder,
        read::Signature,
    },
};
use std::{
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::Sender,
    },
    thread,
    time::{Instant, SystemTime},
};

/// How many jobs are handed over together: each message may wake the watcher's thread.
const BATCH: usize = 32;

/// A job that has been read.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) job: SharedJob,
    pub(super) folder: LoadedFolder,
}

/// The folder of a job that has been read.
#[derive(Debug)]
pub(super) enum LoadedFolder {
    /// The job is finished and quiet, and all its files are known.
    Resting(Resting),
    Other {
        /// The folder's own facts from before it was listed.
        listed: Signature,
        /// The files of which all is known, in order, each with the number of its signature.
        files: Vec<(JobFile, u64)>,
        /// Whether these are all its files.
        complete: bool,
        /// Whether the folder has been watched since before it was read.
        watched: bool,
        /// The newest change of a file.
        still_since: Instant,
    },
}

impl LoadedFolder {
    pub(super) fn is_watched(&self) -> bool {
        matches!(self, Self::Other { watched: true, .. })
    }
}

/// What the threads work with.
struct Work {
    jobs: JobsDir,
    options: WatchOptions,
    board: Arc<Board>,
    notifications: Option<Arc<Notifications>>,
    left: Mutex<std::vec::IntoIter<JobId>>,
    ended: AtomicBool,
    watcher: Sender<Message>,
}

/// The threads. When this is dropped they end after the job that they are at, and are waited for.
pub(super) struct Loader {
    work: Arc<Work>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Loader {
    /// Starts to read these jobs. When a thread ends, whyever it does, `Message::LoaderEnded` comes.
    pub(super) fn start(
        jobs: &JobsDir,
        options: WatchOptions,
        board: Arc<Board>,
        notifications: Option<Arc<Notifications>>,
        ids: Vec<JobId>,
        watcher: &Sender<Message>,
    ) -> Self {
        let most = ids.len();
        let work = Arc::new(Work {
            jobs: jobs.clone(),
            options,
            board,
            notifications,
            left: Mutex::new(ids.into_iter()),
            ended: AtomicBool::new(false),
            watcher: watcher.clone(),
        });
        let wanted = thread::available_parallelism().map_or(1, usize::from).min(most);
        let start = |_| {
            let work = Arc::clone(&work);
            let run = move || {
                let _end = End(&work);
                work.run();
            };
            thread::Builder::new().name("loader".to_owned()).spawn(run).ok()
        };
        let threads = (0..wanted).filter_map(start).collect();
        Self { work, threads }
    }

    /// How many threads were started.
    pub(super) fn threads(&self) -> usize {
        self.threads.len()
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.work.ended.store(true, Relaxed);
        join_within(std::mem::take(&mut self.threads), END_PATIENCE, "a look at a job's folder");
    }
}

/// Says that a thread ends, also where it panics.
struct End<'a>(&'a Work);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let _ = self.0.watcher.send(Message::LoaderEnded);
    }
}

impl Work {
    fn run(&self) {
        let Ok(root) = OpenFolder::open(self.jobs.root()) else { return };
        let (mut buffer, mut batch) = (Vec::new(), Vec::new());
        while !self.ended.load(Relaxed) {
            let next = self.left.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(id) = next else { break };
            // What cannot be read is left to the watcher's thread.
            batch.extend(self.load(&root, id, &mut buffer));
            if batch.len() == BATCH {
                self.send(&mut batch);
            }
        }
        self.send(&mut batch);
    }

    fn send(&self, batch: &mut Vec<Loaded>) {
        // The watcher's thread is gone only at the end.
        let _ = self.watcher.send(Message::Loaded(std::mem::take(batch)));
    }

    fn load(&self, root: &OpenFolder, id: JobId, buffer: &mut Vec<u8>) -> io::Result<Loaded> {
        let folder = root.folder(id.as_str())?;
        let listed = folder.signature()?;
        let mut reading = Reading {
            folder,
            begun: SystemTime::now(),
            newest: listed.changed_at(),
            contents: Vec::new(),
            files: Vec::new(),
            complete: true,
        };
        let mut watched = self.is_lately(reading.newest) && self.watch(&id);
        // The master file before all others: a final state that it has follows from theirs.
        reading.read(JobFile::Master, buffer);
        if !watched && !reading.contents.first().is_some_and(Content::is_end) {
            watched = self.watch(&id);
        }
        let mut indices = Vec::with_capacity(16);
        reading.folder.list(|name| {
            if let Some(JobFile::Repository(index)) = file_of(name.to_bytes()) {
                indices.push(index);
            }
        })?;
        indices.sort_unstable();
        for index in indices {
            reading.read(JobFile::Repository(index), buffer);
        }
        let Reading { newest, contents, files, complete, .. } = reading;
        let job = Arc::new(LiveJob::of_files(id, Arc::clone(&self.board), contents));
        let folder = if complete && !watched && !self.is_lately(newest) && job.facts().is_over() {
            // Packed by this thread, which has the memory that it frees.
            job.settle_unpublished();
            LoadedFolder::Resting(Resting::new(Arc::clone(&job), listed, files))
        } else {
            let still_since = moment_of(newest);
            LoadedFolder::Other { listed, files, complete, watched, still_since }
        };
        Ok(Loaded { job, folder })
    }

    /// Whether something that was changed then has not been quiet for a resync period.
    fn is_lately(&self, changed_at: SystemTime) -> bool {
        moment_of(changed_at).elapsed() < self.options.resync_interval
    }

    fn watch(&self, id: &JobId) -> bool {
        let watch = |it: &Arc<Notifications>| it.watch(self.jobs.job(id).path());
        self.notifications.as_ref().is_some_and(|it| watch(it).is_ok())
    }
}

/// A job that is being read.
struct Reading {
    folder: OpenFolder,
    begun: SystemTime,
    newest: SystemTime,
    contents: Vec<Content>,
    files: Vec<(JobFile, u64)>,
    complete: bool,
}

impl Reading {
    fn read(&mut self, file: JobFile, buffer: &mut Vec<u8>) {
        let signature = match self.folder.read(&file.name(), Content::cap(file), buffer) {
            Ok(signature) => signature,
            // A job without a master file is one of another program, or gone.
            Err(error) => {
                self.complete &= file == JobFile::Master && error.kind() == io::ErrorKind::NotFound;
                return;
            }
        };
        let changed_at = signature.changed_at();
        self.newest = self.newest.max(changed_at);
        match Content::parse(file, buffer) {
            Ok(content) if !is_young(changed_at, self.begun) => {
                self.contents.push(content);
                self.files.push((file, signature.number()));
            }
            _ => self.complete = false,
        }
    }
}

fn file_of(name: &[u8]) -> Option<JobFile> {
    JobFile::parse(OsStr::from_bytes(name))
}
