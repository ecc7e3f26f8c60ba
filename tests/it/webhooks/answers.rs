//! What follows from each answer of a target, and from none.

use super::{
    received,
    receiver::{Received, Receiver, Reply, status},
    recording, row, setup, webhook,
};
use crate::support::{
    server::TestServer,
    wait::{PATIENCE, eventually, until},
};
use rustix::process::Signal;
use serde_json::json;
use std::{path::Path, time::Duration};

const END: [&str; 1] = ["job.finished"];

/// A behaviour that fails first and accepts the second attempt.
fn then_accepts(first: Reply) -> impl FnMut(&Received, usize) -> Reply + Send {
    move |_, number| if number == 0 { first.clone() } else { status(200) }
}

fn path_of(server: &TestServer, webhook: &str, state: &str) -> std::path::PathBuf {
    server.setup().jobs().join(".webhooks/targets").join(webhook).join(state)
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).into_iter().flatten().count()
}

/// Fails if a delivery is not repeated after an error, after silence, after an answer that trickles and after a lost connection, if it has another id
/// then, or if it is repeated at once.
#[tokio::test]
async fn a_failed_delivery_is_repeated_under_its_id() {
    let asked = Reply::Status(503, "Retry-After: 7\r\n".into(), b"busy".to_vec());
    let cases = [
        ("fails", status(500)),
        ("hangs", Reply::Silence),
        ("drips", Reply::Trickle),
        ("asks", asked),
    ];
    let receivers: Vec<_> = cases
        .iter()
        .map(|(name, first)| (*name, Receiver::answering(then_accepts(first.clone()))))
        .collect();
    let webhooks: Vec<_> = receivers
        .iter()
        .map(|(name, receiver)| webhook(name, &receiver.url("/"), &END, "timeout_secs = 1"))
        .collect();
    let server = setup(&webhooks).start().await;
    recording(&server).await;
    let job = server.submit("app").await;
    for (name, receiver) in &receivers {
        eventually(&format!("{name}: the second attempt arrives"), async || {
            receiver.received().len() == 2
        })
        .await;
        let all = receiver.received();
        assert_eq!((all[0].id(), all[0].job()), (all[1].id(), job.clone()), "{name}");
        let pause = all[1].at - all[0].at;
        let least = if *name == "asks" { 7 } else { 5 };
        assert!(pause >= Duration::from_secs(least), "{name}: {pause:?}");
        eventually(&format!("{name}: it is accepted"), async || {
            let row = row(&server, name).await;
            row["pending"] == 0 && row["failures"] == 0 && row["last_success_at"].is_string()
        })
        .await;
        let row = row(&server, name).await;
        assert!(row["last_failure"]["error"].is_string(), "{row:#}");
    }
}

/// Fails if a redirect is followed.
#[tokio::test]
async fn a_redirect_is_refused() {
    let elsewhere = Receiver::start();
    let to = format!("Location: {}\r\n", elsewhere.url("/stolen"));
    let receiver = Receiver::answering(move |_, _| Reply::Status(307, to.clone(), Vec::new()));
    let server = setup(&[webhook("ci", &receiver.url("/"), &END, "")]).start().await;
    recording(&server).await;
    server.submit("app").await;
    let failure = until(PATIENCE, "the redirect is a failure", async || {
        let failure = row(&server, "ci").await["last_failure"].clone();
        failure.is_object().then_some(failure)
    })
    .await;
    assert_eq!(failure["status"], 307, "{failure:#}");
    assert!(failure["error"].as_str().unwrap().contains("redirect"), "{failure:#}");
    assert!(elsewhere.received().is_empty(), "it was followed");
}

/// Fails if an answer without an end is read for longer than a moment, or is stored.
#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let (good, bad) = (
        Receiver::answering(|_, _| Reply::Endless(200)),
        Receiver::answering(|_, _| Reply::Endless(500)),
    );
    let webhooks = [
        webhook("good", &good.url("/"), &END, "timeout_secs = 60"),
        webhook("bad", &bad.url("/"), &END, "timeout_secs = 60"),
    ];
    let server = setup(&webhooks).start().await;
    recording(&server).await;
    server.submit("app").await;
    eventually("the status of an endless answer counts", async || {
        row(&server, "good").await["last_success_at"].is_string()
            && row(&server, "bad").await["last_failure"]["status"] == 500
    })
    .await;
    let failure = row(&server, "bad").await["last_failure"].clone();
    assert_eq!(failure["answer"].as_str().unwrap().len(), 512);
    // What fits into the buffers of a connection, and not what can be sent until the timeout.
    for receiver in [&good, &bad] {
        assert!(receiver.sent() < 32 << 20, "{} bytes were taken", receiver.sent());
    }
}

/// Fails if a target that hangs delays another one, or gets more connections than are set.
#[tokio::test]
async fn a_slow_target_delays_no_other() {
    let slow = Receiver::answering(|_, _| Reply::Silence);
    let fast = Receiver::start();
    let webhooks = [
        webhook("slow", &slow.url("/"), &END, "timeout_secs = 120, max_concurrent = 2"),
        webhook("fast", &fast.url("/"), &END, ""),
    ];
    let server = setup(&webhooks).start().await;
    recording(&server).await;
    let mut jobs = Vec::new();
    for number in 0..12 {
        jobs.push(server.submit(&format!("app-{number}")).await);
    }
    for job in &jobs {
        received(&fast, "job.finished", job).await;
    }
    eventually("the slow one has its two connections", async || slow.received().len() == 2).await;
    assert_eq!(slow.most(), 2);
    assert_eq!(row(&server, "slow").await["pending"], 12);
}

/// Fails if a target that wants nothing more gets anything before the settings are read again, or if what waited is
/// lost.
#[tokio::test]
async fn a_target_that_is_gone_is_disabled_until_a_reload() {
    let receiver = Receiver::answering(|_, _| status(410));
    let server = setup(&[webhook("ci", &receiver.url("/"), &END, "")]).start().await;
    recording(&server).await;
    let first = server.submit("first").await;
    eventually("it is disabled", async || row(&server, "ci").await["disabled"] == true).await;
    let second = server.submit("second").await;
    eventually("the second event waits", async || row(&server, "ci").await["pending"] == 2).await;
    assert_eq!(receiver.received().len(), 1, "a disabled target gets something");
    let health = server.get("/health").await.expect(200).json();
    assert!(health["causes"].to_string().contains("\"webhooks\""), "{health:#}");
    assert!(health["causes"].to_string().contains("410"), "{health:#}");

    receiver.answer(|_, _| status(200));
    server.signal(server.pid(), Signal::HUP);
    for job in [&first, &second] {
        eventually("what waited is sent", async || {
            receiver.received().iter().skip(1).any(|event| event.job() == *job)
        })
        .await;
    }
    eventually("all is well", async || {
        let row = row(&server, "ci").await;
        row["pending"] == 0 && row["disabled"] == false
    })
    .await;
}

/// Fails if deliveries are removed silently when too many wait, or if their number is forgotten.
#[tokio::test]
async fn what_exceeds_the_limit_is_counted_and_logged() {
    let receiver = Receiver::answering(|_, _| status(500));
    let settings = [webhook("ci", &receiver.url("/"), &END, "max_pending = 3")];
    let mut server = setup(&settings).start().await;
    recording(&server).await;
    for number in 0..6 {
        let job = server.submit(&format!("app-{number}")).await;
        server.finished(&job).await;
    }
    eventually("the oldest are gone", async || row(&server, "ci").await["lost"] == 3).await;
    eventually("three files are left", async || count(&path_of(&server, "ci", "pending")) == 3)
        .await;
    assert!(server.setup().log().contains("the oldest were removed unsent"));
    let health = server.get("/health").await.expect(200).json();
    assert!(health["problems"].to_string().contains("webhook `ci`"), "{health:#}");
    let metrics = server.get("/metrics").await.expect(200).text;
    let line = "scanwatch_webhook_deliveries_total{webhook=\"ci\",outcome=\"lost\"} 3";
    assert!(metrics.contains(line), "{metrics}");
    assert!(metrics.contains("scanwatch_webhook_pending{webhook=\"ci\"} 3"), "{metrics}");
    server.kill9().await;
    server.restart().await;
    eventually("the loss is known after a restart", async || row(&server, "ci").await["lost"] == 3)
        .await;
}

/// Fails if a delivery is tried for ever, if one that was given up is not listed, or cannot be sent again.
#[tokio::test]
async fn what_was_given_up_can_be_sent_again() {
    let receiver = Receiver::answering(|_, _| status(500));
    let mut server = setup(&[webhook("ci", &receiver.url("/"), &END, "")]).start().await;
    recording(&server).await;
    let job = server.submit("app").await;
    eventually("it has failed once", async || row(&server, "ci").await["failures"] == 1).await;
    eventually("the attempt is stored", async || {
        let text = crate::support::files::below(&path_of(&server, "ci", "pending"));
        text.iter().any(|path| crate::support::files::text(path).contains("\"attempts\": 1"))
    })
    .await;
    server.terminate().await;
    // As after days of attempts.
    let file = crate::support::files::below(&path_of(&server, "ci", "pending")).remove(0);
    let mut delivery = crate::support::files::json(&file).unwrap();
    delivery["attempts"] = json!(9);
    delivery["next_attempt_at"] = json!(null);
    crate::support::files::replace(&file, delivery.to_string());
    server.restart().await;
    eventually("it is given up", async || row(&server, "ci").await["failed"] == 1).await;
    let failed = server.get("/webhooks/ci/deliveries?state=failed").await.expect(200).json();
    let (id, count) =
        (failed["deliveries"][0]["id"].as_str().unwrap().to_owned(), &failed["total"]);
    assert_eq!(
        (count, &failed["deliveries"][0]["attempts"]),
        (&json!(1), &json!(10)),
        "{failed:#}"
    );
    assert_eq!(failed["deliveries"][0]["last_attempt"]["status"], 500, "{failed:#}");
    assert!(server.setup().log().contains("a delivery was given up"));

    receiver.answer(|_, _| status(200));
    let path = format!("/webhooks/ci/deliveries/{id}/redeliver");
    assert_eq!(server.post_nothing(&path).await.expect(200).json()["state"], "pending");
    eventually("it is delivered", async || {
        let delivered = server.get("/webhooks/ci/deliveries?state=delivered").await.expect(200);
        delivered.json()["total"] == 1 && row(&server, "ci").await["failed"] == 0
    })
    .await;
    // Once more, although it was accepted.
    let before = receiver.received().len();
    server.post_nothing(&path).await.expect(200);
    eventually("it is sent again", async || receiver.received().len() > before).await;
    assert!(receiver.received().iter().all(|event| event.id() == id && event.job() == job));
    for unknown in ["ci/deliveries/x", "ci/deliveries/..%2f..%2fledger", "no/deliveries/x"] {
        server.post_nothing(&format!("/webhooks/{unknown}/redeliver")).await.expect(404);
    }
}

/// Fails if the proxy of the settings is not used.
#[tokio::test]
async fn the_proxy_of_the_settings_is_used() {
    let proxy = Receiver::start();
    let hook = webhook("ci", "http://hooks.example/in", &END, "");
    let server = setup(&[hook])
        .set("network.proxy", json!(format!("http://{}", proxy.address())))
        .start()
        .await;
    recording(&server).await;
    let job = server.submit("app").await;
    received(&proxy, "job.finished", &job).await;
    assert_eq!(proxy.received()[0].target, "http://hooks.example/in");
}
