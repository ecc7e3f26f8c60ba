//! The work of the watcher's thread: what is watched, what is read, and when.
//!
//! Input: messages, and time. Output: changes of the cache.
//!
//! Invariants: all reading is done in bounded turns, so that no request waits for the folder of
//! another job.

mod idle;
mod load;
mod recent;
mod resync;
mod retries;
mod saving;
mod scan;
mod watches;

use super::{
    Message, WatchOptions,
    flusher::{FlushRequest, Flusher},
    folder::{AfterRead, Folder, Watch},
    idle_folder::IdleFolder,
    loader::Loaded,
    notifications::Notifications,
    root::Root,
    saver::Saver,
    work_queue::{FileEvent, WorkQueue},
};
use crate::{
    live::Live,
    model::JobId,
    store::{
        layout::{JobFile, JobsDir},
        packed_jobs::PackedJobs,
        read::Signature,
    },
};
use idle::IdleChecks;
use load::Loading;
use recent::RecentJob;
use resync::Resync;
pub(super) use resync::ResyncKind;
use retries::Retries;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

/// The maximum duration of a turn.
const TURN: Duration = Duration::from_millis(4);
/// How many messages are received between two turns.
const MESSAGES: usize = 4_096;

pub(super) struct JobsReader {
    live: Arc<Live>,
    jobs: JobsDir,
    options: WatchOptions,
    /// For the threads that report to this one.
    sender: Sender<Message>,
    notifications: Option<Arc<Notifications>>,
    /// Why inotify is not available, if it should be.
    notify_problem: Option<String>,
    root: Root,
    /// The folders of jobs that are not idle.
    folders: HashMap<JobId, Folder>,
    /// How many of these folders are polled.
    polled: usize,
    /// The folders of idle jobs: finished, and unchanged for a resync interval.
    idle: BTreeMap<JobId, Arc<IdleFolder>>,
    idle_checks: IdleChecks,
    /// Present while the jobs that existed at the start are read.
    loading: Option<Loading>,
    loaded: VecDeque<Loaded>,
    /// Jobs that were read at the start without a watch, and have to be compared once more.
    recent: VecDeque<RecentJob>,
    /// Copies of finished jobs for the loader threads.
    copies: Arc<PackedJobs>,
    /// Whether a copy is missing or outdated.
    idle_changed: bool,
    saver: Option<Saver>,
    queue: WorkQueue,
    /// Known jobs that still have to be queued for the running resync.
    known: Vec<JobId>,
    /// The running resync.
    resync: Option<Resync>,
    retries: Retries,
    flusher: Flusher,
    resync_at: Instant,
    poll_at: Instant,
}

impl JobsReader {
    pub(super) fn new(
        live: Arc<Live>,
        jobs: JobsDir,
        options: WatchOptions,
        sender: Sender<Message>,
    ) -> Self {
        let now = Instant::now();
        Self {
            live,
            jobs,
            options,
            flusher: Flusher::start(&sender),
            sender,
            notifications: None,
            notify_problem: None,
            root: Root::default(),
            folders: HashMap::new(),
            polled: 0,
            idle: BTreeMap::new(),
            idle_checks: IdleChecks::default(),
            loading: None,
            loaded: VecDeque::new(),
            recent: VecDeque::new(),
            copies: Arc::default(),
            idle_changed: false,
            saver: None,
            queue: WorkQueue::default(),
            known: Vec::new(),
            resync: None,
            retries: Retries::default(),
            resync_at: now,
            poll_at: now + options.poll_interval,
        }
    }

    pub(super) fn run(&mut self, messages: &Receiver<Message>) {
        // If the reader restarts after a panic, the cache has jobs, which streams follow: they are
        // kept.
        let load = self.live.is_empty();
        self.begin_resync(ResyncKind::First { load });
        while self.receive_messages(messages) {
            self.run_timers();
            self.turn();
        }
        self.save_last();
    }

    /// Receives the messages that have arrived; waits for one if there is no work. False at the
    /// end.
    fn receive_messages(&mut self, messages: &Receiver<Message>) -> bool {
        let mut first = None;
        if self.has_no_work() {
            let patience = self.wake_at().saturating_duration_since(Instant::now());
            match messages.recv_timeout(patience) {
                Ok(message) => first = Some(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        let more = std::iter::from_fn(|| messages.try_recv().ok()).take(MESSAGES);
        for message in first.into_iter().chain(more) {
            if matches!(message, Message::Stop) {
                return false;
            }
            self.receive(message);
        }
        true
    }

    pub(super) fn receive(&mut self, message: Message) {
        match message {
            // Jobs that were loaded for an earlier reader, which panicked, are read again.
            Message::Loaded(_) if self.loading.is_none() => return,
            Message::Loaded(loaded) => return self.loaded.extend(loaded),
            Message::LoaderEnded => return self.loader_ended(),
            Message::Flushed(ref id, file, _) => self.flusher.note_flushed(id, file),
            _ => {}
        }
        self.queue.add(message);
    }

    /// Whether there is nothing to do until a message arrives.
    fn has_no_work(&self) -> bool {
        self.queue.is_empty()
            && !self.is_queueing_resync()
            && self.loaded.is_empty()
            && !self.has_recent()
            && !self.loading.as_ref().is_some_and(Loading::has_ended)
            && (self.resync.is_none() || self.idle_checks.are_done())
    }

    /// When there is work, even if no message arrives.
    fn wake_at(&self) -> Instant {
        let poll_at = self.is_polling().then_some(self.poll_at);
        // The next resync does not begin before the running one has ended.
        let resync_at = if self.resync.is_some() {
            Instant::now() + self.options.resync_interval
        } else {
            self.resync_at
        };
        [poll_at, self.retries.next_at()].into_iter().flatten().fold(resync_at, Instant::min)
    }

    pub(super) fn run_timers(&mut self) {
        let now = Instant::now();
        while let Some((id, file)) = self.retries.pop_due(now) {
            self.queue.queue_file(&id, file);
        }
        let overflows = std::mem::take(&mut self.queue.overflows);
        if overflows > 0 {
            self.live.note(|health| health.overflows += overflows);
        }
        // Only one at a time; a request during a resync starts the next one.
        if self.resync.is_none() && (self.queue.everything || now >= self.resync_at) {
            self.queue.everything = false;
            self.begin_resync(ResyncKind::Again);
        }
        if now >= self.poll_at {
            if self.is_polling() && self.resync.is_none() {
                self.poll();
            }
            self.poll_at = Instant::now() + self.options.poll_interval;
        }
    }

    /// One turn each: for the file events of a job, for the scan of a folder, for queueing a
    /// resync, for jobs that were loaded at the start, for one that is compared once more, and for
    /// idle jobs.
    pub(super) fn turn(&mut self) {
        if let Some(id) = self.queue.next_with_file_events() {
            self.process_file_events(&id);
            self.queue.requeue_file_events(&id);
            self.answer(&id);
        }
        if let Some((id, from_start)) = self.queue.next_scan() {
            if !self.scan(&id, from_start) {
                self.queue.requeue(&id);
            }
            self.answer(&id);
        }
        self.queue_resync();
        if self.loading.is_some() {
            self.add_loaded();
        }
        if self.has_recent() {
            self.compare_recent();
        }
        if self.resync.is_some() && !self.idle_checks.are_done() {
            self.check_idle();
        }
    }

    fn process_file_events(&mut self, id: &JobId) {
        let end = Instant::now() + TURN;
        while let Some(event) = self.queue.take_file_event(id) {
            match event {
                FileEvent::Changed(file) => self.read_one(id, file),
                FileEvent::Flushed(file, signature) => self.note_flushed(id, file, signature),
            }
            if Instant::now() >= end {
                return;
            }
        }
    }

    /// Answers the requests that wait for a job, once everything that was read of it is published.
    fn answer(&mut self, id: &JobId) {
        if self.folders.get(id).is_none_or(Folder::is_published) {
            self.queue.answer(id);
        }
    }

    fn poll(&mut self) {
        if self.notifications.is_none() && !self.root.is_being_listed() {
            self.begin_listing();
        }
        let polled = self.folders.iter().filter(|(_, folder)| folder.watch == Watch::Polled);
        for (id, _) in polled {
            self.queue.queue_scan(id);
        }
    }

    fn forget(&mut self, id: &JobId) {
        if let Some(folder) = self.folders.remove(id) {
            self.unwatch(&folder.dir, folder.watch);
        }
        self.idle_changed |= self.idle.remove(id).is_some();
        self.live.remove(id);
    }

    /// Reads one file if it changed.
    pub(super) fn read_one(&mut self, id: &JobId, file: JobFile) {
        self.wake(id);
        if !self.folders.contains_key(id) {
            // The file is in an unknown folder, which is scanned first.
            return self.queue.queue_scan(id);
        }
        self.read_file(id, file);
        let ends = |folder: &Folder| folder.job.facts().state.is_final() && !folder.job.is_over();
        if file == JobFile::Master && self.folders.get(id).is_some_and(ends) {
            // The event of the master file, or its content, may be ahead of the events of status
            // files that were written before it.
            self.queue.queue_scan(id);
        }
        self.finalize(id);
    }

    /// Lets the job end or continue, unless its files are still being read.
    fn finalize(&self, id: &JobId) {
        if let Some(folder) = self.folders.get(id).filter(|folder| folder.scan.is_none())
            && !self.queue.wants_scan(id)
        {
            folder.job.finalize(folder.is_quiet(&self.options));
        }
    }

    fn read_file(&mut self, id: &JobId, file: JobFile) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        match folder.read(file, &self.live) {
            AfterRead::Nothing => {}
            AfterRead::ReadAgain(at) => {
                self.retries.set(at, id, file);
            }
            AfterRead::Flush(signature) if file == JobFile::Master => {
                // The status files of the repositories are read first, even if no event has
                // reported their changes.
                folder.master_final_state = Some(signature);
                self.queue.queue_scan(id);
            }
            AfterRead::Flush(signature) => self.flush(id, file, signature),
        }
    }

    fn flush(&mut self, id: &JobId, file: JobFile, signature: Signature) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        let request = FlushRequest { id: id.clone(), file, dir: folder.dir.clone(), signature };
        if !self.flusher.flush(request) {
            // There is no thread to fsync it: publishing it too early is better than never.
            folder.note_flushed(file, signature);
            folder.read(file, &self.live);
        }
    }

    /// Publishes a final state, after it became durable.
    fn note_flushed(&mut self, id: &JobId, file: JobFile, signature: Signature) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        match folder.note_flushed(file, signature) {
            // Another content has replaced it meanwhile.
            Some(other) if file != JobFile::Master => self.flush(id, file, other),
            Some(other) => {
                folder.master_final_state = Some(other);
                self.queue.queue_scan(id);
            }
            // All status files have been read since the final state was seen.
            None => {
                self.read_file(id, file);
                self.finalize(id);
            }
        }
    }
}

#[cfg(test)]
impl JobsReader {
    pub(super) fn has_work(&self) -> bool {
        !self.has_no_work()
    }

    /// How many jobs the running resync still has to scan.
    pub(super) fn left_to_resync(&self) -> usize {
        self.resync.iter().flat_map(Resync::left).count()
    }

    /// Whether the job is idle.
    pub(super) fn is_idle(&self, id: &JobId) -> bool {
        self.idle.contains_key(id)
    }

    pub(super) fn has_retries(&self) -> bool {
        self.retries.next_at().is_some()
    }

    pub(super) fn is_published(&self, id: &JobId) -> bool {
        self.is_idle(id) || self.folders.get(id).is_some_and(Folder::is_published)
    }

    /// Pretends that the known signature is the file's current one.
    pub(super) fn pretend_to_know(&mut self, id: &JobId, file: JobFile) {
        if let Some(folder) = self.folders.get_mut(id) {
            folder.pretend_to_know(file);
        }
    }
}
