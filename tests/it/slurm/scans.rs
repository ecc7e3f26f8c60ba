//! Scans that go well, that fail on their own, and that are cancelled.

use super::*;

/// Breaks if scans are submitted one by one, if a node writes other files than a process of the server's machine would, or if a
/// secret is anywhere but on the standard input of shim and scanner.
#[tokio::test]
async fn a_group_is_submitted_as_one_array_and_has_its_results() {
    let cluster = Cluster::start();
    let setup = of_cluster(&cluster, Setup::new());
    let token = setup.folder().join("token");
    let secret = "glpat-c4n4ry-of-slurm";
    files::write(&token, secret);
    let forge =
        format!("[{{ kind = \"gitlab\", url = \"https://gitlab.com\", token_file = {token:?} }}]");
    let job = setup.write_group(6);
    let script = "open(here + '/of-' + str(task['repo_index']), 'w').write(task['credentials']['password'])\n\
         say('scanning')\n\
         print('node and all')\n\
         import time\n\
         while not os.path.exists(here + '/go'): time.sleep(0.05)\n\
         say('completed')\n";
    let server = setup
        .set("forges", forge)
        .set("scanner.max_concurrent_processes", 1)
        .python(script)
        .start()
        .await;
    eventually("all scans run", async || {
        (0..6).all(|index| files::text(&server.file(&format!("of-{index}"))) == secret)
    })
    .await;
    let names: Vec<_> = shared(&server);
    assert!(
        names.iter().all(|path| path.extension().is_some_and(|kind| kind == "claimed")),
        "{names:?}"
    );
    let canary = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
    };
    let mut places = files::below(cluster.folder());
    places.extend(files::below(&server.setup().jobs()));
    for pid in server.processes() {
        places.extend(["cmdline", "environ"].map(|name| format!("/proc/{pid}/{name}").into()));
    }
    let leaks: Vec<_> = places.iter().filter(|path| canary(path)).collect();
    assert!(leaks.is_empty(), "{leaks:?}");
    let names = cluster.jobs("%j");
    assert_eq!(
        (names.len(), names.iter().collect::<std::collections::BTreeSet<_>>().len()),
        (6, 1),
        "{names:?}"
    );

    files::write(&server.file("go"), "");
    let document = server.finished(&job).await;
    assert_eq!(
        (&document["status"], &document["summary"]["completed"]),
        (&json!("completed"), &json!(6))
    );
    for index in 0..6 {
        let status = server.status_file(&job, index);
        assert_eq!(
            (&status["status"], &status["attempt"]),
            (&json!("completed"), &json!(1)),
            "{status:#}"
        );
        assert!(files::text(&server.scanner_log(&job, index)).contains("node and all"));
        let path = server.job_folder(&job).join(format!("locks/repo_{index}.attempt.json"));
        let remote = &files::json(&path).unwrap()["remote"];
        assert_eq!(remote["engine"], "slurm");
        assert!(
            crate::support::slurm::NODES.contains(&remote["agent"].as_str().unwrap()),
            "{remote}"
        );
    }
    let engine = server.get("/agents").await.expect(200).json();
    assert_eq!((&engine["kind"], &engine["connected"]), (&json!("slurm"), &json!(true)));
    is_degraded(&server, None).await;
}

/// Breaks if the limits of a scan, or the death of a scanner, are noticed only by a shim on the server's machine.
#[tokio::test]
async fn a_scan_ends_for_its_own_cause_on_a_node() {
    let cluster = Cluster::start();
    let script = r"
say scanning
case $SCANWATCH_REPO_NAME in
slow) sleep 100 ;;
killed) kill -9 $$ ;;
*) exit 3 ;;
esac
";
    let setup = of_cluster(&cluster, Setup::new()).set("scanner.subprocess_timeout_secs", 2);
    let server = setup.set("scanner.kill_grace_secs", 1).shell(script).start().await;
    let mut jobs = Vec::new();
    for name in ["slow", "killed", "broken"] {
        jobs.push(server.submit(name).await);
    }
    for (job, word, kind) in [
        (&jobs[0], "timeout", "timeout"),
        (&jobs[1], "failed", "signal"),
        (&jobs[2], "failed", "exit"),
    ] {
        let status = is_final(&server, job).await;
        assert_eq!(
            (&status["status"], &status["failure"]["kind"]),
            (&json!(word), &json!(kind)),
            "{status:#}"
        );
    }
}

/// Breaks if a cancel needs Slurm, waits for a node, or leaves a scan running; or if `scancel` by somebody else has no cause of its own.
#[tokio::test]
async fn a_cancel_reaches_scans_that_wait_and_scans_that_run() {
    let cluster = Cluster::start();
    let server = of_cluster(&cluster, Setup::new()).shell(HELD).start().await;
    let running = server.submit("running").await;
    is_scanned(&server, &running, 1).await;
    cluster.set_up(false);
    let waiting = server.submit("waiting").await;
    eventually("a scan waits in Slurm", async || {
        cluster.jobs("%T").iter().any(|state| state == "PENDING")
    })
    .await;
    for job in [&running, &waiting] {
        server.post_nothing(&format!("/scan/{job}/cancel")).await.expect(200);
        let status = is_final(&server, job).await;
        assert_eq!(
            (&status["status"], &status["failure"]["kind"]),
            (&json!("cancelled"), &json!("cancelled")),
            "{status:#}"
        );
        assert_eq!(status["failure"]["detail"], "Cancelled on request");
    }
    eventually("Slurm has no job left", async || {
        cluster.jobs("%T").iter().all(|state| ["CANCELLED", "COMPLETED"].contains(&state.as_str()))
    })
    .await;
    cluster.set_up(true);

    let other = server.submit("other").await;
    is_scanned(&server, &other, 1).await;
    cluster.ask("scancel", &["--state=RUNNING", "--partition=main"]);
    let status = is_final(&server, &other).await;
    assert_eq!(
        (&status["status"], &status["failure"]["kind"]),
        (&json!("cancelled"), &json!("cancelled")),
        "{status:#}"
    );
    let detail = status["failure"]["detail"].as_str().unwrap();
    assert!(detail.contains("not by this server"), "{detail}");
    assert_eq!(lines(&server, "runs"), ["running 1", "other 1"]);
    assert_eq!(lines(&server, "ends").len(), 0);
}

/// Breaks if the signals with which Slurm ends a job are taken for a cancel, or for a failure of the scanner.
#[tokio::test]
async fn a_job_that_reaches_its_time_limit_has_timed_out() {
    let cluster = Cluster::start();
    let server = of_cluster(&cluster, Setup::new()).shell(HELD).start().await;
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    let number = cluster.jobs("%i");
    cluster.ask("scontrol", &["update", &format!("jobid={}", number[0]), "EndTime=now"]);
    let status = is_final(&server, &job).await;
    assert_eq!(
        (&status["status"], &status["failure"]["kind"]),
        (&json!("timeout"), &json!("timeout")),
        "{status:#}"
    );
    let detail = status["failure"]["detail"].as_str().unwrap();
    assert!(detail.contains("time limit of its job (TIMEOUT)"), "{detail}");
}
