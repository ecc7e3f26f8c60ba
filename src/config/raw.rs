//! The sections of the settings as they are written, and their validation.
//!
//! Input: the merged table, section by section, and the source of each value. Output: the sections
//! of [`Config`](super::Config), or the first error. Invariants: every value of the result is
//! usable.

use super::{
    AuthConfig, Config, DiscoveryConfig, JobsConfig, LogConfig, LogFormat, ScannerConfig,
    ServerConfig, SettingsError, TlsFiles, WatchConfig, WatchMode, forges::RawForge,
};
use crate::model::{
    address::{NetworkPolicy, normal_host},
    task::{Category, Limits, Sandbox, SandboxMode},
};
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

#[derive(Deserialize)]
pub(super) struct Raw {
    server: RawServer,
    auth: RawAuth,
    jobs: RawJobs,
    scanner: RawScanner,
    limits: Limits,
    watch: RawWatch,
    network: RawNetwork,
    discovery: RawDiscovery,
    log: RawLog,
    #[serde(default)]
    forges: Vec<RawForge>,
    #[serde(default)]
    categories: BTreeMap<String, Category>,
}

#[derive(Deserialize)]
struct RawServer {
    listen: String,
    tls_certificate_file: PathBuf,
    tls_key_file: PathBuf,
    behind_proxy: bool,
    max_connections: usize,
    max_streams: usize,
    max_streams_per_user: usize,
    header_timeout_secs: u64,
    body_timeout_secs: u64,
    write_timeout_secs: u64,
    max_body_bytes: u64,
    stop_grace_secs: u64,
}

#[derive(Deserialize)]
struct RawAuth {
    htpasswd_file: PathBuf,
    tokens_file: PathBuf,
    reload_interval_secs: u64,
}

#[derive(Deserialize)]
struct RawJobs {
    dir: PathBuf,
    folder_mode: String,
    retention_hours: u64,
    cleanup_interval_secs: u64,
    max_queued_jobs: usize,
    min_free_bytes: u64,
    min_free_inodes: u64,
}

#[derive(Deserialize)]
struct RawScanner {
    command: Vec<String>,
    max_concurrent_processes: usize,
    subprocess_timeout_secs: u64,
    kill_grace_secs: u64,
    update_interval_secs: u64,
    progress_interval_ms: u64,
    stall_timeout_secs: u64,
    retry_pause_secs: u64,
    slow_after_secs: u64,
    log_max_bytes: u64,
    sandbox: String,
    sandbox_paths: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct RawWatch {
    mode: String,
    poll_interval_ms: u64,
    resync_interval_secs: u64,
}

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of the settings")]
struct RawNetwork {
    allow_hosts: Vec<String>,
    allow_nets: Vec<String>,
    allow_ports: Vec<u16>,
}

#[derive(Deserialize)]
struct RawDiscovery {
    max_pages: u32,
    max_answer_bytes: u64,
    answer_timeout_secs: u64,
    timeout_secs: u64,
}

#[derive(Deserialize)]
struct RawLog {
    format: String,
    level: String,
}

/// The sources of the values, for error messages.
pub(super) struct Places<'a>(pub(super) &'a BTreeMap<String, String>);

impl Places<'_> {
    fn refuse(&self, path: &str, message: impl std::fmt::Display) -> SettingsError {
        let place = self.0.get(path).cloned().unwrap_or_else(|| "default".to_owned());
        SettingsError { place, message: format!("`{path}`: {message}") }
    }

    fn at_least(&self, path: &str, value: u64, least: u64) -> Result<(), SettingsError> {
        if value < least {
            return Err(self.refuse(path, format!("expected {least} or more, got {value}")));
        }
        Ok(())
    }
}

impl Raw {
    /// Validates every value, and reads the tokens that the forges name.
    pub(super) fn check(
        self,
        places: &Places<'_>,
        environment: &[(String, String)],
    ) -> Result<Config, SettingsError> {
        let server = self.server.check(places)?;
        let auth = self.auth.check(places)?;
        let jobs = self.jobs.check(places)?;
        let scanner = self.scanner.check(places)?;
        let watch = self.watch.check(places)?;
        let log = self.log.check(places)?;
        let forges = self
            .forges
            .into_iter()
            .map(|forge| {
                forge.check(environment).map_err(|message| places.refuse("forges", message))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let (forges, authorities): (Vec<_>, Vec<_>) = forges.into_iter().unzip();
        let mut network = self.network.check(places)?;
        network.trusted = forges.iter().map(|forge| forge.origin.clone()).collect();
        network.authorities = authorities.into_iter().flatten().collect();
        let discovery = self.discovery.check(places)?;
        places.at_least("limits.max_tree_depth", self.limits.max_tree_depth, 1)?;
        places.at_least("limits.connect_timeout_secs", self.limits.connect_timeout_secs, 1)?;
        // Smaller values are less than this program needs to start and to report an error.
        places.at_least("limits.max_memory_bytes", self.limits.max_memory_bytes, 256 << 20)?;
        places.at_least("limits.max_data_bytes", self.limits.max_data_bytes, 64 << 20)?;
        places.at_least("limits.max_cpu_secs", self.limits.max_cpu_secs, 1)?;
        Ok(Config {
            server,
            auth,
            jobs,
            scanner,
            limits: self.limits,
            watch,
            log,
            network,
            discovery,
            forges,
            categories: self.categories,
        })
    }
}

/// The path of a file; an empty path means that no file is set.
fn non_empty(path: PathBuf) -> Option<PathBuf> {
    Some(path).filter(|path| !path.as_os_str().is_empty())
}

impl RawServer {
    fn check(self, places: &Places<'_>) -> Result<ServerConfig, SettingsError> {
        let listen = self.listen.parse().map_err(|_| {
            let message = format!(
                "expected an address and port such as 127.0.0.1:8000, got `{}`",
                self.listen
            );
            places.refuse("server.listen", message)
        })?;
        let tls = match (non_empty(self.tls_certificate_file), non_empty(self.tls_key_file)) {
            (None, None) => None,
            (Some(certificate_file), Some(key_file)) => {
                Some(TlsFiles { certificate_file, key_file })
            }
            (Some(_), None) => {
                let message = "`server.tls_key_file` is not set: set both files, or neither";
                return Err(places.refuse("server.tls_certificate_file", message));
            }
            (None, Some(_)) => {
                let message =
                    "`server.tls_certificate_file` is not set: set both files, or neither";
                return Err(places.refuse("server.tls_key_file", message));
            }
        };
        places.at_least("server.max_connections", self.max_connections as u64, 1)?;
        places.at_least("server.header_timeout_secs", self.header_timeout_secs, 1)?;
        places.at_least("server.body_timeout_secs", self.body_timeout_secs, 1)?;
        places.at_least("server.write_timeout_secs", self.write_timeout_secs, 1)?;
        places.at_least("server.max_body_bytes", self.max_body_bytes, 1024)?;
        Ok(ServerConfig {
            listen,
            tls,
            behind_proxy: self.behind_proxy,
            max_connections: self.max_connections,
            max_streams: self.max_streams,
            max_streams_per_user: self.max_streams_per_user,
            header_timeout: Duration::from_secs(self.header_timeout_secs),
            body_timeout: Duration::from_secs(self.body_timeout_secs),
            write_timeout: Duration::from_secs(self.write_timeout_secs),
            max_body_bytes: self.max_body_bytes,
            stop_grace: Duration::from_secs(self.stop_grace_secs),
        })
    }
}

impl RawAuth {
    fn check(self, places: &Places<'_>) -> Result<AuthConfig, SettingsError> {
        places.at_least("auth.reload_interval_secs", self.reload_interval_secs, 1)?;
        Ok(AuthConfig {
            htpasswd_file: non_empty(self.htpasswd_file),
            tokens_file: non_empty(self.tokens_file),
            reload_interval: Duration::from_secs(self.reload_interval_secs),
        })
    }
}

impl RawJobs {
    fn check(self, places: &Places<'_>) -> Result<JobsConfig, SettingsError> {
        let mode = u32::from_str_radix(&self.folder_mode, 8).ok();
        let Some(folder_mode) = mode.filter(|mode| mode & 0o700 == 0o700 && *mode <= 0o777) else {
            let message = format!(
                "expected an octal mode with all permissions for the owner, such as 0750, got `{}`",
                self.folder_mode
            );
            return Err(places.refuse("jobs.folder_mode", message));
        };
        if self.dir.as_os_str().is_empty() {
            return Err(places.refuse("jobs.dir", "expected a folder, got an empty text"));
        }
        places.at_least("jobs.cleanup_interval_secs", self.cleanup_interval_secs, 1)?;
        places.at_least("jobs.max_queued_jobs", self.max_queued_jobs as u64, 1)?;
        Ok(JobsConfig {
            dir: self.dir,
            folder_mode,
            retention: Duration::from_secs(self.retention_hours.saturating_mul(3600)),
            cleanup_interval: Duration::from_secs(self.cleanup_interval_secs),
            max_queued_jobs: self.max_queued_jobs,
            min_free_bytes: self.min_free_bytes,
            min_free_inodes: self.min_free_inodes,
        })
    }
}

impl RawScanner {
    fn check(self, places: &Places<'_>) -> Result<ScannerConfig, SettingsError> {
        for (key, value) in [
            ("max_concurrent_processes", self.max_concurrent_processes as u64),
            ("subprocess_timeout_secs", self.subprocess_timeout_secs),
            ("update_interval_secs", self.update_interval_secs),
            ("progress_interval_ms", self.progress_interval_ms),
            ("stall_timeout_secs", self.stall_timeout_secs),
            ("retry_pause_secs", self.retry_pause_secs),
            ("slow_after_secs", self.slow_after_secs),
        ] {
            places.at_least(&format!("scanner.{key}"), value, 1)?;
        }
        let mode = match self.sandbox.as_str() {
            "auto" => SandboxMode::Auto,
            "require" => SandboxMode::Require,
            "off" => SandboxMode::Off,
            other => {
                let message = format!("expected \"auto\", \"require\" or \"off\", got `{other}`");
                return Err(places.refuse("scanner.sandbox", message));
            }
        };
        if let Some(path) = self.sandbox_paths.iter().find(|path| !path.is_absolute()) {
            let message = format!("expected absolute paths, got `{}`", path.display());
            return Err(places.refuse("scanner.sandbox_paths", message));
        }
        Ok(ScannerConfig {
            command: self.command,
            max_concurrent_processes: self.max_concurrent_processes,
            subprocess_timeout_secs: self.subprocess_timeout_secs,
            kill_grace_secs: self.kill_grace_secs,
            update_interval_secs: self.update_interval_secs,
            progress_interval_ms: self.progress_interval_ms,
            stall_timeout_secs: self.stall_timeout_secs,
            retry_pause: Duration::from_secs(self.retry_pause_secs),
            slow_after: Duration::from_secs(self.slow_after_secs),
            log_max_bytes: self.log_max_bytes,
            sandbox: Sandbox { mode, paths: self.sandbox_paths },
        })
    }
}

impl RawWatch {
    fn check(self, places: &Places<'_>) -> Result<WatchConfig, SettingsError> {
        let mode = match self.mode.as_str() {
            "auto" => WatchMode::Auto,
            "poll" => WatchMode::Poll,
            other => {
                let message = format!("expected \"auto\" or \"poll\", got `{other}`");
                return Err(places.refuse("watch.mode", message));
            }
        };
        places.at_least("watch.poll_interval_ms", self.poll_interval_ms, 10)?;
        places.at_least("watch.resync_interval_secs", self.resync_interval_secs, 1)?;
        Ok(WatchConfig {
            mode,
            poll_interval: Duration::from_millis(self.poll_interval_ms),
            resync_interval: Duration::from_secs(self.resync_interval_secs),
        })
    }
}

impl RawNetwork {
    fn check(self, places: &Places<'_>) -> Result<NetworkPolicy, SettingsError> {
        let allow_nets =
            self.allow_nets
                .iter()
                .map(|text| {
                    let net = text.parse::<ipnet::IpNet>();
                    net.or_else(|_| text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from))
                        .map_err(|_| {
                            let message =
                                format!("expected a network such as 10.1.0.0/16, got `{text}`");
                            places.refuse("network.allow_nets", message)
                        })
                })
                .collect::<Result<_, _>>()?;
        for host in &self.allow_hosts {
            if host.is_empty() || host.contains(['/', ':', '@', ' ']) {
                let message = format!("expected a host name without scheme and port, got `{host}`");
                return Err(places.refuse("network.allow_hosts", message));
            }
        }
        Ok(NetworkPolicy {
            allow_hosts: self.allow_hosts.iter().map(|host| normal_host(host)).collect(),
            allow_nets,
            allow_ports: self.allow_ports,
            trusted: Vec::new(),
            authorities: Vec::new(),
            local_paths: false,
        })
    }
}

impl RawDiscovery {
    fn check(self, places: &Places<'_>) -> Result<DiscoveryConfig, SettingsError> {
        for (key, value) in [
            ("max_pages", self.max_pages.into()),
            ("max_answer_bytes", self.max_answer_bytes),
            ("answer_timeout_secs", self.answer_timeout_secs),
            ("timeout_secs", self.timeout_secs),
        ] {
            places.at_least(&format!("discovery.{key}"), value, 1)?;
        }
        Ok(DiscoveryConfig {
            max_pages: self.max_pages,
            max_answer_bytes: self.max_answer_bytes,
            answer_timeout: Duration::from_secs(self.answer_timeout_secs),
            timeout: Duration::from_secs(self.timeout_secs),
        })
    }
}

impl RawLog {
    fn check(self, places: &Places<'_>) -> Result<LogConfig, SettingsError> {
        let format = match self.format.as_str() {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            other => {
                let message = format!("expected \"text\" or \"json\", got `{other}`");
                return Err(places.refuse("log.format", message));
            }
        };
        let level = self.level.parse().map_err(|_| {
            let message =
                format!("expected error, warn, info, debug or trace, got `{}`", self.level);
            places.refuse("log.level", message)
        })?;
        Ok(LogConfig { format, level })
    }
}
