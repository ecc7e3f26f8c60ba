//! Jobs whose files the test itself writes, as a third-party scanner would: so it is known to the
//! byte what happened, and in which order.

use super::{files, server::TestServer, wait::eventually};
use serde_json::json;
use std::path::PathBuf;

/// A job whose files the test writes.
#[derive(Debug)]
pub(crate) struct Handmade {
    pub(crate) id: String,
    pub(crate) folder: PathBuf,
    repositories: u32,
}

impl Handmade {
    pub(crate) fn new(server: &TestServer, repositories: u32) -> Self {
        let id = uuid::Uuid::now_v7().to_string();
        let folder = server.job_folder(&id);
        std::fs::create_dir(&folder).expect("a new job's name is free");
        let job = Self { id, folder, repositories };
        job.master("in_progress");
        job
    }

    /// A job that is built outside the jobs folder, to be moved in as a whole.
    pub(crate) fn beside(server: &TestServer, repositories: u32) -> Self {
        let id = uuid::Uuid::now_v7().to_string();
        let folder = server.folder().join(&id);
        std::fs::create_dir(&folder).expect("a new job's name is free");
        let job = Self { id, folder, repositories };
        job.master("in_progress");
        job
    }

    /// Moves one that was built outside into the jobs folder.
    pub(crate) fn moved_in(&mut self, server: &TestServer) {
        let folder = server.job_folder(&self.id);
        std::fs::rename(&self.folder, &folder).expect("the jobs folder is of the same disk");
        self.folder = folder;
    }

    pub(crate) fn master(&self, status: &str) {
        let now = chrono::Utc::now().to_rfc3339();
        let over = (status != "in_progress").then_some(now.as_str());
        let value = json!({
            "job_id": self.id, "group_url": "https://gitlab.com/acme", "status": status,
            "total_repositories": self.repositories, "started_at": now, "completed_at": over,
        });
        files::replace(&self.folder.join("master.json"), value.to_string());
    }

    pub(crate) fn repository(&self, index: u32, status: &str, current: u32) {
        let value = json!({
            "repo_index": index, "repo_name": format!("part-{index}"), "status": status,
            "total_files": 1000, "current_file": current,
            "last_update": chrono::Utc::now().to_rfc3339(),
            "error_message": (status == "failed").then_some("broken"),
        });
        files::replace(&self.folder.join(format!("repo_{index}.json")), value.to_string());
    }

    pub(crate) fn path(&self) -> String {
        format!("/scan/{}", self.id)
    }

    pub(crate) fn stream(&self) -> String {
        format!("/scan/{}/events", self.id)
    }

    /// Waits until the server knows this job.
    pub(crate) async fn known(&self, server: &TestServer) {
        eventually("the job is known", async || server.get(&self.path()).await.status == 200).await;
    }

    /// Waits until the server has also read its `master.json`, after which nothing changes by itself.
    pub(crate) async fn read(&self, server: &TestServer) {
        eventually("the job is read", async || {
            let answer = server.get(&self.path()).await;
            answer.status == 200
                && answer.json()["summary"]["total_repositories"] == self.repositories
        })
        .await;
    }
}
