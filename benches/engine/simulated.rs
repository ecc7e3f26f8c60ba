//! Rows with simulated agents: what server and NATS take for a message, and for a thousand agents.

use crate::{
    Outcome, number_of,
    support::{simulated_agents::Work, simulation::Simulation},
};
use std::time::Duration;

/// As many messages as possible: scans without a pause.
pub(crate) async fn throughput() -> Outcome<()> {
    let usual = Simulation {
        agents: 16,
        jobs: 2,
        repositories: 1_000,
        work: Work { slots: 4, statuses: 8, pause: Duration::ZERO, packages: 20 },
        ack_wait: Duration::from_secs(30),
        patience: Duration::from_mins(10),
    };
    measure(usual).await
}

/// A thousand agents, and an organisation of a hundred thousand repositories.
pub(crate) async fn simulation() -> Outcome<()> {
    let usual = Simulation {
        agents: 1_000,
        jobs: 100,
        repositories: 1_000,
        work: Work { slots: 1, statuses: 8, pause: Duration::from_millis(500), packages: 20 },
        ack_wait: Duration::from_secs(30),
        patience: Duration::from_hours(2),
    };
    measure(usual).await
}

async fn measure(usual: Simulation) -> Outcome<()> {
    let pause = u64::try_from(usual.work.pause.as_millis())?;
    let simulation = Simulation {
        agents: number_of("AGENTS", usual.agents)?,
        jobs: number_of("JOBS", usual.jobs)?,
        repositories: number_of("REPOSITORIES", usual.repositories)?,
        work: Work {
            slots: number_of("SLOTS", usual.work.slots)?,
            statuses: number_of("STATUSES", usual.work.statuses)?,
            pause: Duration::from_millis(number_of("PAUSE_MS", pause)?),
            ..usual.work
        },
        ..usual
    };
    println!("{simulation:?}");
    println!("{}", Box::pin(simulation.run()).await);
    Ok(())
}
