//! Copies of finished jobs, from which a start takes what has not changed: the answers are those of a
//! start that reads every file.

use crate::support::{
    files,
    namespace::run,
    server::{Setup, TestServer},
    wait::eventually,
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

/// Longer than the resync interval of these servers, after which a finished job counts as idle.
const QUIET: Duration = Duration::from_millis(1_200);

fn setup() -> Setup {
    Setup::new().set("watch.resync_interval_secs", 1).set("log.level", "\"info\"")
}

fn status(index: u32, status: &str, found: u32) -> Value {
    json!({
        "repo_index": index, "repo_name": format!("group/part-{index}"), "status": status,
        "git_url": format!("https://git.example.com/group/part-{index}.git"),
        "started_at": "2099-01-02T03:04:05Z", "last_update": "2099-01-02T03:04:06.789Z",
        "completed_at": "2099-01-02T03:04:06.789Z", "message": format!("{found} packages"),
        "total_files": 9, "current_file": 9, "dependencies_found": found,
        "error_message": (status != "completed").then(|| format!("broken {index}")),
    })
}

fn write_job(jobs: &Path, id: &str, end: &str, states: &[&str], more: &Value) {
    let folder = jobs.join(id);
    fs::create_dir_all(&folder).unwrap();
    for (index, state) in (0..).zip(states) {
        let text = status(index, state, 10 + index).to_string();
        files::write(&folder.join(format!("repo_{index}.json")), text);
    }
    let mut master = json!({
        "job_id": id, "group_url": "https://git.example.com/group", "status": end,
        "total_repositories": states.len(), "started_at": "2099-01-02T03:04:05.678Z",
        "completed_at": "2099-01-02T03:04:09Z",
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        master[name] = value.clone();
    }
    files::write(&folder.join("master.json"), master.to_string());
}

/// Finished jobs of all kinds. Returns their ids.
fn write_jobs(jobs: &Path) -> Vec<&'static str> {
    let none = json!({});
    write_job(jobs, "completed", "completed", &["completed", "completed"], &none);
    write_job(jobs, "failed", "all_failed", &["failed", "failed"], &json!({ "error": "no disk" }));
    write_job(jobs, "mixed", "completed_with_errors", &["completed", "failed", "timeout"], &none);
    write_job(jobs, "cancelled", "cancelled", &["completed", "cancelled"], &none);
    let odd = json!({ "started_at": null, "skipped_repositories": 3, "schedule": "nightly" });
    write_job(jobs, "odd", "completed", &["completed"], &odd);
    write_job(jobs, "empty", "completed", &[], &none);
    let warned = json!({ "repo_name": 7, "status": "completed", "warnings": ["a note"] });
    files::write(&jobs.join("mixed/repo_0.json"), warned.to_string());
    vec!["completed", "failed", "mixed", "cancelled", "odd", "empty"]
}

fn copies(server: &TestServer) -> PathBuf {
    server.setup().jobs().join(".packed-jobs")
}

/// How many jobs the last start took from copies.
fn taken(server: &TestServer) -> usize {
    let log = server.setup().log();
    let line = log.lines().rfind(|line| line.contains("jobs are loaded")).unwrap_or_default();
    let number = line.split("from_copies=").nth(1).unwrap_or_default();
    number.split_whitespace().next().unwrap_or_default().parse().unwrap_or(usize::MAX)
}

/// What clients see of all jobs.
async fn answers(server: &TestServer, ids: &[&str]) -> Vec<(u16, Value)> {
    let mut paths = vec!["/jobs".to_owned()];
    for id in ids {
        paths.extend([format!("/scan/{id}"), format!("/scan/{id}/repositories")]);
    }
    let mut answers = Vec::new();
    for path in paths {
        let answer = server.get(&path).await;
        let mut value = serde_json::from_str(&answer.text).unwrap_or(Value::Null);
        // Each run of the server has versions of its own.
        if let Some(members) = value.as_object_mut() {
            members.remove("version");
        }
        answers.push((answer.status, value));
    }
    answers
}

/// Stops the server in order, changes something, and starts the next one, when the change is old
/// enough: what changed recently is read anyway.
async fn restart_after(server: &mut TestServer, change: impl FnOnce()) {
    assert_eq!(server.terminate().await, Some(0));
    change();
    tokio::time::sleep(QUIET).await;
    server.restart().await;
    server.wait_ready().await;
}

/// A server whose jobs are all idle, with its copies.
async fn with_copies() -> (TestServer, Vec<&'static str>, Vec<u8>) {
    let setup = setup();
    let ids = write_jobs(&setup.jobs());
    tokio::time::sleep(QUIET).await;
    let server = setup.start().await;
    eventually("the copies are written", async || copies(&server).exists()).await;
    let bytes = fs::read(copies(&server)).unwrap();
    (server, ids, bytes)
}

/// Breaks if a start with copies answers differently from one without, if it does not use them, or
/// uses damaged ones.
#[tokio::test]
async fn copies_of_jobs_change_no_answer_and_damaged_ones_are_ignored() {
    let (mut server, ids, bytes) = with_copies().await;
    let expected = answers(&server, &ids).await;
    assert_eq!(taken(&server), 0);
    assert_eq!(fs::metadata(copies(&server)).unwrap().permissions().mode() & 0o777, 0o600);

    restart_after(&mut server, || ()).await;
    assert_eq!(taken(&server), ids.len());
    assert_eq!(answers(&server, &ids).await, expected);

    let path = copies(&server);
    restart_after(&mut server, || fs::remove_file(&path).unwrap()).await;
    assert_eq!(taken(&server), 0);
    assert_eq!(answers(&server, &ids).await, expected);

    // The format, the program, and then records: in their middle and at their end.
    let flips = [3, 30, 70, 100, bytes.len() / 2, bytes.len() - 2];
    for at in flips {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        restart_after(&mut server, || files::write(&path, &damaged)).await;
        assert!(taken(&server) < ids.len(), "byte {at} of {}", bytes.len());
        assert_eq!(answers(&server, &ids).await, expected, "byte {at}");
        if at < 64 {
            assert_eq!(taken(&server), 0, "byte {at} of the header");
        }
    }
    for length in [0, 10, bytes.len() / 2, bytes.len() - 1] {
        restart_after(&mut server, || files::write(&path, &bytes[..length])).await;
        assert!(taken(&server) < ids.len(), "{length} bytes");
        assert_eq!(answers(&server, &ids).await, expected, "{length} bytes");
    }
    restart_after(&mut server, || files::write(&path, &bytes)).await;
    assert_eq!(taken(&server), ids.len());
    assert_eq!(answers(&server, &ids).await, expected);
}

/// Replaces a word of a file by one of the same length, in place or by rename, and restores the
/// modification time.
fn change_unseen(path: &Path, old: &str, new: &str, in_place: bool) {
    assert_eq!(old.len(), new.len());
    let mut text = String::new();
    let mut file = File::open(path).unwrap();
    let (before, modified) = (file.metadata().unwrap(), file.metadata().unwrap().modified());
    file.read_to_string(&mut text).unwrap();
    assert!(text.contains(old), "{text}");
    let text = text.replace(old, new);
    if in_place {
        File::options().write(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    } else {
        files::replace(path, text);
    }
    File::options().write(true).open(path).unwrap().set_modified(modified.unwrap()).unwrap();
    let after = fs::metadata(path).unwrap();
    assert_eq!((before.size(), before.mtime_nsec()), (after.size(), after.mtime_nsec()));
}

/// Breaks if a change that happened while no server was running is not seen, even one that keeps size
/// and modification time.
#[tokio::test]
async fn what_changed_while_no_server_was_running_is_read() {
    let (mut server, mut ids, _) = with_copies().await;
    let jobs = server.setup().jobs();
    ids.push("new");
    restart_after(&mut server, || {
        let path = jobs.join("completed/repo_1.json");
        change_unseen(&path, "11 packages", "77 packages", true);
        change_unseen(&jobs.join("failed/repo_1.json"), "broken 1", "absent 1", false);
        fs::remove_file(jobs.join("mixed/repo_1.json")).unwrap();
        files::write(&jobs.join("odd/repo_1.json"), status(1, "failed", 5).to_string());
        run("rm", &["-r", &jobs.join("cancelled").display().to_string()]);
        write_job(&jobs, "new", "completed", &["completed"], &json!({}));
    })
    .await;
    assert_eq!(taken(&server), 1, "only `empty` is as it was");
    let shown = answers(&server, &ids).await;
    let text = serde_json::to_string(&shown).unwrap();
    for word in ["77 packages", "absent 1", "\"new\""] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert_eq!(server.get("/scan/cancelled").await.status, 404);
    let path = copies(&server);
    restart_after(&mut server, || {
        let _ = fs::remove_file(&path);
    })
    .await;
    assert_eq!(answers(&server, &ids).await, shown, "as a start that reads everything");
}

/// Breaks if the recovery takes a job for finished because its copy says so.
#[tokio::test]
async fn a_job_that_is_no_longer_finished_is_recovered() {
    let mut server = setup().shell("say completed\n").start().await;
    let job = server.submit("done").await;
    assert_eq!(server.finished(&job).await["status"], "completed");
    eventually("its copy is written", async || {
        let bytes = fs::read(copies(&server)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).contains(&job)
    })
    .await;
    let master = server.job_folder(&job).join("master.json");
    restart_after(&mut server, || {
        let mut value = files::json(&master).unwrap();
        value["status"] = json!("in_progress");
        value["completed_at"] = Value::Null;
        files::replace(&master, value.to_string());
    })
    .await;
    assert_eq!(server.finished(&job).await["status"], "completed");
}

/// Breaks if a folder in place of the file, in which nothing can be written, stops the server or its
/// jobs.
#[tokio::test]
async fn a_server_that_cannot_write_copies_works() {
    let setup = setup();
    fs::create_dir_all(setup.jobs().join(".packed-jobs/inside")).unwrap();
    let ids = write_jobs(&setup.jobs());
    tokio::time::sleep(QUIET).await;
    let mut server = setup.start().await;
    let expected = answers(&server, &ids).await;
    let warned = |server: &TestServer| {
        server.setup().log().matches("cannot write the copies of finished jobs").count()
    };
    eventually("the failure is logged", async || warned(&server) == 1).await;
    restart_after(&mut server, || ()).await;
    assert_eq!(taken(&server), 0);
    assert_eq!(answers(&server, &ids).await, expected);
}
