//! A task for tests, far from all limits.

use crate::model::{
    address::{NetworkPolicy, Origin},
    task::{Limits, Sandbox, ScanTask},
};
use std::{collections::BTreeMap, path::Path};

/// A task for a trusted host, with its files in `folder`.
pub(super) fn task(folder: &Path, git_url: &str) -> ScanTask {
    let origin = Origin { scheme: "https".into(), host: "h.example".into(), port: 443 };
    ScanTask {
        job_id: "job".parse().expect("a name"),
        repo_index: 0,
        repo_name: "r".into(),
        git_url: git_url.into(),
        reference: None,
        attempt: 1,
        status_file: folder.join("status.json"),
        result_file: folder.join("result.json"),
        work_dir: folder.into(),
        update_interval_secs: 30,
        progress_interval_ms: 500,
        deep: false,
        archives: false,
        exclude_paths: Vec::new(),
        no_ignore: false,
        module_caches: Vec::new(),
        limits: Limits {
            max_tree_entries: 1000,
            max_tree_depth: 64,
            max_path_bytes: 4096,
            list_timeout_secs: 60,
            max_file_bytes: 1 << 20,
            max_lock_file_bytes: 1 << 20,
            max_fetch_bytes: 1 << 30,
            connect_timeout_secs: 30,
            fetch_stall_timeout_secs: 30,
            max_source_files: 1000,
            max_archive_bytes: 1 << 20,
            max_archive_entries: 1000,
            max_archive_unpacked_bytes: 1 << 20,
            max_archives_secs: 60,
            max_packages: 1000,
            max_result_bytes: 1 << 20,
            max_memory_bytes: 2 << 30,
            max_data_bytes: 256 << 20,
            max_cpu_secs: 3600,
        },
        network: NetworkPolicy { trusted: vec![origin], ..NetworkPolicy::default() },
        categories: BTreeMap::new(),
        sandbox: Sandbox::default(),
        credentials: None,
        known: None,
        check_only: false,
    }
}
