//! The task of a shim for an attempt of a server.
//!
//! Input: the message, the agent's own settings, credentials. Output: the task.
//!
//! Invariants: the message only narrows limits and network; it names no program, path or proxy.

use super::shared::Shared;
use crate::{
    model::{
        credentials::Credentials,
        task::{Reuse, ScanTask, ShimTask},
    },
    wire::{attempt::AttemptMessage, narrow},
};

/// The task of an attempt.
pub(super) fn of(
    shared: &Shared,
    message: &AttemptMessage,
    attempt: u64,
    credentials: Option<Credentials>,
) -> ShimTask {
    let config = &shared.config;
    let folder = shared.jobs.job(&message.key.job);
    let index = message.key.index;
    let mut exclude_paths = config.scanner.exclude_paths.clone();
    for pattern in &message.exclude_paths {
        if !exclude_paths.contains(pattern) {
            exclude_paths.push(pattern.clone());
        }
    }
    let scan = ScanTask {
        job_id: message.key.job.clone(),
        repo_index: index,
        repo_name: message.repo_name.clone(),
        git_url: message.git_url.clone(),
        reference: message.reference.clone(),
        attempt,
        status_file: folder.status(index),
        result_file: folder.result(index),
        // The shim creates, names and removes the folder.
        work_dir: std::path::PathBuf::new(),
        update_interval_secs: config.scanner.update_interval_secs,
        progress_interval_ms: config.scanner.progress_interval_ms,
        deep: message.deep,
        archives: message.archives,
        exclude_paths,
        no_ignore: message.no_ignore,
        module_caches: Vec::new(),
        limits: narrow::limits(config.limits, &message.limits),
        network: narrow::network(&config.network, &message.network),
        categories: message.categories.clone(),
        sandbox: config.scanner.sandbox(),
        credentials,
        known: None,
        check_only: false,
    };
    ShimTask {
        jobs_dir: shared.jobs.root().to_owned(),
        command: config.scanner.command.clone(),
        path: shared.path.clone(),
        timeout_secs: config.scanner.subprocess_timeout_secs.min(message.timeout_secs),
        kill_grace_secs: config.scanner.kill_grace_secs,
        stall_timeout_secs: config.scanner.stall_timeout_secs.min(message.stall_timeout_secs),
        log_max_bytes: config.scanner.log_max_bytes,
        interruptions: message.interruptions,
        retries: message.retries,
        alone: false,
        // Of what this agent has scanned before.
        reuse: match (config.jobs.results_retention.is_zero(), message.force) {
            (true, _) => Reuse::Off,
            (false, true) => Reuse::Store,
            (false, false) => Reuse::Reuse,
        },
        command_version: config.scanner.command_version.clone(),
        element: None,
        scan,
    }
}
