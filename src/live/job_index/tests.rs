use super::*;
use crate::live::elapsed::Elapsed;
use crate::model::{JobId, JobState, state::Summary};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use std::{collections::HashMap, ops::Deref};

fn row(id: &str, state: JobState, completed: u64) -> JobRow {
    let facts = JobFacts {
        id: id.parse().unwrap(),
        url: None,
        state,
        summary: Summary { completed, total_repositories: 9, ..Summary::default() },
        skipped: 0,
        discovering: false,
        discovery_errors: 0,
        started_at: None,
        folder_time: DateTime::UNIX_EPOCH,
        completed_at: None,
        error: None,
        schedule: None,
        fraction: 0.0,
        paused: false,
        archived: false,
    };
    JobRow { facts, elapsed: Elapsed::default(), error: None, ended: false }
}

/// An index with the entries of its jobs.
struct TestIndex {
    job_index: JobIndex,
    entries: HashMap<JobId, Arc<JobEntry>>,
}

impl TestIndex {
    fn new() -> Self {
        Self { job_index: JobIndex::new(7), entries: HashMap::new() }
    }

    fn publish(&mut self, row: JobRow) {
        let entry = self.entries.entry(row.facts.id.clone());
        let entry = entry.or_insert_with(|| JobEntry::new(row.clone()));
        self.job_index.publish(entry, row);
        self.job_index.add(entry);
    }

    fn remove(&mut self, id: &str) {
        let entry = self.entries.remove(&id.parse().unwrap()).unwrap();
        self.job_index.remove(&entry);
        self.job_index.remove(&entry);
    }
}

impl Deref for TestIndex {
    type Target = JobIndex;

    fn deref(&self) -> &JobIndex {
        &self.job_index
    }
}

fn texts(batch: MessageBatch) -> Vec<Value> {
    let parsed =
        |message: Message| serde_json::from_slice(&message.into_text().gather().unwrap()).unwrap();
    batch.messages.into_iter().map(parsed).collect()
}

/// Short forms of the messages after the cursor; advances the cursor.
fn next_messages(job_index: &JobIndex, cursor: &mut u64) -> Vec<String> {
    let batch = job_index.messages_after(*cursor);
    *cursor = batch.version;
    let short = |message: &Value| match message["event"].as_str().unwrap() {
        "snapshot" => format!("snapshot of {}", message["data"]["total"]),
        event => format!("{event} {}", message["data"]["job_id"].as_str().unwrap()),
    };
    texts(batch).iter().map(short).collect()
}

/// Fails if a job whose folder was replaced, and got another time, is listed twice.
#[test]
fn a_job_whose_folder_gets_another_time_is_listed_once() {
    let mut index = TestIndex::new();
    let mut job = row("a", JobState::InProgress, 1);
    index.publish(job.clone());
    job.facts.folder_time += TimeDelta::hours(1);
    index.publish(job.clone());
    job.facts.state = JobState::Completed;
    index.publish(job);
    let (rows, total) = index.page(None, 0..9, |facts, _| facts.state);
    assert_eq!((rows, total), (vec![JobState::Completed], 1));
    index.remove("a");
    assert_eq!(index.page(None, 0..9, |_, _| ()).1, 0);
}

#[test]
fn each_changed_row_is_published_once_and_the_final_state_last() {
    let mut job_index = TestIndex::new();
    let mut cursor = job_index.newest().version;
    for completed in 0..5 {
        job_index.publish(row("a", JobState::InProgress, completed));
        job_index.publish(row("b", JobState::InProgress, 1));
    }
    assert_eq!(next_messages(&job_index, &mut cursor), ["job b", "job a"]);
    job_index.publish(row("a", JobState::InProgress, 4));
    assert!(next_messages(&job_index, &mut cursor).is_empty(), "nothing of its row is new");

    job_index.publish(row("a", JobState::Completed, 9));
    assert_eq!(next_messages(&job_index, &mut cursor), ["job a"]);
    let over = JobRow { ended: true, ..row("a", JobState::Completed, 9) };
    job_index.publish(over.clone());
    assert_eq!(next_messages(&job_index, &mut cursor), ["end a"], "the row itself was published");
    job_index.publish(over.clone());
    assert!(next_messages(&job_index, &mut cursor).is_empty());
    job_index.publish(JobRow { ended: true, ..row("a", JobState::Completed, 8) });
    assert_eq!(next_messages(&job_index, &mut cursor), ["job a", "end a"]);
    // The job continues, as after a retry, although the text of its row is the same.
    job_index.publish(row("a", JobState::Completed, 8));
    assert_eq!(next_messages(&job_index, &mut cursor), ["job a"]);
    job_index.publish(over);
    assert_eq!(next_messages(&job_index, &mut cursor), ["job a", "end a"]);
}

#[test]
fn a_row_and_its_final_state_have_different_event_ids() {
    let mut job_index = TestIndex::new();
    let cursor = job_index.newest().version;
    job_index.publish(JobRow { ended: true, ..row("a", JobState::Completed, 9) });
    let batch = job_index.messages_after(cursor);
    let ids: Vec<String> =
        texts(batch).iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect();
    let seen = EventId::parse(&ids[0]).unwrap();
    assert_eq!(next_messages(&job_index, &mut { seen.version }), ["end a"]);
}

#[test]
fn a_reader_that_may_know_a_removed_job_gets_a_snapshot() {
    let mut job_index = TestIndex::new();
    let mut cursor = job_index.newest().version;
    job_index.publish(row("a", JobState::InProgress, 0));
    job_index.publish(row("b", JobState::InProgress, 0));
    next_messages(&job_index, &mut cursor);
    job_index.remove("a");
    assert_eq!(next_messages(&job_index, &mut cursor), ["snapshot of 1"]);
    assert!(next_messages(&job_index, &mut cursor).is_empty());
}

#[test]
fn a_reader_that_is_far_behind_gets_bounded_batches() {
    let mut job_index = TestIndex::new();
    let mut cursor = job_index.newest().version;
    for n in 0..500 {
        job_index.publish(row(&format!("job-{n}"), JobState::InProgress, 0));
    }
    let mut published = 0;
    loop {
        let batch = job_index.messages_after(cursor);
        let more = batch.then == Then::More;
        let bytes: usize = batch.messages.iter().map(Message::weight).sum();
        assert!(bytes < 2 * PIECE, "{bytes} bytes at once");
        let count = next_messages(&job_index, &mut cursor).len();
        assert!(count > 0, "an empty step");
        published += count;
        if !more {
            break;
        }
    }
    assert_eq!(published, 500);
    assert!(next_messages(&job_index, &mut cursor).is_empty());
}

#[test]
fn a_snapshot_contains_the_newest_jobs_and_counts_all() {
    let mut job_index = TestIndex::new();
    let begin = Utc::now();
    for n in 0..150_i32 {
        let mut row = row(&format!("job-{n}"), JobState::Completed, 9);
        row.facts.started_at = Some(begin + TimeDelta::seconds(n.into()));
        job_index.publish(row);
    }
    let mut again = row("job-0", JobState::Failed, 9);
    again.facts.started_at = Some(begin + TimeDelta::seconds(1_000));
    job_index.publish(again);
    let snapshot = &texts(job_index.snapshot())[0]["data"];
    let rows = snapshot["jobs"].as_array().unwrap();
    assert_eq!(rows.len(), NEWEST);
    assert_eq!((&rows[0]["job_id"], &rows[0]["status"]), (&"job-0".into(), &"failed".into()));
    assert_eq!(rows[1]["job_id"], "job-149");
    assert_eq!(rows[99]["job_id"], "job-51");
    assert_eq!((&snapshot["total"], &snapshot["counts"]["completed"]), (&150.into(), &149.into()));
}

/// Fails if a change within a job waits for readers of all jobs, or those wait for the change.
#[test]
fn a_change_that_leaves_the_row_unchanged_does_not_lock_the_index() {
    let mut known = TestIndex::new();
    known.publish(row("a", JobState::InProgress, 4));
    let entry = Arc::clone(known.entries.values().next().unwrap());
    let mut further = row("a", JobState::InProgress, 4);
    further.facts.fraction = 0.5;
    let (sender, published) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let index_lock = known.job_index.lock();
        scope.spawn(|| {
            known.job_index.publish(&entry, further);
            known.job_index.add(&entry);
            sender.send(()).unwrap();
        });
        let published = published.recv_timeout(Duration::from_secs(10));
        drop(index_lock);
        assert_eq!(published, Ok(()));
    });
    let fraction = entry.with_row(|row| row.facts.fraction);
    assert!((fraction - 0.5).abs() < 1e-9, "{fraction}");
}
