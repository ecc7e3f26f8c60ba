//! A real S3 server, moto, and a proxy in front of it that misbehaves on demand.

use super::{patience::eventually, python};
use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// The bucket that exists.
pub(crate) const BUCKET: &str = "scans";
/// Credentials that must not appear anywhere.
pub(crate) const KEYS: (&str, &str) = ("AKIACANARY0S3KEY5501", "canary-s3-secret-77120");

/// A running S3 server behind its proxy. Dropping it ends both.
#[derive(Debug)]
pub(crate) struct S3 {
    child: Child,
    address: SocketAddr,
    proxy: SocketAddr,
    faults: Arc<Mutex<Faults>>,
}

/// What the proxy does instead of passing on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answers with this status.
    Status(u16),
    /// Reads the request, and never answers.
    Silence,
    /// Closes the connection after the request.
    Cut,
    /// Passes on half of the answer's body.
    Truncated,
    /// Changes a byte of the answer's body.
    Corrupted,
    /// Changes a byte of the request's body.
    CorruptedUpload,
    /// Answers success, and passes nothing on.
    Lost,
}

#[derive(Debug, Default)]
struct Faults {
    /// For requests of this method and with this part of the path; how often.
    active: Vec<(Fault, &'static str, &'static str, usize)>,
    /// Method and path of every request.
    seen: Vec<String>,
    /// Everything that passed: the canaries are searched in it.
    bodies: Vec<u8>,
    is_down: bool,
}

impl S3 {
    /// With an empty bucket.
    pub(crate) fn start() -> Self {
        let address = free_address();
        let mut command = python::s3_server();
        let child = command
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &address.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto can be started");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let proxy = listener.local_addr().expect("a bound socket has an address");
        let faults = Arc::new(Mutex::new(Faults::default()));
        let shared = Arc::clone(&faults);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A connection that breaks is what the tests are about.
                thread::spawn(move || pass_on(client, address, &shared).ok());
            }
        });
        let s3 = Self { child, address, proxy, faults };
        eventually("the S3 server listens", || TcpStream::connect(address).is_ok());
        s3.direct("PUT", "", b"").expect("a bucket can be created");
        s3
    }

    /// The endpoint for the settings.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.proxy)
    }

    /// Requests with this method and this part of the path fail, so many times.
    pub(crate) fn fail(
        &self,
        fault: Fault,
        method: &'static str,
        part: &'static str,
        times: usize,
    ) {
        self.faults.lock().unwrap().active.push((fault, method, part, times));
    }

    /// All faults end.
    pub(crate) fn heal(&self) {
        let mut faults = self.faults.lock().unwrap();
        faults.active.clear();
        faults.is_down = false;
    }

    /// Connections are closed at once.
    pub(crate) fn go_down(&self) {
        self.faults.lock().unwrap().is_down = true;
    }

    /// Method and path of the requests so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.faults.lock().unwrap().seen.clone()
    }

    /// What was sent to the storage so far.
    pub(crate) fn sent(&self) -> Vec<u8> {
        self.faults.lock().unwrap().bodies.clone()
    }

    /// The names of all objects, sorted.
    pub(crate) fn objects(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut after = String::new();
        loop {
            let query = format!("?list-type=2&start-after={after}");
            let text = String::from_utf8(self.direct("GET", &query, b"").unwrap()).unwrap();
            let found: Vec<_> = text
                .split("<Key>")
                .skip(1)
                .map(|rest| rest.split("</Key>").next().unwrap().to_owned())
                .collect();
            names.extend(found);
            if !text.contains("<IsTruncated>true") {
                return names;
            }
            after = names.last().cloned().unwrap_or_default();
        }
    }

    /// The content of an object, past the proxy.
    pub(crate) fn object(&self, name: &str) -> Option<Vec<u8>> {
        self.direct("GET", &format!("/{name}"), b"")
    }

    /// All objects by name.
    pub(crate) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let read = |name: String| (name.clone(), self.object(&name).expect("it was listed"));
        self.objects().into_iter().map(read).collect()
    }

    /// A request past the proxy; `None` unless it succeeds.
    fn direct(&self, method: &str, rest: &str, body: &[u8]) -> Option<Vec<u8>> {
        let authorization = "AWS4-HMAC-SHA256 Credential=t/20260101/us-east-1/s3/aws4_request, \
                             SignedHeaders=host, Signature=0";
        let head = format!(
            "{method} /{BUCKET}{rest} HTTP/1.1\r\nHost: {}\r\nAuthorization: {authorization}\r\n\
             Content-Type: application/octet-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        let mut upstream = TcpStream::connect(self.address).ok()?;
        upstream.write_all(head.as_bytes()).ok()?;
        upstream.write_all(body).ok()?;
        let mut answer = Vec::new();
        upstream.read_to_end(&mut answer).ok()?;
        let (head, body) = split(&answer)?;
        head.starts_with(b"HTTP/1.1 200").then(|| body.to_vec())
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    let free = TcpListener::bind(("127.0.0.1", 0)).expect("binding a free port");
    free.local_addr().expect("a bound socket has an address")
}

/// Head, with its empty line, and body.
fn split(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(message.split_at(end + 4))
}

/// Passes on one request, and its answer.
fn pass_on(client: TcpStream, to: SocketAddr, faults: &Mutex<Faults>) -> io::Result<()> {
    if faults.lock().unwrap().is_down {
        return Ok(());
    }
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = Vec::new();
    let mut length = 0;
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line).to_lowercase();
        if let Some(number) = text.strip_prefix("content-length:") {
            length = number.trim().parse().unwrap_or(0);
        }
        if line == b"\r\n" {
            break;
        }
        if !text.starts_with("connection:") {
            head.extend(line);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request = String::from_utf8_lossy(&head);
    let mut words = request.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let fault = {
        let mut faults = faults.lock().unwrap();
        faults.seen.push(format!("{method} {path}"));
        faults.bodies.extend(&body);
        let found = faults
            .active
            .iter_mut()
            .find(|(_, of, part, times)| *times > 0 && *of == method && path.contains(part));
        found.map(|(fault, _, _, times)| {
            *times -= 1;
            *fault
        })
    };
    let mut client = client;
    let answer = |client: &mut TcpStream, status: u16, text: &str| {
        let length = text.len();
        write!(
            client,
            "HTTP/1.1 {status} X\r\nETag: \"x\"\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
        )
    };
    match fault {
        Some(Fault::Status(status)) => {
            let code = if status == 403 { "AccessDenied" } else { "InternalError" };
            return answer(&mut client, status, &format!("<Error><Code>{code}</Code></Error>"));
        }
        Some(Fault::Silence) => {
            // Until the client gives up.
            client.set_read_timeout(Some(Duration::from_mins(1)))?;
            let _ = client.read(&mut [0]);
            return Ok(());
        }
        Some(Fault::Cut) => return Ok(()),
        Some(Fault::Lost) => return answer(&mut client, 200, ""),
        Some(Fault::CorruptedUpload) => flip(&mut body),
        Some(Fault::Truncated | Fault::Corrupted) | None => {}
    }
    let mut upstream = TcpStream::connect(to)?;
    upstream.write_all(&head)?;
    upstream.write_all(b"Connection: close\r\n\r\n")?;
    upstream.write_all(&body)?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    let (head, body) = split(&answer).ok_or(io::ErrorKind::InvalidData)?;
    client.write_all(head)?;
    let mut body = body.to_vec();
    match fault {
        Some(Fault::Truncated) => body.truncate(body.len() / 2),
        Some(Fault::Corrupted) => flip(&mut body),
        _ => {}
    }
    client.write_all(&body)
}

fn flip(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
}
