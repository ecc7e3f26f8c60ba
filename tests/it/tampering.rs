//! Scanners that tamper with the files about themselves: it has no effect.

use crate::{
    scanner_protocol::TakenGroup,
    support::{
        files,
        forge::{Behaviour, Forge},
        processes,
        server::{Setup, TestServer},
        wait::eventually,
    },
};
use serde_json::json;
use std::time::Duration;

fn runs(server: &TestServer, name: &str) -> usize {
    files::text(&server.file("runs")).lines().filter(|line| *line == name).count()
}

/// Each kind of scanner kills its shim, after it has written that this was none of its attempts.
const FORGING: &str = r#"
echo "$SCANWATCH_REPO_NAME" >> "$dir/runs"
locks="${SCANWATCH_STATUS_FILE%/*}/locks"
record() {
    printf '{"schema":1,"attempt":%s,"interruptions":0,"retries":0,"started_at":"2026-01-01T00:00:00Z"}' \
        "$1" > part && mv part "$locks/repo_0.attempt.json"
}
say scanning
case $SCANWATCH_REPO_NAME in
    reset) record 1;;
    ahead) record $(( attempt + 1 ));;
    far) record 18446744073709551615;;
    gone) rm "$locks/repo_0.attempt.json";;
    waits) say pending "\"attempt\": $(( attempt + 1 ))";;
    stopped) say interrupted "\"attempt\": $attempt, \"failure\": {\"kind\": \"interrupted\", \"detail\": \"\"}";;
    retried) say pending "\"attempt\": $(( attempt + 1 )), \"failure\": {\"kind\": \"exit\", \"detail\": \"\"}";;
esac
kill -KILL "$PPID"
sleep 999
"#;

/// Breaks if a scanner that kills its shim gets more than its three attempts, whatever it writes
/// about them.
#[tokio::test]
async fn a_scanner_cannot_write_itself_more_attempts() {
    let server = Setup::new().shell(FORGING).start().await;
    let names = ["reset", "ahead", "far", "gone", "waits", "stopped", "retried"];
    let mut jobs = Vec::new();
    for name in names {
        jobs.push((name, server.submit(name).await));
    }
    for (name, job) in jobs {
        let document = server.finished(&job).await;
        assert_eq!(document["status"], "failed", "{name}: {document:#}");
        let file = server.status_file(&job, 0);
        assert_eq!(file["failure"]["kind"], "interrupted", "{name}: {file:#}");
        assert_eq!((runs(&server, name), &file["attempt"]), (3, &3.into()), "{name}: {file:#}");
    }
    server.no_process_left(Duration::from_secs(10)).await;
}

/// Breaks if a process left by a scanner that takes the lock of its dead shim is mistaken for a
/// shim.
#[tokio::test]
async fn a_stray_process_with_the_lock_is_not_taken_for_a_shim() {
    let setup = Setup::new().python(
        r#"
if task['attempt'] > 1:
    say('completed')
    sys.exit()
say('scanning')
lock = os.path.dirname(task['status_file']) + '/locks/repo_0.lock'
shim = os.getppid()
read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        # Without the mark, so that only the lock tells it.
        code = """
import fcntl, os, sys, time
file = open(sys.argv[1], "r+")
os.close(int(sys.argv[2]))
while True:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(999)
    except OSError:
        pass
"""
        os.set_inheritable(write, True)
        os.execve(sys.executable, [sys.executable, '-c', code, lock, str(write)], {})
    os._exit(0)
os.close(write)
os.wait()
# Its end says that the stray tries to take the lock.
os.read(read, 1)
os.kill(shim, signal.SIGKILL)
time.sleep(999)
"#,
    );
    let job = setup.write_group(1);
    // A control group would kill it with everything else.
    let group = TakenGroup::of_first_attempt(&job);
    let server = setup.start().await;
    let document = server.finished(&job).await;
    assert!(group.is_unused(), "the test is about life without a group");
    assert_eq!(document["status"], "completed", "{document:#}");
    let record = files::json(&server.job_folder(&job).join("locks/repo_0.attempt.json")).unwrap();
    assert_eq!(
        (&record["attempt"], &record["interruptions"]),
        (&json!(2), &json!(1)),
        "{record:#}"
    );
    server.no_process_left(Duration::from_secs(10)).await;
}

/// Breaks if, after a restart, the attempt count relies only on the record that a sandboxed scanner
/// may have written.
#[tokio::test]
async fn the_attempts_of_a_sandboxed_scanner_are_kept_out_of_its_reach() {
    let forge = Forge::start();
    forge.add_repository("silent", &[("package.json", b"{}")]);
    forge.behave(Behaviour::Silent);
    let forges = format!("[{{ kind = \"git\", url = \"{}\" }}]", forge.base());
    let server = Setup::new().set("forges", forges).start().await;
    let job = server.submit_with(&json!({ "git_url": forge.url("silent") })).await;
    a_record_that_is_reset_gives_no_attempt(server, job).await;
}

/// Breaks if an operator's own scanner, which has no sandbox, gets an attempt for each restart by
/// resetting the one record it knows.
#[tokio::test]
async fn a_scanner_without_a_sandbox_gains_nothing_by_resetting_one_record() {
    let server = Setup::new().shell("say scanning\nexec sleep 999").start().await;
    let job = server.submit("own").await;
    a_record_that_is_reset_gives_no_attempt(server, job).await;
}

async fn a_record_that_is_reset_gives_no_attempt(mut server: TestServer, job: String) {
    let kept = server.setup().jobs().join(".attempts").join(&job).join("repo_0.attempt.json");
    let beside = server.job_folder(&job).join("locks/repo_0.attempt.json");
    for attempt in 1..=3 {
        eventually(&format!("attempt {attempt} is claimed, and kept"), async || {
            files::json(&kept).is_some_and(|record| record["attempt"] == attempt)
                && server.shim(&job, 0).is_some()
        })
        .await;
        server.kill9().await;
        processes::kill_lock_holder(&server.shim_lock(&job, 0));
        let mut record = files::json(&beside).unwrap();
        record["attempt"] = 1.into();
        record["interruptions"] = 0.into();
        files::replace(&beside, record.to_string());
        server.restart().await;
    }
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "failed", "{document:#}");
    let file = server.status_file(&job, 0);
    assert_eq!(
        (&file["failure"]["kind"], &file["attempt"]),
        (&json!("interrupted"), &json!(3)),
        "{file:#}"
    );
    server.delete(&format!("/scan/{job}")).await.expect(204);
    assert!(!kept.parent().unwrap().exists(), "it is kept longer than its job");
}
