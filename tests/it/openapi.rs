//! The service's own description is correct: every route is described, and its answers match the
//! documented schema.

use crate::support::{
    files,
    forge::program,
    python::{run_script, succeed},
    server::{Answer, Setup, TestServer},
    wait::{PATIENCE, until},
};
use crate::webhooks;
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Finds a package or, depending on the name, fails or takes as long as it may.
const SCANNER: &str = r#"
case "$SCANWATCH_REPO_NAME" in
bad) echo "it went wrong" >&2; exit 3 ;;
slow) say scanning '"total_files": 9, "current_file": 3'; echo; touch "$dir/slow"; exec sleep 600 ;;
esac
echo "a line"
echo "another"
printf '{"schema": 1, "packages": [{"name": "left-pad", "version": "1.3.0", "ecosystem": "npm",
  "purl": "pkg:npm/left-pad@1.3.0", "file": "package.json", "direct": null, "scope": "dev",
  "source": "manifest"}], "categories": {"Web": true}}' > r.part && mv r.part "$SCANWATCH_RESULT_FILE"
say completed '"message": "done"'
"#;

/// Validates answers against the document: one line for each that does not match.
const JUDGE: &str = r#"
import json, sys
from jsonschema import Draft202012Validator
document, answers = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:])
for answer in answers:
    name = "{method} {path} -> {status}".format(**answer)
    operation = document["paths"][answer["template"]][answer["method"].lower()]
    response = operation["responses"].get(str(answer["status"]))
    if response is None:
        print(name, "has a status that is not described"); continue
    for header, told in response.get("headers", {}).items():
        if told.get("required") and header.lower() not in answer["headers"]:
            print(name, "lacks", header)
    content = response.get("content", {})
    if not content:
        if answer["text"]: print(name, "has a body")
        continue
    if "*/*" in content: continue
    if answer["media_type"] not in content:
        print(name, "is", answer["media_type"]); continue
    if answer["media_type"].endswith("json"):
        schema = {**content[answer["media_type"]]["schema"], "components": document["components"]}
        validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
        for error in validator.iter_errors(json.loads(answer["text"])):
            print(name, error.json_path, error.message)
"#;

/// Collects the answers of routes, and has them validated.
struct Validator<'a> {
    server: &'a TestServer,
    document: Value,
    answers: Vec<Value>,
}

impl<'a> Validator<'a> {
    async fn new(server: &'a TestServer) -> Self {
        let document = server.get("/openapi.json").await.expect(200).json();
        Self { server, document, answers: Vec::new() }
    }

    /// The template that a path matches.
    fn template(&self, path: &str) -> String {
        let path = path.split('?').next().unwrap();
        let fits = |template: &str| {
            let (ours, theirs) = (template.split('/'), path.split('/'));
            ours.clone().count() == theirs.clone().count()
                && ours.zip(theirs).all(|(a, b)| a.starts_with('{') || a == b)
        };
        let paths = self.document["paths"].as_object().unwrap();
        let found: Vec<_> = paths.keys().filter(|path| fits(path)).collect();
        assert_eq!(found.len(), 1, "{path} is described once: {found:?}");
        found[0].clone()
    }

    async fn request(
        &mut self,
        method: Method,
        path: &str,
        change: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Answer {
        let request = change(self.server.request(method.clone(), path));
        let answer = self.server.send(request).await;
        self.note(&method, path, answer.status, &answer.headers, &answer.text);
        answer
    }

    /// The beginning of an answer that does not end.
    async fn begin(
        &mut self,
        path: &str,
        change: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> u16 {
        let begun = change(self.server.request(Method::GET, path)).send().await.unwrap();
        let status = begun.status().as_u16();
        self.note(&Method::GET, path, status, begun.headers(), "");
        status
    }

    fn note(&mut self, method: &Method, path: &str, status: u16, headers: &HeaderMap, text: &str) {
        let names: Vec<_> = headers.keys().map(ToString::to_string).collect();
        let media_type = headers.get("content-type").map(|header| header.to_str().unwrap());
        self.answers.push(json!({
            "method": method.as_str(),
            "path": path,
            "template": self.template(path),
            "status": status,
            "headers": names,
            "media_type": media_type,
            "text": text,
        }));
    }

    async fn get(&mut self, path: &str, status: u16) {
        self.request(Method::GET, path, |request| request).await.expect(status);
    }

    async fn submit(&mut self, body: Value, status: u16) {
        self.request(Method::POST, "/scan", |request| request.json(&body)).await.expect(status);
    }

    /// Every operation was called, and every answer matched.
    fn judge(&self) {
        let mut silent = BTreeSet::new();
        for (path, item) in self.document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                let method = method.to_ascii_uppercase();
                let well = self.answers.iter().any(|answer| {
                    answer["template"] == path.as_str()
                        && answer["method"] == method.as_str()
                        && answer["status"].as_u64().unwrap() < 400
                });
                if !well {
                    silent.insert(format!("{method} {path}"));
                }
            }
        }
        if !cfg!(feature = "nats") {
            silent.retain(|route| !route.contains(" /agents"));
        }
        assert!(silent.is_empty(), "routes that nobody asked, or that did not answer: {silent:?}");
        let (document, answers) =
            (self.server.file("document.json"), self.server.file("answers.json"));
        files::write(&document, self.document.to_string());
        files::write(&answers, json!(self.answers).to_string());
        assert_eq!(run_script(JUDGE, &[&document, &answers]), "");
    }
}

/// Breaks if a route is not described, or answers with a status, a header, a media type or a body
/// that its description does not have.
#[tokio::test]
async fn every_route_answers_as_it_is_described() {
    // Nobody listens there.
    let dead = webhooks::webhook("dead", "http://127.0.0.1:9/", &["job.finished"], "");
    let setup = webhooks::with(&[dead]).user("operator", "s3cret").shell(SCANNER);
    #[cfg(feature = "nats")]
    let nats = crate::support::nats_server::NatsServer::start();
    #[cfg(feature = "nats")]
    let setup = setup.set("engine.nats", json!([nats.url()]));
    let server = setup.start().await;
    webhooks::recording(&server).await;
    let (good, bad) = (server.submit("good").await, server.submit("bad").await);
    server.finished(&good).await;
    server.finished(&bad).await;
    let slow = server.submit("slow").await;
    server.working(&slow).await;

    let mut validator = Validator::new(&server).await;
    for path in [
        "/health",
        "/livez",
        "/readyz",
        "/openapi.json",
        "/metrics",
        "/docs",
        "/docs/style.css",
        "/docs/script.js",
        "/page/style.css",
        "/session",
        "/admin/limits",
        "/agents",
    ] {
        validator.get(path, 200).await;
    }
    #[cfg(feature = "nats")]
    {
        let key = scanwatch::wire::seal::AgentKey::generate().public();
        for (key, status) in [(key.as_str(), 200), ("X", 400)] {
            let agent = json!({ "name": "agent-1", "public_key": key, "labels": ["default"] });
            let send = |request: reqwest::RequestBuilder| request.json(&agent);
            validator.request(Method::POST, "/agents", send).await.expect(status);
        }
        for status in [204, 404] {
            let path = "/agents/agent-1";
            validator.request(Method::DELETE, path, |request| request).await.expect(status);
        }
    }
    validator.get("/", 200).await;
    validator.get("/favicon.ico", 204).await;
    validator.get("/page/none.js", 404).await;
    validator.get("/sign-in", 303).await;
    let origin = format!("http://{}", server.address());
    for (password, status) in [("s3cret", 204), ("wrong", 401)] {
        let credentials = json!({ "name": "operator", "password": password });
        let send =
            |request: reqwest::RequestBuilder| request.header("origin", &origin).json(&credentials);
        validator.request(Method::POST, "/sign-in", send).await.expect(status);
    }
    for (most, status) in [(6, 200), (0, 422)] {
        let send = |request: reqwest::RequestBuilder| {
            request.json(&json!({ "max_concurrent_processes": most }))
        };
        validator.request(Method::PUT, "/admin/limits", send).await.expect(status);
    }
    validator.request(Method::POST, "/sign-out", |request| request).await.expect(204);
    for job in [&good, &bad, &slow] {
        validator.get(&format!("/scan/{job}"), 200).await;
        validator.get(&format!("/scan/{job}?view=summary"), 200).await;
        validator.get(&format!("/jobs/{job}"), 200).await;
        validator.get(&format!("/scan/{job}/repositories/0"), 200).await;
    }
    let document = format!("/scan/{good}");
    let seen = server.get(&document).await.headers["etag"].clone();
    validator
        .request(Method::GET, &document, |request| request.header("if-none-match", seen))
        .await
        .expect(304);
    validator.get(&format!("/scan/{good}?view=none"), 400).await;
    validator.get("/scan/unknown", 404).await;
    validator.get(&format!("/scan/{good}/events"), 200).await;
    validator.get("/scan/unknown/events", 404).await;

    assert_eq!(validator.begin("/events", |request| request).await, 200);
    let socket = format!("/scan/{slow}/ws");
    let upgrade = |request: reqwest::RequestBuilder| {
        request
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==")
    };
    assert_eq!(validator.begin(&socket, upgrade).await, 101);
    validator.get(&socket, 426).await;
    validator.get(&format!("/scan/{good}/repositories"), 200).await;
    validator.get(&format!("/scan/{good}/repositories?status=skipped"), 200).await;
    validator.get(&format!("/scan/{good}/repositories?status=none"), 400).await;

    let log = format!("/scan/{good}/repositories/0/log");
    validator.get(&format!("{log}?follow=true"), 200).await;
    validator.get(&log, 200).await;
    validator.get(&format!("{log}?tail=1"), 200).await;
    validator.get(&format!("{log}?tail=x"), 400).await;
    validator
        .request(Method::GET, &log, |request| request.header("range", "bytes=0-1"))
        .await
        .expect(206);
    validator
        .request(Method::GET, &log, |request| request.header("range", "bytes=999-"))
        .await
        .expect(416);
    validator.get(&format!("/scan/{good}/repositories/0/packages?per_page=1"), 200).await;
    validator.get(&format!("/scan/{good}/repositories/0/packages?format=csv"), 200).await;
    validator.get(&format!("/scan/{bad}/repositories/0/packages"), 400).await;
    validator.get(&format!("/scan/{good}/repositories/0/warnings"), 200).await;
    validator.get(&format!("/scan/{bad}/repositories/0/warnings"), 400).await;
    validator.get(&format!("/scan/{good}/packages?name=a&ecosystem=npm"), 200).await;
    validator.get(&format!("/scan/{good}/packages?fragment=a&range=%3C2"), 200).await;
    validator.get(&format!("/scan/{good}/packages?range=%5E2"), 400).await;
    validator.get(&format!("/scan/{good}/diff?with={good}"), 200).await;
    validator.get(&format!("/scan/{good}/diff?with={bad}"), 400).await;
    validator.get(&format!("/scan/{good}/diff?with=unknown"), 404).await;
    for sbom in [format!("/scan/{good}/sbom"), format!("/scan/{good}/repositories/0/sbom")] {
        validator.get(&sbom, 200).await;
        validator.get(&format!("{sbom}?format=spdx"), 200).await;
        validator.get(&format!("{sbom}?format=xml"), 400).await;
    }
    validator.get(&format!("/scan/{bad}/sbom"), 400).await;
    validator.get(&format!("/scan/{good}/repositories/7"), 404).await;

    validator.get("/webhooks", 200).await;
    validator.get("/webhooks/dead/deliveries?per_page=1", 200).await;
    validator.get("/webhooks/dead/deliveries?state=none", 400).await;
    validator.get("/webhooks/none/deliveries", 404).await;
    let delivery = until(PATIENCE, "a delivery waits", async || {
        let listed = server.get("/webhooks/dead/deliveries").await.expect(200).json();
        listed["deliveries"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    let redeliver = format!("/webhooks/dead/deliveries/{delivery}/redeliver");
    validator.request(Method::POST, &redeliver, |request| request).await.expect(200);
    for (path, status) in [
        ("/webhooks/dead/test", 200),
        ("/webhooks/none/test", 404),
        ("/webhooks/dead/deliveries/none/redeliver", 404),
    ] {
        validator.request(Method::POST, path, |request| request).await.expect(status);
    }

    validator.get("/jobs?status=failed", 200).await;
    validator.get("/jobs?status=none", 400).await;
    validator.get(&format!("/jobs/{good}/results"), 200).await;
    validator.get(&format!("/jobs/{good}/results?format=csv"), 200).await;
    validator.get(&format!("/jobs/{slow}/results"), 400).await;
    validator.get(&format!("/jobs/{slow}/partial"), 200).await;
    validator.get(&format!("/jobs/{good}/partial"), 400).await;

    let schedule = json!({ "cron": "0 0 1 1 *", "git_url": "https://github.com/acme/slow.git" });
    for (name, body, status) in [
        ("yearly", schedule.clone(), 201),
        ("yearly", schedule.clone(), 200),
        ("a.state", schedule, 400),
        ("wrong", json!({ "cron": "x", "git_url": "https://github.com/acme/slow.git" }), 422),
    ] {
        let path = format!("/schedules/{name}");
        validator.request(Method::PUT, &path, |request| request.json(&body)).await.expect(status);
    }
    for status in [200, 409] {
        validator
            .request(Method::POST, "/schedules/yearly/run", |request| request)
            .await
            .expect(status);
    }
    validator.get("/schedules", 200).await;
    validator.get("/schedules/yearly", 200).await;
    for status in [204, 404] {
        validator
            .request(Method::DELETE, "/schedules/yearly", |request| request)
            .await
            .expect(status);
    }
    validator.get("/schedules/yearly", 404).await;

    validator
        .submit(json!({ "git_url": "https://github.com/acme/more.git", "ref": "v1" }), 200)
        .await;
    validator.submit(json!({ "git_url": "https://evil.example/a.git" }), 400).await;
    validator.submit(json!({ "git_url": 7, "deep": "yes" }), 422).await;
    validator.submit(json!([]), 422).await;
    validator.request(Method::POST, "/scan", |request| request.body("x")).await.expect(415);
    let foreign =
        |request: reqwest::RequestBuilder| request.header("origin", "http://evil.example");
    validator.request(Method::POST, "/scan", foreign).await.expect(403);
    let without_credentials = |_| server.without_credentials(Method::GET, "/jobs");
    validator.request(Method::GET, "/jobs", without_credentials).await.expect(401);
    for (job, status) in [(&slow, 200), (&good, 409)] {
        for verb in ["pause", "resume", "bump"] {
            let path = format!("/scan/{job}/{verb}");
            validator.request(Method::POST, &path, |request| request).await.expect(status);
        }
    }
    validator
        .request(Method::POST, &format!("/scan/{slow}/cancel"), |request| request)
        .await
        .expect(200);
    validator
        .request(Method::POST, &format!("/scan/{bad}/retry"), |request| request)
        .await
        .expect(200);
    validator
        .request(Method::POST, &format!("/scan/{good}/retry"), |request| request)
        .await
        .expect(409);
    validator
        .request(Method::DELETE, &format!("/scan/{slow}"), |request| request)
        .await
        .expect(204);
    validator
        .request(Method::DELETE, &format!("/scan/{slow}"), |request| request)
        .await
        .expect(404);
    validator.judge();
}

/// Breaks if a stranger can read what the service can do, if the document is sent again to a client
/// that has it, or if the command prints another one.
#[tokio::test]
async fn the_document_is_valid_kept_and_the_same_without_a_server() {
    let server = Setup::new().user("operator", "s3cret").start().await;
    let without_credentials =
        server.send(server.without_credentials(Method::GET, "/openapi.json")).await;
    without_credentials.expect(401);
    let answer = server.get("/openapi.json").await.expect(200);
    let tag = answer.headers["etag"].clone();
    let again = server.request(Method::GET, "/openapi.json").header("if-none-match", tag);
    assert_eq!(server.send(again).await.expect(304).text, "");

    let printed = succeed(program(env!("CARGO_BIN_EXE_scanwatch")).arg("openapi"));
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), answer.text);
    let path = server.file("openapi.json");
    files::write(&path, &answer.text);
    run_script(
        "import sys, json; from openapi_spec_validator import OpenAPIV31SpecValidator as V\n\
         V(json.load(open(sys.argv[1]))).validate()",
        &[&path],
    );
}
