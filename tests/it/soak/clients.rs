//! Clients of the server: one loop for each, until all are stopped.

use crate::support::{
    dice::Dice,
    forge::Forge,
    h2::{self, frame},
    server::TestServer,
    ws::upgrade,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

/// How many of each kind.
const POLITE: u64 = 5;
const LEAVING: u64 = 8;
const STALLING: u64 = 20;
const FLOODING: u64 = 2;

/// How long a client waits for anything.
const PATIENCE: Duration = Duration::from_mins(1);

/// What clients share.
#[derive(Debug)]
pub(super) struct World {
    address: SocketAddr,
    urls: Vec<String>,
    /// Method and path of every route, by the server's own description.
    routes: Vec<(String, String)>,
    down: AtomicBool,
    accepted: Mutex<BTreeSet<String>>,
    /// Jobs that a client may have removed.
    removed: Mutex<BTreeSet<String>>,
    latencies: Mutex<Vec<Duration>>,
    asked: AtomicU64,
    left: AtomicU64,
    stalled: AtomicU64,
    flooded: AtomicU64,
}

impl World {
    pub(super) async fn new(server: &TestServer, forge: &Forge) -> Self {
        let names = ["one", "two", "three", "deep/four", "large", "many", "missing"];
        let repositories = names.iter().map(|name| format!("{}/acme/{name}.git", forge.base()));
        let groups = [format!("{}/acme", forge.base()), format!("{}/acme/deep", forge.base())];
        let document = server.get("/openapi.json").await.expect(200).json();
        let paths = document["paths"].as_object().expect("paths").iter();
        let routes = paths.flat_map(|(path, methods)| {
            let known =
                ["get", "post", "delete"].into_iter().filter(|method| !methods[method].is_null());
            known.map(|method| (method.to_uppercase(), path.clone()))
        });
        Self {
            address: server.address(),
            urls: repositories.chain(groups).collect(),
            routes: routes.collect(),
            down: AtomicBool::new(false),
            accepted: Mutex::default(),
            removed: Mutex::default(),
            latencies: Mutex::default(),
            asked: AtomicU64::new(0),
            left: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
            flooded: AtomicU64::new(0),
        }
    }

    /// Records whether the server is being killed, or started.
    pub(super) fn is_down(&self, down: bool) {
        self.down.store(down, Relaxed);
    }

    /// Records that a client removes a job.
    pub(super) fn removes(&self, job: &str) {
        self.removed.lock().unwrap().insert(job.to_owned());
    }

    /// The accepted jobs that were not removed, and that do not exist.
    pub(super) fn missing(&self, there: &BTreeSet<String>) -> Vec<String> {
        let (accepted, removed) = (self.accepted.lock().unwrap(), self.removed.lock().unwrap());
        accepted
            .iter()
            .filter(|id| !removed.contains(*id) && !there.contains(*id))
            .cloned()
            .collect()
    }

    pub(super) fn latencies(&self) -> MutexGuard<'_, Vec<Duration>> {
        self.latencies.lock().unwrap()
    }

    fn some_job(&self, dice: &mut Dice) -> String {
        let accepted = self.accepted.lock().unwrap();
        // Mostly one of the newest.
        let newest: Vec<_> = accepted.iter().rev().take(40).collect();
        dice.pick(&newest).map_or_else(|| "unknown".to_owned(), |id| (*id).clone())
    }

    /// Any route, with valid parameters.
    fn some_request(&self, dice: &mut Dice) -> String {
        let (method, path) = dice.pick(&self.routes).expect("there are routes").clone();
        let job = self.some_job(dice);
        if method == "DELETE" {
            // Otherwise there would soon be none left to request.
            if !dice.one_in(8) {
                return format!("GET /scan/{job} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
            }
            self.removes(&job);
        }
        let path = path.replace("{id}", &job).replace("{n}", &dice.below(4).to_string());
        let query =
            ["", "?format=csv", "?format=spdx", "?view=summary", "?per_page=1000", "?follow=true"];
        let query = dice.pick(&query).copied().unwrap_or_default();
        let body =
            if path == "/scan" { self.some_submission(dice).to_string() } else { String::new() };
        format!(
            "{method} {path}{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn some_submission(&self, dice: &mut Dice) -> Value {
        let url = dice.pick(&self.urls).expect("there are repositories");
        json!({ "git_url": url, "deep": dice.one_in(4), "retries": dice.below(2) })
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} jobs accepted, {} perhaps removed, {} requests, {} that were left, {} stalls, {} floods",
            self.accepted.lock().unwrap().len(),
            self.removed.lock().unwrap().len(),
            self.asked.load(Relaxed),
            self.left.load(Relaxed),
            self.stalled.load(Relaxed),
            self.flooded.load(Relaxed)
        )
    }
}

/// All clients.
#[derive(Debug)]
pub(super) struct Clients {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Clients {
    pub(super) fn start(world: &Arc<World>, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let mut number = 0;
        let mut next = || {
            number += 1;
            (Arc::clone(world), Arc::clone(&stop), Dice::of_round(seed, number))
        };
        macro_rules! add {
            ($count:expr, $client:ident) => {
                for _ in 0..$count {
                    let (world, stop, mut dice) = next();
                    tasks.spawn(async move {
                        while !stop.load(Relaxed) {
                            $client(&world, &mut dice).await;
                        }
                    });
                }
            };
        }
        add!(POLITE, reads_to_the_end);
        add!(LEAVING, leaves);
        add!(STALLING, stalls);
        add!(FLOODING, floods);
        add!(1, asks_where_a_job_stands);
        Self { stop, tasks }
    }

    /// Waits until all of them have stopped.
    pub(super) async fn stop(mut self) {
        self.stop.store(true, Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a client does not panic");
        }
    }
}

/// The answer to a request, if there is one: a dying server gives none.
async fn ask(world: &World, request: reqwest::RequestBuilder) -> Option<(u16, Vec<u8>)> {
    world.asked.fetch_add(1, Relaxed);
    let answer = request.timeout(PATIENCE).send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, answer.bytes().await.ok()?.to_vec()))
}

/// Submits a job, follows it to its end, and fetches its findings; sometimes it cancels.
async fn reads_to_the_end(world: &World, dice: &mut Dice) {
    let client = scanwatch::http::client().build().expect("a client");
    let url = |path: &str| format!("http://{}{path}", world.address);
    let body = world.some_submission(dice);
    let Some((status, answer)) = ask(world, client.post(url("/scan")).json(&body)).await else {
        return sleep(Duration::from_millis(200)).await;
    };
    if status != 200 {
        return sleep(Duration::from_secs(1)).await;
    }
    let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
    let job = answer["job_id"].as_str().expect("a job has an id").to_owned();
    world.accepted.lock().unwrap().insert(job.clone());
    if dice.one_in(6) {
        sleep(Duration::from_millis(dice.below(1_000))).await;
        ask(world, client.post(url(&format!("/scan/{job}/cancel")))).await;
    }
    ask(world, client.get(url(&format!("/scan/{job}/events")))).await;
    for path in [
        format!("/jobs/{job}/results"),
        format!("/jobs/{job}/results?format=csv"),
        format!("/scan/{job}/sbom"),
        format!("/scan/{job}/sbom?format=spdx"),
        format!("/scan/{job}/repositories"),
        format!("/scan/{job}/repositories/0/packages"),
        format!("/scan/{job}/repositories/0/log"),
    ] {
        ask(world, client.get(url(&path))).await;
    }
    if dice.one_in(4) {
        ask(world, client.post(url(&format!("/scan/{job}/retry")))).await;
    }
    if dice.one_in(3) {
        world.removes(&job);
        ask(world, client.delete(url(&format!("/scan/{job}")))).await;
    }
}

/// Connects; a server that is down is retried soon.
async fn connect(world: &World, window: Option<u32>) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    if let Some(window) = window {
        socket.set_recv_buffer_size(window).expect("a socket");
    }
    let connected = socket.connect(world.address).await.ok();
    if connected.is_none() {
        sleep(Duration::from_millis(200)).await;
    }
    connected
}

/// Requests anything, and disconnects at any moment.
async fn leaves(world: &World, dice: &mut Dice) {
    let Some(mut line) = connect(world, None).await else { return };
    let request = world.some_request(dice);
    let _ = line.write_all(request.as_bytes()).await;
    sleep(Duration::from_micros(dice.below(50_000))).await;
    if dice.one_in(2) {
        let _ = line.set_zero_linger();
    }
    world.left.fetch_add(1, Relaxed);
}

/// Requests a long answer, reads the beginning, and then nothing for a while.
async fn stalls(world: &World, dice: &mut Dice) {
    let Some(mut line) = connect(world, Some(4096)).await else { return };
    let job = world.some_job(dice);
    let get = |path: String| format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let request = match dice.below(7) {
        0 => get(format!("/scan/{job}/events")),
        1 => upgrade(&format!("/scan/{job}/ws"), ""),
        2 => get("/events".to_owned()),
        3 => get(format!("/scan/{job}/repositories/0/log?follow=true")),
        4 => get(format!("/scan/{job}/sbom")),
        5 => get(format!("/jobs/{job}/results?format=csv")),
        // A body that never arrives.
        _ => "POST /scan HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{".to_owned(),
    };
    let _ = line.write_all(request.as_bytes()).await;
    let _ = timeout(Duration::from_secs(5), line.read(&mut [0; 64])).await;
    sleep(Duration::from_millis(dice.below(15_000))).await;
    world.stalled.fetch_add(1, Relaxed);
}

/// Sends useless requests, as fast as it can, until the server stops it.
async fn floods(world: &World, dice: &mut Dice) {
    let Some(mut line) = connect(world, Some(4096)).await else { return };
    let job = world.some_job(dice);
    let (opening, burst) = match dice.below(5) {
        0 => {
            let ping = [0x89, 0x80, 0, 0, 0, 0];
            (upgrade(&format!("/scan/{job}/ws"), "").into_bytes(), ping.repeat(500))
        }
        1 => (h2::opening(&[]), frame(h2::PING, 0, 0, &[0; 8]).repeat(300)),
        2 => (h2::opening(&[]), frame(0x77, 0, 0, &[0; 100]).repeat(50)),
        3 => (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n".to_vec(), b"X: y\r\n".repeat(100)),
        _ => (Vec::new(), b"FOO a:1 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(50)),
    };
    let flood = async {
        let _ = line.write_all(&opening).await;
        while line.write_all(&burst).await.is_ok() {}
    };
    let _ = timeout(Duration::from_secs(5), flood).await;
    world.flooded.fetch_add(1, Relaxed);
    sleep(Duration::from_millis(dice.below(2_000))).await;
}

/// Polls a job's state on a persistent connection, and measures that.
async fn asks_where_a_job_stands(world: &World, dice: &mut Dice) {
    let client = scanwatch::http::client().build().expect("a client");
    for _ in 0..50 {
        let url = format!("http://{}/scan/{}", world.address, world.some_job(dice));
        let (began, was_down) = (Instant::now(), world.down.load(Relaxed));
        let answer = ask(world, client.get(url)).await;
        if answer.is_some() && !was_down && !world.down.load(Relaxed) {
            world.latencies().push(began.elapsed());
        }
        sleep(Duration::from_millis(40)).await;
    }
}
