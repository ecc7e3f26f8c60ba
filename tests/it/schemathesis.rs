//! Schemathesis against the real server: requests generated from the OpenAPI document, valid and
//! invalid, and what must hold for every answer. `SCANWATCH_ROUNDS` sets the number of examples.

use crate::support::{
    files,
    python::{python, succeed},
    rounds::rounds,
    server::{Setup, TestServer},
};
use std::process::Command;

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_schema_conformance,response_headers_conformance,unsupported_method,\
    allow_header_conformance";

const SCANNER: &str = r#"
printf '{"schema": 1, "packages": []}' > r.part && mv r.part "$SCANWATCH_RESULT_FILE"
echo "a line"
say completed
"#;

/// A run with a fixed seed, so that it finds the same each time, against all routes except the
/// streams, which are tested elsewhere and end when they like.
fn run(server: &TestServer, settings: &str) -> Command {
    let path = server.file("schemathesis.toml");
    files::write(&path, settings);
    let mut command = python();
    command
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(&path)
        .args(["run", &server.url("/openapi.json"), "--auth", "operator:s3cret"])
        .args(["--exclude-operation-id-regex", "^stream", "--checks", CHECKS])
        .args(["--seed", "1", "--max-examples", &rounds(5).to_string(), "--no-shrink"])
        .args(["--request-timeout", "20", "--suppress-health-check", "all", "--no-color"])
        // It stores its findings in the folder it runs in.
        .current_dir(server.folder());
    command
}

fn tried(command: &mut Command) {
    let said = succeed(command).stdout;
    let said = String::from_utf8_lossy(&said);
    let tried = said.lines().find_map(|line| line.trim().split_once(" generated, "));
    let tried = tried.and_then(|(count, _)| count.parse::<u32>().ok());
    assert!(tried.is_some_and(|count| count > 200), "hardly anything was tried: {said}");
}

/// Breaks if a request that the document allows, or a similar invalid one, is answered with a 5xx,
/// or contrary to the document.
#[tokio::test]
async fn generated_requests_are_answered_as_documented() {
    let server = Setup::new().user("operator", "s3cret").shell(SCANNER).start().await;
    let mut command = run(&server, "");
    tokio::task::spawn_blocking(move || tried(&mut command)).await.unwrap();
}

/// Breaks likewise, where ids are those of an existing job.
#[tokio::test]
async fn requests_for_a_real_job_are_answered_as_documented() {
    let server = Setup::new().user("operator", "s3cret").shell(SCANNER).start().await;
    let job = server.submit("real").await;
    server.finished(&job).await;
    let mut command = run(&server, &format!("[parameters]\nid = \"{job}\"\nn = 0\n"));
    command.args(["--exclude-method", "DELETE", "--phases", "examples,coverage,fuzzing"]);
    tokio::task::spawn_blocking(move || tried(&mut command)).await.unwrap();
}
