//! Heartbeats: what an agent reports about itself.
//!
//! Input: the state of an agent. Output: the value of its key in the bucket of agents.
//!
//! Invariants: the times in a heartbeat are for people; whether an agent lives is decided by when its heartbeats are
//! received, on the receiver's monotonic clock.

use super::{
    PROTOCOL, WireError,
    names::{AgentName, Label, RepositoryKey},
};
use crate::model::time::{self, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The maximum interval of the signs of life of an attempt.
const MAX_INTERVAL: Duration = Duration::from_secs(5);

/// The maximum interval of heartbeats: by so much later the death of an agent is noticed.
const MAX_BEAT_INTERVAL: Duration = Duration::from_millis(600);

/// After how many intervals of signs of life without a heartbeat the server shows an agent as silent.
pub const LOST_AFTER_INTERVALS: u32 = 3;

/// The maximum number of slots of one agent.
pub const MAX_SLOTS: u32 = 1_000;

/// What an agent reports about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    pub schema: u32,
    pub protocol: u32,
    pub agent: AgentName,
    /// The version of the agent's program.
    pub version: String,
    /// Differs between two runs of an agent.
    pub instance: String,
    /// How many attempts run at once.
    pub slots: u32,
    pub running: Vec<Running>,
    pub labels: Vec<Label>,
    /// Whether the agent takes no more attempts.
    pub draining: bool,
    #[serde(with = "time")]
    pub started_at: Timestamp,
    /// The public key to which the agent's credentials are sealed; for comparison with the enrolled one.
    pub public_key: String,
}

/// An attempt that an agent runs or is about to begin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Running {
    #[serde(flatten)]
    pub key: RepositoryKey,
    pub attempt: u64,
}

impl Heartbeat {
    /// A heartbeat of this version of the program.
    pub fn new(agent: AgentName, instance: String, started_at: Timestamp) -> Self {
        Self {
            schema: 1,
            protocol: PROTOCOL,
            agent,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance,
            slots: 0,
            running: Vec::new(),
            labels: Vec::new(),
            draining: false,
            started_at,
            public_key: String::new(),
        }
    }

    /// Reads the value of a key in the bucket of agents. A heartbeat of another protocol version is read, too: it is
    /// shown, and the agent gets no credentials.
    ///
    /// # Errors
    /// If it is no heartbeat, or of another agent.
    pub fn read(key: &str, bytes: &[u8]) -> Result<Self, WireError> {
        let heartbeat: Self = super::read(bytes)?;
        if heartbeat.agent.as_str() != key {
            return Err(WireError::Invalid(
                "the heartbeat names another agent than its key".into(),
            ));
        }
        if heartbeat.slots > MAX_SLOTS {
            return Err(WireError::Invalid(format!("`slots` is larger than {MAX_SLOTS}")));
        }
        Ok(heartbeat)
    }

    /// Whether the agent runs this attempt or is about to begin it.
    pub fn holds(&self, key: &RepositoryKey, attempt: u64) -> bool {
        self.running.iter().any(|running| running.key == *key && running.attempt == attempt)
    }
}

/// The interval of heartbeats.
pub fn beat_interval(ack_wait: Duration) -> Duration {
    (ack_wait / 3).min(MAX_BEAT_INTERVAL)
}

/// The interval of what keeps an attempt alive.
pub fn interval(ack_wait: Duration) -> Duration {
    (ack_wait / 3).min(MAX_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_belongs_to_its_key() {
        let mut heartbeat =
            Heartbeat::new("a1".parse().unwrap(), "i".to_owned(), Timestamp::default());
        let key = RepositoryKey { job: "j".parse().unwrap(), index: 1 };
        heartbeat.running.push(Running { key: key.clone(), attempt: 2 });
        let bytes = crate::wire::write(&heartbeat).unwrap();
        assert_eq!(Heartbeat::read("a1", &bytes).unwrap(), heartbeat);
        assert!(Heartbeat::read("a2", &bytes).is_err());
        assert!(heartbeat.holds(&key, 2) && !heartbeat.holds(&key, 1));
        heartbeat.slots = MAX_SLOTS + 1;
        assert!(Heartbeat::read("a1", &crate::wire::write(&heartbeat).unwrap()).is_err());
    }

    #[test]
    fn heartbeats_come_three_times_as_often_as_attempts_expire() {
        assert_eq!(interval(Duration::from_secs(3)), Duration::from_secs(1));
        assert_eq!(interval(Duration::from_mins(1)), Duration::from_secs(5));
        assert_eq!(beat_interval(Duration::from_millis(600)), Duration::from_millis(200));
        assert_eq!(beat_interval(Duration::from_mins(1)), Duration::from_millis(600));
    }
}
