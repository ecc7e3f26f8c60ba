use super::*;
use crate::{model::FailureKind, worker::sample};
use serde_json::Value;
use std::{fs, path::Path};

const SECRET: &str = "hunter22";

struct Place {
    root: tempfile::TempDir,
    task: ScanTask,
}

fn place(change: impl FnOnce(&mut ScanTask)) -> Place {
    let root = tempfile::tempdir().unwrap();
    let mut task = sample::task(root.path(), "https://h.example/a.git");
    change(&mut task);
    Place { root, task }
}

impl Place {
    fn start(&self) -> Reporter {
        Reporter::start(&self.task, Redactor::new([SECRET]))
    }

    fn status(&self) -> Value {
        read(&self.root.path().join("status.json"))
    }

    /// Waits for a status of which `is_it` holds.
    #[track_caller]
    fn eventually(&self, what: &str, is_it: impl Fn(&Value) -> bool) {
        let begin = Instant::now();
        while !is_it(&self.status()) {
            assert!(begin.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_change_of_state_is_written_at_once_and_figures_when_it_is_time() {
    let place = place(|task| task.progress_interval_ms = 3_600_000);
    let reporter = place.start();
    let first = place.status();
    assert_eq!((&first["status"], &first["revision"]), (&"starting".into(), &1.into()));
    assert_eq!(first["pid"], std::process::id());
    reporter.update(|it| it.download_bytes = Some(7));
    assert_eq!(place.status(), first);
    reporter.enter(Work::Cloning, Stage::Fetch, "Fetching");
    let second = place.status();
    assert_eq!((&second["status"], &second["revision"]), (&"cloning".into(), &2.into()));
    assert_eq!((&second["download_bytes"], &second["stage_index"]), (&7.into(), &2.into()));
}

#[test]
fn revisions_go_on_from_what_was_written_before() {
    let place = place(|_| {});
    let before = serde_json::json!({"status": "pending", "revision": 41});
    let Place { root, task } = &place;
    atomic::replace_json(root.path(), &task.status_file, &before, Durability::Eventual).unwrap();
    let _reporter = place.start();
    assert_eq!(place.status()["revision"], 42);
}

#[test]
fn moved_figures_are_written_without_another_call() {
    let place = place(|task| task.progress_interval_ms = 20);
    let reporter = place.start();
    reporter.update(|it| it.total_files = Some(8));
    reporter.update(|it| it.current_file = 3);
    place.eventually("the last figures", |it| it["percentage"] == 37.5);
}

#[test]
fn the_heart_beats_while_nothing_moves() {
    let place = place(|task| task.update_interval_secs = 1);
    let begin = Instant::now();
    let _reporter = place.start();
    place.eventually("two beats", |it| it["revision"] == 3);
    assert!(begin.elapsed() >= Duration::from_millis(1800), "{:?}", begin.elapsed());
}

#[test]
fn nothing_is_written_after_the_end() {
    let place = place(|task| {
        task.update_interval_secs = 1;
        task.progress_interval_ms = 1;
    });
    let reporter = place.start();
    let failure = Failure::new(FailureKind::Clone, format!("bad\nluck with {SECRET}"));
    reporter.note("an earlier error", "panic", Some("one\ntwo"));
    reporter.fail(&failure, "GitError", None).unwrap();
    let last = place.status();
    assert_eq!(
        last["failure"],
        serde_json::json!({"kind": "clone", "detail": "bad\\nluck with ***"})
    );
    assert_eq!(last["errors"][0]["message"], "bad\\nluck with ***");
    assert_eq!(last["errors"][0]["exception"], "GitError");
    assert_eq!(last["errors"][1]["traceback"], "one\ntwo");
    reporter.update(|it| it.current_file = 1);
    reporter.enter(Work::Scanning, Stage::Parse, "late");
    reporter.complete("later").unwrap();
    assert!(reporter.shared.lock().over);
    assert_eq!(place.status(), last);
}

#[test]
fn progress_that_cannot_be_written_waits_for_better_times() {
    let place = place(|task| {
        task.progress_interval_ms = 5;
        task.work_dir = task.work_dir.join("staging");
    });
    // No folder to make files in, yet.
    let reporter = place.start();
    reporter.enter(Work::Scanning, Stage::Parse, "Parsing");
    assert!(!place.task.status_file.exists());
    fs::create_dir(&place.task.work_dir).unwrap();
    let begin = Instant::now();
    while !place.task.status_file.exists() {
        assert!(begin.elapsed() < Duration::from_secs(20), "progress was given up");
        thread::sleep(Duration::from_millis(5));
    }
    place.eventually("the state", |it| it["status"] == "scanning");
}

#[test]
fn every_text_passes_the_redactor() {
    let place = place(|task| {
        task.repo_name = format!("name {SECRET}");
        task.git_url = format!("https://h.example/{SECRET}.git");
    });
    let reporter = place.start();
    reporter.update(|it| {
        it.message = format!("message {SECRET}");
        it.current_filename = Some(format!("file {SECRET} \u{1b}[2J"));
    });
    reporter.note(&format!("error {SECRET}"), "panic", Some(SECRET));
    reporter.enter(Work::Scanning, Stage::Parse, &format!("stage {SECRET}"));
    let text = fs::read_to_string(&place.task.status_file).unwrap();
    assert!(text.contains("***") && !text.contains(SECRET), "{text}");
    assert!(text.chars().all(|it| it == '\n' || !it.is_control()), "{text}");
}
