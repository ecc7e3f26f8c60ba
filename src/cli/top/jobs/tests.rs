use super::*;
use serde_json::json;

fn row(id: &str, status: &str, minute: u32) -> Value {
    json!({"job_id": id, "status": status, "git_url": format!("https://x.example/{id}"),
        "created_at": format!("2026-01-01T00:{minute:02}:00Z"), "progress": 50,
        "total_repositories": 4, "completed_repositories": 1, "failed_repositories": 1})
}

fn list() -> Jobs {
    let mut jobs = Jobs::new();
    let snapshot = json!({"jobs": [row("b", "running", 2), row("a", "completed", 1), "odd", {}],
        "total": 2, "counts": {"running": 1, "completed": 1}});
    assert!(!jobs.apply("snapshot", &snapshot));
    jobs
}

fn order(jobs: &Jobs) -> Vec<&str> {
    jobs.order().iter().map(JobId::as_str).collect()
}

#[test]
fn events_change_rows_and_counts() {
    let mut jobs = list();
    assert_eq!((order(&jobs), jobs.count(0), jobs.count(1)), (vec!["b", "a"], 2, 1));
    let summary = json!({"total_repositories": 4, "completed": 2, "in_progress": 1, "pending": 0,
        "failed": 1});
    let event = json!({"job_id": "b", "status": "in_progress", "summary": summary});
    assert!(!jobs.apply("job", &event));
    let job = jobs.get(&"b".parse().unwrap()).unwrap();
    assert_eq!(
        (job.percentage, job.summary.completed, job.url.as_str()),
        (75, 2, "https://x.example/b")
    );
    assert!(!jobs.apply("end", &json!({"job_id": "b", "status": "all_failed"})));
    assert_eq!((jobs.count(1), jobs.count(3)), (0, 1));
    assert_eq!(jobs.get(&"b".parse().unwrap()).unwrap().percentage, 100);
    // An event does not contain the URL of a new job.
    assert!(jobs.apply("job", &json!({"job_id": "c", "status": "initializing"})));
    assert_eq!((jobs.count(0), jobs.count(2)), (3, 1));
    jobs.listed(Ok(&json!({"jobs": [row("c", "pending", 3)], "total": 3})));
    assert_eq!(order(&jobs), ["c", "b", "a"]);
    // A snapshot replaces everything: a removed job is gone.
    jobs.apply("snapshot", &json!({"jobs": [row("a", "completed", 1)], "total": 1}));
    assert_eq!(order(&jobs), ["a"]);
}

#[test]
fn the_server_filters() {
    let mut jobs = list();
    assert!(jobs.select(3, " name:a b ", 1));
    assert_eq!(jobs.path(), "/jobs?page=1&per_page=100&status=failed&q=name%3Aa+b");
    jobs.listed(Ok(&json!({"jobs": [row("z", "failed", 0)], "total": 101, "total_pages": 2})));
    assert_eq!((order(&jobs), jobs.page(), jobs.found()), (vec!["z"], (1, 2), 101));
    // What changes may fit now: the server is asked again, and other jobs stay away.
    assert!(jobs.apply("end", &json!({"job_id": "b", "status": "failed"})));
    assert_eq!(order(&jobs), ["z"]);
    assert!(jobs.select(3, "user:me", 2));
    jobs.listed(Err("unknown qualifier".to_owned()));
    assert_eq!((order(&jobs), jobs.refusal.as_deref()), (vec![], Some("unknown qualifier")));
    assert!(!jobs.select(0, "", 1));
    assert_eq!((order(&jobs).len(), jobs.refusal.is_none()), (3, true));
}

#[test]
fn rows_are_sorted() {
    let mut jobs = list();
    for (expected, name) in [
        (["b", "a"], "state"),
        (["b", "a"], "progress"),
        (["b", "a"], "failed"),
        (["a", "b"], "URL"),
    ] {
        jobs.sort_differently();
        assert_eq!((order(&jobs), jobs.sort.name()), (expected.to_vec(), name));
    }
}

#[test]
fn the_oldest_jobs_are_forgotten() {
    let mut jobs = list();
    let job = |number: usize| {
        let at = format!("2027-01-01T00:00:00.{number:06}Z");
        json!({"job_id": format!("n{number}"), "created_at": at, "status": "pending"})
    };
    let many: Vec<_> = (0..MAX_ROWS).map(job).collect();
    jobs.listed(Ok(&json!({ "jobs": many })));
    for number in MAX_ROWS..MAX_ROWS + 20 {
        jobs.listed(Ok(&json!({ "jobs": [job(number)] })));
    }
    assert_eq!(jobs.rows.len(), MAX_ROWS);
    assert_eq!(order(&jobs)[0], format!("n{}", MAX_ROWS + 19));
    assert!(jobs.order().len() <= PER_PAGE);
}
