//! The deployment files (systemd unit, Dockerfile, compose.yaml) and their documents: everything
//! that they name has to exist.

use crate::support::{files, forge::program, server::Setup};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const DEFAULTS: &str = include_str!("../../config/default.toml");

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    let text = files::text(&root().join(path));
    assert!(!text.is_empty(), "there is no {path}");
    text
}

/// The values of a key in the unit.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

pub(crate) fn scanwatch(arguments: &[&str], environment: &[(String, String)]) -> Output {
    let environment = environment.iter().map(|(name, value)| (name, value));
    program(env!("CARGO_BIN_EXE_scanwatch")).args(arguments).envs(environment).output().unwrap()
}

/// Fails unless the words are an existing command and its flags.
pub(crate) fn is_a_command_line(words: &[&str]) {
    // They exist in packages, which are built with the features.
    let is_absent = match words[0] {
        "top" => !cfg!(feature = "top"),
        "archive" => !cfg!(feature = "archive"),
        "agent" => !cfg!(feature = "nats"),
        _ => false,
    };
    if is_absent {
        return;
    }
    let of_command = words.iter().take_while(|word| !word.starts_with("--")).copied();
    let help = scanwatch(&of_command.chain(["--help"]).collect::<Vec<_>>(), &[]);
    assert!(help.status.success(), "there is no command `{}`", words.join(" "));
    let help = String::from_utf8(help.stdout).unwrap();
    for flag in words.iter().filter(|word| word.starts_with("--")) {
        let is_known = help.split_ascii_whitespace().any(|word| word == *flag);
        assert!(is_known, "`{}`: no {flag}", words.join(" "));
    }
}

fn stop_grace_secs() -> u64 {
    let line = DEFAULTS.lines().find_map(|line| line.strip_prefix("stop_grace_secs = "));
    line.unwrap().parse().unwrap()
}

/// Breaks if the unit starts a missing command, kills scans that should continue, or gives a stop
/// less time than the server needs.
#[test]
fn the_unit_names_existing_things() {
    let unit = read("packaging/scanwatch.service");
    let start: Vec<_> = values(&unit, "ExecStart")[0].split(' ').collect();
    assert!(start[0].ends_with("/scanwatch"), "{start:?}");
    is_a_command_line(&start[1..]);
    assert_eq!(values(&unit, "Type"), ["notify"]);
    assert_eq!(values(&unit, "KillMode"), ["process"], "scans outlive a crash of the server");
    let patience: u64 = values(&unit, "TimeoutStopSec")[0].parse().unwrap();
    assert!(patience > 2 * stop_grace_secs(), "{patience}");
    let readme = read("README.md");
    for code in values(&unit, "RestartPreventExitStatus")[0].split(' ') {
        assert!(readme.contains(&format!("\n| {code} | ")), "the README knows no exit code {code}");
    }
    let folder = values(&unit, "WorkingDirectory")[0];
    assert_eq!(folder, format!("/var/lib/{}", values(&unit, "StateDirectory")[0]));
    let below = DEFAULTS.lines().find_map(|line| line.strip_prefix("dir = ")).unwrap();
    assert!(unit.contains(&format!("{folder}/{}", below.trim_matches('"'))));
    // The options that the comments explain are really absent.
    for left_out in ["ProtectControlGroups", "PrivateUsers", "ProcSubset"] {
        assert!(unit.contains(&format!("# - {left_out}")) && values(&unit, left_out).is_empty());
    }
}

/// Breaks if the unit of an agent starts a missing command, kills scans that should continue, or gives a stop less time
/// than a drain takes.
#[cfg(feature = "nats")]
#[test]
fn the_unit_of_an_agent_names_existing_things() {
    let unit = read("packaging/scanwatch-agent.service");
    let start: Vec<_> = values(&unit, "ExecStart")[0].split(' ').collect();
    is_a_command_line(&start[1..]);
    assert_eq!(
        (values(&unit, "Type"), values(&unit, "KillMode")),
        (vec!["notify"], vec!["process"])
    );
    let drain = DEFAULTS.lines().find_map(|line| line.strip_prefix("drain_timeout_secs = "));
    let patience: u64 = values(&unit, "TimeoutStopSec")[0].trim_end_matches("min").parse().unwrap();
    assert!(60 * patience > drain.unwrap().parse::<u64>().unwrap() + 60, "{patience}");
    let folder = values(&unit, "WorkingDirectory")[0];
    assert!(DEFAULTS.contains("\ndir = \"tmp/scan_agent\"\n"));
    assert!(unit.contains(&format!("{folder}/tmp/scan_agent")));
}

/// Breaks if systemd does not understand a unit.
#[test]
fn systemd_understands_the_units() {
    for unit in ["scanwatch.service", "scanwatch-agent.service"] {
        systemd_understands(unit);
    }
}

fn systemd_understands(name: &str) {
    let home = tempfile::tempdir().unwrap();
    let unit = read(&format!("packaging/{name}"));
    let unit = unit.replace("/usr/local/bin/scanwatch", env!("CARGO_BIN_EXE_scanwatch"));
    let path = home.path().join(name);
    files::write(&path, unit);
    let Ok(output) = program("systemd-analyze").arg("verify").arg(&path).output() else {
        #[expect(clippy::print_stderr, reason = "why a test has tested nothing")]
        {
            eprintln!("skipped: systemd-analyze is not installed");
        }
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let about_it: Vec<_> = said.lines().filter(|line| line.contains(name)).collect();
    assert!(output.status.success() && about_it.is_empty(), "{said}");
}

/// The words of a Dockerfile instruction in JSON form.
fn words(dockerfile: &str, instruction: &str) -> Vec<String> {
    let (_, rest) = dockerfile.rsplit_once(&format!("{instruction} [")).unwrap();
    let line = rest.lines().next().unwrap();
    serde_json::from_str(&format!("[{line}")).unwrap()
}

/// Breaks if the image is built with a compiler that is too old, or started with a command or a
/// setting that does not exist.
#[test]
fn the_dockerfile_names_existing_things() {
    let dockerfile = read("Dockerfile");
    let number = |text: &str| -> u32 {
        text.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    let after = |text: &'static str, start: &str| text.split_once(start).map_or("", |rest| rest.1);
    let oldest = after(include_str!("../../Cargo.toml"), "rust-version = \"1.");
    let version = after(include_str!("../../Dockerfile"), "FROM rust:1.");
    assert!(number(version) >= number(oldest));
    for line in dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")) {
        for path in
            line.split(' ').rev().skip(1).filter(|word| !line.starts_with("--") && !word.is_empty())
        {
            assert!(root().join(path).exists(), "COPY {path}");
            let ignored = read(".dockerignore");
            assert!(ignored.contains(&format!("!{path}\n")), ".dockerignore keeps {path} away");
        }
    }
    let entry = words(&dockerfile, "ENTRYPOINT");
    assert_eq!(entry.last().unwrap(), "/usr/local/bin/scanwatch");
    assert_eq!(words(&dockerfile, "CMD"), ["serve"]);
    is_a_command_line(&["serve"]);

    let mut environment: Vec<(String, String)> = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("ENV ")?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    // The container gets its credentials when it is run.
    for (name, value) in [("API_USERNAME", "operator"), ("API_PASSWORD", "s3cret")] {
        environment.push((name.to_owned(), value.to_owned()));
    }
    let checked = scanwatch(&["config", "check"], &environment);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    // The user needs a name to own the initial content of a volume.
    let folder = dockerfile.lines().find_map(|line| line.strip_prefix("VOLUME ")).unwrap();
    assert!(dockerfile.contains(&format!("install -d -o scanwatch -g scanwatch -m 0750 {folder}")));
    assert!(dockerfile.contains(&format!("WORKDIR {folder}\n")));
    assert!(dockerfile.contains("USER 10001"));
}

/// Breaks if the health check reports a running server as unhealthy, or a stopped one as healthy.
#[tokio::test]
async fn the_health_check_of_the_image_detects_a_running_server() {
    let dockerfile = read("Dockerfile");
    let (before, _) = dockerfile.split_once("ENTRYPOINT").unwrap();
    let check = words(before, "CMD");
    let mut server = Setup::new().user("operator", "secret").start().await;
    let port = server.address().port();
    let check: Vec<_> = check
        .iter()
        .map(|word| word.replace("127.0.0.1/8000", &format!("127.0.0.1/{port}")))
        .collect();
    assert!(check.concat().contains(&port.to_string()), "{check:?}");
    let is_healthy = async || {
        let mut command: Command = program(&check[0]);
        command.args(&check[1..]);
        tokio::task::spawn_blocking(move || command.output().unwrap().status.success())
            .await
            .unwrap()
    };
    assert!(is_healthy().await);
    server.terminate().await;
    assert!(!is_healthy().await);
}

/// Breaks if compose.yaml and the image do not match.
#[test]
fn the_compose_file_fits_the_image() {
    let (compose, dockerfile) = (read("compose.yaml"), read("Dockerfile"));
    let folder = dockerfile.lines().find_map(|line| line.strip_prefix("VOLUME ")).unwrap();
    assert!(compose.contains(&format!("- jobs:{folder}\n")));
    let port = dockerfile.lines().find_map(|line| line.strip_prefix("EXPOSE ")).unwrap();
    assert!(compose.contains(&format!("\"127.0.0.1:{port}:{port}\"")));
    assert!(dockerfile.contains(&format!("SCANWATCH_SERVER__LISTEN=0.0.0.0:{port}\n")));
    let grace =
        compose.lines().find_map(|line| line.trim().strip_prefix("stop_grace_period: ")).unwrap();
    let unit = read("packaging/scanwatch.service");
    assert_eq!(grace, format!("{}s", values(&unit, "TimeoutStopSec")[0]));
    let set = compose.lines().filter_map(|line| line.trim().strip_prefix("SCANWATCH_"));
    let set = set.map(|pair| pair.split_once(": ").unwrap());
    let set: Vec<_> = set
        .map(|(name, value)| (format!("SCANWATCH_{name}"), value.trim_matches('"').to_owned()))
        .collect();
    assert!(!set.is_empty() && scanwatch(&["config", "check"], &set).status.success(), "{set:?}");
    let variables =
        compose.lines().find_map(|line| line.trim().strip_prefix("env_file: ")).unwrap();
    for document in ["docs/operations.md", ".gitignore"] {
        assert!(read(document).contains(variables), "{document} does not name {variables}");
    }
    for line in ["read_only: true", "- ALL", "no-new-privileges:true"] {
        assert!(compose.contains(line), "{line}");
    }
    let settings = compose.split("command: ").nth(1).unwrap().lines().next().unwrap();
    is_a_command_line(&settings.split(' ').collect::<Vec<_>>());
}

/// Breaks if the variables that the document shows for containers are not settings, or have no
/// effect.
#[test]
fn the_documented_variables_are_settings() {
    let document = read("docs/operations.md");
    let (_, block) = document.split_once("```env\n").unwrap();
    let lines = block.split("```").next().unwrap().lines();
    let pairs = lines.map(|line| line.split_once('=').unwrap());
    let set: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert!(set.len() >= 3, "{set:?}");
    let shown = scanwatch(&["config", "show"], &set);
    let shown = String::from_utf8(shown.stdout).unwrap();
    for (name, _) in set {
        assert!(shown.contains(&format!("environment variable {name}")), "{name}: {shown}");
    }
    assert!(shown.contains("\"git.example.com\""), "{shown}");
}

/// Breaks if the image is built without a file that the program contains.
#[test]
fn the_image_is_built_from_everything_that_the_build_reads() {
    let dockerfile = read("Dockerfile");
    let here = root().canonicalize().unwrap();
    let lines = dockerfile.lines().filter_map(|line| line.strip_prefix("COPY "));
    let words = lines.filter(|line| !line.starts_with("--")).flat_map(|line| line.split(' '));
    let copied: Vec<PathBuf> =
        words.filter(|word| !word.starts_with('.')).map(|word| here.join(word)).collect();
    let mut included = 0;
    for source in files::below(&root().join("src")) {
        let text = files::text(&source);
        for kind in ["include_str!(\"", "include_bytes!(\""] {
            for path in text.split(kind).skip(1).filter_map(|rest| rest.split('"').next()) {
                let input = source.parent().unwrap().join(path).canonicalize().unwrap();
                let is_copied = copied.iter().any(|folder| input.starts_with(folder));
                assert!(is_copied, "{} includes {}", source.display(), input.display());
                included += 1;
            }
        }
    }
    assert!(included > 5, "{included}");
    for needed in ["Cargo.toml", "Cargo.lock", "src"] {
        assert!(copied.contains(&here.join(needed)), "{needed}");
    }
}

/// Breaks if a document names a setting, a command or a file that does not exist.
#[test]
fn everything_the_documents_name_exists() {
    let sections: toml::Table = DEFAULTS.parse().unwrap();
    let mut documents = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    for folder in ["docs", "docs/decisions"] {
        let entries = std::fs::read_dir(root().join(folder)).unwrap().flatten();
        let names = entries.map(|entry| format!("{folder}/{}", entry.file_name().display()));
        documents.extend(names.filter(|name| name.ends_with(".md")));
    }
    assert!(documents.len() > 20, "{documents:?}");
    for document in &documents {
        let text = read(document);
        let mut named = BTreeSet::new();
        for code in text.split('`').skip(1).step_by(2).filter(|code| !code.contains('\n')) {
            if let Some((section, key)) =
                code.strip_prefix('[').and_then(|rest| rest.split_once("] "))
                && key.chars().all(|c| c == '_' || c.is_ascii_lowercase())
            {
                let known = sections.get(section).and_then(|keys| keys.get(key)).is_some();
                assert!(known, "{document}: there is no setting `{code}`");
                named.insert(key.to_owned());
            }
            if let Some(line) = code.strip_prefix("scanwatch ") {
                // A variable stands for an id.
                let line = line.replace('$', "");
                let words: Vec<_> = line.split(' ').collect();
                is_a_command_line(&words);
            }
        }
        let for_operators = ["docs/operations.md", "docs/troubleshooting.md"];
        let is_enough = !for_operators.contains(&document.as_str()) || named.len() >= 5;
        assert!(is_enough, "{document}: {named:?}");
        let folder = Path::new(document).parent().unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            let place = root().join(folder).join(file);
            assert!(link.contains("://") || place.exists(), "{document}: {link}");
        }
    }
}
