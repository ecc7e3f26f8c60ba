//! Nothing is lost, repeated or left behind, whatever is killed at whatever moment.

use crate::support::{
    dice::Dice,
    files, processes,
    server::{Setup, TestServer, is_final},
    wait::{PATIENCE, eventually, until, within},
};
use rustix::process::Signal;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// A short scan that records each time it runs: job, number, attempt, process.
const NOTING: &str = r#"
echo "$SCANWATCH_JOB_ID $SCANWATCH_REPO_INDEX $attempt $$" >> "$dir/runs"
say scanning '"total_files": 10, "current_file": 1'
sleep 0.$(( $$ % 4 ))
say completed '"total_files": 10, "current_file": 10'
"#;

/// A scan that takes until it is released.
const WAITING: &str = r#"
echo "$SCANWATCH_JOB_ID $SCANWATCH_REPO_INDEX $attempt $$" >> "$dir/runs"
say scanning
while [ ! -e "$dir/go" ]; do sleep 0.05; done
say completed
"#;

/// One run of a scanner, as recorded.
#[derive(Debug, Clone)]
struct Run {
    job: String,
    attempt: u64,
    pid: u32,
}

fn runs(folder: &Path) -> Vec<Run> {
    let text = files::text(&folder.join("runs"));
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    let run = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let [job, _, attempt, pid] = words[..] else { panic!("an odd note: {line:?}") };
        Run { job: job.to_owned(), attempt: attempt.parse().unwrap(), pid: pid.parse().unwrap() }
    };
    complete.lines().map(run).collect()
}

async fn has_run(server: &TestServer, job: &str, attempt: u64) -> Run {
    until(PATIENCE, &format!("attempt {attempt} of {job} runs"), async || {
        runs(server.folder()).into_iter().find(|run| run.job == job && run.attempt == attempt)
    })
    .await
}

/// The job folders.
fn jobs_on_disk(jobs: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(jobs).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| !name.starts_with('.')).collect()
}

/// Breaks if a crash of the server at any moment loses a job, repeats a healthy scan, leaves a job
/// or a process hanging, or leaves half a file.
#[tokio::test]
async fn thirty_crashes_of_the_server_lose_repeat_and_leave_nothing() {
    let mut server = Setup::new().shell(NOTING).start().await;
    let mut dice = Dice::new(0x5eed_0f5c_a9a7_c4e1);
    let mut accepted = BTreeSet::new();
    for round in 0..30 {
        let moment = Duration::from_millis(dice.below(700));
        let crash = tokio::time::sleep(moment);
        tokio::pin!(crash);
        for number in 0..3 {
            let name = format!("round-{round}-{number}");
            // The crash may come before, within or after each request.
            tokio::select! {
                biased;
                () = &mut crash => break,
                answer = submit(&server, &name) => {
                    accepted.extend(answer);
                }
            }
        }
        if !crash.is_elapsed() {
            crash.await;
        }
        server.kill9().await;
        server.restart().await;
        let known = jobs_on_disk(&server.setup().jobs());
        let lost: Vec<_> = accepted.difference(&known).collect();
        assert!(lost.is_empty(), "round {round}, killed after {moment:?}: lost {lost:?}");
        for job in &known {
            let document = server.finished(job).await;
            assert_eq!(
                document["status"], "completed",
                "round {round}, killed after {moment:?}: {document:#}"
            );
        }
        assert_each_ran_once(&server, &known, round);
        server.no_process_left(Duration::from_secs(10)).await;
        for file in files::below(&server.setup().jobs()) {
            if file.extension().is_some_and(|extension| extension == "json") {
                assert!(files::json(&file).is_some(), "round {round}: {file:?}");
            }
        }
    }
    assert!(accepted.len() > 20, "the crashes came too early: {} were accepted", accepted.len());
    let staging = fs::read_dir(server.setup().jobs().join(".staging")).unwrap().flatten();
    let scratch =
        staging.filter(|entry| entry.file_name().to_string_lossy().starts_with("scratch"));
    assert_eq!(scratch.count(), 0, "scratch folders are left");
}

async fn submit(server: &TestServer, name: &str) -> Option<String> {
    let body = serde_json::json!({ "git_url": format!("https://github.com/acme/{name}.git") });
    let request = server.request(reqwest::Method::POST, "/scan").json(&body);
    let answer = server.try_send(request).await.ok()?.expect(200);
    answer.json()["job_id"].as_str().map(str::to_owned)
}

fn assert_each_ran_once(server: &TestServer, jobs: &BTreeSet<String>, round: u32) {
    let mut times: BTreeMap<String, Vec<Run>> = BTreeMap::new();
    for run in runs(server.folder()) {
        times.entry(run.job.clone()).or_default().push(run);
    }
    for job in jobs {
        let runs = times.get(job).map_or(&[][..], Vec::as_slice);
        assert_eq!(runs.len(), 1, "round {round}: runs of {job}: {runs:?}");
    }
}

/// Breaks if a crash of the server kills its scanners, or if the next server starts a second one
/// beside a running scanner.
#[tokio::test]
async fn a_running_scanner_is_adopted_by_the_next_server() {
    let mut server = Setup::new().shell(WAITING).start().await;
    let job = server.submit("adopted").await;
    let first = has_run(&server, &job, 1).await;
    server.working(&job).await;
    server.kill9().await;
    assert!(processes::lives(first.pid), "the scanner died with the server");
    server.restart().await;
    assert_eq!(server.progress(&job).await["status"], "in_progress");
    files::write(&server.file("go"), "");
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(server.status_file(&job, 0)["attempt"].as_u64().unwrap_or(1), 1);
    assert_eq!(runs(server.folder()).len(), 1, "{:?}", runs(server.folder()));
}

/// Breaks if an adopted scanner can no longer be cancelled, or does not count towards the limit.
#[tokio::test]
async fn an_adopted_scanner_uses_a_slot_and_can_be_cancelled() {
    let mut server =
        Setup::new().shell(WAITING).set("scanner.max_concurrent_processes", 1).start().await;
    let adopted = server.submit("adopted").await;
    let waiting = server.submit("waiting").await;
    let first = has_run(&server, &adopted, 1).await;
    server.kill9().await;
    server.restart().await;
    // The next run shows that there is a slot: it must not come before there is.
    let later = server.submit("later").await;
    assert_eq!(server.progress(&waiting).await["summary"]["pending"], 1);
    assert_eq!(runs(server.folder()).len(), 1, "a second scanner beside the adopted one");
    server.post_nothing(&format!("/scan/{adopted}/cancel")).await.expect(200);
    assert_eq!(server.finished(&adopted).await["status"], "cancelled");
    eventually("the adopted scanner is gone", async || !processes::lives(first.pid)).await;
    files::write(&server.file("go"), "");
    assert_eq!(server.finished(&waiting).await["status"], "completed");
    assert_eq!(server.finished(&later).await["status"], "completed");
}

/// Breaks if a scan that ended while no server ran is not noticed.
#[tokio::test]
async fn without_a_server_scans_end_by_themselves() {
    let mut server = Setup::new()
        .shell(WAITING)
        .set("scanner.subprocess_timeout_secs", 8)
        .set("scanner.kill_grace_secs", 1)
        .start()
        .await;
    let good = server.submit("good").await;
    has_run(&server, &good, 1).await;
    server.kill9().await;
    files::write(&server.file("go"), "");
    let path = server.job_folder(&good).join("repo_0.json");
    eventually("the scan ends without a server", async || {
        files::json(&path).is_some_and(|status| status["status"] == "completed")
    })
    .await;
    server.no_process_left(Duration::from_secs(10)).await;
    fs::remove_file(server.file("go")).unwrap();
    server.restart().await;
    assert_eq!(server.finished(&good).await["status"], "completed");

    let endless = server.submit("endless").await;
    has_run(&server, &endless, 1).await;
    server.kill9().await;
    let path = server.job_folder(&endless).join("repo_0.json");
    eventually("the deadline is kept without a server", async || {
        files::json(&path).is_some_and(|status| status["status"] == "timeout")
    })
    .await;
    server.no_process_left(Duration::from_secs(10)).await;
    server.restart().await;
    assert_eq!(server.finished(&endless).await["status"], "timeout");
}

/// Breaks if the death of a shim (by the kernel, by an operator) leaves its scanner running alone,
/// or its repository "scanning" for ever.
#[tokio::test]
async fn the_repository_of_a_killed_shim_is_scanned_again() {
    let server = Setup::new()
        .shell(
            "echo \"$SCANWATCH_JOB_ID 0 $attempt $$\" >> \"$dir/runs\"\n\
             say scanning\n\
             [ \"$attempt\" -gt 1 ] || sleep 999\n\
             say completed\n",
        )
        .start()
        .await;
    let job = server.submit("orphan").await;
    let first = has_run(&server, &job, 1).await;
    server.working(&job).await;
    let killed = processes::kill_lock_holder(&server.shim_lock(&job, 0));
    assert!(killed.is_some(), "a living shim holds its lock");
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    let file = server.status_file(&job, 0);
    assert_eq!(file["attempt"], 2, "{file:#}");
    assert!(!processes::lives(first.pid), "the first scanner lives: two may write");
    assert_eq!(runs(server.folder()).len(), 2);
    server.no_process_left(Duration::from_secs(5)).await;
}

/// Breaks if a repository that kills its shim each time is retried for ever.
#[tokio::test]
async fn a_repository_fails_after_the_third_death_of_its_shim() {
    let server = Setup::new().shell(WAITING).start().await;
    let job = server.submit("deadly").await;
    for attempt in 1..=3 {
        has_run(&server, &job, attempt).await;
        assert!(server.shim(&job, 0).is_some(), "attempt {attempt} has a shim");
        processes::kill_lock_holder(&server.shim_lock(&job, 0));
    }
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "failed", "{document:#}");
    let file = server.status_file(&job, 0);
    assert_eq!(file["status"], "failed", "{file:#}");
    assert_eq!(file["failure"]["kind"], "interrupted", "{file:#}");
    assert_eq!(runs(server.folder()).len(), 3);
    server.no_process_left(Duration::from_secs(5)).await;
}

/// Breaks if a terminal signal costs a scan.
#[tokio::test]
async fn a_shim_survives_a_closed_terminal() {
    let server = Setup::new().shell(WAITING).start().await;
    let job = server.submit("hung-up").await;
    has_run(&server, &job, 1).await;
    let shim = server.shim(&job, 0).expect("a scan that runs has a shim");
    rustix::process::pidfd_send_signal(&shim.pidfd, Signal::HUP).unwrap();
    files::write(&server.file("go"), "");
    assert_eq!(server.finished(&job).await["status"], "completed");
    assert_eq!(runs(server.folder()).len(), 1);
}

/// Breaks if server and shim die together, as when the whole service is killed, and the next server
/// takes a dead scan for a running one.
#[tokio::test]
async fn a_scan_that_died_with_its_server_is_scanned_again() {
    let mut server = Setup::new().shell(WAITING).start().await;
    let job = server.submit("both").await;
    has_run(&server, &job, 1).await;
    server.working(&job).await;
    server.kill9().await;
    processes::kill_lock_holder(&server.shim_lock(&job, 0));
    for pid in server.processes() {
        server.signal(pid, Signal::KILL);
    }
    server.no_process_left(Duration::from_secs(5)).await;
    files::write(&server.file("go"), "");
    server.restart().await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(server.status_file(&job, 0)["attempt"], 2);
}

/// Breaks if a pid from a file, which may be another process's by now, is ever signalled.
#[tokio::test]
async fn a_pid_from_a_file_is_never_signalled() {
    let mut server = Setup::new().shell(WAITING).start().await;
    let job = server.submit("victim").await;
    has_run(&server, &job, 1).await;
    server.working(&job).await;
    server.kill9().await;
    processes::kill_lock_holder(&server.shim_lock(&job, 0));
    for pid in server.processes() {
        server.signal(pid, Signal::KILL);
    }
    server.no_process_left(Duration::from_secs(5)).await;
    // A process that is easy to observe, and that never was a scan.
    let bystander = Setup::new().start().await;
    let path = server.job_folder(&job).join("repo_0.json");
    let mut file = files::json(&path).unwrap();
    file["pid"] = bystander.pid().into();
    files::replace(&path, file.to_string());
    server.restart().await;
    server.post_nothing(&format!("/scan/{job}/cancel")).await.expect(200);
    server.finished(&job).await;
    bystander.get("/livez").await.expect(200);
}

/// Breaks if a planned stop leaves processes behind, takes long, or loses unfinished work.
#[tokio::test]
async fn a_planned_stop_leaves_no_process_and_the_next_server_finishes() {
    let mut server = Setup::new()
        .shell(WAITING)
        .set("scanner.max_concurrent_processes", 2)
        .set("scanner.kill_grace_secs", 2)
        .start()
        .await;
    let mut jobs = Vec::new();
    for number in 0..4 {
        jobs.push(server.submit(&format!("stopped-{number}")).await);
    }
    has_run(&server, &jobs[0], 1).await;
    has_run(&server, &jobs[1], 1).await;
    let began = Instant::now();
    assert_eq!(server.terminate().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    let left: Vec<_> = server.processes().into_iter().map(processes::describe).collect();
    assert!(left.is_empty(), "left behind: {left:#?}");
    for job in &jobs[..2] {
        let file = server.status_file(job, 0);
        assert_eq!(file["failure"]["kind"], "interrupted", "{file:#}");
    }
    files::write(&server.file("go"), "");
    server.restart().await;
    for job in &jobs {
        let document = server.finished(job).await;
        assert_eq!(document["status"], "completed", "{document:#}");
    }
    let ran: Vec<_> = runs(server.folder());
    assert_eq!(ran.len(), 6, "two were interrupted, all were finished: {ran:?}");
}

/// Breaks if Ctrl-C and SIGTERM differ, or if planned stops use up the attempts that are meant for
/// deaths.
#[tokio::test]
async fn planned_stops_never_fail_a_repository() {
    let mut server = Setup::new().shell(WAITING).set("scanner.kill_grace_secs", 2).start().await;
    let job = server.submit("patient").await;
    for round in 1..=4 {
        until(PATIENCE, &format!("run {round}"), async || {
            (runs(server.folder()).len() >= round).then_some(())
        })
        .await;
        let signal = if round % 2 == 0 { Signal::INT } else { Signal::TERM };
        assert_eq!(server.stop(signal).await, Some(0));
        server.restart().await;
    }
    files::write(&server.file("go"), "");
    assert_eq!(server.finished(&job).await["status"], "completed");
}

/// Breaks if two servers write one folder, or if a crashed server's lock outlives it.
#[tokio::test]
async fn a_second_server_on_the_same_folder_exits_with_3() {
    let mut server = Setup::new().shell(WAITING).start().await;
    let job = server.submit("mine").await;
    has_run(&server, &job, 1).await;
    server.working(&job).await;
    let ended = server.setup().run_to_end().await;
    assert_eq!(ended.code, Some(3), "{}", ended.output);
    let place = server.setup().jobs().display().to_string();
    assert!(ended.output.contains(&place), "which folder? {}", ended.output);
    assert_eq!(server.progress(&job).await["status"], "in_progress", "the first goes on");
    // Scanners live, the server does not: they must not hold its lock.
    server.kill9().await;
    server.restart().await;
    files::write(&server.file("go"), "");
    assert_eq!(server.finished(&job).await["status"], "completed");
    assert_eq!(runs(server.folder()).len(), 1);
}

/// Breaks if removing the lock file lets a second server in, or if the first does not notice.
#[tokio::test]
async fn a_folder_without_its_lock_file_still_has_only_one_server() {
    let server = Setup::new().shell(NOTING).start().await;
    let lock = server.setup().jobs().join(".lock");
    fs::remove_file(&lock).unwrap();
    let ended = server.setup().run_to_end().await;
    assert_eq!(ended.code, Some(3), "{}", ended.output);
    eventually("the lock file is made and locked again", async || {
        scanwatch::store::lock::holder(&lock)
            .unwrap()
            .is_some_and(|holder| holder.pid == server.pid())
    })
    .await;
    let job = server.submit("afterwards").await;
    assert_eq!(server.finished(&job).await["status"], "completed");

    // A server of an earlier version only knows the lock file.
    let other = server.file("other.lock");
    let held = scanwatch::store::lock::take(&other).unwrap().unwrap();
    fs::rename(&other, &lock).unwrap();
    let health = until(PATIENCE, "/health says that there is another", async || {
        let health = server.get("/health").await.expect(200).json();
        (health["status"] == "degraded").then_some(health)
    })
    .await;
    assert!(health["problems"].to_string().contains("another scanwatch"), "{health:#}");
    let url = serde_json::json!({ "git_url": "https://github.com/acme/refused.git" });
    server.post("/scan", &url).await.expect(503);
    drop(held);
    fs::remove_file(&lock).unwrap();
    eventually("it is well again", async || {
        server.get("/health").await.expect(200).json()["status"] == "healthy"
    })
    .await;
}

/// Breaks if a finished job changes by a restart, or is scanned again.
#[tokio::test]
async fn finished_jobs_are_the_same_after_a_restart() {
    let mut server = Setup::new().shell(NOTING).start().await;
    let job = server.submit("done").await;
    let before = server.finished(&job).await;
    assert_eq!(server.terminate().await, Some(0));
    server.restart().await;
    let after = server.progress(&job).await;
    for member in ["status", "summary", "repositories", "completed_at", "elapsed_time_seconds"] {
        assert_eq!(before[member], after[member], "{member}");
    }
    assert_eq!(runs(server.folder()).len(), 1);
}

/// Breaks if a job that was cancelled before any scanner had started leaves its repository waiting.
#[tokio::test]
async fn a_cancelled_job_stays_cancelled_after_a_crash() {
    let mut server =
        Setup::new().shell(WAITING).set("scanner.max_concurrent_processes", 1).start().await;
    let running = server.submit("running").await;
    has_run(&server, &running, 1).await;
    let waiting = server.submit("waiting").await;
    server.post_nothing(&format!("/scan/{waiting}/cancel")).await.expect(200);
    let document = server.finished(&waiting).await;
    assert_eq!(document["status"], "cancelled", "{document:#}");
    assert_eq!(document["summary"]["failed"], 1, "never begun counts too: {document:#}");
    server.kill9().await;
    server.restart().await;
    files::write(&server.file("go"), "");
    assert_eq!(server.finished(&running).await["status"], "completed");
    assert_eq!(server.progress(&waiting).await["status"], "cancelled");
    assert_eq!(runs(server.folder()).len(), 1);
}

/// Breaks if any writer replaces a file other than as a whole: a reader would see half of it.
#[tokio::test]
async fn a_thousand_reads_a_second_never_see_half_a_file() {
    let server = Setup::new()
        .python(
            "filler = ['file %d' % number for number in range(200)]\n\
             if task['repo_name'].startswith('busy'):\n\
             \x20   for number in range(300):\n\
             \x20       say('scanning', total_files=300, current_file=number, errors=[], filler=filler)\n\
             \x20       time.sleep(0.002)\n\
             \x20   replace(task['result_file'], dict(schema=1, filler=filler))\n\
             \x20   say('completed', filler=filler)\n\
             if task['repo_name'].startswith('broken'):\n\
             \x20   say('scanning', filler=filler)\n\
             \x20   sys.exit('x' * 5000)\n",
        )
        .start()
        .await;
    let over = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (jobs, over) = (server.setup().jobs(), Arc::clone(&over));
        move || read_all(&jobs, &over)
    });
    let mut jobs = Vec::new();
    for number in 0..4 {
        for kind in ["busy", "broken", "mute"] {
            jobs.push(server.submit(&format!("{kind}-{number}")).await);
        }
    }
    for job in &jobs {
        server.finished(job).await;
    }
    over.store(true, Ordering::Relaxed);
    let (reads, half) = reader.join().unwrap();
    assert!(half.is_empty(), "of {reads} reads, half files: {half:#?}");
    assert!(reads > 1_000, "only {reads} reads");
}

/// Reads every JSON file of every job, at most a thousand times a second each, until this ends;
/// returns how often it read, and what was not JSON.
fn read_all(jobs: &Path, over: &AtomicBool) -> (u64, Vec<String>) {
    let (mut reads, mut half) = (0, Vec::new());
    while !over.load(Ordering::Relaxed) {
        for job in jobs_on_disk(jobs) {
            let folder = jobs.join(job);
            for file in files::below(&folder) {
                let is_json = file.extension().is_some_and(|extension| extension == "json");
                // A file that is gone by now was replaced as a whole.
                if is_json && let Ok(bytes) = fs::read(&file) {
                    reads += 1;
                    if let Err(error) = serde_json::from_slice::<Value>(&bytes) {
                        half.push(format!("{}: {error}, {} bytes", file.display(), bytes.len()));
                    }
                }
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    (reads, half)
}

/// Breaks if a removed job folder makes the server spin, or keeps its scanner.
#[tokio::test]
async fn a_job_whose_folder_is_removed_is_forgotten_with_its_scanner() {
    let server = Setup::new().shell(WAITING).set("scanner.kill_grace_secs", 1).start().await;
    let job = server.submit("removed").await;
    let run = has_run(&server, &job, 1).await;
    server.working(&job).await;
    let away = server.file("away");
    fs::rename(server.job_folder(&job), &away).unwrap();
    within(Duration::from_secs(30), "the job is unknown or over", async || {
        let answer = server.get(&format!("/scan/{job}")).await;
        answer.status == 404 || is_final(&answer.json())
    })
    .await;
    eventually("its scanner is ended", async || !processes::lives(run.pid)).await;
    let next = server.submit("next").await;
    files::write(&server.file("go"), "");
    assert_eq!(server.finished(&next).await["status"], "completed");
}

/// Breaks if a disk that fails for a moment costs a repository all its attempts at once.
#[tokio::test]
async fn a_scan_that_cannot_start_is_retried_later() {
    let setup = Setup::new().shell(NOTING);
    let job = setup.write_group(1);
    let locks = setup.jobs().join(&job).join("locks");
    fs::remove_dir(&locks).unwrap();
    let server = setup.start().await;
    eventually("three tries have failed", async || {
        server.setup().log().matches("exited before it claimed the attempt").count() >= 3
    })
    .await;
    fs::create_dir(&locks).unwrap();
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
}

/// Breaks if a crash between a cancel request and its completion leaves repositories waiting, or
/// scanner slots taken, for ever.
#[tokio::test]
async fn a_cancel_interrupted_by_a_crash_is_completed() {
    let setup = Setup::new().shell(NOTING);
    let job = setup.write_group(7);
    let path = setup.jobs().join(&job).join("master.json");
    let mut master = files::json(&path).unwrap();
    master["status"] = "cancelled".into();
    files::replace(&path, master.to_string());
    let server = setup.start().await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "cancelled", "{document:#}");
    assert_eq!(document["summary"]["failed"], 7, "{document:#}");
    assert!(runs(server.folder()).is_empty());
    let scanners = server.get("/health").await.expect(200).json()["scanners"].clone();
    assert_eq!(scanners["running"], 0, "{scanners:#}");
    let next = server.submit("next").await;
    assert_eq!(server.finished(&next).await["status"], "completed");
}

/// Breaks if a signal to the server's whole process group (Ctrl-C, a closed terminal, `kill -9
/// -PGID`) ends or cancels the scans too.
#[tokio::test]
async fn a_signal_to_the_servers_group_does_not_reach_its_scans() {
    let mut server = Setup::new()
        .leading_a_group()
        .shell(WAITING)
        .set("scanner.kill_grace_secs", 2)
        .start()
        .await;
    let job = server.submit("apart").await;
    has_run(&server, &job, 1).await;
    server.working(&job).await;
    server.signal_group(Signal::KILL).await;
    assert!(server.shim(&job, 0).is_some(), "the shim died with the group");
    server.restart().await;
    assert_eq!(runs(server.folder()).len(), 1, "it was scanned again");
    assert_eq!(server.signal_group(Signal::INT).await, Some(0));
    let file = server.status_file(&job, 0);
    assert_eq!(file["failure"]["kind"], "interrupted", "a stop, and no cancel: {file:#}");
    files::write(&server.file("go"), "");
    server.restart().await;
    assert_eq!(server.finished(&job).await["status"], "completed");
}

/// Breaks if a scanner is stopped although the reason cannot be written: it would count as a
/// cancel, and its repository would not be scanned again.
#[tokio::test]
async fn a_stop_whose_reason_cannot_be_written_is_not_sent() {
    let mut server = Setup::new().shell(WAITING).set("server.stop_grace_secs", 1).start().await;
    let job = server.submit("unexplained").await;
    has_run(&server, &job, 1).await;
    server.working(&job).await;
    // Without its folder for temporary files no write is possible.
    let (staging, away) = (server.setup().jobs().join(".staging"), server.file("away"));
    fs::rename(&staging, &away).unwrap();
    assert_eq!(server.terminate().await, Some(0));
    fs::rename(&away, &staging).unwrap();
    server.restart().await;
    files::write(&server.file("go"), "");
    assert_eq!(server.finished(&job).await["status"], "completed");
    assert_eq!(runs(server.folder()).len(), 1);
}

/// Breaks if an accepted cancel request is lost with the server that accepted it.
#[tokio::test]
async fn an_accepted_cancel_survives_a_crash() {
    let setup = Setup::new()
        .shell("trap '' TERM\nsay scanning\necho > \"$dir/begun\"\nwhile :; do sleep 0.1; done\n")
        .set("scanner.max_concurrent_processes", 1)
        .set("scanner.kill_grace_secs", 2);
    let job = setup.write_group(3);
    let mut server = setup.start().await;
    server.note("begun").await;
    server.post_nothing(&format!("/scan/{job}/cancel")).await.expect(200);
    server.kill9().await;
    server.restart().await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "cancelled", "{document:#}");
    assert_eq!(document["summary"]["failed"], 3, "{document:#}");
}

/// Breaks if a scan whose shim can never start is retried for ever.
#[tokio::test]
async fn a_scan_that_can_never_start_fails() {
    let setup = Setup::new().shell(NOTING);
    let job = setup.write_group(1);
    fs::remove_dir(setup.jobs().join(&job).join("locks")).unwrap();
    let server = setup.start().await;
    let document = server.finished(&job).await;
    assert_eq!(document["summary"]["failed"], 1, "{document:#}");
    let file = server.status_file(&job, 0);
    assert_eq!(file["failure"]["kind"], "spawn", "{file:#}");
    assert_eq!(runs(server.folder()).len(), 0);
}

/// Breaks if the findings of a dead attempt are taken for the result of the next one.
#[tokio::test]
async fn a_dead_attempt_leaves_neither_result_nor_scratch_folder() {
    let server = Setup::new()
        .shell(
            "[ \"$attempt\" = 1 ] || { say completed; exit 0; }\n\
             say scanning\n\
             echo '{\"packages\": [{}]}' > part\n\
             mv part \"$SCANWATCH_RESULT_FILE\"\n\
             echo > \"$dir/found\"\n\
             exec sleep 999\n",
        )
        .start()
        .await;
    let job = server.submit("haunted").await;
    server.note("found").await;
    server.working(&job).await;
    processes::kill_lock_holder(&server.shim_lock(&job, 0)).expect("a living shim holds its lock");
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(server.status_file(&job, 0)["attempt"], 2);
    let results = server.get(&format!("/jobs/{job}/results")).await.expect(200).json();
    assert_eq!(results["packages_total"], 0, "{results:#}");
    server.no_process_left(Duration::from_secs(5)).await;
    let staging = fs::read_dir(server.setup().jobs().join(".staging")).unwrap().flatten();
    let left: Vec<_> = staging.map(|entry| entry.file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Breaks if a jobs folder that is away for a while (unmounted, moved) costs the jobs in it.
#[tokio::test]
async fn a_jobs_folder_that_comes_back_has_lost_nothing() {
    let server = Setup::new().shell(WAITING).set("watch.resync_interval_secs", 1).start().await;
    let job = server.submit("patient").await;
    let run = has_run(&server, &job, 1).await;
    server.working(&job).await;
    let (jobs, away) = (server.setup().jobs(), server.file("away"));
    fs::rename(&jobs, &away).unwrap();
    eventually("health says that it is gone", async || {
        let health = server.get("/health").await.expect(200).json();
        health["status"] == "degraded" && health["problems"].to_string().contains("is gone")
    })
    .await;
    assert_eq!(server.progress(&job).await["status"], "in_progress", "what was known stays");
    // Longer than the two polls after which a job's own folder counts as removed.
    tokio::time::sleep(Duration::from_secs(11)).await;
    fs::rename(&away, &jobs).unwrap();
    eventually("health says that it is back", async || {
        server.get("/health").await.expect(200).json()["status"] == "healthy"
    })
    .await;
    assert!(processes::lives(run.pid), "its scanner was ended");
    files::write(&server.file("go"), "");
    assert_eq!(server.finished(&job).await["status"], "completed");
    assert_eq!(runs(server.folder()).len(), 1);
}
