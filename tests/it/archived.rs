//! After the clean-up has removed the files of a job, its results answer as before, until they expire or are deleted.

mod crashes;
mod limits;

use crate::client::run;
use crate::support::{
    files,
    server::{Answer, Setup, TestServer},
    wait::eventually,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Repository 1 fails; the others have two packages, of which one is in all of them.
const SCANNER: &str = r#"
index = task['repo_index']
print("a line of", os.environ["SCANWATCH_JOB_ID"], index, flush=True)
if index == 1:
    sys.exit(3)
def package(name, version):
    return {'name': name, 'version': version, 'ecosystem': 'npm', 'purl': f'pkg:npm/{name}@{version}',
            'file': 'package-lock.json', 'direct': True, 'scope': 'runtime', 'source': 'lockfile'}
packages = [package('left-pad', f'1.{index}'), package('same', '1.0')]
replace(os.environ['SCANWATCH_RESULT_FILE'], {'schema': 1, 'packages': packages, 'categories': {'Web': True}})
say('completed', total_files=4, current_file=4)
"#;

fn scanner() -> Setup {
    // Its own clean-up at the start runs before anything has expired.
    Setup::new().python(SCANNER).set("jobs.cleanup_interval_secs", 1)
}

/// A server with a finished group of this many repositories.
async fn finished_group(setup: Setup, count: usize) -> (TestServer, String) {
    let job = setup.write_group(count);
    let server = setup.start().await;
    server.finished(&job).await;
    (server, job)
}

/// Lets all finished jobs expire, and waits until these have no files any more.
pub(crate) async fn expire(server: &mut TestServer, jobs: &[&str]) {
    server.terminate().await;
    expire_stopped(server, jobs).await;
}

/// The same, of a server that does not run.
async fn expire_stopped(server: &mut TestServer, jobs: &[&str]) {
    start_with(server, 0).await;
    for job in jobs {
        gone(server, job).await;
    }
    server.terminate().await;
    // Later jobs stay.
    start_with(server, 24).await;
}

/// Starts the server with this retention time, in hours.
async fn start_with(server: &mut TestServer, hours: u32) {
    server.set_variable("SCANWATCH_JOBS__RETENTION_HOURS", hours);
    server.restart().await;
}

/// Waits until a job has no files, and the server knows.
async fn gone(server: &TestServer, job: &str) {
    let folder = server.job_folder(job);
    eventually("the files of the job are removed", async || {
        !folder.exists() && server.get(&format!("/scan/{job}")).await.status == 404
    })
    .await;
}

fn record(server: &TestServer, job: &str) -> PathBuf {
    server.setup().jobs().join(format!(".results/jobs/{job}.jsonl"))
}

fn blobs(server: &TestServer) -> Vec<PathBuf> {
    let folder = server.setup().jobs().join(".results/blobs");
    let mut found = files::below(&folder);
    found.retain(|path| path.is_file());
    found
}

/// The answers about the results of a job.
fn paths(job: &str) -> Vec<String> {
    let scan = |rest: &str| format!("/scan/{job}{rest}");
    let mut paths = vec![format!("/jobs/{job}/results"), format!("/jobs/{job}/results?format=csv")];
    paths.extend(
        [
            "/packages",
            "/packages?name=left-pad&range=%3E%3D1.2",
            "/packages?per_page=1&page=2",
            "/sbom",
            "/sbom?format=spdx",
            "/repositories",
            "/repositories?status=failed",
            "/repositories/0",
            "/repositories/0/packages",
            "/repositories/0/packages?format=csv",
            "/repositories/0/sbom?format=cyclonedx-1.7",
            "/repositories/0/warnings",
            "/repositories/0/log",
            "/repositories/1/log?tail=1",
        ]
        .map(scan),
    );
    paths
}

/// The text of an answer without what differs each time, and without the mark of an archived job.
fn comparable(answer: &Answer) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(&answer.text) else {
        return answer.text.clone();
    };
    if let Value::Object(members) = &mut value {
        for name in ["archived", "serialNumber", "documentNamespace"] {
            members.remove(name);
        }
        if let Some(metadata) = members.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("timestamp");
            metadata.remove("properties");
        }
        if let Some(creation) = members.get_mut("creationInfo").and_then(Value::as_object_mut) {
            creation.remove("created");
        }
    }
    format!("{value:#}")
}

/// Whether an answer is marked: by a member, a property or a header.
fn is_marked(answer: &Answer) -> bool {
    let value: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    value["archived"] == true || answer.header("scanwatch-archived") == Some("true")
}

/// Fails if an answer changes with the clean-up, is not marked, or outlives the deletion.
#[tokio::test]
async fn an_archived_job_answers_as_before_until_it_is_deleted() {
    let (mut server, job) = finished_group(scanner(), 4).await;
    let mut before = Vec::new();
    for path in paths(&job) {
        let answer = server.get(&path).await.expect(200);
        assert!(!is_marked(&answer), "{path}");
        before.push((path, comparable(&answer)));
    }
    let row = server.get("/jobs").await.expect(200).json()["jobs"][0].clone();
    expire(&mut server, &[&job]).await;

    for (path, text) in &before {
        let answer = server.get(path).await.expect(200);
        assert_eq!(comparable(&answer), *text, "{path}");
        let has_mark = path.ends_with("/packages")
            || path.contains("packages?")
            || path.contains("/results")
            || path.contains("/sbom");
        assert_eq!(is_marked(&answer), has_mark, "{path}: {}", answer.text);
    }
    let sbom = server.get(&format!("/scan/{job}/sbom")).await.json();
    let mark = json!([{ "name": "scanwatch:archived", "value": "true" }]);
    assert_eq!(sbom["metadata"]["properties"], mark);

    // The job itself is not found, unless it is asked for.
    let missing = server.get(&format!("/scan/{job}")).await.expect(404).json();
    assert_eq!(missing["detail"], "Job not found");
    assert!(missing["hint"].as_str().unwrap().contains("archived"), "{missing:#}");
    server.get(&format!("/jobs/{job}")).await.expect(404);
    for verb in ["cancel", "retry", "pause"] {
        let answer = server.post_nothing(&format!("/scan/{job}/{verb}")).await.expect(404).json();
        assert!(answer["hint"].as_str().unwrap().contains("archived"), "{answer:#}");
    }
    let progress = server.get(&format!("/scan/{job}?archived=true")).await.expect(200);
    let document = progress.json();
    assert_eq!(
        (&document["archived"], &document["status"]),
        (&json!(true), &json!("completed_with_errors"))
    );
    assert_eq!(document["repositories"].as_array().unwrap().len(), 4, "{document:#}");
    assert_eq!(document["failed_repositories"][0]["failure"]["kind"], "exit", "{document:#}");
    let same = server
        .request(Method::GET, &format!("/scan/{job}?archived=true"))
        .header("if-none-match", progress.header("etag").unwrap());
    server.send(same).await.expect(304);

    // It is in no list of jobs, but in the one of archived jobs, with the same row.
    assert_eq!(server.get("/jobs").await.json()["total"], 0);
    let list = server.get("/jobs?archived=true").await.expect(200).json();
    let mut expected = row;
    expected["archived"] = true.into();
    assert_eq!((&list["total"], &list["jobs"][0]), (&1.into(), &expected));
    for (query, total) in
        [("&status=completed", 1), ("&status=failed", 0), ("&q=nothing", 0), ("&job=zz", 0)]
    {
        let list = server.get(&format!("/jobs?archived=true{query}")).await.expect(200).json();
        assert_eq!(list["total"], total, "{query}: {list:#}");
    }
    let row = server.get(&format!("/jobs/{job}?archived=true")).await.expect(200).json();
    assert_eq!((&row["archived"], &row["progress"]), (&json!(true), &json!(100)));

    server.delete(&format!("/scan/{job}")).await.expect(204);
    for (path, _) in &before {
        server.get(path).await.expect(404);
    }
    server.get(&format!("/scan/{job}?archived=true")).await.expect(404);
    server.delete(&format!("/scan/{job}")).await.expect(404);
    assert_eq!(server.get("/jobs?archived=true").await.json()["total"], 0);
    assert!(!record(&server, &job).exists());
    eventually("the files that no job uses are removed", async || blobs(&server).is_empty()).await;
}

/// Fails if two archived jobs, or an archived one and another, cannot be compared, or if a deleted job takes the
/// results of another with it.
#[tokio::test]
async fn archived_jobs_are_compared_and_share_results() {
    let setup = scanner();
    let first = setup.write_group(3);
    let (mut server, second) = finished_group(setup, 3).await;
    server.finished(&first).await;
    let path = format!("/scan/{second}/diff?with={first}");
    let live = server.get(&path).await.expect(200).json();
    assert!(live.get("archived").is_none(), "{live:#}");
    expire(&mut server, &[&first, &second]).await;
    let archived = server.get(&path).await.expect(200).json();
    assert_eq!(archived["archived"], true);
    assert_eq!(archived["repositories_compared"], live["repositories_compared"]);
    // Two results, which both jobs have; a log of each repository, and a plan of each job.
    let shared = blobs(&server).len();
    server.delete(&format!("/scan/{first}")).await.expect(204);
    eventually("only what the other job uses stays", async || blobs(&server).len() < shared).await;
    let results = server.get(&format!("/jobs/{second}/results")).await.expect(200).json();
    assert_eq!(results["packages_total"], 4, "{results:#}");
}

/// Fails if the scope of a token permits more on archived jobs than on others.
#[tokio::test]
async fn archived_jobs_have_the_access_rules_of_others() {
    let setup = scanner().user("operator", "s3cret");
    let (mut server, job) = finished_group(setup, 1).await;
    expire(&mut server, &[&job]).await;
    let path = format!("/jobs/{job}/results");
    server.send(server.without_credentials(Method::GET, &path)).await.expect(401);
    let delete = format!("/scan/{job}");
    server.send(server.without_credentials(Method::DELETE, &delete)).await.expect(401);
    let other_site = server.request(Method::DELETE, &delete).header("sec-fetch-site", "cross-site");
    server.send(other_site).await.expect(403);
    server.get(&path).await.expect(200);
    server.delete(&delete).await.expect(204);
}

/// Fails if a client of the command line cannot reach an archived job, or is not told that it is one.
#[tokio::test]
async fn the_command_line_reads_and_removes_archived_jobs() {
    let setup = scanner();
    let earlier = setup.write_group(2);
    let (mut server, job) = finished_group(setup, 2).await;
    server.finished(&earlier).await;
    expire(&mut server, &[&earlier, &job]).await;
    let end = &job[job.len() - 8..];
    let listed = run(&server, &["jobs", "--archived"]);
    assert!(listed.out.contains(&job) && listed.out.contains(&earlier), "{listed:?}");
    let none = run(&server, &["jobs"]);
    assert_eq!(none.out, "");
    for (command, found) in [
        (vec!["results", end], "left-pad"),
        (vec!["results", end, "--format", "csv"], "left-pad"),
        (vec!["packages", end, "--name", "same"], "same"),
    ] {
        let ran = run(&server, &command);
        assert!(ran.out.contains(found) && ran.err.contains("is archived"), "{ran:?}");
        ran.expect(0);
    }
    let sbom = run(&server, &["sbom", end]);
    assert!(sbom.out.contains("scanwatch:archived"), "{sbom:?}");
    let status = run(&server, &["status", end]);
    assert!(status.out.contains(", archived"), "{status:?}");
    let diff = run(&server, &["diff", &earlier, end]);
    diff.expect(0);
    let removed = run(&server, &["rm", end]);
    assert_eq!(removed.expect(0).out, format!("{job}  removed\n"));
    let again = run(&server, &["results", &job]);
    again.expect(2);
}
