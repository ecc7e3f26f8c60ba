//! Requested retries happen for transient causes, after growing pauses, and exactly as often as
//! requested: whatever is killed, stopped or cancelled in the meantime.

use crate::support::{
    files,
    forge::{Forge, program},
    processes,
    server::{Setup, TestServer, is_final},
    sse::{Event, EventStream},
    wait::{PATIENCE, eventually, until},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// A scanner that records when each attempt began and ended, and fails until it is fixed; with a
/// `held`, it waits.
const FAILING: &str = r#"
note() { echo "$SCANWATCH_REPO_NAME $attempt $1 $(date +%s.%N)" >> "$dir/notes"; }
tell() { say "$1" "\"attempt\": $attempt"; }
note begins
tell scanning
while [ -e "$dir/held" ]; do sleep 0.05; done
[ "$SCANWATCH_REPO_NAME" = part-1 ] || [ "$SCANWATCH_REPO_NAME" = part-2 ] ||
    [ -e "$dir/mended-$attempt" ] || { echo 'no luck' >&2; note ends; exit 7; }
tell completed
"#;

/// The shortest possible pause; and one that no test waits for.
const SHORT: u64 = 1;
const LONG: u64 = 600;

fn setup(pause_secs: u64) -> Setup {
    let pause = format!("{pause_secs}");
    Setup::new().shell(FAILING).variable("SCANWATCH_SCANNER__RETRY_PAUSE_SECS", pause)
}

async fn submit(server: &TestServer, name: &str, retries: u64) -> String {
    let url = format!("https://github.com/acme/{name}.git");
    server.submit_with(&json!({ "git_url": url, "retries": retries })).await
}

/// When the attempts of a repository began or ended, in seconds.
fn notes(server: &TestServer, name: &str, word: &str) -> Vec<f64> {
    let text = files::text(&server.file("notes"));
    let times = text.lines().filter_map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        (words[0] == name && words[2] == word).then(|| words[3].parse().unwrap())
    });
    times.collect()
}

fn begun(server: &TestServer, name: &str) -> usize {
    notes(server, name, "begins").len()
}

/// Waits until the first repository of a job waits for this attempt; its status file.
async fn waits(server: &TestServer, job: &str, attempt: u64) -> Value {
    let path = server.job_folder(job).join("repo_0.json");
    until(PATIENCE, &format!("{job} waits for attempt {attempt}"), async || {
        let file = files::json(&path)?;
        (file["status"] == "pending" && file["attempt"] == attempt).then_some(file)
    })
    .await
}

fn record(server: &TestServer, job: &str) -> Value {
    files::json(&server.job_folder(job).join("locks/repo_0.attempt.json")).unwrap()
}

/// What the events report about the repository, in order: `attempt status`.
fn reported(events: &[Event]) -> Vec<(u64, String)> {
    let of_repository = events.iter().filter(|event| event.name == "repository");
    let mut reported: Vec<_> = of_repository
        .map(|event| {
            (event.data["attempt"].as_u64().unwrap_or(0), event.data["status"].to_string())
        })
        .collect();
    reported.dedup();
    reported
}

/// Breaks if a repository that fails for a moment is not retried, if one failed attempt ends the
/// job or the stream, or if anything of it is left in the end.
#[tokio::test]
async fn a_flaky_repository_is_tried_again_until_it_completes() {
    let server = setup(SHORT).start().await;
    files::write(&server.file("mended-3"), "");
    files::write(&server.file("held"), "");
    let job = submit(&server, "flaky", 3).await;
    let mut stream = EventStream::open(&server, &format!("/scan/{job}/events")).await;
    std::fs::remove_file(server.file("held")).unwrap();
    let mut events = Vec::new();
    let reads = async {
        until(PATIENCE, "the job is over", async || {
            let document = server.progress(&job).await;
            let count = |name: &str| document["summary"][name].as_u64().unwrap();
            let sum: u64 =
                ["completed", "in_progress", "pending", "failed"].map(count).iter().sum();
            assert_eq!(count("total_repositories"), sum, "{document:#}");
            assert!(!is_final(&document) || count("completed") == 1, "{document:#}");
            is_final(&document).then_some(document)
        })
        .await
    };
    let (document, ()) = tokio::join!(reads, async {
        events = stream.rest(PATIENCE).await;
    });
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(document["failed_repositories"], json!([]));

    let ends: Vec<_> = events.iter().filter(|event| event.name == "end").collect();
    assert_eq!(ends.len(), 1, "{events:#?}");
    assert_eq!(events.last().unwrap().data["status"], "completed");
    let reported = reported(&events);
    let place = |attempt, status: &str| {
        reported.iter().position(|known| *known == (attempt, format!("\"{status}\"")))
    };
    // A slow reader may miss a failure, but not what is waited for then.
    for attempt in [2, 3] {
        let waits = place(attempt, "pending").unwrap_or_else(|| panic!("{reported:#?}"));
        assert!(
            place(attempt - 1, "failed").is_none_or(|position| position + 1 == waits),
            "{reported:#?}"
        );
    }
    assert!(reported.is_sorted_by_key(|(attempt, _)| *attempt), "{reported:#?}");
    assert_eq!(reported.last().unwrap(), &(3, "\"completed\"".to_owned()));
    let waiting = events.iter().find(|event| event.data["status"] == "pending").unwrap();
    assert_eq!(waiting.data["failure"]["detail"], "Process exited with code 7");
    assert_eq!(
        waiting.data["progress"]["message"],
        "Attempt 2 of 4 begins in 1 s (last: exit: Process exited with code 7)"
    );

    let file = server.status_file(&job, 0);
    assert_eq!((&file["attempt"], &file["failure"]), (&json!(3), &Value::Null), "{file:#}");
    assert_eq!((&file["errors"], &file["stderr"]), (&Value::Null, &Value::Null), "{file:#}");
    let master = files::json(&server.job_folder(&job).join("master.json")).unwrap();
    assert_eq!(master["options"]["retries"], 3, "{master:#}");
    assert_eq!(record(&server, &job)["retries"], 2);
}

/// Breaks if there are more or fewer attempts than requested, if the pauses do not grow, or if the
/// failure does not say how many attempts there were. A manual retry starts the count anew.
#[tokio::test]
async fn a_lasting_failure_is_retried_exactly_as_often_as_requested() {
    let server = setup(SHORT).start().await;
    let job = submit(&server, "hopeless", 2).await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "failed", "{document:#}");
    let failed = &document["failed_repositories"][0];
    assert_eq!(failed["error"], "Process exited with code 7 (3 attempts)", "{failed:#}");
    assert_eq!(failed["failure"]["detail"], "Process exited with code 7");
    let file = server.status_file(&job, 0);
    assert_eq!(file["error_message"], "Process exited with code 7 (3 attempts)", "{file:#}");
    assert_eq!(file["stderr"], "no luck", "{file:#}");
    let (begins, ends) = (notes(&server, "hopeless", "begins"), notes(&server, "hopeless", "ends"));
    assert_eq!((begins.len(), ends.len()), (3, 3));
    let pauses: Vec<f64> = begins[1..].iter().zip(&ends).map(|(next, last)| next - last).collect();
    assert!(pauses[0] >= 1.0 && pauses[1] >= 2.0, "{pauses:?}");

    server.post_nothing(&format!("/scan/{job}/retry")).await.expect(200);
    let file = waits(&server, &job, 5).await;
    assert!(file["message"].as_str().unwrap().starts_with("Attempt 2 of 3 "), "{file:#}");
    files::write(&server.file("mended-5"), "");
    assert_eq!(server.finished(&job).await["status"], "completed");
    assert_eq!(record(&server, &job)["retries"], 1);
}

/// A scanner that ends as the repository's name says.
const ENDING: &str = r#"
echo "$attempt" >> "$dir/runs-$SCANWATCH_REPO_NAME"
say scanning
case $SCANWATCH_REPO_NAME in
    exit) exit 3 ;;
    signal) kill -SEGV $$ ;;
    timeout) say timeout; exit 1 ;;
    uncalled) say failed; exit 1 ;;
    clone) say failed '"failure": {"kind": "clone", "detail": "the line is cut"}'; exit 1 ;;
    stays) say failed '"failure": {"kind": "clone", "detail": "no", "permanent": true}'; exit 1 ;;
    refused) say failed '"failure": {"kind": "refused", "detail": "not there"}'; exit 1 ;;
    limit) say failed '"failure": {"kind": "limit", "detail": "too large"}'; exit 1 ;;
    protocol) exit 0 ;;
esac
"#;

/// Breaks if a transient cause is not retried, or another one is; or if the metrics do not
/// distinguish the causes.
#[tokio::test]
async fn the_cause_decides_whether_there_is_a_retry() {
    let server = Setup::new().shell(ENDING).set("scanner.retry_pause_secs", SHORT).start().await;
    let passing = ["exit", "signal", "timeout", "uncalled", "clone"];
    let staying = ["stays", "refused", "limit", "protocol"];
    let mut jobs = Vec::new();
    for name in passing.iter().chain(&staying) {
        jobs.push((*name, submit(&server, name, 1).await));
    }
    let once = server.submit("exit").await;
    let mut errors = BTreeMap::new();
    for (name, job) in &jobs {
        let document = server.finished(job).await;
        let tries = files::text(&server.file(&format!("runs-{name}"))).lines().count();
        errors.insert(
            *name,
            document["failed_repositories"][0]["error"].as_str().unwrap().to_owned(),
        );
        match *name {
            // No retries were requested for the one beside it.
            "exit" => assert_eq!(tries, 3, "{document:#}"),
            name if passing.contains(&name) => assert_eq!(tries, 2, "{document:#}"),
            _ => assert_eq!(tries, 1, "{document:#}"),
        }
        assert_eq!(errors[name].ends_with(" (2 attempts)"), passing.contains(name), "{errors:#?}");
    }
    assert_eq!(errors["clone"], "the line is cut (2 attempts)");
    let document = server.finished(&once).await;
    assert_eq!(document["failed_repositories"][0]["error"], "Process exited with code 3");
    assert_eq!(server.status_file(&once, 0)["attempt"], 1);

    let metrics = server.get("/metrics").await.expect(200).text;
    for (cause, count) in
        [("exit", 2), ("signal", 1), ("timeout", 1), ("clone", 1), ("stalled", 0), ("spawn", 0)]
    {
        let line = format!("scanwatch_retries_total{{cause=\"{cause}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}

/// Breaks if a scanner that cannot be started is not retried, or counted wrongly.
#[tokio::test]
async fn a_scanner_that_cannot_be_started_is_tried_again() {
    let scanner = "/nonexistent/scanner";
    let server =
        Setup::new().command(&[scanner]).set("scanner.retry_pause_secs", SHORT).start().await;
    let job = submit(&server, "unstarted", 1).await;
    let document = server.finished(&job).await;
    let failed = &document["failed_repositories"][0];
    assert_eq!(failed["failure"]["kind"], "spawn", "{failed:#}");
    assert!(failed["error"].as_str().unwrap().ends_with(" (2 attempts)"), "{failed:#}");
    assert_eq!(record(&server, &job)["attempt"], 2);
}

/// Breaks if the built-in scanner does not tell permanent from transient causes: a forge is asked
/// once for what it does not have, and again after an error of its own.
#[tokio::test]
async fn a_missing_repository_is_requested_once_and_a_failing_forge_again() {
    use crate::support::forge::Behaviour;
    let forge = Forge::start();
    forge.add_repository("acme/app", &[("package.json", br#"{"dependencies": {"a": "1.0.0"}}"#)]);
    let forges = format!("[{{ kind = \"git\", url = \"{}\" }}]", forge.base());
    let server =
        Setup::new().set("forges", forges).set("scanner.retry_pause_secs", SHORT).start().await;
    let body = |name: &str| json!({ "git_url": forge.url(name), "retries": 3 });
    let missing = server.submit_with(&body("acme/missing")).await;
    let document = server.finished(&missing).await;
    let failed = &document["failed_repositories"][0];
    assert_eq!(failed["failure"]["permanent"], true, "{failed:#}");
    assert!(!failed["error"].as_str().unwrap().contains("attempts"), "{failed:#}");
    assert_eq!(server.status_file(&missing, 0)["attempt"], 1);
    let asked = forge.seen().iter().filter(|request| request.path.contains("missing")).count();
    assert_eq!(asked, 1);

    forge.behave(Behaviour::Status(500));
    let moody = server.submit_with(&body("acme/app")).await;
    let file = waits(&server, &moody, 2).await;
    assert_eq!(file["failure"]["kind"], "clone", "{file:#}");
    assert_eq!(file["failure"].get("permanent"), None, "{file:#}");
    forge.behave(Behaviour::Honest);
    assert_eq!(server.finished(&moody).await["status"], "completed");
    let found = server.get(&format!("/jobs/{moody}/results")).await.expect(200).json();
    assert_eq!(found["packages_total"], 1, "{found:#}");
}

/// Breaks if a crash or a stop during a pause forgets it, shortens it, or restarts its count.
#[tokio::test]
async fn a_pause_outlives_the_server_and_its_count_too() {
    let mut server = setup(LONG).start().await;
    let job = submit(&server, "patient", 2).await;
    let file = waits(&server, &job, 2).await;
    let message = "Attempt 2 of 3 begins in 600 s (last: exit: Process exited with code 7)";
    assert_eq!(file["message"], message, "{file:#}");
    assert_eq!((&file["pid"], &file["completed_at"]), (&Value::Null, &Value::Null), "{file:#}");
    server.kill9().await;
    server.restart().await;
    // Whatever starts now is visible: another job of the same queue is run to its end.
    files::write(&server.file("mended-1"), "");
    let other = submit(&server, "other", 0).await;
    assert_eq!(server.finished(&other).await["status"], "completed");
    assert_eq!(server.status_file(&job, 0), file, "it waits as before");
    assert_eq!(server.terminate().await, Some(0), "a stop waits for no pause");
    assert_eq!(server.status_file(&job, 0), file);
    assert_eq!(begun(&server, "patient"), 1);

    server.set_variable("SCANWATCH_SCANNER__RETRY_PAUSE_SECS", SHORT);
    server.restart().await;
    let document = server.finished(&job).await;
    let failed = &document["failed_repositories"][0];
    assert_eq!(failed["error"], "Process exited with code 7 (3 attempts)", "{document:#}");
    assert_eq!(begun(&server, "patient"), 3);
    assert_eq!(record(&server, &job)["interruptions"], 0);
}

/// Breaks if a failure that happens while no server runs is taken for final by the next one.
#[tokio::test]
async fn an_attempt_that_fails_without_a_server_is_retried() {
    let mut server = setup(SHORT).start().await;
    files::write(&server.file("held"), "");
    files::write(&server.file("mended-2"), "");
    let job = submit(&server, "alone", 1).await;
    server.working(&job).await;
    eventually("the scanner runs", async || begun(&server, "alone") == 1).await;
    server.kill9().await;
    std::fs::remove_file(server.file("held")).unwrap();
    let path = server.job_folder(&job).join("repo_0.json");
    eventually("it fails without a server", async || {
        files::json(&path).is_some_and(|status| status["status"] == "failed")
    })
    .await;
    eventually("its shim is gone", async || server.shim(&job, 0).is_none()).await;
    server.restart().await;
    assert_eq!(server.finished(&job).await["status"], "completed");
    assert_eq!(record(&server, &job)["retries"], 1);
}

/// Breaks if the death of a shim costs a retry.
#[tokio::test]
async fn a_death_of_a_shim_uses_up_no_retry() {
    let server = setup(SHORT).start().await;
    files::write(&server.file("held"), "");
    let job = submit(&server, "killed", 1).await;
    eventually("the scanner runs", async || begun(&server, "killed") == 1).await;
    processes::kill_lock_holder(&server.shim_lock(&job, 0)).expect("a living shim");
    eventually("it runs again", async || begun(&server, "killed") == 2).await;
    std::fs::remove_file(server.file("held")).unwrap();
    let document = server.finished(&job).await;
    let failed = &document["failed_repositories"][0];
    assert_eq!(failed["error"], "Process exited with code 7 (2 attempts)", "{document:#}");
    assert_eq!(begun(&server, "killed"), 3, "one was killed, two failed");
    let record = record(&server, &job);
    let counts = (&record["attempt"], &record["interruptions"], &record["retries"]);
    assert_eq!(counts, (&json!(3), &json!(1), &json!(1)), "{record:#}");
}

/// Breaks if what is cancelled or removed during a pause stays, restarts, or waits until the pause
/// ends.
#[tokio::test]
async fn cancelling_or_removing_during_a_pause_takes_effect_at_once() {
    let server = setup(LONG).start().await;
    let (cancelled, removed) =
        (submit(&server, "cancelled", 2).await, submit(&server, "removed", 2).await);
    waits(&server, &cancelled, 2).await;
    waits(&server, &removed, 2).await;
    server.post_nothing(&format!("/scan/{cancelled}/cancel")).await.expect(200);
    let document = server.finished(&cancelled).await;
    assert_eq!(document["status"], "cancelled", "{document:#}");
    let failed = &document["failed_repositories"][0];
    assert_eq!(failed["error"], "Cancelled on request", "{document:#}");
    let file = server.status_file(&cancelled, 0);
    assert_eq!((&file["status"], &file["attempt"]), (&json!("cancelled"), &json!(1)), "{file:#}");
    assert_eq!(file.get("message"), None, "nothing begins any more: {file:#}");

    server.delete(&format!("/scan/{removed}")).await.expect(204);
    assert!(!server.job_folder(&removed).exists());
    server.get(&format!("/scan/{removed}")).await.expect(404);
    server.no_process_left(Duration::from_secs(5)).await;
    assert_eq!((begun(&server, "cancelled"), begun(&server, "removed")), (1, 1));

    // A manual retry starts at once, whatever pause had begun before.
    files::write(&server.file("mended-2"), "");
    server.retried(&cancelled).await;
    assert_eq!(server.finished(&cancelled).await["status"], "completed");
}

/// Breaks if the pause of a cancelled attempt is taken for that of a later one.
#[tokio::test]
async fn a_cancelled_pause_shortens_no_other() {
    let server = setup(SHORT).start().await;
    let job = submit(&server, "again", 1).await;
    waits(&server, &job, 2).await;
    server.post_nothing(&format!("/scan/{job}/cancel")).await.expect(200);
    server.finished(&job).await;
    server.retried(&job).await;
    server.finished(&job).await;
    let (begins, ends) = (notes(&server, "again", "begins"), notes(&server, "again", "ends"));
    assert_eq!(begins.len(), 3, "one before the cancel, two after it");
    assert!(begins[2] - ends[1] >= 1.0, "{begins:?} {ends:?}");
}

/// Breaks if a repository that waits for its next attempt takes a slot from those that could start,
/// or if their job ends without it.
#[tokio::test]
async fn a_waiting_retry_takes_no_slot_and_its_job_waits_for_it() {
    let setup = setup(LONG).set("scanner.max_concurrent_processes", 1);
    let job = setup.write_group(3);
    let path = setup.jobs().join(&job).join("master.json");
    let mut master = files::json(&path).unwrap();
    master["options"]["retries"] = json!(1);
    files::replace(&path, master.to_string());
    let mut server = setup.start().await;
    let document = until(PATIENCE, "the others are completed", async || {
        let document = server.progress(&job).await;
        (document["summary"]["completed"] == 2).then_some(document)
    })
    .await;
    let summary = json!({
        "total_repositories": 3, "completed": 2, "in_progress": 0, "pending": 1, "failed": 0,
        "reused": 0
    });
    assert_eq!(document["summary"], summary, "{document:#}");
    assert_eq!(document["status"], "in_progress", "{document:#}");
    eventually("master.json has the same", async || {
        let master = files::json(&path).unwrap();
        master["pending_repositories"] == json!(["part-0"])
            && master["failed_repositories"] == json!([])
    })
    .await;
    let mut stream = EventStream::open(&server, &format!("/scan/{job}/events")).await;
    assert_eq!(stream.next_event(PATIENCE).await.unwrap().name, "snapshot");
    let page = server.get(&format!("/scan/{job}/repositories?status=pending")).await.expect(200);
    let row = page.json()["repositories"][0].clone();
    assert_eq!((&row["attempt"], &row["failure"]["kind"]), (&json!(2), &json!("exit")), "{row:#}");

    server.kill9().await;
    server.set_variable("SCANWATCH_SCANNER__RETRY_PAUSE_SECS", SHORT);
    files::write(&server.file("mended-2"), "");
    server.restart().await;
    assert_eq!(server.finished(&job).await["status"], "completed");
    assert_eq!(begun(&server, "part-1"), 1);
}

/// Breaks if an invalid request is accepted.
#[tokio::test]
async fn the_number_of_retries_is_from_0_to_10() {
    let server = setup(LONG).start().await;
    let url = "https://github.com/acme/x.git";
    for (retries, kind) in [
        (json!(11), "less_than_equal"),
        (json!(-1), "greater_than_equal"),
        (json!(1.5), "int_type"),
        (json!("3"), "int_type"),
        (json!(true), "int_type"),
        (json!([1]), "int_type"),
    ] {
        let body = json!({ "git_url": url, "retries": retries });
        let detail = server.post("/scan", &body).await.expect(422).json()["detail"][0].clone();
        assert_eq!((&detail["type"], &detail["loc"]), (&json!(kind), &json!(["body", "retries"])));
    }
    files::write(&server.file("mended-1"), "");
    for (retries, kept) in
        [(json!(10), json!(10)), (json!(0), Value::Null), (Value::Null, Value::Null)]
    {
        let job = server.submit_with(&json!({ "git_url": url, "retries": retries })).await;
        let master = files::json(&server.job_folder(&job).join("master.json")).unwrap();
        assert_eq!(master["options"]["retries"], kept, "{master:#}");
    }
}

/// Breaks if a user who waits at a terminal is not told that, when and why there is another
/// attempt.
#[tokio::test]
async fn a_retry_is_reported_at_the_command_line() {
    let server = setup(SHORT).start().await;
    files::write(&server.file("mended-2"), "");
    let waiting = "pending: Attempt 2 of 2 begins in 1 s (last: exit: Process exited with code 7)";
    let run = |arguments: &[&str]| {
        let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
        command
            .args(arguments)
            .env("SCANNER_SERVER_URL", server.url(""))
            .env("HOME", server.folder());
        async move {
            let ran = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
            (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
        }
    };
    let url = "https://github.com/acme/told.git";
    let submit = ["submit", "--wait", "--retries", "1", url];
    let (code, said) = run(&submit).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("told: {waiting}\n")), "{said}");
    assert!(said.contains("told: completed"), "{said}");
    assert_eq!(said.matches("completed").count(), 2, "repository and job, once each: {said}");

    let settings = server.file("settings.toml").display().to_string();
    let project = server.folder().join("project");
    std::fs::create_dir(&project).unwrap();
    let project = project.display().to_string();
    let scan = [
        "scan",
        &project,
        "--retries",
        "1",
        "--config",
        &settings,
        "--set",
        "scanner.retry_pause_secs=1",
    ];
    let (code, said) = run(&scan).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("project: {waiting}\n")), "{said}");
    assert!(said.contains("project: completed"), "{said}");
}
