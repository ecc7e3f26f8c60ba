//! Reads the folders of the jobs that exist at the start, with one thread per processor.
//!
//! Input: ids of jobs. Output: jobs that no reader can see yet, with the content and signatures of
//! their files, each as a message to the watcher's thread.
//!
//! Invariants: nothing is published here: the watcher's thread adds a job to the cache, unless it
//! has read the job itself meanwhile. A folder that may still change is watched before it is read;
//! that of a finished job is not watched, and if it changed recently, the watcher's thread compares
//! it once more (`reader::recent`). The watcher's thread reads every file that cannot be parsed or
//! has just been changed, and every job of a thread that could not be started or has failed.

use super::{
    JOIN_TIMEOUT, Message, WatchOptions,
    change_time::{folder_time, is_young, moment_of},
    idle_folder::IdleFolder,
    join_within,
    notifications::Notifications,
};
use crate::{
    live::{
        file_content::FileContent,
        job::{LiveJob, SharedJob},
        job_index::JobIndex,
    },
    model::JobId,
    store::{
        layout::{JobFile, JobsDir},
        open_folder::OpenFolder,
        packed_jobs::PackedJobs,
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

/// How many jobs are sent in one message, because each message may wake the watcher's thread.
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
    Idle(Arc<IdleFolder>),
    /// The same; the job was not read: its copy is as new as its files.
    Packed(Arc<IdleFolder>),
    /// The same, except that a file changed recently, at this time. The folder has no watch.
    Recent(Arc<IdleFolder>, Instant),
    Other {
        /// The signature of the folder from before it was listed.
        listed: Signature,
        /// The files whose content is known, in order, each with the number of its signature.
        files: Vec<(JobFile, u64)>,
        /// Whether these are all files of the folder.
        complete: bool,
        /// Whether the folder has been watched since before it was read.
        watched: bool,
        /// The time of the newest change of a file.
        still_since: Instant,
    },
}

impl LoadedFolder {
    pub(super) fn is_watched(&self) -> bool {
        matches!(self, Self::Other { watched: true, .. })
    }
}

/// The data that the threads share.
struct Work {
    jobs: JobsDir,
    options: WatchOptions,
    job_index: Arc<JobIndex>,
    notifications: Option<Arc<Notifications>>,
    /// Copies of finished jobs from an earlier run of the server.
    packed: Arc<PackedJobs>,
    left: Mutex<std::vec::IntoIter<JobId>>,
    ended: AtomicBool,
    watcher: Sender<Message>,
}

/// The threads. Dropping the loader ends them after their current job, and waits for them.
pub(super) struct Loader {
    work: Arc<Work>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Loader {
    /// Starts to read these jobs. Each thread sends `Message::LoaderEnded` when it ends, for any
    /// reason.
    pub(super) fn start(
        jobs: &JobsDir,
        options: WatchOptions,
        job_index: Arc<JobIndex>,
        notifications: Option<Arc<Notifications>>,
        packed: Arc<PackedJobs>,
        ids: Vec<JobId>,
        watcher: &Sender<Message>,
    ) -> Self {
        let most = ids.len();
        let work = Arc::new(Work {
            jobs: jobs.clone(),
            options,
            job_index,
            notifications,
            packed,
            left: Mutex::new(ids.into_iter()),
            ended: AtomicBool::new(false),
            watcher: watcher.clone(),
        });
        let wanted = thread::available_parallelism().map_or(1, usize::from).min(most);
        let start = |_| {
            let work = Arc::clone(&work);
            let run = move || {
                let _end = ReportEnd(&work);
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
        join_within(std::mem::take(&mut self.threads), JOIN_TIMEOUT, "a read of a job's folder");
    }
}

/// Reports that a thread ends, even by a panic.
struct ReportEnd<'a>(&'a Work);

impl Drop for ReportEnd<'_> {
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
            // A job that cannot be read is left to the watcher's thread.
            batch.extend(self.load(&root, &id, &mut buffer));
            if batch.len() == BATCH {
                self.send(&mut batch);
            }
        }
        self.send(&mut batch);
    }

    fn send(&self, batch: &mut Vec<Loaded>) {
        // Sending fails only while the server shuts down.
        let _ = self.watcher.send(Message::Loaded(std::mem::take(batch)));
    }

    fn load(&self, root: &OpenFolder, id: &JobId, buffer: &mut Vec<u8>) -> io::Result<Loaded> {
        if let Some(loaded) = self.unpack(root, id) {
            return Ok(loaded);
        }
        let folder = root.folder(id.as_str())?;
        let mut reading = Reading::begin(&folder, buffer)?;
        if reading.is_final() {
            reading.read_repositories(buffer)?;
            let read = self.job_of(id, reading);
            if let Some(folder) = self.finished(&read) {
                return Ok(Loaded { job: read.job, folder });
            }
        }
        let watched = self.watch(id);
        // Opened again: an open folder is listed once, and another may be in its place.
        let folder = root.folder(id.as_str())?;
        let mut reading = Reading::begin(&folder, buffer)?;
        reading.read_repositories(buffer)?;
        let ReadJob { job, listed, newest, files, complete } = self.job_of(id, reading);
        let still_since = moment_of(newest);
        let folder = LoadedFolder::Other { listed, files, complete, watched, still_since };
        Ok(Loaded { job, folder })
    }

    /// The job from its copy, if nothing of it has changed since the copy was made.
    fn unpack(&self, root: &OpenFolder, id: &JobId) -> Option<Loaded> {
        let packed = self.packed.get(id)?;
        let newest = packed.unchanged_since(root, id)?;
        // What changed recently is read, as without a copy.
        if self.is_recent(newest) {
            return None;
        }
        let index = Arc::clone(&self.job_index);
        let job = Arc::new(LiveJob::of_packed_copy(id.clone(), index, packed.content)?);
        let folder = IdleFolder::new(Arc::clone(&job), packed.listed, packed.files);
        Some(Loaded { job, folder: LoadedFolder::Packed(Arc::new(folder)) })
    }

    fn job_of(&self, id: &JobId, reading: Reading<'_>) -> ReadJob {
        let Reading { listed, newest, contents, files, complete, .. } = reading;
        // Every job of this program has a master file, which names its start.
        let is_named = contents.first().is_some_and(FileContent::names_start);
        let folder_time = if is_named { None } else { folder_time(self.jobs.job(id).path()) };
        let index = Arc::clone(&self.job_index);
        let job = Arc::new(LiveJob::of_files(id.clone(), index, folder_time, contents));
        ReadJob { job, listed, newest, files, complete }
    }

    /// The folder of a finished job; `None` if a watch is needed before it is read.
    fn finished(&self, read: &ReadJob) -> Option<LoadedFolder> {
        let (facts, is_recent) = (read.job.facts(), self.is_recent(read.newest));
        // After a recent change, a repository without a final state may still get one.
        let is_finished =
            read.complete && facts.is_over() && (!is_recent || facts.summary.pending == 0);
        if !is_finished {
            return None;
        }
        // Packed by this thread, so that the next job is read into the memory that becomes free.
        read.job.finalize_unpublished();
        let files = read.files.iter().copied();
        let idle = Arc::new(IdleFolder::new(Arc::clone(&read.job), read.listed, files));
        Some(if is_recent {
            LoadedFolder::Recent(idle, moment_of(read.newest))
        } else {
            LoadedFolder::Idle(idle)
        })
    }

    /// Whether less than a resync interval has passed since this change.
    fn is_recent(&self, changed_at: SystemTime) -> bool {
        moment_of(changed_at).elapsed() < self.options.resync_interval
    }

    fn watch(&self, id: &JobId) -> bool {
        let path = self.jobs.job(id).path().to_owned();
        self.notifications.as_ref().is_some_and(|notifications| notifications.watch(&path).is_ok())
    }
}

/// A job whose folder was read.
struct ReadJob {
    job: SharedJob,
    /// The signature of the folder from before it was listed.
    listed: Signature,
    /// The time of the newest change.
    newest: SystemTime,
    /// The files whose content is known.
    files: Vec<(JobFile, u64)>,
    /// Whether these are all files of the folder.
    complete: bool,
}

/// A job whose folder is being read.
struct Reading<'a> {
    folder: &'a OpenFolder,
    listed: Signature,
    begun: SystemTime,
    newest: SystemTime,
    contents: Vec<FileContent>,
    files: Vec<(JobFile, u64)>,
    complete: bool,
}

impl<'a> Reading<'a> {
    /// Reads the master file. It comes first: a final state in it was written after those of the
    /// repositories.
    fn begin(folder: &'a OpenFolder, buffer: &mut Vec<u8>) -> io::Result<Self> {
        let listed = folder.signature()?;
        let mut reading = Self {
            folder,
            listed,
            begun: SystemTime::now(),
            newest: listed.changed_at(),
            contents: Vec::new(),
            files: Vec::new(),
            complete: true,
        };
        reading.read(JobFile::Master, buffer);
        Ok(reading)
    }

    /// Whether the job has a final state.
    fn is_final(&self) -> bool {
        self.contents.first().is_some_and(FileContent::is_final)
    }

    fn read_repositories(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let mut indices = Vec::with_capacity(16);
        self.folder.list(|name| {
            if let Some(JobFile::Repository(index)) = file_of(name.to_bytes()) {
                indices.push(index);
            }
        })?;
        indices.sort_unstable();
        self.contents.reserve(indices.len());
        self.files.reserve(indices.len());
        for index in indices {
            self.read(JobFile::Repository(index), buffer);
        }
        Ok(())
    }

    fn read(&mut self, file: JobFile, buffer: &mut Vec<u8>) {
        let signature = match self.folder.read(&file.name(), FileContent::cap(file), buffer) {
            Ok(signature) => signature,
            // A job without a master file is one of another program, or was removed.
            Err(error) => {
                self.complete &= file == JobFile::Master && error.kind() == io::ErrorKind::NotFound;
                return;
            }
        };
        let changed_at = signature.changed_at();
        self.newest = self.newest.max(changed_at);
        match FileContent::parse(file, buffer) {
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
