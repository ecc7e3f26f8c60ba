//! What is shown of webhooks: by the API, by the command line, and never: secrets.

use super::{
    SECRET, received,
    receiver::{Receiver, Reply, status},
    recording, row, setup, webhook,
};
use crate::support::{files, forge::program, server::TestServer, wait::eventually};
use std::process::Output;

fn run(server: &TestServer, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = program(env!("CARGO_BIN_EXE_scanwatch"))
        .arg("webhook")
        .args(arguments)
        .args(["--server", &server.url("")])
        .env("HOME", server.folder())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// Fails if a secret, or the path of the URL, which may be one, is in a file, in the log or in an answer, even if the target
/// sends it back.
#[tokio::test]
async fn no_secret_is_stored_or_shown() {
    let bare = SECRET.trim_start_matches("whsec_");
    let path = "/services/T0123/B4567/abcdefghijklmnop";
    let echo = format!("you sent {SECRET} and {bare} to {path}");
    let receiver = Receiver::answering(move |_, _| {
        Reply::Status(500, String::new(), echo.clone().into_bytes())
    });
    let hooks = [
        webhook("ci", &receiver.url(&format!("{path}?key=querysecret")), &["job.finished"], ""),
        // Nobody listens.
        webhook("dead", &format!("http://127.0.0.1:9{path}"), &["job.finished"], ""),
    ];
    let server = setup(&hooks).set("log.level", "\"trace\"").start().await;
    recording(&server).await;
    let job = server.submit("app").await;
    received(&receiver, "job.finished", &job).await;
    for name in ["ci", "dead"] {
        eventually("it has failed", async || row(&server, name).await["failures"] == 1).await;
    }
    let mut seen = vec![("the log".to_owned(), server.setup().log())];
    for path in
        ["/webhooks", "/webhooks/ci/deliveries", "/webhooks/dead/deliveries", "/health", "/metrics"]
    {
        seen.push((path.to_owned(), server.get(path).await.expect(200).text));
    }
    seen.push(("test".into(), server.post_nothing("/webhooks/ci/test").await.expect(200).text));
    for file in files::below(&server.setup().jobs()) {
        seen.push((file.display().to_string(), files::text(&file)));
    }
    for (place, text) in &seen {
        for secret in [bare, "abcdefghijklmnop", "querysecret"] {
            assert!(!text.contains(secret), "{place} has {secret}: {text}");
        }
    }
    let answer = row(&server, "ci").await["last_failure"]["answer"].clone();
    assert!(answer.as_str().unwrap().starts_with("you sent ***"), "{answer}");
    let error = row(&server, "dead").await["last_failure"]["error"].clone();
    assert!(error.as_str().unwrap().to_lowercase().contains("refused"), "{error}");
}

/// Fails if a command prints something else than the server has, or has another exit code than is documented.
#[tokio::test]
async fn the_command_line_shows_webhooks_and_sends_again() {
    let receiver = Receiver::start();
    let server = setup(&[webhook("ci", &receiver.url("/"), &["job.finished"], "")]).start().await;
    recording(&server).await;
    let job = server.submit("app").await;
    let id = received(&receiver, "job.finished", &job).await;
    eventually("it is delivered", async || row(&server, "ci").await["pending"] == 0).await;

    let (code, list, _) = run(&server, &["list"]);
    assert_eq!(code, Some(0));
    assert!(list.contains("ci ") && list.contains(" ok ") && list.contains("http://127"), "{list}");
    let (code, list, _) = run(&server, &["deliveries", "ci", "--state", "delivered"]);
    assert_eq!(code, Some(0));
    assert!(list.contains(&id) && list.contains(&job) && list.contains("job.finished"), "{list}");
    let (_, json, _) = run(&server, &["deliveries", "ci", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["deliveries"][0]["payload"]["data"]["job_id"], job.as_str());
    assert_eq!(run(&server, &["redeliver", "ci", &id]).0, Some(0));
    eventually("it is sent again", async || receiver.received().len() == 2).await;
    assert_eq!(receiver.received()[1].id(), id);
    let (code, _, error) = run(&server, &["redeliver", "ci", "unknown"]);
    assert!(code != Some(0) && error.contains("Delivery not found"), "{code:?}: {error}");

    let (code, text, _) = run(&server, &["test", "ci"]);
    assert!(code == Some(0) && text.starts_with("ok  204"), "{text}");
    let sent = receiver.events("webhook.test");
    assert_eq!(sent[0].json()["data"]["webhook"], "ci");
    receiver.answer(|_, _| status(401));
    let (code, _, error) = run(&server, &["test", "ci"]);
    assert!(code == Some(1) && error.contains("401"), "{error}");
    assert_ne!(run(&server, &["test", "unknown"]).0, Some(0));
}
