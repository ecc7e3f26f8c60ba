//! The resources of the API: one file for each, with its routes, handlers and documents.
//!
//! Input: accepted requests, and the shared state. Output: answers and streams.
//!
//! Invariants: a handler reads from the cache, never from the folder of a job; logs, plans and
//! results are read in bounded pieces.

pub(super) mod agents;
pub(super) mod csv;
pub(super) mod dashboard;
mod degraded;
pub(super) mod diff;
pub(super) mod docs;
pub(super) mod events;
pub mod findings;
pub(super) mod health;
pub(super) mod jobs;
pub(super) mod limits;
pub(super) mod log;
pub(super) mod log_follow;
pub(super) mod log_position;
pub(super) mod metrics;
pub(super) mod openapi;
mod package_file;
pub(super) mod packages;
pub(super) mod planned;
pub(super) mod produced_body;
pub(super) mod repositories;
pub(super) mod repository;
pub(super) mod results;
pub(super) mod sbom;
pub(super) mod scan;
pub(super) mod schedules;
pub(super) mod sign_in;
pub(super) mod static_answer;
pub(super) mod warnings;
pub(super) mod webhooks;
pub(super) mod websocket;
