//! The shared test support: a server to start and to kill, requests in three degrees of politeness,
//! waiting for conditions, and a forge that misbehaves on demand.

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
pub(crate) mod order;
pub(crate) mod patience;
pub(crate) mod peaks;
pub(crate) mod private_network;
pub(crate) mod processes;
pub(crate) mod published;
pub(crate) mod python;
pub(crate) mod raw;
pub(crate) mod remote_machine;
pub(crate) mod rounds;
#[cfg(feature = "archive")]
pub(crate) mod s3;
pub(crate) mod sampler;
pub(crate) mod server;
pub(crate) mod sse;
pub(crate) mod terminal;
pub(crate) mod tinyproxy;
pub(crate) mod tls;
pub(crate) mod tracing;
pub(crate) mod trap;
pub(crate) mod urls;
pub(crate) mod wait;
pub(crate) mod ws;
