//! The index of all jobs: one row per job, for lists and for streams of all jobs.
//!
//! Input: the row of a job, each time anything in it changes. Output: a snapshot of the newest
//! jobs, followed by a `job` or `end` message for each row that changes.
//!
//! Invariants: each change of a row gets the next version; a job remembers the version of its
//! newest row and of its final state, and a reader is a cursor; a change within a job that leaves
//! its row unchanged wakes nobody and locks only that job; after a job is removed, every reader
//! that may know it gets a fresh snapshot.
//!
//! Lock order: the data of a job, the index, an entry. The lock of an entry is a leaf, held only to
//! copy a row.

mod entry;

pub(super) use entry::{JobEntry, JobRow};

use super::{
    estimates::EstimateErrors,
    follow::ChangeSource,
    ledger::{Ledger, MAX_SUPERSEDED},
    messages::{EventId, Message, MessageBatch, Payload, Then, end_message, listed_job_message},
    pieces::{Kept, PIECE, PieceReader},
    sorted_jobs::{Counts, SortedJobs},
    versions::Versions,
};
use crate::model::{
    JobId,
    job_row::{JobsSnapshot, ListedJob},
    progress::JobFacts,
};
use entry::{ByStart, Published};
use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// How many jobs a snapshot contains.
const NEWEST: usize = 100;
/// The shortest time between two reads of one reader. A job of ten thousand repositories changes
/// its row with each of them; a person can follow two messages a second.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// The rows of all jobs.
#[derive(Debug)]
pub(super) struct JobIndex {
    epoch: u64,
    /// Version numbers of jobs. The index counts its own versions.
    versions: Versions,
    ledger: Ledger,
    estimate_errors: EstimateErrors,
    state: Mutex<State>,
    /// The newest version.
    version: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    version: u64,
    /// The version of each message; a job has one entry for its row, and one for its final state.
    order: BTreeMap<u64, Arc<JobEntry>>,
    listing: SortedJobs<ByStart>,
    /// The version of the newest removal: a reader with an older cursor may know a removed job.
    removed: u64,
    snapshot: Option<Snapshot>,
}

/// A snapshot, shared by readers that join at about the same time.
#[derive(Debug)]
struct Snapshot {
    version: u64,
    kept: Kept,
    made: Instant,
}

impl JobIndex {
    pub(super) fn new(epoch: u64) -> Self {
        let state = State {
            version: 1,
            order: BTreeMap::new(),
            listing: SortedJobs::new(),
            removed: 0,
            snapshot: None,
        };
        Self {
            epoch,
            versions: Versions::default(),
            ledger: Ledger::new(MAX_SUPERSEDED),
            estimate_errors: EstimateErrors::new(),
            state: Mutex::new(state),
            version: watch::Sender::new(1),
        }
    }

    pub(super) fn versions(&self) -> &Versions {
        &self.versions
    }

    /// The accounting of the memory that readers of jobs, and of the index, keep alive.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How wrong the estimates of finished jobs were.
    pub(super) fn estimate_errors(&self) -> &EstimateErrors {
        &self.estimate_errors
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Stores the newest row of a job, and publishes it if its text changed. A job that is not in
    /// the index yet is published by [`add`](Self::add).
    pub(super) fn publish(&self, entry: &Arc<JobEntry>, row: JobRow) {
        {
            let mut published = entry.published();
            if published.version == 0 || published.shows_same(&row) {
                // Only progress within the job changed: it appears in the next snapshot.
                published.row = row;
                return;
            }
        }
        self.change(|state| state.take(entry, row));
    }

    /// Adds a job, after its folder has been read once.
    pub(super) fn add(&self, entry: &Arc<JobEntry>) {
        if entry.published().version == 0 {
            self.change(|state| state.add(entry));
        }
    }

    /// Removes a job.
    pub(super) fn remove(&self, entry: &Arc<JobEntry>) {
        if entry.published().version != 0 {
            self.change(|state| state.remove(entry));
        }
    }

    /// Calls `read` with the facts and the error of the jobs at these positions, newest first, in
    /// one coarse state or in all. Also returns how many jobs there are in total.
    pub(super) fn page<T>(
        &self,
        state: Option<&str>,
        places: Range<usize>,
        read: impl Fn(&JobFacts, Option<&str>) -> T,
    ) -> (Vec<T>, usize) {
        let job_index = self.lock();
        let jobs = job_index.listing.page(state, places).into_iter();
        let show = |job: &ByStart| job.entry.with_row(|row| read(&row.facts, row.error.as_deref()));
        (jobs.map(show).collect(), job_index.listing.len(state))
    }

    /// As [`page`](Self::page), of these jobs only. Does not lock the index.
    pub(super) fn page_among<T>(
        entries: &[Arc<JobEntry>],
        state: Option<&str>,
        places: Range<usize>,
        read: impl Fn(&JobFacts, Option<&str>) -> T,
    ) -> (Vec<T>, usize) {
        let key = |entry: &Arc<JobEntry>| {
            let Published { row, version, .. } = &*entry.published();
            let is_listed =
                *version != 0 && state.is_none_or(|state| state == row.facts.state.coarse());
            is_listed.then(|| ByStart::of(entry, &row.facts))
        };
        let mut jobs: Vec<ByStart> = entries.iter().filter_map(key).collect();
        jobs.sort_unstable_by(|a, b| b.cmp(a));
        let page = jobs.iter().skip(places.start).take(places.len());
        let show = |job: &ByStart| job.entry.with_row(|row| read(&row.facts, row.error.as_deref()));
        (page.map(show).collect(), jobs.len())
    }

    /// The jobs whose row or final state changed after a version, the oldest change first, and whether a job was removed
    /// since; with the newest version that this includes.
    pub(super) fn changed_after(&self, version: u64) -> (Vec<JobId>, bool, u64) {
        let state = self.lock();
        let mut seen = HashSet::new();
        let changed = state.order.range(version.saturating_add(1)..);
        let changed = changed.map(|(_, entry)| entry.id());
        let jobs = changed.filter(|id| seen.insert((*id).clone())).cloned().collect();
        (jobs, state.removed > version, state.version)
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().listing.counts().clone()
    }

    fn change(&self, apply: impl FnOnce(&mut State)) {
        let version = {
            let mut state = self.lock();
            apply(&mut state);
            state.version
        };
        self.version.send_replace(version);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // After a panic under the lock a row may be outdated; it is published again when the job is
        // read again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, entry: &Arc<JobEntry>) {
        let mut published = entry.published();
        self.listing.insert(ByStart::of(entry, &published.row.facts), &published.row.facts);
        published.version = self.next(entry);
        published.end = if published.row.ended { self.next(entry) } else { 0 };
    }

    /// Replaces a row whose text changed.
    fn take(&mut self, entry: &Arc<JobEntry>, row: JobRow) {
        let mut published = entry.published();
        self.listing.remove(&ByStart::of(entry, &published.row.facts), &published.row.facts);
        self.listing.insert(ByStart::of(entry, &row.facts), &row.facts);
        // A job that continues after its final state gets a new message too: the final state is
        // withdrawn.
        if !(row.ended && published.row.facts.has_same_row_as(&row.facts)) {
            self.order.remove(&published.version);
            published.version = self.next(entry);
        }
        self.order.remove(&published.end);
        // The final state is always the last message, even if the row changes after it.
        published.end = if row.ended { self.next(entry) } else { 0 };
        published.row = row;
    }

    fn remove(&mut self, entry: &Arc<JobEntry>) {
        let mut published = entry.published();
        self.order.remove(&published.version);
        self.order.remove(&published.end);
        self.listing.remove(&ByStart::of(entry, &published.row.facts), &published.row.facts);
        (published.version, published.end) = (0, 0);
        self.version += 1;
        self.removed = self.version;
    }

    /// Gives the newest message of a job the next version.
    fn next(&mut self, entry: &Arc<JobEntry>) -> u64 {
        self.version += 1;
        self.order.insert(self.version, Arc::clone(entry));
        self.version
    }

    fn snapshot(&mut self, ledger: &Ledger) -> PieceReader {
        if let Some(known) = &self.snapshot
            && known.version == self.version
            && known.made.elapsed() < MIN_INTERVAL
        {
            return known.kept.document().reader(None);
        }
        let newest = self.listing.page(None, 0..NEWEST).into_iter();
        let rows: Vec<JobRow> = newest.map(|job| job.entry.with_row(JobRow::clone)).collect();
        let snapshot = JobsSnapshot {
            jobs: rows.iter().map(|row| ListedJob::of(&row.facts, row.error.as_deref())).collect(),
            total: self.listing.len(None),
            counts: self.listing.coarse_counts(),
        };
        let kept = Kept::of_bytes(ledger, serde_json::to_vec(&snapshot).unwrap_or_default());
        let reader = kept.document().reader(None);
        let (version, made) = (self.version, Instant::now());
        self.snapshot = Some(Snapshot { version, kept, made });
        reader
    }
}

impl ChangeSource for JobIndex {
    fn min_interval(&self) -> Duration {
        MIN_INTERVAL
    }

    fn newest(&self) -> EventId {
        EventId { epoch: self.epoch, version: self.lock().version }
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn is_over(&self) -> bool {
        false
    }

    fn first(&self) -> u64 {
        0
    }

    fn snapshot(&self) -> MessageBatch {
        let (version, reader) = {
            let mut state = self.lock();
            (state.version, state.snapshot(&self.ledger))
        };
        self.ledger.enforce_limit();
        let id = EventId { epoch: self.epoch, version };
        let message = Message::new("snapshot", id, Payload::Large(reader));
        MessageBatch { messages: vec![message], version, then: Then::Changes }
    }

    fn messages_after(&self, cursor: u64) -> MessageBatch {
        let state = self.lock();
        if cursor < state.removed {
            drop(state);
            return self.snapshot();
        }
        let now = Instant::now();
        let mut messages = Vec::new();
        let mut room = PIECE;
        let mut version = cursor;
        for (at, entry) in state.order.range(cursor.saturating_add(1)..) {
            if room == 0 {
                return MessageBatch { messages, version, then: Then::More };
            }
            let id = EventId { epoch: self.epoch, version: *at };
            let Published { row, end, .. } = &*entry.published();
            let message = if at == end {
                Message::small("end", id, end_message(&row.facts, None))
            } else {
                let seconds = row.elapsed.seconds(now);
                Message::small("job", id, listed_job_message(&row.facts, seconds))
            };
            room = room.saturating_sub(message.weight());
            messages.push(message);
            version = *at;
        }
        MessageBatch { messages, version: state.version, then: Then::Changes }
    }
}

#[cfg(test)]
mod tests;
