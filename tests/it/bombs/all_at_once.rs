//! All bombs against one server, five at once, and their costs.

use super::{Scale, git, manifests};
use crate::support::{
    files,
    forge::Forge,
    peaks::{ByJob, Peaks},
    server::{self, Setup, TestServer},
};
use chrono::DateTime;
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    thread,
    time::{Duration, Instant},
};

/// What a process of a scan may take at its peak.
const MOST_MEMORY: u64 = 300 << 20;
/// What a scan may take with the usual settings, on an otherwise idle machine.
const MOST_SECONDS: f64 = 65.0;
/// Until all of them have ended.
const PATIENCE: Duration = Duration::from_mins(10);
/// A release build with the usual settings, where the measured costs are judged too.
const WHOLE: &str = "SCANWATCH_BOMBS";

/// What a scan reports if listing its tree takes too long.
const TOO_LONG: &str = "listing them takes more than";

/// Adds a bomb to a forge, under a name.
type Lay = Box<dyn Fn(&Forge, &str) + Send + Sync>;

/// One malicious repository, and how its scan must end.
struct Bomb {
    name: &'static str,
    lay: Lay,
    ends: End,
}

/// The expected end of a scan.
enum End {
    /// `failure.kind`, and a part of its detail.
    Fails(&'static str, &'static str),
    /// At least so many packages, and these warnings: the file, and a part of the message.
    Finds(usize, Vec<(&'static str, &'static str)>),
}

fn bombs(is_whole: bool, trap: &str) -> Vec<Bomb> {
    use End::{Fails, Finds};
    let scale = if is_whole { Scale::WHOLE } else { Scale::SUITE };
    let bomb = |name, lay: fn(&Forge, &str, Scale), ends| Bomb {
        name,
        lay: Box::new(move |forge, name| lay(forge, name, scale)),
        ends,
    };
    let trap = trap.to_owned();
    let xml = Bomb {
        name: "xml",
        lay: Box::new(move |forge, name| manifests::xml(forge, name, scale, &trap)),
        ends: Finds(
            3,
            vec![
                ("attributes/pom.xml", "is not closed"),
                ("elements/pom.xml", "more than 1000000 elements"),
                ("laughs/pom.xml", "the document type is ignored"),
                ("nested/pom.xml", "elements nested deeper than 100 levels"),
                ("outside/pom.xml", "the document type is ignored"),
            ],
        ),
    };
    let mut bombs = vec![
        bomb("tree-of-files", git::files, Fails("limit", "too many files: more than 200000")),
        bomb("tree-of-folders", git::folders, Fails("limit", TOO_LONG)),
        bomb("zeros", git::zeros, Finds(0, vec![("requirements.txt", "skipped: too large")])),
        bomb("endless-pack", git::endless, Fails("limit", "its fetch exceeds")),
        bomb("announced", git::announced, Fails("out_of_memory", "git ran out of memory")),
        bomb("chain", git::chain, Finds(git::CHAIN as usize, vec![])),
        bomb("difference", git::difference, Fails("out_of_memory", "git ran out of memory")),
        bomb("branches", git::branches, Finds(1, vec![])),
        bomb("old-branches", git::old_branches, Finds(1, vec![])),
        bomb("endless-branches", git::endless_branches, Fails("out_of_memory", "git ran out")),
        bomb("tags", git::tags, Finds(1, vec![])),
        bomb("names", git::names, Finds(git::NAMES, vec![])),
        bomb("depth", git::depth, Fails("limit", "nested too deeply")),
        bomb("entries", git::entries, Fails("limit", "too many files: more than 200000")),
        bomb("manifests", git::manifests, Finds(0, vec![("f0000000/package.json", "expected")])),
        bomb("results", git::results, Fails("limit", "the result is too large")),
        bomb("paths", git::paths, Fails("limit", "the paths of the files to read")),
        bomb("warnings", git::warnings, Finds(0, vec![("", "more warnings are not listed")])),
        bomb("links", git::links, Finds(0, vec![("setup.py", "a symbolic link")])),
        bomb("yaml", manifests::yaml, Finds(1, vec![])),
        bomb(
            "mentions",
            manifests::mentions,
            Finds(60_000, vec![("versions/pubspec.yaml", "takes more work than is allowed")]),
        ),
        bomb("json", manifests::json, Finds(1, vec![])),
        bomb("toml", manifests::toml, Finds(1, vec![])),
        xml,
        bomb("requirements", manifests::requirements, Fails("limit", "too many packages")),
        bomb("scripts", manifests::scripts, Finds(0, vec![])),
        // Its server computes for seconds before it sends anything. The endless ones, whose servers take all processors,
        // have ended by then.
        bomb("message", git::message, Fails("out_of_memory", "git ran out of memory")),
    ];
    bombs.push(if is_whole {
        // Until then it keeps a core busy for half a minute.
        bomb("tight", git::tight, Fails("limit", "compressed too strongly"))
    } else {
        // More than the usual limit would not fit into the test itself.
        bomb("large-pack", git::large, Fails("limit", "its fetch exceeds"))
    });
    bombs
}

/// Breaks if one of them exceeds its memory limit, ends with another reason or not at all, or keeps
/// a harmless repository from being scanned.
#[tokio::test]
async fn every_bomb_ends_with_its_reason_within_its_memory_limit() {
    let is_whole = std::env::var(WHOLE).is_ok_and(|value| value == "whole");
    let scale = if is_whole { Scale::WHOLE } else { Scale::SUITE };
    let (forge, trap) = (Forge::start(), Forge::start());
    let mut bombs = bombs(is_whole, &trap.base());
    if let Ok(only) = std::env::var("SCANWATCH_BOMB") {
        bombs.retain(|bomb| bomb.name == only);
    }
    lay(&forge, &bombs);
    forge.add_repository("harmless", &[("requirements.txt", b"flask==3.0.3\n")]);
    let url = format!("http://127.0.0.1:{}", forge.port());
    let mut setup = Setup::new().set("forges", format!("[{{ kind = \"git\", url = \"{url}\" }}]"));
    if !is_whole {
        setup = setup
            .set("limits.max_fetch_bytes", Scale::SUITE.fetch_bytes)
            .set("limits.list_timeout_secs", Scale::SUITE.list_secs)
            // On a busy machine, endless lists take longer to fill the memory of git.
            .set("limits.connect_timeout_secs", 120);
    }
    let server = setup.start().await;
    let peaks = Peaks::watch();
    let mut jobs = Vec::new();
    for bomb in &bombs {
        jobs.push(server.submit_with(&json!({ "git_url": forge.url(bomb.name) })).await);
    }
    let harmless = server.submit_with(&json!({ "git_url": forge.url("harmless") })).await;
    let latencies =
        follow(&server, &[jobs.as_slice(), std::slice::from_ref(&harmless)].concat()).await;
    let peaks = peaks.end();

    let figures = table(&server, &bombs, &jobs, &peaks, &latencies);
    #[expect(clippy::print_stderr, reason = "what was measured, for whoever asked for it")]
    {
        eprintln!("{figures}");
    }
    for (bomb, job) in bombs.iter().zip(&jobs) {
        judge(&server, bomb, job, scale.list_secs);
        for (program, peak) in &peaks[job] {
            assert!(*peak <= MOST_MEMORY, "{}: {program} took {peak} bytes\n{figures}", bomb.name);
        }
        let seconds = seconds(&server, job);
        assert!(!is_whole || seconds <= MOST_SECONDS, "{}: {seconds} s\n{figures}", bomb.name);
    }
    assert!(!is_whole || percentile(&latencies, 99) < 0.1, "{figures}");
    assert_eq!(trap.contacts(), 0, "nothing that a file names is contacted");
    assert_eq!(server.progress(&harmless).await["status"], "completed");
}

/// Creates the repositories, two at a time.
fn lay(forge: &Forge, bombs: &[Bomb]) {
    thread::scope(|scope| {
        for half in bombs.chunks(bombs.len().div_ceil(2)) {
            scope.spawn(move || half.iter().for_each(|bomb| (bomb.lay)(forge, bomb.name)));
        }
    });
}

/// Polls each job in turn until all have ended; returns how long each answer took, in seconds.
async fn follow(server: &TestServer, jobs: &[String]) -> Vec<f64> {
    let began = Instant::now();
    let mut latencies = Vec::new();
    let mut left = jobs.to_vec();
    while !left.is_empty() {
        assert!(began.elapsed() < PATIENCE, "not over: {left:?}");
        let mut still = Vec::new();
        for job in left {
            let asked = Instant::now();
            let document = server.progress(&job).await;
            latencies.push(asked.elapsed().as_secs_f64());
            if !server::is_final(&document) {
                still.push(job);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        left = still;
    }
    latencies.sort_by(f64::total_cmp);
    latencies
}

/// Whether the list timeout ended a scan and has really passed: a slow machine hits it with trees
/// that have another limit.
fn took_too_long_to_list(server: &TestServer, job: &str, list_secs: u64) -> bool {
    let failure = &server.status_file(job, 0)["failure"];
    let says_so = failure["detail"].as_str().is_some_and(|text| text.contains(TOO_LONG));
    says_so
        && failure["kind"] == "limit"
        && seconds(server, job) >= Duration::from_secs(list_secs).as_secs_f64()
}

fn judge(server: &TestServer, bomb: &Bomb, job: &str, list_secs: u64) {
    let name = bomb.name;
    let status = server.status_file(job, 0);
    match &bomb.ends {
        // It reports the right limit and it is bounded: on a machine that slow there is no more to
        // check.
        _ if took_too_long_to_list(server, job, list_secs) => {}
        End::Fails(kind, part) => {
            assert_eq!(status["failure"]["kind"], *kind, "{name}: {status:#}");
            let detail = status["failure"]["detail"].as_str().unwrap();
            assert!(detail.contains(part), "{name}: {detail}");
        }
        End::Finds(packages, warnings) => {
            assert_eq!(status["status"], "completed", "{name}: {status:#}");
            let result = server.job_folder(job).join("results/repo_0.json");
            let result = files::json(&result).expect("there is a result");
            let found = result["packages"].as_array().unwrap().len();
            assert!(found >= *packages, "{name}: {found}");
            let said = result["warnings"].as_array().unwrap();
            for (file, part) in warnings {
                let is_it = |value: &Value| {
                    value["file"] == *file
                        && value["message"].as_str().is_some_and(|text| text.contains(part))
                };
                assert!(said.iter().any(is_it), "{name}: {file}: {part}: {said:#?}");
            }
        }
    }
}

/// How long the scan of a job's one repository took.
fn seconds(server: &TestServer, job: &str) -> f64 {
    let status = server.status_file(job, 0);
    let time = |member: &str| {
        DateTime::parse_from_rfc3339(status[member].as_str().unwrap()).expect("a time")
    };
    (time("completed_at") - time("started_at")).as_seconds_f64()
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// The measurements, for people.
fn table(
    server: &TestServer,
    bombs: &[Bomb],
    jobs: &[String],
    peaks: &ByJob,
    latencies: &[f64],
) -> String {
    let mut text = String::new();
    for (bomb, job) in bombs.iter().zip(jobs) {
        let status = server.status_file(job, 0);
        let end = match status["failure"]["detail"].as_str() {
            Some(detail) => format!("{}: {detail}", status["failure"]["kind"].as_str().unwrap()),
            None => status["message"].as_str().unwrap_or_default().to_owned(),
        };
        let _ = write!(text, "{:18} {:6.1} s  ", bomb.name, seconds(server, job));
        for (program, peak) in &peaks[job] {
            let _ = write!(text, "{program} {} MB  ", peak >> 20);
        }
        let _ = writeln!(text, "{end:.90}");
    }
    let (median, slow) = (percentile(latencies, 50), percentile(latencies, 99));
    let _ = writeln!(
        text,
        "{} answers: p50 {:.1} ms, p99 {:.1} ms",
        latencies.len(),
        median * 1000.0,
        slow * 1000.0
    );
    text
}
