//! The built-in scanner in the running service: real projects, fetched from a real git server.

use crate::support::{
    files,
    forge::{Behaviour, Forge},
    published::{self, Files},
    server::{Setup, TestServer},
    sse::EventStream,
    wait::{PATIENCE, eventually, within},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

const TOKEN: &str = "glpat-c4n4ry-Zx81QmPq";

fn add(forge: &Forge, name: &str, project: &Files) {
    let files: Vec<(&str, &[u8])> =
        project.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    forge.add_repository(name, &files);
}

/// A server that knows this forge and its token.
async fn server_for(forge: &Forge) -> TestServer {
    forge.require_login("oauth2", TOKEN);
    let setup = Setup::new();
    let token = setup.folder().join("token");
    files::write(&token, format!("{TOKEN}\n"));
    let origin = format!("http://127.0.0.1:{}", forge.port());
    let forges = format!(
        "[{{ kind = \"gitlab\", url = \"{origin}\", token_file = \"{}\" }}]",
        token.display()
    );
    setup.set("forges", forges).start().await
}

async fn scan(server: &TestServer, url: &str) -> (String, Value) {
    let job = server.submit_with(&json!({ "git_url": url })).await;
    let document = server.finished(&job).await;
    (job, document)
}

async fn packages(server: &TestServer, job: &str) -> Vec<Value> {
    let path = format!("/scan/{job}/repositories/0/packages?per_page=1000");
    let answer = server.get(&path).await.expect(200).json();
    answer["packages"].as_array().unwrap().clone()
}

fn names(packages: &[Value], file: &str) -> BTreeSet<String> {
    packages
        .iter()
        .filter(|package| package["file"] == file)
        .map(|package| package["name"].as_str().unwrap().to_owned())
        .collect()
}

fn text<'a>(project: &'a Files, path: &str) -> &'a str {
    let (_, bytes) = project.iter().find(|(name, _)| name == path).expect(path);
    std::str::from_utf8(bytes).unwrap()
}

/// Breaks if a real project of any of the three registries cannot be scanned over http, or if what
/// its own files declare is not found.
#[tokio::test]
async fn real_projects_are_fetched_and_their_packages_found() {
    let forge = Forge::start();
    let (rust, node, python) = (
        published::from_crates("hyper-util"),
        published::from_npm("express@5.1.0"),
        published::from_pypi("flask==3.0.3"),
    );
    add(&forge, "rust/hyper-util", &rust);
    add(&forge, "node/express", &node);
    add(&forge, "python/flask", &python);
    let server = server_for(&forge).await;

    let (job, document) = scan(&server, &forge.url("rust/hyper-util")).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(document["repositories"][0]["repo_name"], "hyper-util");
    let lock: toml::Table = text(&rust, "Cargo.lock").parse().unwrap();
    let locked: BTreeSet<String> = lock["package"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| package.get("source").is_some())
        .map(|package| package["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(locked.len() > 20);
    assert_eq!(names(&packages(&server, &job).await, "Cargo.lock"), locked);

    let (job, _) = scan(&server, &forge.url("node/express")).await;
    let manifest: Value = serde_json::from_str(text(&node, "package.json")).unwrap();
    let declared: BTreeSet<String> = ["dependencies", "devDependencies"]
        .iter()
        .flat_map(|key| manifest[key].as_object().into_iter().flatten())
        .map(|(name, _)| name.clone())
        .collect();
    assert!(declared.len() > 20);
    let found = packages(&server, &job).await;
    assert_eq!(names(&found, "package.json"), declared);
    assert!(
        found.iter().all(|package| package["direct"] == true && package["line"].is_u64()),
        "{found:#?}"
    );

    let (job, _) = scan(&server, &forge.url("python/flask")).await;
    let found = packages(&server, &job).await;
    let manifest = names(&found, "pyproject.toml");
    for name in ["Werkzeug", "Jinja2", "itsdangerous", "click", "blinker", "asgiref"] {
        assert!(manifest.contains(name), "{name} in {manifest:?}");
    }
    let locked = names(&found, "requirements/tests.txt");
    assert!(locked.contains("pytest") && !locked.contains("Flask"), "{locked:?}");
    let results = server.get(&format!("/jobs/{job}/results")).await.expect(200).json();
    assert_eq!(results["packages_total"], found.len(), "{results:#}");
    assert_eq!(results["packages_url"], format!("/scan/{job}/repositories/0/packages"));
    assert!(
        results["dependencies"].as_object().is_some_and(|packages| !packages.is_empty()),
        "{results:#}"
    );

    nothing_holds_the_token(&server);
}

/// No file of the jobs folder, no answer, and no argument of any process contains the token.
fn nothing_holds_the_token(server: &TestServer) {
    for path in files::below(&server.setup().jobs()) {
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains(TOKEN), "{}", path.display());
    }
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&words).contains(TOKEN), "{:?}", entry.path());
    }
    assert!(!server.setup().log().contains(TOKEN));
}

/// Breaks if two scans of one commit differ in anything but times.
#[tokio::test]
async fn two_scans_of_one_commit_are_equal() {
    let forge = Forge::start();
    add(&forge, "group/express", &published::from_npm("express@5.1.0"));
    let server = server_for(&forge).await;
    let mut results = Vec::new();
    for _ in 0..2 {
        let (job, _) = scan(&server, &forge.url("group/express")).await;
        let path = server.job_folder(&job).join("results/repo_0.json");
        let mut result = files::json(&path).unwrap();
        for time in ["scanned_at", "duration_ms"] {
            assert!(result.as_object_mut().unwrap().remove(time).is_some(), "{time}");
        }
        results.push(serde_json::to_string_pretty(&result).unwrap());
    }
    assert_eq!(results[0], results[1]);
}

/// Breaks if a refused login is not reported as such, with a hint, or reveals the token.
#[tokio::test]
async fn a_refused_login_is_a_clone_failure_with_a_hint() {
    let forge = Forge::start();
    forge.add_repository("group/closed", &[("package.json", b"{}")]);
    let server = server_for(&forge).await;
    forge.require_login("oauth2", "another token");
    let (job, document) = scan(&server, &forge.url("group/closed")).await;
    assert_eq!(document["status"], "failed");
    let failed = &document["failed_repositories"][0];
    assert_eq!(failed["failure"]["kind"], "clone", "{document:#}");
    assert!(failed["error"].as_str().unwrap().contains("forges"), "{document:#}");
    let status = server.status_file(&job, 0);
    assert!(status["errors"][0]["message"].is_string(), "{status:#}");
    assert!(status["errors"][0]["exception"].is_string(), "{status:#}");
    nothing_holds_the_token(&server);
}

/// Breaks if a scan that hangs in git cannot be cancelled, or leaves git behind.
#[tokio::test]
async fn a_hanging_fetch_is_cancelled_with_all_its_processes() {
    let forge = Forge::start();
    forge.add_repository("group/slow", &[("package.json", b"{}")]);
    forge.behave(Behaviour::Silent);
    let server = server_for(&forge).await;
    let job = server.submit_with(&json!({ "git_url": forge.url("group/slow") })).await;
    within(PATIENCE, "git asks the forge", async || !forge.seen().is_empty()).await;
    eventually("the server says so", async || {
        server.progress(&job).await["repositories"][0]["status"] == "cloning"
    })
    .await;
    server.post_nothing(&format!("/scan/{job}/cancel")).await.expect(200);
    let document = server.finished(&job).await;
    assert_eq!(document["failed_repositories"][0]["failure"]["kind"], "cancelled", "{document:#}");
    server.no_process_left(Duration::from_secs(10)).await;
}

/// Breaks if the stages of a scan are missing from the stream.
#[tokio::test]
async fn the_stages_of_a_scan_are_streamed() {
    let forge = Forge::start();
    let text = "requests==2.31.0\n".repeat(10);
    let paths: Vec<String> =
        (0..200).map(|number| format!("part-{number}/requirements.txt")).collect();
    let files: Vec<(&str, &[u8])> =
        paths.iter().map(|path| (path.as_str(), text.as_bytes())).collect();
    forge.add_repository("group/parts", &files);
    let server = server_for(&forge).await;
    let job = server.submit_with(&json!({ "git_url": forge.url("group/parts") })).await;
    let mut stream = EventStream::open(&server, &format!("/scan/{job}/events")).await;
    let events = stream.rest(PATIENCE).await;
    let seen: BTreeSet<&str> =
        events.iter().filter_map(|event| event.data["status"].as_str()).collect();
    assert!(seen.contains("completed"), "{seen:?}");
    let last = events.iter().rev().find(|event| event.name == "repository").unwrap();
    assert_eq!(last.data["progress"]["total_files"], 200, "{:#}", last.data);
    assert_eq!(last.data["progress"]["current_file"], 200, "{:#}", last.data);
}

/// Breaks if killing the server in the middle of a real scan loses or repeats it.
#[tokio::test]
async fn a_real_scan_survives_a_killed_server() {
    let forge = Forge::start();
    add(&forge, "group/express", &published::from_npm("express@5.1.0"));
    forge.behave(Behaviour::Slow(20_000));
    let mut server = server_for(&forge).await;
    let job = server.submit_with(&json!({ "git_url": forge.url("group/express") })).await;
    within(PATIENCE, "git asks the forge", async || !forge.seen().is_empty()).await;
    server.kill9().await;
    server.restart().await;
    forge.behave(Behaviour::Honest);
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(server.status_file(&job, 0)["attempt"], 1);
    assert!(!packages(&server, &job).await.is_empty());
}
