//! Runs every command of the README. Only three things differ: the program is the one under test
//! instead of a release build, the port is a free one, and the repository is on a forge on this
//! machine.

use crate::support::{
    documents::{run, shell, shell_lines},
    files,
    forge::Forge,
    server::Setup,
};
use serde_json::Value;
use std::{collections::BTreeSet, path::PathBuf};
use tempfile::TempDir;

const README: &str = include_str!("../../README.md");

fn commands() -> Vec<&'static str> {
    shell_lines(README)
}

/// The prefix with which the README starts the program.
const PROGRAM: &str = "cargo run --release -- ";

/// Whether a command uses the service or its files.
fn uses_the_service(line: &str) -> bool {
    let own =
        line.strip_prefix(PROGRAM).is_some_and(|command| command != "serve" && command != "scan .");
    own || ["curl", "JOB=", "jq"].iter().any(|start| line.starts_with(start))
}

fn only(start: &str) -> &'static str {
    let found: Vec<_> = commands().into_iter().filter(|line| line.starts_with(start)).collect();
    assert_eq!(found.len(), 1, "{start}: {found:?}");
    found[0]
}

/// Breaks if the first command of the README does not work on this project.
#[test]
fn the_first_readme_command_finds_this_projects_packages() {
    let home = TempDir::new().unwrap();
    let project = home.path().join("scanwatch");
    std::fs::create_dir(&project).unwrap();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    for file in ["Cargo.toml", "Cargo.lock"] {
        std::fs::copy(root.join(file), project.join(file)).unwrap();
    }
    let mut command = shell(home.path(), only("cargo run --release -- scan"));
    let out = run(command.current_dir(&project));
    let row = out.lines().find(|line| line.starts_with("notify ")).expect(&out);
    assert!(row.contains("cargo") && row.contains("runtime") && row.contains("yes"), "{row}");
    assert_eq!(out.lines().next(), Some("scanwatch"), "the name of the target: {out}");
}

/// Breaks if the commands of the README cannot use the service.
#[tokio::test]
async fn the_commands_of_the_readme_use_the_service() {
    // The README starts the server with the built-in defaults.
    assert_eq!(only("cargo run --release -- serve"), "cargo run --release -- serve");
    let forge = Forge::start();
    forge.add_repository("owner/app", &[("package.json", br#"{"dependencies": {"a": "1.0.0"}}"#)]);
    let setup = Setup::new();
    let origin = format!("http://127.0.0.1:{}", forge.port());
    let server =
        setup.set("forges", format!("[{{ kind = \"git\", url = \"{origin}\" }}]")).start().await;
    let home = TempDir::new().unwrap();
    std::fs::create_dir(home.path().join("tmp")).unwrap();
    std::os::unix::fs::symlink(server.setup().jobs(), home.path().join("tmp/scan_jobs")).unwrap();

    let lines: Vec<String> = commands()
        .into_iter()
        .filter(|line| uses_the_service(line))
        .map(|line| {
            line.replace("127.0.0.1:8000", &server.address().to_string())
                .replace("https://github.com/BurntSushi/ripgrep.git", &forge.url("owner/app"))
        })
        .collect();
    assert!(lines.len() >= 13, "{lines:?}");
    let mut job = String::new();
    for line in &lines {
        let prepared = |line: &str, job: &str| {
            let mut command = shell(home.path(), line);
            command.env("JOB", job).env("SCANNER_SERVER_URL", server.url(""));
            command.current_dir(home.path());
            command
        };
        let mut command = prepared(line, &job);
        if line.starts_with("JOB=") {
            job = run(&mut prepared(&format!("{line}; printf %s \"$JOB\""), ""));
            assert!(job.parse::<uuid::Uuid>().is_ok(), "{job}");
            continue;
        }
        let out = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
        if line.starts_with("curl -N") {
            assert!(out.contains("event: snapshot") && out.contains("event: end"), "{out}");
        } else if line.starts_with("jq") {
            assert_eq!(out.trim(), "\"completed\"");
        } else if let Some(arguments) = line.strip_prefix(PROGRAM) {
            let expected = match arguments.split(' ').next().unwrap() {
                "submit" => "-",
                "watch" | "packages" => "",
                "results" => "app,a,1.0.0,,npm,pkg:npm/a@1.0.0,",
                "health" => "healthy: scanwatch ",
                // An unchanged repository is not fetched again.
                "logs" => "scanning app",
                "sbom" => "\"bomFormat\"",
                _ => job.as_str(),
            };
            assert!(out.contains(expected), "{line}: {out}");
        } else {
            let answer: Value =
                serde_json::from_str(&out).unwrap_or_else(|_| panic!("{line}: {out}"));
            assert!(answer.get("detail").is_none(), "{line}: {answer:#}");
            if line.ends_with("packages") {
                assert_eq!(answer["packages"][0]["name"], "a", "{answer:#}");
            }
        }
    }
    // The last command has removed it.
    server.get(&format!("/scan/{job}")).await.expect(404);
}

/// Breaks if continuous integration runs other tests than the README names, or if no test runs a
/// command of the README.
#[test]
fn the_readmes_test_command_is_that_of_continuous_integration() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let line = only("bash ");
    let script = line.strip_prefix("bash ").unwrap();
    assert!(root.join(script).is_file(), "{script}");
    let ci = files::text(&root.join(".ci/run"));
    assert!(ci.contains(&format!("../{script}")), "{ci}");
    let known = ["cargo run --release -- scan .", "cargo run --release -- serve", line];
    let unknown: BTreeSet<_> = commands()
        .into_iter()
        .filter(|line| !known.contains(line))
        .filter(|line| !uses_the_service(line))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// Breaks if a link of the README leads to a missing file.
#[test]
fn the_links_of_the_readme_exist() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    for target in README.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(target.contains("://") || root.join(target).exists(), "{target}");
    }
}
