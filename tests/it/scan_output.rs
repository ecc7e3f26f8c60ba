//! What `scanwatch scan` writes, and where: several formats, what is printed beside them, and results
//! that are not lost.

use crate::{
    command_line::{PROJECT, folder_with, run, scanwatch},
    support::{
        files,
        forge::{Forge, program},
        processes,
        wait::{PATIENCE, eventually, until},
    },
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    fmt::Write,
    fs::{File, OpenOptions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Stdio,
    time::Duration,
};
use tempfile::TempDir;

/// A scanner that reports a package at once, except that of `endless`, which waits for ever.
const SCANNER: &str = "\
    case $SCANWATCH_REPO_NAME in endless) echo $$ > ${0%/*}/began; sleep 999;; esac\n\
    echo '{\"schema\": 1, \"repo_index\": 0, \"repo_name\": \"x\", \"git_url\": \"/x\", \"commit\": null, \
    \"scanned_at\": \"2026-01-01T00:00:00Z\", \"duration_ms\": 1, \"files\": {\"seen\": 1, \"parsed\": 1, \
    \"failed\": 0, \"skipped\": 0}, \"packages\": [{\"name\": \"left-pad\", \"version\": \"1.0\", \
    \"ecosystem\": \"npm\", \"purl\": \"pkg:npm/left-pad@1.0\", \"file\": \"a.json\", \
    \"direct\": null, \"scope\": null, \"source\": \"lockfile\"}]}' > part\n\
    mv part \"$SCANWATCH_RESULT_FILE\"\n";

/// Writes the settings of a forge with groups, and returns the URL of its group `acme`.
fn forge_settings(home: &Path, forge: &Forge, more: &str) -> String {
    let settings = format!("{more}\n[[forges]]\nkind = \"gitlab\"\nurl = \"{}\"\n", forge.base());
    files::write(&home.join("forge.toml"), &settings);
    format!("{}/acme", forge.base())
}

fn left_behind(home: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(home).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains("scanwatch-")).collect()
}

/// Breaks if a scan runs although its result cannot be written, or if the check leaves a file.
#[test]
fn outputs_that_cannot_be_written_are_refused_before_the_scan() {
    let home = folder_with(PROJECT);
    let locked = home.path().join("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o500)).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    for (output, expected) in [
        ("missing/bom.json", "`missing/bom.json`"),
        ("project", "it is a folder"),
        ("json=project", "it is a folder"),
        ("xml=bom.xml", "formats: table, json, cyclonedx, cyclonedx-1.7, spdx, spdx-3.0.1, csv"),
        ("locked/bom.json", "`locked/bom.json`"),
    ] {
        if is_root && output.starts_with("locked") {
            continue;
        }
        let ran = run(home.path(), &["scan", "project", "-o", output]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{output}: {}", ran.err);
        assert!(ran.err.contains(expected), "{output}: {}", ran.err);
        assert!(!ran.err.contains("project: "), "nothing was scanned: {}", ran.err);
    }
    let ran = run(home.path(), &["scan", "project", "-o", "json", "-o", "csv"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    let ran = run(home.path(), &["scan", "no-such-folder", "-o", "bom.json"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    let mut names: Vec<_> =
        std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["locked", "project"]);
}

/// Breaks if one scan cannot give several formats, if a bare format is taken for a file, or if `-` is.
#[test]
fn several_formats_are_written_by_one_scan() {
    let home = folder_with(PROJECT);
    let ran = run(
        home.path(),
        &["scan", "project", "-o", "cyclonedx-json=bom.json", "-o", "spdx=spdx.json", "-o", "csv"],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.starts_with("repository,name,"), "{}", ran.out);
    let file = |name: &str| files::json(&home.path().join(name)).unwrap();
    assert_eq!(file("bom.json")["bomFormat"], "CycloneDX");
    assert_eq!(file("spdx.json")["spdxVersion"], "SPDX-2.3");

    for arguments in [&["-o", "json"] as &[&str], &["--format", "json", "-o", "-"]] {
        let ran = run(home.path(), &[&["scan", "project"], arguments].concat());
        let result: Value = serde_json::from_str(&ran.out).expect(&ran.err);
        assert_eq!(result["packages"].as_array().unwrap().len(), 3);
    }
    assert!(!home.path().join("json").exists() && !home.path().join("-").exists());
}

/// Breaks if a result is less readable than the user's other files, or if a file of theirs loses its permissions.
#[test]
fn a_result_has_the_permissions_of_the_users_files() {
    let home = folder_with(PROJECT);
    let mode = |name: &str| home.path().join(name).metadata().unwrap().permissions().mode();
    files::write(&home.path().join("usual"), "");
    files::write(&home.path().join("own.json"), "{}");
    let own = PermissionsExt::from_mode(0o604);
    std::fs::set_permissions(home.path().join("own.json"), own).unwrap();
    let outputs = ["scan", "project", "-o", "json=new.json", "-o", "spdx=own.json"];
    let ran = run(home.path(), &outputs);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(mode("new.json"), mode("usual"));
    assert_eq!(mode("own.json") & 0o777, 0o604);
    assert!(files::json(&home.path().join("own.json")).unwrap()["spdxVersion"].is_string());
}

/// Breaks if the table has more than packages, is cut where it is not read by a person, or if the
/// summary or the warnings are not on standard error.
#[test]
fn the_table_has_packages_and_standard_error_has_the_summary() {
    let long = "a".repeat(90);
    let home = folder_with(&[
        ("app/package.json", &format!("{{\"dependencies\": {{\"{long}\": \"{long}\"}}}}")),
        ("app/requirements.txt", "flask==3.0.0\n\u{7}==1\n==2\n==3\nrequests\n"),
        ("app/bad/package.json", "no"),
    ]);
    let ran = run(home.path(), &["scan", "app"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let lines: Vec<_> = ran.out.lines().collect();
    assert_eq!((lines[0], lines.len()), ("app", 2 + 3), "{}", ran.out);
    assert!(ran.out.matches(&long).count() == 2, "not cut: {}", ran.out);
    assert!(!ran.out.contains('\u{1b}'), "no colours where there is no terminal: {}", ran.out);
    let summary = ran.err.lines().last().unwrap();
    for part in ["1 repository, 3 packages (2 pypi, 1 npm), ", " 2 files parsed (1 failed), ", " s"]
    {
        assert!(summary.contains(part), "{part} in {}", ran.err);
    }
    let warnings = |text: &str| text.lines().filter(|line| line.starts_with("warning: ")).count();
    let all = run(home.path(), &["scan", "app", "-v"]);
    assert!(warnings(&ran.err) < warnings(&all.err), "{}\n{}", ran.err, all.err);
    assert!(ran.err.contains("-v prints all"), "{}", ran.err);
    assert!(ran.err.contains("more of this kind"), "{}", ran.err);
    assert_eq!(ran.out, all.out);

    let mut coloured = scanwatch(home.path());
    coloured.args(["scan", "app"]).env("CLICOLOR_FORCE", "1");
    let out = String::from_utf8(coloured.output().unwrap().stdout).unwrap();
    assert!(out.starts_with("\u{1b}[1mapp\u{1b}[0m\n"), "{out:?}");
    let out = String::from_utf8(coloured.env("NO_COLOR", "1").output().unwrap().stdout).unwrap();
    assert!(out.starts_with("app\n"), "{out:?}");
}

/// Breaks if a group of which nothing was scanned looks like success, or if its reasons are not said.
#[test]
fn a_group_of_which_nothing_is_scanned_is_a_failure() {
    let home = TempDir::new().unwrap();
    let forge = Forge::start();
    forge.group(&["acme/api", "acme/web"]);
    let url = forge_settings(home.path(), &forge, "");
    let scan = |more: &[&str]| {
        run(home.path(), &[&["scan", &url, "--config", "forge.toml"], more].concat())
    };
    let ran = scan(&["--include", "zzz*"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{}", ran.err);
    let expected = "acme: no repository was scanned: all 2 repositories are skipped (2 not included by `zzz*`)";
    assert!(ran.err.contains(expected), "{}", ran.err);
    let ran = scan(&["--exclude", "web"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("1 repository (1 skipped: 1 filtered)"), "{}", ran.err);

    // A repository without packages is scanned.
    std::fs::create_dir(home.path().join("empty")).unwrap();
    let ran = run(home.path(), &["scan", "empty"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "empty: no packages\n"), "{}", ran.err);
}

/// Breaks if Ctrl-C loses the results of repositories that are finished.
#[tokio::test]
async fn an_interrupted_scan_keeps_what_is_finished() {
    let home = folder_with(&[("scanner.sh", SCANNER)]);
    for name in ["one", "two", "endless"] {
        std::fs::create_dir(home.path().join(name)).unwrap();
    }
    files::write(&home.path().join("all.json"), "old");
    let command =
        format!("scanner.command=[\"/bin/sh\", \"{}\"]", home.path().join("scanner.sh").display());
    let mut scan = scanwatch(home.path());
    scan.args(["scan", "one", "two", "endless", "--set", &command, "--set"]);
    scan.args(["scanner.max_concurrent_processes=1", "-o", "json=all.json", "-o", "csv=all.csv"]);
    scan.stderr(Stdio::piped());
    let mut scan = tokio::process::Command::from(scan).kill_on_drop(true).spawn().unwrap();
    let began = home.path().join("began");
    eventually("the last scanner works", async || began.exists()).await;
    let marks = [home.path().display().to_string()];
    processes::signal(scan.id().unwrap(), &marks, Signal::INT);
    let status = until(PATIENCE, "the scan ends", async || scan.try_wait().unwrap()).await;
    let output = scan.wait_with_output().await.unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(status.code(), Some(130), "{err}");
    assert!(err.contains("2 finished repositories are in `all.json.partial`"), "{err}");
    let found = files::json(&home.path().join("all.json.partial")).unwrap();
    // The entry of an unfinished repository has a status, and no packages.
    let finished: Vec<_> =
        found.as_array().unwrap().iter().map(|entry| entry["status"].is_null()).collect();
    assert_eq!(finished, [true, true, false], "{found:#}");
    assert_eq!(found[2]["packages"], json!([]), "{found:#}");
    assert_eq!(files::text(&home.path().join("all.json")), "old");
    assert!(!home.path().join("all.csv").exists());
    assert_eq!(files::text(&home.path().join("all.csv.partial")).lines().count(), 3);
    assert_eq!(left_behind(home.path()), [""; 0]);
}

/// Breaks if a signal in the first milliseconds leaves a folder, or ends with another code.
#[tokio::test]
async fn an_early_interrupt_leaves_nothing() {
    let home = folder_with(PROJECT);
    for round in 0..40 {
        let mut scan = program("env");
        // A test that runs in the background of a shell inherits that the signal is ignored.
        scan.args(["--default-signal=INT", env!("CARGO_BIN_EXE_scanwatch"), "scan"]);
        scan.args(["project", "project", "project"]).current_dir(home.path());
        scan.env("TMPDIR", home.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = scan.spawn().unwrap();
        // Any moment between the start of the process and its first scan.
        tokio::time::sleep(Duration::from_micros(1_500 * round)).await;
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        match output.status.code() {
            // Without a handler yet, the signal itself ends the process.
            None | Some(130) => {}
            Some(0) => assert!(err.contains("3 repositories, 9 packages"), "{round}: {err}"),
            Some(code) => panic!("{round}: exit code {code}: {err}"),
        }
        assert_eq!(left_behind(home.path()), [""; 0], "{round}: {err}");
    }
}

/// Breaks if output that cannot be written is not reported.
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let home = folder_with(PROJECT);
    for arguments in [
        &["openapi"] as &[&str],
        &["schema"],
        &["schema", "result"],
        &["config", "defaults"],
        &["config", "show"],
        &["config", "show", "--json"],
        &["token", "new", "ci", "--scope", "read"],
        &["completions", "bash"],
        &["man"],
        &["version"],
        &["--version"],
        &["--help"],
        &["scan", "--help"],
        &["help", "status"],
        &["scan", "project"],
        &["scan", "project", "-o", "json=/dev/full"],
    ] {
        let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = scanwatch(home.path()).args(arguments).stdout(full()).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        assert!(err.contains("No space left on device"), "{arguments:?}: {err}");
    }
    assert_eq!(left_behind(home.path()), [""; 0]);
}

/// Fails if a command whose standard output is closed reports success.
#[test]
fn a_closed_standard_output_is_an_error() {
    let home = folder_with(PROJECT);
    for arguments in [
        &["scan", "project"] as &[&str],
        &["scan", "project", "-o", "json"],
        &["openapi"],
        &["config", "show"],
        &["version"],
        &["--help"],
        &["scan", "--help"],
        &["man"],
    ] {
        let mut shell = program("sh");
        shell.args(["-c", "exec \"$@\" >&-", "sh", env!("CARGO_BIN_EXE_scanwatch")]);
        let output = shell.args(arguments).current_dir(home.path()).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        assert!(err.contains("standard output") && err.contains("closed"), "{arguments:?}: {err}");
    }
    // Nothing is to be written there.
    let mut shell = program("sh");
    shell.args(["-c", "exec \"$@\" >&-", "sh", env!("CARGO_BIN_EXE_scanwatch")]);
    shell.args(["scan", "project", "-o", "json=out.json"]).current_dir(home.path());
    assert_eq!(shell.output().unwrap().status.code(), Some(0));
    assert!(home.path().join("out.json").is_file());
}

/// Breaks if a single file is not read as in its folder, or if one that nothing reads looks empty.
#[test]
fn single_files_are_scanned() {
    let workflow = "jobs:\n  build:\n    steps:\n      - uses: actions/checkout@v4\n";
    let home = folder_with(&[
        ("project/requirements.txt", "requests==2.31.0\nflask>=2\n"),
        ("project/.github/workflows/ci.yml", workflow),
        ("project/notes.odt", "x"),
    ]);
    let json = |arguments: &[&str]| -> Value {
        let ran = run(home.path(), &[&["scan", "-o", "json"], arguments].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        serde_json::from_str(&ran.out).unwrap()
    };
    let file = json(&["project/requirements.txt"]);
    assert_eq!(file["repo_name"], "requirements.txt");
    assert_eq!(file["packages"].as_array().unwrap().len(), 2, "{file:#}");
    assert_eq!(file["packages"][0]["file"], "requirements.txt");
    assert!(file["git_url"].as_str().unwrap().ends_with("/project/requirements.txt"), "{file:#}");
    let workflow = json(&["project/.github/workflows/ci.yml"]);
    assert_eq!(workflow["packages"][0]["file"], ".github/workflows/ci.yml");

    let mut command = scanwatch(home.path());
    command.args(["scan", "-", "--name", "requirements.txt", "-o", "json"]);
    command.stdin(File::open(home.path().join("project/requirements.txt")).unwrap());
    let output = command.output().unwrap();
    let stdin: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&stdin["packages"], &stdin["git_url"]), (&file["packages"], &"-".into()));

    for (arguments, expected) in [
        (&["scan", "project/notes.odt"] as &[&str], "no parser reads a file of this name"),
        (&["scan", "-"], "--name package-lock.json"),
        (&["scan", "-", "--name", "x.odt"], "no parser reads a file of this name"),
        (
            &["scan", "project/requirements.txt", "--set", "limits.max_file_bytes=9"],
            "max_file_bytes",
        ),
    ] {
        let ran = run(home.path(), arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(expected), "{arguments:?}: {}", ran.err);
    }
    assert_eq!(left_behind(home.path()), [""; 0]);
}

/// A `package-lock.json` of a little more than 33 MB, as large monorepos have it.
fn large_lock() -> String {
    let mut text = String::from("{\n  \"lockfileVersion\": 3,\n  \"packages\": {\n    \"\": {}");
    for number in 0..36_000 {
        write!(
            text,
            ",\n    \"node_modules/package-{number}\": {{\n      \"version\": \"1.0.{number}\",\n      \
             \"resolved\": \"https://registry.example/package-{number}/-/package-{number}.tgz\",\n      \
             \"integrity\": \"sha512-{number:0>86}==\",\n      \"license\": \"MIT\",\n      \"dependencies\": {{\n"
        )
        .unwrap();
        for required in 1..=12 {
            let comma = if required == 12 { "" } else { "," };
            let name = (number * 7 + required * 1013) % 36_000;
            writeln!(text, "        \"package-{name}\": \"^1.0.{name} || ^2.0.0-beta.1\"{comma}")
                .unwrap();
        }
        text.push_str("      },\n      \"engines\": {\n        \"node\": \">=18\"\n      }\n    }");
    }
    text.push_str("\n  }\n}\n");
    text
}

/// Breaks if a lock file of the size of a large monorepo is skipped, or takes too much memory, or if the
/// warning about a larger one does not name the setting.
#[test]
fn a_large_lock_file_is_read() {
    let lock = large_lock();
    assert!(lock.len() > 33_000_000, "{}", lock.len());
    let home = folder_with(&[("project/package-lock.json", lock.as_str())]);
    let ran = run(home.path(), &["scan", "project", "-o", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let result: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(result["warnings"], json!([]));
    assert_eq!(result["packages"].as_array().map(Vec::len), Some(36_000));

    let limit = "limits.max_lock_file_bytes=30000000";
    let ran = run(home.path(), &["scan", "project", "-o", "json", "--set", limit]);
    let result: Value = serde_json::from_str(&ran.out).unwrap();
    let message = result["warnings"][0]["message"].as_str().unwrap();
    assert!(message.ends_with("more than 30000000 ([limits] max_lock_file_bytes)"), "{message}");
}

/// Breaks if the error for a removed working directory speaks of URLs.
#[test]
fn a_removed_working_directory_is_named() {
    let home = folder_with(PROJECT);
    let gone = home.path().join("gone");
    std::fs::create_dir(&gone).unwrap();
    let mut shell = program("sh");
    shell.args(["-c", "rmdir \"$PWD\"; exec \"$0\" scan ."]);
    shell.arg(env!("CARGO_BIN_EXE_scanwatch")).current_dir(&gone);
    let output = shell.env("TMPDIR", home.path()).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("if the folder has been removed") && !err.contains("URL"), "{err}");
}
