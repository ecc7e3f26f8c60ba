//! Jobs named by a part of their id or as `latest`, and the commands for logs, bills of materials
//! and removal.

use super::{run, scanwatch, setup, url};
use crate::support::files;
use serde_json::json;
use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

/// Breaks if a part of an id names a wrong job, several jobs, or none, or if a job cannot be named
/// by its own short id because another id begins with it.
#[tokio::test]
async fn a_job_is_named_by_a_part_of_its_id_or_as_the_latest() {
    let setup = setup();
    let now = chrono::Utc::now().to_rfc3339();
    for id in ["build-1", "build-12", "abc"] {
        let folder = setup.jobs().join(id);
        std::fs::create_dir_all(&folder).unwrap();
        let master = json!({ "job_id": id, "group_url": url(id), "status": "completed",
            "total_repositories": 0, "started_at": now, "completed_at": now });
        files::write(&folder.join("master.json"), master.to_string());
    }
    let server = setup.start().await;
    let job = server.submit("one").await;
    server.finished(&job).await;
    let named = |name: &str| {
        let ran = run(&server, &["status", name, "--json"]).expect(0);
        ran.json()["job_id"].as_str().unwrap().to_owned()
    };
    assert_eq!(named(&job[job.len() - 6..]), job);
    assert_eq!(named(&job[..13]), job);
    assert_eq!(named("latest"), job);
    assert_eq!(named("build-1"), "build-1");
    assert_eq!(named("ab"), "abc");
    let ran = run(&server, &["cancel", "build-", "abc"]).expect(2);
    assert!(ran.err.contains("`build-` names 2 jobs: build-1"), "{ran:?}");
    assert!(ran.err.contains("build-12") && ran.err.contains("more characters"), "{ran:?}");
    assert_eq!(ran.out, "");
    let ran = run(&server, &["status", "zzz"]).expect(2);
    assert!(ran.err.contains("Job not found"), "{ran:?}");
    // Through the interface, with the other parameters of the list.
    let page = server.get("/jobs?job=build-&per_page=1&page=2").await.expect(200).json();
    assert_eq!((&page["total"], page["jobs"].as_array().unwrap().len()), (&json!(2), 1));
    let none = server.get("/jobs?job=build-&status=failed").await.expect(200).json();
    assert_eq!(none["total"], 0);
    let exact = server.get("/jobs?job=build-1").await.expect(200).json();
    assert_eq!((&exact["total"], &exact["jobs"][0]["job_id"]), (&json!(1), &json!("build-1")));
}

/// Breaks if `latest` on an empty server is taken for an id, or an empty list is silent.
#[tokio::test]
async fn an_empty_server_says_that_it_has_no_jobs() {
    let server = setup().start().await;
    let ran = run(&server, &["status", "latest"]).expect(2);
    assert!(ran.err.contains("has no jobs"), "{ran:?}");
    let ran = run(&server, &["jobs"]).expect(0);
    assert!(ran.out.is_empty() && ran.err.contains("no jobs; to submit one"), "{ran:?}");
    let ran = run(&server, &["jobs", "--status", "failed"]).expect(0);
    assert!(ran.err.contains("no jobs in this state"), "{ran:?}");
}

/// Breaks if the log of a repository cannot be read or followed, or if a group's repository cannot
/// be named.
#[tokio::test]
async fn logs_are_printed_and_followed() {
    let setup = super::Setup::new().shell(
        "echo first; echo second\n\
         case $SCANWATCH_REPO_NAME in held) while [ ! -e \"$dir/go\" ]; do sleep 0.05; done;; esac\n\
         echo last; say completed\n",
    );
    let group = setup.write_group(3);
    let server = setup.start().await;
    server.finished(&group).await;
    let ran = run(&server, &["logs", &group]).expect(2);
    assert!(ran.err.contains("has 3 repositories") && ran.err.contains("part-0"), "{ran:?}");
    for name in ["part-1", "1"] {
        let ran = run(&server, &["logs", &group, name, "--tail", "2"]).expect(0);
        assert_eq!(ran.out, "second\nlast\n", "{ran:?}");
    }
    let ran = run(&server, &["logs", &group, "part-9"]).expect(2);
    assert!(ran.err.contains("no repository `part-9`"), "{ran:?}");

    let job = server.submit("held").await;
    let mut following = scanwatch(&server, &["logs", "-f", "latest"]);
    let mut following = following.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = || lines.next().map(Result::unwrap);
    assert_eq!((next(), next()), (Some("first".to_owned()), Some("second".to_owned())));
    files::write(&server.file("go"), "");
    assert_eq!((next(), next()), (Some("last".to_owned()), None));
    assert!(following.wait().unwrap().success());
    server.finished(&job).await;
}

/// Breaks if a bill of materials differs from the server's, or `results` lacks its formats.
#[tokio::test]
async fn a_bill_of_materials_is_printed_in_both_formats() {
    let server = setup().start().await;
    let job = server.submit("one").await;
    server.finished(&job).await;
    let ran = run(&server, &["sbom", &job]).expect(0);
    assert_eq!(ran.json()["bomFormat"], "CycloneDX");
    let same = run(&server, &["results", &job, "--format", "cyclonedx"]).expect(0);
    assert_eq!(same.json()["components"], ran.json()["components"]);
    let ran = run(&server, &["results", &job, "--format", "spdx"]).expect(0);
    assert_eq!(ran.json()["spdxVersion"], "SPDX-2.3");
    let ran = run(&server, &["sbom", &job, "--format", "spdx", "--repository", "0"]).expect(0);
    assert_eq!(ran.json()["spdxVersion"], "SPDX-2.3");
    let ran = run(&server, &["sbom", &job, "--repository", "7"]).expect(2);
    assert!(ran.err.contains("not found"), "{ran:?}");
}

/// Breaks if a package is not found in every repository that uses it, or if repositories that
/// could not be searched are not mentioned.
#[tokio::test]
async fn a_package_is_found_in_all_repositories_of_a_group() {
    let setup = setup();
    let job = setup.write_group(3);
    files::write(&setup.folder().join("go"), "");
    let server = setup.start().await;
    server.finished(&job).await;
    let ran = run(&server, &["packages", &job, "--name", "left-pad"]).expect(0);
    let rows: Vec<Vec<_>> =
        ran.out.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let row = |name| vec![name, "left-pad", "1.0", "npm", "a,b.json:3"];
    assert_eq!(rows, [row("part-0"), row("part-1")], "{ran:?}");
    assert!(
        ran.err.contains("2 packages named `left-pad` in 2 of 2 repositories; 1 more"),
        "{ran:?}"
    );
    let all = run(&server, &["packages", &job, "--name", "=1+1", "--ecosystem", "npm", "--json"])
        .expect(0)
        .json();
    assert_eq!(all["total"], 2);
    let none = run(&server, &["packages", &job, "--name", "left"]).expect(0);
    assert!(none.out.is_empty() && none.err.contains("0 packages"), "{none:?}");
}

/// Breaks if a running job is removed without --force, or a removed one keeps its files.
#[tokio::test]
async fn finished_jobs_are_removed_and_running_ones_only_by_force() {
    let server = setup().start().await;
    let (done, held) = (server.submit("one").await, server.submit("held").await);
    server.finished(&done).await;
    server.working(&held).await;
    let ran = run(&server, &["rm", &held, &done, "unknown"]).expect(2);
    assert_eq!(ran.out, format!("{done}  removed\n"), "{ran:?}");
    assert!(ran.err.contains("not finished (in_progress); --force"), "{ran:?}");
    assert!(ran.err.contains("unknown: Job not found"), "{ran:?}");
    assert!(!server.job_folder(&done).exists() && server.job_folder(&held).exists());
    run(&server, &["rm", "--force", &held]).expect(0);
    assert!(!server.job_folder(&held).exists());
}
