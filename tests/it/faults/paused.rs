//! A server that does not run for a while: suspended, starved, or its machine asleep.

use super::{health, is_healthy};
use crate::support::{
    files,
    rounds::pause,
    server::Setup,
    sse::EventStream,
    wait::{PATIENCE, eventually},
};
use rustix::process::Signal;
use std::time::Duration;

/// Breaks if a pause of the server, longer than any time a scan may be silent, costs a scan, the
/// end of one, a stream, or a request that arrives in the meantime.
#[tokio::test]
async fn a_temporarily_stopped_server_costs_no_scan_and_no_reader() {
    let server = Setup::new()
        .shell(
            "say scanning\necho \"$SCANWATCH_REPO_NAME\" >> \"$dir/runs\"\n\
             while [ ! -e \"$dir/$SCANWATCH_REPO_NAME\" ]; do sleep 0.1; say scanning; done\n\
             say completed\n",
        )
        .set("scanner.stall_timeout_secs", 2)
        .set("scanner.update_interval_secs", 1)
        .set("watch.resync_interval_secs", 1)
        .start()
        .await;
    let (ends, goes_on) = (server.submit("ends").await, server.submit("goes-on").await);
    server.working(&ends).await;
    server.working(&goes_on).await;
    let mut stream = EventStream::open(&server, &format!("/scan/{goes_on}/events")).await;
    assert_eq!(stream.next_event(PATIENCE).await.unwrap().name, "snapshot");

    server.signal(server.pid(), Signal::STOP);
    files::write(&server.file("ends"), "");
    let path = server.job_folder(&ends).join("repo_0.json");
    eventually("a scan ends without the server", async || {
        files::json(&path).is_some_and(|status| status["status"] == "completed")
    })
    .await;
    let answered = async {
        let asked = server.request(reqwest::Method::GET, &format!("/scan/{goes_on}"));
        server.send(asked).await.expect(200).json()
    };
    let resumed = async {
        tokio::time::sleep(pause(Duration::from_secs(5))).await;
        server.signal(server.pid(), Signal::CONT);
    };
    let (document, ()) = futures_util::join!(answered, resumed);
    assert_eq!(document["status"], "in_progress", "{document:#}");

    assert_eq!(server.finished(&ends).await["status"], "completed");
    is_healthy(&server).await;
    assert_eq!(health(&server).await["scanners"]["running"], 1);
    files::write(&server.file("goes-on"), "");
    let events = stream.rest(PATIENCE).await;
    assert_eq!(events.last().unwrap().name, "end", "{events:?}");
    assert_eq!(server.finished(&goes_on).await["status"], "completed");
    let ran = files::text(&server.file("runs"));
    assert_eq!(ran.lines().count(), 2, "once each: {ran}");
}
