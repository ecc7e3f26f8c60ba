//! Scanners that write what decides about themselves: it decides nothing.

use crate::support::{
    files,
    server::{Setup, TestServer},
};
use std::time::Duration;

fn runs(server: &TestServer, name: &str) -> usize {
    files::text(&server.file("runs")).lines().filter(|it| *it == name).count()
}

/// Each kind of scanner kills its shim, after it has written something that says that this was none
/// of its attempts.
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

/// Breaks if a scanner that kills its shim gets more than its three attempts, whatever it writes of
/// them.
#[tokio::test]
async fn what_a_scanner_writes_gives_it_no_further_attempt() {
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
    server.quiet(Duration::from_secs(10)).await;
}

/// Breaks if a process that a scanner has left, and that takes the lock of its dead shim, is taken
/// for a shim.
#[tokio::test]
async fn a_stray_that_takes_the_lock_is_no_shim() {
    let server = Setup::new()
        .python(
            r#"
import fcntl
with open(here + '/runs', 'a') as runs:
    runs.write(task['repo_name'] + '\n')
say('scanning')
lock = os.path.dirname(task['status_file']) + '/locks/repo_0.lock'
shim = os.getppid()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        # Without the mark, and without a control group (where there is none) nothing tells it.
        code = 'import fcntl, sys, time; fcntl.lockf(open(sys.argv[1], "r+"), fcntl.LOCK_EX); time.sleep(999)'
        os.execve(sys.executable, [sys.executable, '-c', code, lock], {})
    os._exit(0)
os.wait()
time.sleep(0.3)
os.kill(shim, signal.SIGKILL)
time.sleep(999)
"#,
        )
        .start()
        .await;
    let job = server.submit("stray").await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "failed", "{document:#}");
    let file = server.status_file(&job, 0);
    assert_eq!(file["failure"]["kind"], "interrupted", "{file:#}");
    assert_eq!(runs(&server, "stray"), 3);
    server.quiet(Duration::from_secs(10)).await;
}
