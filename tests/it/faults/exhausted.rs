//! A process, a user or a machine that has exhausted a resource: descriptors, processes, watches.

use super::{
    WAITING, as_another_user, does_not_spin, go, health, is_healthy, refusal, reports_problem,
    runs, runs_now, watches,
};
use crate::support::{
    files,
    handmade::Handmade,
    namespace::{LIMITS, entered, run},
    server::{Setup, TestServer},
    tracing::{Interference, can_interfere},
    wait::eventually,
};
use notify::Watcher as _;
use reqwest::Method;
use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt, path::Path};

/// Sets a limit of a running server, as the user who runs it.
fn limit(server: &TestServer, what: &str, most: &str) {
    let pid = server.pid().to_string();
    let user = fs::metadata(server.folder()).unwrap().uid().to_string();
    let limit = format!("--{what}={most}:");
    let prlimit = ["prlimit", "--pid", &pid, &limit];
    // Root's is the test's own; for another user's process, only that user may do it.
    if user == "0" {
        run(prlimit[0], &prlimit[1..]);
    } else {
        let switch = ["--reuid", &user, "--regid", &user, "--clear-groups"];
        run("setpriv", &[&switch[..], &prlimit].concat());
    }
}

/// The descriptors that the server has open.
fn open_files(server: &TestServer) -> BTreeSet<u64> {
    let entries = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Breaks if a server without descriptors spins, dies, forgets a job or reports a scan dead whose
/// final state it could not read; or if it does not recover by itself.
#[tokio::test]
async fn a_server_without_descriptors_waits_and_loses_nothing() {
    let server = Setup::new()
        .shell(WAITING)
        .set("scanner.max_concurrent_processes", 1)
        .set("watch.resync_interval_secs", 1)
        .start()
        .await;
    let running = server.submit("running").await;
    runs_now(&server, "running 1").await;
    server.working(&running).await;
    let queued = server.submit("queued").await;
    let cause = "Too many open files";

    // One is left, which a connection takes: it is answered, and nothing can be written.
    eventually("all is quiet", async || {
        let before = open_files(&server);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        before == open_files(&server)
    })
    .await;
    let open = open_files(&server);
    let free = (0..1 << 20).find(|number| !open.contains(number)).unwrap();
    let most = free + 1;
    limit(&server, "nofile", &most.to_string());
    let detail = refusal(&server).await;
    assert!(detail.contains(cause), "{detail}");
    server.get(&format!("/scan/{running}")).await.expect(200);

    // None is left: a connection is not even accepted, and not lost either.
    limit(&server, "nofile", "3");
    let asked = server.request(Method::GET, &format!("/scan/{running}"));
    let asked = server.try_send(asked);
    tokio::pin!(asked);
    go(&server);
    tokio::select! {
        answer = &mut asked => panic!("there was no descriptor for it: {answer:?}"),
        () = does_not_spin(&server) => {}
    }
    limit(&server, "nofile", "4096");
    assert_eq!(asked.await.unwrap().status, 200);
    for job in [&running, &queued] {
        let document = server.finished(job).await;
        assert_eq!(document["status"], "completed", "{document:#}");
    }
    assert_eq!(runs(&server), ["running 1", "queued 1"], "once each");
    is_healthy(&server).await;
}

/// Breaks as above, where the whole machine has no descriptors left.
#[tokio::test]
async fn a_server_on_a_machine_without_descriptors_waits_and_loses_nothing() {
    if !can_interfere() {
        return;
    }
    let server = Setup::new()
        .shell(WAITING)
        .set("scanner.max_concurrent_processes", 1)
        .set("watch.resync_interval_secs", 1)
        .start()
        .await;
    let running = server.submit("running").await;
    runs_now(&server, "running 1").await;
    server.working(&running).await;
    let queued = server.submit("queued").await;
    {
        let none = ["-e", "trace=openat,openat2", "-e", "inject=openat,openat2:error=ENFILE"];
        let _none = Interference::with(server.pid(), &none).await;
        let detail = refusal(&server).await;
        assert!(detail.contains("Too many open files in system"), "{detail}");
        go(&server);
        eventually("an end is not read", async || {
            server.setup().log().contains("cannot start or finalize a scan")
        })
        .await;
        server.get(&format!("/scan/{running}")).await.expect(200);
    }
    for job in [&running, &queued] {
        let document = server.finished(job).await;
        assert_eq!(document["status"], "completed", "{document:#}");
    }
    assert_eq!(runs(&server), ["running 1", "queued 1"], "once each");
    is_healthy(&server).await;
}

/// Breaks if a final state that is temporarily unreadable counts as missing: the scan would be
/// repeated.
#[tokio::test]
async fn a_temporarily_unreadable_end_is_not_a_death() {
    if !can_interfere() {
        return;
    }
    let server = Setup::new().shell(WAITING).start().await;
    let job = server.submit("unread").await;
    runs_now(&server, "unread 1").await;
    server.working(&job).await;
    let status = server.job_folder(&job).join("repo_0.json").display().to_string();
    let unread = ["-P", &status, "-e", "inject=openat:error=ENFILE"];
    let unread = Interference::with(server.pid(), &unread).await;
    go(&server);
    eventually("it is tried again", async || {
        server.setup().log().contains("cannot start or finalize a scan") || runs(&server).len() > 1
    })
    .await;
    drop(unread);
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(runs(&server), ["unread 1"]);
}

/// Breaks if a repository whose process could not be started is lost, fails, or is retried without
/// a pause.
#[tokio::test]
async fn without_processes_queued_scans_stay_queued() {
    let Some(setup) = as_another_user(Setup::new()) else { return };
    let server = setup.shell(WAITING).start().await;
    go(&server);
    // Below the number of the server's own threads for this user.
    limit(&server, "nproc", "1");
    let jobs = [server.submit("one").await, server.submit("two").await];
    eventually("several tries have failed", async || {
        server.setup().log().matches("cannot start or finalize a scan").count() >= 4
    })
    .await;
    does_not_spin(&server).await;
    for job in &jobs {
        let document = server.progress(job).await;
        assert_eq!(document["status"], "initializing", "{document:#}");
    }
    assert_eq!(runs(&server), [""; 0]);
    limit(&server, "nproc", "4096");
    for job in &jobs {
        let document = server.finished(job).await;
        assert_eq!(document["status"], "completed", "{document:#}");
    }
    assert_eq!(runs(&server).len(), 2, "once each");
    assert_eq!(server.status_file(&jobs[0], 0)["attempt"], 1);
}

/// Sets a limit on inotify, of this test's own namespace.
fn allow(what: &str, most: u32) {
    files::write(&Path::new("/proc/sys/user").join(what), most.to_string());
}

/// Breaks if jobs without a watch are not seen, if that is not reported, or if a raised limit takes
/// effect only after a restart.
#[tokio::test]
async fn jobs_beyond_the_watch_limit_are_polled() {
    if !entered("faults::exhausted::jobs_beyond_the_watch_limit_are_polled", LIMITS) {
        return;
    }
    allow("max_inotify_watches", 4);
    let server = Setup::new()
        .notified()
        .set("watch.resync_interval_secs", 1)
        .set("watch.poll_interval_ms", 100)
        .start()
        .await;
    let jobs: Vec<_> = (0..8).map(|_| Handmade::new(&server, 1)).collect();
    for job in &jobs {
        job.repository(0, "scanning", 1);
    }
    reports_problem(&server, "5 jobs are polled: the inotify watch limit is reached").await;
    assert_eq!(health(&server).await["watch"]["mode"], "notify");
    all_are_seen(&server, &jobs, 2).await;
    allow("max_inotify_watches", 100);
    is_healthy(&server).await;
    assert_eq!(health(&server).await["watch"]["polled_jobs"], 0);
    all_are_seen(&server, &jobs, 3).await;
}

/// Breaks if a server that gets no inotify instance does not start, sees nothing, reports nothing,
/// or stays that way when it could get one.
#[tokio::test]
async fn without_an_inotify_instance_everything_is_polled() {
    if !entered("faults::exhausted::without_an_inotify_instance_everything_is_polled", LIMITS) {
        return;
    }
    allow("max_inotify_instances", 0);
    let server = Setup::new()
        .notified()
        .set("watch.resync_interval_secs", 1)
        .set("watch.poll_interval_ms", 100)
        .start()
        .await;
    reports_problem(&server, "fs.inotify.max_user_instances").await;
    assert_eq!(health(&server).await["watch"]["mode"], "poll");
    let jobs: Vec<_> = (0..3).map(|_| Handmade::new(&server, 1)).collect();
    for job in &jobs {
        job.repository(0, "scanning", 1);
    }
    all_are_seen(&server, &jobs, 2).await;
    allow("max_inotify_instances", 10);
    is_healthy(&server).await;
    assert_eq!(health(&server).await["watch"]["mode"], "notify");
    all_are_seen(&server, &jobs, 3).await;
    assert_eq!(server.setup().log().matches("inotify is not available").count(), 1, "logged once");
}

/// The watches of another program, until this is dropped: all programs of a user share the limits.
fn taken_by_another(folders: &[std::path::PathBuf]) -> notify::RecommendedWatcher {
    let mut other = notify::recommended_watcher(|_| ()).unwrap();
    for folder in folders {
        fs::create_dir_all(folder).unwrap();
        other.watch(folder, notify::RecursiveMode::NonRecursive).unwrap();
    }
    other
}

/// A gauge of `/metrics`.
async fn gauge(server: &TestServer, name: &str) -> String {
    let text = server.get("/metrics").await.expect(200).text;
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|text| text.split(' ').next_back()).unwrap_or("none").to_owned()
}

/// Breaks if watches that another program releases are not used without a restart or a raised
/// limit; or if neither `/health` nor a metric says how many jobs are polled in the meantime.
#[tokio::test]
async fn watches_that_another_program_releases_are_used() {
    if !entered("faults::exhausted::watches_that_another_program_releases_are_used", LIMITS) {
        return;
    }
    allow("max_inotify_watches", 20);
    let setup = Setup::new()
        .notified()
        .set("watch.resync_interval_secs", 1)
        .set("watch.poll_interval_ms", 100);
    let folders: Vec<_> =
        (0..16).map(|number| setup.folder().join(format!("other-{number}"))).collect();
    let server = setup.start().await;
    let other = taken_by_another(&folders);
    let jobs: Vec<_> = (0..8).map(|_| Handmade::new(&server, 1)).collect();
    for job in &jobs {
        job.repository(0, "scanning", 1);
    }
    // The jobs folder has one of the four that are left.
    reports_problem(&server, "5 jobs are polled: the inotify watch limit is reached").await;
    assert_eq!(gauge(&server, "scanwatch_watcher_polled_jobs").await, "5");
    assert_eq!(gauge(&server, "scanwatch_watcher_notified").await, "1");
    all_are_seen(&server, &jobs, 2).await;
    drop(other);
    is_healthy(&server).await;
    assert_eq!(gauge(&server, "scanwatch_watcher_polled_jobs").await, "0");
    assert_eq!(watches(&server), 9, "the jobs folder, and that of each job");
    all_are_seen(&server, &jobs, 3).await;
}

/// Breaks as above, for inotify instances.
#[tokio::test]
async fn an_instance_that_another_program_releases_is_used() {
    if !entered("faults::exhausted::an_instance_that_another_program_releases_is_used", LIMITS) {
        return;
    }
    allow("max_inotify_instances", 1);
    let other = taken_by_another(&[]);
    let server = Setup::new()
        .notified()
        .set("watch.resync_interval_secs", 1)
        .set("watch.poll_interval_ms", 100)
        .start()
        .await;
    reports_problem(&server, "fs.inotify.max_user_instances").await;
    assert_eq!(gauge(&server, "scanwatch_watcher_notified").await, "0");
    let jobs: Vec<_> = (0..3).map(|_| Handmade::new(&server, 1)).collect();
    for job in &jobs {
        job.repository(0, "scanning", 1);
    }
    all_are_seen(&server, &jobs, 2).await;
    drop(other);
    is_healthy(&server).await;
    assert_eq!(gauge(&server, "scanwatch_watcher_notified").await, "1");
    assert_eq!(watches(&server), 4, "the jobs folder, and that of each job");
    all_are_seen(&server, &jobs, 3).await;
}

async fn all_are_seen(server: &TestServer, jobs: &[Handmade], step: u32) {
    for job in jobs {
        job.repository(0, "scanning", step);
    }
    for job in jobs {
        eventually("a change is seen", async || {
            let answer = server.get(&job.path()).await;
            answer.status == 200
                && answer.json()["repositories"][0]["progress"]["current_file"] == step
        })
        .await;
    }
}
