//! Clients that are disconnected at random moments and return with the last id they have, while
//! files change and the server is killed: what they see in the end matches the files.
//!
//! `SCANWATCH_ROUNDS=1000 cargo nextest run reconnects` disconnects that often.

use crate::support::{
    dice::Dice,
    handmade::Handmade,
    rounds::rounds,
    server::{Setup, TestServer},
    sse::{Event, EventStream},
    wait::PATIENCE,
};
use futures_util::future::join_all;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::time::timeout;

const SEED: u64 = 17;
const VIEWERS: u64 = 4;
/// Disconnects of each viewer before its view is compared with the files.
const CUTS: u64 = 4;
const REPOSITORIES: u32 = 12;
const FINALS: [&str; 4] = ["completed", "failed", "timeout", "cancelled"];

/// The state of each repository, and the number written with it.
type States = BTreeMap<u64, (String, u64)>;

/// What a client knows about a job, from the events alone.
#[derive(Debug, Default)]
struct Viewer {
    /// The last id, in its two parts.
    last: Option<(String, u64)>,
    states: States,
    /// The status of the job, and its counts.
    job: (Value, Value),
    has_seen_end: bool,
    /// How often it returned and got exactly what it had missed.
    resumed: u64,
}

impl Viewer {
    fn last_id(&self) -> Option<String> {
        self.last.as_ref().map(|(epoch, version)| format!("{epoch}-{version}"))
    }

    fn take(&mut self, event: &Event) {
        let (epoch, version) = event.id.split_once('-').expect("an id of ours");
        let version = version.parse().expect("an id of ours");
        if let Some((known, before)) = &self.last
            && known == epoch
        {
            assert!(version > *before, "{event:?} after {before}: told again");
            assert_ne!(event.name, "snapshot", "{event:?} after {before}");
        }
        self.last = Some((epoch.to_owned(), version));
        let data = &event.data;
        match event.name.as_str() {
            "snapshot" => {
                let rows = data["repositories"].as_array().expect("a document has rows");
                self.states = rows.iter().map(state).collect();
                self.job = (data["status"].clone(), data["summary"].clone());
                self.has_seen_end = false;
            }
            "repository" => {
                self.states.extend([state(data)]);
            }
            "job" => self.job = (data["status"].clone(), data["summary"].clone()),
            "end" => self.has_seen_end = true,
            other => panic!("an event that nobody knows: {other}"),
        }
    }

    /// Connects, and reads until the stream or this ends.
    async fn visit(&mut self, server: &TestServer, path: &str) {
        let last = self.last_id();
        let Some(mut stream) = EventStream::join(server, path, last.as_deref()).await else {
            assert!(self.has_seen_end, "{path} is called over");
            return;
        };
        let mut is_first = true;
        while let Some(event) = stream.next_event(PATIENCE).await {
            self.take(&event);
            if std::mem::take(&mut is_first) && event.name != "snapshot" {
                self.resumed += 1;
            }
        }
    }

    /// The same, and is disconnected after a while, whatever is in progress.
    async fn cut_visit(&mut self, server: &TestServer, path: &str, after: Duration) {
        let _ = timeout(after, self.visit(server, path)).await;
    }

    /// Connects, and reads until it knows what the files say.
    async fn catch_up(&mut self, server: &TestServer, path: &str, expected: &States) {
        let last = self.last_id();
        let mut stream = EventStream::join(server, path, last.as_deref()).await.expect("not over");
        while self.states != *expected {
            let event = timeout(PATIENCE / 2, stream.next_event(PATIENCE)).await.ok().flatten();
            let Some(event) = event else {
                panic!("after {last:?} it knows {:#?}\nand not {expected:#?}", self.states)
            };
            self.take(&event);
        }
    }
}

fn state(row: &Value) -> (u64, (String, u64)) {
    let number = row["progress"]["current_file"].as_u64().unwrap_or_default();
    let status = row["status"].as_str().expect("a repository has a state");
    (row["repo_index"].as_u64().expect("a number"), (status.to_owned(), number))
}

/// Changes files until it is stopped; then returns their content.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<States>,
}

impl Writer {
    fn start(job: &Arc<Handmade>, mut states: States, mut dice: Dice) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (job, stopped) = (Arc::clone(job), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !stopped.load(Relaxed) {
                let index = dice.below(u64::from(REPOSITORIES));
                let end = if dice.one_in(3) { dice.pick(&FINALS) } else { None };
                let word = *end.unwrap_or(&"scanning");
                let number = states.get(&index).map_or(1, |(_, number)| number + 1);
                write(&job, index, word, number);
                states.insert(index, (word.to_owned(), number));
                thread::sleep(Duration::from_micros(dice.below(2_000)));
            }
            states
        });
        Self { stop, thread }
    }

    fn stop(self) -> States {
        self.stop.store(true, Relaxed);
        self.thread.join().expect("the files can be written")
    }
}

fn write(job: &Handmade, index: u64, status: &str, number: u64) {
    let (index, number) = (u32::try_from(index).unwrap(), u32::try_from(number).unwrap());
    job.repository(index, status, number);
}

/// Breaks if a client that lost its connection, or its server, misses what happened in the
/// meantime, for ever: a final state above all, because nothing comes after it.
#[tokio::test]
async fn a_viewer_that_reconnects_often_sees_what_the_files_contain() {
    let mut server = Setup::new().start().await;
    let job = Arc::new(Handmade::new(&server, REPOSITORIES));
    let path = job.stream();
    job.known(&server).await;
    let cuts: u64 = rounds(64);
    let mut viewers: Vec<Viewer> = (0..VIEWERS).map(|_| Viewer::default()).collect();
    let mut expected = States::new();
    for block in 0..cuts.div_ceil(VIEWERS * CUTS) {
        let mut dice = Dice::of_round(SEED, block);
        let writer = Writer::start(&job, expected, dice.clone());
        for cut in 0..CUTS {
            let visits = viewers.iter_mut().map(|viewer| {
                let after = Duration::from_millis(dice.below(40));
                viewer.cut_visit(&server, &path, after)
            });
            join_all(visits).await;
            if block % 3 == 1 && cut == CUTS / 2 {
                server.kill9().await;
                server.restart().await;
            }
        }
        expected = writer.stop();
        let catch_up = viewers.iter_mut().map(|viewer| viewer.catch_up(&server, &path, &expected));
        join_all(catch_up).await;
    }
    assert!(viewers.iter().any(|viewer| viewer.resumed > 0), "nobody ever came back in time");

    let finals: States = (0..u64::from(REPOSITORIES))
        .zip(FINALS.iter().cycle())
        .map(|(index, status)| (index, ((*status).to_owned(), 1_000_000)))
        .collect();
    let (writing, last) = (Arc::clone(&job), finals.clone());
    let writer = thread::spawn(move || {
        for (index, (status, number)) in &last {
            write(&writing, *index, status, *number);
        }
        writing.master("completed_with_errors");
    });
    let mut dice = Dice::new(SEED);
    for viewer in &mut viewers {
        let all = async {
            while !viewer.has_seen_end {
                let after = Duration::from_millis(dice.below(40));
                viewer.cut_visit(&server, &path, after).await;
            }
        };
        timeout(PATIENCE, all).await.expect("the end is seen");
    }
    writer.join().expect("the files can be written");
    let document = server.progress(&job.id).await;
    for viewer in &mut viewers {
        assert_eq!(viewer.states, finals);
        assert_eq!(viewer.job, (document["status"].clone(), document["summary"].clone()));
        let last = viewer.last_id();
        let more = EventStream::join(&server, &path, last.as_deref()).await;
        assert!(more.is_none(), "there is more after {last:?}: {more:?}");
    }
}

/// Breaks if a client that is cut between the snapshot of a finished job and its end never gets the
/// end: the two must not have the same id.
#[tokio::test]
async fn a_client_that_has_seen_only_the_snapshot_of_a_finished_job_gets_its_end() {
    let server = Setup::new().start().await;
    let job = server.submit("widget").await;
    server.finished(&job).await;
    let path = format!("/scan/{job}/events");
    let mut stream = EventStream::open(&server, &path).await;
    let seen = stream.rest(PATIENCE).await;
    let names: Vec<_> = seen.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["snapshot", "end"]);
    let rest = EventStream::resume(&server, &path, &seen[0].id).await.rest(PATIENCE).await;
    let names: Vec<_> = rest.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["end"]);
    assert_eq!(rest[0].id, seen[1].id);
    assert!(EventStream::join(&server, &path, Some(&seen[1].id)).await.is_none(), "it is over");
}
