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
    follow::Source,
    frames::{EventId, Frames, Message, Then, end_message, job_message},
};
use crate::model::{
    JobId,
    job_row::{JobCounts, JobsSnapshot, ListedJob},
    progress::JobFacts,
    time::Timestamp,
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// How many jobs a snapshot has.
const NEWEST: usize = 100;
/// How many messages a reader that is far behind gets at once.
const MOST_AT_ONCE: usize = 500;
/// A reader looks no more often than this, so that a job of ten thousand repositories, whose line
/// changes with each of them, is told in as many messages as a person can follow.
const PACE: Duration = Duration::from_millis(500);

/// One job's line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) facts: JobFacts,
    /// Why it failed.
    pub(super) error: Option<String>,
    /// The job's end has been said.
    pub(super) ended: bool,
}

/// The lines of all jobs.
#[derive(Debug)]
pub(super) struct Board {
    epoch: u64,
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
    data: Bytes,
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
        Self { epoch, state: Mutex::new(state), version: watch::Sender::new(1) }
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

    fn snapshot(&mut self) -> Bytes {
        if let Some(known) = &self.snapshot
            && known.version == self.version
            && known.made.elapsed() < PACE
        {
            return known.data.clone();
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
        let data = Bytes::from(serde_json::to_vec(&snapshot).unwrap_or_default());
        let (version, made) = (self.version, Instant::now());
        self.snapshot = Some(Snapshot { version, data: data.clone(), made });
        data
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

    fn snapshot(&self, _now: Timestamp) -> Frames {
        let mut state = self.lock();
        let version = state.version;
        let id = EventId { epoch: self.epoch, version };
        let message = Message::new("snapshot", id, state.snapshot());
        Frames { messages: vec![message], version, then: Then::Changes }
    }

    fn frames_after(&self, cursor: u64, now: Timestamp) -> Frames {
        let state = self.lock();
        if cursor < state.removed {
            drop(state);
            return self.snapshot(now);
        }
        let mut words = state.order.range(cursor.saturating_add(1)..);
        let mut messages = Vec::new();
        let mut version = state.version;
        for (at, (id, word)) in words.by_ref().take(MOST_AT_ONCE) {
            let Some(Told { line, .. }) = state.jobs.get(id) else { continue };
            let id = EventId { epoch: self.epoch, version: *at };
            messages.push(match word {
                Word::Job => Message::new("job", id, job_message(&line.facts, now)),
                Word::End => Message::new("end", id, end_message(&line.facts)),
            });
            version = *at;
        }
        if words.next().is_some() {
            return Frames { messages, version, then: Then::More };
        }
        Frames { messages, version: state.version, then: Then::Changes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{JobState, state::Summary};
    use chrono::{TimeDelta, Utc};
    use serde_json::Value;

    fn line(id: &str, state: JobState, completed: u64) -> Line {
        let facts = JobFacts {
            id: id.parse().unwrap(),
            url: None,
            state,
            summary: Summary { completed, total_repositories: 9, ..Summary::default() },
            started_at: None,
            completed_at: None,
            error: None,
            fraction: 0.0,
        };
        Line { facts, error: None, ended: false }
    }

    fn texts(frames: &Frames) -> Vec<Value> {
        let parsed = |it: &Message| serde_json::from_str(&it.to_text()).unwrap();
        frames.messages.iter().map(parsed).collect()
    }

    /// The messages past the cursor, in short; moves the cursor.
    fn news(board: &Board, cursor: &mut u64) -> Vec<String> {
        let frames = board.frames_after(*cursor, Utc::now());
        *cursor = frames.version;
        let short = |it: &Value| match it["event"].as_str().unwrap() {
            "snapshot" => format!("snapshot of {}", it["data"]["total"]),
            event => format!("{event} {}", it["data"]["job_id"].as_str().unwrap()),
        };
        texts(&frames).iter().map(short).collect()
    }

    #[test]
    fn each_line_that_changed_is_told_once_and_the_end_last() {
        let board = Board::new(7);
        let mut cursor = board.newest().version;
        for completed in 0..5 {
            board.tell(line("a", JobState::InProgress, completed));
            board.tell(line("b", JobState::InProgress, 1));
        }
        assert_eq!(news(&board, &mut cursor), ["job b", "job a"]);
        board.tell(line("a", JobState::InProgress, 4));
        assert!(news(&board, &mut cursor).is_empty(), "nothing of its line is new");

        board.tell(line("a", JobState::Completed, 9));
        assert_eq!(news(&board, &mut cursor), ["job a"]);
        let over = Line { ended: true, ..line("a", JobState::Completed, 9) };
        board.tell(over.clone());
        assert_eq!(news(&board, &mut cursor), ["end a"], "the line itself was told");
        board.tell(over.clone());
        assert!(news(&board, &mut cursor).is_empty());
        board.tell(Line { ended: true, ..line("a", JobState::Completed, 8) });
        assert_eq!(news(&board, &mut cursor), ["job a", "end a"]);
        // It goes on, as after a retry; even where nothing of its line would tell.
        board.tell(line("a", JobState::Completed, 8));
        assert_eq!(news(&board, &mut cursor), ["job a"]);
        board.tell(over);
        assert_eq!(news(&board, &mut cursor), ["job a", "end a"]);
    }

    #[test]
    fn a_line_and_its_end_have_an_id_each_so_that_no_end_is_lost_between() {
        let board = Board::new(7);
        let cursor = board.newest().version;
        board.tell(Line { ended: true, ..line("a", JobState::Completed, 9) });
        let frames = board.frames_after(cursor, Utc::now());
        let ids: Vec<String> =
            texts(&frames).iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
        let seen = EventId::parse(&ids[0]).unwrap();
        assert_eq!(news(&board, &mut { seen.version }), ["end a"]);
    }

    #[test]
    fn who_may_know_a_removed_job_gets_a_snapshot() {
        let board = Board::new(7);
        let mut cursor = board.newest().version;
        board.tell(line("a", JobState::InProgress, 0));
        board.tell(line("b", JobState::InProgress, 0));
        news(&board, &mut cursor);
        board.remove(&"a".parse().unwrap());
        assert_eq!(news(&board, &mut cursor), ["snapshot of 1"]);
        assert!(news(&board, &mut cursor).is_empty());
        board.remove(&"unknown".parse().unwrap());
        assert!(news(&board, &mut cursor).is_empty());
    }

    #[test]
    fn who_is_far_behind_is_served_in_pieces() {
        let board = Board::new(7);
        let mut cursor = board.newest().version;
        for n in 0..=MOST_AT_ONCE {
            board.tell(line(&format!("job-{n}"), JobState::InProgress, 0));
        }
        assert_eq!(board.frames_after(cursor, Utc::now()).then, Then::More);
        assert_eq!(news(&board, &mut cursor).len(), MOST_AT_ONCE);
        assert_eq!(news(&board, &mut cursor).len(), 1);
        assert!(news(&board, &mut cursor).is_empty());
    }

    #[test]
    fn a_snapshot_has_the_newest_jobs_and_counts_all() {
        let board = Board::new(7);
        let begin = Utc::now();
        for n in 0..150_i32 {
            let mut line = line(&format!("job-{n}"), JobState::Completed, 9);
            line.facts.started_at = Some(begin + TimeDelta::seconds(n.into()));
            board.tell(line);
        }
        let mut again = line("job-0", JobState::Failed, 9);
        again.facts.started_at = Some(begin + TimeDelta::seconds(1_000));
        board.tell(again);
        let snapshot = &texts(&board.snapshot(Utc::now()))[0]["data"];
        let rows = snapshot["jobs"].as_array().unwrap();
        assert_eq!(rows.len(), NEWEST);
        assert_eq!((&rows[0]["job_id"], &rows[0]["status"]), (&"job-0".into(), &"failed".into()));
        assert_eq!(rows[1]["job_id"], "job-149");
        assert_eq!(rows[99]["job_id"], "job-51");
        assert_eq!(
            (&snapshot["total"], &snapshot["counts"]["completed"]),
            (&150.into(), &149.into())
        );
    }
}
