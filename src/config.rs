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
mod tests {
    use super::*;
    use std::path::Path;

    fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("test.toml");
        crate::store::atomic::replace(
            root.path(),
            &path,
            file.as_bytes(),
            crate::store::atomic::Durability::Eventual,
        )
        .unwrap();
        let environment =
            environment.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Config::load(&Sources { file: Some(path), environment, flags: Vec::new() })
            .map_err(|error| error.to_string().replace(&root.path().display().to_string(), ""))
    }

    #[track_caller]
    fn refused(file: &str, environment: &[(&str, &str)], expected: &str) {
        let error = load(file, environment).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let config = load("", &[]).unwrap();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8000");
        assert_eq!(config.jobs.dir, Path::new("tmp/scan_jobs"));
        assert_eq!(config.jobs.retention, Duration::from_hours(24));
        assert_eq!(config.scanner.max_concurrent_processes, 5);
        assert_eq!(config.scanner.subprocess_timeout_secs, 3600);
        assert_eq!(config.network.allow_hosts[0], "github.com");
    }

    #[test]
    fn later_layers_override_earlier_ones() {
        let config = load(
            "[scanner]\nkill_grace_secs = 7\nstall_timeout_secs = 9\n",
            &[
                ("SCANWATCH_SCANNER__STALL_TIMEOUT_SECS", "11"),
                ("SCANWATCH_NETWORK__ALLOW_HOSTS", "a.example, B.example."),
                ("SCANWATCH_JOB_ID", "not a setting: without __"),
            ],
        )
        .unwrap();
        assert_eq!((config.scanner.kill_grace_secs, config.scanner.stall_timeout_secs), (7, 11));
        assert_eq!(config.network.allow_hosts, ["a.example", "b.example"]);
    }

    #[test]
    fn an_error_names_the_setting_and_its_source() {
        refused(
            "[scanner]\n\nmax_procs = 3\n",
            &[],
            "test.toml, line 3: unknown setting `scanner.max_procs`",
        );
        refused("[scaner]\n", &[], "line 1: unknown setting `scaner`; did you mean `scanner`?");
        refused(
            "[scanner]\nkill_grace_secs = \"5\"\n",
            &[],
            "line 2: `scanner.kill_grace_secs`: expected a whole",
        );
        refused(
            "[scanner]\nkill_grace_secs = -5\n",
            &[],
            "expected a whole number from 0 to 9007199254740991, got `-5`",
        );
        refused(
            "[scanner]\nmax_concurrent_processes = 0\n",
            &[],
            "line 2: `scanner.max_concurrent_processes`",
        );
        refused("scanner = 5\n", &[], "`scanner` is a section");
        refused("[server]\nlisten = \"everywhere\"\n", &[], "line 2: `server.listen`");
        refused("[jobs]\nfolder_mode = \"999\"\n", &[], "`jobs.folder_mode`");
        refused("[watch\n", &[], "test.toml, line 1");
        refused(
            "",
            &[("SCANWATCH_WATCH__MOOD", "x")],
            "environment variable SCANWATCH_WATCH__MOOD: unknown",
        );
        refused(
            "",
            &[("SCANWATCH_WATCH__MODE", "x")],
            "environment variable SCANWATCH_WATCH__MODE: `watch.mode`",
        );
        refused(
            "[[forges]]\nkind = \"gitlab\"\nurl = \"https://g\"\ntoken = \"x\"\n",
            &[],
            "unknown field `token`",
        );
        refused(
            "[[forges]]\nkind = \"gitlab\"\nurl = \"https://u:p@g\"\n",
            &[],
            "without credentials",
        );
        refused(
            "[[forges]]\nkind = \"git\"\nurl = \"https://g\"\ntoken_env = \"NOPE\"\n",
            &[],
            "NOPE is not set",
        );
    }

    #[test]
    fn a_bundle_of_certificate_authorities_is_read_at_the_start() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            let durability = crate::store::atomic::Durability::Eventual;
            crate::store::atomic::replace(root.path(), &path, text.as_bytes(), durability).unwrap();
            path.display().to_string()
        };
        let with = |path: &str| {
            format!("[[forges]]\nkind = \"git\"\nurl = \"https://g\"\nca_file = \"{path}\"\n")
        };
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
        let good = write("good.pem", &format!("{certificate}\n{certificate}"));
        let config = load(&with(&good), &[]).unwrap();
        assert_eq!(config.forges[0].authorities.len(), 2);
        assert_eq!(config.network.authorities[0].ca_file, Path::new(&good));

        let torn = certificate.replacen("-----END", "-----", 1);
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (text, reason) in [
            ("", "no certificate"),
            (key.serialize_pem().as_str(), "no certificate"),
            (torn.as_str(), "not a PEM bundle"),
            (no_certificate, "cannot be used"),
        ] {
            let bad = write("bad.pem", text);
            refused(&with(&bad), &[], "line 1: `forges`: `ca_file`");
            refused(&with(&bad), &[], reason);
        }
        refused(&with("/nonexistent/ca.pem"), &[], "cannot read `/nonexistent/ca.pem`");
        let plain = with(&good).replace("https:", "http:");
        refused(&plain, &[], "`ca_file` requires an https URL");
    }

    #[test]
    fn a_forge_is_trusted_and_has_its_token() {
        let config = load(
            "[[forges]]\nkind = \"gitlab\"\nurl = \"http://10.0.0.1:8080/\"\ntoken_env = \"T\"\n",
            &[("T", "s3cret\n")],
        )
        .unwrap();
        let origin = Origin { scheme: "http".into(), host: "10.0.0.1".into(), port: 8080 };
        assert_eq!(config.network.trusted, std::slice::from_ref(&origin));
        assert_eq!(config.credentials_for(&origin).unwrap().password, "s3cret");
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
