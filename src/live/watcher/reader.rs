//! The thread's work: what is watched, what is read, and when.
//!
//! Input: messages, and time. Output: changes of the cache.
//! Invariants: whatever is there to be read is read in turns that are bounded, so that nobody waits
//! for a job that is not his own.

mod ears;
mod load;
mod rest;
mod retries;
mod scan;
mod sweep;

pub(super) use scan::Scan;

use super::{
    Message, WatchOptions,
    agenda::{Agenda, News},
    flusher::{Flusher, Unflushed},
    folder::{Folder, Next, Watch},
    loader::Loaded,
    notifications::Notifications,
    resting::Resting,
    root::Root,
};
use crate::{
    live::Live,
    model::JobId,
    store::{
        layout::{JobFile, JobsDir},
        read::Signature,
    },
};
use load::Loading;
use rest::Rounds;
use retries::Retries;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};
use sweep::Sweep;
pub(super) use sweep::Sweeping;

/// How long a turn lasts.
const TURN: Duration = Duration::from_millis(4);
/// How many messages are taken in between two turns.
const MESSAGES: usize = 4_096;

pub(super) struct Reader {
    live: Arc<Live>,
    jobs: JobsDir,
    options: WatchOptions,
    /// For those who work for this thread.
    sender: Sender<Message>,
    notifications: Option<Arc<Notifications>>,
    /// Why the kernel does not tell of changes, although it should.
    deaf: Option<String>,
    root: Root,
    /// The folders of jobs that may change.
    folders: HashMap<JobId, Folder>,
    /// How many of them are polled.
    polled: usize,
    /// Those of jobs that are over and quiet.
    resting: BTreeMap<JobId, Resting>,
    rounds: Rounds,
    /// While the jobs that were there at the start are read.
    loading: Option<Loading>,
    loaded: VecDeque<Loaded>,
    agenda: Agenda,
    /// Known jobs that are to be put on the agenda.
    known: Vec<JobId>,
    /// The comparison of everything that is under way.
    sweep: Option<Sweep>,
    retries: Retries,
    flusher: Flusher,
    resync_at: Instant,
    poll_at: Instant,
}

impl Reader {
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
            deaf: None,
            root: Root::default(),
            folders: HashMap::new(),
            polled: 0,
            resting: BTreeMap::new(),
            rounds: Rounds::default(),
            loading: None,
            loaded: VecDeque::new(),
            agenda: Agenda::default(),
            known: Vec::new(),
            sweep: None,
            retries: Retries::default(),
            resync_at: now,
            poll_at: now + options.poll_interval,
        }
    }

    pub(super) fn run(&mut self, messages: &Receiver<Message>) {
        // Jobs that are known, to a reader that begins anew after a panic, are followed by others.
        let load = self.live.is_empty();
        self.begin_sweep(Sweeping::First { load });
        while self.take_in(messages) {
            self.look_at_the_clock();
            self.turn();
        }
    }

    /// Takes in what has come; waits for it where there is nothing else to do. False at the end.
    fn take_in(&mut self, messages: &Receiver<Message>) -> bool {
        let mut first = None;
        if self.is_idle() {
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
            self.hear(message);
        }
        true
    }

    pub(super) fn hear(&mut self, message: Message) {
        match message {
            // What comes for a reader before this one, which has failed, is read anew.
            Message::Loaded(_) if self.loading.is_none() => return,
            Message::Loaded(loaded) => return self.loaded.extend(loaded),
            Message::LoaderEnded => return self.loader_ended(),
            Message::Flushed(ref id, file, _) => self.flusher.note_flushed(id, file),
            _ => {}
        }
        self.agenda.add(message);
    }

    /// Whether there is nothing to do before something comes.
    fn is_idle(&self) -> bool {
        self.agenda.is_empty()
            && !self.is_gathering()
            && self.loaded.is_empty()
            && !self.loading.as_ref().is_some_and(Loading::has_ended)
            && (self.sweep.is_none() || self.rounds.are_done())
    }

    /// When there is something to do, whether or not something comes.
    fn wake_at(&self) -> Instant {
        let poll_at = self.polls().then_some(self.poll_at);
        // The next comparison of everything does not begin before the one that is under way has ended.
        let resync_at = if self.sweep.is_some() {
            Instant::now() + self.options.resync_interval
        } else {
            self.resync_at
        };
        [poll_at, self.retries.next_at()].into_iter().flatten().fold(resync_at, Instant::min)
    }

    pub(super) fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        while let Some((id, file)) = self.retries.pop_due(now) {
            self.agenda.look(&id, file);
        }
        let overflows = std::mem::take(&mut self.agenda.overflows);
        if overflows > 0 {
            self.live.note(|health| health.overflows += overflows);
        }
        // One at a time; what comes meanwhile is the beginning of the next.
        if self.sweep.is_none() && (self.agenda.everything || now >= self.resync_at) {
            self.agenda.everything = false;
            self.begin_sweep(Sweeping::Again);
        }
        if now >= self.poll_at {
            if self.polls() && self.sweep.is_none() {
                self.poll();
            }
            self.poll_at = Instant::now() + self.options.poll_interval;
        }
    }

    /// One turn for the news of a job, one for the folder of another, one for what is to be compared,
    /// one for jobs that were there at the start, and one for jobs that rest.
    pub(super) fn turn(&mut self) {
        if let Some(id) = self.agenda.next_news() {
            self.read_news(&id);
            self.agenda.more_news(&id);
            self.answer(&id);
        }
        if let Some((id, anew)) = self.agenda.next_scan() {
            if !self.scan(&id, anew) {
                self.agenda.go_on(&id);
            }
            self.answer(&id);
        }
        self.gather();
        if self.loading.is_some() {
            self.take_in_loaded();
        }
        if self.sweep.is_some() && !self.rounds.are_done() {
            self.compare_resting();
        }
    }

    fn read_news(&mut self, id: &JobId) {
        let end = Instant::now() + TURN;
        while let Some(news) = self.agenda.take_news(id) {
            match news {
                News::Changed(file) => self.read_one(id, file),
                News::Flushed(file, signature) => self.note_flushed(id, file, signature),
            }
            if Instant::now() >= end {
                return;
            }
        }
    }

    /// Answers the requests that wait for a job, once what was read of it is published.
    fn answer(&mut self, id: &JobId) {
        if self.folders.get(id).is_none_or(Folder::is_told) {
            self.agenda.answer(id);
        }
    }

    fn poll(&mut self) {
        if self.notifications.is_none() && !self.root.is_being_listed() {
            self.begin_listing();
        }
        let polled = self.folders.iter().filter(|(_, it)| it.watch == Watch::Polled);
        for (id, _) in polled {
            self.agenda.scan(id);
        }
    }

    fn forget(&mut self, id: &JobId) {
        if let Some(folder) = self.folders.remove(id) {
            self.unwatch(&folder.dir, folder.watch);
        }
        self.resting.remove(id);
        self.live.remove(id);
    }

    /// Reads one file if it changed.
    pub(super) fn read_one(&mut self, id: &JobId, file: JobFile) {
        self.wake(id);
        if !self.folders.contains_key(id) {
            // A file of a folder that is not known yet: the folder comes first.
            return self.agenda.scan(id);
        }
        self.read_file(id, file);
        if let Some(folder) = self.folders.get(id).filter(|it| it.scan.is_none()) {
            folder.job.settle(folder.is_quiet(&self.options));
        }
    }

    fn read_file(&mut self, id: &JobId, file: JobFile) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        match folder.read(file, &self.live) {
            Next::Nothing => {}
            Next::LookAgain(at) => {
                self.retries.set(at, id, file);
            }
            Next::Flush(signature) if file == JobFile::Master => {
                // What the end follows from comes first, though nobody may have said yet that it
                // has changed.
                folder.master_end = Some(signature);
                self.agenda.scan(id);
            }
            Next::Flush(signature) => self.flush(id, file, signature),
        }
    }

    fn flush(&mut self, id: &JobId, file: JobFile, signature: Signature) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        let unflushed = Unflushed { id: id.clone(), file, dir: folder.dir.clone(), signature };
        if !self.flusher.flush(unflushed) {
            // There is no thread for it: better told too early than never.
            folder.note_flushed(file, signature);
            folder.read(file, &self.live);
        }
    }

    /// An end has come to the disk: it is told now.
    fn note_flushed(&mut self, id: &JobId, file: JobFile, signature: Signature) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        match folder.note_flushed(file, signature) {
            // Another one has taken its place meanwhile.
            Some(other) if file != JobFile::Master => self.flush(id, file, other),
            Some(other) => {
                folder.master_end = Some(other);
                self.agenda.scan(id);
            }
            None => self.read_one(id, file),
        }
    }
}

#[cfg(test)]
impl Reader {
    pub(super) fn has_work(&self) -> bool {
        !self.is_idle()
    }

    /// How many jobs wait to be compared with the disk.
    pub(super) fn uncompared(&self) -> usize {
        self.sweep.iter().flat_map(Sweep::left).count()
    }

    /// Whether the job is over and quiet, so that little is kept of it.
    pub(super) fn rests(&self, id: &JobId) -> bool {
        self.resting.contains_key(id)
    }

    pub(super) fn has_retries(&self) -> bool {
        self.retries.next_at().is_some()
    }

    pub(super) fn is_told(&self, id: &JobId) -> bool {
        self.rests(id) || self.folders.get(id).is_some_and(Folder::is_told)
    }

    /// As if the file had the signature that is known.
    pub(super) fn pretend_to_know(&mut self, id: &JobId, file: JobFile) {
        if let Some(folder) = self.folders.get_mut(id) {
            folder.pretend_to_know(file);
        }
    }
}
