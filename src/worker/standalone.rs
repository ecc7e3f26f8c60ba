//! Builds the task of a standalone scanner (`scanwatch worker --url …`), which a server would send
//! otherwise.
//!
//! Input: a URL or path, two files, settings. Output: a task, and its scratch folder. Invariants:
//! only what the user typed is trusted.

use crate::model::{
    address::NetworkPolicy,
    git_url,
    task::{Category, Limits, Sandbox, ScanTask},
};
use anyhow::Context;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf, absolute},
};
use tempfile::TempDir;

/// The options of a standalone scanner.
#[derive(Debug, Clone)]
pub struct Standalone {
    /// A URL or a local path.
    pub url: String,
    /// Branch, tag or commit; `None` for the default branch.
    pub reference: Option<String>,
    pub status_file: PathBuf,
    pub result_file: PathBuf,
    pub update_interval_secs: u64,
    /// Whether imports in source files are read too.
    pub deep: bool,
    /// Whether committed archives and programs are read, too.
    pub archives: bool,
    /// Patterns of paths whose files are not read.
    pub exclude_paths: Vec<String>,
    /// Whether files of a local work tree that git ignores are read, too.
    pub no_ignore: bool,
    pub limits: Limits,
    /// The network policy; the typed URL is trusted in addition.
    pub network: NetworkPolicy,
    pub categories: BTreeMap<String, Category>,
    pub sandbox: Sandbox,
}

impl Standalone {
    /// The task, and the guard of its scratch folder, which is beside the status file and is
    /// removed with the guard.
    pub fn into_task(self) -> anyhow::Result<(ScanTask, TempDir)> {
        let status_file = absolute(&self.status_file).context("locating the status file")?;
        let result_file = absolute(&self.result_file).context("locating the result file")?;
        let folder = status_file.parent().context("the status file needs a name")?;
        let work = tempfile::Builder::new()
            .prefix(".scanwatch-")
            .tempdir_in(folder)
            .with_context(|| format!("creating a scratch folder in `{}`", folder.display()))?;
        let (git_url, network) = trusted(self.url, self.network)?;
        let task = ScanTask {
            job_id: "by-hand".parse().context("naming the job")?,
            repo_index: 0,
            repo_name: name_of(&git_url),
            git_url,
            reference: self.reference,
            attempt: 1,
            status_file,
            result_file,
            work_dir: work.path().to_owned(),
            update_interval_secs: self.update_interval_secs,
            progress_interval_ms: 500,
            deep: self.deep,
            archives: self.archives,
            exclude_paths: self.exclude_paths,
            no_ignore: self.no_ignore,
            module_caches: Vec::new(),
            limits: self.limits,
            network,
            categories: self.categories,
            sandbox: self.sandbox,
            credentials: None,
            known: None,
            check_only: false,
        };
        Ok((task, work))
    }
}

/// The URL for the scanner, and a policy that allows it. Anything that is not a URL is a path.
fn trusted(url: String, mut policy: NetworkPolicy) -> anyhow::Result<(String, NetworkPolicy)> {
    let scp_like = url.split_once('@').is_some_and(|(_, rest)| rest.contains(':'));
    if !url.contains("://") && (Path::new(&url).exists() || !scp_like) {
        let path = absolute(&url).context("locating the folder")?;
        policy.local_paths = true;
        let path = path.into_os_string().into_string();
        return Ok((path.ok().context("the path of the folder is not UTF-8")?, policy));
    }
    // The gate refuses an invalid URL and names the reason.
    policy.trusted.extend(git_url::typed_origin(&url));
    Ok((url, policy))
}

fn name_of(url: &str) -> String {
    let last = url.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or("");
    let name = last.strip_suffix(".git").unwrap_or(last);
    if name.is_empty() { "repository".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::git_url::GitUrl, worker::sample};

    #[test]
    fn only_the_typed_url_is_trusted() {
        for (typed, let_through) in [
            ("https://h.example/a/b.git", "https://h.example/a/b.git"),
            ("http://127.0.0.1:8080/b.git", "http://127.0.0.1:8080/b.git"),
            ("git@h.example:a/b.git", "https://h.example/a/b.git"),
            ("ssh://git@h.example:22/a/b.git", "https://h.example/a/b.git"),
        ] {
            let (url, policy) = trusted(typed.to_owned(), NetworkPolicy::default()).unwrap();
            assert_eq!(GitUrl::parse(&url, &policy).unwrap().as_str(), let_through);
            assert!(GitUrl::parse("https://other.example/a", &policy).is_err());
            assert!(!policy.local_paths);
            assert_eq!(name_of(&url), "b");
        }
        let (url, policy) = trusted("/tmp".to_owned(), NetworkPolicy::default()).unwrap();
        assert!(url == "/tmp" && policy.local_paths && policy.trusted.is_empty());
    }
    #[test]
    fn the_scratch_folder_is_beside_the_status_file_and_is_removed_with_its_guard() {
        let root = tempfile::tempdir().unwrap();
        let sample = sample::task(root.path(), "https://h.example/group/project.git");
        let standalone = Standalone {
            url: sample.git_url.clone(),
            reference: Some("main".to_owned()),
            status_file: sample.status_file.clone(),
            result_file: sample.result_file.clone(),
            update_interval_secs: 30,
            deep: true,
            archives: false,
            exclude_paths: Vec::new(),
            no_ignore: false,
            limits: sample.limits,
            network: NetworkPolicy::default(),
            categories: BTreeMap::new(),
            sandbox: Sandbox::default(),
        };
        let (task, guard) = standalone.into_task().unwrap();
        assert_eq!((task.repo_name.as_str(), task.attempt), ("project", 1));
        assert!(task.deep);
        assert_eq!(task.network.trusted, sample.network.trusted);
        assert!(task.work_dir.is_dir() && task.work_dir.starts_with(root.path()));
        drop(guard);
        assert!(!task.work_dir.exists());
    }
}
