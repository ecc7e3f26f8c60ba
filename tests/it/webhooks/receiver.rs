//! A target of webhooks: a small HTTP server that records what it receives and answers as the test requires.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// A request, read completely.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) at: Instant,
}

/// What a request is answered with.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// This status, with these header lines and this body.
    Status(u16, String, Vec<u8>),
    /// Nothing, until the client closes the connection.
    Silence,
    /// This status, and a body without an end.
    Endless(u16),
    /// A header without an end, a byte at a time.
    Trickle,
}

type Behaviour = Box<dyn FnMut(&Received, usize) -> Reply + Send>;

#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    behaviour: Mutex<Behaviour>,
    /// Open connections, now and at most.
    open: AtomicUsize,
    most: AtomicUsize,
    /// Bytes of endless bodies that were taken.
    sent: AtomicUsize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

/// An answer without a body.
pub(crate) fn status(code: u16) -> Reply {
    Reply::Status(code, String::new(), Vec::new())
}

impl Receiver {
    /// A target that accepts everything.
    pub(crate) fn start() -> Self {
        Self::answering(|_, _| status(204))
    }

    /// A target that answers by the request and the number of those before it.
    pub(crate) fn answering(
        behaviour: impl FnMut(&Received, usize) -> Reply + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            behaviour: Mutex::new(Box::new(behaviour)),
            open: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
        });
        let of_all = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&of_all);
                thread::spawn(move || {
                    let open = shared.open.fetch_add(1, Ordering::SeqCst) + 1;
                    shared.most.fetch_max(open, Ordering::SeqCst);
                    let _ = shared.serve(&stream);
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, shared }
    }

    /// Changes what is answered from now on.
    pub(crate) fn answer(&self, behaviour: impl FnMut(&Received, usize) -> Reply + Send + 'static) {
        *self.shared.behaviour.lock().unwrap() = Box::new(behaviour);
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was received so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// The events of this type that were received so far.
    pub(crate) fn events(&self, kind: &str) -> Vec<Received> {
        let mut all = self.received();
        all.retain(|received| received.json()["type"] == kind);
        all
    }

    /// The most connections that were open at once.
    pub(crate) fn most(&self) -> usize {
        self.shared.most.load(Ordering::SeqCst)
    }

    /// How many bytes of endless bodies were taken.
    pub(crate) fn sent(&self) -> usize {
        self.shared.sent.load(Ordering::SeqCst)
    }
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    pub(crate) fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn job(&self) -> String {
        self.json()["data"]["job_id"].as_str().unwrap_or_default().to_owned()
    }
}

impl Shared {
    fn serve(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut from = BufReader::new(stream);
        while let Some(received) = read(&mut from)? {
            let number = {
                let mut all = self.received.lock().unwrap();
                all.push(received.clone());
                all.len() - 1
            };
            let reply = (self.behaviour.lock().unwrap())(&received, number);
            match reply {
                Reply::Status(code, headers, body) => {
                    let length = body.len();
                    let head = format!(
                        "HTTP/1.1 {code} As told\r\nContent-Length: {length}\r\n{headers}\r\n"
                    );
                    stream.write_all(head.as_bytes())?;
                    stream.write_all(&body)?;
                }
                Reply::Silence => {
                    // Ends when the client closes.
                    io::copy(&mut stream, &mut io::sink())?;
                    return Ok(());
                }
                Reply::Endless(code) => {
                    write!(stream, "HTTP/1.1 {code} As told\r\n\r\n")?;
                    loop {
                        stream.write_all(&[b'x'; 4096])?;
                        self.sent.fetch_add(4096, Ordering::SeqCst);
                    }
                }
                Reply::Trickle => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nx: ")?;
                    loop {
                        stream.write_all(b"x")?;
                        thread::sleep(Duration::from_millis(50));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Reads a request; `None` at the end of the connection.
fn read(from: &mut impl BufRead) -> io::Result<Option<Received>> {
    let mut first = String::new();
    if from.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut received = Received {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        at: Instant::now(),
    };
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        received.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if received.header("transfer-encoding") == "chunked" {
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let size = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            let mut piece = Vec::new();
            from.by_ref().take(size).read_to_end(&mut piece)?;
            received.body.extend(piece);
            from.read_line(&mut line)?;
            if size == 0 {
                break;
            }
        }
    } else if let Ok(size) = received.header("content-length").parse() {
        from.by_ref().take(size).read_to_end(&mut received.body)?;
    }
    Ok(Some(received))
}
