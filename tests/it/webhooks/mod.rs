//! Webhooks, delivered to a real HTTP server: what is sent, what follows from each answer, what is lost by a crash
//! (nothing), and what is shown.

mod answers;
mod crashes;
pub(crate) mod receiver;
mod recipes;
mod settings;
mod shown;

use crate::support::{
    files,
    python::run_script,
    server::{Setup, TestServer},
    wait::{PATIENCE, eventually, until},
};
use receiver::{Received, Receiver};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// 32 bytes.
pub(crate) const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
pub(crate) const ALL: [&str; 5] =
    ["job.created", "job.started", "job.finished", "repository.finished", "repository.failed"];

/// Verifies requests as the specification says, by Python's own library, and payloads with the published schema.
const JUDGE: &str = r#"
import base64, hashlib, hmac, json, sys, time
from jsonschema import Draft202012Validator
received, schema = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:])
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
for one in received:
    headers, payload = one["headers"], json.loads(one["body"])
    key = base64.b64decode(one["secret"].removeprefix("whsec_"))
    signed = ".".join([headers["webhook-id"], headers["webhook-timestamp"], one["body"]])
    signature = base64.b64encode(hmac.new(key, signed.encode(), hashlib.sha256).digest()).decode()
    if headers["webhook-signature"] != "v1," + signature:
        print(payload["type"], "has another signature:", headers["webhook-signature"])
    if abs(int(headers["webhook-timestamp"]) - time.time()) > 300:
        print(payload["type"], "has another time:", headers["webhook-timestamp"])
    for error in validator.iter_errors(payload):
        print(payload["type"], error.json_path, error.message)
"#;

/// A setting of one webhook.
pub(crate) fn webhook(name: &str, url: &str, events: &[&str], more: &str) -> String {
    let more = if more.is_empty() { String::new() } else { format!(", {more}") };
    format!(
        "{{ name = \"{name}\", url = \"{url}\", secret_env = \"HOOK\", events = {} {more} }}",
        json!(events)
    )
}

/// A server with these webhooks.
pub(crate) fn with(webhooks: &[String]) -> Setup {
    Setup::new().set("webhooks", format!("[{}]", webhooks.join(", "))).variable("HOOK", SECRET)
}

/// The same, with a scanner that finds nothing; a repository `bad` fails.
pub(crate) fn setup(webhooks: &[String]) -> Setup {
    with(webhooks).shell(
        "[ \"$SCANWATCH_REPO_NAME\" = bad ] && exit 3; say completed '\"dependencies_found\": 7'",
    )
}

/// The row of a webhook.
pub(crate) async fn row(server: &TestServer, name: &str) -> Value {
    let all = server.get("/webhooks").await.expect(200).json();
    let rows = all["webhooks"].as_array().unwrap().clone();
    rows.into_iter().find(|row| row["name"] == name).unwrap_or_default()
}

/// Waits until a webhook has its records: what happens from then on is sent.
pub(crate) async fn recording(server: &TestServer) {
    eventually("events are recorded", async || {
        server.setup().jobs().join(".webhooks/ledger.json").exists()
    })
    .await;
}

/// Waits until this event of a job was received; returns its id.
async fn received(receiver: &Receiver, kind: &str, job: &str) -> String {
    until(PATIENCE, &format!("{kind} of {job} is received"), async || {
        let events = receiver.events(kind);
        events.iter().find(|event| event.job() == job).map(Received::id)
    })
    .await
}

/// Fails if an event is not sent, is sent without the signature of the specification, or has a payload that
/// the published schema does not describe; and if what had happened before a webhook was named is sent.
#[tokio::test]
async fn every_event_is_signed_and_described() {
    let receiver = Receiver::start();
    let mut server = Setup::new().shell("say completed").start().await;
    let old = server.submit("old").await;
    server.finished(&old).await;
    server.terminate().await;
    server.set("webhooks", format!("[{}]", webhook("ci", &receiver.url("/hook?key=1"), &ALL, "")));
    server.set_variable("HOOK", SECRET);
    server.restart().await;
    recording(&server).await;

    let job = server.submit("app").await;
    received(&receiver, "job.finished", &job).await;
    let kinds = |job: &str| -> Vec<String> {
        let all = receiver.received().into_iter().filter(|event| event.job() == job);
        let mut kinds: Vec<_> =
            all.map(|event| event.json()["type"].as_str().unwrap().to_owned()).collect();
        kinds.sort();
        kinds
    };
    let expected = ["job.created", "job.finished", "job.started", "repository.finished"];
    eventually("each event of a job is sent once", async || kinds(&job) == expected).await;
    assert!(kinds(&old).is_empty(), "a job from before is sent");
    let finished = &receiver.events("job.finished")[0];
    assert_eq!((finished.method.as_str(), finished.target.as_str()), ("POST", "/hook?key=1"));
    let data = &finished.json()["data"];
    assert_eq!((&data["status"], &data["completed"]), (&json!("completed"), &json!(1)), "{data}");
    let repository = &receiver.events("repository.finished")[0].json()["data"];
    assert_eq!(repository["git_url"], "https://github.com/acme/app.git", "{repository}");

    let all: Vec<_> = receiver
        .received()
        .iter()
        .map(|event| {
            let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
            let headers: serde_json::Map<_, _> = names
                .map(|name| (name.to_owned(), json!(event.header(name))))
                .into_iter()
                .collect();
            let body = String::from_utf8(event.body.clone()).unwrap();
            json!({ "secret": SECRET, "headers": headers, "body": body })
        })
        .collect();
    let schema = crate::support::python::succeed(
        crate::support::forge::program(env!("CARGO_BIN_EXE_scanwatch")).args(["schema", "webhook"]),
    );
    let (list, described) = (server.file("received.json"), server.file("schema.json"));
    files::write(&list, json!(all).to_string());
    files::write(&described, schema.stdout);
    assert_eq!(run_script(JUDGE, &[&list, &described]), "");

    // The retry of an old job is new.
    let server_events = receiver.events("job.created").len();
    assert_eq!(server_events, 1);
    let ids: BTreeSet<_> = receiver.received().iter().map(Received::id).collect();
    assert_eq!(ids.len(), receiver.received().len(), "two events have one id");
}
