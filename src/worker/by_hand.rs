//! A task for a scanner that is started by hand: what a server would have said, made up from a
//! URL and two files.

use crate::model::{
    address::{NetworkPolicy, Origin},
    task::{Category, Limits, Sandbox, ScanTask},
};
use anyhow::Context;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf, absolute},
};
use tempfile::TempDir;

/// What is said by hand.
#[derive(Debug, Clone)]
pub struct ByHand {
    /// A URL, or a path of this machine.
    pub url: String,
    /// Branch, tag or commit; none for the default branch.
    pub reference: Option<String>,
    pub status_file: PathBuf,
    pub result_file: PathBuf,
    pub update_interval_secs: u64,
    /// Whether the imports of sources are read too.
    pub deep: bool,
    pub limits: Limits,
    /// Beside it, what was typed is trusted as typed.
    pub network: NetworkPolicy,
    pub categories: BTreeMap<String, Category>,
    pub sandbox: Sandbox,
}

impl ByHand {
    /// The task, and the guard of its scratch folder, which lies beside the status file and is
    /// removed with the guard.
    pub fn into_task(self) -> anyhow::Result<(ScanTask, TempDir)> {
        let status_file = absolute(&self.status_file).context("locating the status file")?;
        let result_file = absolute(&self.result_file).context("locating the result file")?;
        let folder = status_file.parent().context("the status file needs a name")?;
        let work = tempfile::Builder::new()
            .prefix(".scanwatch-")
            .tempdir_in(folder)
            .with_context(|| format!("making a scratch folder in `{}`", folder.display()))?;
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
            limits: self.limits,
            network,
            categories: self.categories,
            sandbox: self.sandbox,
            credentials: None,
        };
        Ok((task, work))
    }
}

/// The URL as a scanner gets it, and a policy that lets it through. What is no URL is a path.
fn trusted(url: String, mut policy: NetworkPolicy) -> anyhow::Result<(String, NetworkPolicy)> {
    let scp_like = url.split_once('@').is_some_and(|(_, rest)| rest.contains(':'));
    if !url.contains("://") && (Path::new(&url).exists() || !scp_like) {
        let path = absolute(&url).context("locating the folder")?;
        policy.local_paths = true;
        let path = path.into_os_string().into_string();
        return Ok((path.ok().context("the path of the folder is not UTF-8")?, policy));
    }
    let spelled = if url.contains("://") {
        url.clone()
    } else {
        // git@host:path is fetched by https.
        let host = url.split_once('@').map_or("", |it| it.1).split(':').next().unwrap_or("");
        format!("https://{host}/")
    };
    // What is no URL at all is refused by the gate, with its reason.
    policy.trusted.extend(url::Url::parse(&spelled).ok().and_then(|it| Origin::of(&it)));
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
    fn what_is_typed_is_trusted_as_typed_and_nothing_else_is() {
        for (typed, let_through) in [
            ("https://h.example/a/b.git", "https://h.example/a/b.git"),
            ("http://127.0.0.1:8080/b.git", "http://127.0.0.1:8080/b.git"),
            ("git@h.example:a/b.git", "https://h.example/a/b.git"),
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
    fn the_scratch_folder_lies_beside_the_status_file_and_goes_with_its_guard() {
        let root = tempfile::tempdir().unwrap();
        let sample = sample::task(root.path(), "https://h.example/group/project.git");
        let by_hand = ByHand {
            url: sample.git_url.clone(),
            reference: Some("main".to_owned()),
            status_file: sample.status_file.clone(),
            result_file: sample.result_file.clone(),
            update_interval_secs: 30,
            deep: true,
            limits: sample.limits,
            network: NetworkPolicy::default(),
            categories: BTreeMap::new(),
            sandbox: Sandbox::default(),
        };
        let (task, guard) = by_hand.into_task().unwrap();
        assert_eq!((task.repo_name.as_str(), task.attempt), ("project", 1));
        assert!(task.deep);
        assert_eq!(task.network.trusted, sample.network.trusted);
        assert!(task.work_dir.is_dir() && task.work_dir.starts_with(root.path()));
        drop(guard);
        assert!(!task.work_dir.exists());
    }
}
