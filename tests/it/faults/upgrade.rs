//! Jobs folders as earlier versions of this program wrote them, and as later ones might.
//!
//! `tests/fixtures/status/v1` contains complete folders that the real binary wrote, and what it
//! then reported about them. They are never rewritten: `SCANWATCH_WRITE_FIXTURES=FOLDER cargo
//! nextest run faults::upgrade` creates those of a new schema, in a folder of its own number.

use crate::support::{
    files,
    forge::{Behaviour, Forge},
    namespace::run,
    server::{Setup, TestServer},
    wait::eventually,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The recorded folders, by what became of their jobs.
const KINDS: [&str; 5] = ["completed", "failed", "interrupted", "group", "cancelled"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/status/v1")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    run("cp", &["-r", &from.display().to_string(), &to.display().to_string()]);
}

/// The job of a fixture, and what was reported about it.
fn fixture(kind: &str) -> (PathBuf, String, Value) {
    let folder = fixtures().join(kind);
    let expected = files::json(&folder.join("expected.json")).expect("what was said of it");
    let job = expected["job_id"].as_str().unwrap().to_owned();
    (folder.join(&job), job, expected)
}

/// Copies a fixture's job into a jobs folder; returns its id.
fn lay(setup: &Setup, kind: &str) -> String {
    let (folder, job, _) = fixture(kind);
    copy(&folder, &setup.jobs().join(&job));
    // git does not keep empty folders.
    for name in ["results", "logs", "locks"] {
        fs::create_dir_all(setup.jobs().join(&job).join(name)).unwrap();
    }
    job
}

/// What does not change with the clock, or with the server that is asked.
fn lasting(mut document: Value) -> Value {
    let members = document.as_object_mut().unwrap();
    for name in ["elapsed_time_seconds", "version", "eta_seconds"] {
        members.remove(name);
    }
    document
}

/// Whether everything that was reported still is; more may be.
fn holds(then: &Value, now: &Value) -> bool {
    match (then, now) {
        (Value::Object(then), Value::Object(now)) => {
            then.iter().all(|(key, value)| now.get(key).is_some_and(|now| holds(value, now)))
        }
        (Value::Array(then), Value::Array(now)) => {
            then.len() == now.len() && then.iter().zip(now).all(|(then, now)| holds(then, now))
        }
        (then, now) => then == now,
    }
}

/// The fixtures' jobs keep their original ids, by which processes of dead scans are found: two
/// servers at once on copies of one job would kill each other's.
fn alone() -> fs::File {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("upgrade.lock");
    let lock = fs::File::create(path).expect("target/ can be written");
    lock.lock().expect("a file can be locked");
    lock
}

/// A server that scans nothing, and keeps what ended long ago.
fn reading() -> Setup {
    Setup::new().set("jobs.retention_hours", 1_000_000).shell("say completed\n")
}

/// Breaks if a later version shows a job of version 1 differently than version 1 did, misses any of
/// its findings, or rewrites its files.
#[tokio::test]
async fn finished_jobs_of_schema_1_are_unchanged() {
    let _alone = alone();
    let setup = reading();
    let over = KINDS.iter().filter(|kind| **kind != "interrupted");
    let jobs: Vec<_> = over.map(|kind| (lay(&setup, kind), fixture(kind))).collect();
    let server = setup.start().await;
    for (job, (folder, _, expected)) in &jobs {
        let document = lasting(server.progress(job).await);
        assert!(holds(&expected["progress"], &document), "{document:#}");
        let results = server.get(&format!("/jobs/{job}/results")).await;
        assert_eq!(results.status, expected["results_status"], "{results:?}");
        if results.status == 200 {
            assert!(holds(&expected["results"], &results.json()), "{}", results.text);
        }
        let packages = server.get(&format!("/scan/{job}/repositories/0/packages")).await;
        assert_eq!(packages.status, expected["packages_status"], "{packages:?}");
        if packages.status == 200 {
            assert!(holds(&expected["packages"], &packages.json()), "{}", packages.text);
        }
        let log = server.get(&format!("/scan/{job}/repositories/0/log")).await;
        assert_eq!(log.status, expected["log_status"], "{log:?}");
        // A handled command is not needed any more, and a cancelled job may not have listed all of
        // its repositories yet.
        let settled = |element: &std::path::PathBuf| {
            let name = element.to_string_lossy();
            name.ends_with(".order.json") || name.ends_with("/master.json")
        };
        for file in files::below(folder).into_iter().filter(|path| !settled(path)) {
            let copied = server.job_folder(job).join(file.strip_prefix(folder).unwrap());
            assert_eq!(fs::read(&file).unwrap(), fs::read(&copied).unwrap(), "{copied:?}");
        }
    }
    // And they are real jobs that accept commands.
    let (failed, (_, _, expected)) = &jobs[1];
    assert_eq!(expected["progress"]["status"], "failed");
    server.post_nothing(&format!("/scan/{failed}/retry")).await.expect(200);
    assert_eq!(server.finished(failed).await["status"], "completed");
    assert_eq!(server.status_file(failed, 0)["attempt"], 2);
    server.delete(&format!("/scan/{failed}")).await.expect(204);
}

/// Breaks if a later version does not resume where version 1 was stopped.
#[tokio::test]
async fn a_job_interrupted_under_version_1_is_resumed() {
    let _alone = alone();
    let setup = reading();
    let job = lay(&setup, "interrupted");
    let server = setup.start().await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(server.status_file(&job, 0)["attempt"], 2);
}

/// Breaks if files of a later version, with unknown members, states and kinds, cost more than the
/// parts that cannot be understood.
#[tokio::test]
async fn files_of_a_later_schema_are_read_as_far_as_they_are_understood() {
    let _alone = alone();
    let setup = reading();
    let jobs: Vec<_> = KINDS.iter().map(|kind| lay(&setup, kind)).collect();
    for job in &jobs {
        for file in files::below(&setup.jobs().join(job)) {
            if file.extension().is_some_and(|extension| extension == "json") {
                let mut value = files::json(&file).unwrap();
                let members = value.as_object_mut().unwrap();
                members.insert("schema".to_owned(), 7.into());
                members.insert("of_later".to_owned(), json!({ "nobody": ["knows"] }));
                if let Some(failure) = members.get_mut("failure") {
                    failure["kind"] = "of_later".into();
                    failure["since"] = 7.into();
                }
                files::write(&file, serde_json::to_string(&value).unwrap());
            }
        }
    }
    let server = setup.start().await;
    for (job, kind) in jobs.iter().zip(KINDS) {
        let (_, _, expected) = fixture(kind);
        if kind == "interrupted" {
            assert_eq!(server.finished(job).await["status"], "completed");
            continue;
        }
        let document = server.progress(job).await;
        for member in ["status", "summary", "completed_repositories", "group_url", "started_at"] {
            let then = &expected["progress"][member];
            assert!(holds(then, &document[member]), "{kind}: {document:#}");
        }
        let warned = document["warnings"].to_string();
        assert_eq!(warned.contains("failure"), kind != "completed", "{kind}: {warned}");
    }
    let health = super::health(&server).await;
    assert_eq!(health["watch"]["unreadable_files"], 0, "{health:#}");
}

/// Replaces the program of a server as packages do: under another name first, then renamed.
fn install(program: &Path) {
    let part = program.with_extension("part");
    fs::copy(env!("CARGO_BIN_EXE_scanwatch"), &part).unwrap();
    fs::rename(part, program).unwrap();
}

/// Breaks if a server cannot start scans after its program was replaced, if the new program does
/// not adopt the scans of the old one, or if going back to the old program costs a job.
#[tokio::test]
async fn the_program_is_replaced_under_running_scans() {
    let setup = Setup::new().shell(
        "say scanning\nwhile [ ! -e \"$dir/$SCANWATCH_REPO_NAME\" ]; do sleep 0.05; done\nsay completed\n",
    );
    let program = setup.folder().join("scanwatch");
    install(&program);
    let start = format!("exec '{}' \"$@\"", program.display());
    let mut server = setup.launched_by(&["/bin/sh", "-c", &start]).start().await;
    let before = server.submit("before").await;
    server.working(&before).await;
    install(&program);
    let between = server.submit("between").await;
    server.working(&between).await;
    server.kill9().await;
    // Earlier versions kept no second record of attempts, and fewer members in the first.
    fs::rename(server.setup().jobs().join(".attempts"), server.file("attempts")).unwrap();
    for job in [&before, &between] {
        let record = server.job_folder(job).join("locks/repo_0.attempt.json");
        let now = files::json(&record).unwrap();
        let members = ["schema", "attempt", "interruptions", "started_at"];
        let then = members.map(|name| (name.to_owned(), now[name].clone()));
        files::replace(&record, Value::Object(then.into_iter().collect()).to_string());
    }
    server.restart().await;
    for job in [&before, &between] {
        assert_eq!(server.working(job).await["status"], "in_progress");
        let name = if *job == before { "before" } else { "between" };
        files::write(&server.file(name), "");
        assert_eq!(server.finished(job).await["status"], "completed");
        assert_eq!(server.status_file(job, 0)["attempt"], 1);
    }

    // The way back is a planned stop: nothing runs any more, and what did is queued again.
    let back = server.submit("back").await;
    server.working(&back).await;
    assert_eq!(server.terminate().await, Some(0));
    install(&program);
    server.restart().await;
    files::write(&server.file("back"), "");
    assert_eq!(server.finished(&back).await["status"], "completed");
    assert_eq!(server.progress(&before).await["status"], "completed");
}

// How the fixtures are created.

async fn record(server: &TestServer, to: &Path, kind: &str, job: &str) {
    let get = async |path: String| server.get(&path).await;
    let results = get(format!("/jobs/{job}/results")).await;
    let packages = get(format!("/scan/{job}/repositories/0/packages")).await;
    let log = get(format!("/scan/{job}/repositories/0/log")).await;
    let body = |answer: &crate::support::server::Answer| {
        if answer.status == 200 { answer.json() } else { Value::Null }
    };
    let expected = json!({
        "job_id": job,
        "progress": lasting(server.progress(job).await),
        "results_status": results.status,
        "results": body(&results),
        "packages_status": packages.status,
        "packages": body(&packages),
        "log_status": log.status,
    });
    let folder = to.join(kind);
    fs::create_dir_all(&folder).unwrap();
    let text = serde_json::to_string_pretty(&expected).unwrap();
    files::write(&folder.join("expected.json"), format!("{text}\n"));
    copy(&server.job_folder(job), &folder.join(job));
}

/// Writes fixtures, on request only: with the built-in scanner, from repositories of a forge here.
#[tokio::test]
async fn fixtures_are_written_on_request() {
    let Some(to) = std::env::var_os("SCANWATCH_WRITE_FIXTURES") else { return };
    let to = Path::new(&to);
    let forge = Forge::start();
    for name in ["single", "acme/web", "acme/tools/lint"] {
        forge.add_repository(
            name,
            &[
                ("package.json", br#"{"dependencies": {"express": "^5.1.0"}}"#),
                ("requirements.txt", b"flask==3.0.0\nwhat is this\n"),
                ("Cargo.lock", b"[[package]]\nname = \"serde\"\nversion = \"1.0.229\"\n"),
                ("Dockerfile", b"FROM scratch\n"),
            ],
        );
    }
    forge.group(&["acme/broken"]);
    for path in ["acme/web", "acme/tools/lint"] {
        forge.listing().add(path);
    }
    forge.behave_at("acme/broken", Behaviour::Status(500));
    let forges = format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base());
    let mut server = Setup::new().set("forges", forges).start().await;
    let submit = async |server: &TestServer, url: String, exclude: &[&str]| {
        server.submit_with(&json!({ "git_url": url, "exclude": exclude })).await
    };
    for (kind, url) in [
        ("completed", forge.url("single")),
        ("failed", forge.url("nowhere")),
        ("group", format!("{}/acme", forge.base())),
    ] {
        let job = submit(&server, url, &["tools/*"]).await;
        server.finished(&job).await;
        record(&server, to, kind, &job).await;
    }
    forge.behave(Behaviour::Silent);
    let seen = forge.seen().len();
    let cancelled = submit(&server, forge.url("single"), &[]).await;
    let interrupted = submit(&server, forge.url("single"), &[]).await;
    eventually("two gits ask", async || forge.seen().len() >= seen + 2).await;
    server.post_nothing(&format!("/scan/{cancelled}/cancel")).await.expect(200);
    server.finished(&cancelled).await;
    record(&server, to, "cancelled", &cancelled).await;
    let document = lasting(server.progress(&interrupted).await);
    assert_eq!(server.stop(Signal::TERM).await, Some(0));
    let folder = to.join("interrupted");
    fs::create_dir_all(&folder).unwrap();
    let text = json!({ "job_id": interrupted, "progress": document });
    files::write(&folder.join("expected.json"), format!("{text:#}\n"));
    copy(&server.job_folder(&interrupted), &folder.join(&interrupted));
}
