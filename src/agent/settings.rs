//! What an agent takes from the settings.
//!
//! Input: the settings, the files that they name. Output: usable values, or the setting that is not usable.

use crate::{
    config::Config,
    wire::{
        connection,
        names::{AgentName, Label, Names, Namespace},
        seal::AgentKey,
    },
};
use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// The maximum size of the file of a key.
const MAX_KEY_BYTES: u64 = 4096;

/// What an agent takes from the settings.
#[derive(Debug, Clone)]
pub struct Settings {
    pub name: AgentName,
    pub names: Names,
    pub labels: Vec<Label>,
    pub slots: usize,
    pub dir: PathBuf,
    pub key_file: PathBuf,
    pub drain_timeout: Duration,
    pub connection: connection::Options,
}

/// A setting that is not usable.
#[derive(Debug, thiserror::Error)]
pub enum SettingsProblem {
    #[error("`agent.{0}`: {1}")]
    Setting(&'static str, String),
    #[error("cannot read the agent's key {}: {error}; `scanwatch agent enroll` creates it", path.display())]
    NoKey { path: PathBuf, error: io::Error },
    #[error("the agent's key {} {problem}", path.display())]
    Key { path: PathBuf, problem: String },
}

impl Settings {
    /// The settings of an agent.
    ///
    /// # Errors
    /// If one of them is not usable.
    pub fn of(config: &Config) -> Result<Self, SettingsProblem> {
        let agent = &config.agent;
        let refused = |name| move |error| SettingsProblem::Setting(name, format!("{error}"));
        let name = if agent.name.is_empty() { machine_name() } else { agent.name.clone() };
        let name: AgentName = name.parse().map_err(refused("name"))?;
        let namespace: Namespace = config.engine.namespace.parse().map_err(refused("namespace"))?;
        let labels = agent.labels.iter().map(|label| label.parse().map_err(refused("labels")));
        let names = Names::new(namespace);
        if agent.nats.is_empty() {
            let message = "expected at least one address, such as nats://127.0.0.1:4222";
            return Err(SettingsProblem::Setting("nats", message.to_owned()));
        }
        let slots = match agent.slots {
            0 => config.scanner.max_concurrent_processes,
            slots => slots,
        };
        Ok(Self {
            connection: connection::Options {
                servers: agent.nats.clone(),
                credentials_file: agent.credentials_file.clone(),
                ca_file: agent.ca_file.clone(),
                name: format!("scanwatch agent {name}"),
                inbox_prefix: names.inbox_prefix(&name),
            },
            labels: labels.collect::<Result<_, _>>()?,
            slots,
            dir: agent.dir.clone(),
            key_file: agent.key_file.clone(),
            drain_timeout: agent.drain_timeout,
            name,
            names,
        })
    }
}

/// The name of this machine, as a name of an agent.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    name.trim().chars().map(plain).take(63).collect()
}

/// Reads the key of the agent.
///
/// # Errors
/// If it cannot be read, is not a key, or may be read by other users.
pub fn read_key(path: &Path) -> Result<AgentKey, SettingsProblem> {
    let no_key = |error| SettingsProblem::NoKey { path: path.to_owned(), error };
    let problem = |problem: String| SettingsProblem::Key { path: path.to_owned(), problem };
    let file = File::open(path).map_err(no_key)?;
    let facts = file.metadata().map_err(no_key)?;
    if facts.mode() & 0o077 != 0 {
        let mode = facts.mode() & 0o777;
        return Err(problem(format!(
            "has mode {mode:03o}, so other users can use it; chmod 600 it"
        )));
    }
    let mut text = String::new();
    file.take(MAX_KEY_BYTES).read_to_string(&mut text).map_err(no_key)?;
    AgentKey::of_seed(&text).map_err(|error| problem(format!("is unusable: {error}")))
}
