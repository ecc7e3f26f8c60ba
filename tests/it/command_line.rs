//! `scanwatch scan` and the other commands, as a user types them.

use crate::support::{
    files,
    forge::{Forge, program},
    processes,
    wait::{PATIENCE, eventually, until},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};

pub(crate) fn scanwatch(home: &Path) -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).env("HOME", home).env("TMPDIR", home).current_dir(home);
    command
}

pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn run(home: &Path, arguments: &[&str]) -> Ran {
    let Output { status, stdout, stderr } = scanwatch(home).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: status.code(), out: text(stdout), err: text(stderr) }
}

pub(crate) fn folder_with(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        files::write(&path, text);
    }
    folder
}

pub(crate) const PROJECT: &[(&str, &str)] = &[
    ("project/requirements.txt", "requests==2.31.0\nflask>=2\n"),
    ("project/web/package.json", r#"{"dependencies": {"left-pad": "1.3.0"}}"#),
    // Ignored by git, but scanned.
    ("project/.gitignore", "web/\n"),
    ("project/node_modules/x/package.json", r#"{"dependencies": {"hidden": "1.0.0"}}"#),
];

/// Breaks if a local folder is not scanned by the same engine, if standard output has more than the
/// data, or if any file is left behind.
#[test]
fn a_local_folder_is_scanned_and_nothing_is_left() {
    let home = folder_with(PROJECT);
    let ran = run(home.path(), &["scan", "project"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for word in ["requests", "2.31.0", "left-pad", ">=2", "project/web"] {
        assert!(ran.out.contains(word.trim_start_matches("project/")), "{word} in {}", ran.out);
    }
    assert!(!ran.out.contains("hidden"), "{}", ran.out);
    assert!(ran.err.contains("project: completed"), "{}", ran.err);
    assert!(!ran.err.contains('\u{1b}'), "no colours where there is no terminal: {}", ran.err);
    let mut left: Vec<_> =
        std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["project"]);
}

/// Breaks if a machine-readable format is invalid.
#[test]
fn the_machine_readable_formats_are_valid() {
    let home = folder_with(PROJECT);
    let ran = run(home.path(), &["scan", "project", "--format", "json"]);
    let result: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(result["packages"].as_array().unwrap().len(), 3, "{result:#}");
    assert_eq!(result["files"]["parsed"], 2, "{result:#}");
    assert_eq!(result["commit"], Value::Null);

    let ran = run(home.path(), &["scan", "project", "--format", "cyclonedx", "-o", "bom.json"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""), "{}", ran.err);
    let bom = files::json(&home.path().join("bom.json")).unwrap();
    assert_eq!((&bom["bomFormat"], &bom["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    assert_eq!(bom["components"].as_array().unwrap().len(), 3, "{bom:#}");
    let ran = run(home.path(), &["scan", "project", "--format", "spdx"]);
    let bom: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(bom["spdxVersion"], "SPDX-2.3");
    assert_eq!(bom["packages"].as_array().unwrap().len(), 1 + 3, "{bom:#}");

    let ran = run(home.path(), &["scan", "project", "project", "--format", "json"]);
    let results: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(results.as_array().unwrap().len(), 2, "{results:#}");
    let ran = run(home.path(), &["scan", "project", "project", "--format", "cyclonedx"]);
    assert_eq!(ran.code, Some(2));

    let ran = run(home.path(), &["scan", "project", "project", "--format", "csv"]);
    let lines: Vec<_> = ran.out.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 1 + 2 * 3, "one heading for all: {lines:#?}");
    assert!(lines[0].starts_with("repository,name,version,"), "{lines:#?}");
    let row = "project,requests,2.31.0,,pypi,pkg:pypi/requests@2.31.0,runtime,true,\
               requirements.txt,1,manifest";
    assert!(lines.contains(&row), "{lines:#?}");
}

/// Breaks if a URL on the command line is not trusted, or a bare repository is not read.
#[test]
fn urls_and_bare_repositories_are_scanned() {
    let home = TempDir::new().unwrap();
    let forge = Forge::start();
    let repository = forge
        .add_repository("group/app", &[("package.json", br#"{"dependencies": {"a": "1.0.0"}}"#)]);
    let ran = run(home.path(), &["scan", &forge.url("group/app"), "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let by_url: Value = serde_json::from_str(&ran.out).unwrap();
    let path = repository.path().to_str().unwrap();
    let ran = run(home.path(), &["scan", path, "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let by_path: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(by_url["packages"], by_path["packages"]);
    assert_eq!(by_url["commit"], by_path["commit"]);
    assert!(by_url["commit"].is_string());
}

/// Breaks if a group is not scanned completely, if a failure hides the results of others, or if its
/// bill of materials omits a scanned repository.
#[test]
fn a_group_is_scanned_and_its_failures_are_named() {
    let home = TempDir::new().unwrap();
    let forge = Forge::start();
    forge.group(&["acme/api", "acme/web/site", "acme/web/old"]);
    forge.listing().add("acme/gone");
    let settings = format!("[[forges]]\nkind = \"gitlab\"\nurl = \"{}\"\n", forge.base());
    files::write(&home.path().join("forge.toml"), &settings);
    let url = format!("{}/acme", forge.base());
    let scan = |more: &[&str]| {
        run(home.path(), &[&["scan", &url, "--config", "forge.toml"], more].concat())
    };
    let ran = scan(&["--format", "json", "--exclude", "**/old"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    let names: Vec<_> =
        found.as_array().unwrap().iter().map(|result| &result["repo_name"]).collect();
    assert_eq!(names, ["api", "gone", "web/site"]);
    let gone = &found[1];
    assert_eq!((&gone["status"], &gone["failure"]["kind"]), (&"failed".into(), &"clone".into()));
    assert_eq!(gone["packages"], json!([]), "{gone:#}");
    assert!(gone["error"].is_string(), "{gone:#}");
    assert!(ran.err.contains("gone: failed (clone)"), "{}", ran.err);
    assert!(ran.err.contains("2 of 3 repositories completed, 1 failed"), "{}", ran.err);
    let ran = scan(&["--format", "csv", "--include", "web/**"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.out.lines().count(), 3, "{}", ran.out);
    for format in ["cyclonedx", "spdx"] {
        let ran = scan(&["--format", format]);
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        let bom: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(
            bom["metadata"]["component"]["name"].as_str().or(bom["name"].as_str()),
            Some("acme")
        );
        assert!(ran.out.contains("web/site"), "{bom:#}");
        // The failed repository is listed as missing from the document.
        let parts = bom["components"].as_array().or(bom["packages"].as_array()).unwrap();
        let gone = parts.iter().find(|part| part["name"] == "gone").unwrap();
        let reason = &gone["properties"][0]["value"];
        let reason = reason.as_str().or(gone["comment"].as_str()).unwrap();
        assert!(reason.contains("failed: "), "{reason}");
    }
}

/// A program that imports more than its manifests declare.
const SOURCES: &[(&str, &str)] = &[
    ("app/requirements.txt", "flask==3.0.0\n"),
    ("app/shop/__init__.py", ""),
    ("app/shop/orders.py", "\"\"\"import nothing\"\"\"\nimport json\nimport flask, yaml\n"),
    ("app/shop/web.py", "from shop import orders\nimport requests\nimport yaml\n"),
    ("app/tests/test_orders.py", "import pytest\nimport requests\nfrom shop import orders\n"),
    ("app/jobs/src/main/java/shop/Job.java", "package shop;\nimport org.slf4j.Logger;\n"),
    ("app/jobs/src/main/scala/shop/Run.scala", "package shop\nimport zio.{ZIO, Task => T}\n"),
    (
        "app/gradle/verification-metadata.xml",
        "<verification-metadata><components><component group='g' name='a' version='1'/></components>\
         </verification-metadata>",
    ),
];

/// Breaks if a deep scan does not list undeclared imports, if another scan does, or if two deep
/// scans differ, or those of a folder and of a commit.
#[test]
fn a_deep_scan_lists_what_is_imported_and_not_declared() {
    let home = folder_with(SOURCES);
    let json = |arguments: &[&str]| -> Value {
        let ran = run(home.path(), &[&["scan", "--format", "json"], arguments].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        serde_json::from_str(&ran.out).unwrap()
    };
    let plain = json(&["app"]);
    assert_eq!(plain["packages"].as_array().unwrap().len(), 1, "{plain:#}");
    assert_eq!(plain["files"]["parsed"], 1, "{plain:#}");

    let deep = json(&["app", "--deep"]);
    let imported: Vec<_> = deep["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| package["source"] == "import")
        .map(|it| {
            assert_eq!((&it["version"], &it["direct"]), (&Value::Null, &Value::Bool(true)));
            let text = |key: &str| it[key].as_str().unwrap().to_owned();
            format!("{} {} {}:{}", text("purl"), text("scope"), text("file"), it["line"])
        })
        .collect();
    assert_eq!(
        imported,
        [
            "pkg:pypi/pyyaml runtime shop/orders.py:3",
            "pkg:maven/dev.zio/zio runtime jobs/src/main/scala/shop/Run.scala:2",
            "pkg:maven/org.slf4j/slf4j-api runtime jobs/src/main/java/shop/Job.java:2",
            "pkg:pypi/pytest test tests/test_orders.py:1",
            "pkg:pypi/requests runtime shop/web.py:2",
        ]
    );
    // Also a list that may contain unused packages.
    assert_eq!(deep["packages"].as_array().unwrap().len(), 7, "{deep:#}");
    assert!(deep.to_string().contains("pkg:maven/g/a@1"), "{deep:#}");
    assert_eq!(deep["files"], json!({"seen": 8, "parsed": 8, "failed": 0, "skipped": 0}));
    assert_eq!(deep["packages"], json(&["app", "--deep"])["packages"]);

    let forge = Forge::start();
    let files: Vec<_> =
        SOURCES.iter().map(|(path, text)| (&path["app/".len()..], text.as_bytes())).collect();
    forge.add_repository("app", &files);
    let of_commit = json(&[&forge.url("app"), "--deep"]);
    assert_eq!(of_commit["packages"], deep["packages"]);
    assert_eq!(of_commit["warnings"], json!([]));
}

/// Breaks if the exit code does not report a failure, or if a failure affects other targets.
#[test]
fn a_failure_is_reported_and_does_not_affect_other_targets() {
    let home = folder_with(PROJECT);
    let forge = Forge::start();
    let missing = forge.url("group/missing");
    let ran = run(home.path(), &["scan", "project", &missing]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.out.contains("requests"), "{}", ran.out);
    assert!(ran.err.contains("missing: failed (clone)"), "{}", ran.err);
}

/// Breaks if invalid arguments are not refused by name, with exit code 2.
#[test]
fn invalid_arguments_are_refused_by_name() {
    let home = TempDir::new().unwrap();
    for (arguments, expected) in [
        (&["scan", "no-such-folder"] as &[&str], "`no-such-folder`"),
        (&["scan", "https://user:s3cret@github.com/a/b.git"], "[[forges]]"),
        (&["scan", "ext::sh -c id@x"], "scheme"),
        (&["scan", "--set", "scanner.nonsense=1", "."], "scanner.nonsense"),
        (&["scan", "--ref", "--upload-pack=id", "."], "--upload-pack"),
        (&["scan", "--ref=-x", "."], "ref"),
        (&["scan"], "URL"),
        (&["config", "check", "--set", "watch.mode=sometimes"], "watch.mode"),
    ] {
        let ran = run(home.path(), arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(expected), "{arguments:?}: {}", ran.err);
        assert!(!ran.err.contains("s3cret"), "{}", ran.err);
        assert_eq!(ran.out, "", "{arguments:?}");
    }
}

/// Breaks if the path of the kept folder is not printed, or the folder is not kept.
#[test]
fn a_kept_jobs_folder_is_printed() {
    let home = folder_with(PROJECT);
    let ran = run(home.path(), &["scan", "project", "--keep"]);
    let kept = ran.err.lines().find_map(|line| line.strip_prefix("kept ")).expect(&ran.err);
    let statuses: Vec<_> = files::below(Path::new(kept))
        .into_iter()
        .filter(|path| path.ends_with("repo_0.json"))
        .collect();
    assert_eq!(statuses.len(), 2, "status and result: {statuses:?}");
}

/// Breaks if `--output` replaces a symbolic link, a pipe or a device instead of writing to it.
#[test]
fn an_output_that_is_not_a_regular_file_is_written_to() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let home = folder_with(PROJECT);
    let place = |name: &str| home.path().join(name);
    files::write(&place("file.json"), "old");
    symlink("file.json", place("link.json")).unwrap();
    let ran = run(home.path(), &["scan", "project", "--format", "json", "-o", "link.json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(place("link.json").symlink_metadata().unwrap().is_symlink());
    assert!(files::json(&place("file.json")).unwrap()["packages"].is_array());

    assert!(program("mkfifo").arg(place("pipe")).status().unwrap().success());
    let pipe = place("pipe");
    let reader = std::thread::spawn(move || files::text(&pipe));
    let ran = run(home.path(), &["scan", "project", "--format", "json", "-o", "pipe"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(reader.join().unwrap().contains("left-pad"));
    assert!(place("pipe").symlink_metadata().unwrap().file_type().is_fifo());

    let ran = run(home.path(), &["scan", "project", "-o", "project"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("`project`"), "{}", ran.err);
}

/// Breaks if a scan that ends early, by a signal or by an error, leaves a process or a file.
#[tokio::test]
async fn a_scan_that_ends_early_leaves_nothing() {
    let home = folder_with(PROJECT);
    let script = home.path().join("scanner.sh");
    // The first target's result is invalid; the second one's scan would never end.
    files::write(
        &script,
        "began=${0%/*}/began\n\
         case $SCANWATCH_REPO_NAME in\n\
         odd) while [ ! -s $began ]; do sleep 0.05; done\n\
              echo '{}' > part; mv part \"$SCANWATCH_RESULT_FILE\";;\n\
         *) echo $$ > $began; sleep 999;;\n\
         esac\n",
    );
    for name in ["odd", "endless"] {
        std::fs::create_dir(home.path().join(name)).unwrap();
    }
    let command = format!("scanner.command=[\"/bin/sh\", \"{}\"]", script.display());
    for (arguments, hangs_up, code) in
        [(&["odd", "endless"] as &[&str], false, 2), (&["endless"], true, 130)]
    {
        let began = home.path().join("began");
        files::write(&began, "");
        // A test that was started by nohup(1) inherits that the signal is ignored.
        let mut scan = program("env");
        scan.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_scanwatch"), "scan"]);
        scan.args(arguments).args(["--set", &command]).stderr(Stdio::null());
        scan.env("HOME", home.path()).env("TMPDIR", home.path()).current_dir(home.path());
        let mut scan = tokio::process::Command::from(scan).kill_on_drop(true).spawn().unwrap();
        let scanner = until(PATIENCE, "the scanner works", async || {
            files::text(&began).trim().parse::<u32>().ok()
        })
        .await;
        if hangs_up {
            let marks = [home.path().display().to_string()];
            processes::signal(scan.id().unwrap(), &marks, Signal::HUP);
        }
        assert_eq!(scan.wait().await.unwrap().code(), Some(code), "{arguments:?}");
        assert!(!processes::lives(scanner), "{arguments:?}");
        let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().flatten().collect();
        let left =
            left.iter().filter(|entry| entry.file_name().to_string_lossy().contains("scanwatch"));
        assert_eq!(left.count(), 0, "{arguments:?}");
    }
}

/// Breaks if Ctrl-C in the server's terminal reaches a shim that has just been started: the shim
/// would treat it as a cancel.
#[tokio::test]
async fn a_shim_leaves_its_servers_session_before_anything_else() {
    let home = TempDir::new().unwrap();
    let mut shim = scanwatch(home.path());
    shim.arg("shim").stdin(Stdio::piped());
    let shim = tokio::process::Command::from(shim).kill_on_drop(true).spawn().unwrap();
    let pid = shim.id().unwrap();
    eventually("the shim leads a session, without its task", async || {
        processes::session_of(pid) == Some(pid)
    })
    .await;
}

/// Breaks if the scanner cannot be run standalone.
#[test]
fn the_worker_runs_standalone() {
    let home = folder_with(PROJECT);
    let ran = run(
        home.path(),
        &[
            "worker",
            "--url",
            "project",
            "--status-file",
            "status.json",
            "--result-file",
            "result.json",
        ],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(files::json(&home.path().join("status.json")).unwrap()["status"], "completed");
    let result = files::json(&home.path().join("result.json")).unwrap();
    assert_eq!(result["packages"].as_array().unwrap().len(), 3, "{result:#}");
}

/// Breaks if the printed defaults are not a usable settings file.
#[test]
fn the_printed_defaults_are_a_settings_file() {
    let home = TempDir::new().unwrap();
    let printed = run(home.path(), &["config", "defaults"]);
    files::write(&home.path().join("all.toml"), &printed.out);
    let ran = run(home.path(), &["config", "check", "--config", "all.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

/// Breaks if `config check` accepts settings with which `serve` does not start.
#[test]
fn settings_that_serve_refuses_are_refused_by_the_check() {
    let home = TempDir::new().unwrap();
    let open = ["--set", "server.listen=0.0.0.0:0"];
    for command in [&["config", "check"] as &[&str], &["serve"]] {
        let ran = run(home.path(), &[command, &open].concat());
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(ran.err.contains("refusing to serve 0.0.0.0:0 without credentials"), "{}", ran.err);
    }
    let mut half = scanwatch(home.path());
    half.args(["config", "check"]).env("API_USERNAME", "me");
    let refused = half.output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("API_PASSWORD is not"));
    let mut both = scanwatch(home.path());
    both.args(["config", "check"]).args(open).env("API_USERNAME", "me").env("API_PASSWORD", "x");
    let accepted = both.output().unwrap();
    assert!(accepted.status.success());
    assert!(String::from_utf8_lossy(&accepted.stderr).contains("warning: no TLS"));
}

/// Breaks if the settings of the Python service do not become a usable settings file, or if
/// something of them is lost silently.
#[test]
fn settings_of_the_python_service_are_imported() {
    let file = "categories:\n  AI:\n    dependencies: [openai]\n    api_patterns:\n      \
                - api.openai.com\n    status: approved\nworkers: 4\n";
    let home = folder_with(&[("config.yaml", file), ("broken.yaml", "categories: [a\nb: c\n")]);
    let ran = run(home.path(), &["config", "import", "config.yaml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("not taken over: workers: no such setting"), "{}", ran.err);
    files::write(&home.path().join("ours.toml"), &ran.out);
    let shown = run(home.path(), &["config", "show", "--json", "--config", "ours.toml"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.out).expect(&shown.err);
    let expected = json!({ "dependencies": ["openai"], "api_patterns": ["api.openai.com"] });
    assert_eq!(shown["categories.AI"]["value"], expected, "{shown:#}");
    for (file, expected) in [("broken.yaml", "broken.yaml, line 2"), ("none.yaml", "cannot read")] {
        let ran = run(home.path(), &["config", "import", file]);
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(ran.err.contains(expected), "{}", ran.err);
    }
}

/// Breaks if completions or manual pages cannot be generated, or do not cover every command.
#[test]
fn completions_and_manual_pages_cover_every_command() {
    let home = folder_with(&[("man/own.txt", "stays")]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(home.path(), &["completions", shell]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        for word in ["submit", "reconnect-timeout", "show"] {
            assert!(ran.out.contains(word), "{word} in {shell}");
        }
    }
    assert_eq!(run(home.path(), &["completions", "tcsh"]).code, Some(2));

    let main = run(home.path(), &["man"]);
    assert_eq!(main.code, Some(0), "{}", main.err);
    assert!(main.out.contains(".TH scanwatch 1") && main.out.contains("Exit codes"));
    assert_eq!(run(home.path(), &["man", "man"]).code, Some(0));
    let help = run(home.path(), &["--help"]).out;
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands: Vec<_> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        let page = files::text(&home.path().join(format!("man/scanwatch-{command}.1")));
        assert!(page.contains(&format!(".TH scanwatch-{command} 1")), "{command}: {page}");
        // Each help text explains the exit codes.
        let help = run(home.path(), &[command, "--help"]).out;
        assert!(help.contains("Exit codes: 0 "), "{command}: {help}");
    }
    let page = files::text(&home.path().join("man/scanwatch-config-show.1"));
    assert!(page.contains("where it comes from"), "{page}");
    assert_eq!(files::text(&home.path().join("man/own.txt")), "stays");

    let ran = run(home.path(), &["man", "no-such-folder"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("no-such-folder/scanwatch.1"), "{}", ran.err);
}

/// Breaks if `config show` prints other values than the effective ones, no sources, or a secret.
#[test]
fn the_effective_settings_are_shown_with_their_sources() {
    let home = folder_with(&[(
        "own.toml",
        "[scanner]\nkill_grace_secs = 7\ncommand = [\"say\", \"a\\n\\\"b\\\"\"]\n\
         [[forges]]\nkind = \"git\"\nurl = \"https://git.example\"\ntoken_env = \"FORGE_TOKEN\"\n\
         [categories.\"C \\n=\"]\ndependencies = [\"c\"]\npatterns = []\n",
    )]);
    let show = |more: &[&str]| {
        let mut command = scanwatch(home.path());
        command.env("SCANWATCH_JOBS__RETENTION_HOURS", "3").env("FORGE_TOKEN", "s3cret");
        command.args(["config", "show", "--config", "own.toml"]).args(more);
        let Output { status, stdout, stderr } = command.output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    };
    let settings: Value = serde_json::from_str(&show(&["--json", "--set=log.level=warn"])).unwrap();
    for (name, value, from) in [
        ("scanner.kill_grace_secs", json!(7), "own.toml, line 2"),
        ("jobs.retention_hours", json!(3), "environment variable SCANWATCH_JOBS__RETENTION_HOURS"),
        ("log.level", json!("warn"), "command line, log.level"),
        ("watch.mode", json!("auto"), "default"),
    ] {
        assert_eq!(settings[name], json!({ "value": value, "from": from }), "{name}");
    }
    assert_eq!(settings["forges"]["from"], "own.toml, line 4");
    assert_eq!(settings["forges"]["value"][0]["token_env"], "FORGE_TOKEN");

    let text = show(&[]);
    assert!(!text.contains("s3cret"), "{text}");
    assert!(text.contains("# own.toml, line 2\n"), "{text}");
    // The output is an equivalent settings file.
    files::write(&home.path().join("own.toml"), &text);
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  # ").next().unwrap().trim().to_owned()).collect()
    };
    assert_eq!(values(&show(&[])), values(&text));

    let ran = run(home.path(), &["config", "show", "--set", "watch.mode=sometimes"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{}", ran.err);
}

/// Breaks if the service fails when its log can no longer be written.
#[tokio::test]
async fn a_log_that_cannot_be_written_does_not_affect_the_service() {
    let home = TempDir::new().unwrap();
    let mut command = scanwatch(home.path());
    command.args(["serve", "--listen", "127.0.0.1:0", "--set", "scanner.command=true"]);
    command.stderr(Stdio::piped());
    let mut server = tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap();
    let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
    // Log lines may precede the banner.
    let address = loop {
        let line = log.next_line().await.unwrap().expect("the banner names the address");
        if let Some((_, address)) = line.trim().split_once("listens on http://") {
            break address.to_owned();
        }
    };
    let client = scanwatch::http::client().build().unwrap();
    let get = async |path: String| -> Option<Value> {
        let answer = client.get(format!("http://{address}{path}")).send().await.ok()?;
        answer.error_for_status().ok()?.json().await.ok()
    };
    eventually("the server is ready", async || get("/readyz".to_owned()).await.is_some()).await;
    drop(log);

    let request = client.post(format!("http://{address}/scan"));
    let request = request.json(&json!({ "git_url": "https://github.com/acme/widget.git" }));
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let job = answer["job_id"].as_str().unwrap();
    until(PATIENCE, "the job is over", async || {
        let row = get(format!("/jobs/{job}")).await?;
        (row["status"] == "completed").then_some(())
    })
    .await;
}

/// Breaks if unreadable credentials count as none: the server would require no authentication.
#[test]
fn credentials_that_are_not_utf8_are_refused() {
    use std::os::unix::ffi::OsStrExt;
    let home = TempDir::new().unwrap();
    let password = std::ffi::OsStr::from_bytes(b"p\xe4ssword");
    let mut command = scanwatch(home.path());
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    command.env("API_USERNAME", password).env("API_PASSWORD", password);
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("API_USERNAME is not valid UTF-8"), "{stderr}");
}
