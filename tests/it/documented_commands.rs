//! The command lines of the documents that no other test runs: those of an installation, which are
//! run in a private copy of the machine's folders, and those for developers, whose tests, benches
//! and variables have to exist. Every line of a block with commands is known to some test.

use crate::{
    justfile::code,
    support::{
        documents::shell_lines,
        files,
        forge::program,
        namespace::{MOUNTS, entered, run},
        python::succeed,
    },
};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// The documents, and the test that runs the lines of their `sh` blocks.
const DOCUMENTS: &[(&str, &str)] = &[
    ("README.md", "readme"),
    ("CONTRIBUTING.md", "justfile"),
    ("docs/adding-a-format.md", "here"),
    ("docs/architecture.md", "here"),
    ("docs/isolation.md", "here"),
    ("docs/operations.md", "here"),
    ("docs/performance.md", "here"),
    ("docs/protocol.md", "here"),
    ("docs/reliability.md", "here"),
    ("docs/troubleshooting.md", "troubleshooting"),
    ("fuzz/README.md", "here"),
];

/// Programs that change the whole machine, or build for minutes. In their place a script notes
/// what it was called with.
const REPLACED: [&str; 5] = ["apt", "cargo", "docker", "rustup", "systemctl"];

/// A server that scans one repository, which fails, and reloads its settings; its log goes to the
/// first argument.
const SERVER: &str = r#"
cd "$(mktemp -d)"
"$0" serve --set server.listen=127.0.0.1:0 --set 'scanner.command=["/bin/false"]' 2> "$1" &
until grep -q 'listens on' "$1"; do sleep 0.05; done
export SCANNER_SERVER_URL=$(sed -n 's/.*listens on //p' "$1")
"$0" submit --wait https://github.com/owner/name.git || true
kill -HUP $!
until grep -q 'settings reloaded\|re-read' "$1"; do sleep 0.05; done
kill $!
wait
"#;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(document: &str) -> &'static str {
    files::text(&root().join(document)).leak()
}

/// The commands of the blocks with prompts: `$` of a user, `#` of root.
fn console_lines(document: &str) -> impl Iterator<Item = &str> {
    let blocks = document.split("```console\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    lines.filter_map(|line| line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")))
}

/// Breaks if a command of an installation does not work, or refers to a file, a unit or a package
/// that does not exist.
#[test]
fn the_commands_of_an_installation_work() {
    let is_root = rustix::process::geteuid().is_root();
    // A user who is mapped to root has no other users to give files to.
    let flags = if is_root { &["--mount"] } else { MOUNTS };
    if !entered("documented_commands::the_commands_of_an_installation_work", flags) {
        return;
    }
    let operations = read("docs/operations.md");
    let place = TempDir::new().unwrap();
    // What is written to these folders is written to the test's own.
    run("mount", &["-t", "tmpfs", "tmpfs", &place.path().display().to_string()]);
    for folder in ["/etc", "/usr/local"] {
        let (upper, work) = (place.path().join("upper"), place.path().join("work"));
        let name = folder.replace('/', "-");
        let (upper, work) = (upper.join(&name), work.join(&name));
        fs::create_dir_all(&upper).unwrap();
        fs::create_dir_all(&work).unwrap();
        let options =
            format!("lowerdir={folder},upperdir={},workdir={}", upper.display(), work.display());
        run("mount", &["-t", "overlay", "overlay", "-o", &options, folder]);
    }
    // A copy of the repository after a build.
    let copy = place.path().join("scanwatch");
    fs::create_dir_all(copy.join("target/dist")).unwrap();
    for file in ["CHANGELOG.md", "LICENSE-MIT", "packaging"] {
        let from = root().join(file).display().to_string();
        run("cp", &["-r", &from, &copy.display().to_string()]);
    }
    symlink(env!("CARGO_BIN_EXE_scanwatch"), copy.join("target/dist/scanwatch")).unwrap();
    fs::create_dir_all("/etc/prometheus").unwrap();
    let bin = place.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let calls = place.path().join("calls");
    for name in REPLACED {
        let path = bin.join(name);
        files::write(&path, format!("#!/bin/sh\necho {name} \"$@\" >> {}\n", calls.display()));
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    // The journal is the log of a server.
    let log = place.path().join("log");
    let server = ["-e", "-c", SERVER, env!("CARGO_BIN_EXE_scanwatch")];
    let job = succeed(program("bash").args(server).arg(&log)).stdout;
    let job = String::from_utf8(job).unwrap();
    let journal = bin.join("journalctl");
    files::write(&journal, format!("#!/bin/sh\ncat {}\n", log.display()));
    fs::set_permissions(&journal, PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}:/usr/sbin:/sbin", bin.display(), std::env::var("PATH").unwrap());
    let mut lines = 0;
    for line in console_lines(operations) {
        // The beginning of a job's id.
        let line = line.replace("019a2b7c", &job[..8]);
        let mut command = program("bash");
        command.args(["-e", "-o", "pipefail", "-c", &line]).current_dir(&copy);
        command.env("PATH", &path).env("DPKG_DEB_COMPRESSOR_TYPE", "none");
        succeed(&mut command);
        lines += 1;
    }
    assert!(lines >= 15, "{lines}");

    let installed = files::text(Path::new("/etc/systemd/system/scanwatch.service"));
    let start = installed.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let words: Vec<_> = start.split(' ').collect();
    succeed(program(words[0]).args(["config", "check", "--config", words.last().unwrap()]));
    assert!(files::text(Path::new("/etc/passwd")).contains("scanwatch:x:"));
    let secrets = fs::metadata("/etc/scanwatch/scanwatch.env").unwrap();
    assert_eq!(secrets.permissions().mode() & 0o777, 0o600);
    assert!(files::text(Path::new("/etc/scanwatch/tokens")).starts_with("prometheus read "));
    assert!(Path::new("/etc/prometheus/scanwatch-alerts.yaml").is_file());
    if is_root {
        let hook = place.path().join("hook");
        files::write(&hook, shell_lines(operations).join("\n"));
        fs::create_dir("/etc/scanwatch/tls").unwrap();
        for name in ["privkey.pem", "fullchain.pem"] {
            files::write(&place.path().join(name), name);
        }
        succeed(program("sh").arg(hook).env("RENEWED_LINEAGE", place.path()));
        let key = fs::metadata("/etc/scanwatch/tls/privkey.pem").unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o400);
    }
    for call in files::text(&calls).lines() {
        let words: Vec<_> = call.split(' ').collect();
        match words[..] {
            ["apt", "install", package] => assert!(copy.join(package).is_file(), "{call}"),
            ["systemctl", ref words @ ..] => {
                let unit = words.last().unwrap();
                assert!(["daemon-reload", "scanwatch"].contains(unit), "{call}");
            }
            ["docker", "compose", ..] | ["rustup", "target", "add", _] => {}
            ["cargo", "build", ref flags @ ..] => {
                let known = [
                    "--profile",
                    "dist",
                    "--locked",
                    "--all-features",
                    "--target",
                    "x86_64-unknown-linux-musl",
                ];
                assert!(flags.iter().all(|flag| known.contains(flag)), "{call}");
            }
            _ => panic!("nothing is known about {call}"),
        }
    }
}

/// Breaks if the scanner of five lines in docs/protocol.md does not work, in `scan` and by itself.
#[test]
fn the_scanner_of_five_lines_works() {
    let document = read("docs/protocol.md");
    let lines = shell_lines(document);
    assert_eq!(lines.len(), 5, "{lines:#?}");
    let home = TempDir::new().unwrap();
    let script = home.path().join("scanner");
    files::write(&script, lines.join("\n") + "\n");
    fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let mut alone = program(&script);
    alone.current_dir(home.path());
    alone.env("SCANWATCH_STATUS_FILE", home.path().join("status.json"));
    alone.env("SCANWATCH_RESULT_FILE", home.path().join("result.json"));
    succeed(&mut alone);
    assert_eq!(files::json(&home.path().join("status.json")).unwrap()["status"], "completed");
    assert_eq!(files::json(&home.path().join("result.json")).unwrap()["schema"], 1);
}

/// Breaks if the self-test in docs/isolation.md is no command.
#[test]
fn the_self_test_of_the_sandbox_is_a_command() {
    for line in shell_lines(read("docs/isolation.md")) {
        let words: Vec<_> = line.split(' ').collect();
        assert_eq!(words[0], "scanwatch", "no test runs {line}");
        let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
        // On a kernel without Landlock the exit code is 1.
        let output = command.args(&words[1..]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.code() <= Some(1) && said.contains("refused"), "{said}");
    }
}

/// The commands for developers in a document: in blocks, and within the text.
fn developer_lines(document: &'static str) -> Vec<&'static str> {
    let inline = document.split('`').skip(1).step_by(2).filter(|code| !code.contains('\n'));
    let is_cargo = |line: &&str| {
        let command = line.split(' ').find(|word| !is_variable(word));
        command == Some("cargo") && line.split(' ').count() > 1
    };
    shell_lines(document).into_iter().chain(inline).filter(is_cargo).collect()
}

fn is_variable(word: &str) -> bool {
    word.split_once('=')
        .is_some_and(|(name, _)| name.chars().all(|c| c == '_' || c.is_ascii_uppercase()))
}

/// Breaks if a document has a developer run a test, a bench, a fuzzer or a variable that does not
/// exist.
#[test]
fn commands_for_developers_name_existing_things() {
    let code = code("src") + &code("tests/it") + &code("benches");
    let targets =
        files::text(&root().join("Cargo.toml")) + &files::text(&root().join("fuzz/Cargo.toml"));
    let mut seen = BTreeSet::new();
    for (document, _) in DOCUMENTS.iter().filter(|(_, by)| *by == "here") {
        for line in developer_lines(read(document)) {
            let line = line.split(" #").next().unwrap().trim_end();
            let words: Vec<_> = line.split(' ').collect();
            for variable in words.iter().take_while(|word| is_variable(word)) {
                let name = variable.split('=').next().unwrap();
                // proptest reads its own.
                let is_read =
                    code.contains(&format!("\"{name}\"")) || name.starts_with("PROPTEST_");
                assert!(is_read, "{document}: nothing reads {name}: {line}");
            }
            let command: Vec<_> = words.into_iter().skip_while(|word| is_variable(word)).collect();
            seen.insert(command[1]);
            // Words after these flags are no tests.
            let valued =
                ["--bench", "--test", "--profile", "--target", "--path", "--format", "--sanitizer"];
            let mut arguments = command[2..].iter();
            while let Some(word) = arguments.next() {
                if valued.contains(word) {
                    let value = arguments.next().unwrap();
                    let is_target = ["--bench", "--test"].contains(word) && *value != "…";
                    let named = targets.contains(&format!("name = \"{value}\""));
                    assert!(!is_target || named, "{document}: no {value}: {line}");
                } else if *word == "--" || word.starts_with("'test(") {
                    break;
                } else if ["test", "nextest"].contains(&command[1])
                    && !word.starts_with('-')
                    && *word != "run"
                {
                    for part in word.split("::").filter(|part| !part.is_empty()) {
                        assert!(code.contains(part), "{document}: no test {word}: {line}");
                    }
                } else if command[1] == "fuzz"
                    && !word.starts_with('-')
                    && !["run", "tmin"].contains(word)
                {
                    let named = targets.contains(&format!("name = \"{word}\""));
                    assert!(named, "{document}: no fuzzer {word}: {line}");
                }
            }
        }
    }
    for command in ["bench", "build", "fuzz", "install", "nextest", "test"] {
        assert!(seen.contains(command), "no document has `cargo {command}`: {seen:?}");
    }
}

/// Breaks if a document with commands is not known to any test, or has a block of commands of a
/// kind that no test runs.
#[test]
fn every_document_with_commands_is_tested() {
    let folders =
        [("docs", "docs/"), ("docs/decisions", "docs/decisions/"), (".", ""), ("fuzz", "fuzz/")];
    for (folder, prefix) in folders {
        for entry in fs::read_dir(root().join(folder)).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if !name.ends_with(".md") {
                continue;
            }
            let document = format!("{prefix}{name}");
            let text = read(&document);
            let fences = text.lines().filter_map(|line| line.strip_prefix("```"));
            let kinds: BTreeSet<_> = fences.step_by(2).collect();
            let known = DOCUMENTS.iter().find(|(path, _)| *path == document);
            for kind in &kinds {
                match *kind {
                    "sh" => assert!(known.is_some(), "no test runs the commands of {document}"),
                    "console" => {
                        // Agents need a NATS and systemd: tests/it/packaging.rs checks their unit.
                        let run = ["docs/first-hour.md", "docs/operations.md", "docs/scaling.md"];
                        assert!(run.contains(&document.as_str()), "no test runs {document}");
                    }
                    "" | "json" | "rust" | "toml" | "yaml" | "env" | "nginx" | "caddyfile"
                    | "haproxy" | "apache" => {}
                    _ => panic!("{document}: what is a block of {kind}?"),
                }
            }
            let others = ["docs/isolation.md", "docs/operations.md", "docs/protocol.md"];
            if known.is_some_and(|(_, by)| *by == "here") && !others.contains(&document.as_str()) {
                let cargo = developer_lines(text);
                let rest = shell_lines(text).into_iter().filter(|line| !cargo.contains(line));
                let rest: Vec<_> = rest.filter(|line| !line.starts_with('#')).collect();
                assert!(rest.is_empty(), "{document}: no test runs {rest:?}");
            }
        }
    }
}
