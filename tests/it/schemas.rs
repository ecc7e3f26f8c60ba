//! The files of a job match `scanwatch schema`, whatever program wrote them.

use crate::support::{
    files,
    forge::program,
    python::{run_script, succeed},
    server::Setup,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::Path};
use tempfile::TempDir;

/// Validates files against schemas: one line for each that does not match, or has an undocumented
/// member.
const JUDGE: &str = r#"
import json, sys
from jsonschema import Draft202012Validator
schemas, found = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:])
for file in found:
    schema, name = schemas[file["schema"]], file["path"]
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    for error in validator.iter_errors(file["content"]):
        print(name, error.json_path, error.message)
    for member in file["content"].keys() - schema["properties"].keys():
        print(name, "has a member that is not described:", member)
"#;

/// The schema for a file, by its name.
fn schema_of(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    let folder = path.parent()?.file_name()?.to_str()?;
    Some(match (folder, name) {
        (_, "master.json") => "master",
        (_, "repositories.json") => "plan",
        ("results", _) => "result",
        (_, name) if name.ends_with(".attempt.json") => "attempt",
        ("locks", name) if name.ends_with(".order.json") => "order",
        (_, name) if name.starts_with("repo_") && name.ends_with(".json") => "repository",
        _ => return None,
    })
}

fn judge(folders: &[&Path], expected: &[&str]) {
    let home = TempDir::new().unwrap();
    let mut found: Vec<Value> = Vec::new();
    let paths = folders.iter().flat_map(|folder| files::below(folder));
    for path in paths.filter(|path| path.is_file()) {
        if let Some(schema) = schema_of(&path) {
            let content = files::json(&path).unwrap();
            found.push(json!({ "path": path, "schema": schema, "content": content }));
        }
    }
    let kinds: BTreeSet<_> = found.iter().filter_map(|row| row["schema"].as_str()).collect();
    assert_eq!(kinds, expected.iter().copied().collect(), "of each kind there is a file");
    let printed = succeed(program(env!("CARGO_BIN_EXE_scanwatch")).arg("schema"));
    let (schemas, list) = (home.path().join("schemas.json"), home.path().join("files.json"));
    files::write(&schemas, printed.stdout);
    files::write(&list, json!(found).to_string());
    assert_eq!(run_script(JUDGE, &[&schemas, &list]), "");
}

/// Breaks if what the server, a shim or a cancel writes does not match its schema.
#[tokio::test]
async fn the_files_of_a_server_match_their_schemas() {
    let scanner = r#"
        printf '%s\n' "$task" > "$dir/task.part" && mv "$dir/task.part" "$dir/task"
        [ "$SCANWATCH_REPO_NAME" = bad ] && { echo wrong >&2; exit 3; }
        say scanning; exec sleep 600"#;
    let server = Setup::new().shell(scanner).start().await;
    let bad = server.submit("bad").await;
    server.finished(&bad).await;
    let slow = server.submit("slow").await;
    server.working(&slow).await;
    let jobs = server.setup().jobs();
    judge(&[&jobs], &["master", "plan", "repository", "attempt"]);
    server.post_nothing(&format!("/scan/{slow}/cancel")).await.expect(200);
    server.finished(&slow).await;
    judge(&[&jobs], &["master", "plan", "repository", "attempt", "order"]);

    let task: Value = serde_json::from_str(&server.note("task").await).unwrap();
    let printed = succeed(program(env!("CARGO_BIN_EXE_scanwatch")).args(["schema", "task"]));
    let schema: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let mut described = names(&schema["properties"]);
    // Only if there is a stored result.
    assert!(described.remove("known"));
    assert_eq!(names(&task), described);
}

/// Breaks if what the built-in scanner writes does not match its schema.
#[test]
fn the_files_of_the_built_in_scanner_match_their_schemas() {
    let home = TempDir::new().unwrap();
    let project = home.path().join("project");
    std::fs::create_dir_all(&project).unwrap();
    files::write(&project.join("requirements.txt"), "requests==2.31.0\nflask>=2\n-e nonsense\n");
    let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
    command.args(["scan", "project", "--keep"]).current_dir(home.path());
    succeed(command.env("TMPDIR", home.path()));
    judge(&[home.path()], &["master", "plan", "repository", "result", "attempt"]);
}
