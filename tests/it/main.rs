//! The tests that run the real binary: one module per promise of the contract.
//!
//! Each test has its own server, on a free port and in its own folder, so that any number of them
//! run at once and in any order. Nothing here depends on timing: a test waits for a condition,
//! patiently, and is strict only where the contract names a time.
//!
//! `#[cfg(test)]` always holds here. It tells clippy that these modules are all test code, helpers
//! included, so that they may `unwrap`.

#[cfg(feature = "nats")]
#[cfg(test)]
mod agents;
#[cfg(test)]
mod all_events;
#[cfg(test)]
mod archived;
#[cfg(test)]
mod archives;
#[cfg(test)]
mod behind_proxies;
#[cfg(test)]
mod bombs;
#[cfg(test)]
mod budget;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod client;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod compaction;
#[cfg(test)]
mod compression;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod disconnects;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod docs_page;
#[cfg(test)]
mod documented_commands;
#[cfg(test)]
mod drawing;
#[cfg(test)]
mod dry_run;
#[cfg(test)]
mod end_to_end;
#[cfg(feature = "nats")]
#[cfg(test)]
mod engine;
#[cfg(test)]
mod events;
#[cfg(test)]
mod every_answer;
#[cfg(test)]
mod exclude_paths;
#[cfg(test)]
mod fairness;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod first_hour;
#[cfg(test)]
mod foreign_results;
#[cfg(test)]
mod forge_kinds;
#[cfg(test)]
mod generated_client;
#[cfg(test)]
mod greedy_clients;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod helm;
mod hostile_names;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod http_contract;
#[cfg(test)]
mod http_server;
#[cfg(test)]
mod incremental;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod job_packages;
#[cfg(test)]
mod justfile;
#[cfg(test)]
mod large_answers;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod listing;
#[cfg(test)]
mod log_follow;
#[cfg(test)]
mod logins;
#[cfg(test)]
mod many_readers;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod module_cache;
#[cfg(test)]
mod module_cycles;
#[cfg(test)]
mod monitoring;
#[cfg(feature = "archive")]
#[cfg(test)]
mod object_archive;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod organisation;
#[cfg(test)]
mod ownership;
#[cfg(test)]
mod packages;
#[cfg(test)]
mod packaging;
#[cfg(test)]
mod packed_jobs;
#[cfg(test)]
mod page;
#[cfg(test)]
mod pause;
#[cfg(test)]
mod power_cut;
#[cfg(test)]
mod private_ca;
#[cfg(test)]
mod private_scan;
#[cfg(test)]
mod proxies;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod python_client;
#[cfg(test)]
mod python_service;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod reconnects;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod repositories;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod retry;
#[cfg(test)]
mod sbom;
#[cfg(test)]
mod scaling;
#[cfg(test)]
mod scan_output;
#[cfg(test)]
mod scanner_limit;
#[cfg(test)]
mod scanner_protocol;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod schemathesis;
#[cfg(test)]
mod security;
#[cfg(test)]
mod service_manager;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod shim;
#[cfg(test)]
mod slurm;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod space;
#[cfg(test)]
mod start;
#[cfg(test)]
mod stopped_shims;
#[cfg(test)]
mod streaming;
#[cfg(test)]
mod strict_clients;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tampering;
#[cfg(test)]
mod targets;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tokens;
#[cfg(all(test, feature = "top"))]
mod top;
#[cfg(test)]
mod troubleshooting;
#[cfg(test)]
mod webhooks;
#[cfg(test)]
mod websocket;
#[cfg(test)]
mod work_tree;
#[cfg(test)]
mod worker;
