//! Nothing is lost by a crash: each event is sent once or more, under one id, never not at all.

use super::{
    ALL, received,
    receiver::{Received, Receiver, Reply, status},
    recording, row, setup, webhook, with,
};
use crate::support::{
    files,
    wait::{PATIENCE, eventually, until},
};
use serde_json::json;
use std::{collections::BTreeSet, fs, time::Duration};

const ENDS: [&str; 2] = ["job.created", "job.finished"];

/// Fails if a server that is killed at any moment of a job loses one of its events, or sends it under another id.
#[tokio::test]
async fn no_event_is_lost_when_the_server_is_killed_at_any_moment() {
    let receiver = Receiver::start();
    let mut server = setup(&[webhook("ci", &receiver.url("/"), &ENDS, "")]).start().await;
    recording(&server).await;
    let mut jobs = Vec::new();
    for round in 0..10 {
        jobs.push(server.submit(&format!("app-{round}")).await);
        // From before the first record to after the last delivery.
        tokio::time::sleep(Duration::from_millis(round * 70)).await;
        server.kill9().await;
        server.restart().await;
    }
    for job in &jobs {
        server.finished(job).await;
        for kind in ENDS {
            received(&receiver, kind, job).await;
        }
    }
    eventually("nothing waits", async || row(&server, "ci").await["pending"] == 0).await;
    for job in &jobs {
        for kind in ENDS {
            let ids: BTreeSet<_> = receiver
                .events(kind)
                .iter()
                .filter(|event| event.job() == *job)
                .map(Received::id)
                .collect();
            assert_eq!(ids.len(), 1, "{kind} of {job}");
        }
    }
}

/// Fails if a final state that was written just before the server was killed is not sent, although no record names it;
/// or if it gets another id than it had.
#[tokio::test]
async fn a_final_state_without_a_record_is_sent_after_a_restart() {
    let receiver = Receiver::start();
    let mut server = setup(&[webhook("ci", &receiver.url("/"), &ALL, "")]).start().await;
    recording(&server).await;
    let job = server.submit("app").await;
    let id = received(&receiver, "job.finished", &job).await;
    eventually("nothing waits", async || row(&server, "ci").await["pending"] == 0).await;
    server.kill9().await;
    // As if the server had been killed between the final state and the delivery.
    let folder = server.setup().jobs().join(".webhooks");
    let marker = folder.join("jobs").join(format!("{job}.json"));
    let mut record = files::json(&marker).expect("the job has a record");
    record["finished"] = json!(null);
    files::replace(&marker, record.to_string());
    for file in files::below(&folder.join("targets/ci/delivered")) {
        fs::remove_file(file).unwrap();
    }
    let before = receiver.events("job.finished").len();
    server.restart().await;
    eventually("the final state is sent", async || receiver.events("job.finished").len() > before)
        .await;
    assert!(receiver.events("job.finished").iter().all(|event| event.id() == id));

    // As if it had been killed before any record of the job.
    eventually("nothing waits", async || row(&server, "ci").await["pending"] == 0).await;
    server.kill9().await;
    fs::remove_file(&marker).unwrap();
    for file in files::below(&folder.join("targets/ci/delivered")) {
        fs::remove_file(file).unwrap();
    }
    let before = receiver.received().len();
    server.restart().await;
    eventually("each event is sent again", async || receiver.received().len() == before + 4).await;
    let ids: BTreeSet<_> = receiver.received().iter().map(Received::id).collect();
    assert_eq!(ids.len(), 4, "the same events have other ids");
}

/// Fails if a delivery that was under way, or waited, when the server was killed is forgotten.
#[tokio::test]
async fn a_pending_delivery_outlives_a_kill() {
    let receiver = Receiver::answering(|_, _| Reply::Silence);
    let mut server =
        setup(&[webhook("ci", &receiver.url("/"), &["job.finished"], "")]).start().await;
    recording(&server).await;
    let job = server.submit("app").await;
    let id = received(&receiver, "job.finished", &job).await;
    server.kill9().await;
    receiver.answer(|_, _| status(200));
    server.restart().await;
    eventually("it is sent by the next server", async || receiver.received().len() == 2).await;
    assert_eq!(receiver.received()[1].id(), id);
    eventually("it is delivered", async || {
        let row = row(&server, "ci").await;
        row["pending"] == 0 && row["last_success_at"].is_string()
    })
    .await;
    server.kill9().await;
    server.restart().await;
    eventually("the server has its records", async || server.get("/webhooks").await.status == 200)
        .await;
    let next = server.submit("next").await;
    received(&receiver, "job.finished", &next).await;
    assert_eq!(receiver.received().len(), 3, "what was accepted is sent again");
}

/// Fails if a delivery depends on the files of its job, if the clean-up removes a job whose events are not recorded, or
/// if a job that is deleted while it runs never ends for a receiver.
#[tokio::test]
async fn deliveries_outlive_their_jobs() {
    let receiver = Receiver::answering(|_, number| status(if number == 0 { 500 } else { 200 }));
    let hooks = [webhook("ci", &receiver.url("/"), &["job.finished"], "max_concurrent = 1")];
    let server = setup(&hooks)
        .set("jobs.retention_hours", 0)
        .set("jobs.cleanup_interval_secs", 1)
        .start()
        .await;
    recording(&server).await;
    let job = server.submit("app").await;
    eventually("the job is cleaned up", async || {
        server.get(&format!("/scan/{job}")).await.status == 404
    })
    .await;
    eventually("its end is delivered", async || {
        receiver.events("job.finished").iter().filter(|event| event.job() == job).count() == 2
    })
    .await;
    eventually("its record is removed", async || {
        files::below(&server.setup().jobs().join(".webhooks/jobs")).is_empty()
    })
    .await;
}

/// Fails if a job that is deleted while it runs never ends for a receiver.
#[tokio::test]
async fn a_deleted_job_ends_for_a_receiver() {
    let receiver = Receiver::start();
    let server = with(&[webhook("ci", &receiver.url("/"), &ENDS, "")])
        .shell("say scanning; sleep 600")
        .start()
        .await;
    recording(&server).await;
    let job = server.submit("app").await;
    received(&receiver, "job.created", &job).await;
    server.working(&job).await;
    server.delete(&format!("/scan/{job}")).await.expect(204);
    let event = until(PATIENCE, "its end is sent", async || {
        receiver.events("job.finished").into_iter().find(|event| event.job() == job)
    })
    .await;
    let status = event.json()["data"]["status"].clone();
    assert!(status == "deleted" || status == "cancelled", "{status}");
}

/// Fails if a job that is retried sends no second end, or the first one again.
#[tokio::test]
async fn a_retried_job_ends_again() {
    let receiver = Receiver::start();
    let server = setup(&[webhook("ci", &receiver.url("/"), &ALL, "")]).start().await;
    recording(&server).await;
    let job = server.submit("bad").await;
    received(&receiver, "job.finished", &job).await;
    received(&receiver, "repository.failed", &job).await;
    let failed = receiver.events("repository.failed");
    assert_eq!(failed[0].json()["data"]["failure"]["exit_code"], 3);
    server.retried(&job).await;
    eventually("it ends again", async || receiver.events("job.finished").len() == 2).await;
    eventually("it fails again", async || receiver.events("repository.failed").len() == 2).await;
    let ids: BTreeSet<_> = receiver.events("job.finished").iter().map(Received::id).collect();
    assert_eq!((ids.len(), receiver.events("job.created").len()), (2, 1));
}
