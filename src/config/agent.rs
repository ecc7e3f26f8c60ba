//! `[agent]`: the settings of an agent, which scans for a server on another machine.
//!
//! Input: the section of the settings. Output: usable values. Invariants: names are checked here, whether or not this
//! program was built with agents.

use super::{
    engine::is_name,
    values::{folder, optional_path, seconds, text},
};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{path::PathBuf, time::Duration};

/// The maximum number of slots of one agent.
const MAX_SLOTS: usize = 1_000;

/// `[agent]`
#[derive(Debug, Clone, Deserialize)]
pub struct AgentConfig {
    /// Empty for the name of the machine.
    #[serde(deserialize_with = "name_or_empty")]
    pub name: String,
    #[serde(deserialize_with = "labels")]
    pub labels: Vec<String>,
    /// 0 for `[scanner] max_concurrent_processes`.
    #[serde(deserialize_with = "slots")]
    pub slots: usize,
    pub nats: Vec<String>,
    #[serde(deserialize_with = "optional_path")]
    pub credentials_file: Option<PathBuf>,
    #[serde(deserialize_with = "optional_path")]
    pub ca_file: Option<PathBuf>,
    #[serde(deserialize_with = "folder")]
    pub dir: PathBuf,
    #[serde(deserialize_with = "folder")]
    pub key_file: PathBuf,
    #[serde(rename = "drain_timeout_secs", deserialize_with = "seconds::<0, _>")]
    pub drain_timeout: Duration,
}

const NAME: &str = "1 to 63 letters, digits, `-` and `_`, beginning with a letter or a digit";

fn name_or_empty<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    text(value, NAME, |text| (text.is_empty() || is_name(text)).then(|| text.to_owned()))
}

fn labels<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    let labels = Vec::<String>::deserialize(value)?;
    match labels.iter().find(|label| !is_name(label)) {
        Some(label) => Err(D::Error::custom(format!("expected labels of {NAME}, got `{label}`"))),
        None if labels.is_empty() => {
            Err(D::Error::custom("expected at least one label, such as \"default\""))
        }
        None => Ok(labels),
    }
}

fn slots<'de, D: Deserializer<'de>>(value: D) -> Result<usize, D::Error> {
    let slots = usize::deserialize(value)?;
    if slots > MAX_SLOTS {
        return Err(D::Error::custom(format!("expected at most {MAX_SLOTS}, got {slots}")));
    }
    Ok(slots)
}
