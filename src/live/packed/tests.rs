use super::*;
use crate::model::{
    JobState,
    state::Summary,
    time::{self, Timestamp},
};
use serde_json::json;

fn facts() -> JobFacts {
    JobFacts {
        id: "job".parse().unwrap(),
        url: Some("https://git.example.com/group".into()),
        state: JobState::CompletedWithErrors,
        summary: Summary::default(),
        skipped: 2,
        discovering: false,
        discovery_errors: 0,
        started_at: time::parse(&json!("2024-01-02T00:00:00Z")),
        folder_time: Timestamp::default(),
        completed_at: None,
        error: Some("odd".into()),
        schedule: None,
        fraction: 1.0,
        paused: false,
        archived: false,
    }
}

#[track_caller]
fn check(files: &JobFiles) -> usize {
    let packed = pack(files.clone(), &facts());
    let unpacked = unpack(&packed, &facts());
    assert_eq!(unpacked, *files);
    packed.len()
}

fn status(index: u32, text: &serde_json::Value) -> RepositoryStatus {
    RepositoryStatus::parse(index, text.to_string().as_bytes()).unwrap().0
}

/// A job as the built-in scanner and the server leave it.
fn group(of: u32) -> JobFiles {
    let name = |number: u32| format!("group/service-{}", number * 7919 % 10_007);
    let url = |number: u32| format!("https://git.example.com/{}.git", name(number));
    let repositories = (0..of).map(|number| {
        let packages = number * 31 % 400;
        let text = json!({
            "schema": 1, "repo_index": number, "repo_name": name(number), "git_url": url(number),
            "status": if number == 5 { "failed" } else { "completed" }, "attempt": 1, "revision": 9,
            "started_at": format!("2024-01-02T00:00:{:02}.{:03}Z", number % 60, number * 7 % 1000),
            "last_update": format!("2024-01-02T00:01:{:02}.{:03}Z", number % 60, number * 11 % 1000),
            "completed_at": format!("2024-01-02T00:01:{:02}.{:03}Z", number % 60, number * 11 % 1000),
            "message": format!("Completed: {packages} packages"),
            "stage": "conclude", "stage_index": 5, "stage_total": 5, "stage_progress": 100.0,
            "total_files": 12 + number % 9, "current_file": 12 + number % 9, "percentage": 100.0,
            "current_filename": format!("services/part-{number}/package.json"),
            "dependencies_found": packages,
            "error_message": "the repository does not exist, or may not be read",
        });
        (status(number, &text), u64::from(1_000_000 + 3 * number))
    });
    let names: Vec<_> = (0..of).filter(|number| *number != 5).map(name).collect();
    let error = "the repository does not exist, or may not be read";
    let text = json!({
        "schema": 1, "job_id": "job", "group_url": "https://git.example.com/group",
        "scan_type": "group", "total_repositories": of, "status": "completed_with_errors",
        "started_at": "2024-01-02T00:00:00Z", "completed_at": "2024-01-02T00:02:00Z",
        "last_aggregation": "2024-01-02T00:02:00Z", "pending_repositories": [],
        "completed_repositories": names, "submitted_by": "somebody", "schedule": "nightly", "options": {"deep": false},
        "failed_repositories": [{ "repo_name": name(5), "error": error, "status": "failed" }],
    });
    JobFiles {
        master: Some(Master::parse(text.to_string().as_bytes()).unwrap().0),
        repositories: repositories.collect(),
        born: 999_990,
        version: 1_000_030,
        job_version: 1_000_029,
        ..JobFiles::default()
    }
}

/// Fails if a packed job is larger than necessary, which matters for 20,000 of them.
#[test]
fn a_packed_job_takes_few_bytes() {
    let bytes = check(&group(8));
    assert!(bytes < 480, "{bytes} bytes for 8 repositories");
}

/// Fails if anything that a file can contain is lost or changed.
#[test]
fn unpacking_restores_every_content() {
    let mut seed: u32 = 3;
    let mut dice = |sides: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as usize % sides
    };
    let texts = ["", "a", "group/ä", "group/ö/ü", "job", "completed", "…", "group/äö", "odd"];
    let words = ["completed", "failed", "timeout", "cancelled", "scanning", "pending", "Unheard"];
    let times = [
        json!("2024-01-02T00:00:00Z"),
        json!("2024-01-02T00:00:00.123456789Z"),
        json!("2016-12-31T23:59:60.5Z"),
        json!(0),
        json!(4_102_444_799.999),
        json!(null),
    ];
    let counts = [json!(0), json!(1), json!(127), json!(128), json!(u64::MAX), json!(null)];
    let floats = [json!(0.1), json!(100.0), json!(-1e300), json!(33.3), json!(null)];
    for _ in 0..500 {
        let mut files = JobFiles { born: 5, version: 9, job_version: 6, ..JobFiles::default() };
        let mut index = dice(3);
        for version in 0..dice(6) {
            let mut text = json!({ "status": words[dice(words.len())] });
            for key in ["repo_name", "git_url", "message", "stage", "current_filename"] {
                text[key] = json!(texts[dice(texts.len())]);
            }
            for key in ["started_at", "last_update", "completed_at"] {
                text[key] = times[dice(times.len())].clone();
            }
            if dice(2) == 0 {
                text["reused_from"] = json!(["job", "another", "jo"][dice(3)]);
                text["checked_at"] = times[dice(times.len())].clone();
            }
            for key in ["attempt", "dependencies_found", "stage_index", "stage_total"] {
                text[key] = counts[dice(counts.len())].clone();
            }
            let figures = ["total_files", "download_bytes", "files_extracted", "message"];
            text[figures[dice(4)]] = counts[dice(counts.len())].clone();
            text["current_file"] = counts[dice(counts.len())].clone();
            text["stage_progress"] = match dice(3) {
                0 => json!({ "current": dice(9), "of": texts[dice(texts.len())] }),
                1 => json!(dice(100)),
                _ => floats[dice(floats.len())].clone(),
            };
            text["percentage"] = floats[dice(floats.len())].clone();
            if dice(2) == 0 {
                text["failure"] = json!({
                    "kind": FailureKind::ALL[dice(12)].as_str(), "detail": texts[dice(9)],
                    "exit_code": ([-1, 0, 7][dice(3)]), "signal": 9, "permanent": dice(2) == 0,
                    "throttled": dice(2) == 0, "retry_after_secs": ([None, Some(0), Some(77)][dice(3)]),
                });
                text["error_message"] = json!(texts[dice(texts.len())]);
            }
            let status = status(u32::try_from(index).unwrap(), &text);
            files.repositories.push((status, 100 - version as u64));
            index += 1 + dice(3) * 1_000;
        }
        if dice(4) > 0 {
            let mut text = json!({ "schema": dice(3), "scan_type": "group" });
            for key in [
                "job_id",
                "group_url",
                "status",
                "error",
                "waiting_for",
                "submitted_by",
                "schedule",
            ] {
                text[key] = json!(texts[dice(texts.len())]);
            }
            for key in ["started_at", "last_aggregation", "completed_at"] {
                text[key] = times[dice(times.len())].clone();
            }
            for key in ["pending_repositories", "completed_repositories"] {
                let names: Vec<_> = (0..dice(4)).map(|_| texts[dice(texts.len())]).collect();
                text[key] = json!(names);
            }
            let failed = json!({ "repo_name": null, "error": "e", "status": texts[dice(9)] });
            text["failed_repositories"] = json!(vec![failed; dice(3)]);
            text["total_repositories"] = json!(dice(2_000_000));
            text["options"] =
                json!({ "deep": dice(2) == 0, "include": ["a*"], "ref": texts[dice(9)] });
            files.master = Some(Master::parse(text.to_string().as_bytes()).unwrap().0);
        }
        for _ in 0..dice(3) {
            let file = [JobFile::Master, JobFile::Repository(u32::MAX)][dice(2)];
            let warnings = (0..=dice(2)).map(|_| texts[dice(9)].to_owned()).collect();
            files.warnings.insert(file, warnings);
            files.unreadable.insert(u32::try_from(dice(9)).unwrap());
        }
        check(&files);
    }
    check(&JobFiles { master: Some(Master::default()), ..JobFiles::default() });
    let text = json!({
        "status": "in_progress", "discovering": true, "total_repositories": 7,
        "skipped_repositories": 3, "discovery_errors_total": 120,
        "discovery_errors": [
            { "request": "https://h.example/p", "error": "odd", "timestamp": "2024-01-02T00:00:07Z" },
            { "request": "", "error": "ä", "timestamp": "2024-01-03T00:00:00.25Z" },
        ],
    });
    let (listing, warnings) = Master::parse(text.to_string().as_bytes()).unwrap();
    assert_eq!((listing.discovery_errors.len(), warnings.len()), (2, 0), "{warnings:?}");
    check(&JobFiles { master: Some(listing), ..JobFiles::default() });
}
