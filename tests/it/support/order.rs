//! A shim's order, given directly as a server gives it.

use super::server::Setup;
use scanwatch::{
    model::task::{Limits, Reuse, Sandbox, ScanTask, ShimTask},
    store::layout::JobsDir,
};
use std::{
    io::Write,
    process::{Child, Command, Stdio},
};

/// A shim's order for a job in the folder.
pub(crate) fn order(setup: &Setup, job: &str, index: u32, attempt: u64, script: &str) -> ShimTask {
    let job_id = job.parse().unwrap();
    let folder = JobsDir::new(&setup.jobs()).unwrap().job(&job_id);
    ShimTask {
        jobs_dir: setup.jobs(),
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        path: std::env::var("PATH").unwrap(),
        timeout_secs: 60,
        kill_grace_secs: 1,
        stall_timeout_secs: 60,
        log_max_bytes: 1 << 20,
        interruptions: 0,
        retries: 0,
        alone: false,
        reuse: Reuse::Off,
        command_version: String::new(),
        element: None,
        scan: ScanTask {
            job_id,
            repo_index: index,
            repo_name: "widget".to_owned(),
            git_url: "https://github.com/acme/widget.git".to_owned(),
            reference: None,
            attempt,
            status_file: folder.status(index),
            result_file: folder.result(index),
            work_dir: "/".into(),
            update_interval_secs: 30,
            progress_interval_ms: 500,
            deep: false,
            exclude_paths: Vec::new(),
            archives: false,
            no_ignore: false,
            module_caches: Vec::new(),
            limits: Limits {
                max_tree_entries: 1,
                max_tree_depth: 1,
                max_path_bytes: 1,
                list_timeout_secs: 1,
                max_file_bytes: 1,
                max_lock_file_bytes: 1,
                max_fetch_bytes: 1,
                connect_timeout_secs: 1,
                fetch_stall_timeout_secs: 1,
                max_source_files: 1000,
                max_archive_bytes: 1 << 20,
                max_archive_entries: 1000,
                max_archive_unpacked_bytes: 1 << 20,
                max_archives_secs: 60,
                max_packages: 1,
                max_result_bytes: 1000,
                max_memory_bytes: 2 << 30,
                max_data_bytes: 256 << 20,
                max_cpu_secs: 3600,
            },
            network: scanwatch::model::address::NetworkPolicy::default(),
            categories: std::collections::BTreeMap::new(),
            sandbox: Sandbox::default(),
            credentials: None,
            known: None,
            check_only: false,
        },
    }
}

/// Starts a shim with its order.
pub(crate) fn start(order: &ShimTask) -> Child {
    start_by(&[], order)
}

/// Starts a shim with its order, through a launcher program.
#[expect(clippy::disallowed_methods, reason = "the tests stand outside of the service")]
pub(crate) fn start_by(launcher: &[String], order: &ShimTask) -> Child {
    let scan = &order.scan;
    let mut words: Vec<String> = launcher.to_vec();
    words
        .extend([env!("CARGO_BIN_EXE_scanwatch"), "shim", scan.job_id.as_str()].map(str::to_owned));
    words.extend([scan.repo_index.to_string(), scan.attempt.to_string()]);
    let mut shim = Command::new(&words[0]).args(&words[1..]).stdin(Stdio::piped()).spawn().unwrap();
    let task = serde_json::to_vec(order).unwrap();
    // A shim that is killed before it has read everything is a valid case.
    let _ = shim.stdin.take().unwrap().write_all(&task);
    shim
}
