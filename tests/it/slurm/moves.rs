//! A queue moves between this machine and a cluster by a restart with the other setting.

use super::*;

/// Breaks if a scan runs twice, is lost, or counts as a death, because the engine was changed.
#[tokio::test]
async fn a_queue_moves_to_the_cluster_and_back() {
    let cluster = Cluster::start();
    let setup = with_slurm(&cluster, Setup::new()).variable("SCANWATCH_ENGINE__KIND", "local");
    let mut server = setup.shell(HELD).start().await;
    let here = server.submit("here").await;
    is_scanned(&server, &here, 1).await;
    server.kill9().await;
    server.set_variable("SCANWATCH_ENGINE__KIND", "slurm");
    server.restart().await;
    // It still runs on this machine, and others run in the cluster.
    let there = server.submit("there").await;
    is_scanned(&server, &there, 1).await;
    cluster.set_up(false);
    let waiting = server.submit("waiting").await;
    eventually("a scan waits in Slurm", async || {
        cluster.jobs("%T").iter().any(|state| state == "PENDING")
    })
    .await;
    assert!(record(&server, &here).get("remote").is_none());

    server.terminate().await;
    server.set_variable("SCANWATCH_ENGINE__KIND", "local");
    server.restart().await;
    // What waited in the cluster runs here; what ran there goes on.
    is_scanned(&server, &waiting, 2).await;
    assert!(record(&server, &waiting).get("remote").is_none());
    files::write(&server.file("go"), "");
    for job in [&here, &there, &waiting] {
        assert_eq!(is_final(&server, job).await["status"], "completed");
        assert_eq!(record(&server, job)["interruptions"], 0);
    }
    cluster.set_up(true);
    let mut ends = lines(&server, "ends");
    ends.sort();
    // The one of this machine was ended by the stop, and begun again.
    assert_eq!(ends, ["here 2", "there 1", "waiting 2"]);
    eventually("Slurm has no job left", async || {
        cluster.jobs("%T").iter().all(|state| state != "PENDING" && state != "RUNNING")
    })
    .await;
    assert_eq!(lines(&server, "runs").len(), 4, "nothing has begun twice");
}
