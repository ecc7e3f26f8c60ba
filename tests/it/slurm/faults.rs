//! What dies: the server, a node, a shim, slurmctld.

use super::*;
use rustix::process::Signal;
use std::{fs, os::unix::fs::PermissionsExt};

/// Breaks if a restart of the server loses a scan in Slurm, begins it twice, or ends it.
#[tokio::test]
async fn a_scan_goes_on_without_the_server() {
    let cluster = Cluster::start();
    let mut server = of_cluster(&cluster, Setup::new()).shell(HELD).start().await;
    let (first, second) = (server.submit("first").await, server.submit("second").await);
    is_scanned(&server, &first, 1).await;
    is_scanned(&server, &second, 1).await;
    server.kill9().await;
    server.restart().await;
    is_scanned(&server, &first, 1).await;
    // A planned stop leaves it running, too; and what ends meanwhile is read afterwards.
    server.terminate().await;
    files::write(&server.file("go"), "");
    eventually("both scans end", async || lines(&server, "ends").len() == 2).await;
    server.restart().await;
    for job in [&first, &second] {
        assert_eq!(is_final(&server, job).await["status"], "completed");
        assert_eq!(
            (&record(&server, job)["attempt"], &record(&server, job)["interruptions"]),
            (&json!(1), &json!(0))
        );
    }
    assert_eq!(lines(&server, "runs").len(), 2);
}

/// Breaks if a crash of the server loses an attempt that Slurm has accepted, or runs it again; or waits for one that Slurm has not got.
#[tokio::test]
async fn a_crash_around_sbatch_neither_loses_nor_doubles_an_attempt() {
    let cluster = Cluster::start();
    for (is_accepted, attempt) in [(true, 1), (false, 2)] {
        let setup = of_cluster(&cluster, Setup::new());
        // The real program, and then a pause; or a pause first, of which the crash sees no end.
        let wrapper = setup.folder().join("bin/sbatch");
        fs::create_dir(wrapper.parent().unwrap()).unwrap();
        let path = std::env::var("PATH").unwrap();
        let real = format!("PATH='{path}' sbatch \"$@\"");
        let stuck = format!("touch '{}/at'; exec sleep 100", setup.folder().display());
        let text = if is_accepted {
            format!("#!/bin/sh\n{real}\n[ \"$1\" = --parsable ] || exit 0\n{stuck}\n")
        } else {
            format!("#!/bin/sh\nif [ \"$1\" != --parsable ]; then {real}; exit 0; fi\n{stuck}\n")
        };
        files::write(&wrapper, text);
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        let bin = wrapper.parent().unwrap().display().to_string();
        let setup = setup.variable("PATH", format!("{bin}:{path}"));
        let mut server = setup.shell(HELD).start().await;
        let job = server.submit("a").await;
        eventually("the server has called sbatch", async || server.file("at").exists()).await;
        server.kill9().await;
        server.set_variable("PATH", &path);
        server.restart().await;
        is_scanned(&server, &job, attempt).await;
        files::write(&server.file("go"), "");
        assert_eq!(is_final(&server, &job).await["status"], "completed");
        assert_eq!(lines(&server, "runs"), [format!("a {attempt}")]);
        assert_eq!(record(&server, &job)["interruptions"], 0);
    }
}

/// Breaks if a scan on a failed node is not repeated elsewhere, has no cause, or can still end the repository.
#[tokio::test]
async fn a_scan_on_a_failed_node_is_repeated_and_its_processes_are_fenced() {
    let mut cluster = Cluster::start();
    let server = of_cluster(&cluster, Setup::new()).shell(HELD).start().await;
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    let node = record(&server, &job)["remote"]["agent"].as_str().unwrap().to_owned();
    let old = server.shim(&job, 0).expect("its shim runs on this machine").pid;
    cluster.fail_node(&node);
    let cause = until(PATIENCE, "the attempt is lost", async || {
        let status = server.status_file(&job, 0);
        status["failure"]["detail"].as_str().map(str::to_owned)
    });
    let cause = cause.await;
    assert!(
        cause.contains(&format!("Node {node} failed")) && cause.contains("NODE_FAIL"),
        "{cause}"
    );
    is_scanned(&server, &job, 2).await;
    eventually("the old shim has ended itself", async || !crate::support::processes::lives(old))
        .await;
    files::write(&server.file("go"), "");
    let status = is_final(&server, &job).await;
    assert_eq!(
        (&status["status"], &status["attempt"]),
        (&json!("completed"), &json!(2)),
        "{status:#}"
    );
    assert_eq!(lines(&server, "ends"), ["a 2"]);
    assert_ne!(record(&server, &job)["remote"]["agent"], node.as_str());
    assert_eq!(record(&server, &job)["interruptions"], 1);
}

/// Breaks if the death of a shim is noticed late or has no cause.
#[tokio::test]
async fn a_killed_shim_counts_as_an_interruption() {
    let cluster = Cluster::start();
    let server = of_cluster(&cluster, Setup::new()).shell(HELD).start().await;
    let job = server.submit("a").await;
    for attempt in 1..=3 {
        is_scanned(&server, &job, attempt).await;
        let shim = server.shim(&job, 0).expect("its shim runs on this machine").pid;
        server.signal(shim, Signal::KILL);
    }
    let status = is_final(&server, &job).await;
    assert_eq!(
        (&status["status"], &status["failure"]["kind"]),
        (&json!("failed"), &json!("interrupted")),
        "{status:#}"
    );
    let detail = status["failure"]["detail"].as_str().unwrap();
    assert!(detail.contains("killed by signal 9 on node n"), "{detail}");
}

/// Breaks if a scan is given up because slurmctld is away, if submissions are refused meanwhile, or if /health does not report it.
#[tokio::test]
async fn scans_go_on_while_slurmctld_is_away_and_submissions_wait() {
    let mut cluster = Cluster::start();
    let server = of_cluster(&cluster, Setup::new()).shell(HELD).start().await;
    let running = server.submit("running").await;
    is_scanned(&server, &running, 1).await;
    cluster.kill_controller();
    is_degraded(&server, Some("slurm")).await;
    let waiting = server.submit("waiting").await;
    files::write(&server.file("go"), "");
    assert_eq!(is_final(&server, &running).await["status"], "completed");
    assert_eq!(status_of(&server, &waiting, 0).await["status"], "pending");
    let engine = server.get("/agents").await.expect(200).json();
    let reason = engine["waiting_reason"].as_str().unwrap();
    assert!(reason.starts_with("Slurm cannot be used: squeue"), "{reason}");
    cluster.start_controller();
    assert_eq!(is_final(&server, &waiting).await["status"], "completed");
    is_degraded(&server, None).await;
    assert_eq!(lines(&server, "runs"), ["running 1", "waiting 1"]);
}

/// Breaks if a job that a killed slurmctld has forgotten is waited for, if the job with its number is taken for it, or if it counts as a death.
#[tokio::test]
async fn a_job_that_slurmctld_has_forgotten_is_submitted_again() {
    let mut cluster = Cluster::start();
    cluster.set_up(false);
    let setup = of_cluster(&cluster, Setup::new());
    let setup = setup.variable("SCANWATCH_SLURM__LOST_AFTER_SECS", 5);
    let server = setup.shell(HELD).start().await;
    files::write(&server.file("go"), "");
    let job = server.submit("a").await;
    eventually("the scan waits in Slurm", async || cluster.jobs("%T") == ["PENDING"]).await;
    let number = cluster.jobs("%A").remove(0);
    cluster.kill_controller();
    cluster.forget();
    cluster.start_controller();
    // The number belongs to somebody else now.
    let arguments = ["--hold", "--parsable", "--wrap=true", "--output=/dev/null"];
    let taken: Vec<_> = (0..number.parse().unwrap())
        .map(|_: u32| cluster.ask("sbatch", &arguments).trim().to_owned())
        .collect();
    assert!(taken.contains(&number), "{number} {taken:?}");
    let status = is_final(&server, &job).await;
    assert_eq!(
        (&status["status"], &status["attempt"]),
        (&json!("completed"), &json!(2)),
        "{status:#}"
    );
    assert_eq!(lines(&server, "runs"), ["a 2"]);
    assert_eq!(record(&server, &job)["interruptions"], 0);
    let jobs = cluster.jobs("%A %T");
    assert!(jobs.contains(&format!("{number} PENDING")), "somebody else's job is gone: {jobs:?}");
}
