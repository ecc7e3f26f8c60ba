//! Single system calls that fail, or take their time, in a running process: writes, renames,
//! flushes.

use super::{WAITING, go, is_healthy, left_in_staging, refusal, runs_now, submission};
use crate::support::{
    files,
    forge::{Behaviour, Forge},
    processes,
    rounds::pause,
    server::{Setup, TestServer},
    tracing::{Interference, can_interfere},
    wait::{eventually, until},
};
use serde_json::json;
use std::{
    cell::Cell,
    os::unix::fs::MetadataExt,
    time::{Duration, Instant},
};

/// No file can be renamed over another any more: the disk is full at that moment.
const NO_RENAME: [&str; 4] =
    ["-e", "inject=rename:error=ENOSPC", "-e", "inject=renameat,renameat2:error=ENOSPC"];
const NO_FLUSH: [&str; 2] = ["-e", "inject=fsync:error=EIO"];

fn holder(server: &TestServer, job: &str) -> u32 {
    server.shim(job, 0).expect("what runs has a shim").pid
}

/// Breaks if a write that fails just when a scan ends costs the scan, its last good status, or the
/// service.
#[tokio::test]
async fn an_end_without_space_is_written_later() {
    if !can_interfere() {
        return;
    }
    let server = Setup::new().shell(WAITING).start().await;
    let job = server.submit("full").await;
    runs_now(&server, "full 1").await;
    eventually("it says so", async || server.status_file(&job, 0)["status"] == "scanning").await;
    {
        let _full = Interference::with(holder(&server, &job), &NO_RENAME).await;
        // Without a final status of its own, so that the shim must write it.
        let scanner = until(Duration::from_mins(1), "the scanner is found", async || {
            let found = server.processes().into_iter().map(processes::describe);
            let found = found.filter(|process| process.contains("scanner.sh")).collect::<Vec<_>>();
            found.first()?.split(':').next()?.parse::<u32>().ok()
        })
        .await;
        server.signal(scanner, rustix::process::Signal::KILL);
        eventually("it is gone", async || !processes::lives(scanner)).await;
        tokio::time::sleep(pause(Duration::from_millis(500))).await;
        let file = server.status_file(&job, 0);
        assert_eq!(file["status"], "scanning", "the last good one stays: {file:#}");
    }
    let document = server.finished(&job).await;
    assert_eq!(document["failed_repositories"][0]["failure"]["kind"], "signal", "{document:#}");
    eventually("nothing is left", async || left_in_staging(&server).is_empty()).await;
}

/// Breaks if a scanner whose progress cannot be written for a while is affected by it.
#[tokio::test]
async fn progress_without_space_costs_only_that_write() {
    if !can_interfere() {
        return;
    }
    let forge = Forge::start();
    let noise: Vec<u8> = (0..30_000_u32)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    forge.add_repository("slow", &[("package.json", &noise), ("requirements.txt", b"a==1\n")]);
    forge.behave(Behaviour::Slow(40_000));
    let forges = format!("[{{ kind = \"git\", url = \"{}\" }}]", forge.base());
    let server =
        Setup::new().set("forges", forges).set("scanner.progress_interval_ms", 50).start().await;
    let job = server.submit_with(&json!({ "git_url": forge.url("slow") })).await;
    let scanner = until(Duration::from_mins(1), "the scanner fetches", async || {
        let file = files::json(&server.job_folder(&job).join("repo_0.json"))?;
        // Its git runs by then: what it starts later would have no space either.
        (file["download_bytes"].as_u64() > Some(0)).then(|| file["pid"].as_u64())?
    })
    .await;
    let scanner = u32::try_from(scanner).unwrap();
    assert!(processes::describe(scanner).contains("worker"), "{}", processes::describe(scanner));
    {
        let _full = Interference::with(scanner, &NO_RENAME).await;
        eventually("it says so in its log", async || {
            files::text(&server.scanner_log(&job, 0)).contains("cannot write the status")
        })
        .await;
        assert_eq!(server.status_file(&job, 0)["status"], "cloning");
        server.working(&job).await;
    }
    forge.behave(Behaviour::Honest);
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    let log = files::text(&server.scanner_log(&job, 0));
    assert_eq!(log.matches("cannot write the status").count(), 1, "said once: {log}");
}

/// Breaks if a job is acknowledged that may not be on the disk, or if a refused one exists
/// nevertheless, now or after a restart.
#[tokio::test]
async fn a_job_that_could_not_be_flushed_is_refused_and_removed() {
    if !can_interfere() {
        return;
    }
    let mut server = Setup::new().shell(WAITING).start().await;
    go(&server);
    let jobs = server.setup().jobs();
    let root = jobs.display().to_string();
    // Any flush; and only the very last one, when the folder is in its place already.
    for arguments in [&NO_FLUSH[..], &[&["-P", root.as_str()][..], &NO_FLUSH].concat()] {
        {
            let _broken = Interference::with(server.pid(), arguments).await;
            let detail = refusal(&server).await;
            assert!(detail.contains("Input/output error"), "{detail}");
            assert_eq!(server.get("/jobs").await.expect(200).json()["total"], 0);
        }
        let there = std::fs::read_dir(&jobs).unwrap().flatten();
        let there: Vec<_> =
            there.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        assert!(there.iter().all(|name| name.starts_with('.')), "{there:?}");
    }
    assert_eq!(left_in_staging(&server), [""; 0]);
    assert_eq!(server.terminate().await, Some(0));
    server.restart().await;
    assert_eq!(server.get("/jobs").await.expect(200).json()["total"], 0);
    let job = server.submit("afterwards").await;
    assert_eq!(server.finished(&job).await["status"], "completed");
    is_healthy(&server).await;
}

/// Breaks if a failed flush is retried and, as that seems to succeed, counted as good: by then the
/// kernel has dropped what it could not write.
#[tokio::test]
async fn what_could_not_be_flushed_is_rewritten() {
    if !can_interfere() {
        return;
    }
    // With every member that a status has, so that nothing remains to be filled in.
    let server = Setup::new()
        .shell(
            "echo \"$SCANWATCH_REPO_NAME $attempt\" >> \"$dir/runs\"\n\
             while [ ! -e \"$dir/go\" ]; do sleep 0.05; done\n\
             now=$(date -u +%Y-%m-%dT%H:%M:%SZ)\n\
             say completed \"\\\"attempt\\\": 1, \\\"started_at\\\": \\\"$now\\\", \\\"completed_at\\\": \
             \\\"$now\\\", \\\"git_url\\\": \\\"$SCANWATCH_REPO_URL\\\"\"\n\
             ls -i \"$SCANWATCH_STATUS_FILE\" > part; mv part \"$dir/written\"\n",
        )
        .start()
        .await;
    let job = server.submit("broken").await;
    runs_now(&server, "broken 1").await;
    let once = ["-e", "inject=fsync:error=EIO:when=1"];
    let broken = Interference::with(holder(&server, &job), &once).await;
    go(&server);
    let written = server.note("written").await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    eventually("its shim is gone", async || server.shim(&job, 0).is_none()).await;
    drop(broken);
    let inode = server.job_folder(&job).join("repo_0.json").metadata().unwrap().ino();
    assert!(!written.starts_with(&format!("{inode} ")), "it is the same file: {written}");
}

/// Breaks if a disk that takes seconds for a flush delays readers.
#[tokio::test]
async fn a_slow_disk_delays_no_reader() {
    if !can_interfere() {
        return;
    }
    let server = Setup::new().shell(WAITING).start().await;
    go(&server);
    let job = server.submit("known").await;
    server.finished(&job).await;
    let took = pause(Duration::from_secs(1));
    let slow = format!("inject=fsync:delay_enter={}", took.as_micros());
    let _slow = Interference::with(server.pid(), &["-e", "trace=fsync", "-e", &slow]).await;
    let began = Instant::now();
    let over = Cell::new(false);
    let writers = async {
        let submitted = ["a", "b", "c"].map(|name| submission(&server, name));
        for answer in futures_util::future::join_all(submitted).await {
            answer.expect(200);
        }
        over.set(true);
        began.elapsed()
    };
    let readers = async {
        let mut times = Vec::new();
        while !over.get() {
            for path in ["/jobs", "/livez", &format!("/scan/{job}")] {
                let asked = Instant::now();
                server.get(path).await.expect(200);
                times.push(asked.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        times.sort();
        times
    };
    let (written, times) = futures_util::join!(writers, readers);
    assert!(written >= took, "nothing was slow: {written:?}");
    let (most, slowest) = (times[times.len() * 9 / 10], times[times.len() - 1]);
    assert!(most < Duration::from_millis(100), "nine of ten took up to {most:?} of {times:?}");
    assert!(slowest < took, "one of {} took {slowest:?}", times.len());
}
