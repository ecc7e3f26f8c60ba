//! `[engine]`: what runs scans, and how agents on other machines are reached.
//!
//! Input: the section of the settings. Output: its values in the types that the program uses.
//!
//! Invariants: with `kind = "nats"` there is at least one address; every label and the namespace are usable in
//! names of NATS.

use super::values::{at_least, optional_path, seconds, text};
use crate::model::address::{matches_host, normal_host};
use serde::{Deserialize, Deserializer, de::Error};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// The label of repositories whose host no route names.
pub const DEFAULT_LABEL: &str = "default";

/// The maximum length of a namespace and of a label.
const MAX_NAME: usize = 63;

/// What runs scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// Processes of this machine.
    Local,
    /// Agents on other machines, through NATS.
    Nats,
    /// Jobs of a Slurm cluster.
    Slurm,
}

impl EngineKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Local, Self::Nats, Self::Slurm];

    /// The name in settings and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Nats => "nats",
            Self::Slurm => "slurm",
        }
    }
}

/// `[engine]`
#[derive(Debug, Clone, Deserialize)]
pub struct EngineConfig {
    #[serde(deserialize_with = "kind")]
    pub kind: EngineKind,
    /// The URLs of the servers of one NATS cluster.
    pub nats: Vec<String>,
    /// A `.creds` file, or a file with the seed of an nkey.
    #[serde(deserialize_with = "optional_path")]
    pub credentials_file: Option<PathBuf>,
    /// The certificate authorities of NATS (PEM).
    #[serde(deserialize_with = "optional_path")]
    pub ca_file: Option<PathBuf>,
    /// The prefix of all names in NATS.
    #[serde(deserialize_with = "name")]
    pub namespace: String,
    /// How many servers of the cluster store each stream.
    #[serde(deserialize_with = "replicas")]
    pub replicas: usize,
    /// After this time without a sign of life an attempt is delivered to another agent.
    #[serde(rename = "ack_wait_secs", deserialize_with = "seconds::<1, _>")]
    pub ack_wait: Duration,
    /// How often an attempt is delivered at most.
    #[serde(deserialize_with = "at_least::<1, _, _>")]
    pub max_deliver: u64,
    /// The labels of the agents that scan a host, by host.
    #[serde(deserialize_with = "labels")]
    pub labels: BTreeMap<String, String>,
}

impl EngineConfig {
    /// The label of the repositories of a host. An exact name precedes a pattern, and a longer pattern a shorter one.
    pub fn label_of(&self, host: &str) -> &str {
        let fitting = self.labels.iter().filter(|(pattern, _)| matches_host(pattern, host));
        let best = fitting.max_by_key(|(pattern, _)| (!pattern.starts_with("*."), pattern.len()));
        best.map_or(DEFAULT_LABEL, |(_, label)| label)
    }

    /// All labels that a route names, and the default one.
    pub fn all_labels(&self) -> impl Iterator<Item = &str> {
        let mut labels: Vec<_> = self.labels.values().map(String::as_str).collect();
        labels.push(DEFAULT_LABEL);
        labels.sort_unstable();
        labels.dedup();
        labels.into_iter()
    }

    /// What is missing for the chosen kind: the name of the setting, and a message.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        (self.kind == EngineKind::Nats && self.nats.is_empty()).then_some((
            "engine.nats",
            "not set, but `engine.kind` is \"nats\": name the servers of NATS, such as [\"nats://nats.example.com:4222\"]",
        ))
    }
}

fn kind<'de, D: Deserializer<'de>>(value: D) -> Result<EngineKind, D::Error> {
    text(value, "\"local\", \"nats\" or \"slurm\"", |text| {
        EngineKind::ALL.into_iter().find(|kind| kind.as_str() == text)
    })
}

pub(super) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    text.len() <= MAX_NAME
        && text.bytes().all(plain)
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

fn name<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    let expected = "1 to 63 of A-Z a-z 0-9 _ -, beginning with a letter or a digit";
    text(value, expected, |text| is_name(text).then(|| text.to_owned()))
}

fn replicas<'de, D: Deserializer<'de>>(value: D) -> Result<usize, D::Error> {
    let number = usize::deserialize(value)?;
    // What JetStream supports.
    if (1..=5).contains(&number) {
        Ok(number)
    } else {
        Err(Error::custom(format!("expected 1 to 5, got {number}")))
    }
}

fn labels<'de, D: Deserializer<'de>>(value: D) -> Result<BTreeMap<String, String>, D::Error> {
    let labels = BTreeMap::<String, String>::deserialize(value)?;
    for (host, label) in &labels {
        if host.is_empty() || host.contains(['/', ':', '@', ' ']) {
            let message = format!("expected a host name without scheme and port, got `{host}`");
            return Err(Error::custom(message));
        }
        if !is_name(label) {
            return Err(Error::custom(format!(
                "expected a label of 1 to 63 of A-Z a-z 0-9 _ - for `{host}`, got `{label}`"
            )));
        }
    }
    Ok(labels.into_iter().map(|(host, label)| (normal_host(&host), label)).collect())
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Sources};

    fn load(flags: &[(&str, &str)]) -> Result<Config, String> {
        let flags =
            flags.iter().map(|(path, value)| (format!("engine.{path}"), (*value).to_owned()));
        let sources = Sources { flags: flags.collect(), ..Sources::default() };
        Config::load(&sources).map_err(|error| error.to_string())
    }

    #[test]
    fn the_most_specific_route_of_a_host_counts() {
        let text = "{ \"git.corp.example\" = \"git\", \"*.corp.example\" = \"corp\", \"*.example\" = \"all\" }";
        let engine = load(&[("labels", text)]).unwrap().engine;
        for (host, label) in [
            ("git.corp.example", "git"),
            ("a.corp.example", "corp"),
            ("corp.example", "all"),
            ("example", "default"),
            ("github.com", "default"),
        ] {
            assert_eq!(engine.label_of(host), label, "{host}");
        }
        assert_eq!(engine.all_labels().collect::<Vec<_>>(), ["all", "corp", "default", "git"]);
    }

    #[test]
    fn what_nats_would_refuse_is_refused_at_the_start() {
        assert!(load(&[("kind", "nats"), ("nats", "[\"nats://127.0.0.1:4222\"]")]).is_ok());
        for (flags, part) in [
            (&[("kind", "nats")][..], "`engine.nats`"),
            (&[("kind", "pbs")], "`engine.kind`"),
            (&[("namespace", "a.b")], "`engine.namespace`"),
            (&[("namespace", "")], "`engine.namespace`"),
            (&[("replicas", "6")], "`engine.replicas`"),
            (&[("ack_wait_secs", "0")], "`engine.ack_wait_secs`"),
            (&[("max_deliver", "0")], "`engine.max_deliver`"),
            (&[("labels", "{ \"h\" = \"a b\" }")], "`engine.labels`"),
            (&[("labels", "{ \"https://h\" = \"a\" }")], "`engine.labels`"),
        ] {
            let error = load(flags).unwrap_err();
            assert!(error.contains(part), "{flags:?}: {error}");
        }
    }
}
