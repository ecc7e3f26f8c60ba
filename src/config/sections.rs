//! The sections of the settings. Each setting is declared here, once, with its type and its limits;
//! its default and its description are in config/default.toml.
//!
//! Input: the merged table. Output: the sections in the types that the program uses, or the path
//! and the message of the first error. Invariants: every value of a section is usable.

use super::{
    agent::AgentConfig,
    archive::ArchiveSection,
    engine::EngineConfig,
    forges::ForgeSection,
    slurm::SlurmConfig,
    values::{
        absolute_paths, at_least, folder, folder_mode, hosts, hours, milliseconds, networks,
        optional_path, path_patterns, proxy_address, public_url, seconds, text,
    },
    webhooks::WebhookSection,
};
use crate::model::{
    proxy::ProxyAddress,
    task::{Category, Limits, Sandbox, SandboxMode},
};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

/// All sections.
#[derive(Deserialize)]
pub(super) struct Sections {
    pub(super) server: ServerConfig,
    pub(super) auth: AuthConfig,
    pub(super) jobs: JobsConfig,
    pub(super) scanner: ScannerConfig,
    pub(super) engine: EngineConfig,
    pub(super) slurm: SlurmConfig,
    pub(super) scheduler: SchedulerConfig,
    pub(super) limits: Limits,
    pub(super) watch: WatchConfig,
    pub(super) network: NetworkSection,
    pub(super) discovery: DiscoveryConfig,
    pub(super) agent: AgentConfig,
    pub(super) log: LogConfig,
    pub(super) archive: ArchiveSection,
    #[serde(default)]
    pub(super) forges: Vec<ForgeSection>,
    #[serde(default)]
    pub(super) schedules: Vec<toml::Table>,
    #[serde(default)]
    pub(super) webhooks: Vec<WebhookSection>,
    #[serde(default)]
    pub(super) categories: BTreeMap<String, Category>,
}

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
pub struct ServerConfig {
    #[serde(deserialize_with = "listen")]
    pub listen: SocketAddr,
    #[serde(deserialize_with = "optional_path")]
    pub(super) tls_certificate_file: Option<PathBuf>,
    #[serde(deserialize_with = "optional_path")]
    pub(super) tls_key_file: Option<PathBuf>,
    /// A proxy terminates TLS.
    pub behind_proxy: bool,
    /// The networks of the proxies whose `X-Forwarded-For` or `Forwarded` names the client.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// What clients see as the root of this server, without a slash at its end; empty if they see
    /// the root of the host.
    #[serde(deserialize_with = "public_url")]
    pub public_url: String,
    /// Whether the page for people is served.
    pub dashboard: bool,
    #[serde(deserialize_with = "at_least::<1, _, _>")]
    pub max_connections: usize,
    pub max_streams: usize,
    pub max_streams_per_user: usize,
    #[serde(rename = "header_timeout_secs", deserialize_with = "seconds::<1, _>")]
    pub header_timeout: Duration,
    #[serde(rename = "body_timeout_secs", deserialize_with = "seconds::<1, _>")]
    pub body_timeout: Duration,
    #[serde(rename = "write_timeout_secs", deserialize_with = "seconds::<1, _>")]
    pub write_timeout: Duration,
    #[serde(deserialize_with = "at_least::<1024, _, _>")]
    pub max_body_bytes: u64,
    #[serde(rename = "stop_grace_secs", deserialize_with = "seconds::<0, _>")]
    pub stop_grace: Duration,
}

/// The files of a certificate and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
}

impl ServerConfig {
    /// The files for TLS, if they are set.
    pub fn tls(&self) -> Option<TlsFiles> {
        let (certificate_file, key_file) =
            (self.tls_certificate_file.clone()?, self.tls_key_file.clone()?);
        Some(TlsFiles { certificate_file, key_file })
    }
}

fn listen<'de, D: Deserializer<'de>>(value: D) -> Result<SocketAddr, D::Error> {
    text(value, "an address and port such as 127.0.0.1:8000", |text| text.parse().ok())
}

/// `[auth]`
#[derive(Debug, Clone, Default, Deserialize)]
pub struct AuthConfig {
    /// Users with bcrypt hashes.
    #[serde(deserialize_with = "optional_path")]
    pub htpasswd_file: Option<PathBuf>,
    /// Tokens, stored as SHA-256 hashes.
    #[serde(deserialize_with = "optional_path")]
    pub tokens_file: Option<PathBuf>,
    /// How often the files are checked for changes.
    #[serde(rename = "reload_interval_secs", deserialize_with = "seconds::<1, _>")]
    pub reload_interval: Duration,
}

impl AuthConfig {
    /// Whether credentials come from files.
    pub fn has_files(&self) -> bool {
        self.htpasswd_file.is_some() || self.tokens_file.is_some()
    }
}

/// `[jobs]`
#[derive(Debug, Clone, Deserialize)]
pub struct JobsConfig {
    #[serde(deserialize_with = "folder")]
    pub dir: PathBuf,
    #[serde(deserialize_with = "folder_mode")]
    pub folder_mode: u32,
    #[serde(rename = "retention_hours", deserialize_with = "hours")]
    pub retention: Duration,
    /// How long stored results are kept after their last use; zero: results are not stored.
    #[serde(rename = "results_retention_hours", deserialize_with = "hours")]
    pub results_retention: Duration,
    #[serde(rename = "cleanup_interval_secs", deserialize_with = "seconds::<1, _>")]
    pub cleanup_interval: Duration,
    #[serde(deserialize_with = "at_least::<1, _, _>")]
    pub max_queued_jobs: usize,
    pub min_free_bytes: u64,
    pub min_free_inodes: u64,
}

/// `[scanner]`
#[derive(Debug, Clone, Deserialize)]
pub struct ScannerConfig {
    /// Program and arguments; empty for the built-in scanner.
    pub command: Vec<String>,
    /// Names the version of `command`; without one, its results are not reused.
    pub command_version: String,
    #[serde(deserialize_with = "at_least::<1, _, _>")]
    pub max_concurrent_processes: usize,
    /// Whether fewer scans run at once under pressure.
    pub adaptive_concurrency: bool,
    #[serde(deserialize_with = "at_least::<1, _, _>")]
    pub subprocess_timeout_secs: u64,
    pub kill_grace_secs: u64,
    #[serde(deserialize_with = "at_least::<1, _, _>")]
    pub update_interval_secs: u64,
    #[serde(deserialize_with = "at_least::<1, _, _>")]
    pub progress_interval_ms: u64,
    #[serde(deserialize_with = "at_least::<1, _, _>")]
    pub stall_timeout_secs: u64,
    /// The pause before the first retry.
    #[serde(rename = "retry_pause_secs", deserialize_with = "seconds::<1, _>")]
    pub retry_pause: Duration,
    /// The time after which a scan counts as slow and may have to give its slot to another job.
    #[serde(rename = "slow_after_secs", deserialize_with = "seconds::<1, _>")]
    pub slow_after: Duration,
    /// Patterns of paths whose files no scan reads.
    #[serde(deserialize_with = "path_patterns")]
    pub exclude_paths: Vec<String>,
    pub log_max_bytes: u64,
    #[serde(rename = "sandbox", deserialize_with = "sandbox_mode")]
    pub sandbox_mode: SandboxMode,
    /// Folders that stay readable and executable in the sandbox.
    #[serde(deserialize_with = "absolute_paths")]
    pub sandbox_paths: Vec<PathBuf>,
}

impl ScannerConfig {
    /// The sandbox of the built-in scanner.
    pub fn sandbox(&self) -> Sandbox {
        Sandbox { mode: self.sandbox_mode, paths: self.sandbox_paths.clone() }
    }
}

fn sandbox_mode<'de, D: Deserializer<'de>>(value: D) -> Result<SandboxMode, D::Error> {
    let modes = [SandboxMode::Auto, SandboxMode::Require, SandboxMode::Off];
    text(value, "\"auto\", \"require\" or \"off\"", |text| {
        modes.into_iter().find(|mode| mode.as_str() == text)
    })
}

/// `[scheduler]`
#[derive(Debug, Clone, Default, Deserialize)]
pub struct SchedulerConfig {
    /// The weights of users, by name.
    #[serde(deserialize_with = "weights")]
    pub weights: BTreeMap<String, u32>,
}

/// The largest weight: a user of weight 1 waits for at most this many turns of others.
const MAX_WEIGHT: u32 = 1_000;

fn weights<'de, D: Deserializer<'de>>(value: D) -> Result<BTreeMap<String, u32>, D::Error> {
    let weights = BTreeMap::<String, u32>::deserialize(value)?;
    match weights.iter().find(|(_, weight)| !(1..=MAX_WEIGHT).contains(*weight)) {
        Some((user, weight)) => Err(D::Error::custom(format!(
            "expected a weight from 1 to {MAX_WEIGHT} for `{user}`, got {weight}"
        ))),
        None => Ok(weights),
    }
}

/// `[watch]`
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct WatchConfig {
    #[serde(deserialize_with = "watch_mode")]
    pub mode: WatchMode,
    #[serde(rename = "poll_interval_ms", deserialize_with = "milliseconds::<10, _>")]
    pub poll_interval: Duration,
    #[serde(rename = "resync_interval_secs", deserialize_with = "seconds::<1, _>")]
    pub resync_interval: Duration,
}

/// How file changes are detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchMode {
    /// Inotify events; polling where they are not available.
    Auto,
    /// Polling at an interval.
    Poll,
}

fn watch_mode<'de, D: Deserializer<'de>>(value: D) -> Result<WatchMode, D::Error> {
    text(value, "\"auto\" or \"poll\"", |text| match text {
        "auto" => Some(WatchMode::Auto),
        "poll" => Some(WatchMode::Poll),
        _ => None,
    })
}

/// `[network]`
#[derive(Deserialize)]
pub(super) struct NetworkSection {
    #[serde(deserialize_with = "hosts")]
    pub(super) allow_hosts: Vec<String>,
    #[serde(deserialize_with = "networks")]
    pub(super) allow_nets: Vec<IpNet>,
    pub(super) allow_ports: Vec<u16>,
    #[serde(deserialize_with = "proxy_address")]
    pub(super) proxy: Option<ProxyAddress>,
    #[serde(deserialize_with = "optional_path")]
    pub(super) proxy_password_file: Option<PathBuf>,
    pub(super) no_proxy: Vec<String>,
}

/// `[discovery]`: limits for listing one group on its forge.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct DiscoveryConfig {
    #[serde(deserialize_with = "at_least::<1, _, _>")]
    pub max_pages: u32,
    /// The maximum number of entries of a list.
    #[serde(deserialize_with = "at_least::<1, _, _>")]
    pub max_repositories: usize,
    #[serde(deserialize_with = "at_least::<1, _, _>")]
    pub max_answer_bytes: u64,
    /// The timeout of one answer.
    #[serde(rename = "answer_timeout_secs", deserialize_with = "seconds::<1, _>")]
    pub answer_timeout: Duration,
    /// The timeout of one page, including all attempts and pauses.
    #[serde(rename = "timeout_secs", deserialize_with = "seconds::<1, _>")]
    pub timeout: Duration,
}

/// `[log]`
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct LogConfig {
    #[serde(deserialize_with = "log_format")]
    pub format: LogFormat,
    #[serde(deserialize_with = "log_level")]
    pub level: tracing::Level,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

fn log_format<'de, D: Deserializer<'de>>(value: D) -> Result<LogFormat, D::Error> {
    text(value, "\"text\" or \"json\"", |text| match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    })
}

fn log_level<'de, D: Deserializer<'de>>(value: D) -> Result<tracing::Level, D::Error> {
    text(value, "error, warn, info, debug or trace", |text| text.parse().ok())
}
