//! Unusual contents of the jobs folder: foreign and hostile things in place of files, changes
//! without a notification, folders that disappear and return; and how jobs are removed.

use crate::support::{
    files,
    handmade::Handmade,
    rounds::rounds,
    server::{Setup, TestServer},
    wait::{PATIENCE, eventually, until, within},
};
use chrono::{TimeDelta, Utc};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
    time::{Duration, SystemTime},
};

/// Longer than any test waits: what is seen before that was not found by comparing.
const NEVER: u32 = 100_000;

/// The state of a repository as the server reports it; null for a job it has not read yet.
async fn state(server: &TestServer, job: &Handmade, index: u64) -> Value {
    let answer = server.get(&job.path()).await;
    if answer.status == 404 {
        return Value::Null;
    }
    let document = answer.expect(200).json();
    let rows = document["repositories"].as_array().cloned().unwrap_or_default();
    let row = rows.into_iter().find(|row| row["repo_index"] == index);
    row.map_or(Value::Null, |row| row["status"].clone())
}

async fn shows(server: &TestServer, job: &Handmade, index: u64, status: &str) {
    eventually(&format!("repository {index} is {status}"), async || {
        state(server, job, index).await == status
    })
    .await;
}

fn make_fifo(path: &Path) {
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
}

// What is in place of a file.

/// Breaks if a pipe, a link, a folder or a huge file in place of a status file blocks the reader,
/// redirects it, or affects anything but its own repository.
#[tokio::test]
async fn what_is_not_a_status_file_affects_only_itself() {
    let server = Setup::new().start().await;
    let secret = server.file("elsewhere.json");
    files::write(&secret, json!({ "repo_name": "canary", "status": "completed" }).to_string());
    let job = Handmade::new(&server, 6);
    let file = |index: u32| job.folder.join(format!("repo_{index}.json"));
    make_fifo(&file(0));
    symlink(&secret, file(1)).unwrap();
    fs::create_dir(file(2)).unwrap();
    let huge = json!({ "repo_name": "huge", "status": "failed", "filler": "x".repeat(2 << 20) });
    files::replace(&file(3), huge.to_string());
    symlink("/dev/zero", file(4)).unwrap();
    job.repository(5, "scanning", 1);

    shows(&server, &job, 5, "scanning").await;
    let document = until(PATIENCE, "each is warned of", async || {
        let document = server.progress(&job.id).await;
        let warned = |index| document["warnings"].to_string().contains(&format!("repo_{index}."));
        (0..5).all(warned).then_some(document)
    })
    .await;
    assert!(!document.to_string().contains("canary"), "{document:#}");
    assert_eq!(document["summary"]["failed"], 0, "{document:#}");
    assert_eq!(document["summary"]["in_progress"], 1, "{document:#}");
    job.repository(5, "completed", 1);
    shows(&server, &job, 5, "completed").await;

    let other = Handmade::new(&server, 1);
    fs::remove_file(other.folder.join("master.json")).unwrap();
    make_fifo(&other.folder.join("master.json"));
    other.repository(0, "completed", 1);
    shows(&server, &other, 0, "completed").await;
    server.get("/readyz").await.expect(200);
}

/// Breaks if a link in the jobs folder makes its target a job: it would be shown, scanned into,
/// removed.
#[tokio::test]
async fn a_link_in_the_jobs_folder_is_not_a_job() {
    let setup = Setup::new()
        .shell("say completed\n")
        .set("scanner.max_concurrent_processes", 1)
        .set("watch.resync_interval_secs", 1);
    let linked = setup.write_group(1);
    let (place, elsewhere) = (setup.jobs().join(&linked), setup.folder().join("elsewhere"));
    fs::rename(&place, &elsewhere).unwrap();
    symlink(&elsewhere, &place).unwrap();
    let own = setup.write_group(1);
    let server = setup.start().await;
    symlink(&elsewhere, server.setup().jobs().join("later")).unwrap();
    let job = Handmade::new(&server, 1);
    job.known(&server).await;
    for link in [linked.as_str(), "later"] {
        server.get(&format!("/scan/{link}")).await.expect(404);
        server.delete(&format!("/scan/{link}")).await.expect(404);
    }
    // The older of the two would have come first.
    assert_eq!(server.finished(&own).await["status"], "completed");
    assert!(elsewhere.join("master.json").exists());
    assert!(!elsewhere.join("repo_0.json").exists(), "it was scanned");
}

/// Breaks if half a file, from a writer that does not rename, discards what was known; or if a file
/// that stays broken is never reported.
#[tokio::test]
async fn half_a_file_keeps_the_last_valid_content() {
    let server = Setup::new().set("watch.resync_interval_secs", NEVER).start().await;
    let job = Handmade::new(&server, 1);
    job.repository(0, "scanning", 250);
    shows(&server, &job, 0, "scanning").await;
    let path = job.folder.join("repo_0.json");
    let whole = json!({ "repo_index": 0, "repo_name": "part-0", "status": "completed" });
    let whole = whole.to_string();
    // Written in place, and closed: it is read on close.
    let (half, rest) = whole.split_at(20);
    files::write(&path, half);
    let document = until(PATIENCE, "the broken file is warned of", async || {
        let document = server.progress(&job.id).await;
        let warnings = document["warnings"].to_string();
        warnings.contains("repo_0.json").then_some(document)
    })
    .await;
    let row = &document["repositories"][0];
    assert_eq!(row["status"], "scanning", "{document:#}");
    assert_eq!(row["progress"]["current_file"], 250, "{document:#}");
    OpenOptions::new().append(true).open(&path).unwrap().write_all(rest.as_bytes()).unwrap();
    shows(&server, &job, 0, "completed").await;
    assert_eq!(server.progress(&job.id).await["warnings"], json!([]));
}

// Changes without a notification.

/// Breaks if a change is never seen because its notification was lost.
#[tokio::test]
async fn a_change_without_a_notification_is_found_by_comparing() {
    let server = Setup::new().set("watch.resync_interval_secs", 1).start().await;
    let job = Handmade::new(&server, 1);
    job.repository(0, "scanning", 1);
    shows(&server, &job, 0, "scanning").await;
    // The kernel reports a file by the folder it is reached through: for a second name elsewhere,
    // the watched folder gets no event.
    let second = server.file("second-name.json");
    fs::hard_link(job.folder.join("repo_0.json"), &second).unwrap();
    let whole = json!({ "repo_index": 0, "repo_name": "part-0", "status": "failed" });
    files::write(&second, whole.to_string());
    shows(&server, &job, 0, "failed").await;
}

/// Breaks if a queue overflow is ignored: new folders, and changes in old ones, would stay unseen.
#[tokio::test]
async fn after_an_overflow_everything_is_read_again() {
    let server = Setup::new().notified().set("watch.resync_interval_secs", NEVER).start().await;
    let limit = files::text(Path::new("/proc/sys/fs/inotify/max_queued_events"));
    let limit: u32 = limit.trim().parse().unwrap();
    for _ in 0..rounds(1) {
        let job = Handmade::new(&server, 1);
        job.repository(0, "scanning", 1);
        shows(&server, &job, 0, "scanning").await;

        server.signal(server.pid(), Signal::STOP);
        let (one, other) = (job.folder.join("one"), job.folder.join("other"));
        files::write(&one, "");
        // Each rename is at least two events.
        for _ in 0..limit / 4 + 10 {
            fs::rename(&one, &other).unwrap();
            fs::rename(&other, &one).unwrap();
        }
        job.repository(0, "completed", 1);
        let unheard = Handmade::new(&server, 1);
        unheard.repository(0, "failed", 1);
        server.signal(server.pid(), Signal::CONT);

        shows(&server, &job, 0, "completed").await;
        unheard.known(&server).await;
        shows(&server, &unheard, 0, "failed").await;
        // From here on it is watched like any other.
        unheard.repository(0, "completed", 1);
        shows(&server, &unheard, 0, "completed").await;
    }
}

/// Breaks if what happens in a new folder before its watch is set is lost.
#[tokio::test]
async fn nothing_is_lost_between_creating_a_folder_and_watching_it() {
    let server = Setup::new().notified().set("watch.resync_interval_secs", NEVER).start().await;
    let jobs: Vec<_> = (0..300)
        .map(|number| {
            let job = Handmade::new(&server, 1);
            for step in 0..number % 7 {
                job.repository(0, "scanning", step);
            }
            job.repository(0, "completed", 1000);
            job
        })
        .collect();
    for job in &jobs {
        job.known(&server).await;
        within(Duration::from_secs(10), "the last state is seen", async || {
            state(&server, job, 0).await == "completed"
        })
        .await;
    }
}

/// Breaks if a client that submits a job and polls it at once gets a 404, on a machine without
/// inotify.
#[tokio::test]
async fn a_submitted_job_is_known_at_once_even_with_polling() {
    let server = Setup::new()
        .shell("say completed\n")
        .set("watch.mode", "\"poll\"")
        .set("watch.poll_interval_ms", 60_000)
        .set("watch.resync_interval_secs", NEVER)
        .start()
        .await;
    for number in 0..3 {
        let job = server.submit(&format!("polled-{number}")).await;
        server.get(&format!("/scan/{job}")).await.expect(200);
        server.post_nothing(&format!("/scan/{job}/cancel")).await.expect(200);
        let row = server.get(&format!("/jobs/{job}")).await.expect(200).json();
        assert_ne!(row["status"], "pending", "a cancel is seen at once too: {row:#}");
        server.delete(&format!("/scan/{job}")).await.expect(204);
        server.get(&format!("/scan/{job}")).await.expect(404);
    }
}

// What is watched.

/// The inodes that the server watches, read from its own descriptors.
fn watched(server: &TestServer) -> Vec<u64> {
    let folder = format!("/proc/{}/fdinfo", server.pid());
    let texts = fs::read_dir(folder).unwrap().flatten().map(|entry| files::text(&entry.path()));
    let text: String = texts.collect();
    let lines = text.lines().filter(|line| line.starts_with("inotify "));
    let inode = |line: &str| {
        let field = line.split(' ').find_map(|field| field.strip_prefix("ino:"))?;
        u64::from_str_radix(field, 16).ok()
    };
    lines.filter_map(inode).collect()
}

fn is_watched(server: &TestServer, path: &Path) -> bool {
    watched(server).contains(&path.metadata().unwrap().ino())
}

/// Breaks if watches pile up: a machine has a limited number.
#[tokio::test]
async fn a_finished_job_is_no_longer_watched() {
    let server = Setup::new().notified().set("watch.resync_interval_secs", 1).start().await;
    let job = Handmade::new(&server, 1);
    job.repository(0, "scanning", 1);
    shows(&server, &job, 0, "scanning").await;
    assert!(is_watched(&server, &job.folder) && is_watched(&server, &server.setup().jobs()));
    job.repository(0, "completed", 1);
    job.master("completed");
    eventually("its folder is let go", async || !is_watched(&server, &job.folder)).await;
    assert!(is_watched(&server, &server.setup().jobs()));
    // Found by comparing, because a late writer changes the folder.
    job.repository(0, "failed", 1);
    shows(&server, &job, 0, "failed").await;
}

/// Breaks if another folder in place of the jobs folder is not watched, or if jobs of the old one
/// stay that are not in the new one.
#[tokio::test]
async fn a_replaced_jobs_folder_is_watched_and_read_again() {
    let server = Setup::new().notified().set("watch.resync_interval_secs", 1).start().await;
    let (gone, stays) = (Handmade::new(&server, 1), Handmade::new(&server, 1));
    gone.known(&server).await;
    stays.repository(0, "scanning", 1);
    shows(&server, &stays, 0, "scanning").await;
    let jobs = server.setup().jobs();
    let (new, copy) = (server.file("new"), server.file("new").join(&stays.id));
    fs::create_dir_all(&copy).unwrap();
    for name in ["master.json", "repo_0.json"] {
        fs::copy(stays.folder.join(name), copy.join(name)).unwrap();
    }
    // In one step, so that there is no moment without a folder that could be noticed.
    let (here, exchange) = (rustix::fs::CWD, rustix::fs::RenameFlags::EXCHANGE);
    rustix::fs::renameat_with(here, &new, here, &jobs, exchange).unwrap();
    eventually("the new folders are watched", async || {
        is_watched(&server, &jobs) && is_watched(&server, &stays.folder)
    })
    .await;
    eventually("what is not in it is forgotten", async || {
        server.get(&gone.path()).await.status == 404
    })
    .await;
    stays.repository(0, "completed", 1);
    shows(&server, &stays, 0, "completed").await;
}

/// Breaks if a job's replaced folder is still watched instead of the new one.
#[tokio::test]
async fn a_replaced_folder_of_a_job_is_watched() {
    let server = Setup::new().notified().set("watch.resync_interval_secs", 1).start().await;
    let job = Handmade::new(&server, 1);
    job.repository(0, "scanning", 1);
    shows(&server, &job, 0, "scanning").await;
    let copy = server.file("copy");
    fs::create_dir(&copy).unwrap();
    for name in ["master.json", "repo_0.json"] {
        fs::copy(job.folder.join(name), copy.join(name)).unwrap();
    }
    let (here, exchange) = (rustix::fs::CWD, rustix::fs::RenameFlags::EXCHANGE);
    rustix::fs::renameat_with(here, &copy, here, &job.folder, exchange).unwrap();
    eventually("the new folder is watched", async || is_watched(&server, &job.folder)).await;
    job.repository(0, "completed", 1);
    shows(&server, &job, 0, "completed").await;
}

// What is removed.

/// A job whose files say that it ended (or, without a status, started) so many hours ago.
fn aged(jobs: &Path, name: &str, status: &str, hours: i64) -> std::path::PathBuf {
    let folder = jobs.join(name);
    fs::create_dir_all(folder.join("results")).unwrap();
    let at = (Utc::now() - TimeDelta::hours(hours)).to_rfc3339();
    let over = (status != "in_progress").then_some(at.as_str());
    let master = json!({
        "job_id": name, "status": status, "total_repositories": 1, "started_at": at,
        "completed_at": over,
    });
    files::write(&folder.join("master.json"), master.to_string());
    let repository = if over.is_some() { "completed" } else { "scanning" };
    let status = json!({ "repo_name": name, "status": repository });
    files::write(&folder.join("repo_0.json"), status.to_string());
    folder
}

/// Breaks if a clean-up removes what has not ended, is not old enough, or is not a job; if it
/// follows a link out of the folder; or if it never runs.
#[tokio::test]
async fn a_clean_up_removes_expired_jobs_and_leftovers_and_nothing_else() {
    let setup = Setup::new()
        .set("jobs.retention_hours", 2)
        .set("jobs.cleanup_interval_secs", 1)
        .set("watch.resync_interval_secs", 1);
    let canary = setup.folder().join("canary");
    fs::create_dir(&canary).unwrap();
    files::write(&canary.join("file"), "");
    let jobs = setup.jobs();
    let expired = aged(&jobs, "expired", "completed", 3);
    symlink(&canary, expired.join("results/way-out")).unwrap();
    let kept = [aged(&jobs, "young", "failed", 1), aged(&jobs, "running", "in_progress", 300)];
    files::write(&jobs.join("notes.txt"), "an operator's");
    fs::create_dir(jobs.join("two words")).unwrap();
    let staging = jobs.join(".staging");
    fs::create_dir(&staging).unwrap();
    let old = SystemTime::now() - Duration::from_hours(1);
    let make = |name: &str, at: Option<SystemTime>| {
        let path = staging.join(name);
        fs::create_dir(&path).unwrap();
        symlink(&canary, path.join("way-out")).unwrap();
        if let Some(at) = at {
            File::open(&path).unwrap().set_modified(at).unwrap();
        }
        path
    };
    let swept = [make("new-left", Some(old)), make("trash-left", Some(old))];
    let spared = [make("new-being-made", None), make("strangers", Some(old))];
    let server = setup.start().await;
    assert!(swept.iter().all(|path| !path.exists()), "swept before it serves");
    eventually("the expired job is removed", async || !expired.exists()).await;
    eventually("nobody knows it", async || server.get("/scan/expired").await.status == 404).await;
    let later = make("write-later", Some(old));
    eventually("swept while it serves", async || !later.exists()).await;
    for path in kept.iter().chain(&spared) {
        assert!(path.exists(), "{path:?}");
    }
    assert!(jobs.join("notes.txt").exists() && jobs.join("two words").exists());
    assert!(canary.join("file").exists(), "a link was followed");
}

/// Breaks if what a killed process left in `.staging` stays until the hourly clean-up.
#[tokio::test]
async fn leftovers_of_a_killed_process_are_swept_between_two_clean_ups() {
    let setup = Setup::new().set("jobs.cleanup_interval_secs", 100_000);
    let staging = setup.jobs().join(".staging");
    fs::create_dir_all(&staging).unwrap();
    let then = SystemTime::now() - Duration::from_secs(70);
    let age = |path: &Path| {
        files::write(path, "");
        File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
    };
    let expired = aged(&setup.jobs(), "expired", "completed", 48);
    let _server = setup.start().await;
    eventually("the clean-up of the start has come by", async || !expired.exists()).await;
    let (old, young) = (staging.join("write-old"), staging.join("write-young"));
    age(&old);
    files::write(&young, "");
    eventually("what is old is removed", async || !old.exists()).await;
    assert!(young.exists(), "somebody may be writing it");
}

/// The library of faketime(1), which gives a program a different wall clock.
pub(crate) fn false_clock() -> Option<String> {
    let libraries = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let found = libraries.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    let found = found.filter(|path| path.exists()).map(|path| path.display().to_string()).next();
    if found.is_none() {
        #[expect(clippy::print_stderr, reason = "why a test has tested nothing")]
        {
            eprintln!("skipped: faketime is not installed");
        }
    }
    found
}

/// Breaks if setting the clock ahead deletes all results of today.
#[tokio::test]
async fn a_clock_set_ahead_removes_no_recent_job() {
    let Some(library) = false_clock() else { return };
    let setup = Setup::new()
        .set("jobs.cleanup_interval_secs", 1)
        .variable("LD_PRELOAD", library)
        .variable("FAKETIME_NO_CACHE", 1)
        .variable("FAKETIME_DONT_FAKE_MONOTONIC", 1);
    let clock = setup.folder().join("clock");
    files::write(&clock, "+0");
    let setup = setup.variable("FAKETIME_TIMESTAMP_FILE", clock.display());
    let jobs = setup.jobs();
    let (young, old) = (aged(&jobs, "young", "failed", 1), aged(&jobs, "old", "completed", 25));
    let server = setup.start().await;
    eventually("what is old is removed", async || !old.exists()).await;
    files::replace(&clock, "+172800");
    eventually("the jump is seen", async || server.setup().log().contains("set ahead")).await;
    // Two clean-ups later, recognised by what else they do.
    for round in ["write-one", "write-two"] {
        let left = jobs.join(".staging").join(round);
        files::write(&left, "");
        eventually("it is cleaned up", async || !left.exists()).await;
    }
    assert!(young.join("master.json").exists());
}

/// Breaks if removing a job removes anything besides it.
#[tokio::test]
async fn a_delete_removes_the_jobs_folder_and_follows_no_link() {
    let server = Setup::new().shell("say completed\n").start().await;
    let canary = server.file("canary");
    fs::create_dir(&canary).unwrap();
    files::write(&canary.join("file"), "");
    let job = server.submit("deleted").await;
    server.finished(&job).await;
    let neighbour = Handmade::new(&server, 1);
    let folder = server.job_folder(&job);
    symlink(&canary, folder.join("results/way-out")).unwrap();
    symlink(&neighbour.folder, folder.join("neighbour")).unwrap();
    symlink("..", folder.join("up")).unwrap();
    server.delete(&format!("/scan/{job}")).await.expect(204);
    assert!(!folder.exists());
    assert!(canary.join("file").exists(), "a link was followed");
    assert!(neighbour.folder.join("master.json").exists(), "a link was followed");
    let staging = fs::read_dir(server.setup().jobs().join(".staging")).unwrap().flatten();
    let left: Vec<_> = staging.map(|entry| entry.file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Breaks if a server works in another user's folder, where that user could place anything.
#[tokio::test]
async fn a_jobs_folder_of_another_user_is_refused() {
    let setup = Setup::new();
    fs::create_dir(setup.jobs()).unwrap();
    fs::create_dir(setup.jobs().join(".staging")).unwrap();
    if std::os::unix::fs::chown(setup.jobs(), Some(65_534), None).is_err() {
        // Only root can change a folder's owner; a folder of root's serves otherwise.
        let setup = setup.variable("SCANWATCH_JOBS__DIR", "/usr/share");
        let ended = setup.run_to_end().await;
        assert_eq!(ended.code, Some(2), "{}", ended.output);
        return;
    }
    let ended = setup.run_to_end().await;
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    assert!(ended.output.contains("belongs to user 65534"), "{}", ended.output);
    let entries = fs::read_dir(setup.jobs()).unwrap().count();
    assert_eq!(entries, 1, "nothing was put into it");
}
