//! A server with credentials over a folder of finished jobs.

use crate::program::{Outcome, Program};
use std::{fs, io::Write, path::Path};

/// The header with the credentials.
pub(crate) const AUTHORIZATION: &str = "Authorization: Basic YmVuY2g6YmVuY2gtc2VjcmV0";

/// Writes a finished job with this number of repositories.
pub(crate) fn write_job(jobs: &Path, id: &str, repositories: usize) -> Outcome<()> {
    let folder = jobs.join(id);
    fs::create_dir_all(&folder)?;
    let second = id.bytes().map(usize::from).sum::<usize>() % 60;
    let times = format!(
        r#""started_at":"2026-01-02T03:04:{second:02}Z","completed_at":"2026-01-02T03:06:07Z""#
    );
    for number in 0..repositories {
        let status = format!(
            r#"{{"status":"completed","repo_name":"group/project-{number}","repo_url":"https://git.example/group/project-{number}.git","total_files":1200,"current_file":1200,{times}}}"#
        );
        write(&folder.join(format!("repo_{number}.json")), &status)?;
    }
    let master = format!(
        r#"{{"status":"completed","scan_type":"group","group_url":"https://git.example/group","total_repositories":{repositories},{times}}}"#
    );
    write(&folder.join("master.json"), &master)
}

/// Writes a new file.
pub(crate) fn write(path: &Path, text: &str) -> Outcome<()> {
    Ok(fs::File::create(path)?.write_all(text.as_bytes())?)
}

/// Starts a server with credentials, and waits until it has read all jobs.
pub(crate) fn serve(jobs: &Path) -> Outcome<Program> {
    Program::start(jobs, |command| {
        command.args(["--set", "jobs.retention_hours=1000000"]);
        command.env("API_USERNAME", "bench").env("API_PASSWORD", "bench-secret");
    })
}
