//! As much of HTTP/1.1 as git's client uses, one request per connection.

use super::program;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// A request, read completely.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn read(mut stream: &TcpStream) -> io::Result<Self> {
        let mut from = BufReader::new(stream);
        // A client that starts with TLS waits for an answer, not for the end of its line.
        if !from.fill_buf()?.first().is_some_and(u8::is_ascii_uppercase) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let first = line(&mut from)?;
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let mut request = Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        loop {
            let text = line(&mut from)?;
            let Some((name, value)) = text.split_once(':') else { break };
            request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if request.header("expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if request.header("transfer-encoding") == Some("chunked") {
            while let Some(size) =
                u64::from_str_radix(&line(&mut from)?, 16).ok().filter(|size| *size > 0)
            {
                from.by_ref().take(size).read_to_end(&mut request.body)?;
                line(&mut from)?;
            }
        } else if let Some(size) =
            request.header("content-length").and_then(|text| text.parse().ok())
        {
            from.take(size).read_to_end(&mut request.body)?;
        }
        Ok(request)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.0 == name).map(|header| header.1.as_str())
    }

    /// As if from a client that knows only the first protocol version.
    pub(super) fn forget_protocol(&mut self) {
        self.headers.retain(|header| header.0 != "git-protocol");
    }

    /// The call of git's backend that answers this, by the rules of CGI (RFC 3875).
    pub(super) fn backend(&self, root: &Path) -> Command {
        static BACKEND: OnceLock<PathBuf> = OnceLock::new();
        let backend = BACKEND.get_or_init(|| {
            let reported = program("git").arg("--exec-path").output().expect("git runs");
            let folder = String::from_utf8(reported.stdout).expect("a path of text");
            Path::new(folder.trim()).join("git-http-backend")
        });
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let mut command = program(backend);
        command
            .env("GIT_PROJECT_ROOT", root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REQUEST_METHOD", &self.method)
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("CONTENT_LENGTH", self.body.len().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        for (header, variable) in [
            ("content-type", "CONTENT_TYPE"),
            ("content-encoding", "HTTP_CONTENT_ENCODING"),
            ("git-protocol", "GIT_PROTOCOL"),
        ] {
            if let Some(value) = self.header(header) {
                command.env(variable, value);
            }
        }
        command
    }
}

/// The value of an `Authorization` header for this login.
pub(super) fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

/// An answer without a body.
pub(super) fn answer(stream: &mut impl Write, code: u16, headers: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {code} As told\r\nConnection: close\r\nContent-Length: 0\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes())
}

/// An answer with a body.
pub(super) fn answer_with(
    stream: &mut impl Write,
    code: u16,
    headers: &str,
    body: &[u8],
) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {code} As told\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

/// The head of an answer to `git-upload-pack`; its body ends with the connection.
pub(super) fn begin_pack(stream: &mut impl Write) -> io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\
          Content-Type: application/x-git-upload-pack-result\r\n\r\n",
    )
}

/// The head of a list of branches; its body ends with the connection.
pub(super) fn begin_refs(stream: &mut impl Write) -> io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\
          Content-Type: application/x-git-upload-pack-advertisement\r\n\r\n\
          001e# service=git-upload-pack\n0000",
    )
}

/// Turns the head of a CGI answer into one of HTTP.
pub(super) fn pass_on_head(from: &mut impl Read, stream: &mut impl Write) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    stream.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n{head}").as_bytes())
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    from.take(16 << 10).read_line(&mut text)?;
    Ok(text.trim_end().to_owned())
}
