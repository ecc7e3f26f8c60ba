//! A real HTTP proxy, tinyproxy, in front of everything that a test contacts.

use super::{files, forge::program, patience::eventually};
use std::{
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Stdio},
};
use tempfile::TempDir;

/// The user that it asks for, and its password.
pub(crate) const LOGIN: (&str, &str) = ("me", "canary-pr0xy-0453");

/// A running proxy. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Tinyproxy {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Tinyproxy {
    /// On a free port of 127.0.0.1, with [`LOGIN`] required.
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().expect("making a folder");
        let free = TcpListener::bind(("127.0.0.1", 0)).expect("binding a free port");
        let port = free.local_addr().expect("a bound socket has an address").port();
        drop(free);
        let (user, password) = LOGIN;
        let log = folder.path().join("log");
        let text = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\nLogLevel Info\n\
             LogFile \"{}\"\nBasicAuth {user} {password}\n",
            log.display()
        );
        let config = folder.path().join("tinyproxy.conf");
        files::write(&config, text);
        let child = program("tinyproxy")
            .args(["-d", "-c"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("tests/run.sh installs tinyproxy");
        let proxy = Self { child, port, folder };
        eventually("the proxy listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        proxy
    }

    /// Its URL, without a user.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its URL with a user, as the settings name it.
    pub(crate) fn url_with_user(&self) -> String {
        format!("http://{}@127.0.0.1:{}", LOGIN.0, self.port)
    }

    /// A file with the password.
    pub(crate) fn password_file(&self) -> PathBuf {
        let file = self.folder.path().join("password");
        files::write(&file, format!("{}\n", LOGIN.1));
        file
    }

    /// The requests so far that were let through: method and target.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = files::text(&self.folder.path().join("log"));
        let lines = log.lines().filter_map(|line| line.split_once("Request (file descriptor "));
        let targets = lines.filter_map(|(_, rest)| rest.split_once("): "));
        targets.map(|(_, request)| request.trim_end_matches(" HTTP/1.1").to_owned()).collect()
    }
}

impl Drop for Tinyproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
