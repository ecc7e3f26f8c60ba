//! Any program can be a scanner: its input, and how its end is handled, whatever it is.
//!
//! The scanners here are shell and Python scripts. They record what they saw in the test's own
//! folder, outside the jobs folder.

use crate::support::{
    files,
    forge::{Forge, program},
    processes,
    python::succeed,
    server::{Setup, TestServer},
    wait::{PATIENCE, eventually, until, within},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

/// One job with this scanner, run to its end: progress document and status file.
async fn run(server: &TestServer) -> (String, Value, Value) {
    let job = server.submit("widget").await;
    let document = server.finished(&job).await;
    let file = server.status_file(&job, 0);
    (job, document, file)
}

/// A job of one repository that failed in this way, with the same cause in file, answer and text.
#[track_caller]
fn failed(document: &Value, file: &Value, status: &str, kind: &str, error: &str) {
    assert_eq!(document["status"], status, "{document:#}");
    assert_eq!(document["summary"]["failed"], 1, "{document:#}");
    assert_eq!(file["status"], status, "{file:#}");
    assert_eq!(file["failure"]["kind"], kind, "{file:#}");
    assert!(!file["failure"]["detail"].as_str().unwrap_or_default().is_empty(), "{file:#}");
    assert!(file["completed_at"].is_string(), "{file:#}");
    let shown = &document["failed_repositories"][0];
    assert_eq!(shown["repo_name"], "widget", "{document:#}");
    assert_eq!(shown["error"], error, "{document:#}");
    assert_eq!(shown["failure"]["kind"], kind, "{document:#}");
}

// Its input.

/// Breaks if a third-party scanner does not get its whole task, or waits for ever for the end of
/// its input.
#[tokio::test]
async fn the_task_comes_on_standard_input_as_one_line_and_then_the_end() {
    let server = Setup::new()
        .python("open(here + '/stdin', 'w').write(stdin)\nsay('completed')\n")
        .set("scanner.update_interval_secs", 7)
        .start()
        .await;
    let body = json!({
        "git_url": "https://github.com/acme/Widget.git", "ref": "v1.2", "deep": true,
    });
    let job = server.submit_with(&body).await;
    assert_eq!(server.finished(&job).await["status"], "completed");
    let stdin = files::text(&server.file("stdin"));
    assert!(stdin.ends_with('\n') && stdin.lines().count() == 1, "{stdin:?}");

    let task: Value = serde_json::from_str(&stdin).unwrap();
    let folder = server.job_folder(&job);
    for (member, value) in [
        ("job_id", json!(job)),
        ("repo_index", json!(0)),
        ("repo_name", json!("Widget")),
        ("git_url", json!("https://github.com/acme/Widget.git")),
        ("ref", json!("v1.2")),
        ("attempt", json!(1)),
        ("status_file", json!(folder.join("repo_0.json"))),
        ("result_file", json!(folder.join("results/repo_0.json"))),
        ("update_interval_secs", json!(7)),
        ("deep", json!(true)),
        ("credentials", Value::Null),
    ] {
        assert_eq!(task.get(member), Some(&value), "{member} in {task:#}");
    }
    for member in ["limits", "network", "categories"] {
        assert!(task[member].is_object(), "{member} in {task:#}");
    }
    assert!(task["network"].to_string().contains("github.com"), "{task:#}");
    assert!(Path::new(task["work_dir"].as_str().unwrap()).is_absolute(), "{task:#}");
}

/// Breaks if a variable of the server's leaks to scanners: passwords, tokens, proxies, preloads.
#[tokio::test]
async fn the_environment_is_exactly_what_the_protocol_names() {
    let server = Setup::new()
        .shell(
            "tr '\\0' '\\n' < /proc/$$/environ > \"$dir/environment\"\n\
             tr '\\0' '\\n' < /proc/$PPID/environ > \"$dir/shims-environment\"\n\
             say completed\n",
        )
        .user("operator", "canary-password")
        .variable("GIT_TRACE_CURL", 1)
        .variable("https_proxy", "http://127.0.0.1:9")
        .variable("LD_LIBRARY_PATH", "/nonexistent")
        .start()
        .await;
    let (job, ..) = run(&server).await;
    let text = files::text(&server.file("environment"));
    let variables: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let value = |name: &str| {
        let found = variables.iter().find(|(key, _)| *key == name);
        found.unwrap_or_else(|| panic!("{name} is missing: {text}")).1
    };
    let mut names: BTreeSet<_> = variables.iter().map(|(name, _)| *name).collect();
    assert!(names.remove(scanwatch::model::task::TRACKING_VARIABLE), "{text}");
    let expected = [
        "HOME",
        "LANG",
        "PATH",
        "SCANWATCH_JOB_ID",
        "SCANWATCH_REPO_INDEX",
        "SCANWATCH_REPO_NAME",
        "SCANWATCH_REPO_URL",
        "SCANWATCH_RESULT_FILE",
        "SCANWATCH_STATUS_FILE",
        "SCANWATCH_UPDATE_INTERVAL_SECS",
        "SCANWATCH_WORK_DIR",
    ];
    assert_eq!(names, BTreeSet::from(expected));
    let shims = files::text(&server.file("shims-environment"));
    assert!(shims.starts_with("PATH=") && shims.lines().count() == 1, "{shims}");
    assert_eq!(value("SCANWATCH_JOB_ID"), job);
    assert_eq!(value("SCANWATCH_REPO_INDEX"), "0");
    assert_eq!(value("SCANWATCH_REPO_NAME"), "widget");
    assert_eq!(value("SCANWATCH_REPO_URL"), "https://github.com/acme/widget.git");
    assert_eq!(value("SCANWATCH_UPDATE_INTERVAL_SECS"), "30");
    assert_eq!(value("HOME"), value("SCANWATCH_WORK_DIR"));
    let folder = server.job_folder(&job);
    assert_eq!(Path::new(value("SCANWATCH_STATUS_FILE")), folder.join("repo_0.json"));
    assert_eq!(Path::new(value("SCANWATCH_RESULT_FILE")), folder.join("results/repo_0.json"));
}

/// Breaks if scanners see each other's files, fill the disk for ever, or cannot rename a file into
/// place because their folder is on another file system.
#[tokio::test]
async fn the_working_folder_is_empty_private_and_removed_afterwards() {
    let server = Setup::new()
        .python(
            "note = dict(cwd=os.getcwd(), content=os.listdir('.'), dev=os.stat('.').st_dev,\n\
             \x20   mode=os.stat('.').st_mode & 0o077, env=os.environ['SCANWATCH_WORK_DIR'])\n\
             json.dump(note, open(here + '/note', 'w'))\n\
             os.makedirs('a/b')\n\
             open('a/b/left', 'w').write('behind')\n\
             os.symlink(here, 'a/way-out')\n\
             say('completed')\n",
        )
        .start()
        .await;
    run(&server).await;
    let note = files::json(&server.file("note")).unwrap();
    assert_eq!(note["content"], json!([]), "{note:#}");
    assert_eq!(note["cwd"], note["env"], "{note:#}");
    assert_eq!(note["dev"], json!(server.setup().jobs().metadata().unwrap().dev()), "{note:#}");
    assert_eq!(note["mode"], json!(0), "nobody else may look in: {note:#}");
    let folder = Path::new(note["cwd"].as_str().unwrap());
    assert!(folder.starts_with(server.setup().jobs().join(".staging")), "{note:#}");
    eventually("the scratch folder is removed", async || !folder.exists()).await;
    assert!(server.file("note").exists(), "a link was followed while removing");
}

/// Breaks if descriptors of the server (sockets, the folder's lock, what its parent left open) leak
/// into scanners, if a signal to a scanner's group reaches others, or if a crash leaves a core file
/// with secrets in it.
#[tokio::test]
async fn a_scanner_has_a_group_of_its_own_and_only_the_three_standard_descriptors() {
    let server = Setup::new()
        .python(
            "import resource\n\
             listed = [int(number) for number in os.listdir('/proc/self/fd')]\n\
             def is_open(number):\n\
             \x20   try: return os.fstat(number) is not None\n\
             \x20   except OSError: return False  # it was the listing itself\n\
             note = dict(open=sorted(filter(is_open, listed)),\n\
             \x20   group=os.getpgrp() == os.getpid(),\n\
             \x20   core=resource.getrlimit(resource.RLIMIT_CORE))\n\
             json.dump(note, open(here + '/note', 'w'))\n\
             say('completed')\n",
        )
        .inheriting_a_file()
        .start()
        .await;
    run(&server).await;
    let note = files::json(&server.file("note")).unwrap();
    assert_eq!(note, json!({ "open": [0, 1, 2], "group": true, "core": [0, 0] }));
}

/// Breaks if the findings of a third-party scanner do not reach the client.
#[tokio::test]
async fn a_result_that_is_renamed_into_place_is_served() {
    let server = Setup::new()
        .python(
            "say('scanning', total_files=2, current_file=1, current_filename='Cargo.lock')\n\
             now = datetime.datetime.now(datetime.timezone.utc).isoformat()\n\
             package = dict(name='anyhow', version='1.0.0', ecosystem='cargo',\n\
             \x20   purl='pkg:cargo/anyhow@1.0.0', file='Cargo.lock', direct=True,\n\
             \x20   scope='runtime', source='lockfile')\n\
             replace(task['result_file'], dict(schema=1, repo_index=0, repo_name='widget',\n\
             \x20   git_url=task['git_url'], commit='0' * 40, scanned_at=now, duration_ms=5,\n\
             \x20   files=dict(seen=2, parsed=1, failed=0, skipped=0), packages=[package],\n\
             \x20   categories={'Errors': True}, infrastructure_usage={'Docker': False},\n\
             \x20   warnings=[]))\n\
             say('completed', total_files=2, current_file=2, dependencies_found=1)\n",
        )
        .start()
        .await;
    let (job, document, _) = run(&server).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    let results = server.get(&format!("/jobs/{job}/results")).await.expect(200).json();
    assert_eq!(results["packages_total"], 1, "{results:#}");
    assert_eq!(results["dependencies"], json!({ "Errors": true }), "{results:#}");
    let usage = json!({ "Docker": false, "devpods": false });
    assert_eq!(results["infrastructure_usage"], usage, "{results:#}");
}

/// Breaks if the secret of a forge leaks: into arguments, environment, files, logs or answers.
#[tokio::test]
async fn a_forges_secret_travels_on_standard_input_alone() {
    let secret = "glpat-c4n4ry/+x";
    let setup = Setup::new();
    let token = setup.folder().join("token");
    files::write(&token, format!("{secret}\n"));
    let forge = format!(
        "[{{ kind = \"gitlab\", url = \"http://127.0.0.1:9\", token_file = {token:?}, \
         username = \"oauth2\" }}]"
    );
    let server = setup
        .set("forges", forge)
        .python(
            "import base64\n\
             secret = task['credentials']['password']\n\
             open(here + '/task', 'w').write(stdin)\n\
             with open(here + '/surroundings', 'wb') as note:\n\
             \x20   for process in ('self', str(os.getppid())):\n\
             \x20       for what in ('environ', 'cmdline'):\n\
             \x20           note.write(open('/proc/%s/%s' % (process, what), 'rb').read() + b'\\n')\n\
             pair = base64.b64encode(b'oauth2:' + secret.encode()).decode()\n\
             print('out: ' + stdin)\n\
             print('err: fatal: https://oauth2:' + secret + '@127.0.0.1/g/r.git', file=sys.stderr)\n\
             print('Authorization: Basic ' + pair, file=sys.stderr)\n\
             say('scanning')\n\
             sys.exit(3)\n",
        )
        .start()
        .await;
    let job = server.submit_with(&json!({ "git_url": "http://127.0.0.1:9/g/r.git" })).await;
    let document = server.finished(&job).await;

    let task: Value = serde_json::from_str(&files::text(&server.file("task"))).unwrap();
    assert_eq!(task["credentials"], json!({ "username": "oauth2", "password": secret }));
    let log = files::text(&server.scanner_log(&job, 0));
    assert!(log.contains("out: ") && log.contains("err: "), "what it printed is kept: {log}");
    let pair = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("oauth2:{secret}"),
    );
    let mut places = vec![
        ("surroundings".to_owned(), files::text(&server.file("surroundings"))),
        ("answer".to_owned(), document.to_string()),
        ("server's log".to_owned(), server.setup().log()),
    ];
    for file in files::below(&server.setup().jobs()) {
        places.push((file.display().to_string(), files::text(&file)));
    }
    for (place, text) in places {
        assert!(
            !text.contains(secret) && !text.contains(&pair),
            "the secret is in {place}: {text}"
        );
    }
}

// Its end.

/// Breaks if a scanner that writes no status counts as broken.
#[tokio::test]
async fn exit_0_without_a_status_is_completed_with_a_warning() {
    let server = Setup::new().shell("exit 0\n").start().await;
    let (job, document, file) = run(&server).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(document["completed_repositories"], json!(["widget"]), "{document:#}");
    assert_eq!(file["status"], "completed", "{file:#}");
    let results = server.get(&format!("/jobs/{job}/results")).await.expect(200).json();
    assert_eq!(results["packages_total"], 0, "{results:#}");
    until(PATIENCE, "the missing result is warned of", async || {
        let warnings = server.progress(&job).await["warnings"].clone();
        warnings.as_array().is_some_and(|list| !list.is_empty()).then_some(())
    })
    .await;
}

/// Breaks if a scanner that exits in the middle of its work counts as done: its results would be
/// trusted.
#[tokio::test]
async fn exit_0_with_a_working_status_is_a_protocol_violation() {
    let server = Setup::new().shell("say scanning\nexit 0\n").start().await;
    let (_, document, file) = run(&server).await;
    assert_eq!(document["status"], "failed", "{document:#}");
    assert_eq!(file["failure"]["kind"], "protocol", "{file:#}");
}

/// Breaks if an exit code is lost, or its text differs from what clients have read for years.
#[tokio::test]
async fn another_exit_code_is_a_failure_with_that_code() {
    let server = Setup::new().shell("say scanning\nexit 3\n").start().await;
    let (_, document, file) = run(&server).await;
    failed(&document, &file, "failed", "exit", "Process exited with code 3");
    assert_eq!(file["failure"]["exit_code"], 3, "{file:#}");
    assert_eq!(file["attempt"], 1, "a failure is not tried again by itself: {file:#}");
}

/// Breaks if an exit code hides that a scanner reported completion before it failed.
#[tokio::test]
async fn another_exit_code_outweighs_a_completed_status() {
    let server = Setup::new().shell("say completed\nexit 4\n").start().await;
    let (_, document, file) = run(&server).await;
    failed(&document, &file, "failed", "exit", "Process exited with code 4");
}

/// Breaks if a scanner's own words about its failure are replaced by a bare exit code.
#[tokio::test]
async fn a_failure_reported_by_the_scanner_is_kept() {
    let server = Setup::new()
        .shell("say failed '\"error_message\": \"the well is dry\"'\nexit 1\n")
        .start()
        .await;
    let (_, document, file) = run(&server).await;
    assert_eq!(document["status"], "failed", "{document:#}");
    assert_eq!(document["failed_repositories"][0]["error"], "the well is dry", "{document:#}");
    assert_eq!(file["error_message"], "the well is dry", "{file:#}");
}

/// Breaks if the last status of a failing scanner is lost: name, progress, and cause.
#[tokio::test]
async fn name_progress_and_last_status_survive_a_death() {
    let server = Setup::new()
        .shell(
            "say scanning '\"total_files\": 100, \"current_file\": 40, \"stage\": \"lock files\"'\n\
             i=0; while [ $i -lt 2000 ]; do echo \"line $i\" >&2; i=$((i + 1)); done\n\
             echo 'last words' >&2\n\
             exit 3\n",
        )
        .start()
        .await;
    let (job, document, file) = run(&server).await;
    failed(&document, &file, "failed", "exit", "Process exited with code 3");
    assert_eq!(file["repo_name"], "widget", "{file:#}");
    assert_eq!((&file["total_files"], &file["current_file"]), (&json!(100), &json!(40)));
    assert_eq!(file["stage"], "lock files", "{file:#}");
    let stderr = file["stderr"].as_str().unwrap();
    assert!(stderr.contains("last words"), "{stderr}");
    assert!(stderr.len() < 100_000, "a tail, not all of it: {} bytes", stderr.len());
    let progress = &document["repositories"][0]["progress"];
    assert_eq!(progress["percentage"], 40.0, "{document:#}");
    let log = files::text(&server.scanner_log(&job, 0));
    assert!(log.contains("line 0\n") && log.contains("last words\n"), "the log has all of it");
}

/// Breaks if a scanner that is killed (by an operator, by the kernel) stays "scanning".
#[tokio::test]
async fn a_killed_scanner_is_finalized_within_two_seconds() {
    let server =
        Setup::new().shell("say scanning\necho $$ > \"$dir/pid\"\nexec sleep 999\n").start().await;
    for (signal, number) in [(Signal::KILL, 9), (Signal::SEGV, 11), (Signal::TERM, 15)] {
        let job = server.submit("widget").await;
        let pid = server.note("pid").await.parse().unwrap();
        server.working(&job).await;
        let killed = Instant::now();
        server.signal(pid, signal);
        within(Duration::from_secs(2), "the death is noticed", async || {
            server.progress(&job).await["status"] == "failed"
        })
        .await;
        assert!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
        let file = server.status_file(&job, 0);
        assert_eq!(file["failure"]["kind"], "signal", "{file:#}");
        assert_eq!(file["failure"]["signal"], number, "{file:#}");
        std::fs::remove_file(server.file("pid")).unwrap();
    }
}

/// Breaks if a program that cannot be started leaves its repository waiting.
#[tokio::test]
async fn a_program_that_cannot_be_started_fails_its_repository() {
    let setup = Setup::new();
    let program = setup.folder().join("program");
    std::os::unix::fs::symlink("/bin/true", &program).unwrap();
    let server = setup.command(&[program.to_str().unwrap()]).start().await;
    std::fs::remove_file(&program).unwrap();
    let (_, document, file) = run(&server).await;
    assert_eq!(document["status"], "failed", "{document:#}");
    assert_eq!(file["failure"]["kind"], "spawn", "{file:#}");
    assert!(file["failure"]["detail"].as_str().unwrap().contains("program"), "{file:#}");
}

// How it is stopped.

/// Breaks if a scanner that hangs is not stopped on time, or not with its whole process tree.
#[tokio::test]
async fn a_timed_out_scanner_is_stopped_with_its_whole_process_tree() {
    let server = Setup::new()
        .shell(
            "trap '' TERM\n\
             say scanning\n\
             setsid sleep 999 &\n\
             echo $! > \"$dir/stray\"\n\
             while :; do sleep 1; done\n",
        )
        .set("scanner.subprocess_timeout_secs", 2)
        .set("scanner.kill_grace_secs", 1)
        .start()
        .await;
    let job = server.submit("widget").await;
    let stray: u32 = server.note("stray").await.parse().unwrap();
    let began = Instant::now();
    let document = server.finished(&job).await;
    let took = began.elapsed();
    assert!(took > Duration::from_secs(1) && took < Duration::from_secs(10), "{took:?}");
    let file = server.status_file(&job, 0);
    failed(&document, &file, "timeout", "timeout", "Process killed after 2 seconds timeout");
    server.no_process_left(Duration::from_secs(2)).await;
    assert!(!processes::lives(stray), "the stray lives: {}", processes::describe(stray));
}

/// Breaks if a scanner that handles SIGTERM does not get its grace period.
#[tokio::test]
async fn a_timed_out_scanner_gets_sigterm_before_sigkill() {
    let server = Setup::new()
        .shell(
            // Longer than it takes to be killed without a grace period.
            "trap 'sleep 0.5; echo asked > \"$dir/asked\"; exit 1' TERM\n\
             say scanning\n\
             while :; do sleep 0.1; done\n",
        )
        .set("scanner.subprocess_timeout_secs", 1)
        .set("scanner.kill_grace_secs", 30)
        .start()
        .await;
    let (_, document, file) = run(&server).await;
    failed(&document, &file, "timeout", "timeout", "Process killed after 1 seconds timeout");
    assert_eq!(files::text(&server.file("asked")), "asked\n");
}

/// Breaks if a scanner without a heartbeat is waited for until its deadline; or if one is stopped
/// that sends heartbeats, even without progress, or that never sent any.
#[tokio::test]
async fn a_scanner_without_a_heartbeat_is_stopped_and_others_are_not() {
    let server = Setup::new()
        .shell(
            "case $SCANWATCH_REPO_NAME in\n\
             silent) say scanning; sleep 999 ;;\n\
             steady) for i in 1 2 3 4 5 6 7 8 9 10; do say scanning; sleep 0.5; done ;;\n\
             mute) sleep 5; exit 0 ;;\n\
             esac\n\
             say completed\n",
        )
        .set("scanner.update_interval_secs", 1)
        .set("scanner.stall_timeout_secs", 2)
        .set("scanner.kill_grace_secs", 1)
        .start()
        .await;
    let silent = server.submit("silent").await;
    let steady = server.submit("steady").await;
    let mute = server.submit("mute").await;
    let document = server.finished(&silent).await;
    let file = server.status_file(&silent, 0);
    assert_eq!(file["failure"]["kind"], "stalled", "{file:#}");
    assert_eq!(document["summary"]["failed"], 1, "{document:#}");
    assert_eq!(server.finished(&steady).await["status"], "completed");
    assert_eq!(server.finished(&mute).await["status"], "completed");
    server.no_process_left(Duration::from_secs(5)).await;
}

/// Breaks if a heartbeat is missed that a scanner sends before its shim looks for the first time: a
/// shim that missed the only one would wait for the scanner until its deadline.
#[tokio::test]
async fn scanners_that_hang_after_their_first_heartbeat_are_all_stopped() {
    const SCANS: usize = 60;
    // The shim is paused, so that it looks after the heartbeat.
    const FIRST_HEARTBEAT: &str = "kill -STOP $PPID; \
        printf '{\"repo_index\": 0, \"repo_name\": \"silent\", \"status\": \"scanning\"}' > part; \
        mv part \"$SCANWATCH_STATUS_FILE\"; kill -CONT $PPID; exec sleep 999";
    let server = Setup::new()
        .command(&["/bin/sh", "-c", FIRST_HEARTBEAT])
        .set("scanner.max_concurrent_processes", SCANS)
        .set("limits.max_fetch_bytes", 1_000_000)
        .set("scanner.stall_timeout_secs", 2)
        .set("scanner.kill_grace_secs", 1)
        .start()
        .await;
    let mut jobs = Vec::new();
    for number in 0..SCANS {
        jobs.push(server.submit(&format!("silent-{number}")).await);
    }
    for job in &jobs {
        server.finished(job).await;
        let file = server.status_file(job, 0);
        assert_eq!(file["failure"]["kind"], "stalled", "{file:#}");
    }
}

/// Breaks if a scanner cannot be stopped, or if its child processes go on without it.
#[tokio::test]
async fn a_cancelled_scanner_is_gone_with_its_whole_process_tree() {
    let server = Setup::new()
        .shell(
            "trap '' TERM\n\
             setsid sleep 999 &\n\
             echo $! > \"$dir/stray\"\n\
             say scanning\n\
             while :; do sleep 1; done\n",
        )
        .set("scanner.kill_grace_secs", 1)
        .start()
        .await;
    let job = server.submit("widget").await;
    server.working(&job).await;
    let stray: u32 = server.note("stray").await.parse().unwrap();
    server.post_nothing(&format!("/scan/{job}/cancel")).await.expect(200);
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "cancelled", "{document:#}");
    until(PATIENCE, "the repository is cancelled", async || {
        let file = server.status_file(&job, 0);
        (file["status"] == "cancelled" && file["failure"]["kind"] == "cancelled").then_some(())
    })
    .await;
    server.no_process_left(Duration::from_secs(5)).await;
    assert!(!processes::lives(stray), "the stray lives: {}", processes::describe(stray));
}

/// Breaks if a process that a scanner left behind keeps its job from ending, or survives.
#[tokio::test]
async fn a_stray_process_with_the_output_open_does_not_delay_the_end() {
    let server = Setup::new()
        .shell("setsid sleep 999 &\nsay completed\necho over > \"$dir/over\"\nexit 0\n")
        .start()
        .await;
    let job = server.submit("widget").await;
    server.note("over").await;
    within(Duration::from_secs(4), "the job ends", async || {
        server.progress(&job).await["status"] == "completed"
    })
    .await;
    server.no_process_left(Duration::from_secs(3)).await;
}

/// Breaks if a scanner that replaces a file with something else keeps its job from ending, and its
/// scanner slot for ever.
#[tokio::test]
async fn anything_in_place_of_a_file_does_not_delay_the_end() {
    let server = Setup::new()
        .shell(
            "job=${SCANWATCH_STATUS_FILE%/*}\n\
             case $SCANWATCH_REPO_NAME in\n\
             status) rm \"$SCANWATCH_STATUS_FILE\"; mkdir -p \"$SCANWATCH_STATUS_FILE/full\"; exit 3;;\n\
             result) mkfifo \"$SCANWATCH_RESULT_FILE\"; say failed; exit 1;;\n\
             master) say completed; rm \"$job/master.json\"; mkdir \"$job/master.json\";;\n\
             lock) say completed; rm \"$job/locks/repo_0.lock\"; mkdir \"$job/locks/repo_0.lock\";;\n\
             esac\n",
        )
        .start()
        .await;
    let ends = [
        ("status", "failed"),
        ("result", "failed"),
        ("master", "completed"),
        ("lock", "completed"),
    ];
    for (name, end) in ends {
        let job = server.submit(name).await;
        within(Duration::from_secs(10), &format!("the job {name} ends"), async || {
            server.progress(&job).await["status"] == end
        })
        .await;
        let state = &server.status_file(&job, 0)["status"];
        assert_eq!(state, end, "{name}");
    }
    let staging = server.setup().jobs().join(".staging");
    assert_eq!(std::fs::read_dir(staging).unwrap().count(), 0, "what was in the way is removed");
}

/// Breaks if a pipe in place of the log blocks a shim, which then cannot be stopped.
#[tokio::test]
async fn a_pipe_in_place_of_the_log_does_not_block() {
    let server = Setup::new()
        .shell(
            "say scanning\n\
             log=${SCANWATCH_STATUS_FILE%/*}/logs/repo_0.log\n\
             rm \"$log\"\n\
             mkfifo \"$log\"\n\
             kill -KILL $PPID\n\
             sleep 999\n",
        )
        .start()
        .await;
    let (job, document, file) = run(&server).await;
    assert_eq!(document["status"], "failed", "{document:#}");
    assert_eq!(file["attempt"], 2, "{file:#}");
    assert_eq!(file["failure"]["kind"], "spawn", "{file:#}");
    assert!(server.shim(&job, 0).is_none());
}

/// Breaks if a job that has started is still called initializing in its own file.
#[tokio::test]
async fn the_start_of_a_job_is_in_its_file_at_once() {
    let server = Setup::new()
        .shell(
            "sleep 0.5\n\
             cp \"${SCANWATCH_STATUS_FILE%/*}/master.json\" \"$dir/seen\"\n\
             say completed\n",
        )
        .start()
        .await;
    run(&server).await;
    assert_eq!(files::json(&server.file("seen")).unwrap()["status"], "in_progress");
}

// Its output.

/// Breaks if a full pipe blocks a scanner with much output for ever, or if it can fill the disk.
#[tokio::test]
async fn a_verbose_scanner_is_not_blocked_and_its_log_is_limited() {
    let server = Setup::new()
        .python(
            "say('scanning')\n\
             line = 'x' * 999 + '\\n'\n\
             for stream in (sys.stdout, sys.stderr):\n\
             \x20   for _ in range(25_000): stream.write(line)\n\
             \x20   stream.flush()\n\
             sys.stdout.write('y' * 5_000_000)\n\
             sys.stdout.flush()\n\
             os.write(1, bytes(range(256)))\n\
             say('completed')\n",
        )
        .start()
        .await;
    let (job, document, _) = run(&server).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    let size = server.scanner_log(&job, 0).metadata().unwrap().len();
    assert!((1_000..20_000_000).contains(&size), "the log has {size} bytes");
}

/// Breaks if a log can clear, colour or forge lines in the reader's terminal.
#[tokio::test]
async fn control_characters_are_escaped_in_a_log() {
    let server = Setup::new()
        .shell("printf 'a\\033[2Jb\\007c\\rd\\te\\302\\233f\\r\\n' >&2\nsay scanning\nexit 3\n")
        .start()
        .await;
    let (job, _, file) = run(&server).await;
    let log = files::text(&server.scanner_log(&job, 0));
    let spelled = "a\\u{1b}[2Jb\\u{7}c\\rd\te\\u{9b}f";
    assert!(log.contains(&format!("{spelled}\n")), "{log:?}");
    assert_eq!(file["stderr"], spelled, "{file:#}");
}

/// Breaks if an endless line is kept in memory until the scanner ends, or if a secret can be read
/// where such a line is cut.
#[tokio::test]
async fn an_endless_line_is_cut_but_never_within_a_secret() {
    let secret = "glpat-c4n4ry-of-the-cut";
    let setup = Setup::new();
    let token = setup.folder().join("token");
    files::write(&token, secret);
    let forge =
        format!("[{{ kind = \"gitlab\", url = \"http://127.0.0.1:9\", token_file = {token:?} }}]");
    let server = setup
        .set("forges", forge)
        .python(
            "secret = task['credentials']['password'].encode()\n\
             say('scanning')\n\
             for shown in range(1, len(secret)):\n\
             \x20   os.write(2, b'x' * (65536 - shown) + secret[:shown])\n\
             \x20   time.sleep(0.02)  # so that this much is read, and no more\n\
             \x20   os.write(2, secret[shown:] + b'\\n')\n\
             os.write(2, b'y' * 70000)\n\
             while not os.path.exists(here + '/go'): time.sleep(0.05)\n\
             say('completed')\n",
        )
        .start()
        .await;
    let job = server.submit_with(&json!({ "git_url": "http://127.0.0.1:9/g/r.git" })).await;
    let log = server.scanner_log(&job, 0);
    eventually("the line is in the log before it has an end", async || {
        files::text(&log).contains("yyyy")
    })
    .await;
    files::write(&server.file("go"), "");
    server.finished(&job).await;
    let text = files::text(&log);
    assert_eq!(text.matches("***").count(), secret.len() - 1);
    for length in 4..secret.len() {
        let part = &secret[..length];
        assert!(!text.contains(part), "{part:?} is in the log");
        let part = &secret[secret.len() - length..];
        assert!(!text.contains(part), "{part:?} is in the log");
    }
}

// Its result.

/// Breaks if an unreadable result counts as a good one.
#[tokio::test]
async fn an_invalid_result_is_a_protocol_violation() {
    for (script, said) in [
        ("echo '{\"packages\": [' > part", "not valid JSON"),
        ("printf '[\"%01000d\"]' 7 > part", "larger than 1000 bytes"),
        ("ln -s \"$dir/elsewhere.json\" part", "cannot be read"),
        ("mkfifo part", "cannot be read"),
        ("mkdir part", "cannot be read"),
    ] {
        let server = Setup::new()
            .set("limits.max_result_bytes", 1000)
            .shell(&format!("{script}\nmv -T part \"$SCANWATCH_RESULT_FILE\"\nsay completed\n"))
            .start()
            .await;
        files::write(&server.file("elsewhere.json"), "{}");
        let (_, document, file) = run(&server).await;
        assert_eq!(document["status"], "failed", "{script}: {document:#}");
        assert_eq!(file["failure"]["kind"], "protocol", "{script}: {file:#}");
        let detail = file["failure"]["detail"].as_str().unwrap();
        assert!(detail.contains(said), "{script}: {detail}");
    }
}

/// Breaks if a disk that is full for a moment turns the end of a scan into a second scan.
#[tokio::test]
async fn an_end_that_cannot_be_written_at_first_is_written_later() {
    let server = Setup::new()
        .shell(
            "say scanning\n\
             echo ready > \"$dir/ready\"\n\
             while [ ! -e \"$dir/go\" ]; do sleep 0.05; done\n\
             exit 3\n",
        )
        .start()
        .await;
    let job = server.submit("widget").await;
    server.note("ready").await;
    let shim = server.shim(&job, 0).expect("a scan has a shim").pid;
    // Without its folder for temporary files no write is possible.
    let (staging, away) = (server.setup().jobs().join(".staging"), server.file("away"));
    std::fs::rename(&staging, &away).unwrap();
    files::write(&server.file("go"), "");
    let scanner = format!("SCANWATCH_JOB_ID={job}");
    eventually("the scanner is gone", async || {
        processes::carrying(std::slice::from_ref(&scanner)).is_empty()
    })
    .await;
    // It has slept several times since, before each further attempt to write.
    let before = processes::times_asleep(shim);
    eventually("the shim tries again, or gives up", async || {
        !processes::lives(shim) || processes::times_asleep(shim) > before + 3
    })
    .await;
    assert!(processes::lives(shim), "the shim gave up");
    std::fs::rename(&away, &staging).unwrap();
    let document = server.finished(&job).await;
    let file = server.status_file(&job, 0);
    failed(&document, &file, "failed", "exit", "Process exited with code 3");
    assert_eq!(file["attempt"], 1, "{file:#}");
}

// Without help from the kernel.

/// A control group folder with the name an attempt's will have: so the shim cannot create one. It
/// is removed on drop, where it could be created at all.
pub(crate) struct TakenGroup(Option<std::path::PathBuf>);

impl TakenGroup {
    pub(crate) fn of_first_attempt(job: &str) -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "));
        let mount = mount.and_then(|line| line.split(' ').nth(4));
        let path = mount
            .zip(own)
            .map(|(mount, own)| Path::new(mount).join(own).join(format!("scanwatch-{job}-0-1")));
        Self(path.filter(|path| std::fs::create_dir(path).is_ok()))
    }

    /// Whether the group, if there is one, is as empty as when it was created.
    pub(crate) fn is_unused(&self) -> bool {
        self.0.as_ref().is_none_or(|path| files::text(&path.join("cgroup.procs")).is_empty())
    }
}

impl Drop for TakenGroup {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Only an empty group can be removed, and only by rmdir.
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// Breaks if a scanner's process tree escapes on a machine without control groups: one process that
/// leads its own session, and its child.
#[tokio::test]
async fn without_a_control_group_the_whole_process_tree_is_killed_too() {
    let setup = Setup::new().set("scanner.kill_grace_secs", 1).shell(
        "trap '' TERM\n\
         setsid sh -c 'trap \"\" TERM; sleep 998 & echo $$ > \"$0/stray\"; wait' \"$dir\" &\n\
         say scanning\n\
         while :; do sleep 1; done\n",
    );
    let job = setup.write_group(1);
    let group = TakenGroup::of_first_attempt(&job);
    let server = setup.start().await;
    let stray: u32 = server.note("stray").await.parse().unwrap();
    server.working(&job).await;
    assert!(group.is_unused(), "the test is about life without a group");
    server.post_nothing(&format!("/scan/{job}/cancel")).await.expect(200);
    assert_eq!(server.finished(&job).await["status"], "cancelled");
    server.no_process_left(Duration::from_secs(5)).await;
    assert!(!processes::lives(stray));
}

/// Breaks if the scanner of a killed shim can only be found by its control group.
#[tokio::test]
async fn without_a_control_group_a_killed_shims_scanner_is_found_by_its_mark() {
    let setup = Setup::new().shell(
        "[ \"$attempt\" = 1 ] || { say completed; exit 0; }\n\
         say scanning\n\
         setsid sleep 999 &\n\
         echo $! > \"$dir/stray\"\n\
         sleep 999\n",
    );
    let job = setup.write_group(1);
    let group = TakenGroup::of_first_attempt(&job);
    let server = setup.start().await;
    let stray: u32 = server.note("stray").await.parse().unwrap();
    server.working(&job).await;
    assert!(group.is_unused(), "the test is about life without a group");
    processes::kill_lock_holder(&server.shim_lock(&job, 0)).expect("a living shim holds its lock");
    assert_eq!(server.finished(&job).await["status"], "completed");
    assert!(!processes::lives(stray), "the stray lives: {}", processes::describe(stray));
    server.no_process_left(Duration::from_secs(5)).await;
}

/// Breaks if the scanner of docs/protocol.md works in a server and not in `scan`: both read what a
/// scanner has to write, and require nothing else.
#[tokio::test]
async fn the_scanner_of_five_lines_works_in_serve_and_in_scan() {
    let document = include_str!("../../docs/protocol.md");
    let (_, script) = document.split_once("```sh\n#!/bin/sh\nsay() {").unwrap();
    let script = format!("#!/bin/sh\nsay() {{{}", script.split_once("```").unwrap().0);
    let setup = Setup::new();
    let path = setup.folder().join("five-lines.sh");
    files::write(&path, script);
    let command = json!(["/bin/sh", path]);
    let server = setup.set("scanner.command", &command).start().await;
    let (job, document, _) = run(&server).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    let results = server.get(&format!("/jobs/{job}/results")).await.expect(200).json();
    assert_eq!(results["packages_total"], 0, "{results:#}");

    let forge = Forge::start();
    forge.add_repository("owner/app", &[("a", b"")]);
    let mut scan = program(env!("CARGO_BIN_EXE_scanwatch"));
    scan.args(["scan", &forge.url("owner/app"), "--format", "json"]).env("TMPDIR", server.folder());
    let scanned = succeed(scan.arg("--set").arg(format!("scanner.command={command}")));
    let result: Value = serde_json::from_slice(&scanned.stdout).unwrap();
    assert_eq!(
        (&result["packages"], &result["repo_name"]),
        (&json!([]), &json!("app")),
        "{result:#}"
    );
}
