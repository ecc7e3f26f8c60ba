//! A server without notifications: everything works, only later.
//!
//! Every other test can be run that way as well: with `SCANWATCH_TEST_POLL=1` all servers of the
//! tests only poll.

use super::{WAITING, go, health, runs_now};
use crate::support::{
    namespace,
    server::Setup,
    sse::EventStream,
    wait::{PATIENCE, eventually},
};

fn unwatched() -> Setup {
    Setup::new().set("watch.mode", "\"poll\"").set("watch.poll_interval_ms", 200)
}

/// Breaks if a job needs a notification to be submitted, followed to its end, cancelled, removed or
/// resumed by the next server.
#[tokio::test]
async fn every_function_works_without_notifications() {
    let setup = unwatched().shell(WAITING).set("scanner.max_concurrent_processes", 2);
    let group = setup.write_group(3);
    let mut server = setup.start().await;
    assert_eq!(health(&server).await["watch"]["mode"], "poll");
    assert_eq!(health(&server).await["status"], "healthy", "it is as the settings want it");
    runs_now(&server, "part-1 1").await;
    server.working(&group).await;
    let mut stream = EventStream::open(&server, &format!("/scan/{group}/events")).await;
    let cancelled = server.submit("cancelled").await;
    server.post_nothing(&format!("/scan/{cancelled}/cancel")).await.expect(200);
    assert_eq!(server.finished(&cancelled).await["status"], "cancelled");
    server.delete(&format!("/scan/{cancelled}")).await.expect(204);
    server.get(&format!("/scan/{cancelled}")).await.expect(404);

    server.kill9().await;
    server.restart().await;
    assert_eq!(server.progress(&group).await["status"], "in_progress");
    let mut after = EventStream::open(&server, &format!("/scan/{group}/events")).await;
    go(&server);
    assert_eq!(server.finished(&group).await["status"], "completed");
    let events = after.rest(PATIENCE).await;
    // Polling may read a final state before its shim has completed it, and then once more.
    let ended: std::collections::BTreeSet<_> = events
        .iter()
        .filter(|event| event.name == "repository" && event.data["status"] == "completed")
        .map(|event| event.data["repo_index"].as_u64())
        .collect();
    assert_eq!(ended.len(), 3, "{events:?}");
    assert_eq!(events.last().unwrap().name, "end");
    stream.rest(PATIENCE).await;
    namespace::run("rm", &["-r", &server.job_folder(&group).display().to_string()]);
    eventually("a folder that is removed is missed", async || {
        server.get(&format!("/scan/{group}")).await.status == 404
    })
    .await;
}
