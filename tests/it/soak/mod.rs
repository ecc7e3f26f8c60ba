//! A server under full load, for minutes or for an hour: clients that read, disconnect, stall,
//! flood and request everything, besides real scans, a schedule, deliveries of webhooks, and kills
//! of scanners, shims and the server.
//!
//! `SCANWATCH_SOAK_MINUTES=5 cargo test --release --test it soak:: -- --ignored --nocapture`. In
//! the first half the server is killed too. In the second half one server lives to the end: its
//! memory, descriptors, threads, watches and files must return to where they were when it had
//! warmed up.
//! `SCANWATCH_SEED` runs another sequence.

mod clients;
mod figures;

use crate::{
    support::{
        dice::Dice,
        files,
        forge::Forge,
        processes::thread_names,
        server::{Setup, TestServer, is_final},
        wait::within,
    },
    webhooks::{
        ALL, SECRET,
        receiver::{Receiver, status},
        webhook,
    },
};
use clients::{Clients, World};
use figures::{Figures, Latencies};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How much the memory may differ: what the allocator keeps for the next peak.
const MEMORY: u64 = 32 << 20;
/// How long leftovers may take to disappear.
const PATIENCE: Duration = Duration::from_mins(5);

fn number(variable: &str, usual: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

fn forge() -> Forge {
    let forge = Forge::start();
    forge.group(&["acme/one", "acme/two", "acme/three", "acme/deep/four", "acme/deep/five"]);
    let lines: Vec<String> =
        (0..5_000).map(|number| format!("package-{number}==1.{number}\n")).collect();
    let manifest = lines.concat();
    forge.add_repository("acme/large", &[("requirements.txt", manifest.as_bytes())]);
    forge.listing().add("acme/large");
    let names: Vec<String> = (0..800).map(|number| format!("part-{number}/package.json")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), &b"{}"[..])).collect();
    forge.add_repository("acme/many", &many);
    forge.listing().add("acme/many");
    forge
}

/// A target that fails at the first attempt of some deliveries.
fn receiver() -> Receiver {
    let mut failed = HashSet::new();
    Receiver::answering(move |received, _| {
        let id = received.id();
        let fails = id.ends_with(['0', '1', '2', '3']) && failed.insert(id);
        status(if fails { 503 } else { 204 })
    })
}

/// Scans a group every ten seconds, or no longer.
async fn scan_often(server: &TestServer, forge: &Forge, often: bool) {
    if often {
        let group = format!("{}/acme/deep", forge.base());
        let body = json!({ "cron": "*/10 * * * * *", "git_url": group });
        let request = server.request(Method::PUT, "/schedules/often").json(&body);
        let answer = server.send(request).await;
        assert!([200, 201].contains(&answer.status), "{answer:?}");
    } else {
        server.delete("/schedules/often").await.expect(204);
    }
}

/// The totals of a run.
#[derive(Debug, Default)]
struct Account {
    server_deaths: u32,
    other_deaths: u32,
}

#[expect(clippy::print_stderr, reason = "what was measured, for whoever asked for it")]
fn say(text: impl std::fmt::Display) {
    eprintln!("{text}");
}

/// Breaks if anything that clients or kills leave behind piles up, or if a job is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; docs/reliability.md has the command"]
async fn every_figure_returns_to_its_start_and_nothing_is_lost() {
    let length = Duration::from_mins(number("SCANWATCH_SOAK_MINUTES", 5));
    let seed = number("SCANWATCH_SEED", 20_301);
    let mut dice = Dice::new(seed);
    let mut account = Account::default();
    let forge = forge();
    let forges = format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base());
    let receiver = receiver();
    let webhook = webhook("all", &receiver.url("/"), &ALL, "");
    let mut server = Setup::new()
        .at_a_fixed_port()
        .set("forges", forges)
        .set("webhooks", format!("[{webhook}]"))
        .variable("HOOK", SECRET)
        .set("jobs.max_queued_jobs", 200)
        .set("scanner.kill_grace_secs", 1)
        .start()
        .await;
    let world = Arc::new(World::new(&server, &forge).await);
    say(format!("{} min, seed {seed}", length.as_secs() / 60));

    scan_often(&server, &forge, true).await;
    let crowd = Clients::start(&world, seed);
    let began = Instant::now();
    while began.elapsed() < length / 2 {
        sleep(Duration::from_millis(3_000 + dice.below(12_000))).await;
        world.is_down(true);
        if dice.one_in(3) {
            assert_eq!(server.terminate().await, Some(0), "a planned stop");
        } else {
            server.kill9().await;
        }
        sleep(Duration::from_millis(dice.below(3_000))).await;
        server.restart().await;
        world.is_down(false);
        account.server_deaths += 1;
        kill_some(&server, &mut dice, &mut account);
    }
    crowd.stop().await;
    scan_often(&server, &forge, false).await;
    nothing_is_lost(&server, &world).await;

    // From here on it is one server.
    world.is_down(true);
    assert_eq!(server.terminate().await, Some(0));
    server.restart().await;
    world.is_down(false);
    scan_often(&server, &forge, true).await;
    let crowd = Clients::start(&world, seed + 1);
    sleep(length / 10).await;
    crowd.stop().await;
    scan_often(&server, &forge, false).await;
    let before = emptied(&server, &world, None).await;
    say(format!("warm   {before}"));
    let threads_before = thread_names(server.pid());

    world.latencies().clear();
    scan_often(&server, &forge, true).await;
    let crowd = Clients::start(&world, seed + 2);
    let began = Instant::now();
    while began.elapsed() < length / 2 {
        sleep(Duration::from_millis(500 + dice.below(4_000))).await;
        kill_some(&server, &mut dice, &mut account);
    }
    say(format!("busy   {}", Figures::of(&server)));
    crowd.stop().await;
    scan_often(&server, &forge, false).await;
    let states = nothing_is_lost(&server, &world).await;
    let latencies = Latencies::of(&world.latencies());
    let after = emptied(&server, &world, Some(&before)).await;
    say(format!("after  {after}"));
    say(format!("jobs that are left, by state: {states:?}"));
    say(format!("{account:?}, {world}, {} deliveries", receiver.received().len()));
    say(format!("GET /scan/{{id}}, while the server was up: {latencies}"));
    assert!(!server.setup().log().contains("panicked"), "see the server's log");
    let threads = thread_names(server.pid());
    assert!(
        after.is_as_good_as(&before),
        "warm   {before}, {threads_before:?}\nafter  {after}, {threads:?}"
    );
}

/// Kills up to three processes of scans, of any kind.
fn kill_some(server: &TestServer, dice: &mut Dice, account: &mut Account) {
    for _ in 0..dice.below(4) {
        if let Some(pid) = dice.pick(&server.processes()) {
            server.signal(*pid, Signal::KILL);
            account.other_deaths += 1;
        }
    }
}

/// Waits until every job on the disk has ended, and checks that none is missing; returns how many
/// are in each state.
async fn nothing_is_lost(server: &TestServer, world: &World) -> BTreeMap<String, usize> {
    let began = Instant::now();
    let documents = loop {
        let mut documents = BTreeMap::new();
        for job in on_disk(server) {
            let answer = server.get(&format!("/scan/{job}")).await;
            let document = if answer.status == 200 { answer.json() } else { Value::Null };
            if document["paused"] == true {
                server.post_nothing(&format!("/scan/{job}/resume")).await;
            }
            documents.insert(job, document);
        }
        let left: Vec<_> = documents.iter().filter(|(_, document)| !is_final(document)).collect();
        if left.is_empty() {
            break documents;
        }
        assert!(began.elapsed() < PATIENCE, "{} jobs do not end: {left:#?}", left.len());
        sleep(Duration::from_secs(1)).await;
    };
    let there: BTreeSet<String> = documents.keys().cloned().collect();
    let lost = world.missing(&there);
    assert!(lost.is_empty(), "jobs that were accepted are gone: {lost:?}");
    let mut states = BTreeMap::new();
    for document in documents.values() {
        *states.entry(document["status"].to_string()).or_default() += 1;
    }
    states
}

fn on_disk(server: &TestServer) -> Vec<String> {
    let entries = std::fs::read_dir(server.setup().jobs()).unwrap().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| !name.starts_with('.')).collect()
}

/// Removes all jobs, and waits until the server is idle: back to its first figures, if that is
/// possible.
async fn emptied(server: &TestServer, world: &World, before: Option<&Figures>) -> Figures {
    for job in on_disk(server) {
        world.removes(&job);
        server.delete(&format!("/scan/{job}")).await.expect(204);
    }
    server.no_process_left(PATIENCE).await;
    within(PATIENCE, "no stream and nothing in .staging is left", async || {
        let staging = files::below(&server.setup().jobs().join(".staging"));
        server.get("/health").await.json()["streams"] == 0 && staging.is_empty()
    })
    .await;
    // Idle threads end after a while, connections are closed, memory is freed.
    let began = Instant::now();
    let mut last = Figures::of(server);
    let mut since = Instant::now();
    loop {
        sleep(Duration::from_secs(1)).await;
        let now = Figures::of(server);
        if !now.counts_as(&last) {
            (last, since) = (now, Instant::now());
        }
        let is_good = before.is_none_or(|earlier| now.is_as_good_as(earlier));
        if (is_good && since.elapsed() > Duration::from_secs(15)) || began.elapsed() > PATIENCE {
            return now;
        }
    }
}
