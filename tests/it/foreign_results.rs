//! Results of the Python service, which keeps them in the status file of each repository.

use crate::support::{
    files,
    server::{Setup, TestServer},
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    time::{Duration, SystemTime},
};

pub(crate) const GROUP: &str = "7a1f0f7e-0000-4000-8000-000000000001";
const SINGLE: &str = "7a1f0f7e-0000-4000-8000-000000000002";
const RUNNING: &str = "7a1f0f7e-0000-4000-8000-000000000003";
const NAMELESS: &str = "7a1f0f7e-0000-4000-8000-000000000004";

fn lay(setup: &Setup, job: &str, master: Option<Value>, repositories: &[Value]) {
    let folder = setup.jobs().join(job);
    fs::create_dir_all(&folder).unwrap();
    if let Some(master) = master {
        files::write(&folder.join("master.json"), master.to_string());
    }
    for (index, repository) in repositories.iter().enumerate() {
        files::write(&folder.join(format!("repo_{index}.json")), repository.to_string());
    }
}

fn master(status: &str, url: &str, total: u32) -> Value {
    json!({ "job_id": "x", "group_url": url, "total_repositories": total, "status": status,
        "started_at": "2024-03-01T09:00:00+00:00", "completed_at": null })
}

fn repository(name: &str, status: &str, result: &Value) -> Value {
    let url = format!("https://gitlab.com/acme/{name}.git");
    json!({ "repo_name": name, "status": status, "git_url": url, "scan_result": result,
        "message": "at it", "stage_progress": { "current": 3, "total": 9 } })
}

async fn get(server: &TestServer, path: &str) -> Value {
    server.get(path).await.expect(200).json()
}

/// Writes the folders into a jobs folder; returns what was found in the first repository.
pub(crate) fn lay_all(setup: &Setup) -> Value {
    let found = json!({
        "categorized_dependencies": { "Web frameworks": true, "Databases": false },
        "infrastructure_usage": { "devpods": true },
        "dependencies": ["flask==3.0.0", "requests"],
    });
    let bare = json!({ "categorized_dependencies": { "Databases": ["redis"] } });
    let group = [
        repository("a", "completed", &found),
        repository("b", "completed", &bare),
        repository("c", "completed", &json!(null)),
        repository("d", "failed", &json!(null)),
    ];
    let url = "https://gitlab.com/acme";
    lay(setup, GROUP, Some(master("completed_with_errors", url, 4)), &group);
    lay(setup, SINGLE, Some(master("completed", url, 1)), &group[2..3]);
    let running = [&group[..1], &[repository("e", "scanning", &json!(null))]].concat();
    lay(setup, RUNNING, Some(master("in_progress", url, 3)), &running);
    lay(setup, NAMELESS, None, &group[..1]);
    let folder = File::open(setup.jobs().join(NAMELESS)).unwrap();
    folder.set_modified(SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 54)).unwrap();
    found
}

/// Breaks if a client of the Python service sees less in its old jobs than before, or an empty
/// success where nothing is known.
#[tokio::test]
async fn results_in_status_files_are_served() {
    let setup = Setup::new().set("jobs.retention_hours", 1_000_000);
    let found = lay_all(&setup);
    let server = setup.start().await;

    let results = get(&server, &format!("/jobs/{GROUP}/results")).await;
    let used = json!({ "Databases": true, "Web frameworks": true });
    assert_eq!(results["dependencies"], used, "{results:#}");
    assert_eq!(results["infrastructure_usage"]["devpods"], true);
    let projects = results["project_results"].as_array().unwrap();
    let states: Vec<_> = projects.iter().map(|row| row["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["success", "success", "unknown", "failed"], "{results:#}");
    assert_eq!(projects[0]["dependencies"], found["categorized_dependencies"]);
    assert_eq!(projects[1]["infrastructure_usage"]["devpods"], false);
    assert!(results["warnings"][0].as_str().unwrap().contains("1 completed repository"));
    let single = get(&server, &format!("/jobs/{SINGLE}/results")).await;
    assert_eq!(single["warnings"].as_array().unwrap().len(), 1, "{single:#}");

    let packages = get(&server, &format!("/scan/{GROUP}/repositories/0/packages")).await;
    assert_eq!(packages["total"], 2, "{packages:#}");
    assert_eq!(packages["packages"][0]["purl"], "pkg:generic/flask@3.0.0");
    let everywhere = get(&server, &format!("/scan/{GROUP}/packages?name=redis")).await;
    assert_eq!(everywhere["packages"][0]["repo_name"], "b", "{everywhere:#}");
    server.get(&format!("/scan/{GROUP}/sbom")).await.expect(200);

    let partial = get(&server, &format!("/jobs/{RUNNING}/partial")).await;
    let part = &partial["partial_results"];
    assert_eq!(part["dependencies"]["Web frameworks"], true, "{partial:#}");
    assert_eq!(partial["progress"], 33, "a whole number, rounded down: {partial:#}");
    let shown = get(&server, &format!("/scan/{RUNNING}")).await;
    let stage = &shown["repositories"][0]["progress"]["stage_progress"];
    assert_eq!(*stage, json!({ "current": 3, "total": 9 }), "{shown:#}");

    let rows = get(&server, "/jobs").await;
    let row =
        rows["jobs"].as_array().unwrap().iter().find(|row| row["job_id"] == NAMELESS).unwrap();
    assert_eq!(row["git_url"], "", "{row:#}");
    assert!(row["created_at"].as_str().unwrap().starts_with("2023-12-"), "{row:#}");
    for row in rows["jobs"].as_array().unwrap() {
        assert!(row["progress"].is_u64() && row["created_at"].is_string(), "{row:#}");
    }
}
