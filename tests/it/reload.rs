//! SIGHUP: the server reloads what can be reloaded, says what it did, and never ends because of it.

use crate::support::{
    files,
    forge::Forge,
    server::{Setup, TestServer},
    wait::eventually,
};
use rustix::process::Signal;
use std::path::PathBuf;

fn settings_file(server: &TestServer) -> PathBuf {
    server.setup().folder().join("settings.toml")
}

/// Sends SIGHUP, and waits until the log has this text once more than before.
async fn reloaded(server: &TestServer, expected: &str) {
    let count = || server.setup().log().matches(expected).count();
    let before = count();
    server.signal(server.pid(), Signal::HUP);
    eventually(&format!("the log says {expected:?}"), async || count() > before).await;
}

/// Breaks if a server without files of users and without a certificate dies of SIGHUP.
#[tokio::test]
async fn sighup_ends_no_server() {
    let server = Setup::new().start().await;
    for _ in 0..3 {
        reloaded(&server, "settings reloaded: nothing changed").await;
    }
    server.get("/health").await.expect(200);
}

/// Breaks if SIGHUP during the start ends the server: its handler is the first thing that it makes.
#[tokio::test]
async fn sighup_during_the_start_ends_no_server() {
    let mut server = Setup::new().not_yet();
    let begun = server.begin();
    eventually("the server handles signals", async || {
        let status = files::text(format!("/proc/{}/status", server.pid()).as_ref());
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
        // Bit 0 is signal 1, SIGHUP.
        caught.is_some_and(|mask| u64::from_str_radix(mask, 16).is_ok_and(|mask| mask & 1 == 1))
    })
    .await;
    server.signal(server.pid(), Signal::HUP);
    assert!(server.is_up(begun).await, "SIGHUP ended it");
}

/// Breaks if a rotated token of a forge needs a restart.
#[tokio::test]
async fn a_rotated_forge_token_is_used_by_the_next_scan() {
    let forge = Forge::start();
    forge.add_repository("owner/app", &[("requirements.txt", b"flask==3.0.0\n")]);
    forge.require_login("oauth2", "second");
    let setup = Setup::new();
    let token = setup.folder().join("forge.token");
    files::write(&token, "first\n");
    let entry = format!(
        "[{{ kind = \"gitlab\", url = \"{}\", token_file = \"{}\" }}]",
        forge.base(),
        token.display()
    );
    let server = setup.set("forges", entry).start().await;
    let submit = async || {
        server.submit_with(&serde_json::json!({ "git_url": forge.url("owner/app") })).await
    };
    let refused = submit().await;
    assert_eq!(server.finished(&refused).await["status"], "failed");

    files::write(&token, "second\n");
    reloaded(&server, "forge tokens replaced").await;
    let scanned = submit().await;
    assert_eq!(server.finished(&scanned).await["status"], "completed");
    let log = server.setup().log();
    assert!(!log.contains("second"), "the log has the token");
}

/// Breaks if changed limits need a restart, if a setting that does need one is not named, or if an
/// invalid setting changes anything.
#[tokio::test]
async fn limits_are_reloaded_and_an_invalid_file_keeps_the_old_ones() {
    let server = Setup::new()
        .set("scanner.max_concurrent_processes", 1)
        .shell("say scanning; while [ ! -e \"$dir/enough\" ]; do sleep 0.05; done; say completed")
        .start()
        .await;
    let jobs = [server.submit("a").await, server.submit("b").await];
    server.working(&jobs[0]).await;
    let file = settings_file(&server);
    let before = files::text(&file);

    let changed = before.replace("max_concurrent_processes = 1", "max_concurrent_processes = 2");
    let changed = format!("server.max_connections = 77\njobs.max_queued_jobs = 1\n{changed}");
    files::write(&file, &changed);
    reloaded(&server, "settings reloaded; scans that start from now on use them").await;
    for job in &jobs {
        server.working(job).await;
    }
    let log = server.setup().log();
    for part in ["jobs.max_queued_jobs, scanner.max_concurrent_processes", "server.max_connections"]
    {
        assert!(log.contains(part), "{part} is not named: {log}");
    }
    server.submit("waits").await;
    server
        .post("/scan", &serde_json::json!({ "git_url": "https://github.com/acme/more.git" }))
        .await
        .expect(429);

    files::write(&file, format!("scanner.max_procs = 9\n{changed}"));
    reloaded(&server, "the previous ones stay in force").await;
    let log = server.setup().log();
    assert!(log.contains("unknown setting `scanner.max_procs`"), "{log}");
    let health = server.get("/health").await.expect(200).json();
    assert_eq!(health["status"], "degraded", "{health:#}");
    assert!(health["problems"][0].as_str().unwrap().contains("settings"), "{health:#}");
    assert!(!health.to_string().contains("settings.toml"), "a path is shown: {health:#}");

    files::write(&file, &changed);
    reloaded(&server, "come into force with the next start").await;
    assert_eq!(server.get("/health").await.json()["status"], "healthy");
    files::write(&server.file("enough"), "\n");
    for job in &jobs {
        server.finished(job).await;
    }
}
