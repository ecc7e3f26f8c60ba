//! How long a server takes to start with a folder of finished jobs, and the processor time of an idle server.
//!
//! `cargo bench --bench starting`: the time until `/readyz` answers, with 20,000 jobs of 8 repositories
//! each, for the first start with files that have just been written and for later starts, alternately with the
//! limit: openat, read and close of the same 180,000 files by one thread.
//! `cargo bench --bench starting -- idle`: the processor time of an idle server with 100,000 such jobs
//! in one minute, and the memory for each repository.
//!
//! `SCANWATCH_BENCH_JOBS` sets another number of jobs. See docs/performance.md.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

mod program;

use program::{Outcome, Program};
use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::read,
};
use std::{
    ffi::CString,
    fs,
    io::Write,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const REPOSITORIES: usize = 8;
const ROUNDS: usize = 5;
/// How long the idle server is measured, and how long it rests before.
const IDLE: Duration = Duration::from_mins(1);
const SETTLING: Duration = Duration::from_secs(25);

fn main() -> Outcome<()> {
    let idle = std::env::args().any(|argument| argument == "idle");
    let jobs = match std::env::var("SCANWATCH_BENCH_JOBS") {
        Ok(number) => number.parse()?,
        Err(_) if idle => 100_000,
        Err(_) => 20_000,
    };
    let home = tempfile::tempdir()?;
    if idle { be_idle(home.path(), jobs) } else { start(home.path(), jobs) }
}

fn start(home: &Path, count: usize) -> Outcome<()> {
    println!("{count} jobs of {REPOSITORIES} repositories; seconds");
    println!("{:34} {:>8} {:>8} {:>8}", "", "limit", "start", "ratio");
    let (mut firsts, mut limits, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..2 {
        let folder = home.join(format!("jobs-{round}"));
        let files = lay_out(&folder, count)?;
        // Fills the page cache.
        read_all(&files)?;
        let limit = read_all(&files)?;
        let first = start_once(&folder)?;
        firsts.push(first / limit);
        println!("{:34} {limit:8.2} {first:8.2} {:8.2}", "the first start", first / limit);
        if round > 0 {
            // Then the files are old enough to count as finished.
            std::thread::sleep(Duration::from_secs(11));
            for _ in 0..ROUNDS {
                limits.push(read_all(&files)?);
                starts.push(start_once(&folder)?);
            }
        }
        if round == 0 {
            #[expect(clippy::disallowed_methods, reason = "created by this benchmark")]
            fs::remove_dir_all(&folder)?;
        }
    }
    let (limit, start) = (median(&mut limits), median(&mut starts));
    println!("{:34} {limit:8.2} {start:8.2} {:8.2}", "a later start (median)", start / limit);
    Ok(())
}

fn be_idle(home: &Path, count: usize) -> Outcome<()> {
    let empty = serve(&home.join("empty"))?;
    std::thread::sleep(Duration::from_secs(2));
    let base = empty.memory("VmRSS")?;
    drop(empty);
    let folder = home.join("jobs");
    lay_out(&folder, count)?;
    std::thread::sleep(Duration::from_secs(11));
    let server = serve(&folder)?;
    std::thread::sleep(SETTLING);
    let (before, begin) = (server.processor_time()?, Instant::now());
    std::thread::sleep(IDLE);
    let used = server.processor_time()?.saturating_sub(before);
    let cores = used.as_secs_f64() / begin.elapsed().as_secs_f64();
    let repositories = count * REPOSITORIES;
    let bytes = server.memory("VmRSS")?.saturating_sub(base) / repositories.max(1);
    println!("{count} finished jobs, nothing happens: {cores:.4} cores over {} s", IDLE.as_secs());
    println!("{bytes} bytes of resident memory for each of {repositories} repositories");
    Ok(())
}

/// Seconds from the start of the process to a `/readyz` that answers.
fn start_once(folder: &Path) -> Outcome<f64> {
    let begin = Instant::now();
    let server = serve(folder)?;
    let elapsed = begin.elapsed();
    drop(server);
    Ok(elapsed.as_secs_f64())
}

/// The limit: one thread opens, reads and closes each file.
fn read_all(files: &[CString]) -> Outcome<f64> {
    let mut buffer = vec![0u8; 64 << 10];
    let begin = Instant::now();
    for path in files {
        let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        while read(&file, &mut *buffer)? == buffer.len() {}
    }
    Ok(begin.elapsed().as_secs_f64())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Writes finished jobs with the files that a server writes. Returns the files that a start reads.
fn lay_out(root: &Path, count: usize) -> Outcome<Vec<CString>> {
    fs::create_dir(root)?;
    let attempts = root.join(".attempts");
    fs::create_dir(&attempts)?;
    let mut files = Vec::with_capacity(count * (REPOSITORIES + 1));
    for number in 0..count {
        let id = format!("0198f000-0000-7000-8000-{number:012x}");
        let job = root.join(&id);
        fs::create_dir(&job)?;
        // A server with sandboxed scanners creates this folder.
        fs::create_dir(attempts.join(&id))?;
        for name in ["results", "logs", "locks"] {
            fs::create_dir(job.join(name))?;
        }
        let names: Vec<String> =
            (0..REPOSITORIES).map(|index| format!("group-{number}/repository-{index}")).collect();
        put(&job, "repositories.json", &plan(&names))?;
        for (index, name) in names.iter().enumerate() {
            let path = put(&job, &format!("repo_{index}.json"), &status(index, name))?;
            files.push(CString::new(path.as_os_str().as_bytes())?);
        }
        let path = put(&job, "master.json", &master(&id, number, &names))?;
        files.push(CString::new(path.as_os_str().as_bytes())?);
    }
    Ok(files)
}

fn put(folder: &Path, name: &str, text: &str) -> Outcome<PathBuf> {
    let path = folder.join(name);
    fs::File::create(&path)?.write_all(text.as_bytes())?;
    Ok(path)
}

fn plan(names: &[String]) -> String {
    let rows: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            format!(
                "    {{\n      \"repo_index\": {index},\n      \"repo_name\": \"{name}\",\n      \
                 \"git_url\": \"https://forge.example/{name}.git\"\n    }}"
            )
        })
        .collect();
    format!(
        "{{\n  \"schema\": 1,\n  \"complete\": true,\n  \"repositories\": [\n{}\n  ]\n}}\n",
        rows.join(",\n")
    )
}

fn status(index: usize, name: &str) -> String {
    format!(
        r#"{{
  "schema": 1,
  "repo_index": {index},
  "repo_name": "{name}",
  "git_url": "https://forge.example/{name}.git",
  "status": "completed",
  "attempt": 1,
  "revision": 9,
  "pid": null,
  "started_at": "2026-01-05T10:00:00.125Z",
  "last_update": "2026-01-05T10:00:03.250Z",
  "completed_at": "2026-01-05T10:00:03.250Z",
  "message": "Completed: 12 packages in 3 manifests",
  "stage": "done",
  "stage_index": 6,
  "stage_total": 6,
  "download_bytes": 48123,
  "commit": "5a7855f2f5e2c2b1f0c3d4e5f60718293a4b5c6d",
  "total_files": 3,
  "current_file": 3,
  "percentage": 100.0,
  "dependencies_found": 12,
  "errors": [],
  "error_message": null
}}
"#
    )
}

fn master(id: &str, number: usize, names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("    \"{name}\"")).collect();
    format!(
        r#"{{
  "schema": 1,
  "job_id": "{id}",
  "group_url": "https://forge.example/group-{number}",
  "scan_type": "group",
  "total_repositories": {},
  "status": "completed",
  "started_at": "2026-01-05T10:00:00.000Z",
  "completed_at": "2026-01-05T10:00:09.500Z",
  "last_aggregation": "2026-01-05T10:00:09.500Z",
  "pending_repositories": [],
  "completed_repositories": [
{}
  ],
  "failed_repositories": [],
  "submitted_by": null,
  "options": {{
    "deep": false
  }}
}}
"#,
        names.len(),
        names.join(",\n")
    )
}

fn serve(jobs: &Path) -> Outcome<Program> {
    // Keeps the jobs, although they are old.
    Program::start(jobs, |command| {
        command.args(["--set", "jobs.retention_hours=100000"]);
    })
}
