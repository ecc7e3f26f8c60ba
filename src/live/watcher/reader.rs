//! The thread's work: what is watched, what is read, and when.

use super::{
    Message, WatchOptions,
    flusher::{Flusher, Unflushed},
    folder::{Ends, Folder, Next, Watch},
    hints::{Batch, translate},
    root::{Look, Root},
};
use crate::{
    live::Live,
    model::JobId,
    store::{
        layout::{JobDir, JobFile, JobsDir},
        read::{Signature, is_absence, is_missing_folder},
    },
};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};
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

    pub(super) fn run(&mut self, messages: &Receiver<Message>) {
        self.resync();
        self.ends = Ends::ToldOnceFlushed;
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

    /// Has the kernel tell of changes, where that is wanted and it does not yet.
    fn start_notify(&mut self) {
        let wanted = self.options.notify && self.notify.is_none();
        if !wanted || is_missing_folder(self.jobs.root()) {
            return;
        }
        let (root, sender) = (self.jobs.root().to_owned(), self.sender.clone());
        let started = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            for message in translate(&root, event) {
                // The receiver is gone only when the thread is.
                let _ = sender.send(message);
            }
        });
        let watched = started.and_then(|mut notify| {
            notify.watch(self.jobs.root(), RecursiveMode::NonRecursive).map(|()| notify)
        });
        match watched {
            Ok(notify) => {
                if self.deaf.take().is_some() {
                    tracing::info!("the kernel tells of changes of files again");
                }
                self.notify = Some(notify);
                self.watch_all_anew();
            }
            Err(error) => self.note_deaf(&error),
        }
    }

    /// From now on files are looked at. Said once, though it is tried again at each comparison.
    fn note_deaf(&mut self, error: &notify::Error) {
        self.notify = None;
        let limit = match &error.kind {
            ErrorKind::MaxFilesWatch => " (fs.inotify.max_user_watches)",
            _ => " (fs.inotify.max_user_instances?)",
        };
        let text = format!("files are looked at, for the kernel does not tell of changes{limit}");
        if self.deaf.replace(text).is_none() {
            tracing::warn!(%error, "no notifications of changes of files{limit}; polling");
        }
    }

    /// Watches are on folders, not on names, and end with the instance: all of them are set anew.
    fn watch_all_anew(&mut self) {
        for folder in self.folders.values_mut() {
            folder.watch = Watch::Off;
            folder.listed = None;
        }
    }

    /// Whether something has to be looked at between two resyncs.
    fn polls(&self) -> bool {
        self.notify.is_none() || self.folders.values().any(|it| it.watch == Watch::Polled)
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

    fn unwatch(&mut self, dir: &JobDir, watch: Watch) {
        if watch == Watch::Notified
            && let Some(notify) = &mut self.notify
        {
            // Fails for a folder that is gone, whose watch went with it.
            let _ = notify.unwatch(dir.path());
        }
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
        // Watched first, read then. A job that is over is read without a watch.
        let mut listed = self.read_files(id);
        let rests = self.folders.get(id).is_some_and(|it| it.is_over_and_quiet(&self.options));
        if !rests {
            // Also one that is watched already: its watch is lost when it is moved away and back.
            let watch = self.watch(&dir);
            let before = self.folders.get_mut(id).map(|it| std::mem::replace(&mut it.watch, watch));
            if before != Some(watch) {
                listed = self.read_files(id);
            }
        }
        if let Some(folder) = self.folders.get_mut(id) {
            // What could not be listed is looked at again.
            folder.listed = listed.then_some(now);
            folder.job.settle(folder.is_quiet(&self.options));
        }
    }

    fn watch(&mut self, dir: &JobDir) -> Watch {
        let Some(notify) = &mut self.notify else { return Watch::Polled };
        match notify.watch(dir.path(), RecursiveMode::NonRecursive) {
            Ok(()) => Watch::Notified,
            Err(error) => {
                // Out of watches (fs.inotify.max_user_watches): those that stand go on.
                tracing::debug!(%error, folder = %dir.path().display(), "not watched; polled");
                Watch::Polled
            }
        }
    }

    fn rest_if_over(&mut self, id: &JobId) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        if folder.watch != Watch::Off && folder.is_over_and_quiet(&self.options) {
            // From here on it is looked at no more, so what is quiet now has to be told now.
            folder.job.settle(true);
            let (dir, watch) = (folder.dir.clone(), folder.watch);
            folder.watch = Watch::Off;
            self.unwatch(&dir, watch);
        }
    }

    /// Lists a job's folder, and reads the files that are not as they were. Says whether it could
    /// be listed.
    fn read_files(&mut self, id: &JobId) -> bool {
        let Some(folder) = self.folders.get_mut(id) else { return false };
        let Ok(entries) = fs::read_dir(folder.dir.path()) else { return false };
        let there: BTreeSet<JobFile> =
            entries.flatten().filter_map(|it| JobFile::parse(&it.file_name())).collect();
        let known: BTreeSet<JobFile> = folder.files.keys().copied().collect();
        for file in there.union(&known) {
            self.read_file(id, *file);
        }
        true
    }

    /// Reads one file if it changed.
    fn read_one(&mut self, id: &JobId, file: JobFile) {
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
                let unflushed =
                    Unflushed { id: id.clone(), file, dir: folder.dir.clone(), signature };
                if !self.flusher.flush(unflushed) {
                    // There is no thread for it: better told too early than never.
                    folder.note_flushed(file, signature);
                    folder.read(file, &self.live, self.ends);
                }
            }
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
