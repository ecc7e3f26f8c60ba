//! The agents: which are enrolled, which live, and how many slots they have.
//!
//! Input: enrolled agents, heartbeats with the times at which they were received. Output: the capacity, and what is
//! shown of each agent.
//!
//! Invariants: a heartbeat counts from when it was received, on this server's monotonic clock; the last heartbeats that
//! NATS had stored before are not signs of life; while NATS is away, no agent becomes silent.

use crate::{
    store::agents::EnrolledAgent,
    supervisor::agents::{AgentPhase, AgentState, Capacity},
    wire::{
        self,
        heartbeat::{Heartbeat, LOST_AFTER_INTERVALS},
        names::{AgentName, Label, RepositoryKey},
    },
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// All agents that are enrolled or were heard.
#[derive(Debug)]
pub(super) struct Roster {
    enrolled: BTreeMap<AgentName, EnrolledAgent>,
    heard: BTreeMap<AgentName, Heard>,
    /// After this time without a heartbeat an agent is silent.
    patience: Duration,
    /// When the connection to NATS was established.
    connected_at: Option<Instant>,
}

/// The last heartbeat of an agent.
#[derive(Debug)]
struct Heard {
    heartbeat: Heartbeat,
    at: Instant,
    /// It was received when it was sent, and not as something that NATS had stored.
    is_fresh: bool,
}

impl Roster {
    pub(super) fn new(ack_wait: Duration, enrolled: BTreeMap<AgentName, EnrolledAgent>) -> Self {
        let patience = wire::heartbeat::interval(ack_wait) * LOST_AFTER_INTERVALS;
        Self { enrolled, heard: BTreeMap::new(), patience, connected_at: None }
    }

    /// The connection was established, or is lost.
    pub(super) fn set_connected(&mut self, at: Option<Instant>) {
        self.connected_at = at;
    }

    /// Takes in a heartbeat. Returns whether it changes the capacity.
    pub(super) fn hear(&mut self, heartbeat: Heartbeat, at: Instant, is_fresh: bool) -> bool {
        let name = heartbeat.agent.clone();
        let before = self.slots(&name, at);
        let is_fresh = is_fresh
            || self.heard.get(&heartbeat.agent).is_some_and(|known| {
                known.is_fresh && known.heartbeat.instance == heartbeat.instance
            });
        self.heard.insert(name.clone(), Heard { heartbeat, at, is_fresh });
        self.slots(&name, at) != before
    }

    /// NATS has removed the heartbeat of an agent that was silent for long.
    pub(super) fn forget(&mut self, agent: &AgentName) {
        self.heard.remove(agent);
    }

    pub(super) fn enroll(&mut self, name: AgentName, agent: EnrolledAgent) {
        self.enrolled.insert(name, agent);
    }

    pub(super) fn remove(&mut self, name: &AgentName) -> Option<EnrolledAgent> {
        self.enrolled.remove(name)
    }

    pub(super) fn enrolled(&self) -> &BTreeMap<AgentName, EnrolledAgent> {
        &self.enrolled
    }

    /// Whether the agent may scan for this server.
    pub(super) fn is_accepted(&self, name: &AgentName) -> bool {
        self.enrolled.contains_key(name) && self.problem(name).is_none()
    }

    /// Whether the agent may scan repositories with this label.
    pub(super) fn may_scan(&self, name: &AgentName, label: &Label) -> bool {
        let allowed = self.enrolled.get(name).map(|agent| &agent.labels[..]);
        let has_label = |labels: &[String]| {
            labels.is_empty() || labels.iter().any(|allowed| allowed == label.as_str())
        };
        self.is_accepted(name) && allowed.is_some_and(has_label)
    }

    /// How long an agent has given no sign of life, not counting the time in which NATS was away; `None` while NATS is
    /// away.
    pub(super) fn silence(&self, name: &AgentName, now: Instant) -> Option<Duration> {
        let connected_at = self.connected_at?;
        let heard = self.heard.get(name).map_or(connected_at, |heard| heard.at.max(connected_at));
        Some(now.saturating_duration_since(heard))
    }

    /// Whether an agent gives signs of life.
    pub(super) fn lives(&self, name: &AgentName, now: Instant) -> bool {
        self.heard.contains_key(name)
            && self.silence(name, now).is_some_and(|silence| silence < self.patience)
    }

    /// Whether an agent reports that it runs an attempt of the repository.
    pub(super) fn runs(&self, name: &AgentName, key: &RepositoryKey, attempt: u64) -> bool {
        self.heard.get(name).is_some_and(|heard| heard.heartbeat.holds(key, attempt))
    }

    /// The slots of the agents that take scans.
    pub(super) fn capacity(&self, now: Instant) -> Capacity {
        let mut capacity = Capacity::default();
        for name in self.heard.keys() {
            let Some((slots, labels)) = self.slots(name, now) else { continue };
            capacity.total = capacity.total.saturating_add(slots);
            for label in labels {
                *capacity.by_label.entry(label.as_str().into()).or_default() += slots;
            }
        }
        capacity
    }

    /// The slots and labels of an agent, if it takes scans.
    fn slots(&self, name: &AgentName, now: Instant) -> Option<(usize, Vec<String>)> {
        let heard = self.heard.get(name)?;
        let slots = usize::try_from(heard.heartbeat.slots).unwrap_or(usize::MAX);
        (self.phase(name, now) == AgentPhase::Active).then(|| (slots, self.labels(name)))
    }

    /// The labels that an agent has and may have.
    fn labels(&self, name: &AgentName) -> Vec<String> {
        let allowed = self.enrolled.get(name).map(|agent| &agent.labels[..]).unwrap_or_default();
        let own = self.heard.get(name).into_iter().flat_map(|heard| &heard.heartbeat.labels);
        let own = own.map(|label| label.as_str().to_owned());
        own.filter(|label| allowed.is_empty() || allowed.contains(label)).collect()
    }

    /// Why an agent is refused.
    fn problem(&self, name: &AgentName) -> Option<String> {
        let heartbeat = &self.heard.get(name)?.heartbeat;
        let Some(enrolled) = self.enrolled.get(name) else {
            return Some("it is not enrolled; run `scanwatch agent enroll` there".to_owned());
        };
        if heartbeat.public_key != enrolled.public_key {
            return Some(
                "it has another key than it was enrolled with; remove it and enroll it again"
                    .to_owned(),
            );
        }
        (!wire::reads_protocol(heartbeat.protocol)).then(|| {
            format!(
                "it speaks version {} of the protocol, and this server {} to {}; update the server first, \
                 then its agents",
                heartbeat.protocol,
                wire::OLDEST_PROTOCOL,
                wire::PROTOCOL
            )
        })
    }

    fn phase(&self, name: &AgentName, now: Instant) -> AgentPhase {
        let Some(heard) = self.heard.get(name).filter(|heard| heard.is_fresh) else {
            return AgentPhase::Silent;
        };
        if !self.lives(name, now) {
            AgentPhase::Silent
        } else if !self.is_accepted(name) {
            AgentPhase::Refused
        } else if heard.heartbeat.draining {
            AgentPhase::Draining
        } else {
            AgentPhase::Active
        }
    }

    /// What is shown of all agents, by name.
    pub(super) fn states(&self, now: Instant) -> Vec<AgentState> {
        let mut names: Vec<&AgentName> = self.enrolled.keys().chain(self.heard.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let state = |name: &AgentName| {
            let heard = self.heard.get(name);
            let heartbeat = heard.map(|heard| &heard.heartbeat);
            AgentState {
                name: name.as_str().to_owned(),
                phase: self.phase(name, now),
                problem: self.problem(name),
                version: heartbeat.map(|heartbeat| heartbeat.version.clone()),
                labels: self.labels(name),
                slots: heartbeat.map_or(0, |heartbeat| heartbeat.slots),
                running: heartbeat.map_or(0, |heartbeat| heartbeat.running.len()),
                started_at: heartbeat.map(|heartbeat| heartbeat.started_at),
                silent_for: heard
                    .filter(|heard| heard.is_fresh)
                    .map(|heard| now.saturating_duration_since(heard.at)),
                enrolled_at: self.enrolled.get(name).map(|agent| agent.enrolled_at),
            }
        };
        names.into_iter().map(state).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    const ACK_WAIT: Duration = Duration::from_secs(3);

    fn heartbeat(name: &str, slots: u32, labels: &[&str]) -> Heartbeat {
        let labels = labels.iter().map(|label| label.parse().unwrap()).collect();
        let new = Heartbeat::new(name.parse().unwrap(), "i".to_owned(), Timestamp::default());
        Heartbeat { slots, labels, public_key: "X".to_owned(), ..new }
    }

    fn roster(names: &[(&str, &[&str])]) -> Roster {
        let enrolled = |(name, labels): &(&str, &[&str])| {
            let agent = EnrolledAgent {
                schema: 1,
                name: (*name).to_owned(),
                public_key: "X".to_owned(),
                labels: labels.iter().map(|label| (*label).to_owned()).collect(),
                enrolled_at: Timestamp::default(),
            };
            (name.parse().unwrap(), agent)
        };
        Roster::new(ACK_WAIT, names.iter().map(enrolled).collect())
    }

    #[test]
    fn only_agents_that_take_scans_have_slots() {
        let now = Instant::now();
        let mut roster = roster(&[("a", &[]), ("b", &["dmz"]), ("old", &[]), ("drains", &[])]);
        roster.set_connected(Some(now));
        roster.hear(heartbeat("a", 2, &["default", "dmz"]), now, true);
        roster.hear(heartbeat("b", 3, &["default", "dmz"]), now, true);
        roster.hear(heartbeat("stranger", 9, &["default"]), now, true);
        // NATS had stored it: the agent may be gone.
        roster.hear(heartbeat("old", 9, &["default"]), now, false);
        roster.hear(
            Heartbeat { draining: true, ..heartbeat("drains", 9, &["default"]) },
            now,
            true,
        );
        let capacity = roster.capacity(now);
        assert_eq!(
            (capacity.total, capacity.by_label["default"], capacity.by_label["dmz"]),
            (5, 2, 5)
        );
        let phases = |roster: &Roster, now| -> Vec<&str> {
            roster.states(now).iter().map(|agent| agent.phase.as_str()).collect()
        };
        assert_eq!(phases(&roster, now), ["active", "active", "draining", "silent", "refused"]);
        // Three intervals later.
        let later = now + ACK_WAIT;
        roster.hear(heartbeat("a", 2, &["default"]), later, true);
        assert_eq!(roster.capacity(later).total, 2);
        let other_key = Heartbeat { public_key: "Y".to_owned(), ..heartbeat("a", 2, &["default"]) };
        roster.hear(other_key, later, true);
        let later_version = Heartbeat { protocol: 99, ..heartbeat("b", 2, &["dmz"]) };
        roster.hear(later_version, later, true);
        assert_eq!(roster.capacity(later), Capacity::default());
        assert!(!roster.is_accepted(&"a".parse().unwrap()));
    }

    /// Breaks if every heartbeat of many agents has the capacity of all agents determined, or if a change is missed.
    #[test]
    fn only_heartbeats_that_change_slots_change_the_capacity() {
        let now = Instant::now();
        let mut roster = roster(&[("a", &[])]);
        roster.set_connected(Some(now));
        let usual = || heartbeat("a", 2, &["default"]);
        assert!(roster.hear(usual(), now, true));
        let later = now + ACK_WAIT / 3;
        assert!(!roster.hear(usual(), later, true));
        let running = vec![wire::heartbeat::Running {
            key: RepositoryKey { job: "j".parse().unwrap(), index: 0 },
            attempt: 1,
        }];
        assert!(!roster.hear(Heartbeat { running, ..usual() }, later, true));
        assert!(roster.hear(heartbeat("a", 3, &["default"]), later, true));
        assert!(roster.hear(heartbeat("a", 3, &["dmz"]), later, true));
        assert!(roster.hear(Heartbeat { draining: true, ..usual() }, later, true));
        // It was silent before.
        roster.hear(usual(), later, true);
        assert!(roster.hear(usual(), later + ACK_WAIT, true));
        assert!(!roster.hear(heartbeat("stranger", 9, &["default"]), later, true));
    }

    /// Breaks if all agents count as lost after NATS itself was away.
    #[test]
    fn silence_counts_from_the_reconnection() {
        let now = Instant::now();
        let agent = "a".parse().unwrap();
        let mut roster = roster(&[("a", &[])]);
        roster.set_connected(Some(now));
        roster.hear(heartbeat("a", 2, &["default"]), now, true);
        roster.set_connected(None);
        let later = now + Duration::from_hours(1);
        assert_eq!(roster.silence(&agent, later), None);
        roster.set_connected(Some(later));
        assert!(roster.lives(&agent, later + ACK_WAIT / 2));
        assert!(!roster.lives(&agent, later + ACK_WAIT));
    }
}
