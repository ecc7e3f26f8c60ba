//! Clients that disconnect while a request that writes is running: the request either completes or
//! never starts.
//!
//! `SCANWATCH_ROUNDS=1000 cargo test --test it disconnects::` runs that many rounds; `SCANWATCH_SEED`
//! picks another sequence.

use crate::support::{
    dice::Dice,
    files,
    h2::{self, frame},
    rounds::rounds,
    server::{Setup, TestServer, is_final},
    wait::{PATIENCE, eventually},
};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};

/// Fails on the first attempt, waits, or finishes at once, depending on the repository's name.
const SCANNER: &str = r#"
case "$SCANWATCH_REPO_NAME" in
fails-*) [ "$attempt" = 1 ] && exit 3 ;;
waits-*)
    say scanning
    while [ ! -e "$dir/go" ]; do sleep 0.05; done
    ;;
esac
say completed
"#;

/// Concurrent requests.
const AT_ONCE: usize = 8;

/// A request of one round, and how its client disconnects.
#[derive(Debug)]
struct Round {
    method: &'static str,
    path: String,
    body: String,
    /// After this delay, counted from the last byte sent.
    after: Duration,
    leaves: Disconnect,
}

#[derive(Debug, Clone, Copy)]
enum Disconnect {
    /// By a reset.
    Reset,
    /// By an orderly close.
    Close,
    /// Before the whole request is sent: after this many of 100 parts of it.
    Half(u64),
    /// By resetting its HTTP/2 stream.
    TakesBack,
}

impl Round {
    fn bytes(&self) -> Vec<u8> {
        let Self { method, path, body, .. } = self;
        let length = body.len();
        format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    /// Sends the request and disconnects.
    async fn play(&self, address: SocketAddr) {
        let mut line = TcpStream::connect(address).await.expect("the server takes connections");
        line.set_nodelay(true).expect("a connection");
        let bytes = self.bytes();
        match self.leaves {
            Disconnect::Reset | Disconnect::Close => {
                let _ = line.write_all(&bytes).await;
                sleep(self.after).await;
                if matches!(self.leaves, Disconnect::Reset) {
                    line.set_zero_linger().expect("a connection");
                }
            }
            Disconnect::Half(part) => {
                let end = bytes.len() * usize::try_from(part).expect("a small number") / 100;
                let _ = line.write_all(&bytes[..end]).await;
                sleep(self.after).await;
            }
            Disconnect::TakesBack => {
                let more = [("content-type", "application/json")];
                let block = h2::block(self.method, &self.path, &more);
                let head = frame(h2::HEADERS, h2::END_HEADERS, 1, &block);
                let body = frame(h2::DATA, h2::END_STREAM, 1, self.body.as_bytes());
                let _ = line.write_all(&[h2::opening(&[]), head, body].concat()).await;
                sleep(self.after).await;
                let _ = line.write_all(&frame(h2::RST_STREAM, 0, 1, &[0, 0, 0, 8])).await;
                // The connection stays open for a moment: only the request is gone.
                sleep(self.after).await;
            }
        }
    }
}

/// Job folders, by name.
fn on_disk(server: &TestServer) -> BTreeSet<String> {
    let entries = std::fs::read_dir(server.setup().jobs()).unwrap().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| !name.starts_with('.')).collect()
}

/// Every job the server lists, with its progress document.
async fn known(server: &TestServer) -> BTreeMap<String, Value> {
    let mut jobs = BTreeMap::new();
    for page in 1.. {
        let list = server.get(&format!("/jobs?per_page=100&page={page}")).await.expect(200).json();
        let rows = list["jobs"].as_array().unwrap();
        for row in rows {
            let id = row["job_id"].as_str().unwrap().to_owned();
            let answer = server.get(&format!("/scan/{id}")).await;
            // It may have been removed in the meantime.
            if answer.status == 200 {
                jobs.insert(id, answer.json());
            }
        }
        if rows.len() < 100 {
            break;
        }
    }
    jobs
}

/// What a round requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Submit,
    Retry,
    Cancel,
    Remove,
}

fn kind(dice: &mut Dice) -> Kind {
    match dice.below(5) {
        0 | 1 => Kind::Submit,
        2 => Kind::Retry,
        3 => Kind::Cancel,
        _ => Kind::Remove,
    }
}

/// A seeded plan: the jobs it needs are submitted first.
async fn plan(server: &TestServer, seed: u64, count: u64) -> Vec<Round> {
    let began = Instant::now();
    server.submit("first").await;
    let usual = u64::try_from(began.elapsed().as_micros()).unwrap();
    // Those that will be retried must fail before others take all slots.
    let mut failed = BTreeMap::new();
    for number in 0..count {
        if kind(&mut Dice::of_round(seed, number)) == Kind::Retry {
            failed.insert(number, server.submit(&format!("fails-{number}")).await);
        }
    }
    for job in failed.values() {
        assert_eq!(server.finished(job).await["status"], "failed");
    }
    let mut rounds = Vec::new();
    for number in 0..count {
        let mut dice = Dice::of_round(seed, number);
        let (method, path, body) = match kind(&mut dice) {
            Kind::Submit => {
                let url = format!("https://github.com/acme/new-{number}.git");
                ("POST", "/scan".to_owned(), json!({ "git_url": url }).to_string())
            }
            Kind::Retry => ("POST", format!("/scan/{}/retry", failed[&number]), String::new()),
            Kind::Cancel => {
                let job = server.submit(&format!("waits-{number}")).await;
                ("POST", format!("/scan/{job}/cancel"), String::new())
            }
            Kind::Remove => {
                let name = if dice.one_in(2) { "waits" } else { "done" };
                let job = server.submit(&format!("{name}-{number}")).await;
                ("DELETE", format!("/scan/{job}"), String::new())
            }
        };
        let leaves = match dice.below(8) {
            0..=2 => Disconnect::Reset,
            3..=4 => Disconnect::Close,
            5 => Disconnect::Half(dice.below(100)),
            _ => Disconnect::TakesBack,
        };
        // From before the request is read until after it is answered.
        let after = Duration::from_micros(dice.below(usual * 3 / 2 + 1));
        rounds.push(Round { method, path, body, after, leaves });
    }
    rounds
}

/// Breaks if a client that disconnects aborts what it started: a job that nobody works on and that
/// never ends, a job folder unknown to the server, a state that only a restart repairs.
#[tokio::test]
async fn every_job_on_disk_ends_whenever_clients_disconnect() {
    let seed =
        std::env::var("SCANWATCH_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(4711);
    let count = rounds(40);
    let setup = Setup::new().shell(SCANNER).set("scanner.kill_grace_secs", 1);
    let mut server = setup.set("jobs.max_queued_jobs", 100_000).start().await;
    let rounds = plan(&server, seed, count).await;
    let address = server.address();
    stream::iter(&rounds).for_each_concurrent(AT_ONCE, |round| round.play(address)).await;
    files::write(&server.file("go"), "");

    let described = |jobs: &BTreeSet<String>| -> String {
        let of = |job: &String| {
            let round = rounds.iter().find(|round| round.path.contains(job.as_str()));
            format!("{job}: {round:?}")
        };
        jobs.iter().map(of).collect::<Vec<_>>().join("\n")
    };
    // At most one second for each repository left to scan.
    let began = Instant::now();
    let patience = PATIENCE + Duration::from_secs(count);
    let ended = loop {
        let jobs = known(&server).await;
        let working = jobs.iter().filter(|(_, value)| !is_final(value)).map(|(id, _)| id.clone());
        let working: BTreeSet<String> = working.collect();
        let names: BTreeSet<String> = jobs.keys().cloned().collect();
        let on_disk = on_disk(&server);
        let strangers: BTreeSet<_> = on_disk.symmetric_difference(&names).cloned().collect();
        if working.is_empty() && strangers.is_empty() {
            break jobs;
        }
        let report = format!(
            "seed {seed}: of {} jobs {} do not end, and {} are on one side alone:\n{}\n{}",
            on_disk.len(),
            working.len(),
            strangers.len(),
            described(&working),
            described(&strangers)
        );
        assert!(began.elapsed() < patience, "{report}");
        sleep(Duration::from_millis(200)).await;
    };
    server.no_process_left(Duration::from_secs(20)).await;
    eventually("nothing is left behind", async || {
        let staging = server.setup().jobs().join(".staging");
        std::fs::read_dir(staging).unwrap().flatten().next().is_none()
    })
    .await;
    server.get("/health").await.expect(200);

    // What this server reports must hold after a restart as well.
    let states = |jobs: &BTreeMap<String, Value>| -> BTreeMap<String, Value> {
        jobs.iter().map(|(id, value)| (id.clone(), value["status"].clone())).collect()
    };
    assert_eq!(server.terminate().await, Some(0));
    server.restart().await;
    assert_eq!(states(&known(&server).await), states(&ended), "seed {seed}");
}
