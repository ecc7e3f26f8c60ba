//! Where all jobs stand, a line each, for those who follow all of them.
//!
//! What flows in: the line of a job, each time that anything of it changed. What flows out: a
//! snapshot of the newest jobs, and after that `job` and `end` of those whose line is another.
//!
//! What must stay true: as with one job, a change gets the next version, each job remembers that
//! of its newest line and of its end, and a reader is a cursor; what happens within a job and
//! leaves its line as it is wakes nobody; a removed job is told by a fresh snapshot to everyone
//! who may know it.

use super::{
    elapsed::Elapsed,
    follow::Source,
    frames::{Content, EventId, Frames, Message, Then, end_message, job_message},
    ledger::{Kept, Ledger, MOST_SUPERSEDED},
    pieces::{PIECE, Reader},
    versions::Versions,
};
use crate::model::{
    JobId,
    job_row::{JobCounts, JobsSnapshot, ListedJob},
    progress::JobFacts,
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// How many jobs a snapshot has.
const NEWEST: usize = 100;
/// A reader looks no more often than this, so that a job of ten thousand repositories, whose line
/// changes with each of them, is told in as many messages as a person can follow.
const PACE: Duration = Duration::from_millis(500);

/// One job's line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) facts: JobFacts,
    pub(super) elapsed: Elapsed,
    /// Why it failed.
    pub(super) error: Option<String>,
    /// The job's end has been said.
    pub(super) ended: bool,
}

/// The lines of all jobs.
#[derive(Debug)]
pub(super) struct Board {
    epoch: u64,
    /// The versions of all jobs. Those of the board are its own.
    versions: Versions,
    ledger: Ledger,
    state: Mutex<State>,
    /// The newest version.
    version: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    version: u64,
    jobs: HashMap<JobId, Told>,
    /// Which word got which version; a job has one entry for its line, and one for its end.
    order: BTreeMap<u64, (JobId, Word)>,
    by_age: BTreeSet<(Option<Timestamp>, JobId)>,
    /// The version of the newest removal: who stands before it may know a job that is gone.
    removed: u64,
    snapshot: Option<Snapshot>,
}

/// The newest line of a job, and the versions of what is to be said of it.
#[derive(Debug)]
struct Told {
    line: Line,
    version: u64,
    end: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Job,
    End,
}

/// A snapshot that is shared by those who join at about the same time.
#[derive(Debug)]
struct Snapshot {
    version: u64,
    kept: Kept,
    made: Instant,
}

impl Board {
    pub(super) fn new(epoch: u64) -> Self {
        let state = State {
            version: 1,
            jobs: HashMap::new(),
            order: BTreeMap::new(),
            by_age: BTreeSet::new(),
            removed: 0,
            snapshot: None,
        };
        Self {
            epoch,
            versions: Versions::default(),
            ledger: Ledger::new(MOST_SUPERSEDED),
            state: Mutex::new(state),
            version: watch::Sender::new(1),
        }
    }

    pub(super) fn versions(&self) -> &Versions {
        &self.versions
    }

    /// The account of what readers of the jobs, and of the board, keep alive.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// A job of which nothing may have been told yet: nothing could be read of it so far.
    pub(super) fn introduce(&self, id: &JobId, line: impl FnOnce() -> Line) {
        if !self.lock().jobs.contains_key(id) {
            self.tell(line());
        }
    }

    /// Takes in what a job's line is now.
    pub(super) fn tell(&self, line: Line) {
        let version = {
            let mut state = self.lock();
            if !state.take(line) {
                return;
            }
            state.version
        };
        self.version.send_replace(version);
    }

    /// A job is gone.
    pub(super) fn remove(&self, id: &JobId) {
        let version = {
            let mut state = self.lock();
            let Some(told) = state.jobs.remove(id) else { return };
            state.order.remove(&told.version);
            if let Some(end) = told.end {
                state.order.remove(&end);
            }
            state.by_age.remove(&(told.line.facts.started_at, id.clone()));
            state.version += 1;
            state.removed = state.version;
            state.version
        };
        self.version.send_replace(version);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held leaves a line that is told anew when the job is read again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes in a line; whether it is news.
    fn take(&mut self, line: Line) -> bool {
        let id = line.facts.id.clone();
        self.by_age.insert((line.facts.started_at, id.clone()));
        let Some(old) = self.jobs.remove(&id) else {
            let version = self.next(&id, Word::Job);
            let end = line.ended.then(|| self.next(&id, Word::End));
            self.jobs.insert(id, Told { line, version, end });
            return true;
        };
        if old.line.facts.started_at != line.facts.started_at {
            self.by_age.remove(&(old.line.facts.started_at, id.clone()));
        }
        let same = old.line.facts.has_line_of(&line.facts);
        if same && old.line.ended == line.ended {
            // Progress within it, for the snapshot.
            self.jobs.insert(id, Told { line, ..old });
            return false;
        }
        // A job that goes on after its end is told as well: so the end is taken back.
        let version = if same && line.ended {
            old.version
        } else {
            self.order.remove(&old.version);
            self.next(&id, Word::Job)
        };
        if let Some(end) = old.end {
            self.order.remove(&end);
        }
        // The end is the last word, also of a line that has changed after it.
        let end = line.ended.then(|| self.next(&id, Word::End));
        self.jobs.insert(id, Told { line, version, end });
        true
    }

    /// Puts a word at the end of the order.
    fn next(&mut self, id: &JobId, word: Word) -> u64 {
        self.version += 1;
        self.order.insert(self.version, (id.clone(), word));
        self.version
    }

    fn snapshot(&mut self, ledger: &Ledger) -> Reader {
        if let Some(known) = &self.snapshot
            && known.version == self.version
            && known.made.elapsed() < PACE
        {
            return known.kept.document().reader(None);
        }
        let newest = self.by_age.iter().rev().take(NEWEST);
        let rows = newest.filter_map(|(_, id)| self.jobs.get(id));
        let mut counts = JobCounts::default();
        self.jobs.values().for_each(|it| counts.add(&it.line.facts));
        let snapshot = JobsSnapshot {
            jobs: rows.map(|it| ListedJob::of(&it.line.facts, it.line.error.as_deref())).collect(),
            total: self.jobs.len(),
            counts,
        };
        let kept = ledger.keep_bytes(serde_json::to_vec(&snapshot).unwrap_or_default());
        let reader = kept.document().reader(None);
        let (version, made) = (self.version, Instant::now());
        self.snapshot = Some(Snapshot { version, kept, made });
        reader
    }
}

impl Source for Board {
    fn pace(&self) -> Duration {
        PACE
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

    fn snapshot(&self) -> Frames {
        let (version, reader) = {
            let mut state = self.lock();
            (state.version, state.snapshot(&self.ledger))
        };
        self.ledger.relieve();
        let id = EventId { epoch: self.epoch, version };
        let message = Message::new("snapshot", id, Content::Large(reader));
        Frames { messages: vec![message], version, then: Then::Changes }
    }

    fn frames_after(&self, cursor: u64) -> Frames {
        let state = self.lock();
        if cursor < state.removed {
            drop(state);
            return self.snapshot();
        }
        let now = Instant::now();
        let mut messages = Vec::new();
        let mut room = PIECE;
        let mut version = cursor;
        for (at, (id, word)) in state.order.range(cursor.saturating_add(1)..) {
            if room == 0 {
                return Frames { messages, version, then: Then::More };
            }
            let Some(Told { line, .. }) = state.jobs.get(id) else { continue };
            let id = EventId { epoch: self.epoch, version: *at };
            let seconds = line.elapsed.seconds(now);
            let message = match word {
                Word::Job => Message::small("job", id, job_message(&line.facts, seconds)),
                Word::End => Message::small("end", id, end_message(&line.facts)),
            };
            room = room.saturating_sub(message.weight());
            messages.push(message);
            version = *at;
        }
        Frames { messages, version: state.version, then: Then::Changes }
    }
}

#[cfg(test)]
mod tests;
