//! Figures about the agents on other machines.
//!
//! Input: the state of the engine. Output: samples. Invariants: no label has a value that a client chooses.

use crate::{
    api::state::Api,
    measure::{Kind, Text},
    supervisor::AgentPhase,
};

pub(super) fn agents(text: &mut Text, api: &Api) {
    let engine = api.supervisor.agents().state();
    text.family("scanwatch_agents", Kind::Gauge, "Agents on other machines, by state.");
    for phase in AgentPhase::ALL {
        let count = engine.agents.iter().filter(|agent| agent.phase == phase).count();
        text.sample(&[("state", phase.as_str())], count);
    }
    let active = || engine.agents.iter().filter(|agent| agent.phase == AgentPhase::Active);
    text.single(
        "scanwatch_agent_slots",
        Kind::Gauge,
        "How many scans the active agents run at once at most.",
        active().map(|agent| u64::from(agent.slots)).sum::<u64>(),
    );
    text.single(
        "scanwatch_agent_running",
        Kind::Gauge,
        "How many scans the agents run, as they report it.",
        engine.agents.iter().map(|agent| agent.running).sum::<usize>(),
    );
    text.single(
        "scanwatch_engine_connected",
        Kind::Gauge,
        "Whether the engine can be used: 0 while NATS or Slurm cannot.",
        u8::from(engine.connected),
    );
}
