//! The server under measurement, with credentials, and a job whose files the benchmark writes.

use crate::program::{Outcome, Program};
use std::{fs, io::Write, path::PathBuf, time::Duration};
use tempfile::TempDir;

/// The credentials `bench:bench`, which each request sends.
const AUTHORIZATION: &str = "Authorization: Basic YmVuY2g6YmVuY2g=";

pub(crate) struct Server {
    pub(crate) program: Program,
    jobs: PathBuf,
    _home: TempDir,
}

/// A job that is not run. Its plan makes the server treat it as its own.
pub(crate) struct Job {
    folder: PathBuf,
    staging: PathBuf,
    /// The request that opens its event stream.
    pub(crate) request: String,
}

impl Server {
    pub(crate) fn start() -> Outcome<Self> {
        let home = tempfile::tempdir()?;
        let jobs = home.path().join("jobs");
        let program = Program::start(&jobs, |command| {
            command.env("API_USERNAME", "bench").env("API_PASSWORD", "bench");
        })?;
        Ok(Self { program, jobs, _home: home })
    }

    /// Creates a job and waits until the server knows it.
    pub(crate) fn job(&self, id: &str) -> Outcome<Job> {
        let (folder, staging) = (self.jobs.join(id), self.jobs.join(".staging"));
        fs::create_dir(&folder)?;
        let request =
            format!("GET /scan/{id}/events HTTP/1.1\r\nHost: localhost\r\n{AUTHORIZATION}\r\n\r\n");
        let job = Job { folder, staging, request };
        job.replace("repositories.json", "{}")?;
        job.replace("master.json", r#"{"total_repositories": 2}"#)?;
        job.replace("repo_0.json", &status("scanning", 0))?;
        while !self
            .program
            .get(&format!("/scan/{id}"), AUTHORIZATION)
            .is_ok_and(|body| body.contains("scanning"))
        {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(job)
    }

    pub(crate) fn address(&self) -> &str {
        &self.program.address
    }
}

impl Job {
    /// Writes a file beside the folder; [`publish`](Self::publish) moves it there.
    pub(crate) fn stage(&self, text: &str) -> Outcome<()> {
        Ok(fs::File::create(self.staging.join("bench.tmp"))?.write_all(text.as_bytes())?)
    }

    pub(crate) fn publish(&self, name: &str) -> Outcome<()> {
        Ok(fs::rename(self.staging.join("bench.tmp"), self.folder.join(name))?)
    }

    pub(crate) fn replace(&self, name: &str, text: &str) -> Outcome<()> {
        self.stage(text)?;
        self.publish(name)
    }
}

/// The content of a status file of a repository.
pub(crate) fn status(state: &str, number: usize) -> String {
    format!(
        r#"{{"repo_index":0,"repo_name":"bench","status":"{state}","total_files":1000000,"current_file":{number}}}"#
    )
}
