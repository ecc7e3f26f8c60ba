use super::*;
use crate::model::{JobState, state::Summary};
use chrono::{TimeDelta, Utc};
use serde_json::Value;
use std::{collections::HashMap, ops::Deref};

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
    Line { facts, elapsed: Elapsed::default(), error: None, ended: false }
}

/// A board with the cards of its jobs.
struct Known {
    board: Board,
    cards: HashMap<JobId, Arc<Card>>,
}

impl Known {
    fn new() -> Self {
        Self { board: Board::new(7), cards: HashMap::new() }
    }

    fn tell(&mut self, line: Line) {
        let card = self.cards.entry(line.facts.id.clone());
        let card = card.or_insert_with(|| Card::new(line.clone()));
        self.board.tell(card, line);
        self.board.introduce(card);
    }

    fn remove(&mut self, id: &str) {
        let card = self.cards.remove(&id.parse().unwrap()).unwrap();
        self.board.remove(&card);
        self.board.remove(&card);
    }
}

impl Deref for Known {
    type Target = Board;

    fn deref(&self) -> &Board {
        &self.board
    }
}

fn texts(frames: Frames) -> Vec<Value> {
    let parsed = |it: Message| serde_json::from_slice(&it.into_text().gather().unwrap()).unwrap();
    frames.messages.into_iter().map(parsed).collect()
}

/// The messages past the cursor, in short; moves the cursor.
fn news(board: &Board, cursor: &mut u64) -> Vec<String> {
    let frames = board.frames_after(*cursor);
    *cursor = frames.version;
    let short = |it: &Value| match it["event"].as_str().unwrap() {
        "snapshot" => format!("snapshot of {}", it["data"]["total"]),
        event => format!("{event} {}", it["data"]["job_id"].as_str().unwrap()),
    };
    texts(frames).iter().map(short).collect()
}

#[test]
fn each_line_that_changed_is_told_once_and_the_end_last() {
    let mut board = Known::new();
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
    let mut board = Known::new();
    let cursor = board.newest().version;
    board.tell(Line { ended: true, ..line("a", JobState::Completed, 9) });
    let frames = board.frames_after(cursor);
    let ids: Vec<String> =
        texts(frames).iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
    let seen = EventId::parse(&ids[0]).unwrap();
    assert_eq!(news(&board, &mut { seen.version }), ["end a"]);
}

#[test]
fn who_may_know_a_removed_job_gets_a_snapshot() {
    let mut board = Known::new();
    let mut cursor = board.newest().version;
    board.tell(line("a", JobState::InProgress, 0));
    board.tell(line("b", JobState::InProgress, 0));
    news(&board, &mut cursor);
    board.remove("a");
    assert_eq!(news(&board, &mut cursor), ["snapshot of 1"]);
    assert!(news(&board, &mut cursor).is_empty());
}

#[test]
fn who_is_far_behind_is_served_in_pieces() {
    let mut board = Known::new();
    let mut cursor = board.newest().version;
    for n in 0..500 {
        board.tell(line(&format!("job-{n}"), JobState::InProgress, 0));
    }
    let mut told = 0;
    loop {
        let frames = board.frames_after(cursor);
        let more = frames.then == Then::More;
        let bytes: usize = frames.messages.iter().map(Message::weight).sum();
        assert!(bytes < 2 * PIECE, "{bytes} bytes at once");
        let count = news(&board, &mut cursor).len();
        assert!(count > 0, "an empty step");
        told += count;
        if !more {
            break;
        }
    }
    assert_eq!(told, 500);
    assert!(news(&board, &mut cursor).is_empty());
}

#[test]
fn a_snapshot_has_the_newest_jobs_and_counts_all() {
    let mut board = Known::new();
    let begin = Utc::now();
    for n in 0..150_i32 {
        let mut line = line(&format!("job-{n}"), JobState::Completed, 9);
        line.facts.started_at = Some(begin + TimeDelta::seconds(n.into()));
        board.tell(line);
    }
    let mut again = line("job-0", JobState::Failed, 9);
    again.facts.started_at = Some(begin + TimeDelta::seconds(1_000));
    board.tell(again);
    let snapshot = &texts(board.snapshot())[0]["data"];
    let rows = snapshot["jobs"].as_array().unwrap();
    assert_eq!(rows.len(), NEWEST);
    assert_eq!((&rows[0]["job_id"], &rows[0]["status"]), (&"job-0".into(), &"failed".into()));
    assert_eq!(rows[1]["job_id"], "job-149");
    assert_eq!(rows[99]["job_id"], "job-51");
    assert_eq!((&snapshot["total"], &snapshot["counts"]["completed"]), (&150.into(), &149.into()));
}

/// Breaks if a change within a job waits for those who look at all jobs, or they for it.
#[test]
fn what_leaves_a_line_as_it_is_does_not_wait_for_the_board() {
    let mut known = Known::new();
    known.tell(line("a", JobState::InProgress, 4));
    let card = Arc::clone(known.cards.values().next().unwrap());
    let mut further = line("a", JobState::InProgress, 4);
    further.facts.fraction = 0.5;
    let (sender, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let walks = known.board.lock();
        scope.spawn(|| {
            known.board.tell(&card, further);
            known.board.introduce(&card);
            sender.send(()).unwrap();
        });
        let told = told.recv_timeout(Duration::from_secs(10));
        drop(walks);
        assert_eq!(told, Ok(()));
    });
    let fraction = card.look(|line| line.facts.fraction);
    assert!((fraction - 0.5).abs() < 1e-9, "{fraction}");
}
