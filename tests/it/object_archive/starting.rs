//! What the start does if the archive cannot be used.

use super::{Place, forge, removing, setup};
use crate::support::{
    s3::{Fault, KEYS, S3},
    wait::eventually,
};

/// Fails if a server starts that could never archive, or does not name the reason.
#[tokio::test]
async fn a_missing_bucket_and_denied_access_end_the_start() {
    let (s3, forge) = (S3::start(), forge());
    let absent = setup(&s3, &forge).variable("SCANWATCH_ARCHIVE__URL", "s3://absent/some");
    let ended = absent.run_to_end().await;
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    for words in ["bucket `absent`", "the bucket does not exist", "check [archive] url"] {
        assert!(ended.output.contains(words), "{words}: {}", ended.output);
    }
    for (method, part) in [("PUT", "/some/where/"), ("GET", "/scanwatch"), ("GET", "list-type")] {
        s3.fail(Fault::Status(403), method, part, usize::MAX);
        let ended = setup(&s3, &forge).run_to_end().await;
        assert_eq!(ended.code, Some(2), "{method} {part}: {}", ended.output);
        assert!(ended.output.contains("access denied"), "{method} {part}: {}", ended.output);
        assert!(!ended.output.contains(KEYS.1), "{}", ended.output);
        s3.heal();
    }
}

/// Fails if a setting that cannot work is found only later.
#[tokio::test]
async fn unusable_settings_are_refused() {
    let (s3, forge) = (S3::start(), forge());
    for (key, value, words) in [
        ("archive.url", "\"https://bucket\"", "expected s3://bucket/prefix"),
        ("archive.url", "\"s3://key:canary-1@bucket\"", "without credentials"),
        ("archive.allow_http", "false", "unencrypted"),
        ("archive.access_key_file", "\"/nowhere\"", "cannot read `/nowhere`"),
        ("archive.secret_key_file", "\"\"", "archive.secret_key_file`: not set"),
        ("archive.max_concurrent", "99", "expected 1 to 32"),
        ("archive.credentials_file", "\"/nowhere\"", "only for gs:// and az://"),
        ("archive.ca_file", "\"/nowhere\"", "cannot read `/nowhere`"),
        ("archive.timeout_secs", "0", "expected 1 or more"),
    ] {
        let variable = format!("SCANWATCH_{}", key.to_uppercase().replace('.', "__"));
        let value = value.trim_matches('"');
        let ended = setup(&s3, &forge).variable(&variable, value).run_to_end().await;
        assert_eq!(ended.code, Some(2), "{key}: {}", ended.output);
        assert!(ended.output.contains(words), "{key}: {}", ended.output);
        assert!(!ended.output.contains("canary-1"), "{}", ended.output);
    }
}

/// Fails if a server does not start because the storage is away, or if it removes something meanwhile.
#[tokio::test]
async fn without_the_storage_a_server_starts_and_removes_nothing() {
    let mut place = Place::start().await;
    let safe = place.scan().await;
    place.archived(&safe).await;
    place.server.terminate().await;
    place.s3.go_down();
    place.server.set("jobs.retention_hours", 0);
    place.server.restart().await;
    let waiting = place.scan().await;
    let health = place.health().await;
    assert_eq!(health["status"], "degraded");
    let cause = &health["causes"][0];
    assert_eq!(cause["reason"], "object_storage", "{health:#}");
    assert!(cause["problem"].as_str().unwrap().contains("cannot be reached"), "{health:#}");
    assert_eq!(place.metric("scanwatch_archive_up").await, 0);
    assert_eq!(place.metric("scanwatch_degraded{reason=\"object_storage\"}").await, 1);
    eventually("the job waits", async || place.metric("scanwatch_archive_waiting_jobs").await > 0)
        .await;
    // Some clean-ups.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    for job in [&safe, &waiting] {
        assert!(place.server.job_folder(job).join("results/repo_0.json").exists());
    }
    place.s3.heal();
    place.removed(&safe).await;
    place.removed(&waiting).await;
    assert_eq!(place.health().await["status"], "healthy");
    assert!(place.s3.object(&format!("some/where/files/{waiting}/results/0.json")).is_some());
}

/// Fails if the check of the start waits for a storage that never answers.
#[tokio::test]
async fn a_storage_that_never_answers_does_not_delay_the_start_for_long() {
    let (s3, forge) = (S3::start(), forge());
    s3.fail(Fault::Silence, "PUT", "", usize::MAX);
    let began = std::time::Instant::now();
    let server = removing(setup(&s3, &forge)).start().await;
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    assert_eq!(server.get("/health").await.expect(200).json()["status"], "degraded");
}
