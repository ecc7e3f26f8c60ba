//! Where all jobs stand, a line each, for lists and for those who follow all of them.
//!
//! What flows in: the line of a job, each time that anything of it changed. What flows out: a
//! snapshot of the newest jobs, and after that `job` and `end` of those whose line is another.
//!
//! What must stay true: as with one job, a change gets the next version, each job remembers that
//! of its newest line and of its end, and a reader is a cursor; what happens within a job and
//! leaves its line as it is wakes nobody, and takes no lock but the job's own; a removed job is
//! told by a fresh snapshot to everyone who may know it.
//!
//! Locks: a job's data, then the board, then a card. A card's lock is a leaf, held to copy a line.

use super::{
    elapsed::Elapsed,
    follow::Source,
    frames::{Content, EventId, Frames, Message, Then, end_message, job_message},
    ledger::{Kept, Ledger, MOST_SUPERSEDED},
    listing::{Counts, Listing},
    pieces::{PIECE, Reader},
    versions::Versions,
};
use crate::model::{
    JobId,
    job_row::{JobsSnapshot, ListedJob},
    progress::JobFacts,
    time::Timestamp,
};
use std::{
    cmp::Ordering,
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    pub(super) error: Option<Arc<str>>,
    /// The job's end has been said.
    pub(super) ended: bool,
}

/// A job's line and its place on the board: the job and the board share it.
#[derive(Debug)]
pub(super) struct Card {
    id: JobId,
    told: Mutex<Told>,
}

/// The newest line of a job, and the versions of what is to be said of it; 0 where nothing is.
#[derive(Debug)]
struct Told {
    line: Line,
    version: u64,
    end: u64,
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
    /// Which word got which version; a job has one entry for its line, and one for its end.
    order: BTreeMap<u64, Arc<Card>>,
    listing: Listing<Aged>,
    /// The version of the newest removal: who stands before it may know a job that is gone.
    removed: u64,
    snapshot: Option<Snapshot>,
}

/// A job among all, in the order of their starts; ids of ours part those of one instant.
#[derive(Debug, Clone)]
struct Aged {
    started_at: Option<Timestamp>,
    card: Arc<Card>,
}

/// A snapshot that is shared by those who join at about the same time.
#[derive(Debug)]
struct Snapshot {
    version: u64,
    kept: Kept,
    made: Instant,
}

impl Card {
    /// Of a job that the board does not know yet.
    pub(super) fn new(line: Line) -> Arc<Self> {
        let id = line.facts.id.clone();
        Arc::new(Self { id, told: Mutex::new(Told { line, version: 0, end: 0 }) })
    }

    pub(super) fn id(&self) -> &JobId {
        &self.id
    }

    /// Shows the newest line.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Line) -> T) -> T {
        look(&self.told().line)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    /// Whether this line would be told in the same words as the newest one.
    fn says(&self, line: &Line) -> bool {
        self.line.ended == line.ended && self.line.facts.has_line_of(&line.facts)
    }
}

impl Aged {
    fn of(card: &Arc<Card>, facts: &JobFacts) -> Self {
        Self { started_at: facts.started_at, card: Arc::clone(card) }
    }
}

impl Ord for Aged {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.started_at, &self.card.id).cmp(&(other.started_at, &other.card.id))
    }
}

impl PartialOrd for Aged {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Aged {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Aged {}

impl Board {
    pub(super) fn new(epoch: u64) -> Self {
        let state = State {
            version: 1,
            order: BTreeMap::new(),
            listing: Listing::new(),
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

    /// Takes in what a job's line is now. One that is not on the board yet is not told before it
    /// is [introduced](Self::introduce).
    pub(super) fn tell(&self, card: &Arc<Card>, line: Line) {
        {
            let mut told = card.told();
            if told.version == 0 || told.says(&line) {
                // Progress within it, for the snapshot.
                told.line = line;
                return;
            }
        }
        self.change(|state| state.take(card, line));
    }

    /// A job whose folder has been read: from now on it is on the board.
    pub(super) fn introduce(&self, card: &Arc<Card>) {
        if card.told().version == 0 {
            self.change(|state| state.introduce(card));
        }
    }

    /// A job is gone.
    pub(super) fn remove(&self, card: &Arc<Card>) {
        if card.told().version != 0 {
            self.change(|state| state.remove(card));
        }
    }

    /// Shows the jobs at these places, newest first, of one coarse state or of all: facts, and why it
    /// failed. And says how many there are.
    pub(super) fn page<T>(
        &self,
        state: Option<&str>,
        places: Range<usize>,
        look: impl Fn(&JobFacts, Option<&str>) -> T,
    ) -> (Vec<T>, usize) {
        let board = self.lock();
        let jobs = board.listing.page(state, places).into_iter();
        let show = |job: &Aged| job.card.look(|line| look(&line.facts, line.error.as_deref()));
        (jobs.map(show).collect(), board.listing.len(state))
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
        // A panic while it was held leaves a line that is told anew when the job is read again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn introduce(&mut self, card: &Arc<Card>) {
        let mut told = card.told();
        self.listing.insert(Aged::of(card, &told.line.facts), &told.line.facts);
        told.version = self.next(card);
        told.end = if told.line.ended { self.next(card) } else { 0 };
    }

    /// Takes in a line that is news.
    fn take(&mut self, card: &Arc<Card>, line: Line) {
        let mut told = card.told();
        self.listing.remove(&Aged::of(card, &told.line.facts), &told.line.facts);
        self.listing.insert(Aged::of(card, &line.facts), &line.facts);
        // A job that goes on after its end is told as well: so the end is taken back.
        if !(line.ended && told.line.facts.has_line_of(&line.facts)) {
            self.order.remove(&told.version);
            told.version = self.next(card);
        }
        self.order.remove(&told.end);
        // The end is the last word, also of a line that has changed after it.
        told.end = if line.ended { self.next(card) } else { 0 };
        told.line = line;
    }

    fn remove(&mut self, card: &Arc<Card>) {
        let mut told = card.told();
        self.order.remove(&told.version);
        self.order.remove(&told.end);
        self.listing.remove(&Aged::of(card, &told.line.facts), &told.line.facts);
        (told.version, told.end) = (0, 0);
        self.version += 1;
        self.removed = self.version;
    }

    /// Puts a word at the end of the order.
    fn next(&mut self, card: &Arc<Card>) -> u64 {
        self.version += 1;
        self.order.insert(self.version, Arc::clone(card));
        self.version
    }

    fn snapshot(&mut self, ledger: &Ledger) -> Reader {
        if let Some(known) = &self.snapshot
            && known.version == self.version
            && known.made.elapsed() < PACE
        {
            return known.kept.document().reader(None);
        }
        let newest = self.listing.page(None, 0..NEWEST).into_iter();
        let lines: Vec<Line> = newest.map(|it| it.card.look(Line::clone)).collect();
        let snapshot = JobsSnapshot {
            jobs: lines.iter().map(|it| ListedJob::of(&it.facts, it.error.as_deref())).collect(),
            total: self.listing.len(None),
            counts: self.listing.coarse_counts(),
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
        for (at, card) in state.order.range(cursor.saturating_add(1)..) {
            if room == 0 {
                return Frames { messages, version, then: Then::More };
            }
            let id = EventId { epoch: self.epoch, version: *at };
            let Told { line, end, .. } = &*card.told();
            let message = if at == end {
                Message::small("end", id, end_message(&line.facts))
            } else {
                let seconds = line.elapsed.seconds(now);
                Message::small("job", id, job_message(&line.facts, seconds))
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
