use super::*;
use chrono::{TimeDelta, Utc};
use serde_json::json;

fn job() -> (JobDetails, Timestamp) {
    let now = Utc::now();
    let mut job = JobDetails::new("j".parse().unwrap(), String::new(), Summary::default());
    let snapshot = json!({
        "group_url": "https://x.example/g", "status": "in_progress", "elapsed_time_seconds": 10,
        "summary": {"total_repositories": 5, "completed": 1, "in_progress": 1, "pending": 2, "failed": 1},
        "repositories": [
            {"repo_index": 0, "repo_name": "zeta", "status": "completed"},
            {"repo_index": 1, "repo_name": "alpha", "status": "failed"},
            {"repo_index": 2, "repo_name": "mid", "status": "scanning"},
            "odd", {"repo_name": "without a number"},
        ],
        "failed_repositories": [{"repo_name": "alpha", "error": "no", "status": "failed",
            "failure": {"kind": "clone", "detail": "no"}}],
        "pending_repositories": ["later", "mid", "soon"],
    });
    job.apply("snapshot", &snapshot, now);
    job.arrange(now);
    (job, now)
}

fn names(job: &JobDetails) -> Vec<&str> {
    job.order()
        .iter()
        .map(|key| match key {
            RowKey::Numbered(index) => job.numbered(*index).unwrap().name.as_deref().unwrap(),
            RowKey::Planned(name) => name,
        })
        .collect()
}

#[test]
fn failures_come_first_and_what_is_done_last() {
    let (mut job, now) = job();
    assert_eq!(names(&job), ["alpha", "mid", "later", "soon", "zeta"]);
    assert_eq!(job.selected().unwrap().error.as_deref(), Some("no"));
    // What has started has a number now, and one row.
    job.apply(
        "repository",
        &json!({"repo_index": 3, "repo_name": "soon", "status": "cloning"}),
        now,
    );
    job.arrange(now);
    assert_eq!(names(&job), ["alpha", "mid", "soon", "later", "zeta"]);
    job.sort_differently();
    job.arrange(now);
    assert_eq!(names(&job), ["alpha", "mid", "soon", "zeta", "later"]);
    assert_eq!(job.len(), 5);
}

#[test]
fn the_selection_follows_its_repository() {
    let (mut job, now) = job();
    job.go(Motion::Down, now);
    assert_eq!(job.selected().unwrap().name.as_deref(), Some("mid"));
    job.apply(
        "repository",
        &json!({"repo_index": 2, "repo_name": "mid", "status": "completed"}),
        now,
    );
    job.arrange(now);
    assert_eq!(job.selected().unwrap().name.as_deref(), Some("mid"));
    assert_eq!(names(&job), ["alpha", "later", "soon", "zeta", "mid"]);
}

#[test]
fn repositories_are_filtered_by_words() {
    let (mut job, now) = job();
    for (filter, expected) in [
        ("A", vec!["alpha", "later", "zeta"]),
        ("status:failed", vec!["alpha"]),
        ("status:waiting so", vec!["soon"]),
        ("cause:clone alp", vec!["alpha"]),
        ("cause:exit", vec![]),
        ("x:y", vec![]),
    ] {
        job.set_filter(filter);
        job.arrange(now);
        assert_eq!(names(&job), expected, "{filter}");
    }
}

#[test]
fn the_clock_of_a_job_stops_at_its_end() {
    let (mut job, now) = job();
    let later = now + TimeDelta::seconds(5);
    assert_eq!(job.elapsed_seconds(later), Some(15));
    job.apply("end", &json!({"status": "all_failed", "elapsed_time_seconds": 12}), later);
    assert_eq!(job.elapsed_seconds(later + TimeDelta::seconds(9)), Some(12));
    assert!(job.is_finished());
}
