//! `scanwatch archive`: what an operator does without a server.

use super::{Place, crashes::write_finished};
use crate::support::{files, forge::program, s3::Fault};
use serde_json::Value;
use std::{path::Path, process::Output};

const ID: &str = "0198a7c4-0000-7000-8000-00000000beef";

impl Place {
    /// Runs the command with the settings of the server.
    fn run(&self, words: &[&str]) -> Output {
        let settings = self.server.file("settings.toml");
        program(env!("CARGO_BIN_EXE_scanwatch"))
            .arg("archive")
            .args(words)
            .arg("--config")
            .arg(settings)
            .env("SCANWATCH_JOBS__DIR", self.server.setup().jobs())
            .current_dir(self.server.folder())
            .output()
            .unwrap()
    }
}

#[track_caller]
fn ended(output: &Output, code: i32, words: &str) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(words), "{words}: {text}");
}

/// Every file of a folder by its path below it; JSON files by their values.
fn contents(folder: &Path) -> Vec<(String, Value)> {
    let value = |path: &Path| {
        let text = files::text(path);
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    };
    let name = |path: &Path| path.strip_prefix(folder).unwrap().display().to_string();
    files::below(folder).iter().map(|path| (name(path), value(path))).collect()
}

/// Fails if a restored job is not what it was, or if the list does not name it.
#[tokio::test]
async fn jobs_are_listed_and_restored_as_they_were() {
    let mut place = Place::start().await;
    ended(&place.run(&["ls"]), 0, "no jobs in the archive");
    let scanned = place.scan().await;
    place.archived(&scanned).await;
    write_finished(&place.server.setup().jobs(), ID, 70, 0);
    place.archived(ID).await;
    let listed = place.run(&["ls"]);
    ended(&listed, 0, ID);
    ended(&listed, 0, &scanned);
    ended(&listed, 0, "https://github.com/acme");
    let listed = place.run(&["ls", "--json"]);
    let lines = String::from_utf8(listed.stdout).unwrap();
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["job_id"], &rows[0]["repositories"]), (&ID.into(), &70.into()));
    assert_eq!(rows[1]["status"], "completed");

    // Elsewhere, while the job is still here.
    let to = place.server.file("restored");
    for id in [ID, &scanned] {
        ended(&place.run(&["restore", id, "--to", to.to_str().unwrap()]), 0, id);
        let mut before = contents(&place.server.job_folder(id));
        before.retain(|(name, _)| !name.starts_with("locks/"));
        let restored = contents(&to.join(id));
        let differs = before.iter().zip(&restored).find(|(before, after)| before != after);
        assert!(before.len() == restored.len() && differs.is_none(), "{differs:#?}");
    }
    let left: Vec<_> =
        std::fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    ended(&place.run(&["restore", ID, "--to", to.to_str().unwrap()]), 2, "it exists already");

    // Into the jobs folder of a running server, after it was removed there.
    place.server.terminate().await;
    place.server.set("jobs.retention_hours", 0);
    place.server.restart().await;
    place.removed(&scanned).await;
    place.server.terminate().await;
    place.server.set_variable("SCANWATCH_JOBS__RETENTION_HOURS", 999_999);
    place.server.restart().await;
    ended(&place.run(&["restore", &scanned]), 0, &scanned);
    let progress = place.server.finished(&scanned).await;
    assert_eq!(
        (&progress["status"], &progress["summary"]["completed"]),
        (&"completed".into(), &1.into())
    );
    let packages = format!("/scan/{scanned}/repositories/0/packages");
    let packages = place.server.get(&packages).await.expect(200).json();
    assert_eq!(packages["packages"][0]["name"], "first", "{packages:#}");
}

/// Fails if a command leaves half a job behind, or exits with another code than it documents.
#[tokio::test]
async fn what_cannot_be_restored_leaves_nothing() {
    let place = Place::start().await;
    let job = place.scan().await;
    place.archived(&job).await;
    let to = place.server.file("restored");
    let words = ["restore", &job, "--to", to.to_str().unwrap()];
    ended(&place.run(&["restore", "unknown", "--to", to.to_str().unwrap()]), 1, "does not exist");
    for (fault, part, code) in [
        (Fault::Corrupted, "/results/", 1),
        (Fault::Corrupted, "/jobs/", 1),
        (Fault::Truncated, "/jobs/", 4),
        (Fault::Status(500), "/logs/", 4),
        (Fault::Silence, "/results/", 4),
        (Fault::Status(403), "/results/", 2),
        (Fault::Status(404), "/results/", 1),
    ] {
        place.s3.fail(fault, "GET", part, usize::MAX);
        let output = place.run(&words);
        assert_eq!(output.status.code(), Some(code), "{fault:?} {part}: {output:?}");
        assert!(!to.join(&job).exists() && files::below(&to).is_empty(), "{fault:?} {part}");
        place.s3.heal();
    }
    place.s3.go_down();
    ended(&place.run(&["ls"]), 4, "cannot be reached");
    place.s3.heal();
    // A fault that passes is repaired.
    place.s3.fail(Fault::Corrupted, "GET", "/results/", 1);
    ended(&place.run(&words), 0, &job);
}
