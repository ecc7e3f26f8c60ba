//! The thread's work: what is watched, what is read, and when.

use super::{
    Message, WatchOptions,
    folder::{Folder, Watch},
    hints::{Batch, translate},
};
use crate::{
    live::Live,
    model::JobId,
    store::{
        layout::{JobDir, JobFile, JobsDir},
        read::Signature,
    },
};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::Instant,
};

pub(super) struct Reader {
    live: Arc<Live>,
    jobs: JobsDir,
    options: WatchOptions,
    notify: Option<RecommendedWatcher>,
    /// The folder that the root's watch is on: a new one of the same name is another.
    root: Option<Signature>,
    folders: HashMap<JobId, Folder>,
    problem: Option<String>,
    /// Files that made no sense, and when to read them again.
    retries: BTreeSet<(Instant, JobId, JobFile)>,
}

impl Reader {
    pub(super) fn new(live: Arc<Live>, jobs: JobsDir, options: WatchOptions) -> Self {
        Self {
            live,
            jobs,
            options,
            notify: None,
            root: None,
            folders: HashMap::new(),
            problem: None,
            retries: BTreeSet::new(),
        }
    }

    pub(super) fn run(&mut self, sender: &Sender<Message>, messages: &Receiver<Message>) {
        if self.options.notify {
            self.notify = self.start_notify(sender);
        }
        self.resync();
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
            for done in batch.waiting {
                let _ = done.send(());
            }
        }
    }

    fn start_notify(&mut self, sender: &Sender<Message>) -> Option<RecommendedWatcher> {
        let (root, sender) = (self.jobs.root().to_owned(), sender.clone());
        let started = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            for message in translate(&root, event) {
                // The receiver is gone only when the thread is.
                let _ = sender.send(message);
            }
        });
        match started {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "no notifications of file changes (fs.inotify.max_user_instances?); polling");
                None
            }
        }
    }

    /// Whether something has to be looked at between two resyncs.
    fn polls(&self) -> bool {
        self.notify.is_none() || self.folders.values().any(|it| it.watch == Watch::Polled)
    }

    fn poll(&mut self) {
        if self.notify.is_none() {
            self.list_root();
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
        self.watch_root();
        self.list_root();
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
        let problems = self.problem.iter().cloned().collect();
        self.live.note(|health| {
            health.notified = notified;
            health.polled_jobs = polled;
            health.problems = problems;
            health.unreadable_files = broken as u64;
            health.resyncs += 1;
            health.last_resync = Some(Instant::now());
        });
    }

    /// Watches the root, anew if another folder has taken its place.
    fn watch_root(&mut self) {
        let root = self.jobs.root().to_owned();
        let facts = fs::symlink_metadata(&root).ok().filter(fs::Metadata::is_dir);
        let Some(now) = facts.map(|facts| Signature::of(&facts)) else {
            self.problem = Some(format!("the jobs folder `{}` is gone", root.display()));
            self.root = None;
            return;
        };
        let same = self.root.is_some_and(|old| old.same_file(&now));
        self.root = Some(now);
        if same {
            return;
        }
        // Watches are on folders, not on names: all of them are of the old tree.
        for folder in self.folders.values_mut() {
            folder.watch = Watch::Off;
        }
        self.problem = None;
        if let Some(notify) = &mut self.notify {
            let _ = notify.unwatch(&root);
            if let Err(error) = notify.watch(&root, RecursiveMode::NonRecursive) {
                tracing::warn!(%error, "cannot watch the jobs folder; polling");
                self.notify = None;
            }
        }
    }

    fn list_root(&mut self) {
        let Ok(ids) = self.jobs.jobs() else { return };
        let there: BTreeSet<JobId> = ids.into_iter().collect();
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
        let facts = fs::symlink_metadata(dir.path()).ok().filter(fs::Metadata::is_dir);
        let Some(facts) = facts else {
            // A jobs folder that is gone as a whole may come back, with all that is in it.
            if self.jobs.root().is_dir() {
                self.forget(id);
            }
            return;
        };
        let now = Signature::of(&facts);
        if let Some(folder) = self.folders.get(id) {
            let replaced = folder.listed.is_some_and(|old| !old.same_file(&now));
            if replaced {
                self.forget(id);
            } else if folder.watch == Watch::Off && folder.listed == Some(now) {
                // Files are replaced by rename, and that changes the folder.
                return;
            }
        }
        if !self.folders.contains_key(id) {
            let job = self.live.insert(id);
            let folder = Folder {
                job,
                dir: dir.clone(),
                files: BTreeMap::new(),
                listed: None,
                watch: Watch::Off,
                changed: now.changed_at(),
            };
            self.folders.insert(id.clone(), folder);
        }
        // Watched first, read then. A job that is over is read without a watch.
        self.read_files(id);
        let rests = self.folders.get(id).is_some_and(|it| it.is_over_and_quiet(&self.options));
        if !rests && self.folders.get(id).is_some_and(|it| it.watch == Watch::Off) {
            let watch = self.watch(&dir);
            if let Some(folder) = self.folders.get_mut(id) {
                folder.watch = watch;
            }
            self.read_files(id);
        }
        if let Some(folder) = self.folders.get_mut(id) {
            folder.listed = Some(now);
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

    /// Lists a job's folder, and reads the files that are not as they were.
    fn read_files(&mut self, id: &JobId) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        let Ok(entries) = fs::read_dir(folder.dir.path()) else { return };
        let there: BTreeSet<JobFile> =
            entries.flatten().filter_map(|it| JobFile::parse(&it.file_name())).collect();
        let known: BTreeSet<JobFile> = folder.files.keys().copied().collect();
        for file in there.union(&known) {
            if let Some(again) = folder.read(*file, &self.live) {
                self.retries.insert((again, id.clone(), *file));
            }
        }
    }

    /// Reads one file if it changed.
    fn read_one(&mut self, id: &JobId, file: JobFile) {
        let Some(folder) = self.folders.get_mut(id) else {
            // A file of a folder that is not known yet: the folder comes first.
            return self.read_job(id);
        };
        if let Some(again) = folder.read(file, &self.live) {
            self.retries.insert((again, id.clone(), file));
        }
        folder.job.settle(folder.is_quiet(&self.options));
    }
}
