//! A client that openapi-python-client generates from the OpenAPI document: it submits a repository,
//! follows it, and reads its results, with the types of the document.

use crate::support::{
    files,
    python::{python, succeed},
    server::Setup,
};

const SCANNER: &str = r#"
say scanning '"total_files": 2, "current_file": 1, "stage_progress": {"any": "value"}'
printf '{"packages": [{"name": "a", "version": "1", "ecosystem": "npm", "purl": "pkg:npm/a@1", "file": "f", "direct": true, "scope": null, "source": "lockfile"}]}' \
    > r.part && mv r.part "$SCANWATCH_RESULT_FILE"
say completed
"#;

/// What a user of the generated client writes.
const PROGRAM: &str = r#"
import sys, time
from generated.client import AuthenticatedClient
from generated.models import *
from generated.api.scans import submit_scan, get_scan
from generated.api.jobs import find_packages, get_job, get_results, list_jobs
import base64
token = base64.b64encode(b"operator:s3cret").decode()
client = AuthenticatedClient(base_url=sys.argv[1], token=token, prefix="Basic", raise_on_unexpected_status=True)
job = submit_scan.sync(client=client, body=ScanSubmission(git_url="https://github.com/acme/widget.git", exclude=["x"])).job_id
deadline = time.monotonic() + 60
while True:
    progress = get_scan.sync(client=client, id=job)
    assert isinstance(progress, Progress), progress
    if progress.completed_at:
        break
    assert time.monotonic() < deadline, progress
    time.sleep(0.05)
assert progress.status == "completed", progress
assert progress.repositories[0].repo_name == "widget", progress
row = get_job.sync(client=client, id=job)
assert (row.status, row.progress) == ("completed", 100) and type(row.progress) is int, row
results = get_results.sync(client=client, id=job)
assert results.packages_total == 1 and results.infrastructure_usage["devpods"] is False, results
found = find_packages.sync(client=client, id=job, name="a")
assert (found.total, found.packages[0].purl) == (1, "pkg:npm/a@1"), found
assert list_jobs.sync(client=client).total == 1
refused = submit_scan.sync(client=client, body=ScanSubmission(git_url="https://evil.example/a.git"))
assert isinstance(refused, Problem) and "Domain not allowed" in refused.detail, refused
print("done")
"#;

/// Breaks if no client can be generated from the document, or if an answer does not have the type
/// that the document gives it.
#[tokio::test]
async fn a_generated_client_submits_follows_and_reads() {
    let server = Setup::new().user("operator", "s3cret").shell(SCANNER).start().await;
    let document = server.get("/openapi.json").await.expect(200).text;
    files::write(&server.file("openapi.json"), document);
    // Without formatters, which would have to be installed.
    files::write(&server.file("config.yaml"), "post_hooks: []\n");
    let mut generate = python();
    generate
        .args(["-m", "openapi_python_client", "generate", "--path", "openapi.json"])
        .args(["--output-path", "generated", "--config", "config.yaml", "--meta", "none"])
        .current_dir(server.folder());
    let said = succeed(&mut generate);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(!said.contains("WARNING") && !said.contains("Unable"), "{said}");
    let mut run = python();
    run.args(["-c", PROGRAM, &server.url("")]).current_dir(server.folder());
    let done = tokio::task::spawn_blocking(move || succeed(&mut run)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout), "done\n");
}
