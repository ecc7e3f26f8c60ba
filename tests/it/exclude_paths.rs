//! Paths that are not read: by the command line, by the settings, by a submission.

use crate::support::{
    files,
    forge::{Forge, program},
    python::succeed,
    server::Setup,
};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

const FILES: &[(&str, &[u8])] = &[
    ("package.json", br#"{"dependencies": {"a": "1.0.0"}}"#),
    ("testdata/one/package.json", br#"{"dependencies": {"b": "1.0.0"}}"#),
    ("testdata/one/readme.md", b""),
    ("web/testdata/package.json", br#"{"dependencies": {"c": "1.0.0"}}"#),
    ("docs/package.json", br#"{"dependencies": {"d": "1.0.0"}}"#),
    ("docs/site/package.json", br#"{"dependencies": {"e": "1.0.0"}}"#),
    ("examples/Dockerfile", b"FROM debian:12\n"),
];

fn names(result: &Value) -> Vec<&str> {
    let packages = result["packages"].as_array().unwrap();
    packages.iter().map(|package| package["name"].as_str().unwrap()).collect()
}

fn scan(home: &Path, arguments: &[&str]) -> Value {
    let mut scan = program(env!("CARGO_BIN_EXE_scanwatch"));
    scan.arg("scan").args(arguments).env("TMPDIR", home).current_dir(home);
    serde_json::from_slice(&succeed(&mut scan).stdout).unwrap()
}

/// Breaks if an excluded file is read, is not counted, or if the documents do not say that they are
/// incomplete.
#[test]
fn excluded_paths_are_counted_and_make_a_bill_of_materials_incomplete() {
    let home = TempDir::new().unwrap();
    for (path, bytes) in FILES {
        let path = home.path().join("project").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        files::write(&path, bytes);
    }
    let whole = scan(home.path(), &["project", "--format", "json"]);
    assert_eq!(names(&whole), ["a", "b", "c", "d", "debian", "e"]);
    assert_eq!(whole["infrastructure_usage"]["docker"], true);
    assert!(whole["files"]["excluded"].is_null() && whole["exclude_paths"].is_null());

    let exclude = ["--exclude-path", "testdata/", "--exclude-path", "docs/*.json"];
    let setting = ["--set", "scanner.exclude_paths=examples"];
    let arguments = |format| [&["project", "--format", format][..], &exclude, &setting].concat();
    let part = scan(home.path(), &arguments("json"));
    assert_eq!(names(&part), ["a", "e"]);
    assert_eq!(part["exclude_paths"], json!(["examples", "testdata/", "docs/*.json"]));
    // The readme would not have been read anyway.
    let files = json!({ "seen": 7, "parsed": 2, "failed": 0, "skipped": 4, "excluded": 4 });
    assert_eq!(part["files"], files);
    assert_eq!(part["infrastructure_usage"]["docker"], false);
    let bom = scan(home.path(), &arguments("cyclonedx"));
    let incomplete = json!([{ "aggregate": "incomplete", "assemblies": ["repository:project"] }]);
    assert_eq!(bom["compositions"], incomplete);
    let bom = scan(home.path(), &arguments("spdx"));
    let comment = bom["packages"][0]["comment"].as_str().unwrap();
    assert!(comment.starts_with("incomplete: 4 files were excluded"), "{comment}");
}

/// Breaks if the patterns of a submission or of the settings are ignored by the built-in scanner, or do
/// not reach another one.
#[tokio::test]
async fn a_submission_excludes_paths_in_addition_to_the_settings() {
    let forge = Forge::start();
    forge.add_repository("acme/app", FILES);
    let forges = format!("[{{ kind = \"git\", url = \"{}\" }}]", forge.base());
    let setup = || Setup::new().set("forges", &forges).set("scanner.exclude_paths", "[\"docs\"]");
    let body = json!({ "git_url": forge.url("acme/app"), "exclude_paths": ["**/testdata"] });
    let server = setup().start().await;
    let job = server.submit_with(&body).await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    let result = files::json(&server.job_folder(&job).join("results/repo_0.json")).unwrap();
    assert_eq!(names(&result), ["a", "debian"]);
    assert_eq!(result["files"]["excluded"], 4);
    let bom = server.get(&format!("/scan/{job}/sbom")).await.expect(200).json();
    assert_eq!(bom["compositions"][0]["aggregate"], "incomplete", "{bom:#}");
    for wrong in [json!([""]), json!(["/a"]), json!("a"), json!(vec!["a"; 101])] {
        let body = json!({ "git_url": forge.url("acme/app"), "exclude_paths": wrong });
        let answer = server.post("/scan", &body).await.expect(422).json();
        assert_eq!(answer["detail"][0]["loc"], json!(["body", "exclude_paths"]), "{answer:#}");
    }

    let scanner =
        "printf '%s\\n' \"$task\" > \"$dir/part\" && mv \"$dir/part\" \"$dir/task\"; say completed";
    let server = setup().shell(scanner).start().await;
    server.finished(&server.submit_with(&body).await).await;
    let task: Value = serde_json::from_str(&server.note("task").await).unwrap();
    assert_eq!(task["exclude_paths"], json!(["docs", "**/testdata"]));
}

/// Breaks if an invalid pattern is accepted at the start.
#[tokio::test]
async fn an_invalid_pattern_in_the_settings_is_refused() {
    let ended = Setup::new().set("scanner.exclude_paths", "[\"/docs\"]").run_to_end().await;
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    assert!(ended.output.contains("`scanner.exclude_paths`: `/docs` starts"), "{}", ended.output);
}
