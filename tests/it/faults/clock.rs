//! A wall clock that jumps: ahead, back, and to 1970.

use super::{health, watches};
use crate::support::{
    files,
    namespace::{MOUNTS, can, entered, run},
    server::{Setup, TestServer},
    wait::eventually,
};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

/// Gives every program that is started from now on, shims and scanners too, another wall clock: an
/// offset in seconds, read from a file. The monotonic clock stays as it is.
const FALSE_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long long ahead(void) {
    char text[32] = {0};
    int file = open(CLOCK, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
    close(file);
    return atoll(text);
}
int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, at);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        at->tv_sec += ahead();
    return failed;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *at) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"#;

/// The clock of this test's namespace.
struct Clock(PathBuf);

impl Clock {
    /// Preloads it into all programs, by a second /etc over the first (`ld.so.preload`).
    fn new(folder: &Path) -> Self {
        let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
        let clock = Self(folder.join("clock"));
        clock.set(0);
        files::write(&source, FALSE_CLOCK);
        let path = |path: &Path| path.display().to_string();
        let define = format!("-DCLOCK=\"{}\"", path(&clock.0));
        run("cc", &["-shared", "-fPIC", "-O1", &define, "-o", &path(&library), &path(&source)]);
        let layers = folder.join("etc");
        std::fs::create_dir(&layers).unwrap();
        run("mount", &["-t", "tmpfs", "none", &path(&layers)]);
        for name in ["upper", "work"] {
            std::fs::create_dir(layers.join(name)).unwrap();
        }
        let layers = path(&layers);
        let layers = format!("lowerdir=/etc,upperdir={layers}/upper,workdir={layers}/work");
        run("mount", &["-t", "overlay", "-o", &layers, "none", "/etc"]);
        files::write(Path::new("/etc/ld.so.preload"), path(&library));
        let hour = |text: &str| text.trim().parse::<i64>().unwrap() / 3600;
        let before = hour(&run("date", &["+%s"]));
        clock.set(48 * 3600);
        assert_eq!(hour(&run("date", &["+%s"])) - before, 48, "the clock is believed");
        clock.set(0);
        clock
    }

    fn set(&self, ahead: i64) {
        files::replace(&self.0, ahead.to_string());
    }

    fn set_to_1970(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        self.set(3600 - i64::try_from(now.as_secs()).unwrap());
    }
}

/// No figure of a job is impossible.
async fn figures_make_sense(server: &TestServer, jobs: &[&String]) {
    let within = |value: &Value, most: f64| {
        value.is_null() || value.as_f64().is_some_and(|number| (0.0..=most).contains(&number))
    };
    for job in jobs {
        let document = server.progress(job).await;
        let row = server.get(&format!("/jobs/{job}")).await.expect(200).json();
        let percentage = &document["repositories"][0]["progress"]["percentage"];
        // Each of them was started while this server ran, and none runs longer than the test.
        assert!(within(&document["elapsed_time_seconds"], 600.0), "{document:#}");
        assert!(within(&document["eta_seconds"], f64::MAX), "{document:#}");
        assert!(within(percentage, 100.0), "{document:#}");
        assert!(within(&row["progress"], 100.0), "{row:#}");
    }
    server.get("/jobs").await.expect(200);
    server.get("/health").await.expect(200);
    server.get("/metrics").await.expect(200);
}

/// Breaks if a scan's time limit uses a clock that can be set: it would end all scans at a jump, or
/// none for days; if a jump costs a running or a fresh job; or if a figure leaves its range.
#[tokio::test]
async fn a_clock_that_jumps_ends_no_scan_and_removes_no_job() {
    let test = "faults::clock::a_clock_that_jumps_ends_no_scan_and_removes_no_job";
    if !entered(test, MOUNTS) || !can("cc", &["--version"]) {
        return;
    }
    // The number of watches is counted.
    let setup = Setup::new().notified();
    let clock = Clock::new(setup.folder());
    let limit = Duration::from_secs(9);
    let server = setup
        .shell(
            "say scanning '\"total_files\": 10, \"current_file\": 5'\n\
             while [ ! -e \"$dir/$SCANWATCH_REPO_NAME\" ]; do sleep 0.1; done\nsay completed\n",
        )
        .set("scanner.subprocess_timeout_secs", limit.as_secs())
        .set("scanner.kill_grace_secs", 1)
        .set("scanner.stall_timeout_secs", 100)
        .set("jobs.cleanup_interval_secs", 1)
        .set("watch.resync_interval_secs", 1)
        .start()
        .await;
    let done = server.submit("done").await;
    files::write(&server.file("done"), "");
    server.finished(&done).await;
    let endless = server.submit("endless").await;
    server.working(&endless).await;
    let began = Instant::now();
    let mut others = Vec::new();
    for (number, name) in ["ahead", "back", "first"].into_iter().enumerate() {
        match number {
            0 => clock.set(48 * 3600),
            1 => clock.set(-48 * 3600),
            _ => clock.set_to_1970(),
        }
        // Submitted, scanned and finished by the false clock alone.
        let job = server.submit(name).await;
        server.working(&job).await;
        // A clean-up runs, and a comparison.
        let left = server.setup().jobs().join(format!(".staging/write-{name}"));
        files::write(&left, "");
        if number == 0 {
            eventually("it is cleaned up", async || !left.exists()).await;
        } else {
            let before = health(&server).await["watch"]["resyncs"].as_u64();
            eventually("a comparison comes by", async || {
                health(&server).await["watch"]["resyncs"].as_u64() > before.map(|count| count + 1)
            })
            .await;
        }
        figures_make_sense(&server, &[&done, &endless, &job]).await;
        files::write(&server.file(name), "");
        let document = server.finished(&job).await;
        assert_eq!(document["status"], "completed", "{name}: {document:#}");
        figures_make_sense(&server, &[&job]).await;
        // The jobs folder is, and so is the endless job, until its time limit.
        eventually("what is over is watched no more", async || watches(&server) <= 2).await;
        others.push(job);
    }
    if began.elapsed() + Duration::from_secs(2) < limit {
        assert_eq!(server.progress(&endless).await["status"], "in_progress", "a jump ended it");
    }
    let document = server.finished(&endless).await;
    assert_eq!(document["status"], "timeout", "{document:#}");
    let took = began.elapsed();
    assert!(took + Duration::from_secs(1) >= limit, "after {took:?}");
    clock.set(0);
    for job in [&done, &endless].into_iter().chain(&others) {
        server.get(&format!("/scan/{job}")).await.expect(200);
    }
}
