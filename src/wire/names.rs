//! The names of streams, buckets, subjects and keys.
//!
//! Input: the namespace of the settings, names of agents, labels, ids. Output: names that NATS accepts, and the parts
//! of keys. Invariants: every name is made here; a part never contains a dot, which separates the parts of a subject.

use crate::model::JobId;
use std::{fmt, str::FromStr};

/// A text that is not usable as a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid {what} `{text}`: expected 1 to {MAX_NAME} of a-z A-Z 0-9 _ -, beginning with a letter or a digit"
)]
pub struct InvalidName {
    what: &'static str,
    text: String,
}

/// The maximum length of a name.
const MAX_NAME: usize = 63;

/// The label of attempts whose host no route names.
pub const DEFAULT_LABEL: &str = "default";

fn checked(what: &'static str, text: &str) -> Result<String, InvalidName> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins && text.len() <= MAX_NAME && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(InvalidName { what, text: text.chars().take(2 * MAX_NAME).collect() })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                checked($what, text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                checked($what, &text).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The name of an agent, which is unique in a namespace.
    AgentName,
    "name of an agent"
);
name!(
    /// A label: agents that have it take the attempts that are routed to it.
    Label,
    "label"
);
name!(
    /// The prefix of all names of one server and its agents.
    Namespace,
    "namespace"
);

impl Default for Label {
    fn default() -> Self {
        Self(DEFAULT_LABEL.to_owned())
    }
}

/// One repository of one job.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct RepositoryKey {
    pub job: JobId,
    pub index: u32,
}

impl fmt::Display for RepositoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job.as_str(), self.index)
    }
}

impl RepositoryKey {
    /// The key in a bucket: `<job>.<index>`. Ids may contain dots, which become `=`: no id contains that.
    pub fn token(&self) -> String {
        format!("{}.{}", self.job.as_str().replace('.', "="), self.index)
    }

    /// Reads a key of a bucket.
    pub fn of_token(text: &str) -> Option<Self> {
        let (job, index) = text.split_once('.')?;
        let job = job.replace('=', ".").parse().ok()?;
        let is_plain = index == "0" || !index.starts_with(['0', '+']);
        Some(Self { job, index: index.parse().ok().filter(|_| is_plain)? })
    }

    /// The key of an agent's status of this repository: `<agent>.<job>.<index>`.
    pub fn status_key(&self, agent: &AgentName) -> String {
        format!("{agent}.{}", self.token())
    }

    /// Reads the key of a status.
    pub fn of_status_key(key: &str) -> Option<(AgentName, Self)> {
        let (agent, rest) = key.split_once('.')?;
        Some((agent.parse().ok()?, Self::of_token(rest)?))
    }

    /// The id by which the stream of attempts recognizes a message that was published before.
    pub fn message_id(&self, first_attempt: u64) -> String {
        format!("{self}/{first_attempt}")
    }

    /// The name of an object with the result of an attempt.
    pub fn result_object(&self, attempt: u64) -> String {
        format!("{}.{attempt}.result", self.token())
    }

    /// The name of an object with the status of an attempt, if it is too large for a value of a bucket.
    pub fn status_object(&self, attempt: u64) -> String {
        format!("{}.{attempt}.status", self.token())
    }

    /// The repository and the attempt of an object.
    pub fn of_object(name: &str) -> Option<(Self, u64)> {
        let (rest, kind) = name.rsplit_once('.')?;
        let (token, attempt) = rest.rsplit_once('.')?;
        let is_kind = matches!(kind, "result" | "status" | "log");
        Some((Self::of_token(token)?, attempt.parse().ok().filter(|_| is_kind)?))
    }

    /// The name of an object with the log of an attempt.
    pub fn log_object(&self, attempt: u64) -> String {
        format!("{}.{attempt}.log", self.token())
    }
}

/// All names of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    namespace: Namespace,
}

impl Names {
    /// The names of a namespace.
    pub fn new(namespace: Namespace) -> Self {
        Self { namespace }
    }

    /// The stream of attempts.
    pub fn attempts_stream(&self) -> String {
        format!("{}_ATTEMPTS", self.namespace.as_str().to_uppercase())
    }

    /// The subject of the attempts with a label.
    pub fn attempts(&self, label: &Label) -> String {
        format!("{}.attempts.{label}", self.namespace)
    }

    /// The subjects of all attempts.
    pub fn all_attempts(&self) -> String {
        format!("{}.attempts.*", self.namespace)
    }

    /// The durable consumer of the attempts with a label.
    pub fn consumer(&self, label: &Label) -> String {
        format!("agents_{label}")
    }

    /// The bucket of statuses.
    pub fn status_bucket(&self) -> String {
        format!("{}_status", self.namespace)
    }

    /// The bucket of heartbeats.
    pub fn agents_bucket(&self) -> String {
        format!("{}_agents", self.namespace)
    }

    /// The bucket of orders.
    pub fn orders_bucket(&self) -> String {
        format!("{}_orders", self.namespace)
    }

    /// The bucket of an agent's results and logs.
    pub fn results_bucket(&self, agent: &AgentName) -> String {
        format!("{}_results_{agent}", self.namespace)
    }

    /// The subject on which the server answers an agent's requests for credentials.
    pub fn credentials(&self, agent: &AgentName) -> String {
        format!("{}.credentials.{agent}", self.namespace)
    }

    /// The subjects of all requests for credentials.
    pub fn all_credentials(&self) -> String {
        format!("{}.credentials.*", self.namespace)
    }

    /// The agent that sent a request for credentials.
    pub fn agent_of_credentials(&self, subject: &str) -> Option<AgentName> {
        let rest = subject.strip_prefix(self.namespace.as_str())?;
        rest.strip_prefix(".credentials.")?.parse().ok()
    }

    /// The subject on which an agent answers requests for pieces of logs.
    pub fn logs(&self, agent: &AgentName) -> String {
        format!("{}.logs.{agent}", self.namespace)
    }

    /// The prefix of an agent's inboxes.
    pub fn inbox_prefix(&self, agent: &AgentName) -> String {
        format!("_INBOX_{}_{agent}", self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for text in ["a", "agent-1", "A_b", "0"] {
            assert!(text.parse::<AgentName>().is_ok(), "{text}");
        }
        let long = "x".repeat(MAX_NAME + 1);
        for text in ["", ".", "a.b", "a*", ">", "a b", "-a", "_a", "ä", &long] {
            assert!(text.parse::<AgentName>().is_err(), "{text}");
            assert!(serde_json::from_value::<Label>(text.into()).is_err(), "{text}");
        }
    }

    /// Breaks if a job whose id contains dots is another key than it was.
    #[test]
    fn keys_are_read_as_they_are_written() {
        for job in ["0193-a", "a.b.c", "x"] {
            let key = RepositoryKey { job: job.parse().unwrap(), index: 12 };
            assert_eq!(RepositoryKey::of_token(&key.token()).unwrap(), key);
            let agent: AgentName = "a1".parse().unwrap();
            let status = key.status_key(&agent);
            assert_eq!(status.matches('.').count(), 2, "{status}");
            for name in [key.result_object(7), key.status_object(7), key.log_object(7)] {
                assert_eq!(RepositoryKey::of_object(&name).unwrap(), (key.clone(), 7));
            }
            assert_eq!(RepositoryKey::of_status_key(&status).unwrap(), (agent, key));
        }
        for text in ["", "a", "a.", "a.01", "a.+1", "a.-1", "a.4294967296", ".1", "a/b.1", "a.1.2"]
        {
            assert!(RepositoryKey::of_token(text).is_none(), "{text}");
        }
        assert!(RepositoryKey::of_status_key("a b.j.1").is_none());
        for name in ["", "j.1.7", "j.1.7.other", "j.1.result", "j.1.x.log"] {
            assert!(RepositoryKey::of_object(name).is_none(), "{name}");
        }
    }

    #[test]
    fn names_of_the_default_namespace() {
        let names = Names::new("scanwatch".parse().unwrap());
        let agent: AgentName = "a1".parse().unwrap();
        assert_eq!(names.attempts_stream(), "SCANWATCH_ATTEMPTS");
        assert_eq!(names.attempts(&Label::default()), "scanwatch.attempts.default");
        assert_eq!(names.results_bucket(&agent), "scanwatch_results_a1");
        assert_eq!(names.agent_of_credentials(&names.credentials(&agent)).unwrap(), agent);
        assert!(names.agent_of_credentials("scanwatch.credentials.a.b").is_none());
    }
}
