//! The server under measurement: a process with its own port.
//!
//! Input: a jobs folder, and further arguments. Output: answers, and the kernel's statistics of the
//! process. Invariants: dropping this stops the server in order, so that no scanner remains.

#![allow(dead_code, reason = "each bench uses a part")]

use std::{
    error::Error,
    fs,
    io::{BufRead, BufReader, Read, Write, copy, sink},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The pause between two requests for readiness.
const PAUSE: Duration = Duration::from_millis(2);

pub(crate) struct Program {
    child: Child,
    pub(crate) address: String,
}

impl Program {
    /// Starts a server, and waits until it is ready. `SCANWATCH_BINARY` names another build.
    pub(crate) fn start(jobs: &Path, configure: impl FnOnce(&mut Command)) -> Outcome<Self> {
        let binary = std::env::var("SCANWATCH_BINARY");
        let binary = binary.unwrap_or_else(|_| env!("CARGO_BIN_EXE_scanwatch").to_owned());
        let mut serve = command(&binary);
        serve.args(["serve", "--listen", "127.0.0.1:0", "--set", "log.level=error", "--jobs-dir"]);
        serve.arg(jobs).stderr(Stdio::piped());
        configure(&mut serve);
        let mut child = serve.spawn()?;
        let mut stderr = BufReader::new(child.stderr.take().ok_or("no standard error")?);
        let mut first = String::new();
        stderr.read_line(&mut first)?;
        // A full pipe would stop the server.
        thread::spawn(move || copy(&mut stderr, &mut sink()));
        let address = first.rsplit("http://").next().unwrap_or_default().trim().to_owned();
        let program = Self { child, address };
        while program.get("/readyz", "").is_err() {
            thread::sleep(PAUSE);
        }
        Ok(program)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn connect(&self) -> Outcome<TcpStream> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// A keep-alive connection; `header`: a line without its end, or nothing.
    pub(crate) fn client(&self, header: &str) -> Outcome<Client> {
        Ok(Client { stream: BufReader::new(self.connect()?), header: line(header) })
    }

    /// The body of the answer to a request that closes its connection.
    pub(crate) fn exchange(&self, request: &str) -> Outcome<String> {
        let mut stream = self.connect()?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
            _ => Err(answer.into()),
        }
    }

    /// The body of an answer; `header`: a line without its end, or nothing.
    pub(crate) fn get(&self, path: &str, header: &str) -> Outcome<String> {
        self.exchange(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\n{}Connection: close\r\n\r\n",
            line(header)
        ))
    }

    /// A figure of `/proc/PID/status`, such as `VmRSS`, in bytes.
    pub(crate) fn memory(&self, name: &str) -> Outcome<usize> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find(|line| line.starts_with(name)).ok_or("no such figure")?;
        let kib: usize = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
        Ok(kib << 10)
    }

    /// The processor time of all threads so far.
    pub(crate) fn processor_time(&self) -> Outcome<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        // After the name, which may contain anything: the 14th and 15th field, in ticks of 10 ms.
        let (_, fields) = stat.rsplit_once(") ").ok_or("no name in /proc/PID/stat")?;
        let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
        Ok(Duration::from_millis(ticks.sum::<Result<u64, _>>()? * 10))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let pid = self.pid().to_string();
        // The server may be stopped by SIGSTOP.
        for signal in ["-TERM", "-CONT"] {
            let _ = command("kill").args([signal, &pid]).status();
        }
        let _ = self.child.wait();
    }
}

/// A keep-alive connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    header: String,
}

impl Client {
    /// The body of an answer with the status 200.
    pub(crate) fn get(&mut self, path: &str) -> Outcome<String> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", self.header);
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut first, mut length) = (String::new(), 0);
        self.stream.read_line(&mut first)?;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let body = String::from_utf8(body)?;
        if first.starts_with("HTTP/1.1 200") { Ok(body) } else { Err(first.into()) }
    }
}

/// A header with its line end.
fn line(header: &str) -> String {
    if header.is_empty() { String::new() } else { format!("{header}\r\n") }
}

#[expect(clippy::disallowed_methods, reason = "the programs under measurement, and kill(1)")]
pub(crate) fn command(program: &str) -> Command {
    Command::new(program)
}
