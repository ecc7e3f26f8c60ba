//! How fast a group of small repositories is scanned with an adaptive number of concurrent scans, compared with the
//! best fixed number; alternately within one run, without and beside a command that puts pressure on the machine:
//! `cargo bench --bench pressure -- stress-ng --vm 1 --vm-bytes 70%`. A forge on this machine lists the group and
//! serves it by `git http-backend`. Processes that the kernel killed because memory ran out are counted. See
//! docs/performance.md.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

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
    process::{Child, Stdio},
    time::{Duration, Instant},
};
use support::{
    forge::{Forge, program},
    server::Setup,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const REPOSITORIES: usize = 120;
const ROUNDS: usize = 3;
/// The fixed numbers that are tried; the last one is the ceiling of the adaptive number.
const FIXED: [usize; 4] = [1, 3, 5, 8];

/// A way to choose the number of concurrent scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Choice {
    Fixed(usize),
    Adaptive,
}

/// A command that runs until it is dropped.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(group, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

fn main() -> Outcome<()> {
    // Cargo adds `--bench`.
    let command: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let forge = Forge::start();
    for number in 0..REPOSITORIES {
        add(&forge, number);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&forge, &command))
}

/// Adds a small service with a few manifests.
fn add(forge: &Forge, number: usize) {
    let path = format!("acme/service-{number}");
    let package = format!(r#"{{"name": "s-{number}", "dependencies": {{"pg": "^8"}}}}"#);
    let source = format!("def work_{number}(value):\n    return value\n").repeat(40);
    let repository = forge.add_repository(
        &path,
        &[
            ("package.json", package.as_bytes()),
            ("api/requirements.txt", b"flask==3.0.0\nattrs==23.1.0\nrequests>=2\n"),
            ("api/main.py", source.as_bytes()),
            ("Dockerfile", b"FROM python:3.12-slim\nCOPY api /api\n"),
        ],
    );
    repository.allow_filters();
    forge.listing().add(&path);
}

async fn measure(forge: &Forge, command: &[String]) -> Outcome<()> {
    println!(
        "beside: {}",
        if command.is_empty() { "nothing".to_owned() } else { command.join(" ") }
    );
    let choices: Vec<Choice> =
        FIXED.into_iter().map(Choice::Fixed).chain([Choice::Adaptive]).collect();
    let killed = oom_kills()?;
    let mut rates: BTreeMap<Choice, Vec<f64>> = BTreeMap::new();
    for round in 1..=ROUNDS {
        for choice in &choices {
            let _beside = begin(command)?;
            let (took, slots) = scan(forge, *choice).await?;
            #[expect(clippy::cast_precision_loss, reason = "a small number")]
            let rate = REPOSITORIES as f64 / took.as_secs_f64();
            println!(
                "round {round}: {choice:?}: {rate:.1} repositories/s, {slots} slots at the end"
            );
            rates.entry(*choice).or_default().push(rate);
        }
    }
    let medians: BTreeMap<Choice, f64> =
        rates.into_iter().map(|(choice, rates)| (choice, median(rates))).collect();
    let fixed = medians.iter().filter(|(choice, _)| **choice != Choice::Adaptive);
    let (best, rate) = fixed.max_by(|a, b| a.1.total_cmp(b.1)).ok_or("nothing was measured")?;
    for (choice, rate) in &medians {
        println!("{choice:?}: {rate:.1} repositories/s at the median");
    }
    println!("adaptive / best fixed ({best:?}): {:.2}", medians[&Choice::Adaptive] / rate);
    let last = Choice::Fixed(FIXED[FIXED.len() - 1]);
    println!("adaptive / ceiling: {:.2}", medians[&Choice::Adaptive] / medians[&last]);
    println!("killed because memory ran out: {}", oom_kills()? - killed);
    Ok(())
}

fn begin(command: &[String]) -> Outcome<Option<Beside>> {
    let Some((name, arguments)) = command.split_first() else { return Ok(None) };
    let child =
        program(name).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    // The averages of the kernel cover ten seconds.
    std::thread::sleep(Duration::from_secs(3));
    Ok(Some(Beside(child)))
}

/// Scans the group with a server of its own. Returns the time, and the number of slots at the end.
async fn scan(forge: &Forge, choice: Choice) -> Outcome<(Duration, u64)> {
    let forges = format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base());
    let (most, adaptive) = match choice {
        Choice::Fixed(most) => (most, false),
        Choice::Adaptive => (FIXED[FIXED.len() - 1], true),
    };
    let server = Setup::new()
        .set("forges", forges)
        .set("scanner.max_concurrent_processes", most)
        .set("scanner.adaptive_concurrency", adaptive)
        .start()
        .await;
    let begin = Instant::now();
    let job = server.submit_with(&json!({ "git_url": format!("{}/acme", forge.base()) })).await;
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let jobs = server.get("/jobs?limit=1").await.json();
        match jobs["jobs"][0]["status"].as_str() {
            Some("completed") => break,
            Some("pending" | "initializing" | "in_progress" | "running") => {}
            other => return Err(format!("the job is {other:?}").into()),
        }
    }
    let took = begin.elapsed();
    let document = server.progress(&job).await;
    if document["summary"]["completed"] != REPOSITORIES {
        return Err(format!("not all were scanned: {}", document["summary"]).into());
    }
    let health = server.get("/health").await.json();
    Ok((took, health["scanners"]["slots"].as_u64().unwrap_or_default()))
}

fn oom_kills() -> Outcome<u64> {
    let text = fs::read_to_string("/proc/vmstat")?;
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    Ok(line.and_then(|count| count.trim().parse().ok()).unwrap_or_default())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
