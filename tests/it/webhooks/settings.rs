//! `[[webhooks]]` in the settings: what stops the start, and what a reload changes.

use super::{SECRET, received, receiver::Receiver, recording, row, webhook};
use crate::support::{files, server::Setup, wait::eventually};
use rustix::process::Signal;
use serde_json::json;

/// Fails if a webhook that cannot work does not stop the start, if the message does not name the key and its source, or
/// if it contains the secret or the URL.
#[tokio::test]
async fn an_unusable_webhook_stops_the_start() {
    let good = "name = \"ci\", url = \"https://h.example/in/s3cret-path\", secret_env = \"HOOK\", \
                events = [\"job.finished\"]";
    let with = |from: &str, to: &str| format!("{{ {} }}", good.replace(from, to));
    let cases = [
        (with("secret_env = \"HOOK\", ", ""), "`ci`: expected secret_file or secret_env"),
        (with("HOOK", "NOPE"), "`ci`: `secret_env`: NOPE is not set"),
        (with("HOOK", "WEAK"), "`ci`: `secret_env`: WEAK: expected 1 to 4 lines of `whsec_`"),
        (with("secret_env = \"HOOK\"", "secret_file = \"/nowhere\""), "cannot read `/nowhere`"),
        (with("job.finished", "job.done"), "`ci`: `events`: expected some of job.created"),
        (with("[\"job.finished\"]", "[]"), "`ci`: `events`: expected some of job.created"),
        (with("\"ci\"", "\"../ci\""), "`name`: expected 1 to 64"),
        (with("https://h", "https://u:s3cret@h"), "`ci`: `url`: expected http(s)://"),
        (with("https", "ftp"), "`ci`: `url`: expected http(s)://"),
        (with("events", "timeout_secs = 0, events"), "`ci`: `timeout_secs`: expected 1 to 120"),
        (with("events", "max_pending = 0, events"), "`ci`: `max_pending`: expected 1 to 100000"),
        (with("events", "max_concurrent = 99, events"), "`ci`: `max_concurrent`: expected 1 to 32"),
        (with("events", "colour = 1, events"), "unknown field `colour`"),
        (with("events", "kind = \"other\", events"), "unknown variant `other`"),
        (with("events", "kind = \"dependency-track\", events"), "`ci`: `events`: not for kind"),
        (
            with("https", "http").replace("events", "ca_file = \"/x\", events"),
            "requires an https URL",
        ),
        (format!("{{ {good} }}, {{ {good} }}"), "another webhook has the same name"),
    ];
    for (webhooks, expected) in cases {
        let ended = Setup::new()
            .set("webhooks", format!("[{webhooks}]"))
            .variable("HOOK", SECRET)
            .variable("WEAK", "whsec_c2hvcnQ=")
            .run_to_end()
            .await;
        assert_eq!(ended.code, Some(2), "{webhooks}: {}", ended.output);
        assert!(ended.output.contains(expected), "{expected}: {}", ended.output);
        assert!(ended.output.contains("settings.toml, line 1: `webhooks"), "{}", ended.output);
        for secret in [SECRET, "c2hvcnQ", "s3cret"] {
            assert!(!ended.output.contains(secret), "{}", ended.output);
        }
    }
}

/// Fails if a reload does not add, change and remove webhooks, or if a webhook that is named while the server runs
/// receives what had happened before.
#[tokio::test]
async fn a_reload_adds_changes_and_removes_webhooks() {
    let receiver = Receiver::start();
    let server = Setup::new().shell("say completed").variable("HOOK", SECRET).start().await;
    let old = server.submit("old").await;
    server.finished(&old).await;
    let file = server.file("settings.toml");
    let before = files::text(&file);
    let secret = server.file("secret");
    files::write(&secret, format!("{SECRET}\n"));
    let hook = webhook("ci", &receiver.url("/one"), &["job.finished"], "")
        .replace("secret_env = \"HOOK\"", &format!("secret_file = {}", json!(secret)));
    let reload = async |hooks: &str| {
        files::write(&file, format!("{before}\nwebhooks = [{hooks}]\n"));
        server.signal(server.pid(), Signal::HUP);
    };
    reload(&hook).await;
    recording(&server).await;
    let job = server.submit("app").await;
    received(&receiver, "job.finished", &job).await;
    assert_eq!(receiver.received().len(), 1, "what had happened before is sent");
    let first = receiver.received()[0].header("webhook-signature").to_owned();

    // While a secret is replaced, both sign.
    let other = SECRET.replace("MDEy", "MTIz");
    files::write(&secret, format!("{other}\n{SECRET}\n"));
    server.signal(server.pid(), Signal::HUP);
    eventually("the log names the webhook", async || {
        server.setup().log().contains("secrets of webhooks replaced")
    })
    .await;
    eventually("the webhook is there", async || row(&server, "ci").await["name"] == "ci").await;
    let job = server.submit("next").await;
    received(&receiver, "job.finished", &job).await;
    let signatures = receiver.received()[1].header("webhook-signature").to_owned();
    assert_eq!((first.split(' ').count(), signatures.split(' ').count()), (1, 2), "{signatures}");

    reload("").await;
    eventually("there is no webhook", async || row(&server, "ci").await.is_null()).await;
    let unsent = server.submit("unsent").await;
    server.finished(&unsent).await;
    reload(&hook).await;
    recording(&server).await;
    eventually("the webhook is back", async || row(&server, "ci").await["name"] == "ci").await;
    let last = server.submit("last").await;
    received(&receiver, "job.finished", &last).await;
    assert!(receiver.received().iter().all(|event| event.job() != unsent));
}
