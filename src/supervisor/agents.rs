//! What the rest of the program sees of the engine: whether scans can be started, and the agents on other machines.
//!
//! Input: what the engine knows. Output: plain data for /agents, /health and the metrics.
//!
//! Invariants: ages are measured on this server's monotonic clock; no text contains a secret.

use super::scheduler::Label;
use crate::{
    config::EngineKind,
    model::time::Timestamp,
    store::{StoreError, agents::EnrolledAgent},
};
use std::{collections::HashMap, time::Duration};

/// How many scans the agents can run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Capacity {
    pub(super) total: usize,
    pub(super) by_label: HashMap<Label, usize>,
}

/// The state of the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineState {
    pub kind: EngineKind,
    /// Whether NATS or Slurm can be used; true for scans of this machine.
    pub connected: bool,
    /// Why it cannot be used.
    pub problem: Option<String>,
    /// Why NATS stores nothing although it is connected.
    pub refusal: Option<String>,
    pub agents: Vec<AgentState>,
}

impl EngineState {
    /// The state of an engine without agents.
    pub fn local() -> Self {
        Self {
            kind: EngineKind::Local,
            connected: true,
            problem: None,
            refusal: None,
            agents: Vec::new(),
        }
    }

    /// Why queued repositories wait although nothing is wrong with them; `None` if other machines take them.
    pub fn waiting_reason(&self) -> Option<String> {
        if self.kind == EngineKind::Local {
            return None;
        }
        if !self.connected {
            let why = self.problem.as_deref().unwrap_or("no connection yet");
            let what = if self.kind == EngineKind::Slurm { "Slurm" } else { "NATS" };
            return Some(format!("{what} cannot be used: {why}"));
        }
        if self.kind == EngineKind::Slurm {
            return None;
        }
        if let Some(why) = &self.refusal {
            return Some(format!("NATS stores no scans: {why}"));
        }
        if self.agents.iter().any(|agent| agent.phase == AgentPhase::Active) {
            return None;
        }
        let text = match self.agents.len() {
            0 => "no agent is enrolled; enroll one with `scanwatch agent enroll`".to_owned(),
            1 => "the only agent takes no scans; `scanwatch agents` shows why".to_owned(),
            count => format!("none of {count} agents takes scans; `scanwatch agents` shows why"),
        };
        Some(text)
    }
}

/// What an agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentPhase {
    /// It takes scans.
    Active,
    /// It finishes its scans and takes no more.
    Draining,
    /// No sign of life for three intervals, or none since the start of the server.
    Silent,
    /// Its scans are refused: it is not enrolled, or with another key or another version of the protocol.
    Refused,
}

impl AgentPhase {
    /// All phases.
    pub const ALL: [Self; 4] = [Self::Active, Self::Draining, Self::Silent, Self::Refused];

    /// The name in answers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Silent => "silent",
            Self::Refused => "refused",
        }
    }
}

/// One agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentState {
    pub name: String,
    pub phase: AgentPhase,
    /// Why it is refused.
    pub problem: Option<String>,
    pub version: Option<String>,
    pub labels: Vec<String>,
    pub slots: u32,
    pub running: usize,
    pub started_at: Option<Timestamp>,
    /// The time since its last sign of life.
    pub silent_for: Option<Duration>,
    pub enrolled_at: Option<Timestamp>,
}

/// Why an agent was not enrolled or removed.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    #[error("this server scans with processes of its own machine: set [engine] kind = \"nats\"")]
    NoAgents,
    #[error("{0}")]
    Invalid(String),
    #[error(
        "the agent `{0}` is enrolled with another key; remove it first with DELETE /agents/{0}"
    )]
    OtherKey(String),
    #[error("too many agents are enrolled")]
    TooMany,
    #[error("no agent of this name is enrolled")]
    Unknown,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An agent that was enrolled, and whether it was new.
#[derive(Debug, Clone, PartialEq)]
pub struct Enrollment {
    pub agent: EnrolledAgent,
    pub is_new: bool,
    /// The prefix of all names in NATS.
    pub namespace: String,
}
