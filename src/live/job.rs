//! One job in the cache: what its files say, the versions of each part, and the messages and
//! bodies made of them.
//!
//! Every change gives the job its next version. Each repository, and the job's own line,
//! remembers the version of its newest state and the message made of it. So a stream needs no
//! history: it is a cursor, and what is past the cursor is what it has not sent.

use super::{
    board::{Board, Line},
    body::{Bodies, Body},
    follow::{Follower, Source},
    frames::{EventId, Frames, Message, Then, end_message, job_message},
    state::{Data, Part},
};
use crate::{
    model::{
        JobId,
        master::{Master, ScanType},
        progress::{self, JobFacts, Lists, RepositoryEvent, WarningRow},
        repository::RepositoryStatus,
        time::Timestamp,
    },
    store::layout::JobFile,
};
use chrono::Utc;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// One job, shared by everyone who reads it.
#[derive(Debug)]
pub struct LiveJob {
    id: JobId,
    epoch: u64,
    /// Where its line is told to those who follow all jobs.
    board: Arc<Board>,
    data: Mutex<Data>,
    bodies: Mutex<Bodies>,
    /// The newest version; the sender is dropped with the job.
    version: watch::Sender<u64>,
}

impl LiveJob {
    pub(super) fn new(id: JobId, board: Arc<Board>) -> Self {
        Self {
            data: Mutex::new(Data::new(id.clone())),
            id,
            epoch: board.epoch(),
            board,
            bodies: Mutex::default(),
            version: watch::Sender::new(1),
        }
    }

    /// The job's id.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// State, counts and times, without any list.
    pub fn facts(&self) -> JobFacts {
        self.lock().facts.clone()
    }

    /// Why it failed, if it did: its own error, else that of its first failed repository.
    pub fn error_message(&self) -> Option<String> {
        error_message(&self.lock())
    }

    /// What was submitted as what, by whom: from master.json.
    pub fn scan_type(&self) -> Option<ScanType> {
        self.lock().master.as_ref().and_then(|it| it.scan_type)
    }

    /// The newest state of each repository, in order of their numbers.
    pub fn repositories(&self) -> Vec<RepositoryStatus> {
        self.lock().repositories.values().map(|it| it.status.clone()).collect()
    }

    /// Shows the newest state of each repository, in order of their numbers. The job stands still
    /// meanwhile.
    pub fn with_repositories<T>(
        &self,
        look: impl FnOnce(&mut dyn Iterator<Item = &RepositoryStatus>) -> T,
    ) -> T {
        look(&mut self.lock().repositories.values().map(|it| &it.status))
    }

    /// The newest state of one repository.
    pub fn repository(&self, index: u32) -> Option<RepositoryStatus> {
        self.lock().repositories.get(&index).map(|it| it.status.clone())
    }

    /// Whether the job has ended and nothing of it moves any more.
    pub fn is_over(&self) -> bool {
        self.lock().ended
    }

    /// The newest time that the job's files name, of whatever they name one.
    pub fn newest_time(&self) -> Option<Timestamp> {
        let data = self.lock();
        let of_job = data.master.iter().flat_map(|it| [it.started_at, it.last_aggregation]);
        let of_repositories = data
            .repositories
            .values()
            .flat_map(|it| [it.status.started_at, it.status.last_update, it.status.completed_at]);
        of_job.chain(of_repositories).flatten().max()
    }

    /// The newest version.
    pub fn event_id(&self) -> EventId {
        EventId { epoch: self.epoch, version: self.lock().version }
    }

    /// Wakes at each change; fails once the job is removed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Follows the job: a reader that joins, or that comes back with `last` seen.
    pub fn follow<G>(
        self: Arc<Self>,
        last: Option<EventId>,
        shutdown: CancellationToken,
        guard: G,
    ) -> Follower<G> {
        Follower::new(self, last, shutdown, guard)
    }

    /// The progress document: one shared body per version, made when it is first asked for.
    pub fn body(&self, lists: Lists) -> Body {
        let mut bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        let data = self.lock();
        bodies.get(lists, data.version, data.repositories.len(), || {
            let statuses = data.repositories.values().map(|it| &it.status);
            let head = progress::head(&data.facts, data.master.as_ref(), &statuses, lists);
            let names: Vec<(String, &Vec<String>)> =
                data.warnings.iter().map(|(file, texts)| (file.name(), texts)).collect();
            let rows = names.iter().flat_map(|(file, texts)| {
                texts.iter().map(move |message| WarningRow { file, message })
            });
            let tail = progress::tail(
                &data.facts,
                data.master.as_ref(),
                statuses.clone(),
                rows.collect(),
                data.version,
                Utc::now(),
            );
            Body::new(
                &head,
                &tail,
                EventId { epoch: self.epoch, version: data.version },
                &data.facts,
            )
        })
    }

    /// Takes in what a repository's file says now.
    pub(super) fn apply_repository(&self, status: RepositoryStatus, warnings: Vec<String>) {
        self.change(|data| {
            let index = status.index;
            let file = JobFile::Repository(index);
            let news = data.unreadable.remove(&index)
                | data.set_warnings(file, warnings)
                | data.repositories.get(&index).is_none_or(|old| old.status != status);
            if news {
                data.insert(status);
            }
            news
        });
    }

    /// Takes in what the master file says now.
    pub(super) fn apply_master(&self, master: Master, warnings: Vec<String>) {
        self.change(|data| {
            let news = data.set_warnings(JobFile::Master, warnings)
                | (data.master.as_ref() != Some(&master));
            data.master = Some(master);
            news
        });
    }

    /// A file is there, but cannot be read: what it last said stays.
    pub(super) fn apply_problem(&self, file: JobFile, problem: String) {
        self.change(|data| {
            let news = data.set_warnings(file, vec![problem]);
            if let JobFile::Repository(index) = file
                && !data.repositories.contains_key(&index)
            {
                return data.unreadable.insert(index) | news;
            }
            news
        });
    }

    /// A file is gone.
    pub(super) fn apply_missing(&self, file: JobFile) {
        self.change(|data| {
            let mut news = data.set_warnings(file, Vec::new());
            match file {
                JobFile::Master => news |= data.master.take().is_some(),
                JobFile::Repository(index) => {
                    news |= data.unreadable.remove(&index);
                    if let Some(old) = data.repositories.remove(&index) {
                        data.uncount(&old.status);
                        data.order.remove(&old.version);
                        news = true;
                    }
                }
            }
            news
        });
    }

    /// Decides whether the end can be said: the job is final, and either nothing is left to come
    /// or nothing has come for a while (`quiet`).
    pub(super) fn settle(&self, quiet: bool) {
        {
            let mut data = self.lock();
            let summary = data.facts.summary;
            let still = summary.in_progress == 0 && summary.pending == 0;
            let ends = data.facts.state.is_final() && (still || quiet);
            if ends == data.ended {
                self.board.introduce(&self.id, || line(&data));
                return;
            }
            data.ended = ends;
            // The end has an id of its own: who has seen the last change has not seen the end.
            data.version += u64::from(ends);
            self.board.tell(line(&data));
        }
        // Wakes the readers: they look for what is past their cursor, and find the end.
        self.version.send_modify(|_| ());
    }

    /// The job's folder is gone: streams end, and whoever still holds this finds nothing new.
    pub(super) fn remove(&self) {
        self.lock().removed = true;
        self.version.send_modify(|_| ());
    }

    /// Applies a change; if it is news, the job moves to its next version and readers wake.
    fn change(&self, apply: impl FnOnce(&mut Data) -> bool) {
        let version = {
            let mut data = self.lock();
            if !apply(&mut data) {
                return;
            }
            data.refresh();
            self.board.tell(line(&data));
            data.version
        };
        self.version.send_replace(version);
    }

    fn lock(&self) -> MutexGuard<'_, Data> {
        // A panic while it was held leaves a job that is read anew at the next resync.
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for LiveJob {
    /// Each repository's news are wanted as they come.
    fn pace(&self) -> Duration {
        Duration::ZERO
    }

    fn newest(&self) -> EventId {
        self.event_id()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        Self::changes(self)
    }

    fn is_over(&self) -> bool {
        Self::is_over(self)
    }

    fn snapshot(&self, now: Timestamp) -> Frames {
        let body = self.body(Lists::Whole);
        let message = Message::new("snapshot", body.id(), body.bytes(now));
        Frames { messages: vec![message], version: body.id().version, then: Then::Changes }
    }

    /// The newest message of each part that changed since `cursor`, in the order of the changes,
    /// and the end, if that is what follows.
    fn frames_after(&self, cursor: u64, now: Timestamp) -> Frames {
        let mut data = self.lock();
        let data = &mut *data;
        let mut messages = Vec::new();
        for (version, part) in data.order.range(cursor.saturating_add(1)..) {
            let id = EventId { epoch: self.epoch, version: *version };
            match part {
                Part::Job => messages.push(Message::new("job", id, job_message(&data.facts, now))),
                Part::Repository(index) => {
                    if let Some(entry) = data.repositories.get_mut(index) {
                        let shared = entry.data.get_or_insert_with(|| {
                            let message = RepositoryEvent::of(&self.id, &entry.status);
                            serde_json::to_vec(&message).unwrap_or_default().into()
                        });
                        messages.push(Message::new("repository", id, shared.clone()));
                    }
                }
            }
        }
        if data.ended {
            let id = EventId { epoch: self.epoch, version: data.version };
            messages.push(Message::new("end", id, end_message(&data.facts)));
        }
        let over = data.ended || data.removed;
        let then = if over { Then::Nothing } else { Then::Changes };
        Frames { messages, version: data.version, then }
    }
}

/// What those who follow all jobs are told.
fn line(data: &Data) -> Line {
    Line { facts: data.facts.clone(), error: error_message(data), ended: data.ended }
}

/// Why a job failed: its own error, else that of its first failed repository.
fn error_message(data: &Data) -> Option<String> {
    if data.facts.state.coarse() != "failed" {
        return None;
    }
    let of_repository = || data.repositories.values().find_map(|it| it.status.error.clone());
    data.facts.error.clone().or_else(of_repository)
}

/// A job whose files are read by this thread alone.
pub(super) type SharedJob = Arc<LiveJob>;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job() -> LiveJob {
        LiveJob::new("job".parse().unwrap(), Arc::new(Board::new(7)))
    }

    fn repository(index: u32, status: &str) -> RepositoryStatus {
        let text = json!({ "repo_name": format!("r{index}"), "status": status }).to_string();
        RepositoryStatus::parse(index, text.as_bytes()).unwrap().0
    }

    fn master(text: &serde_json::Value) -> Master {
        Master::parse(text.to_string().as_bytes()).unwrap().0
    }

    fn events(frames: &Frames) -> Vec<String> {
        let messages = frames.messages.iter();
        messages
            .map(|message| {
                let text: serde_json::Value = serde_json::from_str(&message.to_text()).unwrap();
                let word = |it: &serde_json::Value| it.as_str().unwrap().to_owned();
                format!("{} {}", word(&text["event"]), word(&text["data"]["status"]))
            })
            .collect()
    }

    #[test]
    fn a_reader_gets_the_newest_state_of_what_changed_and_nothing_twice() {
        let job = job();
        job.apply_master(master(&json!({ "total_repositories": 3 })), Vec::new());
        let cursor = job.frames_after(0, Utc::now()).version;
        job.apply_repository(repository(0, "cloning"), Vec::new());
        job.apply_repository(repository(1, "cloning"), Vec::new());
        job.apply_repository(repository(0, "scanning"), Vec::new());
        let frames = job.frames_after(cursor, Utc::now());
        assert_eq!(
            events(&frames),
            ["repository cloning", "job in_progress", "repository scanning"]
        );
        assert!(job.frames_after(frames.version, Utc::now()).messages.is_empty());
    }

    #[test]
    fn what_is_no_news_wakes_nobody() {
        let job = job();
        job.apply_repository(repository(0, "cloning"), Vec::new());
        let before = job.event_id();
        job.apply_repository(repository(0, "cloning"), Vec::new());
        job.apply_missing(JobFile::Repository(5));
        assert_eq!(job.event_id(), before);
    }

    #[test]
    fn the_end_comes_when_the_job_is_final_and_nothing_is_left() {
        let job = job();
        job.apply_repository(repository(0, "scanning"), Vec::new());
        let cancelled = json!({ "total_repositories": 2, "status": "cancelled" });
        job.apply_master(master(&cancelled), Vec::new());
        job.settle(false);
        assert!(!job.is_over(), "a repository still works");
        job.apply_repository(repository(0, "cancelled"), Vec::new());
        job.settle(false);
        assert!(!job.is_over(), "one has no file yet");
        job.settle(true);
        assert!(job.is_over(), "but nothing has come for a while");
        let frames = job.frames_after(0, Utc::now());
        assert_eq!(frames.then, Then::Nothing);
        assert_eq!(events(&frames).last().unwrap(), "end cancelled");
    }

    #[test]
    fn an_unreadable_file_keeps_what_it_last_said() {
        let job = job();
        job.apply_repository(repository(0, "completed"), Vec::new());
        job.apply_problem(JobFile::Repository(0), "not JSON".into());
        job.apply_problem(JobFile::Repository(1), "not JSON".into());
        let summary = job.facts().summary;
        assert_eq!((summary.completed, summary.pending, summary.total_repositories), (1, 1, 2));
        job.apply_repository(repository(1, "failed"), Vec::new());
        let summary = job.facts().summary;
        assert_eq!((summary.failed, summary.pending, summary.total_repositories), (1, 0, 2));
    }

    #[test]
    fn an_event_id_reads_back() {
        let id = EventId { epoch: 0x1f, version: 12 };
        assert_eq!(EventId::parse(&id.to_string()), Some(id));
        for bad in ["", "1", "x-1", "1-x", "1-2-3"] {
            assert_eq!(EventId::parse(bad), None, "{bad}");
        }
    }
}
