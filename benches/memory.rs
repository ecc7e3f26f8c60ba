//! How much memory the server needs for each repository of finished jobs that are not requested, and how
//! one job of 10,000 repositories is served while it changes.
//!
//! `cargo bench --bench memory`: 20,000 jobs of 8 repositories, with the files that the built-in scanner writes;
//! the resident memory of a server that has read them, minus that of a server without jobs, for each
//! repository: when it is ready, at its peak, when it has been idle, and after each job has been requested.
//! `cargo bench --bench memory -- moving`: 10,000 repositories, of which 50 change twice a second, 100
//! pollers of the summary, and one of the whole document. See docs/performance.md.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

mod program;

use program::{Outcome, Program};
use serde_json::{Value, json};
use std::{
    env,
    fs::{self, File},
    io::Write,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread::{self, sleep},
    time::{Duration, Instant},
};

const JOBS: usize = 20_000;
const REPOSITORIES: usize = 8;
/// A job that is not requested is packed within half a minute.
const IDLE: Duration = Duration::from_secs(40);

const LARGE: usize = 10_000;
const MOVING: usize = 50;
const POLLERS: usize = 100;
const MEASURED: Duration = Duration::from_secs(20);

fn main() -> Outcome<()> {
    let home = tempfile::tempdir()?;
    if env::args().any(|argument| argument == "moving") {
        moving(home.path())
    } else {
        resting(home.path())
    }
}

fn resting(home: &Path) -> Outcome<()> {
    let jobs: usize = env::var("JOBS").ok().and_then(|number| number.parse().ok()).unwrap_or(JOBS);
    let empty = serve(&home.join("empty"))?;
    let folder = home.join("jobs");
    let begin = Instant::now();
    let ids: Vec<String> = (0..jobs).map(|number| lay(&folder, number)).collect::<Outcome<_>>()?;
    println!("{jobs} jobs of {REPOSITORIES} laid in {:.1} s", begin.elapsed().as_secs_f64());
    // A job that has changed within a resync interval is not idle yet.
    sleep(Duration::from_secs(11));
    let none = empty.memory("VmRSS")?;
    drop(empty);
    let begin = Instant::now();
    let server = serve(&folder)?;
    println!(
        "ready after {:.2} s; an empty server has {} kB",
        begin.elapsed().as_secs_f64(),
        none >> 10
    );
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let print = |what: &str, bytes: usize| {
        let each = bytes.saturating_sub(none) as f64 / (jobs * REPOSITORIES) as f64;
        println!("{what:44} {:8} kB {each:8.0} B for each repository", bytes >> 10);
    };
    print("when it is ready", server.memory("VmRSS")?);
    sleep(IDLE);
    print("left alone", server.memory("VmRSS")?);
    print("peak of the start", server.memory("VmHWM")?);
    let mut connection = server.client("")?;
    let begin = Instant::now();
    for id in &ids {
        connection.get(&format!("/scan/{id}"))?;
    }
    let each = begin.elapsed() / u32::try_from(jobs)?;
    print("after each of them was asked for", server.memory("VmRSS")?);
    sleep(IDLE);
    print("left alone again", server.memory("VmRSS")?);
    println!("GET /scan/{{id}} of a job at rest: {:.3} ms on average", each.as_secs_f64() * 1e3);
    Ok(())
}

/// A finished job of a group, as the server and the built-in scanner leave it.
fn lay(folder: &Path, number: usize) -> Outcome<String> {
    const WORDS: [&str; 8] =
        ["gateway", "billing", "search-index", "mobile", "auth", "deploy-tools", "ui", "reports"];
    let id = format!("0190b0ab-{:04x}-7e4b-9c61-{number:012x}", number * 40_503 % 65_536);
    let job = folder.join(&id);
    fs::create_dir_all(&job)?;
    let group = format!("platform/team-{}", number % 900);
    let name =
        |index: usize| format!("{group}/{}-{}", WORDS[(number + index) % 8], number * 31 % 97);
    let url = |index: usize| format!("https://gitlab.example.com/{}.git", name(index));
    let time = |second: usize| {
        let second = number * 3 + second;
        let (hour, minute) = (second / 3_600 % 24, second / 60 % 60);
        format!(
            "2026-03-{:02}T{hour:02}:{minute:02}:{:02}.{:03}Z",
            1 + second / 86_400 % 28,
            second % 60,
            second * 7_919 % 1_000
        )
    };
    let fails = |index: usize| (number + index) % 16 == 7;
    let detail = "git fetch: remote: Repository not found, or it may not be read";
    for index in 0..REPOSITORIES {
        let (files, packages) = (3 + (number + index * 7) % 40, (number * 13 + index * 89) % 600);
        let mut status = json!({
            "schema": 1, "repo_index": index, "repo_name": name(index), "git_url": url(index),
            "status": "completed", "attempt": 1, "revision": 7 + index, "pid": null,
            "started_at": time(index), "last_update": time(9 + index),
            "completed_at": time(9 + index),
            "message": format!("Completed: {packages} packages"),
            "stage": "conclude", "stage_index": 5, "stage_total": 5, "stage_progress": 100.0,
            "download_bytes": 10_000 + number * 991 % 90_000,
            "commit": format!("{:040x}", number * 1_000_003 + index),
            "total_files": files, "current_file": files, "percentage": 100.0,
            "current_filename": format!("{}/package-{index}/package.json", WORDS[index % 8]),
            "dependencies_found": packages, "errors": [], "error_message": null,
        });
        if fails(index) {
            let error =
                json!({ "message": detail, "timestamp": time(9 + index), "exception": "Clone" });
            status["status"] = "failed".into();
            status["errors"] = json!([error]);
            status["error_message"] = detail.into();
            status["failure"] = json!({ "kind": "clone", "detail": detail, "permanent": true });
            status["message"] = "Fetching".into();
            status["stage"] = "fetch".into();
        } else if (number + index) % 20 == 3 {
            status["warnings"] = json!(["pom.xml: a parent is not in the repository"]);
        }
        write(&job.join(format!("repo_{index}.json")), &status)?;
    }
    let (failed, completed): (Vec<_>, Vec<_>) = (0..REPOSITORIES).partition(|index| fails(*index));
    let row =
        |index: &usize| json!({ "repo_name": name(*index), "error": detail, "status": "failed" });
    let master = json!({
        "schema": 1, "job_id": id, "group_url": format!("https://gitlab.example.com/{group}"),
        "scan_type": "group", "total_repositories": REPOSITORIES,
        "status": if failed.is_empty() { "completed" } else { "completed_with_errors" },
        "started_at": time(0), "completed_at": time(20), "last_aggregation": time(20),
        "pending_repositories": [],
        "completed_repositories": completed.iter().map(|index| name(*index)).collect::<Vec<_>>(),
        "failed_repositories": failed.iter().map(row).collect::<Vec<_>>(),
        "submitted_by": "somebody", "options": { "deep": false },
    });
    let plan =
        |index| json!({ "repo_index": index, "repo_name": name(index), "git_url": url(index) });
    let plan = json!({
        "schema": 1, "complete": true, "repositories": (0..REPOSITORIES).map(plan).collect::<Vec<_>>(),
    });
    write(&job.join("repositories.json"), &plan)?;
    write(&job.join("master.json"), &master)?;
    Ok(id)
}

fn write(path: &Path, value: &Value) -> Outcome<()> {
    Ok(File::create(path)?.write_all(&serde_json::to_vec_pretty(value)?)?)
}

/// The large job, while some of its repositories change.
fn moving(home: &Path) -> Outcome<()> {
    let folder = home.join("jobs");
    let job = folder.join("large");
    fs::create_dir_all(&job)?;
    let names: Vec<_> = (0..LARGE).map(|index| format!("group/repository-{index}")).collect();
    write(
        &job.join("master.json"),
        &json!({ "total_repositories": LARGE, "started_at": "2026-03-01T00:00:00Z",
            "pending_repositories": names }),
    )?;
    for index in 0..LARGE {
        write(&job.join(format!("repo_{index}.json")), &working(index, 0))?;
    }
    let server = serve(&folder)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| -> Outcome<()> {
        let writer = scope.spawn(|| write_on(&folder, &job, &stop));
        let poll = |path: &'static str, pause: u64| {
            let (server, stop) = (&server, &stop);
            scope.spawn(move || -> Outcome<Vec<Duration>> {
                let mut connection = server.client("")?;
                let mut all = Vec::new();
                while !stop.load(Relaxed) {
                    let begin = Instant::now();
                    connection.get(path)?;
                    all.push(begin.elapsed());
                    sleep(Duration::from_millis(pause));
                }
                Ok(all)
            })
        };
        let pollers: Vec<_> =
            (0..POLLERS).map(|_| poll("/scan/large?view=summary", 1_000)).collect();
        let whole = poll("/scan/large", 100);
        sleep(Duration::from_secs(3));
        let (begin, used) = (Instant::now(), server.processor_time()?);
        sleep(MEASURED);
        let used = server.processor_time()?.saturating_sub(used);
        let cores = used.as_secs_f64() / begin.elapsed().as_secs_f64();
        stop.store(true, Relaxed);
        let mut summaries = Vec::new();
        for poller in pollers {
            summaries.extend(poller.join().map_err(|_| "a poller failed")??);
        }
        let whole = whole.join().map_err(|_| "the reader failed")??;
        writer.join().map_err(|_| "the writer failed")??;
        print("GET /scan/{id}?view=summary", summaries);
        print("GET /scan/{id}, the whole document", whole);
        println!("{cores:.3} cores, {} kB resident", server.memory("VmRSS")? >> 10);
        Ok(())
    })
}

fn print(what: &str, mut all: Vec<Duration>) {
    all.sort_unstable();
    let at =
        |percent: usize| all[(all.len() * percent / 100).min(all.len() - 1)].as_secs_f64() * 1e3;
    let (count, p50, p99, worst) = (all.len(), at(50), at(99), at(100));
    println!("{what:40} {count:6} times, p50 {p50:.2} ms, p99 {p99:.2} ms, worst {worst:.2} ms");
}

/// The status of a running repository.
fn working(index: usize, step: usize) -> Value {
    json!({
        "repo_name": format!("group/repository-{index}"), "status": "scanning",
        "git_url": format!("https://gitlab.example.com/group/repository-{index}.git"),
        "started_at": "2026-03-01T00:00:01Z", "last_update": "2026-03-01T00:00:02Z",
        "message": "Parsing files", "total_files": 1_000_000, "current_file": step,
        "current_filename": "src/package.json",
    })
}

/// Changes some of the repositories twice a second.
fn write_on(folder: &Path, job: &Path, stop: &AtomicBool) -> Outcome<()> {
    let staged = folder.join(".staging").join("bench.tmp");
    for step in 1.. {
        let begin = Instant::now();
        for turn in 0..MOVING {
            if stop.load(Relaxed) {
                return Ok(());
            }
            let index = turn * LARGE / MOVING;
            File::create(&staged)?.write_all(working(index, step).to_string().as_bytes())?;
            fs::rename(&staged, job.join(format!("repo_{index}.json")))?;
        }
        sleep(Duration::from_millis(500).saturating_sub(begin.elapsed()));
    }
    Ok(())
}

fn serve(jobs: &Path) -> Outcome<Program> {
    Program::start(jobs, |command| {
        command.args(["--set", "jobs.retention_hours=1000000"]);
    })
}
