//! scanwatch scans git repositories for their dependencies, each in a process of its own, and
//! shows live what happens. A scan's state is a small JSON file that its scanner replaces;
//! everything else follows from files changing.
//!
//! ```text
//! POST /scan ─► intake ─► supervisor ─► shim ─► worker ─► <jobs>/<job>/repo_N.json ─► live ─► api
//! scan <url>   allowed?   queue,        limits,  fetch,    (store: one atomic writer)   watch,   HTTP,
//!              which?     at most 5     kill,    parse                                  cache    events
//!                                       log
//! ```

#![forbid(unsafe_code)]

#[cfg(feature = "nats")]
pub mod agent;
pub mod api;
pub mod app;
pub mod archive;
pub mod cli;
pub mod config;
pub mod ecosystem;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http;
pub mod intake;
pub mod live;
pub mod measure;
pub mod model;
pub mod pool;
pub mod sbom;
pub mod schedules;
pub mod shim;
pub mod store;
pub mod supervisor;
pub mod sys;
pub mod webhooks;
#[cfg(feature = "nats")]
pub mod wire;
pub mod worker;
