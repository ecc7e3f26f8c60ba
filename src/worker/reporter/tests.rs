use super::*;
use crate::{model::FailureKind, worker::sample};
use serde_json::Value;
use std::{fs, path::Path};

const SECRET: &str = "hunter22";

struct Fixture {
    root: tempfile::TempDir,
    task: ScanTask,
}

fn fixture(change: impl FnOnce(&mut ScanTask)) -> Fixture {
    let root = tempfile::tempdir().unwrap();
    let mut task = sample::task(root.path(), "https://h.example/a.git");
    change(&mut task);
    Fixture { root, task }
}

impl Fixture {
    fn start(&self) -> Reporter {
        Reporter::start(&self.task, Redactor::new([SECRET]))
    }

    fn status(&self) -> Value {
        read(&self.root.path().join("status.json"))
    }

    /// Waits for a status with this property.
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
fn state_changes_are_written_at_once_and_figures_at_the_next_interval() {
    let fixture = fixture(|task| task.progress_interval_ms = 3_600_000);
    let reporter = fixture.start();
    let first = fixture.status();
    assert_eq!((&first["status"], &first["revision"]), (&"starting".into(), &1.into()));
    assert_eq!(first["pid"], std::process::id());
    reporter.update(|figures| figures.download_bytes = Some(7));
    assert_eq!(fixture.status(), first);
    reporter.enter(Work::Cloning, Stage::Fetch, "Fetching");
    let second = fixture.status();
    assert_eq!((&second["status"], &second["revision"]), (&"cloning".into(), &2.into()));
    assert_eq!((&second["download_bytes"], &second["stage_index"]), (&7.into(), &2.into()));
}

#[test]
fn revisions_continue_from_the_previous_file() {
    let fixture = fixture(|_| {});
    let before = serde_json::json!({"status": "pending", "revision": 41});
    let Fixture { root, task } = &fixture;
    atomic::replace_json(root.path(), &task.status_file, &before, Durability::Eventual).unwrap();
    let _reporter = fixture.start();
    assert_eq!(fixture.status()["revision"], 42);
}

#[test]
fn changed_figures_are_written_without_another_call() {
    let fixture = fixture(|task| task.progress_interval_ms = 20);
    let reporter = fixture.start();
    reporter.update(|figures| figures.total_files = Some(8));
    reporter.update(|figures| figures.current_file = 3);
    fixture.eventually("the last figures", |status| status["percentage"] == 37.5);
}

#[test]
fn the_heartbeat_continues_while_nothing_changes() {
    let fixture = fixture(|task| task.update_interval_secs = 1);
    let begin = Instant::now();
    let _reporter = fixture.start();
    fixture.eventually("two beats", |status| status["revision"] == 3);
    assert!(begin.elapsed() >= Duration::from_millis(1800), "{:?}", begin.elapsed());
}

#[test]
fn nothing_is_written_after_the_final_state() {
    let fixture = fixture(|task| {
        task.update_interval_secs = 1;
        task.progress_interval_ms = 1;
    });
    let reporter = fixture.start();
    let failure = Failure::new(FailureKind::Clone, format!("bad\nluck with {SECRET}"));
    reporter.note("an earlier error", "panic", Some("one\ntwo"));
    reporter.fail(&failure, "GitError", None).unwrap();
    let last = fixture.status();
    assert_eq!(
        last["failure"],
        serde_json::json!({"kind": "clone", "detail": "bad\\nluck with ***"})
    );
    assert_eq!(last["errors"][0]["message"], "bad\\nluck with ***");
    assert_eq!(last["errors"][0]["exception"], "GitError");
    assert_eq!(last["errors"][1]["traceback"], "one\ntwo");
    reporter.update(|figures| figures.current_file = 1);
    reporter.enter(Work::Scanning, Stage::Parse, "late");
    reporter.complete("later").unwrap();
    assert!(reporter.shared.lock().over);
    assert_eq!(fixture.status(), last);
}

#[test]
fn progress_that_cannot_be_written_is_written_later() {
    let fixture = fixture(|task| {
        task.progress_interval_ms = 5;
        task.work_dir = task.work_dir.join("staging");
    });
    // The folder for temporary files does not exist yet.
    let reporter = fixture.start();
    reporter.enter(Work::Scanning, Stage::Parse, "Parsing");
    assert!(!fixture.task.status_file.exists());
    fs::create_dir(&fixture.task.work_dir).unwrap();
    let begin = Instant::now();
    while !fixture.task.status_file.exists() {
        assert!(begin.elapsed() < Duration::from_secs(20), "progress was given up");
        thread::sleep(Duration::from_millis(5));
    }
    fixture.eventually("the state", |status| status["status"] == "scanning");
}

#[test]
fn every_text_is_redacted() {
    let fixture = fixture(|task| {
        task.repo_name = format!("name {SECRET}");
        task.git_url = format!("https://h.example/{SECRET}.git");
    });
    let reporter = fixture.start();
    reporter.update(|figures| {
        figures.message = format!("message {SECRET}");
        figures.current_filename = Some(format!("file {SECRET} \u{1b}[2J"));
    });
    reporter.note(&format!("error {SECRET}"), "panic", Some(SECRET));
    reporter.enter(Work::Scanning, Stage::Parse, &format!("stage {SECRET}"));
    let text = fs::read_to_string(&fixture.task.status_file).unwrap();
    assert!(text.contains("***") && !text.contains(SECRET), "{text}");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
}
