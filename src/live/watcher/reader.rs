//! The thread's work: what is watched, what is read, and when.

mod ears;

use super::{
    Message, WatchOptions,
    flusher::{Flusher, Unflushed},
    folder::{Ends, Folder, Next, Watch},
    hints::Batch,
    root::{Look, Root},
};
use crate::{
    live::Live,
    model::JobId,
    store::{
        layout::{JobFile, JobsDir},
        read::{Signature, is_absence},
    },
};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::{
    collections::{BTreeSet, HashMap},
    fs,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::Instant,
};
use tokio::sync::oneshot;

pub(super) struct Reader {
    live: Arc<Live>,
    jobs: JobsDir,
    options: WatchOptions,
    /// For notify's callback.
    sender: Sender<Message>,
    notify: Option<RecommendedWatcher>,
    /// Why the kernel does not tell of changes, although it should.
    deaf: Option<String>,
    root: Root,
    folders: HashMap<JobId, Folder>,
    /// Files that made no sense, and when to read them again.
    retries: BTreeSet<(Instant, JobId, JobFile)>,
    flusher: Flusher,
    ends: Ends,
    /// Who waits until what he wrote is told.
    waiting: Vec<(JobId, oneshot::Sender<()>)>,
}

impl Reader {
    pub(super) fn new(
        live: Arc<Live>,
        jobs: JobsDir,
        options: WatchOptions,
        sender: Sender<Message>,
    ) -> Self {
        Self {
            live,
            jobs,
            options,
            flusher: Flusher::start(&sender),
            sender,
            notify: None,
            deaf: None,
            root: Root::default(),
            folders: HashMap::new(),
            retries: BTreeSet::new(),
            ends: Ends::ToldAtOnce,
            waiting: Vec::new(),
        }
    }

    /// Takes in what is there.
    pub(super) fn begin(&mut self) {
        self.resync();
        self.ends = Ends::ToldOnceFlushed;
    }

    pub(super) fn run(&mut self, messages: &Receiver<Message>) {
        self.begin();
        self.live.set_ready();
        let mut resync_at = Instant::now() + self.options.resync_interval;
        let mut poll_at = Instant::now() + self.options.poll_interval;
        loop {
            let mut wake_at = resync_at;
            if self.polls() {
                wake_at = wake_at.min(poll_at);
            }
            if let Some((at, ..)) = self.retries.first() {
                wake_at = wake_at.min(*at);
            }
            let patience = wake_at.saturating_duration_since(Instant::now());
            let first = match messages.recv_timeout(patience) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut batch = Batch::default();
            for message in first.into_iter().chain(std::iter::from_fn(|| messages.try_recv().ok()))
            {
                if matches!(message, Message::Stop) {
                    return;
                }
                batch.add(message);
            }
            let now = Instant::now();
            while self.retries.first().is_some_and(|(at, ..)| *at <= now) {
                if let Some((_, id, file)) = self.retries.pop_first() {
                    batch.files.insert((id, file));
                }
            }
            if batch.everything {
                self.live.note(|health| health.overflows += 1);
            }
            if batch.everything || now >= resync_at {
                self.resync();
                resync_at = Instant::now() + self.options.resync_interval;
            } else if self.polls() && now >= poll_at {
                self.poll();
            }
            if now >= poll_at {
                poll_at = Instant::now() + self.options.poll_interval;
            }
            for id in batch.jobs {
                self.read_job(&id);
            }
            for (id, file) in batch.files {
                self.read_one(&id, file);
            }
            for (id, file, signature) in batch.flushed {
                self.note_flushed(&id, file, signature);
            }
            self.waiting.extend(batch.waiting);
            let folders = &self.folders;
            let told = |id: &JobId| folders.get(id).is_none_or(Folder::is_told);
            for (_, done) in self.waiting.extract_if(.., |(id, _)| told(id)) {
                let _ = done.send(());
            }
        }
    }

    fn poll(&mut self) {
        if self.notify.is_none() {
            self.look_at_root();
        }
        let polled: Vec<JobId> = self
            .folders
            .iter()
            .filter(|(_, it)| it.watch == Watch::Polled)
            .map(|(id, _)| id.clone())
            .collect();
        for id in polled {
            self.read_job(&id);
        }
    }

    /// Compares everything known with the disk.
    fn resync(&mut self) {
        self.start_notify();
        self.look_at_root();
        self.folders.values_mut().for_each(Folder::hold_nothing);
        let ids: Vec<JobId> = self.folders.keys().cloned().collect();
        for id in ids {
            self.read_job(&id);
            self.rest_if_over(&id);
        }
        let notified = self.notify.is_some();
        let polled = self.folders.values().filter(|it| it.watch == Watch::Polled).count();
        let polled = if notified { polled } else { 0 };
        let broken = self
            .folders
            .values()
            .flat_map(|it| it.files.values())
            .filter(|it| it.broken_since.is_some())
            .count();
        let problems = self.root.problem.iter().chain(&self.deaf).cloned().collect();
        self.live.note(|health| {
            health.notified = notified;
            health.polled_jobs = polled;
            health.problems = problems;
            health.unreadable_files = broken as u64;
            health.resyncs += 1;
            health.last_resync = Some(Instant::now());
        });
    }

    /// Watches the jobs folder, anew if another one has taken its place, and lists it.
    fn look_at_root(&mut self) {
        match self.root.look(&self.jobs, !self.live.is_empty()) {
            Look::Away => return,
            Look::Same => {}
            Look::Another => {
                self.watch_all_anew();
                if let Some(notify) = &mut self.notify {
                    let root = self.jobs.root();
                    let _ = notify.unwatch(root);
                    if let Err(error) = notify.watch(root, RecursiveMode::NonRecursive) {
                        self.note_deaf(&error);
                    }
                }
            }
        }
        let Some(there) = self.root.list(&self.jobs) else { return };
        for job in self.live.all().iter().filter(|it| !there.contains(it.id())) {
            self.forget(job.id());
        }
        for id in there {
            if !self.folders.contains_key(&id) {
                self.read_job(&id);
            }
        }
    }

    fn forget(&mut self, id: &JobId) {
        if let Some(folder) = self.folders.remove(id) {
            self.unwatch(&folder.dir, folder.watch);
        }
        self.live.remove(id);
    }

    /// Brings one job up to date with its folder: reads what changed since it was last read.
    fn read_job(&mut self, id: &JobId) {
        let dir = self.jobs.job(id);
        let facts = match fs::symlink_metadata(dir.path()) {
            Ok(facts) if facts.is_dir() => facts,
            // It may be there: that cannot be told now.
            Err(error) if !is_absence(&error) => return,
            _ => {
                // A jobs folder that is gone as a whole may come back, with all that is in it.
                if self.root.is_here(&self.jobs) {
                    self.forget(id);
                }
                return;
            }
        };
        let now = Signature::of(&facts);
        if let Some(folder) = self.folders.get(id) {
            let replaced = folder.listed.is_some_and(|old| !old.same_file(&now));
            if replaced {
                self.forget(id);
            } else if folder.watch == Watch::Off
                && folder.listed == Some(now)
                && !folder.has_broken_files()
            {
                // Files are replaced by rename, and that changes the folder.
                return;
            }
        }
        if !self.folders.contains_key(id) {
            let folder = Folder::new(self.live.insert(id), dir.clone(), &now);
            self.folders.insert(id.clone(), folder);
        }
        // Watched first, read then: also what is watched already, for its watch is lost when it is
        // moved away and back, with all that is written before the next one stands.
        let watched = self.folders.get(id).is_some_and(|it| it.watch != Watch::Off);
        if watched {
            self.watch(id);
        }
        let mut listed = self.read_files(id);
        // A job that is over is read without a watch.
        let rests = self.folders.get(id).is_some_and(|it| it.is_over_and_quiet(&self.options));
        if !watched && !rests {
            self.watch(id);
            listed = self.read_files(id);
        }
        if let Some(folder) = self.folders.get_mut(id) {
            // What could not be listed is looked at again.
            folder.listed = listed.then_some(now);
            folder.job.settle(folder.is_quiet(&self.options));
        }
    }

    /// Lists a job's folder, and reads the files that are not as they were. Says whether it could
    /// be listed.
    fn read_files(&mut self, id: &JobId) -> bool {
        let Some(files) = self.files(id) else { return false };
        for file in files {
            self.read_file(id, file);
        }
        true
    }

    /// The files of a job that are there, or were; none if its folder cannot be listed.
    fn files(&self, id: &JobId) -> Option<BTreeSet<JobFile>> {
        let folder = self.folders.get(id)?;
        let entries = fs::read_dir(folder.dir.path()).ok()?;
        let there = entries.flatten().filter_map(|it| JobFile::parse(&it.file_name()));
        Some(there.chain(folder.files.keys().copied()).collect())
    }

    /// Reads one file if it changed.
    pub(super) fn read_one(&mut self, id: &JobId, file: JobFile) {
        if !self.folders.contains_key(id) {
            // A file of a folder that is not known yet: the folder comes first.
            return self.read_job(id);
        }
        self.read_file(id, file);
        if let Some(folder) = self.folders.get(id) {
            folder.job.settle(folder.is_quiet(&self.options));
        }
    }

    fn read_file(&mut self, id: &JobId, file: JobFile) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        match folder.read(file, &self.live, self.ends) {
            Next::Nothing => {}
            Next::LookAgain(at) => {
                self.retries.insert((at, id.clone(), file));
            }
            Next::Flush(signature) => {
                if file == JobFile::Master {
                    // What the end follows from comes first, though nobody may have said yet that
                    // it has changed.
                    for file in self.files(id).unwrap_or_default() {
                        if file != JobFile::Master {
                            self.read_file(id, file);
                        }
                    }
                }
                self.flush(id, file, signature);
            }
        }
    }

    fn flush(&mut self, id: &JobId, file: JobFile, signature: Signature) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        let unflushed = Unflushed { id: id.clone(), file, dir: folder.dir.clone(), signature };
        if !self.flusher.flush(unflushed) {
            // There is no thread for it: better told too early than never.
            folder.note_flushed(file, signature);
            folder.read(file, &self.live, self.ends);
        }
    }

    /// An end has come to the disk: it is told now.
    fn note_flushed(&mut self, id: &JobId, file: JobFile, signature: Signature) {
        if let Some(folder) = self.folders.get_mut(id) {
            folder.note_flushed(file, signature);
            self.read_one(id, file);
        }
    }
}
