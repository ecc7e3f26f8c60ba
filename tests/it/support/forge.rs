//! A forge on this machine: real repositories, served by git's own `http-backend`, and lists of
//! them as each kind of forge returns them, with switches for everything that a forge can do wrong.
//!
//! It listens on a free port of 127.0.0.1 and lives until it is dropped; then every connection is
//! cut and every thread and process of it has ended.

mod apis;
mod handmade;
mod http;
mod listing;
mod pack;
mod repository;
mod tls;

pub(crate) use handmade::{Kind, Pack};
pub(crate) use listing::{Fault, Listing};
pub(crate) use repository::{Entry, Leaf, Repository};
pub(crate) use tls::{Flaw, TlsFront};

use http::Request;
use scanwatch::model::address::Origin;
use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tempfile::TempDir;

/// What the forge does with a request it would otherwise serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Honest,
    /// Every answer has this status code.
    Status(u16),
    /// Every answer redirects to the same path below this URL.
    Redirect(String),
    /// Accepts, reads the request, and stays silent.
    Silent,
    /// Sends this many bytes of a pack, and then nothing more.
    StallAfter(u64),
    /// Sends packs at this many bytes per second.
    Slow(u64),
    /// Sends a pack that never ends.
    EndlessPack,
    /// Every answer has this status code, these header lines, and this body.
    Says(u16, String, String),
    /// Instead of a pack, these lines on the progress channel, and as the error.
    SaysInPack(Vec<String>),
    /// Sends this pack, whatever is requested.
    Send(Arc<Vec<u8>>),
    /// Lists branches that never end.
    EndlessRefs,
    /// Waits as long as this file exists, and then serves.
    HeldBy(PathBuf),
    /// Speaks git's protocol before version 2, which lists all branches to every client.
    OldProtocol,
}

/// One request, as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) had_authorization: bool,
}

/// A running forge.
#[derive(Debug)]
pub(crate) struct Forge {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    root: TempDir,
    behaviour: Mutex<Behaviour>,
    /// Of single repositories, by path.
    behaviours: Mutex<Vec<(String, Behaviour)>>,
    /// The only value of the `Authorization` header that is accepted.
    authorization: Mutex<Option<String>>,
    listing: Mutex<Listing>,
    seen: Mutex<Vec<Seen>>,
    contacts: AtomicU64,
    sent: AtomicU64,
    fetches: AtomicU64,
    over: AtomicBool,
    connections: Mutex<Vec<(TcpStream, JoinHandle<()>)>>,
}

impl Forge {
    pub(crate) fn start() -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into())
    }

    /// At another address of this machine, in a private network.
    pub(crate) fn start_at(address: IpAddr) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("binding a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            root: TempDir::new().expect("making a folder"),
            behaviour: Mutex::new(Behaviour::Honest),
            behaviours: Mutex::default(),
            authorization: Mutex::new(None),
            listing: Mutex::default(),
            seen: Mutex::default(),
            contacts: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            fetches: AtomicU64::new(0),
            over: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        let accepting = thread::spawn(move || accept(&listener, &accepting));
        Self { address, shared, accepting: Some(accepting) }
    }

    /// From now on, only requests with this login are served.
    pub(crate) fn require_login(&self, username: &str, password: &str) {
        let header = http::basic(username, password);
        *lock(&self.shared.authorization) = Some(header);
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *lock(&self.shared.behaviour) = behaviour;
    }

    /// How it treats one repository.
    pub(crate) fn behave_at(&self, name: &str, behaviour: Behaviour) {
        lock(&self.shared.behaviours).push((format!("/{name}.git/"), behaviour));
    }

    /// The data behind the forge's API, to be read and changed.
    pub(crate) fn listing(&self) -> MutexGuard<'_, Listing> {
        lock(&self.shared.listing)
    }

    /// Creates repositories with a manifest each, and lists them in the groups that their paths
    /// name.
    pub(crate) fn group(&self, paths: &[&str]) {
        for path in paths {
            let name = path.replace('/', "-");
            let manifest = format!(r#"{{"dependencies": {{"in-{name}": "1.0.0"}}}}"#);
            self.add_repository(path, &[("package.json", manifest.as_bytes())]);
            self.listing().add(path);
        }
    }

    /// Scheme and authority of its URLs.
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// TLS in front of it, whose URLs it lists from now on.
    pub(crate) fn with_tls(&self) -> TlsFront {
        let front = TlsFront::start(self.address);
        self.listing().base = Some(front.base());
        front
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// TLS in front of it, with a flawed certificate.
    pub(crate) fn with_flawed_tls(&self, flaw: Flaw) -> TlsFront {
        TlsFront::with(self.address, flaw)
    }

    /// Creates a bare repository with one commit of these files on its default branch.
    pub(crate) fn add_repository(&self, name: &str, files: &[(&str, &[u8])]) -> Repository {
        let repository = self.add_empty_repository(name);
        let entries: Vec<Entry<'_>> =
            files.iter().map(|(path, bytes)| Entry::File(path.as_bytes(), bytes)).collect();
        repository.commit("main", &entries);
        repository
    }

    /// Creates a bare repository without a commit.
    pub(crate) fn add_empty_repository(&self, name: &str) -> Repository {
        Repository::create(self.shared.root.path().join(format!("{name}.git")), "sha1")
    }

    /// Creates a bare repository, without a commit, whose objects are named by SHA-256.
    pub(crate) fn add_sha256_repository(&self, name: &str) -> Repository {
        Repository::create(self.shared.root.path().join(format!("{name}.git")), "sha256")
    }

    /// A repository created before.
    pub(crate) fn repository(&self, name: &str) -> Repository {
        Repository::at(self.shared.root.path().join(format!("{name}.git")))
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}.git", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The origin that a policy lists to trust this forge.
    pub(crate) fn origin(&self) -> Origin {
        let host = self.address.ip().to_string();
        Origin { scheme: "http".to_owned(), host, port: self.port() }
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// How many connections there were, with or without a request.
    pub(crate) fn contacts(&self) -> u64 {
        self.shared.contacts.load(Ordering::SeqCst)
    }

    /// How many requests for objects there were.
    pub(crate) fn fetches(&self) -> u64 {
        self.shared.fetches.load(Ordering::SeqCst)
    }

    /// How many bytes git has answered with, where nothing slowed it.
    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes `accept`.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        for (stream, connection) in lock(&self.shared.connections).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
            let _ = connection.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        if shared.over.load(Ordering::SeqCst) {
            return;
        }
        shared.contacts.fetch_add(1, Ordering::SeqCst);
        let Ok(cut) = stream.try_clone() else { continue };
        let serving = Arc::clone(shared);
        // A client that disconnects is not a failure of the test.
        let connection = thread::spawn(move || {
            let _ = serving.serve(&stream);
            let _ = stream.shutdown(Shutdown::Both);
        });
        let mut connections = lock(&shared.connections);
        // A forge that serves for hours must not keep a descriptor of each.
        connections.retain(|(_, thread)| !thread.is_finished());
        connections.push((cut, connection));
    }
}

impl Shared {
    fn serve(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut request = Request::read(stream)?;
        let authorization = request.header("authorization");
        lock(&self.seen).push(Seen {
            method: request.method.clone(),
            path: request.target.clone(),
            had_authorization: authorization.is_some(),
        });
        let own = format!("http://{}", request.header("host").unwrap_or_default());
        let listed = lock(&self.listing).answer(&request, &own);
        if let Some(answer) = listed {
            return self.answer_list(answer, stream);
        }
        let wanted = lock(&self.authorization).clone();
        if wanted.is_some() && wanted.as_deref() != authorization {
            let challenge = "WWW-Authenticate: Basic realm=\"forge\"\r\n";
            return http::answer(&mut stream, 401, challenge);
        }
        let of_this = lock(&self.behaviours)
            .iter()
            .find(|(path, _)| request.target.starts_with(path))
            .map(|(_, behaviour)| behaviour.clone());
        let behaviour = of_this.unwrap_or_else(|| lock(&self.behaviour).clone());
        let is_pack = request.method == "POST" && contains(&request.body, b"command=fetch");
        self.fetches.fetch_add(u64::from(is_pack), Ordering::SeqCst);
        match behaviour {
            Behaviour::Status(code) => http::answer(&mut stream, code, ""),
            Behaviour::Redirect(to) => {
                let location = format!("Location: {to}{}\r\n", request.target);
                http::answer(&mut stream, 302, &location)
            }
            Behaviour::Silent => {
                self.wait_for_the_end();
                Ok(())
            }
            Behaviour::Says(code, headers, body) => {
                http::answer_with(&mut stream, code, &headers, body.as_bytes())
            }
            Behaviour::SaysInPack(lines) if is_pack => {
                http::begin_pack(&mut stream)?;
                pack::send_words(&mut stream, &lines)
            }
            Behaviour::EndlessPack if is_pack => {
                http::begin_pack(&mut stream)?;
                pack::send_endless(&mut stream, || self.over.load(Ordering::SeqCst))
            }
            Behaviour::Send(bytes) if is_pack => {
                http::begin_pack(&mut stream)?;
                pack::send_whole(&mut stream, &bytes)
            }
            Behaviour::EndlessRefs => {
                http::begin_refs(&mut stream)?;
                pack::list_endlessly(&mut stream, || self.over.load(Ordering::SeqCst))
            }
            Behaviour::HeldBy(path) => {
                while path.exists() && !self.over.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(5));
                }
                self.pass_on(&request, stream, Pace::Full)
            }
            Behaviour::OldProtocol => {
                request.forget_protocol();
                self.pass_on(&request, stream, Pace::Full)
            }
            Behaviour::StallAfter(bytes) if is_pack => {
                self.pass_on(&request, stream, Pace::StallAfter(bytes))
            }
            Behaviour::Slow(bytes) if is_pack => {
                self.pass_on(&request, stream, Pace::PerSecond(bytes))
            }
            _ => self.pass_on(&request, stream, Pace::Full),
        }
    }

    /// Answers an API request, or fails to.
    fn answer_list(&self, answer: listing::Answer, mut stream: &TcpStream) -> io::Result<()> {
        let json = |code, headers: &str, length, body: &[u8]| {
            let mut stream = stream;
            let head = format!(
                "HTTP/1.1 {code} As told\r\nConnection: close\r\n\
                 Content-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n"
            );
            stream.write_all(head.as_bytes())?;
            stream.write_all(body)
        };
        let (headers, body) = (answer.headers.as_str(), answer.body.as_slice());
        let half = &body[..body.len() / 2];
        match answer.fault {
            Some(Fault::Status(code, headers)) => http::answer(&mut stream, code, &headers),
            Some(Fault::HalfJson) => json(200, headers, half.len(), half),
            Some(Fault::Torn) => json(200, headers, body.len(), half),
            Some(Fault::Body(body)) => json(200, headers, body.len(), body.as_bytes()),
            Some(Fault::Silence) => {
                self.wait_for_the_end();
                Ok(())
            }
            Some(Fault::Next(_) | Fault::NoLinks) | None => {
                json(answer.code, headers, body.len(), body)
            }
        }
    }

    /// Lets `git http-backend` answer.
    fn pass_on(&self, request: &Request, mut stream: &TcpStream, pace: Pace) -> io::Result<()> {
        let mut backend = Backend(request.backend(self.root.path()).spawn()?);
        let (Some(mut input), Some(mut output)) = (backend.0.stdin.take(), backend.0.stdout.take())
        else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        input.write_all(&request.body)?;
        drop(input);
        http::pass_on_head(&mut output, &mut stream)?;
        match pace {
            Pace::Full => {
                let sent = io::copy(&mut output, &mut stream)?;
                self.sent.fetch_add(sent, Ordering::SeqCst);
            }
            Pace::StallAfter(bytes) => {
                io::copy(&mut output.take(bytes), &mut stream)?;
                self.wait_for_the_end();
            }
            Pace::PerSecond(bytes) => {
                let mut piece = vec![0; usize::try_from(bytes / 20).unwrap_or(1).max(1)];
                while !self.over.load(Ordering::SeqCst) {
                    let length = output.read(&mut piece)?;
                    if length == 0 {
                        break;
                    }
                    stream.write_all(&piece[..length])?;
                    thread::sleep(Duration::from_millis(50));
                }
            }
        }
        Ok(())
    }

    fn wait_for_the_end(&self) {
        while !self.over.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// How fast an answer is forwarded.
#[derive(Debug, Clone, Copy)]
enum Pace {
    Full,
    StallAfter(u64),
    PerSecond(u64),
}

/// A process that ends with its connection.
struct Backend(Child);

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().expect("no thread of the forge panics")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// A program with a clean environment, so that the user's settings have no effect in a test.
#[expect(clippy::disallowed_methods, reason = "tests start git and themselves through this")]
pub(crate) fn program(path: impl Into<PathBuf>) -> Command {
    let mut command = Command::new(path.into());
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C")
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::null());
    command
}
