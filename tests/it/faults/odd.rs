//! Status files of every odd kind, by the thousand, and writers that do not rename.

use crate::support::{
    files,
    handmade::Handmade,
    processes,
    rounds::rounds,
    server::Setup,
    wait::{PATIENCE, eventually, until},
};
use serde_json::{Value, json};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::{fs::symlink, net::UnixListener},
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

/// A fixed sequence of numbers that looks random (xorshift64, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn of<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.below(things.len())]
    }
}

/// Values that are invalid wherever they are, spelled in JSON or nearly so.
const ODD: &[&str] = &[
    "null",
    "-1",
    "1e999",
    "-1e999",
    "NaN",
    "Infinity",
    "18446744073709551616",
    "0.1e-400",
    "{}",
    "[]",
    "[[[[[[[[]]]]]]]]",
    "true",
    "\"\"",
    "\"1970-01-01T00:00:00Z\"",
    "\"9999-12-31T23:59:60Z\"",
    "\"-262144-01-01T00:00:00Z\"",
    "8.1e12",
    "-8.1e12",
    "9007199254740993",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\u{202e}gpj\"",
    "\"../../../etc/passwd\"",
    "\"<script>alert(1)</script>\"",
    "\"\\n\\ndata: x\"",
    "01",
    "0x1F",
    "'single'",
    "undefined",
];
const MEMBERS: &[&str] = &[
    "schema",
    "repo_index",
    "repo_name",
    "status",
    "attempt",
    "revision",
    "pid",
    "started_at",
    "last_update",
    "completed_at",
    "total_files",
    "current_file",
    "current_filename",
    "percentage",
    "message",
    "errors",
    "error_message",
    "failure",
    "stage",
    "stage_index",
    "stage_total",
    "stage_progress",
    "download_bytes",
    "files_extracted",
    "total_extraction_files",
    "extraction_percentage",
    "git_url",
    "commit",
    "warnings",
    "stderr",
    "dependencies_found",
];
/// Fields that are added up, compared and shown as a progress bar.
const FIGURES: &[&str] = &[
    "percentage",
    "total_files",
    "current_file",
    "stage_progress",
    "download_bytes",
    "extraction_percentage",
];
/// Numbers that no figure can be.
const NUMBERS: &[&str] = &["-1", "-8.1e12", "8.1e12", "1e308", "101", "9007199254740993"];
const WORDS: &[&str] =
    &["starting", "scanning", "completed", "failed", "timeout", "cancelled", "odd", "COMPLETED"];

/// Puts something in place of a status file.
fn put(path: &Path, elsewhere: &Path, dice: &mut Dice) {
    let whole = json!({
        "schema": 1, "repo_index": 0, "repo_name": "odd", "status": dice.of(WORDS),
        "started_at": "2030-01-02T03:04:05Z", "last_update": "2030-01-02T03:04:06Z",
        "total_files": 10, "current_file": 3, "percentage": 30.0, "errors": [{"message": "no"}],
    })
    .to_string();
    let odd = |dice: &mut Dice| format!("\"{}\": {}", dice.of(MEMBERS), dice.of(ODD));
    let bytes: Vec<u8> = match dice.below(16) {
        // Half of it, a byte of it changed, something inserted.
        0 => whole.as_bytes()[..dice.below(whole.len())].to_vec(),
        1 => {
            let mut bytes = whole.into_bytes();
            let at = dice.below(bytes.len());
            bytes[at] = u8::try_from(dice.below(256)).unwrap();
            bytes
        }
        2 => {
            let (one, other) = whole.split_at(dice.below(whole.len()));
            format!("{one}{}{other}", dice.of(ODD)).into_bytes()
        }
        // Members of the wrong kind, once and twice.
        3..=6 => {
            let members: Vec<_> = (0..=dice.below(12)).map(|_| odd(dice)).collect();
            format!("{{{}}}", members.join(", ")).into_bytes()
        }
        7 => format!("{}, {}, \"status\": \"failed\"}}", &whole[..whole.len() - 1], odd(dice))
            .into_bytes(),
        // Not an object, another encoding, nothing.
        8 => dice.of(ODD).as_bytes().to_vec(),
        9 => [b"\xef\xbb\xbf", whole.as_bytes()].concat(),
        10 => whole.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        11 => vec![*dice.of(b"\0 [{\"\xff"); dice.below(5000)],
        12 => whole.replace("odd", &"x".repeat(dice.below(3 << 20))).into_bytes(),
        // One wrong figure among right ones.
        13 => format!(
            "{}, \"{}\": {}}}",
            &whole[..whole.len() - 1],
            dice.of(FIGURES),
            dice.of(NUMBERS)
        )
        .into_bytes(),
        // No file at all.
        _ => {
            let made = match dice.below(5) {
                0 => fs::create_dir(path),
                1 => symlink(elsewhere, path),
                2 => symlink(path, path),
                3 => UnixListener::bind(path).map(drop),
                _ => {
                    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
                    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).map_err(Into::into)
                }
            };
            // The path of a socket may be too long; an ordinary file then.
            if made.is_ok() {
                return;
            }
            Vec::new()
        }
    };
    files::replace(path, bytes);
}

/// No answer about a job is impossible.
fn makes_sense(document: &Value) {
    let number = |path: &str| document.pointer(path).and_then(Value::as_u64);
    let summary = |name: &str| {
        number(&format!("/summary/{name}")).unwrap_or_else(|| panic!("{name}: {document:#}"))
    };
    let begun = summary("completed") + summary("failed") + summary("in_progress");
    assert!(begun + summary("pending") >= summary("total_repositories"), "{document:#}");
    assert!(number("/elapsed_time_seconds").is_some(), "{document:#}");
    for row in document["repositories"].as_array().unwrap() {
        let percentage = &row["progress"]["percentage"];
        let fits = percentage.as_f64().is_some_and(|number| (0.0..=100.0).contains(&number));
        assert!(percentage.is_null() || fits, "{row:#}");
    }
}

/// Breaks if any of the things that can be in place of a status file kills, hangs or exhausts the
/// server, is shown with impossible figures, or costs the job beside it.
#[tokio::test]
async fn thousands_of_odd_files_affect_no_other_job() {
    const OF_A_JOB: u32 = 50;
    let server = Setup::new().set("watch.resync_interval_secs", 1).start().await;
    let elsewhere = server.file("elsewhere.json");
    files::write(&elsewhere, json!({ "repo_name": "canary", "status": "failed" }).to_string());
    let good = Handmade::new(&server, 1);
    good.repository(0, "scanning", 0);
    good.known(&server).await;
    let mut dice = Dice(0x0dd_f11e5);
    let mut jobs = Vec::new();
    let wanted = rounds(1_000_u32).div_ceil(OF_A_JOB);
    for number in 1..=wanted {
        let job = Handmade::new(&server, OF_A_JOB);
        for index in 0..OF_A_JOB {
            put(&job.folder.join(format!("repo_{index}.json")), &elsewhere, &mut dice);
        }
        if number % 10 == 0 {
            put(&job.folder.join("master.json.odd"), &elsewhere, &mut dice);
            fs::rename(job.folder.join("master.json.odd"), job.folder.join("master.json")).ok();
        }
        good.repository(0, "scanning", number);
        jobs.push(job);
        if number % 5 == 0 {
            let seen = jobs[dice.below(jobs.len())].path();
            let answer = server.get(&seen).await;
            if answer.status == 200 {
                makes_sense(&answer.json());
            }
        }
    }
    eventually("the good one is up to date", async || {
        let document = server.progress(&good.id).await;
        document["repositories"][0]["progress"]["current_file"] == wanted
    })
    .await;
    for job in &jobs {
        job.known(&server).await;
        let answer = server.get(&job.path()).await.expect(200);
        assert!(!answer.text.contains("canary"), "a link was followed");
        makes_sense(&answer.json());
    }
    for path in ["/jobs", "/metrics", "/health"] {
        server.get(path).await.expect(200);
    }
    let health = super::health(&server).await;
    assert_eq!(health["watch"]["panics"], 0, "{health:#}");
    // Counted once everything is compared.
    eventually("unreadable files are counted", async || {
        super::health(&server).await["watch"]["unreadable_files"].as_u64() > Some(0)
    })
    .await;
    let resident = processes::resident_bytes(server.pid());
    assert!(resident < 300 << 20, "{} MiB", resident >> 20);
    super::does_not_spin(&server).await;
}

/// Breaks if a reader is ever shown half a file of a writer that does not rename, or anything but
/// the old or the new content; or if the last state of such a writer is missed.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_in_five_pieces_is_never_seen_in_pieces() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 1);
    job.repository(0, "scanning", 1);
    // The job is known before its repositories are read.
    eventually("the first state is seen", async || {
        let answer = server.get(&job.path()).await;
        answer.status == 200 && answer.json()["repositories"][0]["status"] == "scanning"
    })
    .await;
    let path = job.folder.join("repo_0.json");
    let last = rounds(400_u32).max(2);
    let (begun, over) = (AtomicU64::new(1), AtomicBool::new(false));
    let writer = || {
        for step in 2..=last {
            begun.store(step.into(), Ordering::SeqCst);
            let text = json!({
                "repo_index": 0, "repo_name": "part-0", "status": "scanning",
                "total_files": 1_000_000, "current_file": step, "message": "x".repeat(500),
            })
            .to_string();
            for (number, piece) in text.as_bytes().chunks(text.len().div_ceil(5)).enumerate() {
                let mut options = OpenOptions::new();
                options.write(true).truncate(number == 0).append(number > 0);
                // Closed each time: it is read on close.
                options.open(&path).unwrap().write_all(piece).unwrap();
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        over.store(true, Ordering::SeqCst);
    };
    let reader = async {
        let (mut reads, mut newest) = (0_u32, 0);
        while !over.load(Ordering::SeqCst) {
            let document = server.progress(&job.id).await;
            let row = &document["repositories"][0];
            assert_eq!(row["status"], "scanning", "{document:#}");
            let seen = row["progress"]["current_file"].as_u64().unwrap();
            let written = begun.load(Ordering::SeqCst);
            assert!((newest..=written).contains(&seen), "{seen} after {newest}, of {written}");
            (reads, newest) = (reads + 1, seen);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        reads
    };
    let reads = std::thread::scope(|scope| {
        scope.spawn(writer);
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(reader))
    });
    assert!(reads > 10, "only {reads} reads");
    let document = until(PATIENCE, "its last word is seen", async || {
        let document = server.progress(&job.id).await;
        (document["repositories"][0]["progress"]["current_file"] == last).then_some(document)
    })
    .await;
    assert_eq!(document["warnings"], json!([]));
}
