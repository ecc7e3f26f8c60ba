//! From the rename of a status file on the machine of its scanner to the bytes of the server's event stream: on an agent
//! and on a server that scans itself, alternately. The pace is slower than the ten statuses a second of an attempt that an
//! agent passes on.

use crate::{
    Outcome,
    latencies::Latencies,
    support::{
        agent::TestAgent,
        nats_server::NatsServer,
        server::{Setup, TestServer},
        wait::eventually,
    },
};
use futures_util::StreamExt;
use serde_json::json;
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

const PACE: Duration = Duration::from_millis(130);
const TURNS: usize = 10;
/// Renames of one turn.
const RENAMES: usize = 30;
const PATIENCE: Duration = Duration::from_secs(20);
/// A scan that does nothing until the file `go` exists: this program writes its statuses.
const IDLE: &str = r#"
say scanning
while [ ! -e "$dir/go" ]; do sleep 0.5; done
say completed
"#;

/// The number of a status, and when it was seen.
type Seen = (usize, Instant);

/// A running scan, and the stream of its job.
struct Scan {
    status: PathBuf,
    staging: PathBuf,
    seen: Receiver<Seen>,
}

pub(crate) async fn measure() -> Outcome<()> {
    let local = Setup::new().shell(IDLE).start().await;
    let job = local.submit("a").await;
    local.working(&job).await;
    let by_local = Scan::of(&local, &job, &local.setup().jobs())?;

    let nats = NatsServer::start();
    let setup = Setup::new().set("engine.kind", json!("nats"));
    let server = setup.set("engine.nats", json!([nats.url()])).start().await;
    let mut agent = TestAgent::new("one", &nats, IDLE);
    let enrolls = json!({ "name": "one", "public_key": agent.key().as_str() });
    server.post("/agents", &enrolls).await.expect(200);
    agent.start();
    let job = server.submit("a").await;
    eventually("the agent scans", async || {
        server.progress(&job).await["summary"]["in_progress"] == 1
    })
    .await;
    let by_agent = Scan::of(&server, &job, &agent.work())?;

    let (mut locally, mut remotely) = (Latencies::default(), Latencies::default());
    let (mut to_nats, stored) = (Latencies::default(), stored(&nats).await?);
    for turn in 0..TURNS {
        by_local.play(turn * RENAMES + 1, &mut locally, None)?;
        by_agent.play(turn * RENAMES + 1, &mut remotely, Some((&stored, &mut to_nats)))?;
    }
    Latencies::print_head();
    to_nats.print("a rename on an agent → another client of NATS");
    locally.print("a rename → bytes, scanned by the server");
    remotely.print("a rename → bytes, scanned by an agent");
    remotely.print_ratio(&locally, "a scan by the server");
    local_end(&local, &agent);
    Ok(())
}

/// Lets both scans end.
fn local_end(local: &TestServer, agent: &TestAgent) {
    crate::support::files::write(&local.file("go"), "");
    agent.release();
}

/// When each status is seen by another client of NATS.
async fn stored(nats: &NatsServer) -> Outcome<Receiver<Seen>> {
    let client = async_nats::connect(nats.url()).await?;
    let mut statuses = client.subscribe("$KV.scanwatch_status.>").await?;
    client.flush().await?;
    let (sender, seen) = mpsc::channel();
    #[expect(clippy::disallowed_methods, reason = "it ends with the program")]
    tokio::spawn(async move {
        let _client = client;
        while let Some(message) = statuses.next().await {
            let at = Instant::now();
            if let Some(number) = number_in(&String::from_utf8_lossy(&message.payload)) {
                let _ = sender.send((number, at));
            }
        }
    });
    Ok(seen)
}

/// The number of a status.
fn number_in(text: &str) -> Option<usize> {
    let (_, rest) = text.split_once("\"current_file\":")?;
    rest.split([',', '}']).next()?.trim().parse().ok()
}

/// Waits until a status is seen; returns when.
fn wait(seen: &Receiver<Seen>, number: usize) -> Outcome<Instant> {
    loop {
        let (seen, at) = seen.recv_timeout(PATIENCE)?;
        if seen == number {
            return Ok(at);
        }
    }
}

impl Scan {
    fn of(server: &TestServer, job: &str, folder: &Path) -> Outcome<Self> {
        let mut stream = TcpStream::connect(server.address())?;
        write!(stream, "GET /scan/{job}/events HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let (sender, seen) = mpsc::channel();
        let (begun, has_begun) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let at = Instant::now();
                if line == "event: snapshot" {
                    let _ = begun.send(());
                } else if let Some(number) = number_in(&line) {
                    let _ = sender.send((number, at));
                }
            }
        });
        has_begun.recv_timeout(PATIENCE)?;
        let status = folder.join(job).join("repo_0.json");
        Ok(Self { status, staging: folder.join(".staging/bench.tmp"), seen })
    }

    /// One turn.
    fn play(
        &self,
        first: usize,
        latencies: &mut Latencies,
        mut on_the_way: Option<(&Receiver<Seen>, &mut Latencies)>,
    ) -> Outcome<()> {
        let start = Instant::now();
        for number in first..first + RENAMES {
            let due = start + PACE * u32::try_from(number - first)?;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let now = chrono::Utc::now();
            let text = json!({
                "repo_index": 0, "repo_name": "a", "status": "scanning", "last_update": now,
                "total_files": 1_000_000, "current_file": number,
            });
            fs::File::create(&self.staging)?.write_all(text.to_string().as_bytes())?;
            let begin = Instant::now();
            fs::rename(&self.staging, &self.status)?;
            latencies.add(wait(&self.seen, number)? - begin);
            if let Some((seen, latencies)) = &mut on_the_way {
                latencies.add(wait(seen, number)? - begin);
            }
        }
        Ok(())
    }
}
