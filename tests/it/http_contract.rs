//! What clients rely on, request by request: codes, shapes, headers, texts; and what hostile or
//! broken clients cannot do.

use crate::support::{
    files,
    raw::{RawAnswer, closed_after, exchange, request},
    server::{Answer, Setup, TestServer},
    sse::EventStream,
    wait::{PATIENCE, eventually, until},
};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A scanner that finishes at once.
const QUICK: &str = "say completed\n";

/// A scanner that works until it is released.
const WAITING: &str = r#"
say scanning
while [ ! -e "$dir/go" ]; do sleep 0.05; done
say completed
"#;

/// An error in the common shape (RFC 9457); returns its detail.
#[track_caller]
fn problem(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text);
    problem_document(answer.header("content-type"), &answer.text, status)
}

/// The same, of an answer that was read manually.
#[track_caller]
fn raw_problem(answer: &RawAnswer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{answer:?}");
    problem_document(answer.header("content-type"), &answer.body, status)
}

#[track_caller]
fn problem_document(kind: Option<&str>, text: &str, status: u16) -> Value {
    let kind = kind.unwrap_or_default();
    assert!(kind.starts_with("application/problem+json"), "content type {kind:?}: {text}");
    let document: Value = serde_json::from_str(text).unwrap();
    assert!(document["type"].is_string(), "{document:#}");
    assert!(document["title"].as_str().is_some_and(|text| !text.is_empty()), "{document:#}");
    assert_eq!(document["status"], status, "{document:#}");
    assert!(!document["detail"].is_null(), "{document:#}");
    document["detail"].clone()
}

fn folders_of_jobs(server: &TestServer) -> usize {
    let entries = std::fs::read_dir(server.setup().jobs()).unwrap().flatten();
    entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')).count()
}

// Jobs.

/// Breaks if a client's first two requests, submit and poll, do not fit together.
#[tokio::test]
async fn a_submitted_job_is_known_at_once_in_the_documented_shape() {
    let server = Setup::new().shell(QUICK).start().await;
    for number in 0..20 {
        let url = format!("https://github.com/acme/widget-{number}.git");
        let answer =
            server.post("/scan", &json!({ "git_url": url, "unknown": 1 })).await.expect(200);
        let body = answer.json();
        let id = body["job_id"].as_str().unwrap();
        assert!(uuid::Uuid::parse_str(id).is_ok(), "{body:#}");
        assert_eq!(body["status"], "pending");
        let at = body["created_at"].as_str().unwrap();
        assert!(chrono::DateTime::parse_from_rfc3339(at).is_ok(), "{body:#}");
        assert_eq!(answer.header("location"), Some(format!("/scan/{id}").as_str()));
        let kind = answer.header("content-type").unwrap();
        assert!(kind.starts_with("application/json"), "{kind}");
        // No waiting here: that is the point.
        let document = server.get(&format!("/scan/{id}")).await.expect(200).json();
        assert_eq!(document["job_id"], id);
        assert_eq!(document["group_url"], url);
        assert_eq!(document["summary"]["total_repositories"], 1, "{document:#}");
    }
}

/// Breaks if the progress document loses a member that clients read.
#[tokio::test]
async fn the_progress_document_always_has_all_members() {
    let server = Setup::new().shell(WAITING).start().await;
    let job = server.submit("widget").await;
    let before = server.working(&job).await;
    files::write(&server.file("go"), "");
    let after = server.finished(&job).await;
    for document in [&before, &after] {
        for list in [
            "repositories",
            "current_repositories",
            "completed_repositories",
            "failed_repositories",
            "pending_repositories",
            "warnings",
        ] {
            assert!(document[list].is_array(), "{list} in {document:#}");
        }
        assert!(document["elapsed_time_seconds"].is_u64(), "{document:#}");
        assert!(document["last_update"].is_string(), "{document:#}");
        assert!(document.get("eta_seconds").is_some(), "{document:#}");
        assert!(document.get("completed_at").is_some(), "{document:#}");
    }
    assert_eq!(before["status"], "in_progress");
    assert_eq!(before["current_repositories"][0]["repo_name"], "widget", "{before:#}");
    assert!(before["completed_at"].is_null(), "{before:#}");
    assert_eq!(after["completed_repositories"], json!(["widget"]), "{after:#}");
    assert_eq!(after["current_repositories"], json!([]), "{after:#}");
    assert!(after["completed_at"].is_string(), "{after:#}");
}

/// Breaks if a summary of a group of 10,000 costs as much as its full document.
#[tokio::test]
async fn a_summary_leaves_the_lists_out() {
    let server = Setup::new().shell(QUICK).start().await;
    let job = server.submit("widget").await;
    server.finished(&job).await;
    let summary = server.get(&format!("/scan/{job}?view=summary")).await.expect(200).json();
    assert_eq!(summary["status"], "completed", "{summary:#}");
    assert_eq!(summary["summary"]["completed"], 1, "{summary:#}");
    for list in [
        "repositories",
        "current_repositories",
        "completed_repositories",
        "failed_repositories",
        "pending_repositories",
    ] {
        assert!(summary.get(list).is_none(), "{list} in {summary:#}");
    }
}

/// Breaks if polling clients are sent what they have already, or keep what is stale.
#[tokio::test]
async fn an_unchanged_document_is_not_sent_again() {
    let server = Setup::new().shell(WAITING).start().await;
    let job = server.submit("widget").await;
    server.working(&job).await;
    let path = format!("/scan/{job}");
    let tag = server.get(&path).await.header("etag").unwrap().to_owned();
    assert!(tag.starts_with("W/\""), "the seconds tick without a new tag: {tag}");
    files::write(&server.file("go"), "");
    server.finished(&job).await;

    let ask = |tag: &str| server.request(Method::GET, &path).header("If-None-Match", tag);
    let fresh = server.send(ask(&tag)).await.expect(200);
    let current = fresh.header("etag").unwrap().to_owned();
    assert_ne!(tag, current, "a finished job is another document");
    let any = format!("\"other\", {current}");
    for tag in [current.as_str(), any.as_str(), "*"] {
        let answer = server.send(ask(tag)).await.expect(304);
        assert!(answer.text.is_empty(), "{tag}");
        assert_eq!(answer.header("etag"), Some(current.as_str()), "{tag}");
    }
    server.send(ask("\"other\"")).await.expect(200);
    let summary = server.get(&format!("{path}?view=summary")).await;
    assert_ne!(summary.header("etag"), Some(current.as_str()), "two views are two documents");
}

/// Breaks if the clients of the old service can no longer read its job and result documents.
#[tokio::test]
async fn a_job_and_its_results_have_the_legacy_shapes() {
    let server = Setup::new().shell(WAITING).start().await;
    let job = server.submit("widget").await;
    let pending = server.get(&format!("/jobs/{job}")).await.expect(200).json();
    assert_eq!(pending["job_id"], job);
    server.working(&job).await;
    let running = server.get(&format!("/jobs/{job}")).await.expect(200).json();
    assert_eq!(running["status"], "running", "{running:#}");
    assert!(running["created_at"].is_string(), "{running:#}");
    assert_eq!(running.get("completed_at"), Some(&Value::Null), "{running:#}");
    let early = server.get(&format!("/jobs/{job}/results")).await;
    assert_eq!(problem(&early, 400), "Job not completed");

    files::write(&server.file("go"), "");
    server.finished(&job).await;
    let done = server.get(&format!("/jobs/{job}")).await.expect(200).json();
    assert_eq!(done["status"], "completed", "{done:#}");
    assert_eq!(done["progress"].as_f64(), Some(100.0), "{done:#}");
    assert!(done["completed_at"].is_string(), "{done:#}");
    let results = server.get(&format!("/jobs/{job}/results")).await.expect(200).json();
    assert_eq!(results["git_url"], "https://github.com/acme/widget.git", "{results:#}");
    assert!(results["dependencies"].is_object(), "{results:#}");
    assert!(results["infrastructure_usage"].is_object(), "{results:#}");
    assert!(results["scan_type"].is_string(), "{results:#}");
    for member in
        ["total_projects", "successful_scans", "failed_scans", "project_results", "failed_projects"]
    {
        assert_eq!(results.get(member), Some(&Value::Null), "{member} in {results:#}");
    }
    assert_eq!(results["packages_total"], 0, "{results:#}");
    assert!(results.get("packages_url").is_some(), "{results:#}");
}

/// Breaks if a failed repository's results look like an empty success.
#[tokio::test]
async fn a_failed_repository_has_no_results() {
    let server = Setup::new().shell("exit 3\n").start().await;
    let job = server.submit("widget").await;
    server.finished(&job).await;
    let answer = server.get(&format!("/jobs/{job}/results")).await;
    assert_eq!(problem(&answer, 400), "Job not completed");
    let listed = server.get(&format!("/jobs/{job}")).await.expect(200).json();
    assert_eq!(listed["status"], "failed", "{listed:#}");
    assert_eq!(listed["progress"].as_f64(), Some(100.0), "{listed:#}");
}

/// Breaks if a job cannot be cancelled in each of its states, or is changed by it after it has
/// ended.
#[tokio::test]
async fn cancelling_works_in_every_state_and_changes_no_finished_job() {
    let server =
        Setup::new().shell(WAITING).set("scanner.max_concurrent_processes", 1).start().await;
    let running = server.submit("running").await;
    server.working(&running).await;
    let queued = server.submit("queued").await;
    for job in [&queued, &running] {
        let answer = server.post_nothing(&format!("/scan/{job}/cancel")).await.expect(200).json();
        assert_eq!(answer["job_id"], **job, "{answer:#}");
        assert!(answer["status"].is_string(), "{answer:#}");
        let document = server.finished(job).await;
        assert_eq!(document["status"], "cancelled", "{document:#}");
        assert_eq!(document["summary"]["failed"], 1, "{document:#}");
        assert_eq!(document["summary"]["pending"], 0, "{document:#}");
        assert_eq!(server.status_file(job, 0)["status"], "cancelled");
    }
    files::write(&server.file("go"), "");
    let done = server.submit("done").await;
    let before = server.finished(&done).await;
    let answer = server.post_nothing(&format!("/scan/{done}/cancel")).await.expect(200).json();
    assert_eq!(answer, json!({ "job_id": done, "status": "completed" }));
    assert_eq!(server.progress(&done).await["status"], before["status"]);
    let unknown = format!("/scan/{}/cancel", uuid::Uuid::now_v7());
    assert_eq!(problem(&server.post_nothing(&unknown).await, 404), "Job not found");
}

/// Breaks if a deleted job leaves files or processes, or can still be seen.
#[tokio::test]
async fn a_deleted_job_is_gone_with_its_files_and_processes() {
    let server = Setup::new().shell(WAITING).set("scanner.kill_grace_secs", 1).start().await;
    let running = server.submit("running").await;
    server.working(&running).await;
    let answer = server.delete(&format!("/scan/{running}")).await.expect(204);
    assert!(answer.text.is_empty(), "{answer:?}");
    server.no_process_left(Duration::from_secs(10)).await;
    files::write(&server.file("go"), "");
    let done = server.submit("done").await;
    server.finished(&done).await;
    server.delete(&format!("/scan/{done}")).await.expect(204);
    for job in [&running, &done] {
        for path in [format!("/scan/{job}"), format!("/jobs/{job}"), format!("/scan/{job}/events")]
        {
            assert_eq!(problem(&server.get(&path).await, 404), "Job not found", "{path}");
        }
        let again = server.delete(&format!("/scan/{job}")).await;
        assert_eq!(problem(&again, 404), "Job not found");
        assert!(!server.job_folder(job).exists());
    }
}

/// Breaks if a stopping server reports a job removed while its files stay.
#[tokio::test]
async fn a_removal_interrupted_by_a_stop_is_not_reported_done() {
    let mut server = Setup::new()
        .shell("trap '' TERM\necho deaf > \"$dir/began\"\nwhile :; do sleep 0.1; done\n")
        .set("scanner.kill_grace_secs", 5)
        .set("server.stop_grace_secs", 1)
        .start()
        .await;
    let job = server.submit("stubborn").await;
    server.note("began").await;
    let request = server.request(Method::DELETE, &format!("/scan/{job}"));
    let (answer, code) = tokio::join!(request.send(), async {
        eventually("the job is called cancelled", async || {
            server.progress(&job).await["status"] == "cancelled"
        })
        .await;
        server.terminate().await
    });
    assert_eq!(code, Some(0));
    assert!(server.job_folder(&job).exists());
    // The connection may also be cut.
    if let Ok(answer) = answer {
        assert_eq!(answer.status(), 503);
    }
}

/// Breaks if the queue grows without limit, or a refusal does not say when to retry.
#[tokio::test]
async fn a_full_queue_refuses_until_there_is_space() {
    let server = Setup::new()
        .shell(WAITING)
        .set("scanner.max_concurrent_processes", 1)
        .set("jobs.max_queued_jobs", 1)
        .start()
        .await;
    let running = server.submit("running").await;
    server.working(&running).await;
    let queued = server.submit("queued").await;
    let body = json!({ "git_url": "https://github.com/acme/refused.git" });
    let refused = server.post("/scan", &body).await;
    problem(&refused, 429);
    let seconds = refused.header("retry-after").expect("when to come back");
    assert!(seconds.parse::<u64>().is_ok_and(|number| number > 0), "{seconds}");
    assert_eq!(folders_of_jobs(&server), 2, "a refused job leaves nothing");
    files::write(&server.file("go"), "");
    server.finished(&running).await;
    server.finished(&queued).await;
    server.submit("welcome").await;
}

// Authentication and origin.

/// Breaks if anything but the two probes is open to strangers, or if texts that clients look for
/// change.
#[tokio::test]
async fn credentials_are_required_before_anything_else() {
    let server = Setup::new().shell(QUICK).user("operator", "s3cret:mit:colons").start().await;
    let job = server.submit("widget").await;
    server.finished(&job).await;
    for path in [
        format!("/scan/{job}"),
        format!("/scan/{job}/events"),
        format!("/jobs/{job}"),
        format!("/jobs/{job}/results"),
        "/health".to_owned(),
        "/scan/unknown".to_owned(),
    ] {
        let nobody = server.send(server.without_credentials(Method::GET, &path)).await;
        assert_eq!(problem(&nobody, 401), "Not authenticated", "{path}");
        let challenge = nobody.header("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Basic"), "{path}: {challenge:?}");
    }
    // Only a few of these, because wrong passwords are throttled.
    for (name, password) in
        [("operator", "wrong"), ("stranger", "s3cret:mit:colons"), ("operator", ""), ("", "")]
    {
        let request =
            server.without_credentials(Method::GET, "/health").basic_auth(name, Some(password));
        let wrong = server.send(request).await;
        assert_eq!(problem(&wrong, 401), "Invalid credentials", "{name}");
        assert!(wrong.header("www-authenticate").unwrap_or_default().starts_with("Basic"));
    }
    for unusable in ["Bearer abc", "Basic", "Basic !!!", "Basic bm9jb2xvbg==", "nonsense"] {
        let request =
            server.without_credentials(Method::GET, "/health").header("Authorization", unusable);
        let answer = server.send(request).await;
        assert_eq!(problem(&answer, 401), "Not authenticated", "{unusable:?}");
    }
    for probe in ["/livez", "/readyz"] {
        server.send(server.without_credentials(Method::GET, probe)).await.expect(200);
    }
    let health = server.get("/health").await.expect(200).json();
    assert_eq!(health["user"], "operator", "{health:#}");
}

/// Breaks if a stranger's body is read: that is wasted work, and a way to hold a connection.
#[tokio::test]
async fn credentials_are_required_before_the_body_is_read() {
    let server = Setup::new().user("operator", "secret").start().await;
    let began = Instant::now();
    let request = "POST /scan HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
                   Content-Length: 1000\r\n\r\n{";
    let answer = exchange(server.address(), request.as_bytes(), PATIENCE).await.unwrap();
    assert_eq!(raw_problem(&answer, 401), "Not authenticated");
    assert!(began.elapsed() < Duration::from_secs(5), "it waited for {:?}", began.elapsed());
}

/// Breaks if a page of another site can make a visitor's browser submit, cancel or delete: browsers
/// send the password automatically.
#[tokio::test]
async fn writes_from_other_sites_are_refused() {
    let server = Setup::new().shell(QUICK).start().await;
    let job = server.submit("widget").await;
    server.finished(&job).await;
    let body = json!({ "git_url": "https://github.com/acme/forged.git" });
    for (header, value) in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "http://evil.example"),
        ("Origin", "https://127.0.0.1.evil.example"),
        ("Origin", "null"),
    ] {
        let writes = [
            server.request(Method::POST, "/scan").json(&body),
            server.request(Method::POST, &format!("/scan/{job}/cancel")),
            server.request(Method::DELETE, &format!("/scan/{job}")),
        ];
        for write in writes {
            let answer = server.send(write.header(header, value)).await;
            problem(&answer, 403);
        }
    }
    assert_eq!(folders_of_jobs(&server), 1, "nothing was made, nothing was deleted");

    let own = server.url("");
    for (header, value) in
        [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "none"), ("Origin", own.as_str())]
    {
        let request = server.request(Method::POST, "/scan").json(&body).header(header, value);
        server.send(request).await.expect(200);
    }
    let read = server.request(Method::GET, "/health").header("Sec-Fetch-Site", "cross-site");
    let answer = server.send(read).await.expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

/// Breaks if a page can reach an open local server by a host name of its own (DNS rebinding): for
/// the browser it is then the page's own site.
#[tokio::test]
async fn a_foreign_host_name_is_refused() {
    let server = Setup::new().start().await;
    let ask = |host: &str| {
        format!("GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").into_bytes()
    };
    let evil = exchange(server.address(), &ask("evil.example"), PATIENCE).await.unwrap();
    assert!(matches!(evil.status, 403 | 421), "{evil:?}");
    let port = server.address().port();
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), "127.0.0.1".to_owned()] {
        let answer = exchange(server.address(), &ask(&host), PATIENCE).await.unwrap();
        assert_eq!(answer.status, 200, "{host}: {answer:?}");
    }
}

// Targets and bodies.

/// Breaks if a name that could lead out of the jobs folder reaches the file system.
#[tokio::test]
async fn invalid_ids_are_not_found() {
    let server = Setup::new().start().await;
    let long = "a".repeat(10_000);
    let ids = [
        "unknown",
        "00000000-0000-0000-0000-000000000000",
        "..",
        ".",
        ".lock",
        ".staging",
        "%2e%2e",
        "%2e%2e%2fetc",
        "..%2f..%2fetc%2fpasswd",
        "..%00",
        "%00",
        "%c0%ae%c0%ae",
        "%ff",
        "a%0d%0ab",
        "a%20b",
        "C:%5c",
        long.as_str(),
    ];
    for id in ids {
        let shown = &id[..id.len().min(60)];
        for (method, path) in [
            ("GET", format!("/scan/{id}")),
            ("GET", format!("/scan/{id}/events")),
            ("GET", format!("/jobs/{id}")),
            ("GET", format!("/jobs/{id}/results")),
            ("POST", format!("/scan/{id}/cancel")),
            ("DELETE", format!("/scan/{id}")),
        ] {
            let answer = exchange(server.address(), &request(method, &path), PATIENCE).await;
            let answer = answer.unwrap_or_else(|| panic!("no answer: {method} {shown}"));
            let detail = raw_problem(&answer, 404);
            assert_eq!(detail, "Job not found", "{method} {shown}");
        }
    }
    for path in ["/scan/../../etc/passwd", "/scan//etc/passwd", "/scan/a/b/c/d", "//", "/scan/"] {
        let answer = exchange(server.address(), &request("GET", path), PATIENCE).await.unwrap();
        assert!(matches!(answer.status, 404 | 405), "{path}: {answer:?}");
    }
}

/// Breaks if an error of the router has another shape than one of a route.
#[tokio::test]
async fn every_error_is_a_problem_document() {
    let server = Setup::new().start().await;
    problem(&server.get("/nothing/here").await, 404);
    problem(&server.send(server.request(Method::PUT, "/scan")).await, 405);
    problem(&server.delete("/health").await, 405);
    problem(&server.post_nothing("/livez").await, 405);
    let plain = || server.request(Method::POST, "/scan").body("{\"git_url\": \"x\"}");
    problem(&server.send(plain().header("Content-Type", "text/plain")).await, 415);
    problem(&server.send(plain()).await, 415);
    let form = plain().header("Content-Type", "application/x-www-form-urlencoded");
    problem(&server.send(form).await, 415);
    let charset = plain().header("Content-Type", "application/json; charset=utf-8");
    problem(&server.send(charset).await, 422);
    let view = server.get(&format!("/scan/{}?view=summary", uuid::Uuid::now_v7())).await;
    assert_eq!(problem(&view, 404), "Job not found");
}

/// The expected answer to a hostile or wrong body.
enum Verdict {
    /// 400, with a detail that begins like this.
    Refused(&'static str),
    /// 422, with this type at this location.
    Wrong(&'static str, &'static [&'static str]),
}

use Verdict::{Refused, Wrong};

const URL: &[&str] = &["body", "git_url"];
const DANGEROUS: &str = "Invalid Git URL: contains potentially dangerous characters";
const PRIVATE: &str = "Private network access not allowed";
const METADATA: &str = "Metadata endpoint access not allowed";

/// Bodies as they are sent, and the answer to each.
const BODIES: &[(&str, Verdict)] = &[
    // Not a request at all.
    ("", Wrong("", &["body"])),
    ("{", Wrong("json_invalid", &["body"])),
    ("not json", Wrong("json_invalid", &["body"])),
    ("{\"git_url\": NaN}", Wrong("json_invalid", &["body"])),
    ("{\"git_url\": \"x\"} trailing", Wrong("json_invalid", &["body"])),
    ("[]", Wrong("", &["body"])),
    ("null", Wrong("", &["body"])),
    ("\"https://github.com/a/b.git\"", Wrong("", &["body"])),
    ("{}", Wrong("missing", URL)),
    ("{\"url\": \"https://github.com/a/b.git\"}", Wrong("missing", URL)),
    ("{\"git_url\": null}", Wrong("string_type", URL)),
    ("{\"git_url\": 7}", Wrong("string_type", URL)),
    ("{\"git_url\": [\"https://github.com/a/b.git\"]}", Wrong("string_type", URL)),
    ("{\"git_url\": {\"$ne\": 1}}", Wrong("string_type", URL)),
    // Not a repository URL.
    ("{\"git_url\": \"\"}", Wrong("value_error", URL)),
    ("{\"git_url\": \"github.com/a/b.git\"}", Wrong("value_error", URL)),
    ("{\"git_url\": \"/etc/passwd\"}", Wrong("value_error", URL)),
    ("{\"git_url\": \"https://\"}", Wrong("value_error", URL)),
    ("{\"git_url\": \"https://github.com\"}", Wrong("value_error", URL)),
    ("{\"git_url\": \"--upload-pack=touch /tmp/x\"}", Wrong("value_error", URL)),
    ("{\"git_url\": \"https://github.com/-x/y.git\"}", Wrong("value_error", URL)),
    ("{\"git_url\": \"git@-oProxyCommand=x:y.git\"}", Wrong("value_error", URL)),
    ("{\"git_url\": \"https://github.com/a b.git\"}", Wrong("value_error", URL)),
    ("{\"git_url\": \"https://[::1/x.git\"}", Wrong("value_error", URL)),
    // Dangerous characters, which are checked first.
    ("{\"git_url\": \"https://github.com/a;id.git\"}", Refused(DANGEROUS)),
    ("{\"git_url\": \"https://github.com/a&b.git\"}", Refused(DANGEROUS)),
    ("{\"git_url\": \"https://github.com/a|b.git\"}", Refused(DANGEROUS)),
    ("{\"git_url\": \"https://github.com/`id`.git\"}", Refused(DANGEROUS)),
    ("{\"git_url\": \"https://github.com/$HOME.git\"}", Refused(DANGEROUS)),
    ("{\"git_url\": \"https://github.com/<x>.git\"}", Refused(DANGEROUS)),
    ("{\"git_url\": \"https://github.com/../a.git\"}", Refused(DANGEROUS)),
    ("{\"git_url\": \"https:\\\\\\\\github.com/a.git\"}", Refused(DANGEROUS)),
    ("{\"git_url\": \"https://gith\\nub.com/a.git\"}", Refused(DANGEROUS)),
    ("{\"git_url\": \"https://github.com/a\\u0000.git\"}", Refused(DANGEROUS)),
    ("{\"git_url\": \"https://github.com/\\u001b[31ma.git\"}", Refused(DANGEROUS)),
    // Other ways to fetch.
    ("{\"git_url\": \"http://github.com/a.git\"}", Refused("Invalid Git URL scheme: http")),
    ("{\"git_url\": \"ftp://github.com/a.git\"}", Refused("Invalid Git URL scheme: ftp")),
    ("{\"git_url\": \"file:///etc/passwd\"}", Refused("Invalid Git URL scheme: file")),
    ("{\"git_url\": \"ext::sh -c id\"}", Refused("Invalid Git URL scheme: ext")),
    ("{\"git_url\": \"ssh://-oProxyCommand=id/a\"}", Refused("Invalid Git URL scheme: ssh")),
    // Credentials in the URL.
    ("{\"git_url\": \"https://u:p@github.com/a.git\"}", Refused("")),
    ("{\"git_url\": \"https://token@github.com/a.git\"}", Refused("")),
    // Internal addresses.
    ("{\"git_url\": \"https://127.0.0.1/a.git\"}", Refused(PRIVATE)),
    ("{\"git_url\": \"https://0x7f000001/a.git\"}", Refused(PRIVATE)),
    ("{\"git_url\": \"https://2130706433/a.git\"}", Refused(PRIVATE)),
    ("{\"git_url\": \"https://127.1/a.git\"}", Refused(PRIVATE)),
    ("{\"git_url\": \"https://localhost/a.git\"}", Refused(PRIVATE)),
    ("{\"git_url\": \"https://10.0.0.1:8443/a.git\"}", Refused(PRIVATE)),
    ("{\"git_url\": \"https://[::1]/a.git\"}", Refused(PRIVATE)),
    ("{\"git_url\": \"https://[::ffff:192.168.0.1]/a.git\"}", Refused(PRIVATE)),
    ("{\"git_url\": \"git@127.0.0.1:a/b.git\"}", Refused(PRIVATE)),
    ("{\"git_url\": \"https://169.254.169.254/latest.git\"}", Refused(METADATA)),
    ("{\"git_url\": \"https://metadata.google.internal/a.git\"}", Refused(METADATA)),
    // Other hosts.
    (
        "{\"git_url\": \"https://github.com:22/a.git\"}",
        Refused("Non-standard port not allowed: 22"),
    ),
    ("{\"git_url\": \"https://evil.example/a.git\"}", Refused("Domain not allowed: evil.example")),
    (
        "{\"git_url\": \"https://github.com.evil.example/a.git\"}",
        Refused("Domain not allowed: github.com.evil.example"),
    ),
    ("{\"git_url\": \"https://1.1.1.1/a.git\"}", Refused("Domain not allowed: 1.1.1.1")),
    // Options.
    (
        "{\"git_url\": \"https://github.com/a/b.git\", \"ref\": 7}",
        Wrong("string_type", &["body", "ref"]),
    ),
    (
        "{\"git_url\": \"https://github.com/a/b.git\", \"ref\": \"--upload-pack=id\"}",
        Wrong("value_error", &["body", "ref"]),
    ),
    (
        "{\"git_url\": \"https://github.com/a/b.git\", \"deep\": \"x\"}",
        Wrong("", &["body", "deep"]),
    ),
];

/// Breaks if a wrong or hostile request is accepted, gets the wrong code, does not learn which rule
/// it broke, or makes the server reveal its own paths.
#[tokio::test]
async fn hostile_and_wrong_bodies_each_get_their_code_and_reason() {
    let server = Setup::new().start().await;
    let mut wrong = Vec::new();
    for (body, verdict) in BODIES {
        let request = server.request(Method::POST, "/scan");
        let request = request.header("Content-Type", "application/json").body(*body);
        let answer = server.send(request).await;
        if let Some(why) = misjudged(&answer, verdict) {
            wrong.push(format!("{body}\n    {why}\n    {} {}", answer.status, answer.text));
        }
        let folder = server.folder().display().to_string();
        for leak in [folder.as_str(), "panicked", "src/"] {
            assert!(!answer.text.contains(leak), "{body}: {}", answer.text);
        }
    }
    let count = wrong.len();
    assert!(wrong.is_empty(), "{count} of {} are wrong:\n{}", BODIES.len(), wrong.join("\n"));
    assert_eq!(folders_of_jobs(&server), 0, "nothing was accepted");
    let log = server.setup().log();
    assert!(!log.contains('\u{1b}'), "a request reaches the operator's terminal: {log}");
}

/// Why an answer is not the expected one, if it is not.
fn misjudged(answer: &Answer, verdict: &Verdict) -> Option<String> {
    let status = if matches!(verdict, Refused(_)) { 400 } else { 422 };
    if answer.status != status {
        return Some(format!("code {status} was due"));
    }
    let detail = problem(answer, status);
    match verdict {
        Refused(prefix) => {
            let fits =
                detail.as_str().is_some_and(|text| text.starts_with(prefix) && !text.is_empty());
            (!fits).then(|| format!("a detail was due that begins: {prefix}"))
        }
        Wrong(kind, place) => {
            let first = &detail[0];
            let mut members = ["type", "msg"].iter().map(|name| first[name].is_string());
            if !members.all(|is_text| is_text) || first.get("input").is_none() {
                return Some("an entry has type, loc, msg and input".to_owned());
            }
            let loc = first["loc"].as_array()?;
            let placed = loc.len() >= place.len() && loc.iter().zip(*place).all(|(l, p)| l == p);
            let typed = kind.is_empty() || first["type"] == *kind;
            (!placed || !typed).then(|| format!("{kind} at {place:?} was due"))
        }
    }
}

/// Breaks if a client that puts a token into a URL is not told where it belongs, or if the token is
/// repeated in answers and logs.
#[tokio::test]
async fn credentials_in_a_url_are_refused_with_a_hint() {
    let server = Setup::new().start().await;
    let token = "glpat-c4n4ry";
    let url = format!("https://oauth2:{token}@gitlab.com/a/b.git");
    let answer = server.post("/scan", &json!({ "git_url": url })).await;
    let detail = problem(&answer, 400);
    assert!(detail.as_str().unwrap().contains("forges"), "{detail}");
    assert!(!answer.text.contains(token), "{}", answer.text);
    assert!(!server.setup().log().contains(token), "{}", server.setup().log());
}

/// Breaks if valid URLs are refused, or change on their way into files.
#[tokio::test]
async fn valid_urls_of_every_form_are_accepted() {
    let server = Setup::new()
        .shell(QUICK)
        .set("network.allow_hosts", "[\"github.com\", \"git.corp.example\"]")
        .set("network.allow_ports", "[443, 8443]")
        .set("network.allow_nets", "[\"10.20.0.0/16\"]")
        .start()
        .await;
    for (url, name) in [
        ("https://github.com/acme/widget.git", "widget"),
        ("git@github.com:acme/widget.git", "widget"),
        ("https://git.corp.example:8443/deep/er/path/tool.git", "tool"),
        ("https://GitHub.com./acme/UPPER.git", "UPPER"),
        ("https://10.20.30.40/acme/inner.git", "inner"),
    ] {
        let job = server.submit_with(&json!({ "git_url": url })).await;
        let document = server.finished(&job).await;
        assert_eq!(document["group_url"], url, "as it was submitted");
        assert_eq!(document["completed_repositories"], json!([name]), "{url}");
    }
}

// Sizes, times and connections.

/// Breaks if a body may be of any size: the limit must hold while reading, with a declared length
/// and without one.
#[tokio::test]
async fn an_overlong_body_is_refused_while_it_is_read() {
    let server = Setup::new().start().await;
    let head = "POST /scan HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n";
    let stated = format!("{head}Content-Length: 10000000\r\n\r\n{{");
    let began = Instant::now();
    let answer = exchange(server.address(), stated.as_bytes(), PATIENCE).await.unwrap();
    raw_problem(&answer, 413);
    assert!(began.elapsed() < Duration::from_secs(5), "it waited: {:?}", began.elapsed());

    let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    for _ in 0..400 {
        chunked.push_str("1400\r\n");
        chunked.push_str(&"x".repeat(0x1400));
        chunked.push_str("\r\n");
    }
    let answer = exchange(server.address(), chunked.as_bytes(), PATIENCE).await.unwrap();
    raw_problem(&answer, 413);
    assert_eq!(folders_of_jobs(&server), 0);
}

/// Breaks if a client that sends its header or body byte by byte holds a connection for ever: a few
/// hundred of them would stop the service.
#[tokio::test]
async fn slow_clients_are_disconnected_and_delay_no_one() {
    let server = Setup::new().start().await;
    let address = server.address();
    let patience = Duration::from_secs(30);
    let silent = (0..20).map(|_| closed_after(address, b"", b"", patience));
    let header = (0..20).map(|_| {
        closed_after(
            address,
            b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
            b"x",
            patience,
        )
    });
    let body = (0..20).map(|_| {
        let opening = b"POST /scan HTTP/1.1\r\nHost: 127.0.0.1\r\n\
                        Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";
        closed_after(address, opening, b" ", patience)
    });
    let good = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..40 {
            let asked = Instant::now();
            server.get("/livez").await.expect(200);
            slowest = slowest.max(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        slowest
    };
    let (silent, header, body, slowest) =
        tokio::join!(join_all(silent), join_all(header), join_all(body), good);
    for (what, times, limit) in
        [("nothing", silent, 9), ("a slow header", header, 9), ("a slow body", body, 14)]
    {
        let limit = Duration::from_secs(limit);
        let late: Vec<_> =
            times.iter().filter(|time| time.is_none_or(|seconds| seconds > limit)).collect();
        assert!(late.is_empty(), "{what}: {} of 20 outlived {limit:?}: {late:?}", late.len());
    }
    assert!(slowest < Duration::from_secs(2), "a good client waited for {slowest:?}");
}

/// Breaks if connections are accepted without a limit, or if the limit is never freed.
#[tokio::test]
async fn connections_are_limited() {
    let server = Setup::new().shell(WAITING).set("server.max_connections", 8).start().await;
    let job = server.submit("widget").await;
    server.working(&job).await;
    let path = format!("/scan/{job}/events");
    let mut held = Vec::new();
    for _ in 0..20 {
        let joined = server.request(Method::GET, &path).send();
        match tokio::time::timeout(Duration::from_secs(2), joined).await {
            Ok(Ok(response)) if response.status() == 200 => held.push(response),
            _ => break,
        }
    }
    assert!((6..=8).contains(&held.len()), "{} streams on 8 connections", held.len());
    drop(held);
    eventually("there is room again", async || {
        let request = server.request(Method::GET, "/livez").timeout(Duration::from_secs(2));
        request.send().await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
}

/// Breaks if streams, which use memory for as long as they last, have no limit of their own.
#[tokio::test]
async fn streams_are_limited() {
    for limit in ["server.max_streams", "server.max_streams_per_user"] {
        check_cap_of_streams(limit).await;
    }
}

async fn check_cap_of_streams(limit: &str) {
    let server = Setup::new().shell(WAITING).set(limit, 3).start().await;
    let job = server.submit("widget").await;
    server.working(&job).await;
    let path = format!("/scan/{job}/events");
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(EventStream::open(&server, &path).await);
    }
    problem(&server.get(&path).await, 503);
    server.get("/health").await.expect(200);
    streams.pop();
    until(PATIENCE, "there is room again", async || {
        let answer = server.request(Method::GET, &path).send().await.ok()?;
        (answer.status() == 200).then_some(())
    })
    .await;
}

/// Breaks if a request that no parser should accept is answered like a good one, or stops the
/// server.
#[tokio::test]
async fn invalid_requests_do_no_harm() {
    let server = Setup::new().start().await;
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(10_000));
    for bytes in [
        b"\0\0\0\0\r\n\r\n".as_slice(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /scan HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /scan HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /scan HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        long.as_bytes(),
        many.as_bytes(),
    ] {
        let answer = exchange(server.address(), bytes, Duration::from_secs(15)).await;
        let fine = answer.as_ref().is_none_or(|answer| (400..600).contains(&answer.status));
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
        assert!(fine, "{shown:?}: {answer:?}");
        server.get("/livez").await.expect(200);
    }
}

// Health.

/// Breaks if operators and load balancers cannot tell a healthy server from a broken one.
#[tokio::test]
async fn health_and_probes_report_the_state_of_the_server() {
    let server = Setup::new().start().await;
    let health = server.get("/health").await.expect(200).json();
    let status = health["status"].as_str().unwrap();
    assert!(matches!(status, "healthy" | "degraded"), "{health:#}");
    let at = health["timestamp"].as_str().unwrap();
    assert!(chrono::DateTime::parse_from_rfc3339(at).is_ok(), "{health:#}");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"), "{health:#}");
    assert_eq!(health.get("user"), Some(&Value::Null), "open to all: {health:#}");
    for probe in ["/livez", "/readyz"] {
        server.get(probe).await.expect(200);
    }
}
