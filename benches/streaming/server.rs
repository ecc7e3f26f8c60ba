//! The server under measurement, with credentials, and a job whose files the benchmark writes.

use crate::Outcome;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// `bench:bench`, as it goes with every request.
const AUTHORIZATION: &str = "Authorization: Basic YmVuY2g6YmVuY2g=";

pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
    jobs: PathBuf,
    _home: TempDir,
}

/// A job of the server's own, for it has a plan, that nobody runs.
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
        let mut child = command(env!("CARGO_BIN_EXE_scanwatch"))
            .args(["serve", "--listen", "127.0.0.1:0", "--jobs-dir"])
            .arg(&jobs)
            .args(["--set", "log.level=error"])
            .env("API_USERNAME", "bench")
            .env("API_PASSWORD", "bench")
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().ok_or("no standard error")?;
        let mut first = String::new();
        BufReader::new(stderr).read_line(&mut first)?;
        let address = first.rsplit("http://").next().unwrap_or_default().trim().to_owned();
        let server = Self { child, address, jobs, _home: home };
        while server.get("/readyz").is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    /// A new job, once the server knows it.
    pub(crate) fn job(&self, id: &str) -> Outcome<Job> {
        let (folder, staging) = (self.jobs.join(id), self.jobs.join(".staging"));
        fs::create_dir(&folder)?;
        let request =
            format!("GET /scan/{id}/events HTTP/1.1\r\nHost: localhost\r\n{AUTHORIZATION}\r\n\r\n");
        let job = Job { folder, staging, request };
        job.replace("repositories.json", "{}")?;
        job.replace("master.json", r#"{"total_repositories": 2}"#)?;
        job.replace("repo_0.json", &status("scanning", 0))?;
        while !self.get(&format!("/scan/{id}")).is_ok_and(|it| it.contains("scanning")) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(job)
    }

    fn get(&self, path: &str) -> Outcome<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\n{AUTHORIZATION}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.starts_with("HTTP/1.1 200") { Ok(answer) } else { Err(answer.into()) }
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

/// What a status file of a repository says.
pub(crate) fn status(state: &str, number: usize) -> String {
    format!(
        r#"{{"repo_index":0,"repo_name":"bench","status":"{state}","total_files":1000000,"current_file":{number}}}"#
    )
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = command("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the servers under measurement, and kill(1)")]
pub(crate) fn command(program: &str) -> Command {
    Command::new(program)
}
