//! The settings, read and validated once at the start.
//!
//! Input: the layers (see `layers`), and the token files and variables that they name. Output: a
//! [`Config`] with usable values, or an error that names the setting and the source of its value.
//! Invariants: there is no global state; no other module reads environment variables or files of
//! settings.

pub mod authorities;
mod forges;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod layers;
mod raw;

pub use layers::{EffectiveSetting, SettingsError};

use crate::model::{
    address::{NetworkPolicy, Origin},
    task::{Category, Credentials, Limits, Sandbox},
};
use layers::Layers;
use raw::{Places, Raw};
use rustls::pki_types::CertificateDer;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};
use toml::Table;

/// The default settings: config/default.toml of the repository.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// All settings.
#[derive(Debug, Clone)]
pub struct Config {
    pub server: ServerConfig,
    pub auth: AuthConfig,
    pub jobs: JobsConfig,
    pub scanner: ScannerConfig,
    pub limits: Limits,
    pub watch: WatchConfig,
    pub log: LogConfig,
    pub network: NetworkPolicy,
    pub discovery: DiscoveryConfig,
    pub forges: Vec<Forge>,
    pub categories: BTreeMap<String, Category>,
}

/// `[server]`
#[derive(Debug, Clone)]
pub struct ServerConfig {
    pub listen: SocketAddr,
    pub tls: Option<TlsFiles>,
    /// A proxy terminates TLS.
    pub behind_proxy: bool,
    pub max_connections: usize,
    pub max_streams: usize,
    pub max_streams_per_user: usize,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub write_timeout: Duration,
    pub max_body_bytes: u64,
    pub stop_grace: Duration,
}

/// The files of a certificate and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
}

/// `[auth]`
#[derive(Debug, Clone, Default)]
pub struct AuthConfig {
    /// Users with bcrypt hashes.
    pub htpasswd_file: Option<PathBuf>,
    /// Tokens, stored as SHA-256 hashes.
    pub tokens_file: Option<PathBuf>,
    /// How often the files are checked for changes.
    pub reload_interval: Duration,
}

impl AuthConfig {
    /// Whether credentials come from files.
    pub fn has_files(&self) -> bool {
        self.htpasswd_file.is_some() || self.tokens_file.is_some()
    }
}

/// `[jobs]`
#[derive(Debug, Clone)]
pub struct JobsConfig {
    pub dir: PathBuf,
    pub folder_mode: u32,
    pub retention: Duration,
    pub cleanup_interval: Duration,
    pub max_queued_jobs: usize,
    pub min_free_bytes: u64,
    pub min_free_inodes: u64,
}

/// `[scanner]`
#[derive(Debug, Clone)]
pub struct ScannerConfig {
    /// Program and arguments; empty for the built-in scanner.
    pub command: Vec<String>,
    pub max_concurrent_processes: usize,
    pub subprocess_timeout_secs: u64,
    pub kill_grace_secs: u64,
    pub update_interval_secs: u64,
    pub progress_interval_ms: u64,
    pub stall_timeout_secs: u64,
    /// The pause before the first retry.
    pub retry_pause: Duration,
    /// The time after which a scan counts as slow and may have to give its slot to another job.
    pub slow_after: Duration,
    pub log_max_bytes: u64,
    pub sandbox: Sandbox,
}

/// `[watch]`
#[derive(Debug, Clone, Copy)]
pub struct WatchConfig {
    pub mode: WatchMode,
    pub poll_interval: Duration,
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

/// `[discovery]`: limits for listing one group on its forge.
#[derive(Debug, Clone, Copy)]
pub struct DiscoveryConfig {
    pub max_pages: u32,
    pub max_answer_bytes: u64,
    /// The timeout of one answer.
    pub answer_timeout: Duration,
    /// The timeout of the whole list, including pauses.
    pub timeout: Duration,
}

/// `[log]`
#[derive(Debug, Clone, Copy)]
pub struct LogConfig {
    pub format: LogFormat,
    pub level: tracing::Level,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// One of `[[forges]]`: a trusted origin, optionally with credentials.
#[derive(Debug, Clone)]
pub struct Forge {
    pub kind: ForgeKind,
    pub origin: Origin,
    pub username: String,
    pub token: Option<SecretString>,
    /// The certificate authorities of `ca_file`, trusted for this forge in addition to the
    /// system's.
    pub authorities: Vec<CertificateDer<'static>>,
}

/// The kind of a forge, which determines its API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForgeKind {
    Gitlab,
    Github,
    /// A git server without an API.
    Git,
}

/// The sources of settings in addition to the defaults.
#[derive(Debug, Default)]
pub struct Sources {
    pub file: Option<PathBuf>,
    /// All environment variables; those of other programs are ignored.
    pub environment: Vec<(String, String)>,
    /// `section.key` and value of each flag.
    pub flags: Vec<(String, String)>,
}

impl Config {
    /// Reads and validates all settings.
    ///
    /// # Errors
    /// The first invalid setting, with its name and the source of its value.
    pub fn load(sources: &Sources) -> Result<Self, SettingsError> {
        let (table, places) = merge_layers(sources)?;
        validate(table, &places, sources)
    }

    /// The effective value of every setting, sorted by name, with its source.
    ///
    /// # Errors
    /// Like [`Config::load`]: only valid settings are listed.
    pub fn effective(sources: &Sources) -> Result<Vec<EffectiveSetting>, SettingsError> {
        let (table, places) = merge_layers(sources)?;
        validate(table.clone(), &places, sources)?;
        Ok(layers::flatten(table, &places))
    }

    /// The forge with this origin, if the settings name it.
    pub fn forge(&self, origin: &Origin) -> Option<&Forge> {
        self.forges.iter().find(|forge| forge.origin == *origin)
    }

    /// The credentials for an origin, if its forge has a token.
    pub fn credentials_for(&self, origin: &Origin) -> Option<Credentials> {
        let forge = self.forge(origin)?;
        let token = forge.token.as_ref()?;
        Some(Credentials {
            username: forge.username.clone(),
            password: token.expose_secret().to_owned(),
        })
    }
}

/// Merges all layers into one table, and records the source of each value.
fn merge_layers(sources: &Sources) -> Result<(Table, BTreeMap<String, String>), SettingsError> {
    let mut layers = Layers::new(DEFAULTS)?;
    if let Some(path) = &sources.file {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| SettingsError {
            place: name.clone(),
            message: format!("cannot be read: {error}"),
        })?;
        layers.add_file(&name, &text)?;
    }
    layers.add_environment(sources.environment.iter().cloned())?;
    for (path, value) in &sources.flags {
        layers.add_text(path, value, format!("command line, {path}"))?;
    }
    Ok(layers.finish())
}

/// Turns the merged table into usable settings.
fn validate(
    table: Table,
    places: &BTreeMap<String, String>,
    sources: &Sources,
) -> Result<Config, SettingsError> {
    let raw: Raw = table.try_into().map_err(|error: toml::de::Error| SettingsError {
        place: places.get("forges").or(places.get("categories")).cloned().unwrap_or_default(),
        message: error.message().to_owned(),
    })?;
    raw.check(&Places(places), &sources.environment)
}

#[cfg(test)]
mod tests;
