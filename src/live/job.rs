//! One job in the cache: the content of its files, the version of each part, and the messages and
//! bodies made from them.
//!
//! Input: the parsed files of the job. Output: its facts, rows, progress document and messages.
//!
//! Invariants: every change gives the job its next version; each repository, and the row of the
//! job, remembers the version of its newest state and the message made from it. A stream therefore
//! needs no history: it is a cursor, and it still has to send whatever is newer than the cursor.

use super::{
    estimates::Estimates,
    file_content::FileContent,
    follow::{ChangeSource, Ending, Follower},
    job_data::{JobData, Part},
    job_index::{JobEntry, JobIndex},
    messages::{EventId, Message, MessageBatch, Payload, Shared, Then, end_message, job_message},
    packable::PackableData,
    pieces::PIECE,
    progress_body::{Bodies, BodyUse, ProgressBody},
};
use crate::{
    model::{
        JobId,
        master::ScanType,
        progress::{self, JobFacts, Lists, RepositoryEvent},
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

mod archived;
mod final_state;
mod packing;
mod requested;
mod times;

#[cfg(test)]
use crate::model::master::Master;

/// One job, shared by everyone who reads it.
#[derive(Debug)]
pub struct LiveJob {
    /// The row of the job, shared with the index.
    entry: Arc<JobEntry>,
    /// The index that publishes the row to readers of all jobs.
    job_index: Arc<JobIndex>,
    data: Mutex<PackableData>,
    bodies: Mutex<Option<Box<Bodies>>>,
    estimates: Mutex<Estimates>,
    /// The job has been packed, and has not been looked up since.
    packed: AtomicBool,
}

impl LiveJob {
    pub(super) fn new(id: JobId, job_index: Arc<JobIndex>) -> Self {
        let data = JobData::new(id, job_index.versions().clone());
        Self::of(data, job_index)
    }

    /// A job whose files were all read before it is in the cache. [`finalize`](Self::finalize) adds
    /// it to the index.
    pub(super) fn of_files(
        id: JobId,
        job_index: Arc<JobIndex>,
        folder_time: Option<Timestamp>,
        files: impl IntoIterator<Item = FileContent>,
    ) -> Self {
        let mut data = JobData::new(id, job_index.versions().clone());
        data.facts.folder_time = folder_time.unwrap_or(data.facts.folder_time);
        for content in files {
            data.take_in(content);
        }
        data.refresh();
        Self::of(data, job_index)
    }

    fn of(data: JobData, job_index: Arc<JobIndex>) -> Self {
        Self {
            entry: JobEntry::new(data.row()),
            job_index,
            bodies: Mutex::default(),
            estimates: Mutex::default(),
            data: Mutex::new(PackableData::new(data)),
            packed: AtomicBool::new(false),
        }
    }

    /// The job's id.
    pub fn id(&self) -> &JobId {
        self.entry.id()
    }

    /// State, counts and times, without lists.
    pub fn facts(&self) -> JobFacts {
        self.entry.with_row(|row| row.facts.clone())
    }

    /// Why the job failed, if it did: its own error, else the error of its first failed repository.
    pub fn error_message(&self) -> Option<Arc<str>> {
        self.entry.with_row(|row| row.error.clone())
    }

    /// What kind of scan was submitted, from master.json.
    pub fn scan_type(&self) -> Option<ScanType> {
        self.with(|data| data.master.as_ref().and_then(|master| master.scan_type))
    }

    /// The newest state of each repository, in the order of their numbers.
    pub fn repositories(&self) -> Vec<RepositoryStatus> {
        self.with_repositories(|all| all.cloned().collect())
    }

    /// Calls `read` with the newest state of each repository, in the order of their numbers. The
    /// job is locked meanwhile.
    pub fn with_repositories<T>(
        &self,
        read: impl FnOnce(&mut dyn Iterator<Item = &RepositoryStatus>) -> T,
    ) -> T {
        self.with(|data| read(&mut data.repositories.values().map(|entry| &entry.status)))
    }

    /// The newest state of one repository.
    pub fn repository(&self, index: u32) -> Option<RepositoryStatus> {
        self.with(|data| data.repositories.get(&index).map(|entry| entry.status.clone()))
    }

    /// Whether the job is finished: its final state has been published and nothing more is
    /// expected.
    pub fn is_over(&self) -> bool {
        self.entry.with_row(|row| row.ended)
    }

    /// Whether the job is archived: its folder is gone, and its results are not.
    pub fn is_archived(&self) -> bool {
        self.entry.with_row(|row| row.facts.archived)
    }

    /// Whether the job's folder is gone.
    pub fn is_removed(&self) -> bool {
        self.lock().removed
    }

    /// The newest version.
    pub fn event_id(&self) -> EventId {
        EventId { epoch: self.job_index.epoch(), version: self.with(|data| data.version) }
    }

    /// A channel that wakes at each change, and closes once the job is removed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.with(|data| {
            let changes = || watch::Sender::new(data.version);
            data.changes.get_or_insert_with(changes).subscribe()
        })
    }

    /// Follows the job until `end` completes. `last`: the newest event that a returning reader has
    /// seen.
    pub fn follow<G>(
        self: Arc<Self>,
        last: Option<EventId>,
        end: impl Future<Output = Ending> + Send + 'static,
        guard: G,
    ) -> Follower<G> {
        Follower::new(self, last, end, guard)
    }

    /// The progress document: one shared body per version, made on the first request.
    pub fn body(&self, lists: Lists) -> ProgressBody {
        self.body_for(BodyUse::Answer, lists)
    }

    fn body_for(&self, wanted: BodyUse, lists: Lists) -> ProgressBody {
        let ledger = self.job_index.ledger();
        let (body, superseded) = {
            let mut bodies = self.bodies();
            let mut packable = self.lock();
            let data = packable.open(&self.entry, self.job_index.versions());
            let max_age = wanted.max_age(data.repositories.len(), data.ended);
            let (version, elapsed) = (data.version, data.elapsed);
            bodies.get_or_insert_default().get(lists, version, max_age, || {
                let seconds = elapsed.seconds(Instant::now());
                let made = data.document(ledger, lists, seconds);
                let id = EventId { epoch: self.job_index.epoch(), version };
                ProgressBody::new(made, lists, id, elapsed, ledger)
            })
        };
        if superseded {
            ledger.enforce_limit();
        }
        body
    }

    /// Applies the new content of a file.
    pub(super) fn apply(&self, content: FileContent) {
        self.change(|data| data.take_in(content));
    }

    /// Records that a file exists but cannot be read. Its last content is kept.
    pub(super) fn apply_problem(&self, file: JobFile, problem: String) {
        self.change(|data| {
            let changed = data.set_warnings(file, vec![problem]);
            if let JobFile::Repository(index) = file
                && !data.repositories.contains_key(&index)
            {
                return data.unreadable.insert(index) | changed;
            }
            changed
        });
    }

    /// Records that a file was removed.
    pub(super) fn apply_missing(&self, file: JobFile) {
        self.change(|data| {
            let mut changed = data.set_warnings(file, Vec::new());
            match file {
                JobFile::Master => {
                    changed |= data.master.take().is_some();
                    data.blocks.note_pending();
                }
                JobFile::Repository(index) => {
                    changed |= data.unreadable.remove(&index) | data.remove(index);
                }
            }
            changed
        });
    }

    /// The row of the job, shared with the index.
    pub(super) fn entry(&self) -> Arc<JobEntry> {
        Arc::clone(&self.entry)
    }

    /// Records the time of the job's folder, before any of its files is read.
    pub(super) fn note_folder_time(&self, time: Timestamp) {
        self.with(|data| data.facts.folder_time = time);
    }

    /// Records that the job's folder was removed: streams end, and holders of this job see no more
    /// changes.
    pub(super) fn remove(&self) {
        let changes = {
            let mut packable = self.lock();
            packable.removed = true;
            packable.changes().cloned()
        };
        if let Some(changes) = changes {
            changes.send_modify(|_| ());
        }
        let unused = self.bodies().take();
        drop(unused);
        self.job_index.remove(&self.entry);
        self.job_index.ledger().enforce_limit();
    }

    /// Applies a change of the files. If anything changed, the job gets its next version and
    /// readers wake.
    fn change(&self, apply: impl FnOnce(&mut JobData) -> bool) {
        self.publish(|data| {
            let changed = apply(data);
            if changed {
                data.refresh();
                self.note_estimate(data);
            }
            changed
        });
    }

    /// Applies a change of the data. If anything changed, publishes it to the index and wakes
    /// readers.
    fn publish(&self, apply: impl FnOnce(&mut JobData) -> bool) {
        let changes = self.with(|data| {
            if !apply(data) {
                return None;
            }
            self.job_index.publish(&self.entry, data.row());
            data.changes.clone().zip(Some(data.version))
        });
        if let Some((changes, version)) = changes {
            changes.send_replace(version);
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut JobData) -> T) -> T {
        work(self.lock().open(&self.entry, self.job_index.versions()))
    }

    fn lock(&self) -> MutexGuard<'_, PackableData> {
        // After a panic under the lock the data may be incomplete; the next resync reads the job
        // again.
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bodies(&self) -> MutexGuard<'_, Option<Box<Bodies>>> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChangeSource for LiveJob {
    /// Changes of a repository are sent without a delay.
    fn min_interval(&self) -> Duration {
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

    fn snapshot(&self) -> MessageBatch {
        let body = self.body_for(BodyUse::Snapshot, Lists::Whole);
        let mut id = body.id();
        // A client that has seen only the snapshot of a finished job still has to get its end.
        if self.with(|data| data.ended && data.version == id.version) {
            id.version -= 1;
        }
        let message = Message::new("snapshot", id, Payload::Large(body.reader()));
        // Changes since the body was made follow, and the final state of a finished job.
        MessageBatch { messages: vec![message], version: body.id().version, then: Then::More }
    }

    /// The newest message of each part that changed after `cursor`, in the order of the changes,
    /// and then the final state, if it is published.
    fn messages_after(&self, cursor: u64) -> MessageBatch {
        let mut packable = self.lock();
        if packable.removed {
            return MessageBatch { messages: Vec::new(), version: cursor, then: Then::Nothing };
        }
        let data = packable.open(&self.entry, self.job_index.versions());
        let ledger = self.job_index.ledger();
        let (newest, elapsed) = (data.version, data.elapsed.seconds(Instant::now()));
        let mut messages = Vec::new();
        let (mut room, mut last) = (PIECE, cursor);
        for (version, part) in data.order.range(cursor.saturating_add(1)..) {
            if room == 0 {
                return MessageBatch { messages, version: last, then: Then::More };
            }
            let id = EventId { epoch: self.job_index.epoch(), version: *version };
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
            let id = EventId { epoch: self.job_index.epoch(), version: data.version };
            let report = progress::report(&data.facts, data.master.as_ref());
            let end = data.end_message.get(newest, 0, || end_message(&data.facts, report));
            messages.push(Message::small("end", id, end));
        }
        let then = if data.ended { Then::Nothing } else { Then::Changes };
        MessageBatch { messages, version: data.version, then }
    }
}

#[cfg(test)]
impl LiveJob {
    pub(super) fn apply_repository(&self, status: RepositoryStatus, warnings: Vec<String>) {
        self.apply(FileContent::Repository(status, warnings));
    }

    pub(super) fn apply_master(&self, master: Master, warnings: Vec<String>) {
        self.apply(FileContent::Master(Box::new(master), warnings));
    }
}

/// A job in the cache; only the watcher's thread changes it.
pub(super) type SharedJob = Arc<LiveJob>;

#[cfg(test)]
mod tests;
