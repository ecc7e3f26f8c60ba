//! How many scans run at once: the ceiling that a request changes, hosts that throttle, and
//! repositories that are scanned alone.

use crate::{
    client,
    support::{
        files,
        forge::{Behaviour, Forge},
        server::{Answer, Setup, TestServer},
        wait::{PATIENCE, eventually, until},
    },
};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::process::Command;

/// A scanner that notes its start and its end, and works until it or all are released.
const WAITING: &str = r#"
echo "$SCANWATCH_JOB_ID" >> "$dir/begun"
say scanning
while [ ! -e "$dir/go" ] && [ ! -e "$dir/go-$SCANWATCH_JOB_ID" ]; do sleep 0.05; done
echo "$SCANWATCH_JOB_ID" >> "$dir/ended"
say completed
"#;

fn lines(server: &TestServer, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(server.file(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

async fn put(server: &TestServer, body: &Value) -> Answer {
    server.send(server.request(Method::PUT, "/admin/limits").json(body)).await
}

async fn set(server: &TestServer, most: u64) -> Value {
    put(server, &json!({ "max_concurrent_processes": most })).await.expect(200).json()
}

/// How many scans have begun, once so many have.
async fn begun(server: &TestServer, count: usize) {
    eventually(&format!("{count} scans have begun"), async || {
        lines(server, "begun").len() == count
    })
    .await;
}

/// Lets a scan end, and waits for that.
async fn release(server: &TestServer, job: &str) {
    files::write(&server.file(&format!("go-{job}")), "");
    server.finished(job).await;
}

/// Fails if a lowered limit stops a scan or lets one more begin, or if a raised one is not used at
/// once.
#[tokio::test]
async fn the_limit_is_changed_at_once_and_running_scans_are_not_disturbed() {
    let setup = Setup::new().shell(WAITING).set("scanner.max_concurrent_processes", 8);
    let server = setup.start().await;
    let mut jobs = Vec::new();
    for number in 0..16 {
        jobs.push(server.submit(&format!("crowd-{number}")).await);
    }
    begun(&server, 8).await;
    let limits = server.get("/admin/limits").await.expect(200).json();
    assert_eq!(
        (&limits["max_concurrent_processes"], &limits["source"]),
        (&json!(8), &json!("settings"))
    );

    let limits = set(&server, 2).await;
    assert_eq!((&limits["max_concurrent_processes"], &limits["slots"]), (&json!(2), &json!(2)));
    assert_eq!((&limits["source"], &limits["running"]), (&json!("request"), &json!(8)));
    assert_eq!(limits["limited_by"], Value::Null);
    for job in &jobs[..6] {
        release(&server, job).await;
    }
    let health = server.get("/health").await.json();
    let scanners = &health["scanners"];
    assert_eq!(
        (&scanners["running"], &scanners["ceiling"], &scanners["slots"]),
        (&json!(2), &json!(2), &json!(2)),
        "{health:#}"
    );
    assert_eq!(lines(&server, "begun").len(), 8, "nothing begins beyond the limit");
    release(&server, &jobs[6]).await;
    begun(&server, 9).await;
    assert_eq!(lines(&server, "ended").len(), 7, "each ended when it was released");

    set(&server, 5).await;
    begun(&server, 12).await;
    let metrics = server.get("/metrics").await.expect(200).text;
    for line in [
        "scanwatch_max_running_scanners 5",
        "scanwatch_scanner_slots 5",
        "scanwatch_scanner_slots_limited{reason=\"memory\"} 0",
        "scanwatch_throttled_hosts 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is missing: {metrics}");
    }
    files::write(&server.file("go"), "");
    for job in &jobs {
        assert_eq!(server.finished(job).await["status"], "completed");
    }
    let (mut begun, mut submitted) = (lines(&server, "begun"), jobs.clone());
    begun.sort();
    submitted.sort();
    assert_eq!(begun, submitted, "each was scanned once");
}

/// Fails if a request outlasts SIGHUP, or if an invalid one changes anything.
#[tokio::test]
async fn sighup_restores_the_limit_of_the_settings_and_invalid_requests_change_nothing() {
    let server = Setup::new().set("scanner.max_concurrent_processes", 3).start().await;
    set(&server, 256).await;
    for (value, kind) in [
        (json!({}), "missing"),
        (json!({ "max_concurrent_processes": null }), "int_type"),
        (json!({ "max_concurrent_processes": "7" }), "int_type"),
        (json!({ "max_concurrent_processes": 0 }), "greater_than_equal"),
        (json!({ "max_concurrent_processes": -1 }), "greater_than_equal"),
        (json!({ "max_concurrent_processes": 257 }), "less_than_equal"),
    ] {
        let problem = put(&server, &value).await.expect(422).json();
        assert_eq!(problem["detail"][0]["type"], kind, "{problem:#}");
        assert_eq!(problem["detail"][0]["loc"], json!(["body", "max_concurrent_processes"]));
    }
    let limits = server.get("/admin/limits").await.expect(200).json();
    assert_eq!(limits["max_concurrent_processes"], 256);

    server.signal(server.pid(), Signal::HUP);
    eventually("the settings are in force again", async || {
        let limits = server.get("/admin/limits").await.expect(200).json();
        limits["source"] == "settings" && limits["max_concurrent_processes"] == 3
    })
    .await;

    let ran = client::run(&server, &["limits", "--max", "7"]).expect(0);
    assert!(ran.out.starts_with("at most 7 scans at once (from a request"), "{ran:?}");
    let ran = client::run(&server, &["limits", "--json"]).expect(0);
    let limits: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(limits["max_concurrent_processes"], 7, "{ran:?}");
    client::run(&server, &["limits", "--max", "0"]).expect(2);
}

/// Fails if a program that may only submit scans changes or reads the limits.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the tests stand outside of the service")]
async fn only_the_scope_admin_reads_and_changes_limits() {
    let mut secrets = Vec::new();
    let mut file = String::new();
    for scope in ["read", "write", "admin"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scanwatch"));
        let made = command.args(["token", "new", scope, "--scope", scope]).output().unwrap();
        file += std::str::from_utf8(&made.stdout).unwrap();
        let said = String::from_utf8(made.stderr).unwrap();
        let secret = said.split_whitespace().find(|word| word.starts_with("scanwatch_"));
        secrets.push(secret.unwrap().to_owned());
    }
    let setup = Setup::new();
    let path = setup.folder().join("tokens");
    files::write(&path, &file);
    let setup = setup.set("auth.tokens_file", json!(path));
    let server = setup.with_credentials("token", &secrets[2]).start().await;
    for (secret, status) in secrets.iter().zip([403, 403, 200]) {
        for method in [Method::GET, Method::PUT] {
            let body = json!({ "max_concurrent_processes": 9 });
            let request = server.without_credentials(method, "/admin/limits").json(&body);
            server.send(request.bearer_auth(secret)).await.expect(status);
        }
    }
    let request = server.without_credentials(Method::PUT, "/admin/limits");
    server.send(request.json(&json!({ "max_concurrent_processes": 2 }))).await.expect(401);
    assert_eq!(server.get("/admin/limits").await.json()["max_concurrent_processes"], 9);
}

/// Fails if a host that throttles is contacted during the pause that it requested, if repositories
/// that wait for it hold slots or delay other hosts, or if they are not scanned in the end.
#[tokio::test]
async fn a_host_that_throttles_gets_its_pause_and_delays_no_other_host() {
    let (throttling, other) = (Forge::start(), Forge::start());
    let forges = [&throttling, &other]
        .map(|forge| format!("{{ kind = \"git\", url = \"{}\" }}", forge.base()))
        .join(", ");
    let setup = Setup::new()
        .set("forges", format!("[{forges}]"))
        .set("scanner.max_concurrent_processes", 4)
        .set("scanner.retry_pause_secs", 1);
    let server = setup.start().await;
    let refusal = Behaviour::Says(429, "Retry-After: 6\r\n".to_owned(), "slow down".to_owned());
    throttling.behave(refusal);
    let mut jobs = Vec::new();
    for number in 0..8 {
        let name = format!("repo-{number}");
        throttling.add_repository(&name, &[("requirements.txt", b"a==1\n")]);
        let body = json!({ "git_url": throttling.url(&name), "retries": 9 });
        jobs.push(server.submit_with(&body).await);
    }
    other.add_repository("free", &[("requirements.txt", b"a==1\n")]);
    let health = until(PATIENCE, "the host throttles, and nothing runs", async || {
        let health = server.get("/health").await.json();
        let scanners = &health["scanners"];
        (scanners["throttled_hosts"] == 1 && scanners["running"] == 0).then_some(health)
    })
    .await;
    let host = &health["scanners"]["hosts"][0];
    assert_eq!(host["origin"], throttling.base(), "{health:#}");
    assert!(host["scans"].as_u64().unwrap() <= 2, "{health:#}");
    let status = server.status_file(&jobs[0], 0);
    assert_eq!(status["failure"]["kind"], "clone", "{status:#}");
    assert_eq!(status["failure"]["throttled"], true, "{status:#}");
    assert_eq!(status["failure"]["retry_after_secs"], 6, "{status:#}");
    let message = status["message"].as_str().unwrap();
    assert!(message.starts_with("Attempt 2 of 10 begins in 6 s (last: clone: "), "{message}");

    let contacts = throttling.contacts();
    let free = server.submit_with(&json!({ "git_url": other.url("free") })).await;
    assert_eq!(server.finished(&free).await["status"], "completed");
    let now = throttling.contacts();
    let health = server.get("/health").await.json();
    if !health["scanners"]["hosts"][0]["not_before"].is_null() {
        assert_eq!(now, contacts, "the host was contacted during its pause");
        assert!(health["scanners"]["queued"].as_u64().unwrap() > 0, "{health:#}");
    }
    throttling.behave(Behaviour::Honest);
    for job in &jobs {
        assert_eq!(server.finished(job).await["status"], "completed");
    }
    let log = server.setup().log();
    assert!(log.contains("the host refuses scans because of its rate limit"), "{log}");
}

/// A scanner of which `hungry` runs out of memory at first, and then waits; the others are quick.
const HUNGRY: &str = r#"
note() { echo "$SCANWATCH_REPO_NAME $attempt $1" >> "$dir/notes"; }
note begins
case $SCANWATCH_REPO_NAME-$attempt in
    hungry-1)
        say failed '"attempt": 1, "failure": {"kind": "out_of_memory", "detail": "of the test"}'
        note ends
        exit 1 ;;
    hungry-*)
        say scanning
        while [ ! -e "$dir/go" ]; do sleep 0.05; done ;;
esac
note ends
say completed
"#;

/// Fails if anything runs beside the retry of a repository that ran out of memory, if that retry
/// never begins while others are submitted, or if nobody can see why others wait.
#[tokio::test]
async fn a_repository_that_ran_out_of_memory_is_retried_alone() {
    let setup = Setup::new()
        .shell(HUNGRY)
        .set("scanner.max_concurrent_processes", 3)
        .set("scanner.retry_pause_secs", 1);
    let server = setup.start().await;
    let hungry = json!({ "git_url": "https://github.com/acme/hungry.git", "retries": 3 });
    let hungry = server.submit_with(&hungry).await;
    let status = server.job_folder(&hungry).join("repo_0.json");
    let message = until(PATIENCE, "it waits for its retry", async || {
        files::json(&status)?["message"].as_str().map(str::to_owned)
    })
    .await;
    let expected = "Attempt 2 of 4 runs alone, in 1 s or later (last: out_of_memory: of the test)";
    assert_eq!(message, expected);
    // Others are queued all the time.
    let begins = "hungry 2 begins".to_owned();
    let mut jobs = Vec::new();
    while !lines(&server, "notes").contains(&begins) {
        for _ in 0..6 {
            jobs.push(server.submit(&format!("other-{}", jobs.len())).await);
        }
        assert!(jobs.len() < 2000, "it never begins");
    }
    jobs.push(server.submit("late").await);
    let health = server.get("/health").await.json();
    let scanners = &health["scanners"];
    assert_eq!((&scanners["running"], &scanners["slots"]), (&json!(1), &json!(1)), "{health:#}");
    let text = "1 of 3 slots: a repository that ran out of memory is scanned alone";
    assert_eq!(scanners["limited_by"], text);
    assert_eq!(health["status"], "healthy", "{health:#}");
    files::write(&server.file("go"), "");
    for job in jobs.iter().chain([&hungry]) {
        assert_eq!(server.finished(job).await["status"], "completed");
    }
    let notes = lines(&server, "notes");
    let place = notes.iter().position(|note| *note == begins).unwrap();
    assert_eq!(notes[place + 1], "hungry 2 ends", "something ran beside it: {notes:#?}");
    let open = |name: &str| notes[..place].iter().filter(|note| note.ends_with(name)).count();
    assert_eq!(open("begins"), open("ends"), "something still ran: {notes:#?}");
}

/// Fails if a restart of the server forgets that a repository is scanned alone: while its scan goes on, or when that scan
/// was interrupted.
#[tokio::test]
async fn a_scan_that_runs_alone_stays_alone_over_restarts() {
    let setup = Setup::new()
        .shell(HUNGRY)
        .set("scanner.max_concurrent_processes", 3)
        .set("scanner.retry_pause_secs", 1);
    let mut server = setup.start().await;
    let hungry = json!({ "git_url": "https://github.com/acme/hungry.git", "retries": 3 });
    let hungry = server.submit_with(&hungry).await;
    let begins = |attempt: u32| format!("hungry {attempt} begins");
    let has =
        |server: &TestServer, note: &str| lines(server, "notes").iter().any(|one| one == note);
    eventually("it is retried alone", async || has(&server, &begins(2))).await;

    // Killed: the scan goes on.
    server.kill9().await;
    server.restart().await;
    let other = server.submit("other").await;
    let health = server.get("/health").await.expect(200).json();
    assert_eq!(health["scanners"]["slots"], 1, "{health:#}");
    assert_eq!(health["scanners"]["running"], 1, "{health:#}");

    // Stopped: the scan is interrupted, and repeated.
    server.terminate().await;
    server.restart().await;
    eventually("it is repeated", async || has(&server, &begins(3))).await;
    files::write(&server.file("go"), "");
    for job in [&hungry, &other] {
        assert_eq!(server.finished(job).await["status"], "completed");
    }
    let notes = lines(&server, "notes");
    let place = notes.iter().position(|note| *note == begins(3)).unwrap();
    assert_eq!(notes[place + 1], "hungry 3 ends", "something ran beside it: {notes:#?}");
    let open = |end: &str| {
        notes[..place]
            .iter()
            .filter(|note| note.starts_with("other") && note.ends_with(end))
            .count()
    };
    assert_eq!(open("begins"), open("ends"), "something still ran: {notes:#?}");
}
