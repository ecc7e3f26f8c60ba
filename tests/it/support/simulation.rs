//! A real server and a real NATS with simulated agents, from the submission of jobs until each repository is in its final
//! state and nothing is left in NATS; with figures of what it took.

use super::{
    files,
    forge::Forge,
    nats_server::NatsServer,
    server::{Setup, TestServer},
    simulated_agents::{Counts, SimulatedAgents, Work},
};
use async_nats::jetstream;
use futures_util::TryStreamExt;
use serde_json::json;
use std::{
    fmt, fs,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How often the server is asked for the state of all jobs.
const PACE: Duration = Duration::from_millis(100);
/// The pause between two questions for the newest status of a repository.
const SAMPLE: Duration = Duration::from_millis(20);

/// The size of a simulation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Simulation {
    pub(crate) agents: usize,
    pub(crate) jobs: usize,
    /// The repositories of each job.
    pub(crate) repositories: usize,
    pub(crate) work: Work,
    pub(crate) ack_wait: Duration,
    /// The longest time that it may take.
    pub(crate) patience: Duration,
}

/// What it took.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) repositories: usize,
    pub(crate) completed: usize,
    /// How many repositories were taken by an agent more than once.
    pub(crate) repeated: usize,
    /// What agents could not do at first.
    pub(crate) failures: u64,
    /// Repositories whose record or status names another attempt than the first.
    pub(crate) later_attempts: usize,
    pub(crate) enrolled: Duration,
    pub(crate) first_start: Duration,
    /// From its submission, while all slots were in use, to the start of a single repository.
    pub(crate) single_start: Duration,
    /// How many agents counted as silent at once at most.
    pub(crate) silent: u64,
    /// How many consumers the buckets of results had at the end.
    pub(crate) consumers: usize,
    /// From the first submission until all repositories were final.
    pub(crate) took: Duration,
    /// Until nothing was left in NATS after that.
    pub(crate) emptied: Duration,
    /// Attempts and statuses.
    pub(crate) messages: u64,
    pub(crate) heartbeats: u64,
    /// The ages of statuses that were stored and not yet served, sorted.
    pub(crate) lags: Vec<Duration>,
    /// Requests at the end, with the time and the size of their answers.
    pub(crate) answers: Vec<(&'static str, Duration, usize)>,
    /// Of the server, of NATS and of this process.
    pub(crate) usage: [Usage; 3],
}

/// What a process used.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Usage {
    /// The peak of its resident memory, in bytes.
    pub(crate) peak: u64,
    /// The processor time, in seconds.
    pub(crate) cpu: f64,
}

impl Simulation {
    /// Runs the simulation.
    pub(crate) async fn run(&self) -> Figures {
        let forge = Forge::start();
        self.list(&forge);
        let nats = NatsServer::start();
        let server = Setup::new()
            .set("engine.kind", json!("nats"))
            .set("engine.nats", json!([nats.url()]))
            .set("engine.ack_wait_secs", self.ack_wait.as_secs())
            .set("forges", format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base()))
            .set("log.level", json!("warn"))
            .start()
            .await;
        let begin = Instant::now();
        let agents =
            SimulatedAgents::start(&server, &nats, (self.agents, self.ack_wait), self.work);
        let agents = Box::pin(agents).await;
        let slots = self.agents * usize::try_from(self.work.slots).expect("few slots");
        self.wait(&server, "all agents are active", async || {
            let text = server.get("/metrics").await.expect(200).text;
            text.lines().any(|line| line == format!("scanwatch_agent_slots {slots}"))
        })
        .await;
        let mut figures = Figures {
            // And a single one.
            repositories: self.jobs * self.repositories + 1,
            enrolled: begin.elapsed(),
            ..Figures::default()
        };
        Box::pin(self.scan((&server, &nats, &forge), (&agents.counts, &mut figures))).await;
        drop(agents);
        (figures.completed, figures.later_attempts) = finals(&server);
        figures
    }

    fn list(&self, forge: &Forge) {
        for job in 0..self.jobs {
            for number in 0..self.repositories {
                forge.listing().add(&format!("group-{job}/service-{number}"));
            }
        }
        forge.listing().add("alone/single");
    }

    async fn wait(
        &self,
        server: &TestServer,
        what: &str,
        mut condition: impl AsyncFnMut() -> bool,
    ) {
        let begin = Instant::now();
        while !condition().await {
            assert!(
                begin.elapsed() < self.patience,
                "{what}: not after {:?}: {}",
                self.patience,
                server.setup().log()
            );
            sleep(PACE).await;
        }
    }

    async fn scan(
        &self,
        (server, nats, forge): (&TestServer, &NatsServer, &Forge),
        (counts, figures): (&Counts, &mut Figures),
    ) {
        let used = || [server.pid(), nats.pid(), std::process::id()].map(usage);
        let before = used();
        let begin = Instant::now();
        for job in 0..self.jobs {
            server
                .submit_with(&json!({ "git_url": format!("{}/group-{job}", forge.base()) }))
                .await;
        }
        let single = async {
            self.wait(server, "half of the repositories are taken", async || {
                counts.repositories() * 2 > self.jobs * self.repositories
            })
            .await;
            let begin = Instant::now();
            let url = format!("{}/alone/single", forge.base());
            let job = server.submit_with(&json!({ "git_url": url })).await;
            self.wait(server, "a single repository has begun", async || counts.has_taken(&job))
                .await;
            begin.elapsed()
        };
        let all = async {
            self.wait(server, "all repositories are final", async || {
                let mut unfinished = 0;
                for state in ["pending", "running"] {
                    unfinished += total(server, &format!("status={state}")).await;
                }
                unfinished == 0 && total(server, "").await > self.jobs as u64
            })
            .await;
            begin.elapsed()
        };
        let (mut lags, mut silent) = (Vec::new(), 0);
        (figures.single_start, figures.took) = tokio::select! {
            times = async { tokio::join!(single, all) } => times,
            () = sample(server, counts, &mut lags) => unreachable!("sampling does not end"),
            () = count_silent(server, &mut silent) => unreachable!("counting does not end"),
        };
        figures.silent = silent;
        figures.first_start = counts.first().unwrap_or(begin).saturating_duration_since(begin);
        figures.lags = lags;
        figures.lags.sort_unstable();
        let begin = Instant::now();
        figures.consumers = stored(nats).await.1;
        self.wait(server, "NATS is empty", async || stored(nats).await.0 == 0).await;
        figures.emptied = begin.elapsed();
        for (figure, (before, now)) in figures.usage.iter_mut().zip(before.iter().zip(used())) {
            *figure = Usage { cpu: now.cpu - before.cpu, ..now };
        }
        figures.messages = [&counts.attempts, &counts.statuses]
            .map(|count| count.load(Ordering::Relaxed))
            .iter()
            .sum();
        figures.heartbeats = counts.heartbeats.load(Ordering::Relaxed);
        figures.failures = counts.failures.load(Ordering::Relaxed);
        figures.repeated = counts.repeated();
        for path in ["/health", "/agents", "/metrics"] {
            let begin = Instant::now();
            let answer = server.get(path).await.expect(200);
            figures.answers.push((path, begin.elapsed(), answer.text.len()));
        }
    }
}

/// The number of jobs that a query of `/jobs` finds.
async fn total(server: &TestServer, query: &str) -> u64 {
    let jobs = server.get(&format!("/jobs?per_page=1&{query}")).await.expect(200).json();
    jobs["total"].as_u64().expect("a list has its length")
}

/// Again and again, for how long a status has been stored that the API does not show yet.
async fn sample(server: &TestServer, counts: &Counts, lags: &mut Vec<Duration>) {
    loop {
        sleep(SAMPLE).await;
        let Some(key) = counts.sample() else { continue };
        let path = format!("/scan/{}/repositories/{}", key.job.as_str(), key.index);
        let row = server.get(&path).await.expect(200).json();
        if ["starting", "scanning", "pending"].iter().any(|state| row["status"] == *state) {
            let number = row["current_file"].as_u64().unwrap_or_default();
            lags.extend(counts.age_beyond(&key, usize::try_from(number).expect("few statuses")));
        }
    }
}

/// Again and again, how many agents count as silent; the highest number stays.
async fn count_silent(server: &TestServer, most: &mut u64) {
    loop {
        sleep(PACE).await;
        let text = server.get("/metrics").await.expect(200).text;
        let line = "scanwatch_agents{state=\"silent\"} ";
        let number = text.lines().find_map(|found| found.strip_prefix(line)?.parse().ok());
        *most = number.unwrap_or(u64::MAX).max(*most);
    }
}

/// How many attempts, statuses and parts of objects are stored in NATS, and how many consumers buckets of results have.
async fn stored(nats: &NatsServer) -> (u64, usize) {
    let client = async_nats::connect(nats.url()).await.expect("NATS runs");
    let streams: Vec<_> =
        jetstream::new(client).streams().try_collect().await.expect("NATS answers");
    let is_of_scans = |name: &str| {
        name.ends_with("_ATTEMPTS") || name.ends_with("_status") || name.starts_with("OBJ_")
    };
    let scans = streams.iter().filter(|stream| is_of_scans(&stream.config.name));
    let buckets = streams.iter().filter(|stream| stream.config.name.starts_with("OBJ_"));
    (
        scans.map(|stream| stream.state.messages).sum(),
        buckets.map(|stream| stream.state.consumer_count).sum(),
    )
}

/// Checks the final files of each repository. Returns how many are completed, and how many of these not by their first
/// attempt.
fn finals(server: &TestServer) -> (usize, usize) {
    let (mut completed, mut later) = (0, 0);
    for job in fs::read_dir(server.setup().jobs()).expect("the folder of all jobs").flatten() {
        for entry in fs::read_dir(job.path()).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            let number = name.strip_prefix("repo_").and_then(|rest| rest.strip_suffix(".json"));
            let Some(number) = number else { continue };
            let status = files::json(&entry.path()).unwrap_or_default();
            let record = job.path().join(format!("locks/repo_{number}.attempt.json"));
            let record = files::json(&record).unwrap_or_default();
            let has_result = job.path().join(format!("results/repo_{number}.json")).exists();
            completed += usize::from(status["status"] == "completed" && has_result);
            later += usize::from(status["attempt"] != 1 || record["attempt"] != 1);
        }
    }
    (completed, later)
}

/// What a process has used so far.
fn usage(pid: u32) -> Usage {
    let text = |name: &str| files::text(format!("/proc/{pid}/{name}").as_ref());
    let status = text("status");
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let stat = text("stat");
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    // utime and stime of proc_pid_stat(5), in hundredths of a second.
    let ticks = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u32>().ok());
    Usage {
        peak: peak.and_then(|peak| peak.trim().parse::<u64>().ok()).unwrap_or_default() << 10,
        cpu: f64::from(ticks.sum::<u32>()) / 100.0,
    }
}

impl Figures {
    /// A lag that this share of all, in percent, do not exceed.
    pub(crate) fn lag(&self, percent: usize) -> Duration {
        let last = self.lags.len().saturating_sub(1);
        self.lags.get((self.lags.len() * percent / 100).min(last)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = |time: Duration| time.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let per_second = |count: u64| count as f64 / self.took.as_secs_f64();
        let repositories = self.repositories as u64;
        writeln!(
            f,
            "{} of {repositories} completed, {} taken again, {} by a later attempt, {} failures of agents, {} silent at once; {} consumers of results at the end",
            self.completed,
            self.repeated,
            self.later_attempts,
            self.failures,
            self.silent,
            self.consumers
        )?;
        writeln!(
            f,
            "agents enrolled and active in {:.1} s; first start {:.2} s after the first submission, of a single repository under full load {:.2} s",
            secs(self.enrolled),
            secs(self.first_start),
            secs(self.single_start)
        )?;
        writeln!(
            f,
            "{:.1} s: {:.0} repositories, {:.0} messages (attempts and statuses) and {:.0} heartbeats a second; NATS empty {:.1} s later",
            secs(self.took),
            per_second(repositories),
            per_second(self.messages),
            per_second(self.heartbeats),
            secs(self.emptied)
        )?;
        let [p50, p99, worst] = [50, 99, 100].map(|percent| secs(self.lag(percent)) * 1e3);
        writeln!(
            f,
            "age of statuses that are not served yet: p50 {p50:.0} ms, p99 {p99:.0} ms, worst {worst:.0} ms, of {}",
            self.lags.len()
        )?;
        for (name, used) in ["server", "NATS", "this program"].iter().zip(&self.usage) {
            writeln!(
                f,
                "{name}: {:.1} s of processor time, peak {} MB",
                used.cpu,
                used.peak >> 20
            )?;
        }
        for (path, took, size) in &self.answers {
            writeln!(f, "{path}: {:.1} ms, {size} bytes", secs(*took) * 1e3)?;
        }
        Ok(())
    }
}
