//! Scans that use all they can: processor time, and slots.

use crate::support::{
    files,
    forge::Forge,
    server::Setup,
    wait::{PATIENCE, eventually, within},
};
use serde_json::json;

/// Breaks if a repository may use processor time until its deadline, or ends without the name of
/// the setting that ended it.
#[tokio::test]
async fn a_repository_that_takes_too_much_work_ends_with_the_limits_name() {
    let forge = Forge::start();
    // Each line costs work and yields nothing: one blob, at many paths.
    let text = "no requirement at all\n".repeat(20_000);
    let paths: Vec<String> = (0..300).map(|number| format!("{number}/requirements.txt")).collect();
    let greedy: Vec<(&str, &[u8])> =
        paths.iter().map(|path| (path.as_str(), text.as_bytes())).collect();
    forge.add_repository("greedy", &greedy);
    let url = format!("http://127.0.0.1:{}", forge.port());
    let server = Setup::new()
        .set("forges", format!("[{{ kind = \"git\", url = \"{url}\" }}]"))
        .set("limits.max_cpu_secs", 1)
        .start()
        .await;
    let job = server.submit_with(&json!({ "git_url": forge.url("greedy") })).await;
    server.finished(&job).await;
    let status = server.status_file(&job, 0);
    assert_eq!(status["status"], "failed", "{status:#}");
    assert_eq!(status["failure"]["kind"], "limit", "{status:#}");
    let detail = status["failure"]["detail"].as_str().unwrap();
    assert!(detail.contains("1 seconds of processor time ([limits] max_cpu_secs)"), "{detail}");
}

/// A scanner that works until all are released, or those of its job are.
const BURNING: &str = r#"
echo "$SCANWATCH_JOB_ID $SCANWATCH_REPO_INDEX" >> "$dir/starts"
say scanning
while [ ! -e "$dir/go" ] && [ ! -e "$dir/go-$SCANWATCH_JOB_ID" ]; do sleep 0.05; done
say completed
"#;

/// Breaks if a job waits as long as five scans of another job take, or if the scan that yielded its
/// slot is not run again.
#[tokio::test]
async fn a_job_does_not_wait_for_slow_scans_of_another() {
    let setup = Setup::new().shell(BURNING).set("scanner.slow_after_secs", 1);
    let burning = setup.write_group(6);
    let server = setup.start().await;
    let starts = || files::text(&server.folder().join("starts"));
    let of = |job: &str| starts().lines().filter(|line| line.starts_with(job)).count();
    eventually("five scans burn", async || of(&burning) == 5).await;
    let quick = server.submit("quick").await;
    files::write(&server.file(&format!("go-{quick}")), "");
    within(PATIENCE, "the other job is scanned", async || of(&quick) == 1).await;
    assert_eq!(server.finished(&quick).await["status"], "completed");
    let progress = server.progress(&burning).await;
    assert_eq!(progress["status"], "in_progress", "{progress:#}");
    assert_eq!(progress["summary"]["completed"], 0, "{progress:#}");
    // The next one finds the slot free that the slow job gave back.
    let next = server.submit("next").await;
    files::write(&server.file(&format!("go-{next}")), "");
    assert_eq!(server.finished(&next).await["status"], "completed");

    files::write(&server.file("go"), "");
    let progress = server.finished(&burning).await;
    assert_eq!(progress["status"], "completed", "{progress:#}");
    assert_eq!(progress["summary"]["completed"], 6, "{progress:#}");
    assert_eq!(of(&burning), 7, "one was scanned again: {}", starts());
}
