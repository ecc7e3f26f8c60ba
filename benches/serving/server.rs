//! A server with credentials over a folder of finished jobs.

use crate::{Outcome, command};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

/// What a client sends to be let in.
pub(crate) const AUTHORIZATION: &str = "Authorization: Basic YmVuY2g6YmVuY2gtc2VjcmV0";

pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
}

/// Writes a job that has ended, with so many repositories.
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

/// Writes a new file of the bench's own.
pub(crate) fn write(path: &Path, text: &str) -> Outcome<()> {
    Ok(fs::File::create(path)?.write_all(text.as_bytes())?)
}

impl Server {
    /// Starts it, and waits until it has read all jobs.
    pub(crate) fn start(jobs: &Path) -> Outcome<Self> {
        let mut child = command(env!("CARGO_BIN_EXE_scanwatch"))
            .env("API_USERNAME", "bench")
            .env("API_PASSWORD", "bench-secret")
            .args(["serve", "--listen", "127.0.0.1:0", "--jobs-dir"])
            .arg(jobs)
            .args(["--set", "log.level=error", "--set", "jobs.retention_hours=1000000"])
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().ok_or("no standard error")?;
        let mut first = String::new();
        BufReader::new(stderr).read_line(&mut first)?;
        let address = first.rsplit("http://").next().unwrap_or_default().trim().to_owned();
        let server = Self { child, address };
        while server.body("/readyz").is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// The body of an answer, of a connection of its own.
    pub(crate) fn body(&self, path: &str) -> Outcome<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\n{AUTHORIZATION}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        if head.starts_with("HTTP/1.1 200") { Ok(body.to_owned()) } else { Err(answer.into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = command("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }
}
