//! Folders that are removed, moved, unmounted, or not accessible.

use super::{
    WAITING, as_another_user, does_not_spin, go, health, is_healthy, left_in_staging, refusal,
    reports_problem, runs, runs_now, watches,
};
use crate::support::{
    files,
    forge::program,
    handmade::Handmade,
    namespace::{MOUNTS, entered, run},
    processes,
    server::Setup,
    wait::{eventually, within},
};
use rustix::process::Signal;
use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

/// Longer than the two polls after which a job's folder counts as removed.
const LONG_ENOUGH: Duration = Duration::from_secs(5);

/// Takes all permissions of a file or folder away, or gives the owner's back.
fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Removes a folder as an operator does, while it is written to.
fn remove(path: &Path) {
    for _ in 0..100 {
        if !path.exists() {
            return;
        }
        let _ = program("rm").args(["-rf", &path.display().to_string()]).status();
    }
    panic!("{path:?} is still there");
}

/// Breaks if a job folder that is removed under a running scan keeps the scan, its processes or
/// their files, or makes the server spin.
#[tokio::test]
async fn a_job_whose_folder_is_removed_ends_with_its_processes_and_files() {
    let server = Setup::new()
        .shell(
            "say scanning\necho $$ > \"$dir/pid.part\"; mv \"$dir/pid.part\" \"$dir/pid\"\n\
             while :; do say scanning; sleep 0.02; done\n",
        )
        .set("scanner.kill_grace_secs", 1)
        .start()
        .await;
    let job = server.submit("removed").await;
    let scanner: u32 = server.note("pid").await.parse().unwrap();
    server.working(&job).await;
    remove(&server.job_folder(&job));
    within(Duration::from_secs(30), "nobody knows it", async || {
        server.get(&format!("/scan/{job}")).await.status == 404
    })
    .await;
    eventually("its scanner is ended", async || !processes::lives(scanner)).await;
    does_not_spin(&server).await;
    assert_eq!(health(&server).await["scanners"]["queued"], 0);
    is_healthy(&server).await;
}

/// Breaks if a disk that is unmounted for a while costs a job on it: one that has finished, runs,
/// ends in the meantime or waits.
#[tokio::test]
async fn a_disk_that_is_unmounted_and_remounted_costs_nothing() {
    let test = "faults::away::a_disk_that_is_unmounted_and_remounted_costs_nothing";
    if !entered(test, MOUNTS) {
        return;
    }
    let setup = Setup::new();
    let (jobs, disk) = (setup.jobs(), setup.folder().join("disk"));
    let (jobs, disk) = (jobs.display().to_string(), disk.display().to_string());
    for folder in [&jobs, &disk] {
        fs::create_dir(folder).unwrap();
    }
    run("mount", &["-t", "tmpfs", "none", &disk]);
    run("mount", &["--bind", &disk, &jobs]);
    let server = setup
        .shell(WAITING)
        .set("scanner.max_concurrent_processes", 1)
        .set("scanner.stall_timeout_secs", 3)
        .set("scanner.update_interval_secs", 1)
        .set("watch.resync_interval_secs", 1)
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

    // At once (lazily), though it is in use, and invisible to everyone.
    run("umount", &["--lazy", &jobs]);
    reports_problem(&server, "is gone: an empty one is in its place").await;
    let detail = refusal(&server).await;
    assert!(detail.contains("the jobs folder is gone"), "{detail}");
    server.delete(&format!("/scan/{done}")).await.expect(503);
    // Longer than a silence may last, too: the scanner cannot be observed.
    tokio::time::sleep(LONG_ENOUGH).await;
    go(&server);
    does_not_spin(&server).await;
    assert_eq!(server.progress(&done).await["status"], "completed");
    assert_eq!(server.progress(&running).await["status"], "in_progress");
    assert_eq!(fs::read_dir(&jobs).unwrap().count(), 0, "nothing is written where it was");

    run("mount", &["--bind", &disk, &jobs]);
    is_healthy(&server).await;
    for job in [&running, &queued] {
        let document = server.finished(job).await;
        assert_eq!(document["status"], "completed", "{document:#}");
    }
    assert_eq!(runs(&server), ["done 1", "running 1", "queued 1"]);
    server.delete(&format!("/scan/{done}")).await.expect(204);
}

/// Breaks if a removed jobs folder is taken for an empty one, is written to without this server's
/// lock, or makes the server spin; or if a restarted server does not create it.
#[tokio::test]
async fn a_removed_jobs_folder_is_recreated_only_by_the_next_server() {
    let mut server = Setup::new()
        .shell(WAITING)
        .set("watch.resync_interval_secs", 1)
        .set("scanner.kill_grace_secs", 1)
        .set("server.stop_grace_secs", 1)
        .start()
        .await;
    let job = server.submit("lost").await;
    runs_now(&server, "lost 1").await;
    server.working(&job).await;
    let jobs = server.setup().jobs();
    remove(&jobs);
    reports_problem(&server, "is gone").await;
    assert!(refusal(&server).await.contains("the jobs folder is gone"));
    fs::create_dir(&jobs).unwrap();
    reports_problem(&server, "the jobs folder is gone").await;
    assert!(refusal(&server).await.contains("the jobs folder is gone"));
    does_not_spin(&server).await;
    assert_eq!(fs::read_dir(&jobs).unwrap().count(), 0);
    go(&server);
    assert_eq!(server.terminate().await, Some(0));
    server.restart().await;
    server.get(&format!("/scan/{job}")).await.expect(404);
    let next = server.submit("next").await;
    assert_eq!(server.finished(&next).await["status"], "completed");
}

/// Breaks if a folder that is moved away and back between two polls is no longer watched: notify
/// removes its watch when it leaves.
#[tokio::test]
async fn a_folder_that_is_moved_away_and_back_is_still_watched() {
    let server = Setup::new().set("watch.resync_interval_secs", 100_000).start().await;
    let job = Handmade::new(&server, 1);
    job.repository(0, "scanning", 1);
    job.known(&server).await;
    let away = server.file("away");
    // Written to as soon as it is back, so that some of it falls between the old watch and the new.
    for step in 1..100 {
        server.signal(server.pid(), Signal::STOP);
        fs::rename(&job.folder, &away).unwrap();
        fs::rename(&away, &job.folder).unwrap();
        server.signal(server.pid(), Signal::CONT);
        for file in [2 * step, 2 * step + 1] {
            job.repository(0, "scanning", file);
            eventually("it is seen", async || {
                let document = server.progress(&job.id).await;
                document["repositories"][0]["progress"]["current_file"] == file
            })
            .await;
        }
    }
}

/// Breaks if a permission that is lost for a while (on the jobs folder, on a job's) costs what is
/// known, running or waiting, or makes the server spin.
#[tokio::test]
async fn a_temporarily_lost_permission_costs_only_time() {
    let Some(setup) = as_another_user(Setup::new()) else { return };
    let server = setup
        .shell(WAITING)
        .set("scanner.max_concurrent_processes", 1)
        .set("watch.resync_interval_secs", 1)
        .start()
        .await;
    let running = server.submit("running").await;
    runs_now(&server, "running 1").await;
    server.working(&running).await;
    let queued = server.submit("queued").await;
    let jobs = server.setup().jobs();
    allow(&jobs, 0);
    reports_problem(&server, "cannot be read: Permission denied").await;
    let detail = refusal(&server).await;
    assert!(detail.to_lowercase().contains("permission denied"), "{detail}");
    tokio::time::sleep(LONG_ENOUGH).await;
    does_not_spin(&server).await;
    assert_eq!(server.progress(&running).await["status"], "in_progress");
    allow(&jobs, 0o750);
    is_healthy(&server).await;

    // The job's own: it ends, and cannot write its state until permitted.
    allow(&server.job_folder(&running), 0);
    go(&server);
    does_not_spin(&server).await;
    assert_eq!(server.progress(&running).await["status"], "in_progress");
    allow(&server.job_folder(&running), 0o750);
    for job in [&running, &queued] {
        let document = server.finished(job).await;
        assert_eq!(document["status"], "completed", "{document:#}");
    }
    assert_eq!(runs(&server), ["running 1", "queued 1"]);
    eventually("nothing is left", async || left_in_staging(&server).is_empty()).await;
}

/// Breaks if a file of a finished job that could not be read for a while is never read again.
#[tokio::test]
async fn a_file_that_becomes_readable_again_is_read() {
    let Some(setup) = as_another_user(Setup::new().notified()) else { return };
    let server = setup.shell("say completed\n").set("watch.resync_interval_secs", 1).start().await;
    let job = server.submit("hidden").await;
    server.finished(&job).await;
    let file = server.job_folder(&job).join("repo_0.json");
    let text = files::text(&file);
    files::replace(&file, &text);
    allow(&file, 0);
    let warned = async || server.progress(&job).await["warnings"].to_string().contains("denied");
    files::replace(&server.job_folder(&job).join("unrelated"), "");
    eventually("it is warned of", warned).await;
    assert_eq!(server.progress(&job).await["summary"]["completed"], 1, "what it said stays");
    // From here on only the folder itself is checked, and it does not change.
    eventually("it is watched no more", async || watches(&server) == 1).await;
    allow(&file, 0o644);
    eventually("it is read again", async || {
        server.progress(&job).await["warnings"].as_array().is_some_and(Vec::is_empty)
    })
    .await;
}

/// Breaks if a job that cannot be read at the start is never resumed, or if that is not reported.
#[tokio::test]
async fn a_job_that_is_unreadable_at_the_start_resumes_once_readable() {
    let setup = Setup::new().shell("say completed\n").set("watch.resync_interval_secs", 1);
    let job = setup.write_group(2);
    let folder = setup.jobs().join(&job);
    let Some(setup) = as_another_user(setup) else { return };
    allow(&folder, 0);
    let server = setup.start().await;
    reports_problem(&server, "1 unfinished jobs cannot be read").await;
    allow(&folder, 0o750);
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    is_healthy(&server).await;
}
