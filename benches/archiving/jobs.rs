//! Finished jobs, written into a jobs folder as another program leaves them.

use crate::{Outcome, support::files};
use serde_json::json;
use std::{fs, path::Path};

/// The packages of a repository.
const PACKAGES: usize = 20;

/// Writes a finished job.
pub(crate) fn write(jobs: &Path, id: &str, repositories: usize) -> Outcome<()> {
    let folder = jobs.join(id);
    for name in ["results", "logs"] {
        fs::create_dir_all(folder.join(name))?;
    }
    let at = chrono::Utc::now().to_rfc3339();
    for index in 0..repositories {
        let name = format!("part-{index}");
        let package = |number| {
            json!({
                "name": format!("package-{index}-{number}"), "version": "1.0.0", "ecosystem": "npm",
                "purl": format!("pkg:npm/package-{index}-{number}@1.0.0"), "file": "package-lock.json",
                "direct": true, "scope": "runtime", "source": "lockfile",
            })
        };
        let packages: Vec<_> = (0..PACKAGES).map(package).collect();
        let result = json!({
            "schema": 1, "repo_index": index, "repo_name": name, "packages": packages, "categories": {},
            "infrastructure_usage": {}, "warnings": [],
        });
        let status = json!({
            "repo_index": index, "repo_name": name, "status": "completed", "started_at": at,
            "completed_at": at, "last_update": at, "git_url": format!("https://github.com/acme/{name}.git"),
        });
        files::write(&folder.join(format!("repo_{index}.json")), status.to_string());
        files::write(&folder.join(format!("results/repo_{index}.json")), result.to_string());
        files::write(&folder.join(format!("logs/repo_{index}.log")), format!("scanned {name}\n"));
    }
    let names: Vec<_> = (0..repositories).map(|index| format!("part-{index}")).collect();
    let master = json!({
        "job_id": id, "group_url": "https://github.com/acme", "total_repositories": repositories,
        "status": "completed", "started_at": at, "completed_at": at, "last_aggregation": at,
        "pending_repositories": [], "completed_repositories": names, "failed_repositories": [],
        "scan_type": "group",
    });
    files::write(&folder.join("master.json"), master.to_string());
    Ok(())
}
