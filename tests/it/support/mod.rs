//! The shared test support: a server to start and to kill, requests in three degrees of politeness,
//! waiting for conditions, and a forge that misbehaves on demand.

#[cfg(feature = "nats")]
pub(crate) mod agent;
pub(crate) mod browser;
pub(crate) mod certificates;
pub(crate) mod debian;
pub(crate) mod dice;
pub(crate) mod dns;
pub(crate) mod documents;
pub(crate) mod encodings;
pub(crate) mod files;
pub(crate) mod forge;
pub(crate) mod h2;
pub(crate) mod handmade;
pub(crate) mod namespace;
#[cfg(feature = "nats")]
pub(crate) mod nats_cluster;
#[cfg(feature = "nats")]
pub(crate) mod nats_server;
pub(crate) mod order;
pub(crate) mod patience;
pub(crate) mod peaks;
pub(crate) mod private_network;
pub(crate) mod processes;
pub(crate) mod published;
pub(crate) mod python;
pub(crate) mod raw;
#[cfg(feature = "nats")]
pub(crate) mod relay;
pub(crate) mod remote_machine;
pub(crate) mod rounds;
#[cfg(feature = "archive")]
pub(crate) mod s3;
pub(crate) mod sampler;
pub(crate) mod server;
#[cfg(feature = "nats")]
pub(crate) mod simulated_agents;
#[cfg(feature = "nats")]
pub(crate) mod simulation;
pub(crate) mod slurm;
pub(crate) mod sse;
pub(crate) mod terminal;
pub(crate) mod tinyproxy;
pub(crate) mod tls;
pub(crate) mod tracing;
pub(crate) mod trap;
pub(crate) mod urls;
pub(crate) mod wait;
pub(crate) mod ws;

/// The program under test; `SCANWATCH_BINARY` names another build of it, for measurements.
pub(crate) fn binary() -> String {
    std::env::var("SCANWATCH_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_scanwatch").to_owned())
}
