//! The lists: all jobs, one repository, its log, and what a running job has found so far.

use crate::support::{
    files,
    server::{Answer, Setup},
    wait::{PATIENCE, until, within},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Reports that it works, prints three lines, and waits to be released.
const WAITING: &str = "say scanning '\"total_files\": 4, \"current_file\": 1'\n\
    echo first; echo second; echo third\n\
    while [ ! -e \"$dir/go\" ]; do sleep 0.05; done\n\
    say completed '\"dependencies_found\": 0'\n";

fn detail(answer: &Answer) -> String {
    answer.json()["detail"].as_str().unwrap_or_default().to_owned()
}

/// Breaks if the list of jobs loses its order, its pages, its filter, or its tolerance.
#[tokio::test]
async fn jobs_are_listed_newest_first_page_by_page() {
    let server =
        Setup::new().shell("case $SCANWATCH_REPO_NAME in bad) exit 3;; esac\n").start().await;
    let mut jobs = Vec::new();
    for name in ["one", "bad", "three"] {
        let job = server.submit(name).await;
        server.finished(&job).await;
        jobs.push(job);
    }
    jobs.reverse();
    let list = async |query: &str| server.get(&format!("/jobs{query}")).await.expect(200).json();
    let ids = |list: &Value| -> Vec<String> {
        let rows = list["jobs"].as_array().unwrap();
        rows.iter().map(|row| row["job_id"].as_str().unwrap().to_owned()).collect()
    };
    let all = list("").await;
    assert_eq!(ids(&all), jobs);
    assert_eq!(
        (&all["total"], &all["page"], &all["total_pages"]),
        (&json!(3), &json!(1), &json!(1))
    );
    let bad = &all["jobs"][1];
    assert_eq!((&bad["status"], &bad["progress"]), (&json!("failed"), &json!(100)), "{bad:#}");
    assert_eq!(bad["git_url"], "https://github.com/acme/bad.git");
    assert_eq!(bad["error_message"], "Process exited with code 3");
    assert_eq!(all["jobs"][0]["error_message"], Value::Null);
    assert!(bad["created_at"].is_string() && bad["completed_at"].is_string(), "{bad:#}");

    assert_eq!(ids(&list("?page=2&per_page=2").await), jobs[2..]);
    assert_eq!(ids(&list("?page=0&per_page=1").await), jobs[..1]);
    assert_eq!(list("?per_page=1000").await["per_page"], 100);
    assert_eq!(ids(&list("?status=failed").await), jobs[1..2]);
    assert_eq!(list("?status=running").await["total"], 0);
    let odd = server.get("/jobs?status=sleeping").await.expect(400);
    assert!(detail(&odd).starts_with("Invalid status filter"), "{}", detail(&odd));
}

/// Breaks if a repository and its log cannot be read while its scanner works.
#[tokio::test]
async fn a_repository_and_its_log_are_shown_while_it_is_scanned() {
    let server = Setup::new().shell(WAITING).start().await;
    let job = server.submit("widget").await;
    let path = format!("/scan/{job}/repositories/0");
    let log = format!("{path}/log");
    within(PATIENCE, "the scanner has said its lines", async || {
        server.get(&log).await.text.contains("third")
    })
    .await;
    // The log is read from its file, and the status was written before it.
    let shown = until(PATIENCE, "the status is known", async || {
        let shown = server.get(&path).await.expect(200).json();
        (shown["status"] == "scanning").then_some(shown)
    })
    .await;
    assert_eq!(shown["repo_index"], 0, "{shown:#}");
    assert_eq!(shown["progress"]["percentage"], 25.0, "{shown:#}");
    assert_eq!(shown["attempt"], Value::Null, "the script does not say: {shown:#}");

    assert_eq!(server.get(&format!("{log}?tail=2")).await.text, "second\nthird\n");
    let range = async |range: &str| {
        server.send(server.request(Method::GET, &log).header("range", range)).await
    };
    let part = range("bytes=6-11").await.expect(206);
    assert_eq!(part.text, "second");
    let length = "first\nsecond\nthird\n".len();
    assert_eq!(part.header("content-range"), Some(format!("bytes 6-11/{length}").as_str()));
    assert_eq!(range("bytes=-6").await.expect(206).text, "third\n");
    let outside = range("bytes=999-").await.expect(416);
    assert_eq!(outside.header("content-range"), Some(format!("bytes */{length}").as_str()));

    for (path, code, words) in [
        (format!("/scan/{job}/repositories/1"), 404, "Repository not found"),
        (format!("/scan/{job}/repositories/x/log"), 404, "Repository not found"),
        (format!("/scan/{job}/repositories/0/packages"), 400, "Repository not completed"),
        ("/scan/unknown/repositories/0/log".to_owned(), 404, "Job not found"),
    ] {
        let answer = server.get(&path).await.expect(code);
        assert_eq!(detail(&answer), words, "{path}");
    }
    files::write(&server.file("go"), "");
    let finished = server.finished(&job).await;
    assert_eq!(finished["status"], "completed");
    let shown = server.get(&path).await.expect(200).json();
    assert_eq!(
        (&shown["attempt"], &shown["dependencies_found"]),
        (&json!(1), &json!(0)),
        "{shown:#}"
    );
}

/// Breaks if partial results are given for finished jobs, or refused for running ones.
#[tokio::test]
async fn a_running_job_has_partial_results() {
    let server = Setup::new().shell(WAITING).start().await;
    let job = server.submit("widget").await;
    let path = format!("/jobs/{job}/partial");
    within(Duration::from_secs(20), "the scanner works", async || {
        server.get(&path).await.status == 200
    })
    .await;
    let partial = server.get(&path).await.expect(200).json();
    assert_eq!((&partial["job_id"], &partial["status"]), (&json!(job), &json!("running")));
    assert!(partial["progress"].as_f64().unwrap() < 100.0, "{partial:#}");
    assert_eq!(partial["partial_results"]["packages_total"], 0, "{partial:#}");
    files::write(&server.file("go"), "");
    server.finished(&job).await;
    let over = server.get(&path).await.expect(400);
    assert!(detail(&over).starts_with("Job is not currently running. "), "{}", detail(&over));
}
