//! Schedules: what is run when, once, whatever happens to the server, the clock and the files.

mod clock;
mod command_line;
mod crashes;
mod files;

use crate::support::{
    files as disk,
    server::{Answer, Setup, TestServer},
    wait::{PATIENCE, eventually, until},
};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::PathBuf;

/// A time that comes only once in a while.
const YEARLY: &str = "0 0 1 1 *";
const EACH_SECOND: &str = "* * * * * *";
const URL: &str = "https://github.com/acme/widget.git";

/// A scanner that works until it is released.
const HELD: &str = "say scanning\nwhile [ ! -e \"$dir/go\" ]; do sleep 0.05; done\nsay completed\n";

fn quick() -> Setup {
    Setup::new().shell("say completed\n")
}

fn schedule(cron: &str) -> Value {
    json!({ "cron": cron, "git_url": URL })
}

async fn put(server: &TestServer, name: &str, body: &Value) -> Answer {
    server.send(server.request(Method::PUT, &format!("/schedules/{name}")).json(body)).await
}

async fn shown(server: &TestServer, name: &str) -> Value {
    server.get(&format!("/schedules/{name}")).await.expect(200).json()
}

async fn shown_when(
    server: &TestServer,
    name: &str,
    what: &str,
    fits: impl Fn(&Value) -> bool,
) -> Value {
    until(PATIENCE, what, async || Some(shown(server, name).await).filter(&fits)).await
}

async fn run(server: &TestServer, name: &str) -> Answer {
    server.post_nothing(&format!("/schedules/{name}/run")).await
}

fn folder(setup: &Setup) -> PathBuf {
    setup.jobs().join(".schedules")
}

/// The ids of all jobs.
fn jobs(setup: &Setup) -> Vec<String> {
    let entries = std::fs::read_dir(setup.jobs()).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut jobs: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
    jobs.sort_unstable();
    jobs
}

/// Writes a schedule and its state, as an operator or an earlier server.
fn lay(setup: &Setup, name: &str, definition: &Value, state: Option<&Value>) {
    std::fs::create_dir_all(folder(setup)).unwrap();
    disk::write(&folder(setup).join(format!("{name}.json")), definition.to_string());
    if let Some(state) = state {
        disk::write(&folder(setup).join(format!("{name}.state.json")), state.to_string());
    }
}

/// The state of a schedule with this pattern that was handled up to this time.
fn state(cron: &str, handled: chrono::DateTime<chrono::Utc>) -> Value {
    json!({
        "schema": 1, "rule": format!("{cron} UTC"), "handled": handled.to_rfc3339(), "pending": null,
        "last_job": null, "last_result": null, "last_reason": null,
    })
}

async fn hang_up(server: &TestServer) {
    let count = || server.setup().log().matches("SIGHUP: reloading").count();
    let before = count();
    server.signal(server.pid(), Signal::HUP);
    eventually("the signal is seen", async || count() > before).await;
}

/// Fails if a schedule cannot be stored, read, run, replaced and removed, or its jobs cannot be found.
#[tokio::test]
async fn a_schedule_is_stored_run_and_removed() {
    let mut server = quick().at_a_fixed_port().start().await;
    let body = json!({
        "cron": YEARLY, "timezone": "Europe/Berlin", "git_url": format!(" {URL} "), "deep": true,
        "retries": 2, "jitter_secs": 5,
    });
    let created = put(&server, "nightly", &body).await.expect(201);
    assert_eq!(created.header("location"), Some("/schedules/nightly"));
    let created = created.json();
    assert_eq!((&created["source"], &created["overlap"]), (&json!("api"), &json!("skip")));
    let next = created["next_run"].as_str().unwrap();
    assert!(next.contains("-12-31T23:00:0"), "{next}");
    let file = disk::json(&folder(server.setup()).join("nightly.json")).unwrap();
    assert_eq!((&file["git_url"], &file["retries"]), (&json!(URL), &json!(2)));

    let started = run(&server, "nightly").await.expect(200);
    let job = started.json()["job_id"].as_str().unwrap().to_owned();
    assert_eq!(started.header("location"), Some(format!("/scan/{job}").as_str()));
    assert_eq!(server.finished(&job).await["status"], "completed");
    let master = disk::json(&server.job_folder(&job).join("master.json")).unwrap();
    assert_eq!(master["submitted_by"], "schedule:nightly");
    assert_eq!(master["schedule"], "nightly");
    assert_eq!(master["options"]["deep"], true);
    server.submit("another").await;
    let found = server.get("/jobs?q=schedule:nightly").await.expect(200).json();
    assert_eq!((&found["total"], &found["jobs"][0]["job_id"]), (&json!(1), &json!(job)));

    // All of it is there after a restart.
    server.kill9().await;
    server.restart().await;
    let listed = server.get("/schedules").await.expect(200).json();
    let shown = &listed["schedules"][0];
    assert_eq!((&listed["total"], &listed["problems"]), (&json!(1), &json!([])));
    assert_eq!((&shown["last_job"], &shown["last_job_status"]), (&json!(job), &json!("completed")));
    assert_eq!((&shown["last_result"], &shown["runs"]), (&json!("started"), &json!(1)));
    assert_eq!(shown["next_run"], created["next_run"]);
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains("scanwatch_schedules 1\n"), "{metrics}");

    let replaced = put(&server, "nightly", &schedule("0 3 * * *")).await.expect(200).json();
    assert_eq!((&replaced["runs"], &replaced["timezone"]), (&json!(1), &json!("UTC")));
    server.delete("/schedules/nightly").await.expect(204);
    server.delete("/schedules/nightly").await.expect(404);
    server.get("/schedules/nightly").await.expect(404);
    run(&server, "nightly").await.expect(404);
    assert_eq!(std::fs::read_dir(folder(server.setup())).unwrap().count(), 0);
    server.get(&format!("/scan/{job}")).await.expect(200);
}

/// Fails if a body that `POST /scan` refuses, or that is no schedule, is stored.
#[tokio::test]
async fn an_invalid_schedule_is_refused() {
    let server = quick().start().await;
    for (member, value, status, part) in [
        ("cron", json!("0 26 * * *"), 422, "\"cron\""),
        ("cron", json!(null), 422, "\"cron\""),
        ("cron", json!("0 0 31 2 *"), 422, "names no time"),
        ("timezone", json!("Mars/Base"), 422, "\"timezone\""),
        ("overlap", json!("both"), 422, "\"overlap\""),
        ("jitter_secs", json!(86_401), 422, "\"jitter_secs\""),
        ("enabled", json!("yes"), 422, "\"enabled\""),
        ("ref", json!("a..b"), 422, "\"ref\""),
        ("include", json!(["/x"]), 422, "\"include\""),
        ("retries", json!(11), 422, "\"retries\""),
        ("git_url", json!("nonsense"), 422, "\"git_url\""),
        ("git_url", json!("https://nowhere.example/a/b.git"), 400, "Domain not allowed"),
    ] {
        let mut body = schedule(YEARLY);
        body[member] = value.clone();
        let answer = put(&server, "x", &body).await;
        assert_eq!(answer.status, status, "{member} {value}: {}", answer.text);
        assert!(answer.text.contains(part), "{member} {value}: {}", answer.text);
    }
    for name in ["a.state", ".hidden", "a%20b", &"x".repeat(65)] {
        put(&server, name, &schedule(YEARLY)).await.expect(400);
        server.get(&format!("/schedules/{name}")).await.expect(404);
    }
    assert!(!folder(server.setup()).exists());
}

/// Fails if schedules can be read without credentials, or changed with less than `admin`.
#[tokio::test]
async fn a_schedule_is_changed_only_by_admins() {
    let mut tokens = String::new();
    let mut secrets = Vec::new();
    for scope in ["read", "write", "admin"] {
        let mut new = crate::support::forge::program(env!("CARGO_BIN_EXE_scanwatch"));
        let made = new.args(["token", "new", scope, "--scope", scope]).output().unwrap();
        tokens += std::str::from_utf8(&made.stdout).unwrap();
        let said = String::from_utf8(made.stderr).unwrap();
        let secret = said.split_whitespace().find(|word| word.starts_with("scanwatch_"));
        secrets.push(secret.unwrap().to_owned());
    }
    let setup = quick();
    let path = setup.folder().join("tokens");
    disk::write(&path, tokens);
    let server = setup.set("auth.tokens_file", json!(path)).start().await;
    let ask = async |method: Method, path: &str, secret: Option<&String>| {
        let mut request = server.without_credentials(method.clone(), path);
        if method == Method::PUT {
            request = request.json(&schedule(YEARLY));
        }
        if let Some(secret) = secret {
            request = request.bearer_auth(secret);
        }
        server.send(request).await.status
    };
    let [read, write, admin] = [&secrets[0], &secrets[1], &secrets[2]];
    for (method, path, done) in [
        (Method::PUT, "/schedules/x", 201),
        (Method::POST, "/schedules/x/run", 200),
        (Method::DELETE, "/schedules/x", 204),
    ] {
        assert_eq!(ask(method.clone(), path, None).await, 401, "{method}");
        assert_eq!(ask(method.clone(), path, Some(read)).await, 403, "{method}");
        assert_eq!(ask(method.clone(), path, Some(write)).await, 403, "{method}");
        assert_eq!(ask(method.clone(), path, Some(admin)).await, done, "{method}");
    }
    assert_eq!(ask(Method::GET, "/schedules", None).await, 401);
    assert_eq!(ask(Method::GET, "/schedules", Some(read)).await, 200);
    assert_eq!(ask(Method::GET, "/schedules/x", Some(read)).await, 404);
}

/// Fails if a schedule does not run at its times, or runs beside itself.
#[tokio::test]
async fn a_run_beside_the_one_before_is_skipped_and_recorded() {
    let server = Setup::new().shell(HELD).start().await;
    put(&server, "often", &schedule(EACH_SECOND)).await.expect(201);
    let skipping = shown_when(&server, "often", "runs are skipped", |shown| {
        shown["skipped_runs"].as_u64() >= Some(2)
    })
    .await;
    assert_eq!((&skipping["runs"], &skipping["last_result"]), (&json!(1), &json!("skipped")));
    let job = skipping["last_job"].as_str().unwrap().to_owned();
    let reason = skipping["recent_skips"][0]["reason"].as_str().unwrap();
    assert!(reason.contains(&job) && reason.contains("is not finished"), "{reason}");
    assert_eq!(jobs(server.setup()), std::slice::from_ref(&job));
    let conflict = run(&server, "often").await.expect(409);
    assert!(conflict.text.contains(&job) && conflict.text.contains("hint"), "{}", conflict.text);
    disk::write(&server.file("go"), "\n");
    let again = shown_when(&server, "often", "it runs again", |shown| shown["runs"] == 2).await;
    assert_ne!(again["last_job"], json!(job));
    let metrics = server.get("/metrics").await.text;
    let skipped = "scanwatch_schedule_runs_total{outcome=\"skipped\"} ";
    let count = metrics.split_once(skipped).unwrap().1.lines().next().unwrap();
    assert!(count.parse::<u64>().unwrap() >= 2, "{count}");
}

/// Fails if a queued run does not wait, if two wait, or if one that waits is lost with the server.
#[tokio::test]
async fn a_queued_run_starts_when_the_one_before_has_finished() {
    let mut server = Setup::new().at_a_fixed_port().shell(HELD).start().await;
    let mut body = schedule(YEARLY);
    body["overlap"] = json!("queue");
    put(&server, "queued", &body).await.expect(201);
    let first = run(&server, "queued").await.expect(200).json();
    let waiting = run(&server, "queued").await.expect(202).json();
    assert_eq!((&waiting["status"], &waiting["waits_for"]), (&json!("waiting"), &first["job_id"]));
    run(&server, "queued").await.expect(409);
    let second = waiting["job_id"].as_str().unwrap().to_owned();
    server.working(first["job_id"].as_str().unwrap()).await;
    server.kill9().await;
    server.restart().await;
    let shown = shown(&server, "queued").await;
    assert_eq!(shown["pending"]["job_id"], json!(second), "{shown:#}");
    assert_eq!(jobs(server.setup()).len(), 1);
    disk::write(&server.file("go"), "\n");
    let done = shown_when(&server, "queued", "the second runs", |shown| shown["runs"] == 2).await;
    assert_eq!((&done["last_job"], &done["pending"]), (&json!(second), &json!(null)));
    assert_eq!(server.finished(&second).await["status"], "completed");
}

/// Fails if a run that the full queue refuses is lost, or is not recorded.
#[tokio::test]
async fn a_run_that_the_full_queue_refuses_is_tried_again() {
    let setup = Setup::new().shell(HELD).set("scanner.max_concurrent_processes", 1);
    let server = setup.set("jobs.max_queued_jobs", 1).start().await;
    let running = server.submit("running").await;
    server.working(&running).await;
    server.submit("waiting").await;
    let mut body = schedule(EACH_SECOND);
    body["overlap"] = json!("queue");
    put(&server, "late", &body).await.expect(201);
    let refused = shown_when(&server, "late", "a run is refused", |shown| {
        shown["skipped_runs"].as_u64() >= Some(1)
    })
    .await;
    let reason = refused["recent_skips"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("The queue is full"), "{reason}");
    run(&server, "late").await.expect(409);
    assert_eq!(refused["runs"], 0);
    disk::write(&server.file("go"), "\n");
    shown_when(&server, "late", "it runs", |shown| shown["runs"].as_u64() >= Some(1)).await;
}

/// Fails if a schedule of the settings is changed by the API, or is not what the settings say after SIGHUP.
#[tokio::test]
async fn a_schedule_of_the_settings_is_changed_only_there() {
    let entry = |cron: &str| {
        format!("[{{ name = \"mine\", cron = \"{cron}\", git_url = \"{URL}\", archives = true }}]")
    };
    let setup = quick().set("schedules", entry(YEARLY));
    let server = setup.start().await;
    let mine = shown(&server, "mine").await;
    assert_eq!((&mine["source"], &mine["archives"]), (&json!("settings"), &json!(true)));
    for answer in
        [put(&server, "mine", &schedule(YEARLY)).await, server.delete("/schedules/mine").await]
    {
        let conflict = answer.expect(409).json();
        assert!(conflict["hint"].as_str().unwrap().contains("[[schedules]]"), "{conflict:#}");
    }
    run(&server, "mine").await.expect(200);
    let file = server.file("settings.toml");
    disk::write(&file, disk::text(&file).replace(YEARLY, EACH_SECOND));
    hang_up(&server).await;
    shown_when(&server, "mine", "it runs each second", |shown| shown["runs"].as_u64() >= Some(3))
        .await;
    disk::write(&file, disk::text(&file).replace("schedules = ", "# "));
    hang_up(&server).await;
    eventually("it is gone", async || server.get("/schedules/mine").await.status == 404).await;
    eventually("so is its state", async || {
        std::fs::read_dir(folder(server.setup())).unwrap().count() == 0
    })
    .await;
}

/// Fails if a server starts with an invalid schedule, or does not name the key and the file.
#[tokio::test]
async fn an_invalid_schedule_of_the_settings_stops_the_start() {
    for (from, to, key) in [
        (YEARLY, "0 0 * *", "schedules[0].cron"),
        ("UTC", "Nowhere", "schedules[0].timezone"),
        ("github.com", "10.0.0.1", "schedules[0].git_url"),
        ("name", "nome", "schedules[0].name"),
    ] {
        let entry = format!(
            "[{{ name = \"x\", cron = \"{YEARLY}\", timezone = \"UTC\", git_url = \"{URL}\" }}]"
        );
        let ended = quick().set("schedules", entry.replace(from, to)).run_to_end().await;
        assert_eq!(ended.code, Some(2), "{}", ended.output);
        for part in [key, "settings.toml"] {
            assert!(ended.output.contains(part), "{part}: {}", ended.output);
        }
    }
}
