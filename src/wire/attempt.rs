//! The message of the stream of attempts: one repository that is to be scanned.
//!
//! Input: what the server plans. Output: what an agent needs for a task of the shim, apart from its own settings.
//!
//! Invariants: no credentials; limits and hosts of a message only narrow those of the agent's settings.

use super::{
    PROTOCOL, WireError,
    names::{AgentName, RepositoryKey},
};
use crate::model::{
    attempt::MOST_ATTEMPTS,
    origin::Origin,
    task::{Category, Limits},
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One repository that is to be scanned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a member of a JSON object")]
pub struct AttemptMessage {
    pub schema: u32,
    /// The version of the protocol.
    pub protocol: u32,
    /// The version of the server, for people.
    pub server: String,
    #[serde(flatten)]
    pub key: RepositoryKey,
    /// The number of the attempt if this is the first delivery of the message.
    pub first_attempt: u64,
    pub repo_name: String,
    /// A URL without credentials.
    pub git_url: String,
    #[serde(rename = "ref", default)]
    pub reference: Option<String>,
    #[serde(default)]
    pub deep: bool,
    #[serde(default)]
    pub archives: bool,
    #[serde(default)]
    pub exclude_paths: Vec<String>,
    #[serde(default)]
    pub no_ignore: bool,
    /// Whether stored results are not reused.
    #[serde(default)]
    pub force: bool,
    #[serde(default)]
    pub categories: BTreeMap<String, Category>,
    /// Whether the server has credentials for the repository's host, which the agent requests.
    #[serde(default)]
    pub needs_credentials: bool,
    /// How many shims of this repository have died without reporting a cause.
    #[serde(default)]
    pub interruptions: u64,
    /// The number of the attempt among the requested retries.
    #[serde(default)]
    pub retries: u64,
    pub timeout_secs: u64,
    pub stall_timeout_secs: u64,
    /// Limits by name; an agent ignores those that it does not know.
    #[serde(default)]
    pub limits: BTreeMap<String, u64>,
    #[serde(default)]
    pub network: NetworkBounds,
    /// The seconds after which an attempt without a sign of life is delivered again.
    pub ack_wait_secs: u64,
    /// The maximum number of deliveries of the message.
    pub max_deliver: u64,
}

/// What a scan may contact at most: an agent contacts what both these bounds and its own settings allow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkBounds {
    pub allow_hosts: Vec<String>,
    pub allow_nets: Vec<IpNet>,
    pub allow_ports: Vec<u16>,
    /// The forges of the server's settings.
    #[serde(default)]
    pub trusted: Vec<Origin>,
}

impl AttemptMessage {
    /// Reads and checks a message.
    ///
    /// # Errors
    /// If the message is too large, of another protocol version, or contains implausible values.
    pub fn read(bytes: &[u8]) -> Result<Self, WireError> {
        // The version first: another version may have other members.
        #[derive(Deserialize)]
        struct Version {
            protocol: u32,
        }
        let version: Version = super::read(bytes)?;
        if !super::reads_protocol(version.protocol) {
            return Err(WireError::Protocol(version.protocol));
        }
        let message: Self = super::read(bytes)?;
        let invalid = |what: &str| Err(WireError::Invalid(what.to_owned()));
        if !(1..MOST_ATTEMPTS).contains(&message.first_attempt) {
            return invalid("`first_attempt` is out of range");
        }
        if message.ack_wait_secs == 0 || message.max_deliver == 0 {
            return invalid("`ack_wait_secs` and `max_deliver` must be at least 1");
        }
        if url::Url::parse(&message.git_url)
            .is_ok_and(|url| url.password().is_some() || has_login(&url))
        {
            return invalid("`git_url` contains credentials");
        }
        Ok(message)
    }

    /// The number of the attempt that a delivery begins.
    pub fn attempt(&self, delivery: u64) -> u64 {
        self.first_attempt.saturating_add(delivery.saturating_sub(1))
    }

    /// The limits as a server writes them.
    pub fn limits_of(limits: &Limits) -> BTreeMap<String, u64> {
        let value = serde_json::to_value(limits).unwrap_or_default();
        let members = value.as_object().into_iter().flatten();
        members.filter_map(|(name, value)| Some((name.clone(), value.as_u64()?))).collect()
    }
}

fn has_login(url: &url::Url) -> bool {
    matches!(url.scheme(), "http" | "https") && !url.username().is_empty()
}

/// Who runs an attempt: its number, its holder and the delivery that began it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub agent: AgentName,
    pub attempt: u64,
    pub delivery: u64,
}

impl Default for AttemptMessage {
    fn default() -> Self {
        Self {
            schema: 1,
            protocol: PROTOCOL,
            server: env!("CARGO_PKG_VERSION").to_owned(),
            key: RepositoryKey { job: crate::model::JobId::generate(), index: 0 },
            first_attempt: 1,
            repo_name: String::new(),
            git_url: String::new(),
            reference: None,
            deep: false,
            archives: false,
            exclude_paths: Vec::new(),
            no_ignore: false,
            force: false,
            categories: BTreeMap::new(),
            needs_credentials: false,
            interruptions: 0,
            retries: 0,
            timeout_secs: 3600,
            stall_timeout_secs: 120,
            limits: BTreeMap::new(),
            network: NetworkBounds::default(),
            ack_wait_secs: 30,
            max_deliver: 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn with(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let message =
            AttemptMessage { git_url: "https://h/r.git".to_owned(), ..AttemptMessage::default() };
        let mut value = serde_json::to_value(message).unwrap();
        change(&mut value);
        value.to_string().into_bytes()
    }

    #[test]
    fn each_delivery_is_a_later_attempt() {
        let mut message = AttemptMessage::read(&with(|_| {})).unwrap();
        message.first_attempt = 4;
        assert_eq!([1, 2, 5].map(|delivery| message.attempt(delivery)), [4, 5, 8]);
    }

    #[test]
    fn what_is_not_usable_is_refused() {
        for (member, value) in [
            ("first_attempt", json!(0)),
            ("first_attempt", json!(u64::MAX)),
            ("ack_wait_secs", json!(0)),
            ("max_deliver", json!(0)),
            ("git_url", json!("https://u:p@h/r.git")),
            ("git_url", json!("https://u@h/r.git")),
            ("job", json!("../x")),
            ("index", json!(-1)),
        ] {
            let bytes = with(|message| message[member] = value.clone());
            assert!(AttemptMessage::read(&bytes).is_err(), "{member}: {value}");
        }
        // A later version may have removed members that this one needs.
        let later = br#"{"schema":2,"protocol":99}"#;
        assert!(matches!(AttemptMessage::read(later), Err(WireError::Protocol(99))));
        // Unknown members are of a later version of the same protocol.
        assert!(AttemptMessage::read(&with(|message| message["new"] = json!(1))).is_ok());
    }

    #[test]
    fn all_limits_are_written() {
        let config = crate::config::Config::load(&crate::config::Sources::default()).unwrap();
        let limits = AttemptMessage::limits_of(&config.limits);
        assert!(limits.len() > 15 && limits["max_packages"] == config.limits.max_packages);
    }
}
