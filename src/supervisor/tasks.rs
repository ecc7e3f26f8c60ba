//! The task of an attempt: what a shim and its scanner need to know, whoever starts them.
//!
//! Input: the settings, the job, the number of its repository. Output: the task.
//!
//! Invariant: a task has the credentials of the host that it contacts, and of no other.

use super::{RepoKey, Setup, job::Job};
use crate::{
    config::Config,
    model::{
        address::Origin,
        task::{Reuse, ScanTask, ShimTask},
    },
};

/// Builds the task of a shim.
pub(super) fn task(setup: &Setup, job: &Job, key: &RepoKey) -> Option<ShimTask> {
    let repository = job.repositories.get(&key.index)?;
    let config = setup.config.get();
    let folder = setup.jobs.job(&key.job);
    let options = job.master.options.clone().unwrap_or_default();
    let url = url::Url::parse(&repository.git_url).ok();
    let origin = url.as_ref().and_then(Origin::of);
    let mut exclude_paths = config.scanner.exclude_paths.clone();
    exclude_paths.extend(options.exclude_paths);
    let scan = ScanTask {
        job_id: key.job.clone(),
        repo_index: key.index,
        repo_name: repository.name.clone(),
        git_url: repository.git_url.clone(),
        reference: options.reference,
        attempt: repository.next_attempt,
        status_file: folder.status(key.index),
        result_file: folder.result(key.index),
        // The shim creates, names and removes the folder.
        work_dir: std::path::PathBuf::new(),
        update_interval_secs: config.scanner.update_interval_secs,
        progress_interval_ms: config.scanner.progress_interval_ms,
        deep: options.deep,
        archives: options.archives,
        exclude_paths,
        no_ignore: options.no_ignore,
        module_caches: config.module_caches.clone(),
        limits: config.limits,
        network: config.network.clone(),
        categories: config.categories.clone(),
        sandbox: config.scanner.sandbox(),
        credentials: origin.and_then(|origin| config.credentials_for(&origin)),
        // The shim reads the store.
        known: None,
        check_only: false,
    };
    Some(ShimTask {
        jobs_dir: setup.jobs.root().to_owned(),
        command: config.scanner.command.clone(),
        path: setup.path.clone(),
        timeout_secs: config.scanner.subprocess_timeout_secs,
        kill_grace_secs: config.scanner.kill_grace_secs,
        stall_timeout_secs: config.scanner.stall_timeout_secs,
        log_max_bytes: config.scanner.log_max_bytes,
        interruptions: repository.interruptions,
        retries: repository.retries,
        alone: repository.alone,
        reuse: reuse(&config, options.force),
        command_version: config.scanner.command_version.clone(),
        element: None,
        scan,
    })
}

/// Whether and how results are stored and reused.
fn reuse(config: &Config, force: bool) -> Reuse {
    match (config.jobs.results_retention.is_zero(), force) {
        (true, _) => Reuse::Off,
        (false, true) => Reuse::Store,
        (false, false) => Reuse::Reuse,
    }
}
