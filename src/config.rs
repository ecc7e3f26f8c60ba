//! The settings, read and validated at the start, and again when the operator asks for it.
//!
//! Input: the layers (see `layers`), and the token files and variables that they name. Output: a
//! [`Config`] with usable values, or an error that names the setting and the source of its value.
//! Invariants: there is no global state; no other module reads environment variables or files of
//! settings.

mod agent;
mod archive;
pub mod authorities;
mod current;
mod engine;
pub mod foreign;
mod forges;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod layers;
mod reload;
mod schedules;
mod sections;
mod slurm;
mod values;
mod webhooks;

pub use agent::AgentConfig;
pub use archive::{ArchiveConfig, ArchiveCredentials, ArchivePlace};
pub use current::CurrentConfig;
pub use engine::{DEFAULT_LABEL, EngineConfig, EngineKind};
pub use layers::{EffectiveSetting, SettingsError};
pub use reload::{Changes, Reloader};
pub use sections::{
    AuthConfig, DiscoveryConfig, JobsConfig, LogConfig, LogFormat, ScannerConfig, SchedulerConfig,
    ServerConfig, TlsFiles, WatchConfig, WatchMode,
};
pub use slurm::SlurmConfig;
pub use webhooks::Webhook;

use crate::model::{
    address::{NetworkPolicy, Origin},
    proxy::{Proxy, ProxyAddress},
    schedule::{ScheduleName, ScheduleSpec},
    task::{Category, Credentials, Limits},
};
use layers::Layers;
use rustls::pki_types::CertificateDer;
use secrecy::{ExposeSecret, SecretString};
use sections::{NetworkSection, Sections};
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};
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
    pub engine: EngineConfig,
    /// Of `[engine] kind = "slurm"`.
    pub slurm: SlurmConfig,
    pub scheduler: SchedulerConfig,
    pub limits: Limits,
    pub watch: WatchConfig,
    pub log: LogConfig,
    pub network: NetworkPolicy,
    pub discovery: DiscoveryConfig,
    /// Of `scanwatch agent`.
    pub agent: AgentConfig,
    pub forges: Vec<Forge>,
    /// Where finished jobs are archived.
    pub archive: Option<ArchiveConfig>,
    /// Who is notified of what happens to jobs.
    pub webhooks: Vec<Webhook>,
    pub categories: BTreeMap<String, Category>,
    pub schedules: BTreeMap<ScheduleName, ScheduleSpec>,
    /// The folders of local module caches from which versions are resolved: only if a user of the command line
    /// asked for it.
    pub module_caches: Vec<PathBuf>,
}

/// One of `[[forges]]`: a trusted origin, optionally with credentials.
#[derive(Debug, Clone)]
pub struct Forge {
    pub kind: ForgeKind,
    pub origin: Origin,
    pub username: String,
    pub token: Option<SecretString>,
    /// Whether git sends the token only to a server that asks for credentials: the user may not have meant it
    /// for this repository.
    pub token_on_request: bool,
    /// The certificate authorities of `ca_file`, trusted for this forge in addition to the
    /// system's.
    pub authorities: Vec<CertificateDer<'static>>,
}

impl Forge {
    /// A forge without a token, and without authorities of its own.
    pub fn new(kind: ForgeKind, origin: Origin) -> Self {
        Self {
            kind,
            origin,
            username: String::new(),
            token: None,
            token_on_request: false,
            authorities: Vec::new(),
        }
    }
}

/// The user of an access token of a Bitbucket, which belongs to no person.
pub const ACCESS_TOKEN_USER: &str = "x-token-auth";
/// The user for whom git sends a person's API token to Bitbucket Cloud, whose API wants the e-mail address.
const API_TOKEN_USER: &str = "x-bitbucket-api-token-auth";

/// The kind of a forge, which determines its API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForgeKind {
    Gitlab,
    Github,
    /// Gitea or Forgejo.
    #[serde(alias = "forgejo")]
    Gitea,
    /// Bitbucket Cloud.
    Bitbucket,
    /// Bitbucket Data Center or Server.
    #[serde(rename = "bitbucket-server")]
    BitbucketServer,
    /// Azure DevOps Services or Server.
    Azure,
    /// A git server without an API.
    Git,
}

impl ForgeKind {
    /// The kinds as they are written in settings, and what they are.
    pub const NAMES: [(&str, Self); 8] = [
        ("gitlab", Self::Gitlab),
        ("github", Self::Github),
        ("gitea", Self::Gitea),
        ("forgejo", Self::Gitea),
        ("bitbucket", Self::Bitbucket),
        ("bitbucket-server", Self::BitbucketServer),
        ("azure", Self::Azure),
        ("git", Self::Git),
    ];

    /// The kind of a public forge.
    pub fn of_public(host: &str) -> Option<Self> {
        match host {
            "github.com" => Some(Self::Github),
            "gitlab.com" => Some(Self::Gitlab),
            "bitbucket.org" => Some(Self::Bitbucket),
            "dev.azure.com" => Some(Self::Azure),
            "codeberg.org" | "gitea.com" => Some(Self::Gitea),
            _ => None,
        }
    }

    /// The user name of a token, unless the settings name one.
    fn token_user(self) -> &'static str {
        match self {
            Self::Bitbucket | Self::BitbucketServer => ACCESS_TOKEN_USER,
            _ => "oauth2",
        }
    }
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
        let by_mail = forge.kind == ForgeKind::Bitbucket && forge.username.contains('@');
        let username = if by_mail { API_TOKEN_USER } else { &forge.username };
        Some(Credentials {
            username: username.to_owned(),
            password: token.expose_secret().to_owned(),
            on_request: forge.token_on_request,
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

/// Turns the merged table into usable settings, and reads the tokens that the forges name.
fn validate(
    table: Table,
    places: &BTreeMap<String, String>,
    sources: &Sources,
) -> Result<Config, SettingsError> {
    let sections = serde_path_to_error::deserialize::<_, Sections>(table)
        .map_err(|error| refusal(&error.path().to_string(), error.inner().message(), places))?;
    let Sections { server, auth, jobs, scanner, engine, scheduler, limits, .. } = sections;
    let Sections { watch, log, discovery, agent, slurm, .. } = sections;
    let watch = imply_polling(watch, engine.kind);
    if let Some((name, message)) = engine.problem() {
        return Err(refusal(name, message, places));
    }
    let tls = ["server.tls_certificate_file", "server.tls_key_file"];
    let (set, unset) = match (&server.tls_certificate_file, &server.tls_key_file) {
        (Some(_), None) => (tls[0], tls[1]),
        (None, Some(_)) => (tls[1], tls[0]),
        _ => ("", ""),
    };
    if !set.is_empty() {
        let message = format!("`{unset}` is not set: set both files, or neither");
        return Err(refusal(set, &message, places));
    }
    for (key, value, least) in [
        ("max_tree_depth", limits.max_tree_depth, 1),
        ("connect_timeout_secs", limits.connect_timeout_secs, 1),
        // Smaller values are less than this program needs to start and to report an error.
        ("max_memory_bytes", limits.max_memory_bytes, 256 << 20),
        ("max_data_bytes", limits.max_data_bytes, 64 << 20),
        ("max_cpu_secs", limits.max_cpu_secs, 1),
    ] {
        if value < least {
            let message = format!("expected {least} or more, got {value}");
            return Err(refusal(&format!("limits.{key}"), &message, places));
        }
    }
    let NetworkSection { allow_hosts, allow_nets, allow_ports, proxy, .. } = &sections.network;
    let (allow_hosts, allow_nets) = (allow_hosts.clone(), allow_nets.clone());
    let allow_ports = allow_ports.clone();
    let proxy = match proxy {
        Some(address) => Some(
            proxy_of(address, &sections.network)
                .map_err(|reason| refusal("network.proxy_password_file", &reason, places))?,
        ),
        None => None,
    };
    let mut network = NetworkPolicy {
        allow_hosts,
        allow_nets,
        allow_ports,
        proxy,
        trusted: Vec::new(),
        authorities: Vec::new(),
        local_paths: false,
    };
    let mut forges = Vec::with_capacity(sections.forges.len());
    for forge in sections.forges {
        let checked = forge.check(&sources.environment);
        let (forge, authority) = checked.map_err(|reason| refusal("forges", &reason, places))?;
        network.trusted.push(forge.origin.clone());
        network.authorities.extend(authority);
        forges.push(forge);
    }
    let schedules = schedules::check(sections.schedules, &network)
        .map_err(|(path, message)| refusal(&path, &message, places))?;
    let mut webhooks = Vec::with_capacity(sections.webhooks.len());
    for webhook in sections.webhooks {
        let checked = webhook.check(&webhooks, &sources.environment);
        webhooks.push(checked.map_err(|reason| refusal("webhooks", &reason, places))?);
    }
    let archive = sections
        .archive
        .check(&sources.environment)
        .map_err(|(key, reason)| refusal(&format!("archive.{key}"), &reason, places))?;
    let categories = sections.categories;
    Ok(Config {
        server,
        auth,
        jobs,
        scanner,
        engine,
        slurm,
        scheduler,
        limits,
        watch,
        log,
        network,
        discovery,
        agent,
        forges,
        archive,
        webhooks,
        categories,
        schedules,
        module_caches: Vec::new(),
    })
}

/// With an engine whose scans write on other machines, changes are found by polling: inotify sees those of this machine alone.
fn imply_polling(watch: WatchConfig, kind: EngineKind) -> WatchConfig {
    let mode = if kind == EngineKind::Slurm { WatchMode::Poll } else { watch.mode };
    WatchConfig { mode, ..watch }
}

/// The proxy of the settings, with the password from its file.
fn proxy_of(address: &ProxyAddress, section: &NetworkSection) -> Result<Proxy, String> {
    let credentials = match (&address.username, &section.proxy_password_file) {
        (None, None) => None,
        (Some(username), Some(path)) => {
            let shown = path.display();
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read `{shown}`: {error}"))?;
            let password = text.trim();
            if password.is_empty() {
                return Err(format!("`{shown}` is empty"));
            }
            let (username, password) = (username.clone(), password.to_owned());
            Some(Credentials { username, password, on_request: false })
        }
        (Some(_), None) => return Err("not set, but `network.proxy` names a user".to_owned()),
        (None, Some(_)) => {
            return Err(
                "set, but `network.proxy` names no user: write http://user@host:port".to_owned()
            );
        }
    };
    let no_proxy = section.no_proxy.clone();
    Ok(Proxy { url: address.url.to_string(), no_proxy, https_only: false, credentials })
}

/// The error about the setting at this path, with the source of its value.
fn refusal(path: &str, message: &str, places: &BTreeMap<String, String>) -> SettingsError {
    // A value below a list or a section of the user's own has the source of that whole.
    let wholes = path.match_indices(['.', '[']).map(|(end, _)| &path[..end]);
    let place = std::iter::once(path).chain(wholes).find_map(|path| places.get(path));
    let place = place.cloned().unwrap_or_else(|| "default".to_owned());
    SettingsError { place, message: format!("`{path}`: {message}") }
}

#[cfg(test)]
mod tests;
