//! Storage that fails, is slow, or returns something else: nothing is removed here before it is safe there.

use super::{Place, removing};
use crate::support::{s3::Fault, wait::eventually};

/// The faults: while one lasts the job must stay here, and afterwards everything must be there as it was here.
async fn survives(fault: Fault, method: &'static str, part: &'static str) {
    let place = Place::with(removing).await;
    place.s3.fail(fault, method, part, usize::MAX);
    let job = place.scan().await;
    let result = place.server.job_folder(&job).join("results/repo_0.json");
    let content = std::fs::read(&result).unwrap();
    eventually("the fault is met", async || {
        place.metric("scanwatch_archive_failures_total").await > 1
    })
    .await;
    eventually("/health names it", async || place.health().await["status"] == "degraded").await;
    // Some clean-ups.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(result.exists(), "{fault:?}: it was removed before it was safe");
    assert!(!place.mark(&job).exists(), "{fault:?}");
    // Other work goes on.
    place.server.get(&format!("/jobs/{job}/results")).await.expect(200);
    place.s3.heal();
    place.removed(&job).await;
    let stored = place.s3.object(&format!("some/where/files/{job}/results/0.json"));
    assert_eq!(stored, Some(content), "{fault:?}");
    eventually("the server is healthy again", async || place.health().await["status"] == "healthy")
        .await;
}

macro_rules! faults {
    ($($name:ident: $fault:expr, $method:literal, $part:literal;)*) => {$(
        #[tokio::test]
        async fn $name() {
            survives($fault, $method, $part).await;
        }
    )*};
}

// Each fails if a job is removed here although an upload of it has failed in this way, or if uploads end for good.
faults! {
    errors_of_the_server: Fault::Status(500), "PUT", "/results/";
    throttling: Fault::Status(503), "PUT", "/logs/";
    permissions_that_are_withdrawn: Fault::Status(403), "PUT", "/results/";
    uploads_that_are_never_answered: Fault::Silence, "PUT", "/results/";
    connections_that_are_cut: Fault::Cut, "PUT", "/jobs/";
    uploads_that_arrive_changed: Fault::CorruptedUpload, "PUT", "/results/";
    uploads_that_are_lost: Fault::Lost, "PUT", "/results/";
    answers_that_are_cut_off: Fault::Truncated, "GET", "/results/";
    answers_with_a_wrong_checksum: Fault::Corrupted, "GET", "/results/";
    bills_of_materials_that_fail: Fault::Status(500), "PUT", "/sbom/";
}
