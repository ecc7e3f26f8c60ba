//! The connection to NATS.
//!
//! Input: addresses, credentials and certificates as NATS users have them. Output: a client, and whether it is connected.
//!
//! Invariants: the client reconnects by itself, for ever; a secret is never part of an error.

use super::OLDEST_NATS;
use async_nats::{Client, ConnectOptions, Event, client::RequestErrorKind};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// How long an attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request waits for its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a connection that carries nothing is checked.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// The maximum pause between two attempts to connect.
const MAX_RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// The maximum size of a file with credentials.
const MAX_CREDENTIALS_BYTES: u64 = 64 << 10;

/// How to connect.
#[derive(Debug, Clone)]
pub struct Options {
    /// `nats://` and `tls://` URLs of the servers of one cluster.
    pub servers: Vec<String>,
    /// A `.creds` file, or a file with the seed of an nkey.
    pub credentials_file: Option<PathBuf>,
    /// The certificate authorities of the servers (PEM), in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// The name of the connection, for people.
    pub name: String,
    /// The prefix of inboxes, to which permissions confine an agent.
    pub inbox_prefix: String,
}

/// Whether the client is connected.
#[derive(Debug, Clone)]
pub struct Link {
    pub connected: bool,
    /// Since when.
    pub since: Instant,
    /// How often a connection was established.
    pub connections: u64,
    /// The last error, for people.
    pub error: Option<String>,
}

/// A connection that is established again whenever it is lost.
#[derive(Debug, Clone)]
pub struct Connection {
    pub client: Client,
    pub link: watch::Receiver<Link>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("{0}: {1}")]
    Setting(String, String),
    #[error("cannot read {}: {error}", path.display())]
    File { path: PathBuf, error: std::io::Error },
    #[error(
        "{}: expected a .creds file of NATS, or the seed of an nkey of a user, which begins with `SU`",
        .0.display()
    )]
    Credentials(PathBuf),
    #[error("{}: contains no certificate in PEM format", .0.display())]
    Certificates(PathBuf),
    #[error("NATS refuses the connection: {0}")]
    Client(#[from] async_nats::ConnectError),
}

/// A NATS that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error(
        "NATS at {address} has version {version}; {}.{} or newer is required. Update nats-server",
        OLDEST_NATS.0, OLDEST_NATS.1
    )]
    TooOld { address: String, version: String },
    #[error(
        "NATS at {address} has no JetStream: start nats-server with `-js` or set `jetstream` in its configuration"
    )]
    NoJetStream { address: String },
}

/// Begins to connect, and returns without waiting for the connection.
///
/// # Errors
/// If a setting or a file is not usable.
pub async fn connect(options: &Options) -> Result<Connection, ConnectError> {
    for server in &options.servers {
        check_address(server)?;
    }
    let start = Link { connected: false, since: Instant::now(), connections: 0, error: None };
    let (sender, link) = watch::channel(start);
    let mut connect = with_credentials(options)
        .await?
        .name(&options.name)
        .custom_inbox_prefix(&options.inbox_prefix)
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .retry_on_initial_connect()
        .reconnect_delay_callback(|attempts| {
            let millis = 50u64.saturating_mul(u64::try_from(attempts).unwrap_or(u64::MAX));
            Duration::from_millis(millis).min(MAX_RECONNECT_PAUSE)
        })
        .event_callback(move |event| {
            note(&sender, &event);
            std::future::ready(())
        });
    if let Some(path) = &options.ca_file {
        check_certificates(path).await?;
        connect = connect.add_root_certificates(path.clone());
    }
    let client = connect.connect(options.servers.clone()).await?;
    Ok(Connection { client, link })
}

fn note(sender: &watch::Sender<Link>, event: &Event) {
    let change = |connected: bool| {
        sender.send_modify(|link| {
            if connected {
                link.connections += 1;
                link.error = None;
            }
            link.connected = connected;
            link.since = Instant::now();
        });
    };
    match event {
        Event::Connected => change(true),
        Event::Disconnected | Event::Closed => change(false),
        Event::ServerError(_) | Event::ClientError(_) => {
            let text = event.to_string();
            sender.send_modify(|link| link.error = Some(text));
        }
        Event::LameDuckMode | Event::Draining | Event::SlowConsumer(_) => {}
    }
}

impl Connection {
    /// Waits until the client is connected. Dropped, it has changed nothing.
    pub async fn connected(&self) -> Link {
        let mut link = self.link.clone();
        let found = link.wait_for(|link| link.connected).await.map(|link| link.clone());
        // The sender lives as long as the client, which this connection holds.
        match found {
            Ok(link) => link,
            Err(_) => std::future::pending().await,
        }
    }

    /// Checks that the server to which the client is connected can be used. Without an answer it counts as usable: the
    /// next request shows more.
    ///
    /// # Errors
    /// If it is too old or has no `JetStream`.
    pub async fn check(&self) -> Result<(), Unusable> {
        let Some(info) = self.client.try_server_info() else { return Ok(()) };
        let address = format!("{}:{}", info.host, info.port);
        if !is_new_enough(&info.version) {
            return Err(Unusable::TooOld { address, version: info.version });
        }
        // Nobody listens to this subject in an account without JetStream.
        let answer = self.client.request("$JS.API.INFO", "".into()).await;
        match answer {
            Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                Err(Unusable::NoJetStream { address })
            }
            Ok(answer) if answer.payload.starts_with(b"{") && is_disabled(&answer.payload) => {
                Err(Unusable::NoJetStream { address })
            }
            _ => Ok(()),
        }
    }
}

/// Whether an answer reports that `JetStream` is not enabled (error 10039 for an account, 10076 for a server).
fn is_disabled(answer: &[u8]) -> bool {
    let value: Option<serde_json::Value> = serde_json::from_slice(answer).ok();
    let code = value.and_then(|value| value["error"]["err_code"].as_u64());
    matches!(code, Some(10039 | 10076))
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map(|number| number.parse::<u64>().ok());
    let found = numbers.next().flatten().zip(numbers.next().flatten());
    found.is_some_and(|found| found >= OLDEST_NATS)
}

fn check_address(server: &str) -> Result<(), ConnectError> {
    let refused = |why: &str| {
        let shown = server.rsplit_once('@').map_or(server, |(_, host)| host);
        Err(ConnectError::Setting(format!("the address of NATS `{shown}`"), why.to_owned()))
    };
    let Ok(url) = url::Url::parse(server) else {
        return refused("expected a URL such as nats://nats.example.com:4222");
    };
    if !matches!(url.scheme(), "nats" | "tls") || url.host_str().is_none_or(str::is_empty) {
        return refused("expected `nats://` or `tls://` and a host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refused("credentials do not belong into an address; set `credentials_file`");
    }
    Ok(())
}

async fn with_credentials(options: &Options) -> Result<ConnectOptions, ConnectError> {
    let Some(path) = &options.credentials_file else { return Ok(ConnectOptions::new()) };
    let text = read_small(path).await?;
    let seed = text.trim();
    if seed.starts_with("SU") && !seed.contains(char::is_whitespace) {
        if nkeys::KeyPair::from_seed(seed).is_err() {
            return Err(ConnectError::Credentials(path.clone()));
        }
        return Ok(ConnectOptions::with_nkey(seed.to_owned()));
    }
    ConnectOptions::with_credentials(&text).map_err(|_| ConnectError::Credentials(path.clone()))
}

async fn check_certificates(path: &Path) -> Result<(), ConnectError> {
    let text = read_small(path).await?;
    if text.contains("-----BEGIN CERTIFICATE-----") {
        Ok(())
    } else {
        Err(ConnectError::Certificates(path.to_owned()))
    }
}

async fn read_small(path: &Path) -> Result<String, ConnectError> {
    use tokio::io::AsyncReadExt;
    let read = async {
        let mut text = String::new();
        let file = tokio::fs::File::open(path).await?;
        file.take(MAX_CREDENTIALS_BYTES * 16).read_to_string(&mut text).await?;
        Ok(text)
    };
    read.await.map_err(|error| ConnectError::File { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        for (version, enough) in [
            ("2.10.0", true),
            ("2.15.1", true),
            ("2.9.25", false),
            ("2.10.0-RC.1", true),
            ("3.0.0", true),
            ("1.99.0", false),
            ("", false),
            ("x", false),
        ] {
            assert_eq!(is_new_enough(version), enough, "{version}");
        }
    }

    #[tokio::test]
    async fn an_unusable_setting_is_named_without_its_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("creds");
        let mut open = std::fs::File::create(&file).unwrap();
        std::io::Write::write_all(&mut open, b"canary-secret").unwrap();
        let good = Options {
            servers: vec!["nats://127.0.0.1:1".to_owned()],
            credentials_file: None,
            ca_file: None,
            name: "test".to_owned(),
            inbox_prefix: "_INBOX_test".to_owned(),
        };
        assert!(connect(&good).await.is_ok());
        let servers = |text: &str| Options { servers: vec![text.to_owned()], ..good.clone() };
        for options in [
            servers("nats://u:canary-secret@h:4222"),
            servers("http://h"),
            servers("h:4222"),
            servers("nats://"),
            Options { credentials_file: Some(file.clone()), ..good.clone() },
            Options { credentials_file: Some("/nonexistent".into()), ..good.clone() },
            Options { ca_file: Some(file), ..good.clone() },
        ] {
            let error = connect(&options).await.unwrap_err().to_string();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
