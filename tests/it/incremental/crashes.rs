//! Whatever dies or is removed in between: a repository is scanned or reused, and nothing is lost.

use super::{Place, Scanned};
use crate::support::{
    files,
    forge::Behaviour,
    processes,
    wait::{PATIENCE, until},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

/// A place with a stored result, and a job whose scanner waits for the forge.
struct Held {
    place: Place,
    first: Scanned,
    job: String,
    hold: PathBuf,
}

impl Held {
    async fn start() -> Self {
        let place = Place::start().await;
        let first = place.scan(&json!({})).await;
        let hold = place.server.file("hold");
        files::write(&hold, "");
        place.forge.behave(Behaviour::HeldBy(hold.clone()));
        let asked = place.forge.seen().len();
        let url = place.forge.url("acme/web");
        let job = place.server.submit_with(&json!({ "git_url": url })).await;
        until(PATIENCE, "the scanner asks for the commit", async || {
            (place.forge.seen().len() > asked).then_some(())
        })
        .await;
        Self { place, first, job, hold }
    }

    /// Lets the forge answer; returns the repository at the end.
    async fn release(&self) -> Value {
        fs::remove_file(&self.hold).unwrap();
        self.place.server.finished(&self.job).await;
        self.row().await
    }

    async fn row(&self) -> Value {
        let path = format!("/scan/{}/repositories/0", self.job);
        self.place.server.get(&path).await.expect(200).json()
    }

    fn result(&self) -> Option<Value> {
        files::json(&self.place.server.job_folder(&self.job).join("results/repo_0.json"))
    }

    #[track_caller]
    fn is_reused(&self, row: &Value) {
        assert_eq!(row["status"], "completed", "{row:#}");
        assert_eq!(row["reused_from"], self.first.job, "{row:#}");
        assert_eq!(self.result(), self.first.result);
    }
}

/// Fails if a result that the clean-up removes meanwhile is missing in a job that was told to reuse it.
#[tokio::test]
async fn a_result_that_vanishes_meanwhile_is_still_reused() {
    let held = Held::start().await;
    for path in held.place.stored() {
        fs::remove_file(path).unwrap();
    }
    let row = held.release().await;
    held.is_reused(&row);
    // It is gone now, and scanned and stored again.
    let again = held.place.scan(&json!({})).await;
    again.is_scanned();
    held.place.scan(&json!({})).await.is_reused_from(&again);
}

/// Fails if a repository is completed without a result because its shim died, or is not started again.
#[tokio::test]
async fn a_repository_whose_shim_was_killed_is_reused_by_the_next_attempt() {
    let held = Held::start().await;
    let server = &held.place.server;
    processes::kill_lock_holder(&server.shim_lock(&held.job, 0)).unwrap();
    let row = held.release().await;
    held.is_reused(&row);
    assert_eq!(row["attempt"], 2, "{row:#}");
}

/// Fails if a killed scanner passes for one that found nothing changed.
#[tokio::test]
async fn a_repository_whose_scanner_was_killed_fails_and_is_reused_after_a_retry() {
    let held = Held::start().await;
    let server = &held.place.server;
    let pid = server.status_file(&held.job, 0)["pid"].as_u64().unwrap();
    server.signal(u32::try_from(pid).unwrap(), Signal::KILL);
    server.finished(&held.job).await;
    let row = held.row().await;
    assert_eq!(row["failure"]["kind"], "signal", "{row:#}");
    assert_eq!(held.result(), None);
    server.retried(&held.job).await;
    let row = held.release().await;
    held.is_reused(&row);
}

/// Fails if a scan that outlives its server is not reused, or counted twice.
#[tokio::test]
async fn a_repository_is_reused_although_its_server_was_killed() {
    let mut held = Held::start().await;
    held.place.server.kill9().await;
    held.place.server.restart().await;
    let row = held.release().await;
    held.is_reused(&row);
    assert_eq!(row["attempt"], 1, "{row:#}");
    let document = held.place.server.progress(&held.job).await;
    assert_eq!(document["summary"]["reused"], 1, "{document:#}");
}

/// Fails if two jobs with the same repository disturb each other.
#[tokio::test]
async fn two_jobs_at_once_store_and_reuse_the_same_result() {
    let place = Place::start().await;
    let both = async || {
        let (one, two) = (json!({}), json!({}));
        tokio::join!(place.scan(&one), place.scan(&two))
    };
    for scanned in <[Scanned; 2]>::from(both().await) {
        scanned.has_package("first");
    }
    for scanned in <[Scanned; 2]>::from(both().await) {
        scanned.has_package("first");
        assert!(scanned.row["reused_from"].is_string(), "{scanned:#?}");
        assert_eq!(scanned.fetches, 0, "{scanned:#?}");
    }
}
