//! How fast a group of small repositories is scanned, compared with bare `git clone --depth 1` of the same
//! repositories from the same server, as many at once; both are measured alternately within one run:
//! `cargo bench --bench groups`. A forge on this machine lists the group and serves it by `git http-backend`. The
//! time of the group is measured from the submission to the end of the job. For one repository, strace also
//! counts the programs that are started and the flushes of files. Then the group is scanned again without a change.
//! `REPOSITORIES=1000` sets the size of the group, `ROUNDS=1` the number of comparisons. See docs/performance.md.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

#[path = "services/mod.rs"]
mod services;
#[path = "../tests/it/support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::unnecessary_debug_formatting,
    reason = "written for the tests, which use all of it"
)]
mod support;

use serde_json::json;
use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use support::{
    forge::{Forge, program},
    server::{Setup, TestServer},
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const REPOSITORIES: usize = 400;
const UNCHANGED_ROUNDS: usize = 3;
const AT_ONCE: usize = 5;
const ROUNDS: usize = 3;
const NEEDED: &str = "strace is needed, and the right to trace (Debian's package strace)";

fn main() -> Outcome<()> {
    let forge = Forge::start();
    let count = number_of("REPOSITORIES", REPOSITORIES)?;
    let rounds = number_of("ROUNDS", ROUNDS)?;
    let urls: Vec<String> = (0..count).map(|number| services::add(&forge, number)).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&forge, &urls, rounds))
}

/// The number in an environment variable.
fn number_of(variable: &str, default: usize) -> Outcome<usize> {
    std::env::var(variable).map_or(Ok(default), |text| Ok(text.parse()?))
}

async fn measure(forge: &Forge, urls: &[String], rounds: usize) -> Outcome<()> {
    let forges = format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base());
    let server = Setup::new().set("forges", forges).start().await;
    let one = count_of_a_scan(&server, &urls[0]).await?;
    println!("one scan:  {one}");
    println!("one clone: {}", count_of_a_clone(&urls[0])?);
    println!("{:>5} {:>9} {:>9} {:>9} {:>6}", "round", "clones s", "group s", "per hour", "ratio");
    let mut ratios = Vec::new();
    for round in 1..=rounds {
        let clones = clone_all(urls)?;
        let group = scan_group(&server, forge, urls.len(), true).await?;
        let (clones, group) = (clones.as_secs_f64(), group.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let per_hour = urls.len() as f64 * 3600.0 / group;
        println!("{round:5} {clones:9.2} {group:9.2} {per_hour:9.0} {:6.2}", clones / group);
        ratios.push(clones / group);
    }
    ratios.sort_by(f64::total_cmp);
    println!("ratio at the median: {:.2}", ratios[ratios.len() / 2]);
    println!(
        "{:>9} {:>9} {:>9} {:>9} {:>9}",
        "unchanged", "group s", "cpu s", "requests", "fetches"
    );
    for round in 1..=UNCHANGED_ROUNDS {
        let (requests, fetches) = (forge.seen().len(), forge.fetches());
        let cpu = cpu_seconds(server.pid())?;
        let took = scan_group(&server, forge, urls.len(), false).await?.as_secs_f64();
        let cpu = cpu_seconds(server.pid())? - cpu;
        let (requests, fetches) = (forge.seen().len() - requests, forge.fetches() - fetches);
        println!("{round:9} {took:9.2} {cpu:9.2} {requests:9} {fetches:9}");
    }
    Ok(())
}

/// The processor time of a process, and of all that it started and that have ended.
fn cpu_seconds(pid: u32) -> Outcome<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let rest = text.rsplit_once(')').ok_or("an odd /proc/PID/stat")?.1;
    // utime, stime, cutime, cstime of proc_pid_stat(5), in hundredths of a second.
    let ticks = rest.split_ascii_whitespace().skip(11).take(4).map(str::parse::<u32>);
    Ok(f64::from(ticks.sum::<Result<u32, _>>()?) / 100.0)
}

fn clone_all(urls: &[String]) -> Outcome<Duration> {
    let place = tempfile::tempdir()?;
    let begin = Instant::now();
    let mut clones = program("xargs")
        .args([&format!("-P{AT_ONCE}"), "-n1", "git", "clone", "--quiet", "--bare", "--depth", "1"])
        .current_dir(place.path())
        .stdin(Stdio::piped())
        .spawn()?;
    let mut list = clones.stdin.take().ok_or("xargs has no standard input")?;
    list.write_all(urls.join("\n").as_bytes())?;
    drop(list);
    let done = clones.wait()?;
    let took = begin.elapsed();
    let count = fs::read_dir(place.path())?.count();
    if done.success() && count == urls.len() {
        Ok(took)
    } else {
        Err(format!("xargs: {done}, {count} clones").into())
    }
}

async fn scan_group(
    server: &TestServer,
    forge: &Forge,
    count: usize,
    scans_all: bool,
) -> Outcome<Duration> {
    let begin = Instant::now();
    let url = format!("{}/acme", forge.base());
    let job = server.submit_with(&json!({ "git_url": url, "force": scans_all })).await;
    loop {
        // A row for each job, and rarely: the polls of a client take processor time from the scans.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let jobs = server.get("/jobs?limit=1").await.json();
        match jobs["jobs"][0]["status"].as_str() {
            Some("completed") => break,
            Some("pending" | "initializing" | "in_progress" | "running") => {}
            other => return Err(format!("the job is {other:?}").into()),
        }
    }
    let took = begin.elapsed();
    let document = server.progress(&job).await;
    let reused = if scans_all { 0 } else { count };
    let summary = &document["summary"];
    if summary["completed"] == count && summary["reused"] == reused {
        Ok(took)
    } else {
        Err(format!("not all were scanned: {}", document["summary"]).into())
    }
}

/// Counts with strace what the server does while it scans one repository.
async fn count_of_a_scan(server: &TestServer, url: &str) -> Outcome<String> {
    let place = tempfile::tempdir()?;
    let trace = place.path().join("trace");
    let tracer = strace(&trace).args(["-p", &server.pid().to_string()]).spawn();
    let mut tracer = tracer.map_err(|error| format!("{error}: {NEEDED}"))?;
    while !is_traced(server.pid())? {
        if let Some(status) = tracer.try_wait()? {
            return Err(format!("strace: {status}: {NEEDED}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let job = server.submit_with(&json!({ "git_url": url })).await;
    server.finished(&job).await;
    let pid = rustix::process::Pid::from_child(&tracer);
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    tracer.wait()?;
    counted(&trace)
}

/// Whether each thread of a process is traced.
fn is_traced(pid: u32) -> Outcome<bool> {
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(task?.path().join("status")).unwrap_or_default();
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
        if tracer.is_some_and(|pid| pid.trim() == "0") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn count_of_a_clone(url: &str) -> Outcome<String> {
    let place = tempfile::tempdir()?;
    let trace = place.path().join("trace");
    let clone = ["git", "clone", "--quiet", "--bare", "--depth", "1", url];
    strace(&trace).args(clone).current_dir(place.path()).status()?;
    counted(&trace)
}

fn strace(trace: &Path) -> Command {
    let mut strace = program("strace");
    let calls = "trace=execve,fsync,fdatasync";
    // Whole lists of arguments: the command of git comes after many settings.
    strace.args(["-f", "-qq", "-v", "-s", "99", "--seccomp-bpf", "-e", calls]);
    strace.args(["-e", "status=successful", "-o"]);
    strace.arg(trace).stdout(Stdio::null()).stderr(Stdio::null());
    strace
}

/// The programs and flushes in a trace.
fn counted(trace: &Path) -> Outcome<String> {
    let text = fs::read_to_string(trace).map_err(|error| format!("{error}: {NEEDED}"))?;
    let flushes = text.lines().filter(|line| line.contains("sync(")).count();
    let mut programs: BTreeMap<String, usize> = BTreeMap::new();
    for line in text.lines().filter(|line| line.contains("execve(")) {
        *programs.entry(named(line)).or_default() += 1;
    }
    let count: usize = programs.values().sum();
    let named: Vec<_> = programs.iter().map(|(name, times)| format!("{times} {name}")).collect();
    Ok(format!("{count} programs ({}), {flushes} flushes", named.join(", ")))
}

/// The purpose of a program, by its arguments: `git fetch` of `execve("…", ["git", "-c", …, "fetch", …`.
fn named(line: &str) -> String {
    let words: Vec<&str> = line.split('"').skip(3).step_by(2).collect();
    let program = words.first().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let options = ["-c", "--git-dir", "--shallow-file"];
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next() {
        if options.contains(word) {
            rest.next();
        } else if !word.starts_with('-') && !word.contains(['=', '/', ':']) {
            return format!("{program} {word}");
        }
    }
    program.to_owned()
}
