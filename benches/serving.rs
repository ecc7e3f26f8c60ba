//! How fast the server answers while five scanners use all cores: `cargo bench --bench serving`. See
//! docs/performance.md.
//!
//! An argument selects another measurement: `-- get` compares reads of one document with nginx, `-- lists`
//! measures lists of many jobs, `-- packages` searches of the packages of a large job.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

#[path = "serving/get.rs"]
mod get;
#[path = "serving/lists.rs"]
mod lists;
#[path = "serving/packages.rs"]
mod packages;
mod program;
#[path = "serving/server.rs"]
mod server;

use program::{Outcome, Program, command};
use std::{
    fs,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

const ROUNDS: usize = 500;

/// Uses a core until a signal ends it.
const BURNER: &str = "#!/bin/sh\n\
    printf '{\"status\":\"scanning\",\"repo_name\":\"burner\"}' > status.tmp\n\
    mv status.tmp \"$SCANWATCH_STATUS_FILE\"\n\
    while :; do :; done\n";

fn main() -> Outcome<()> {
    let is_row = |name: &str| std::env::args().any(|argument| argument == name);
    if is_row("get") {
        return get::measure();
    }
    if is_row("lists") {
        return lists::measure();
    }
    if is_row("packages") {
        return packages::measure();
    }
    let home = tempfile::tempdir()?;
    let server = serve(home.path())?;
    let idle = Latencies::of(ROUNDS, || get(&server, "/livez"))?;
    let mut jobs = Vec::new();
    for number in 0..5 {
        jobs.push(submit(&server, &format!("https://github.com/bench/burner-{number}.git"))?);
    }
    // All five have written their first status.
    while !jobs.iter().all(|job| {
        get(&server, &format!("/scan/{job}")).is_ok_and(|body| body.contains("scanning"))
    }) {
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("{:36} {:>9} {:>9} {:>9}", "", "p50 ms", "p99 ms", "worst ms");
    idle.print("GET /livez, nothing scanning");
    let path = format!("/scan/{}", jobs[0]);
    Latencies::of(ROUNDS, || get(&server, &path))?.print("GET /scan/{id}, 5 scanners burning");
    let mut number = 0;
    Latencies::of(ROUNDS, || {
        number += 1;
        submit(&server, &format!("https://github.com/bench/queued-{number}.git"))
    })?
    .print("POST /scan, 5 scanners burning");
    Ok(())
}

/// A server whose scanners use a core each.
fn serve(home: &Path) -> Outcome<Program> {
    let script = home.join("burner.sh");
    fs::File::create(&script)?.write_all(BURNER.as_bytes())?;
    Program::start(&home.join("jobs"), |command| {
        command.arg("--set").arg(format!("scanner.command=/bin/sh,{}", script.display()));
    })
}

fn get(server: &Program, path: &str) -> Outcome<String> {
    server.get(path, "")
}

fn submit(server: &Program, url: &str) -> Outcome<String> {
    let body = format!("{{\"git_url\":\"{url}\"}}");
    let answer = server.exchange(&format!(
        "POST /scan HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))?;
    let (_, rest) = answer.split_once("\"job_id\":\"").ok_or("no job id")?;
    Ok(rest.chars().take_while(|c| *c != '"').collect())
}

#[derive(Default)]
struct Latencies(Vec<Duration>);

impl Latencies {
    fn of<T>(rounds: usize, mut work: impl FnMut() -> Outcome<T>) -> Outcome<Self> {
        let mut all = Self::default();
        for _ in 0..rounds {
            let begin = Instant::now();
            work()?;
            all.add(begin.elapsed());
        }
        Ok(all)
    }

    fn add(&mut self, latency: Duration) {
        let place = self.0.partition_point(|earlier| *earlier < latency);
        self.0.insert(place, latency);
    }

    fn percentile(&self, percent: usize) -> Duration {
        self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)]
    }

    fn print(&self, what: &str) {
        let millis = |latency: Duration| latency.as_secs_f64() * 1e3;
        println!(
            "{what:36} {:9.2} {:9.2} {:9.2}",
            millis(self.percentile(50)),
            millis(self.percentile(99)),
            millis(self.percentile(100)),
        );
    }
}
