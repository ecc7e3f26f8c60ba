//! docs/first-hour.md, run as a new user would type it: each command in its order, with one shell's
//! variables, and its output compared with what the document shows. The address of the server, and
//! the repositories, are the test's own.

use crate::support::{
    debian::Packages,
    documents::shell,
    files,
    forge::{Behaviour, Forge},
    server::Setup,
};
use std::path::Path;
use tempfile::TempDir;
use tokio::task::spawn_blocking;

/// A command of the document, and the output that it shows.
#[derive(Debug)]
struct Step {
    command: &'static str,
    shown: Vec<&'static str>,
}

/// The steps of the blocks with prompts.
fn steps() -> Vec<Step> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document: &str = files::text(&root.join("docs/first-hour.md")).leak();
    let blocks = document.split("```console\n").skip(1);
    let mut steps: Vec<Step> = Vec::new();
    for line in blocks.flat_map(|block| block.split("```").next().unwrap().lines()) {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push(Step { command, shown: Vec::new() }),
            None => steps.last_mut().expect("a command comes first").shown.push(line),
        }
    }
    steps
}

/// Whether a line is as shown, where `…` stands for any text, and spaces for any number of them.
fn is_like(line: &str, shown: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (line, shown) = (words(line), words(shown));
    let mut parts = shown.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap().trim()) else { return false };
    let mut is_open = false;
    for part in parts {
        is_open = true;
        let part = part.trim();
        match rest.rfind(part) {
            Some(found) => rest = &rest[found + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || (is_open && shown.ends_with('…'))
}

/// Fails unless the lines that are shown are there, in their order. A line `…` stands for others.
fn compare(step: &Step, output: &str) {
    let mut lines = output.lines();
    let mut may_skip = false;
    for shown in &step.shown {
        if *shown == "…" {
            may_skip = true;
            continue;
        }
        let found = loop {
            let Some(line) = lines.next() else { break false };
            if is_like(line, shown) {
                break true;
            }
            if !may_skip {
                break false;
            }
        };
        assert!(found, "$ {}\nnot as shown: {shown}\n{output}", step.command);
        may_skip = false;
    }
    assert!(may_skip || lines.next().is_none(), "$ {}\nmore than shown:\n{output}", step.command);
}

/// Runs a command in the shell of the session; both of its outputs.
fn run(home: &Path, line: &str, server: &str) -> String {
    let variables = home.join("variables");
    let keep = "status=$?; declare -p JOB GROUP 2>/dev/null > variables; exit $status";
    let known = files::text(&variables);
    let mut command = shell(home, "exec bash -c \"$SESSION\" 2>&1");
    command.env("SESSION", format!("{known}\n{line}\n{keep}"));
    command.env("SCANNER_SERVER_URL", server).current_dir(home);
    let done = command.output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "$ {line}\n{text}");
    text
}

/// Runs a command that draws on a terminal of its own, where it has to succeed too.
fn run_on_a_terminal(home: &Path, line: &str, server: &str) {
    let known = files::text(&home.join("variables"));
    let mut command = shell(home, "exec script --quiet --return --command \"$SESSION\" /dev/null");
    command.env("SESSION", format!("{known}\n{line}")).env("SHELL", "/bin/bash");
    command.env("SCANNER_SERVER_URL", server).env("TERM", "xterm").current_dir(home);
    let done = command.output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "$ {line}\n{text}");
    // A terminal begins a line with a carriage return. A short scan draws nothing.
    assert!(text.is_empty() || text.contains("\r\n"), "not on a terminal: {text}");
}

/// Breaks if a new user's first hour goes differently than the document shows.
#[tokio::test]
async fn the_first_hour_goes_as_documented() {
    let forge = Forge::start();
    let flask: &[(&str, &[u8])] = &[("requirements.txt", b"flask==3.0.3\n")];
    forge.add_repository("owner/app", flask);
    forge.group(&["acme/web", "acme/api", "acme/archive-2019"]);
    forge.listing().add("acme/broken");
    forge.behave_at("acme/broken", Behaviour::Status(500));
    let setup = Setup::new()
        .set("forges", format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base()));
    let mut server = setup.start().await;
    let home = TempDir::new().unwrap();
    std::fs::create_dir(home.path().join("tmp")).unwrap();
    std::os::unix::fs::symlink(server.setup().jobs(), home.path().join("tmp/scan_jobs")).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["Cargo.toml", "Cargo.lock"] {
        std::fs::copy(root.join(file), home.path().join(file)).unwrap();
    }
    std::os::unix::fs::symlink(root.join("packaging"), home.path().join("packaging")).unwrap();
    let promtool = Packages::unpacked(&["prometheus"]);

    let steps = steps();
    assert!(steps.len() >= 15, "{steps:#?}");
    for step in steps {
        match step.command {
            "cargo install --path . --locked --all-features" => continue,
            "scanwatch serve" => {
                let log =
                    server.setup().log().replace(&server.address().to_string(), "127.0.0.1:8000");
                compare(&step, &log);
                continue;
            }
            "kill %1" => {
                assert_eq!(server.terminate().await, Some(0));
                continue;
            }
            _ => {}
        }
        if step.command.starts_with("promtool") && promtool.is_none() {
            continue;
        }
        let line = step
            .command
            .replace("http://127.0.0.1:8000", &server.url(""))
            .replace("https://github.com/BurntSushi/ripgrep.git", &forge.url("owner/app"))
            .replace("https://gitlab.com/acme", &format!("{}/acme", forge.base()));
        let (folder, url) = (home.path().to_owned(), server.url(""));
        let output = match &promtool {
            Some(packages) if line.starts_with("promtool") => {
                let mut promtool = packages.command("usr/bin/promtool");
                promtool.args(line.split(' ').skip(1)).current_dir(&folder);
                let done = promtool.output().unwrap();
                assert!(done.status.success(), "{done:?}");
                String::from_utf8(done.stdout).unwrap()
            }
            _ => {
                let both = move || {
                    let output = run(&folder, &line, &url);
                    if line.contains("scanwatch scan ") || line.contains("scanwatch watch ") {
                        run_on_a_terminal(&folder, &line, &url);
                    }
                    output
                };
                spawn_blocking(both).await.unwrap()
            }
        };
        compare(&step, &output.replace(&server.url(""), "http://127.0.0.1:8000"));
    }
}
