//! Commands that send single requests: submit, status, results, jobs, cancel, retry, health.

use super::{fake::Fake, run, scanwatch, setup, url};
use crate::support::files;
use serde_json::json;
use std::{io::Read, process::Stdio};

/// Breaks if a script cannot get from a URL to its packages, or if standard output has more than
/// ids.
#[tokio::test]
async fn a_script_goes_from_a_url_to_its_packages() {
    let server = setup().start().await;
    let ran = run(&server, &["submit", &url("one"), &url("two")]).expect(0);
    let jobs: Vec<_> = ran.out.lines().map(str::to_owned).collect();
    assert_eq!(jobs.len(), 2, "{ran:?}");
    for job in &jobs {
        server.finished(job).await;
        assert!(ran.err.contains(&format!("scanwatch watch {job}")), "{ran:?}");
    }
    let ran = run(&server, &["status", &jobs[0]]).expect(0);
    assert!(ran.out.contains("completed: 1 of 1 repositories completed, 0 failed"), "{ran:?}");
    assert!(ran.out.contains(&url("one")), "{ran:?}");
    let document = run(&server, &["status", &jobs[0], "--json"]).expect(0).json();
    assert_eq!(document, server.progress(&jobs[0]).await);

    let ran = run(&server, &["results", &jobs[0]]).expect(0);
    assert!(ran.out.contains("left-pad") && ran.out.contains("one: 2 packages"), "{ran:?}");
    let ran = run(&server, &["results", &jobs[0], "--json"]).expect(0);
    assert_eq!(ran.json()["packages_total"], 2, "{ran:?}");
    let same = run(&server, &["results", &jobs[0], "--format", "json"]).expect(0);
    assert_eq!(same.out, ran.out);
}

/// Breaks if the server does not get the options that the user has set.
#[tokio::test]
async fn the_options_of_a_submission_reach_the_server() {
    let server = setup().start().await;
    let ran =
        run(&server, &["submit", &url("one"), "--ref", "v1", "--deep", "--retries", "3", "--json"])
            .expect(0);
    let accepted = ran.json();
    assert_eq!(accepted["status"], "pending");
    let job = accepted["job_id"].as_str().unwrap();
    let master = files::json(&server.job_folder(job).join("master.json")).unwrap();
    assert_eq!(master["options"]["ref"], "v1", "{master:#}");
    assert_eq!(master["options"]["deep"], true, "{master:#}");
    assert_eq!(master["options"]["retries"], 3, "{master:#}");
    run(&server, &["submit", &url("one"), "--retries", "11"]).expect(2);
}

/// Breaks if the rows of a group's repositories are not in one table, whatever page they were on,
/// or if a spreadsheet would interpret a cell as a formula.
#[tokio::test]
async fn a_groups_packages_form_one_csv_file() {
    let setup = setup();
    let job = setup.write_group(3);
    files::write(&setup.folder().join("go"), "");
    let server = setup.start().await;
    server.finished(&job).await;
    let ran = run(&server, &["results", &job, "--format", "csv"]).expect(0);
    let lines: Vec<_> = ran.out.split_terminator("\r\n").collect();
    let row = |repository: &str, name: &str| {
        format!("{repository},{name},1.0,,npm,pkg:npm/x@1.0,dev,true,\"a,b.json\",3,lockfile")
    };
    assert!(lines[0].starts_with("repository,name,version,"), "{lines:#?}");
    let expected = ["part-0", "part-1"].map(|name| [row(name, "'=1+1"), row(name, "left-pad")]);
    assert_eq!(lines[1..], expected.concat(), "{lines:#?}");
    assert!(ran.err.contains("part-2: failed (exit): Process exited with code 3"), "{ran:?}");
}

/// Breaks if packages after the first page are missing.
#[tokio::test]
async fn packages_of_every_page_are_included() {
    let server = super::Setup::new()
        .python(
            "replace(os.environ['SCANWATCH_RESULT_FILE'], dict(schema=1, packages=[dict(\n\
             name='p%04d' % n, version=None, ecosystem='npm', purl='pkg:npm/p', file='f',\n\
             direct=None, scope=None, source='manifest') for n in range(2001)]))\n\
             say('completed')\n",
        )
        .start()
        .await;
    let job = server.submit("large").await;
    server.finished(&job).await;
    let ran = run(&server, &["results", &job, "--format", "csv"]).expect(0);
    let names: Vec<_> =
        ran.out.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    let expected: Vec<_> = (0..2001).map(|n| format!("p{n:04}")).collect();
    assert_eq!(names, expected);
    let ran = run(&server, &["results", &job]).expect(0);
    assert!(ran.out.contains("p2000") && ran.out.ends_with("large: 2001 packages\n"));
}

/// Breaks if results, or an empty file, are printed for a job that has no results yet or none at
/// all.
#[tokio::test]
async fn results_of_a_job_without_results_print_the_reason() {
    let server = setup().start().await;
    let (held, bad) = (server.submit("held").await, server.submit("bad").await);
    server.working(&held).await;
    for format in ["table", "json", "csv"] {
        let ran = run(&server, &["results", &held, "--format", format]).expect(2);
        assert!(ran.err.contains(&format!("scanwatch watch {held}")), "{ran:?}");
        assert_eq!(ran.out, "");
        server.finished(&bad).await;
        let ran = run(&server, &["results", &bad, "--format", format]).expect(1);
        assert!(ran.err.contains("bad: failed (exit): Process exited with code 3"), "{ran:?}");
        assert!(ran.err.contains("no repository completed"), "{ran:?}");
        assert_eq!(ran.out, "");
    }
}

/// Breaks if the list of jobs differs from the server's, is not newest first, or --all is
/// incomplete.
#[tokio::test]
async fn jobs_are_listed_by_page_state_or_all() {
    let server = setup().start().await;
    let mut jobs = Vec::new();
    for name in ["bad", "good", "held"] {
        jobs.push(server.submit(name).await);
    }
    for job in &jobs[..2] {
        server.finished(job).await;
    }
    let ran = run(&server, &["jobs"]).expect(0);
    let ids: Vec<_> = ran.out.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(ids, [&jobs[2], &jobs[1], &jobs[0]]);
    assert!(ran.out.contains("(Process exited with code 3)"), "{ran:?}");

    let ran = run(&server, &["jobs", "--per-page", "2", "--page", "2"]).expect(0);
    assert!(ran.out.contains(&jobs[0]) && !ran.out.contains(&jobs[1]), "{ran:?}");
    assert!(ran.err.contains("1 of 3 jobs"), "{ran:?}");
    let page = run(&server, &["jobs", "--status", "failed", "--json"]).expect(0).json();
    assert_eq!((&page["total"], &page["jobs"][0]["job_id"]), (&json!(1), &json!(jobs[0])));
    run(&server, &["jobs", "--status", "odd"]).expect(2);

    // One more page than the server returns at once.
    for _ in 0..2 {
        for _ in 0..49 {
            server.submit("held").await;
        }
    }
    let ran = run(&server, &["jobs", "--all"]).expect(0);
    assert_eq!((ran.out.lines().count(), ran.err.as_str()), (1 + 3 + 98, ""));
    let pages = run(&server, &["jobs", "--all", "--json"]).expect(0).lines();
    let counts: Vec<_> = pages.iter().map(|page| page["jobs"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [100, 1]);
}

/// Breaks if a job cannot be cancelled, or if an unknown job affects the others.
#[tokio::test]
async fn jobs_are_cancelled_one_by_one() {
    let server = setup().start().await;
    let held = server.submit("held").await;
    server.working(&held).await;
    let ran = run(&server, &["cancel", "unknown", &held]).expect(2);
    assert_eq!(ran.out, format!("{held}  cancelled\n"));
    assert!(ran.err.contains("unknown: Job not found"), "{ran:?}");
    assert_eq!(server.finished(&held).await["status"], "cancelled");
    let answer = run(&server, &["cancel", &held, "--json"]).expect(0).json();
    assert_eq!(answer, json!({ "job_id": held, "status": "cancelled" }));
}

/// Breaks if the answers to a retry are not distinguished: success, running, unknown job, old
/// server.
#[test]
fn a_retry_prints_its_outcome() {
    for (status, body, code, expected) in [
        ("200 OK", r#"{"job_id": "a", "status": "in_progress"}"#, 0, "scanwatch watch a"),
        ("409 Conflict", r#"{"detail": "The job is running"}"#, 2, "The job is running"),
        ("404 Not Found", r#"{"detail": "Job not found"}"#, 2, "Job not found"),
        ("404 Not Found", r#"{"detail": "Not Found"}"#, 2, "does not support retry"),
        (
            "405 Method Not Allowed",
            r#"{"detail": "Method Not Allowed"}"#,
            2,
            "does not support retry",
        ),
    ] {
        let fake = Fake::answering(status, body);
        let mut command = crate::support::forge::program(env!("CARGO_BIN_EXE_scanwatch"));
        command.args(["retry", "a", "--server", &fake.url()]);
        let ran = super::Ran::from(command.output().unwrap()).expect(code);
        assert!(ran.err.contains(expected), "{status} {body}: {ran:?}");
        let heads = fake.heads();
        assert!(heads.last().unwrap().starts_with("POST /scan/a/retry "), "{heads:?}");
        assert_eq!(ran.out, if code == 0 { "a  in_progress\n" } else { "" });
    }
}

/// Breaks if an operator, or a script by the exit code, cannot query the health of the server.
#[tokio::test]
async fn the_health_of_a_server_is_printed() {
    let server = setup().start().await;
    let ran = run(&server, &["health"]).expect(0);
    assert!(ran.out.starts_with("healthy: scanwatch "), "{ran:?}");
    assert_eq!(run(&server, &["health", "--json"]).expect(0).json()["status"], "healthy");

    let fake = Fake::answering(
        "200 OK",
        r#"{"status": "degraded", "version": "1", "problems": ["no room"]}"#,
    );
    let ran = run(&server, &["health", "--server", &fake.url()]).expect(1);
    assert!(ran.out.contains("degraded") && ran.out.contains("  no room\n"), "{ran:?}");
}

/// Breaks if a command prints an error when its reader closes the pipe (`| head`).
#[tokio::test]
async fn a_closed_pipe_ends_a_command_without_an_error() {
    let server = setup().start().await;
    let job = server.submit("held").await;
    server.working(&job).await;
    for arguments in [&["watch", &job, "--json"] as &[&str], &["jobs"]] {
        let mut command = scanwatch(&server, arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        if arguments[0] == "watch" {
            // The command has started to write; its next write fails.
            out.read_exact(&mut [0; 8]).unwrap();
        }
        drop(out);
        files::write(&server.file("go"), "");
        let ran = super::Ran::from(child.wait_with_output().unwrap()).expect(0);
        assert_eq!(ran.err, "", "{arguments:?}");
    }
}
