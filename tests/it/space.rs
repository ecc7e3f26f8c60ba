//! A disk that gets full: no scan starts below the free-space limit, what runs goes on, and what
//! waits is not lost.

use crate::support::{
    forge::program,
    server::{Answer, Setup, TestServer},
    wait::eventually,
};
use serde_json::{Value, json};

/// More than any disk has.
const NEVER_FREE: u64 = 1 << 50;

async fn health(server: &TestServer) -> Value {
    server.get("/health").await.expect(200).json()
}

async fn load(server: &TestServer) -> (u64, u64) {
    let scanners = &health(server).await["scanners"];
    (scanners["running"].as_u64().unwrap(), scanners["queued"].as_u64().unwrap())
}

async fn refusal(server: &TestServer) -> Answer {
    let body = json!({ "git_url": "https://github.com/acme/refused.git" });
    server.post("/scan", &body).await.expect(503)
}

fn said(server: &TestServer, words: &str) -> usize {
    server.setup().log().matches(words).count()
}

/// Breaks if new scans fill a nearly full disk completely, if it costs a queued repository its
/// scan, or if it is not reported why nothing starts.
#[tokio::test]
async fn below_the_space_limit_new_jobs_are_refused_and_queued_ones_wait() {
    for (setting, words) in [("min_free_bytes", "TiB required"), ("min_free_inodes", "inodes free")]
    {
        let setup = Setup::new().shell("say completed\n");
        let waiting = setup.write_group(2);
        let cancelled = setup.write_group(1);
        let variable = format!("SCANWATCH_JOBS__{}", setting.to_uppercase());
        let mut server = setup.variable(&variable, NEVER_FREE).start().await;
        eventually("all wait", async || load(&server).await == (0, 3)).await;

        for _ in 0..3 {
            let answer = refusal(&server).await;
            assert_eq!(answer.header("retry-after"), Some("30"));
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(words) && detail.contains(setting), "{detail}");
        }
        let seen = health(&server).await;
        assert_eq!(seen["status"], "degraded");
        assert!(seen["problems"][0].as_str().unwrap().contains(words), "{seen:#}");
        assert!(seen["disk"]["free_bytes"].as_u64().is_some(), "{seen:#}");
        server.get("/readyz").await.expect(200);
        server.post_nothing(&format!("/scan/{cancelled}/cancel")).await.expect(200);
        assert_eq!(server.finished(&cancelled).await["status"], "cancelled");
        assert_eq!(load(&server).await, (0, 2));
        assert_eq!(said(&server, "not enough free space"), 1, "once, not at each refusal");

        assert_eq!(server.terminate().await, Some(0));
        server.set_variable(&variable, 0);
        server.restart().await;
        let document = server.finished(&waiting).await;
        assert_eq!(document["status"], "completed", "{document:#}");
        assert_eq!(health(&server).await["status"], "healthy");
        server.submit("again").await;
    }
}

/// Whether this user may mount a disk in a private namespace.
fn can_mount(setup: &Setup) -> bool {
    let command = format!("mount -t tmpfs none '{}'", setup.folder().display());
    let tried = program("unshare").args(["-rm", "sh", "-c", &command]).output();
    let may = tried.as_ref().is_ok_and(|output| output.status.success());
    if !may {
        #[expect(clippy::print_stderr, reason = "why a test has tested nothing")]
        {
            eprintln!("skipped: no disk can be mounted here: {tried:?}");
        }
    }
    may
}

/// Breaks if the free space is not checked at each start of a scan, or if the queue does not resume
/// by itself when there is space again.
#[tokio::test]
async fn on_a_disk_that_fills_up_the_queue_waits_until_there_is_space_again() {
    let setup = Setup::new();
    if !can_mount(&setup) {
        return;
    }
    std::fs::create_dir(setup.jobs()).unwrap();
    let mount = format!(
        "mount -t tmpfs -o size=64m none '{}' && exec \"$0\" \"$@\"",
        setup.jobs().display()
    );
    let server = setup
        .launched_by(&["unshare", "-rm", "sh", "-c", &mount])
        .set("scanner.max_concurrent_processes", 1)
        .set("jobs.min_free_bytes", 32 << 20)
        .set("jobs.min_free_inodes", 0)
        .shell(
            "[ \"$SCANWATCH_REPO_NAME\" = large ] || { say completed; exit; }\n\
             while [ ! -e \"$dir/both\" ]; do sleep 0.02; done\n\
             head -c 48m /dev/zero > \"$dir/jobs/filler\"\n\
             say scanning\n\
             echo > \"$dir/filled.part\"; mv \"$dir/filled.part\" \"$dir/filled\"\n\
             while [ ! -e \"$dir/submitted\" ]; do sleep 0.02; done\n\
             say completed\n",
        )
        .start()
        .await;
    let large = server.submit("large").await;
    let next = server.submit("next").await;
    crate::support::files::write(&server.file("both"), "");
    server.note("filled").await;
    let refused = refusal(&server).await.json();
    assert!(refused["detail"].as_str().unwrap().contains(": 15."), "{refused:#}");

    // What runs goes on below the limit; what waits starts when there is space again.
    crate::support::files::write(&server.file("submitted"), "");
    assert_eq!(server.finished(&large).await["status"], "completed");
    eventually("the next one waits", async || load(&server).await == (0, 1)).await;
    assert_eq!(server.progress(&next).await["status"], "initializing");
    let inside = format!("/proc/{}/root{}/filler", server.pid(), server.setup().jobs().display());
    std::fs::remove_file(inside).unwrap();
    assert_eq!(server.finished(&next).await["status"], "completed");
    eventually("it is well again", async || health(&server).await["status"] == "healthy").await;
    assert_eq!((said(&server, "not enough free space"), said(&server, "space again")), (1, 1));
}
