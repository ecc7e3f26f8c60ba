//! How fast the server answers while five scanners burn every core. `cargo bench --bench serving`. See
//! docs/performance.md.
//!
//! With a name it measures that alone: `-- get` reads of one document beside nginx, `-- lists` lists of
//! many jobs.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

#[path = "serving/get.rs"]
mod get;
#[path = "serving/lists.rs"]
mod lists;
#[path = "serving/server.rs"]
mod server;

use std::{
    error::Error,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const ROUNDS: usize = 500;

/// Burns a core until it is told to end.
const BURNER: &str = "#!/bin/sh\n\
    printf '{\"status\":\"scanning\",\"repo_name\":\"burner\"}' > status.tmp\n\
    mv status.tmp \"$SCANWATCH_STATUS_FILE\"\n\
    while :; do :; done\n";

fn main() -> Outcome<()> {
    let is_row = |name: &str| std::env::args().any(|it| it == name);
    if is_row("get") {
        return get::measure();
    }
    if is_row("lists") {
        return lists::measure();
    }
    let home = tempfile::tempdir()?;
    let server = Server::start(home.path())?;
    let idle = Latencies::of(ROUNDS, || server.get("/livez"))?;
    let mut jobs = Vec::new();
    for number in 0..5 {
        jobs.push(server.submit(&format!("https://github.com/bench/burner-{number}.git"))?);
    }
    // All five have written their first status.
    while !jobs
        .iter()
        .all(|job| server.get(&format!("/scan/{job}")).is_ok_and(|it| it.contains("scanning")))
    {
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("{:36} {:>9} {:>9} {:>9}", "", "p50 ms", "p99 ms", "worst ms");
    idle.print("GET /livez, nothing scanning");
    let path = format!("/scan/{}", jobs[0]);
    Latencies::of(ROUNDS, || server.get(&path))?.print("GET /scan/{id}, 5 scanners burning");
    let mut number = 0;
    Latencies::of(ROUNDS, || {
        number += 1;
        server.submit(&format!("https://github.com/bench/queued-{number}.git"))
    })?
    .print("POST /scan, 5 scanners burning");
    Ok(())
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(home: &Path) -> Outcome<Self> {
        let script = home.join("burner.sh");
        fs::File::create(&script)?.write_all(BURNER.as_bytes())?;
        let jobs = home.join("jobs");
        let mut child = command(env!("CARGO_BIN_EXE_scanwatch"))
            .args(["serve", "--listen", "127.0.0.1:0", "--jobs-dir"])
            .arg(&jobs)
            .arg("--set")
            .arg(format!("scanner.command=/bin/sh,{}", script.display()))
            .args(["--set", "log.level=error"])
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().ok_or("no standard error")?;
        let mut first = String::new();
        BufReader::new(stderr).read_line(&mut first)?;
        let address = first.rsplit("http://").next().unwrap_or_default().trim().to_owned();
        let server = Self { child, address };
        while server.get("/readyz").is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    fn connect(&self) -> Outcome<TcpStream> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn exchange(&self, request: &str) -> Outcome<String> {
        let mut stream = self.connect()?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.starts_with("HTTP/1.1 200") { Ok(answer) } else { Err(answer.into()) }
    }

    fn get(&self, path: &str) -> Outcome<String> {
        self.exchange(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ))
    }

    fn submit(&self, url: &str) -> Outcome<String> {
        let body = format!("{{\"git_url\":\"{url}\"}}");
        let answer = self.exchange(&format!(
            "POST /scan HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))?;
        let (_, rest) = answer.split_once("\"job_id\":\"").ok_or("no job id")?;
        Ok(rest.chars().take_while(|c| *c != '"').collect())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A planned stop, so that no burner is left.
        let pid = self.child.id().to_string();
        let _ = command("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the server under measurement, and kill(1)")]
fn command(program: &str) -> Command {
    Command::new(program)
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
        let place = self.0.partition_point(|it| *it < latency);
        self.0.insert(place, latency);
    }

    fn percentile(&self, percent: usize) -> Duration {
        self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)]
    }

    fn print(&self, what: &str) {
        let millis = |it: Duration| it.as_secs_f64() * 1e3;
        println!(
            "{what:36} {:9.2} {:9.2} {:9.2}",
            millis(self.percentile(50)),
            millis(self.percentile(99)),
            millis(self.percentile(100)),
        );
    }
}
