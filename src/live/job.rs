//! One job in the cache: what its files say, the versions of each part, and the messages and
//! bodies made of them.
//!
//! Every change gives the job its next version. Each repository, and the job's own line,
//! remembers the version of its newest state and the message made of it. So a stream needs no
//! history: it is a cursor, and what is past the cursor is what it has not sent.

use super::{
    board::{Board, Card},
    body::{Bodies, Body, Wanted},
    content::Content as FileContent,
    document,
    follow::{Ending, Follower, Source},
    frames::{Content, EventId, Frames, Message, Shared, Then, end_message, job_message},
    pieces::PIECE,
    slot::Slot,
    state::{Data, Part},
};
use crate::{
    model::{
        JobId,
        master::ScanType,
        progress::{JobFacts, Lists, RepositoryEvent},
        repository::RepositoryStatus,
        time::Timestamp,
    },
    store::layout::JobFile,
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant},
};
use tokio::sync::watch;

mod rest;

#[cfg(test)]
use crate::model::master::Master;

/// One job, shared by everyone who reads it.
#[derive(Debug)]
pub struct LiveJob {
    /// Its line, which it shares with the board.
    card: Arc<Card>,
    /// Where its line is told to those who follow all jobs.
    board: Arc<Board>,
    data: Mutex<Slot>,
    bodies: Mutex<Option<Box<Bodies>>>,
    /// It has been packed, and nobody has looked it up since.
    at_rest: AtomicBool,
}

impl LiveJob {
    pub(super) fn new(id: JobId, board: Arc<Board>) -> Self {
        let data = Data::new(id, board.versions().clone());
        Self::of(data, board)
    }

    /// A job whose files have all been read before anybody knows it. It is published when it is settled.
    pub(super) fn of_files(
        id: JobId,
        board: Arc<Board>,
        files: impl IntoIterator<Item = FileContent>,
    ) -> Self {
        let mut data = Data::new(id, board.versions().clone());
        for content in files {
            data.take_in(content);
        }
        data.refresh();
        Self::of(data, board)
    }

    fn of(data: Data, board: Arc<Board>) -> Self {
        Self {
            card: Card::new(data.line()),
            board,
            bodies: Mutex::default(),
            data: Mutex::new(Slot::new(data)),
            at_rest: AtomicBool::new(false),
        }
    }

    /// The job's id.
    pub fn id(&self) -> &JobId {
        self.card.id()
    }

    /// State, counts and times, without any list.
    pub fn facts(&self) -> JobFacts {
        self.card.look(|line| line.facts.clone())
    }

    /// Why it failed, if it did: its own error, else that of its first failed repository.
    pub fn error_message(&self) -> Option<Arc<str>> {
        self.card.look(|line| line.error.clone())
    }

    /// What was submitted as what, by whom: from master.json.
    pub fn scan_type(&self) -> Option<ScanType> {
        self.with(|data| data.master.as_ref().and_then(|it| it.scan_type))
    }

    /// The newest state of each repository, in order of their numbers.
    pub fn repositories(&self) -> Vec<RepositoryStatus> {
        self.with_repositories(|all| all.cloned().collect())
    }

    /// Shows the newest state of each repository, in order of their numbers. The job stands still
    /// meanwhile.
    pub fn with_repositories<T>(
        &self,
        look: impl FnOnce(&mut dyn Iterator<Item = &RepositoryStatus>) -> T,
    ) -> T {
        self.with(|data| look(&mut data.repositories.values().map(|it| &it.status)))
    }

    /// The newest state of one repository.
    pub fn repository(&self, index: u32) -> Option<RepositoryStatus> {
        self.with(|data| data.repositories.get(&index).map(|it| it.status.clone()))
    }

    /// Whether the job has ended and nothing of it moves any more.
    pub fn is_over(&self) -> bool {
        self.card.look(|line| line.ended)
    }

    /// Whether the job's folder is gone.
    pub fn is_removed(&self) -> bool {
        self.lock().removed
    }

    /// The newest time that the job's files name, of whatever they name one.
    pub fn newest_time(&self) -> Option<Timestamp> {
        self.with(|data| {
            let of_job = data.master.iter().flat_map(|it| [it.started_at, it.last_aggregation]);
            let of_repositories = data.repositories.values().map(|it| &it.status);
            let of_repositories =
                of_repositories.flat_map(|it| [it.started_at, it.last_update, it.completed_at]);
            of_job.chain(of_repositories).flatten().max()
        })
    }

    /// The newest version.
    pub fn event_id(&self) -> EventId {
        EventId { epoch: self.board.epoch(), version: self.with(|data| data.version) }
    }

    /// Wakes at each change; fails once the job is removed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.with(|data| {
            let changes = || watch::Sender::new(data.version);
            data.changes.get_or_insert_with(changes).subscribe()
        })
    }

    /// Follows the job until `end`: a reader that joins, or that comes back with `last` seen.
    pub fn follow<G>(
        self: Arc<Self>,
        last: Option<EventId>,
        end: impl Future<Output = Ending> + Send + 'static,
        guard: G,
    ) -> Follower<G> {
        Follower::new(self, last, end, guard)
    }

    /// The progress document: one shared body per version, made when it is first asked for.
    pub fn body(&self, lists: Lists) -> Body {
        self.body_for(Wanted::Answer, lists)
    }

    fn body_for(&self, wanted: Wanted, lists: Lists) -> Body {
        let ledger = self.board.ledger();
        let (body, superseded) = {
            let mut bodies = self.bodies();
            let mut slot = self.lock();
            let data = slot.open(&self.card, self.board.versions());
            let most_age = wanted.most_age(data.repositories.len(), data.ended);
            let (version, elapsed) = (data.version, data.elapsed);
            bodies.get_or_insert_default().get(lists, version, most_age, || {
                let seconds = elapsed.seconds(Instant::now());
                let made = document::pieces(data, ledger, lists, seconds);
                let id = EventId { epoch: self.board.epoch(), version };
                Body::new(made, lists, id, elapsed, ledger)
            })
        };
        if superseded {
            ledger.relieve();
        }
        body
    }

    /// Takes in what a file says now.
    pub(super) fn apply(&self, content: FileContent) {
        self.change(|data| data.take_in(content));
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
                JobFile::Master => {
                    news |= data.master.take().is_some();
                    data.blocks.note_pending();
                }
                JobFile::Repository(index) => {
                    news |= data.unreadable.remove(&index) | data.remove(index);
                }
            }
            news
        });
    }

    /// Decides whether the end can be said: the job is final, and either nothing is left to come
    /// or nothing has come for a while (`quiet`).
    pub(super) fn settle(&self, quiet: bool) {
        self.decide_end(quiet);
        self.board.introduce(&self.card);
        if quiet {
            self.rest_quietly();
        }
    }

    /// As [`settle`](Self::settle) of a finished and quiet job that no reader knows yet, as far as that can be
    /// done before it is published: afterwards it is packed.
    pub(super) fn settle_unpublished(&self) {
        self.decide_end(true);
        self.rest_quietly();
    }

    fn rest_quietly(&self) {
        self.rest_if(|slot, has_bodies| !has_bodies && !slot.is_followed());
    }

    fn decide_end(&self, quiet: bool) {
        let (ends, ended) = self.card.look(|line| {
            let summary = line.facts.summary;
            let still = summary.in_progress == 0 && summary.pending == 0;
            (line.facts.state.is_final() && (still || quiet), line.ended)
        });
        if ends != ended {
            // Wakes the readers: they look for what is past their cursor, and find the end.
            self.publish(|data| {
                data.ended = ends;
                if ends {
                    // The end has an id of its own: who has seen the last change has not seen the
                    // end.
                    data.advance();
                }
                true
            });
        }
    }

    /// The job's folder is gone: streams end, and whoever still holds this finds nothing new.
    pub(super) fn remove(&self) {
        let changes = {
            let mut slot = self.lock();
            slot.removed = true;
            slot.changes().cloned()
        };
        if let Some(changes) = changes {
            changes.send_modify(|_| ());
        }
        let unused = self.bodies().take();
        drop(unused);
        self.board.remove(&self.card);
        self.board.ledger().relieve();
    }

    /// Applies a change; if it is news, the job moves to its next version and readers wake.
    fn change(&self, apply: impl FnOnce(&mut Data) -> bool) {
        self.publish(|data| {
            let news = apply(data);
            if news {
                data.refresh();
            }
            news
        });
    }

    /// Applies a change of the data. If anything changed, publishes it to the board and wakes readers.
    fn publish(&self, apply: impl FnOnce(&mut Data) -> bool) {
        let changes = self.with(|data| {
            if !apply(data) {
                return None;
            }
            self.board.tell(&self.card, data.line());
            data.changes.clone().zip(Some(data.version))
        });
        if let Some((changes, version)) = changes {
            changes.send_replace(version);
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Data) -> T) -> T {
        look(self.lock().open(&self.card, self.board.versions()))
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        // A panic while it was held leaves a job that is read anew at the next resync.
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bodies(&self) -> MutexGuard<'_, Option<Box<Bodies>>> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn first(&self) -> u64 {
        self.with(|data| data.born)
    }

    fn snapshot(&self) -> Frames {
        let body = self.body_for(Wanted::Snapshot, Lists::Whole);
        let message = Message::new("snapshot", body.id(), Content::Large(body.reader()));
        // What has changed since it was made; of a job that is over, the end.
        Frames { messages: vec![message], version: body.id().version, then: Then::More }
    }

    /// The newest message of each part that changed since `cursor`, in the order of the changes,
    /// and the end, if that is what follows.
    fn frames_after(&self, cursor: u64) -> Frames {
        let mut slot = self.lock();
        if slot.removed {
            return Frames { messages: Vec::new(), version: cursor, then: Then::Nothing };
        }
        let data = slot.open(&self.card, self.board.versions());
        let ledger = self.board.ledger();
        let (newest, elapsed) = (data.version, data.elapsed.seconds(Instant::now()));
        let mut messages = Vec::new();
        let (mut room, mut last) = (PIECE, cursor);
        for (version, part) in data.order.range(cursor.saturating_add(1)..) {
            if room == 0 {
                return Frames { messages, version: last, then: Then::More };
            }
            let id = EventId { epoch: self.board.epoch(), version: *version };
            let message = match part {
                Part::Job => {
                    let make = || job_message(&data.facts, elapsed);
                    Message::small("job", id, data.job_message.get(newest, elapsed, make))
                }
                Part::Repository(index) => {
                    let Some(entry) = data.repositories.get_mut(index) else { continue };
                    let shared = entry.message.get_or_insert_with(|| {
                        let message = RepositoryEvent::of(self.id(), &entry.status);
                        Shared::new(serde_json::to_vec(&message).unwrap_or_default(), ledger)
                    });
                    Message::new("repository", id, shared.content())
                }
            };
            room = room.saturating_sub(message.weight());
            messages.push(message);
            last = *version;
        }
        if data.ended {
            let id = EventId { epoch: self.board.epoch(), version: data.version };
            let end = data.end_message.get(newest, 0, || end_message(&data.facts));
            messages.push(Message::small("end", id, end));
        }
        let then = if data.ended { Then::Nothing } else { Then::Changes };
        Frames { messages, version: data.version, then }
    }
}

#[cfg(test)]
impl LiveJob {
    pub(super) fn apply_repository(&self, status: RepositoryStatus, warnings: Vec<String>) {
        self.apply(FileContent::Repository(status, warnings));
    }

    pub(super) fn apply_master(&self, master: Master, warnings: Vec<String>) {
        self.apply(FileContent::Master(master, warnings));
    }
}

/// A job whose files are read by this thread alone.
pub(super) type SharedJob = Arc<LiveJob>;

#[cfg(test)]
mod tests;
