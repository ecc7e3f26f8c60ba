//! A disk that is full, or read-only.

use super::{
    WAITING, does_not_spin, go, health, is_healthy, left_in_staging, refusal, reports_problem,
    runs, runs_now,
};
use crate::support::{
    files,
    forge::Forge,
    namespace::{MOUNTS, entered, run},
    rounds::pause,
    server::{Setup, TestServer},
    wait::eventually,
};
use serde_json::json;
use std::{
    fs,
    io::Write,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    time::Duration,
};

/// Mounts a memory file system in place of the jobs folder; no space needs to be free on it.
pub(super) fn on_a_small_disk(setup: Setup, options: &str) -> Setup {
    fs::create_dir(setup.jobs()).unwrap();
    run("mount", &["-t", "tmpfs", "-o", options, "none", &setup.jobs().display().to_string()]);
    setup.set("jobs.min_free_bytes", 0).set("jobs.min_free_inodes", 0)
}

/// Every JSON file below the jobs folder is complete.
fn every_file_is_whole(server: &TestServer) {
    for file in files::below(&server.setup().jobs()) {
        if file.extension().is_some_and(|extension| extension == "json") {
            assert!(files::json(&file).is_some(), "{file:?}");
        }
    }
}

/// Fills the disk completely: with files, or with their content. Ends when no temporary file holds
/// space any more that its end would free again.
async fn fill(jobs: &Path, with_files: bool) {
    let folder = jobs.join(".filler");
    fs::create_dir_all(&folder).unwrap();
    let mut names = 0_u32..;
    eventually("the disk is full", async || {
        while let Ok(mut file) = fs::File::create(folder.join(names.next().unwrap().to_string())) {
            if !with_files {
                while file.write_all(&[b'x'; 4096]).is_ok() {}
                break;
            }
        }
        let disk = rustix::fs::statvfs(jobs).unwrap();
        let (inodes, bytes) = kept(jobs);
        if with_files { inodes == disk.f_files } else { bytes == disk.f_blocks * disk.f_frsize }
    })
    .await;
}

/// The inodes and bytes of everything in a folder, itself included, but for temporary files.
fn kept(folder: &Path) -> (u64, u64) {
    let is_staging = folder.ends_with(".staging");
    let mut sum = (1, 0);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        // What disappears in the meantime was temporary too.
        let Ok(metadata) = entry.metadata() else { continue };
        let (inodes, bytes) = match metadata.is_dir() {
            // An attempt keeps its scratch folder until its end, and may rename what is in there.
            true if is_staging => (u64::from(name.as_bytes().starts_with(b"scratch-")), 0),
            true => kept(&entry.path()),
            false if is_staging && !name.as_bytes().starts_with(b"reserve-") => (0, 0),
            false => (1, metadata.blocks() * 512),
        };
        sum = (sum.0 + inodes, sum.1 + bytes);
    }
    sum
}

fn empty(jobs: &Path) {
    let folder = jobs.join(".filler");
    for entry in fs::read_dir(&folder).unwrap().flatten() {
        fs::remove_file(entry.path()).unwrap();
    }
}

async fn a_full_disk(test: &str, options: &str, with_files: bool) {
    if !entered(test, MOUNTS) {
        return;
    }
    let server = on_a_small_disk(Setup::new(), options)
        .shell(WAITING)
        .set("scanner.max_concurrent_processes", 1)
        .start()
        .await;
    let running = server.submit("running").await;
    runs_now(&server, "running 1").await;
    server.working(&running).await;
    let queued = server.submit("queued").await;
    let cancelled = server.submit("cancelled").await;
    let jobs = server.setup().jobs();
    fill(&jobs, with_files).await;

    let detail = refusal(&server).await;
    assert!(detail.contains("space"), "{detail}");
    reports_problem(&server, "the jobs folder is not writable: No space left").await;
    // The running scan may be what fills a disk: it can be cancelled on a full one too.
    let path = format!("/scan/{cancelled}/cancel");
    let answer = server.post_nothing(&path).await.expect(503);
    assert!(
        answer.text.contains("is stopped, but its state cannot be stored yet"),
        "{}",
        answer.text
    );
    go(&server);
    does_not_spin(&server).await;
    assert_eq!(server.progress(&running).await["status"], "in_progress");
    assert_eq!(health(&server).await["scanners"]["running"], 1, "its end is not written");
    every_file_is_whole(&server);

    let log = server.setup().log();
    assert_eq!(log.matches("cannot write master.json").count(), 1, "said once: {log}");
    empty(&jobs);
    for (job, end) in [(&running, "completed"), (&queued, "completed"), (&cancelled, "cancelled")] {
        let document = server.finished(job).await;
        assert_eq!(document["status"], end, "{document:#}");
    }
    assert_eq!(runs(&server), ["running 1", "queued 1"], "once each");
    is_healthy(&server).await;
    server.post_nothing(&path).await.expect(200);
    every_file_is_whole(&server);
    eventually("nothing is left", async || left_in_staging(&server).is_empty()).await;
}

/// Breaks if a full disk costs a job that waits, runs or is cancelled, takes the service down,
/// leaves half a file, or needs an operator once there is space.
#[tokio::test]
async fn a_full_disk_costs_only_time() {
    a_full_disk("faults::disk::a_full_disk_costs_only_time", "size=2m", false).await;
}

/// Breaks as above, where files are small and many.
#[tokio::test]
async fn a_disk_without_inodes_costs_only_time() {
    let options = "size=64m,nr_inodes=200";
    a_full_disk("faults::disk::a_disk_without_inodes_costs_only_time", options, true).await;
}

/// Breaks if what was queued while the disk was full is reported as failed because it could not
/// start.
#[tokio::test]
async fn a_queue_on_a_full_disk_waits_without_losing_attempts() {
    let test = "faults::disk::a_queue_on_a_full_disk_waits_without_losing_attempts";
    if !entered(test, MOUNTS) {
        return;
    }
    let setup = on_a_small_disk(Setup::new(), "size=2m").shell("say completed\n");
    let job = setup.write_group(2);
    fill(&setup.jobs(), false).await;
    let server = setup.start().await;
    reports_problem(&server, "queued repositories wait: the jobs folder is not writable").await;
    tokio::time::sleep(pause(Duration::from_secs(2))).await;
    let log = server.setup().log();
    assert!(!log.contains("exited before it claimed the attempt"), "it was counted: {log}");
    does_not_spin(&server).await;
    empty(&server.setup().jobs());
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(server.status_file(&job, 0)["attempt"], 1);
}

/// Breaks if a repository that does not fit on the disk fails without saying so, or leaves what it
/// fetched behind.
#[tokio::test]
async fn a_fetch_that_fills_the_disk_fails_and_says_why() {
    if !entered("faults::disk::a_fetch_that_fills_the_disk_fails_and_says_why", MOUNTS) {
        return;
    }
    let forge = Forge::start();
    let noise: Vec<u8> = (0..1_500_000_u32)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    forge.add_repository("large", &[("package.json", &noise)]);
    forge.add_repository("small", &[("package.json", b"{}")]);
    let forges = format!("[{{ kind = \"git\", url = \"{}\" }}]", forge.base());
    let setup = on_a_small_disk(Setup::new(), "size=4m").set("forges", forges);
    let server = setup.start().await;
    let mut said = String::new();
    for name in ["large", "small"] {
        let job = server.submit_with(&json!({ "git_url": forge.url(name) })).await;
        let document = server.finished(&job).await;
        said = format!("{said}{}: {}\n", document["status"], document["failed_repositories"]);
        every_file_is_whole(&server);
    }
    assert!(said.starts_with("\"failed\": ") && said.ends_with("\"completed\": []\n"), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    eventually("nothing is left", async || left_in_staging(&server).is_empty()).await;
}

/// Breaks if a disk that becomes read-only costs a job that waits or runs, if what is known can no
/// longer be read, or if the service must be restarted when the disk is writable again.
#[tokio::test]
async fn a_temporarily_read_only_disk_costs_only_time() {
    let test = "faults::disk::a_temporarily_read_only_disk_costs_only_time";
    if !entered(test, MOUNTS) {
        return;
    }
    let server = on_a_small_disk(Setup::new(), "size=64m")
        .shell(WAITING)
        .set("scanner.max_concurrent_processes", 1)
        .start()
        .await;
    let done = server.submit("done").await;
    go(&server);
    server.finished(&done).await;
    fs::remove_file(server.file("go")).unwrap();
    let running = server.submit("running").await;
    runs_now(&server, "running 1").await;
    server.working(&running).await;
    let queued = server.submit("queued").await;

    // A second mount of the same folder, on top of the first, that is read-only: a file system that
    // is being written to cannot be remounted read-only.
    let jobs = server.setup().jobs().display().to_string();
    run("mount", &["--bind", &jobs, &jobs]);
    run("mount", &["-o", "remount,bind,ro", &jobs]);

    reports_problem(&server, "the disk of the jobs folder is read-only").await;
    let detail = refusal(&server).await;
    assert!(detail.contains("read-only"), "{detail}");
    for path in ["/jobs", &format!("/scan/{done}"), &format!("/jobs/{done}/results")] {
        server.get(path).await.expect(200);
    }
    for (method, path) in [("DELETE", String::new()), ("POST", "/cancel".to_owned())] {
        let request = server.request(method.parse().unwrap(), &format!("/scan/{running}{path}"));
        let answer = server.send(request).await.expect(503);
        assert!(answer.text.contains("read-only"), "{}", answer.text);
    }
    assert_eq!(server.progress(&running).await["status"], "in_progress");
    // It ends, and cannot write its state. Its shim tries for half a minute, and then the server
    // does.
    go(&server);
    does_not_spin(&server).await;
    tokio::time::sleep(pause(Duration::ZERO)).await;
    does_not_spin(&server).await;
    assert_eq!(health(&server).await["scanners"]["queued"], 1);

    run("umount", &["-l", &jobs]);
    is_healthy(&server).await;
    for job in [&running, &queued] {
        let document = server.finished(job).await;
        assert_eq!(document["status"], "completed", "{document:#}");
    }
    server.submit("afterwards").await;
}
