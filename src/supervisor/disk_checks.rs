//! The loop's periodic checks of the disk: whether jobs have lost their folders, and whether the
//! disk accepts writes again.
//!
//! Input: the jobs of the loop, and the disk. Output: jobs whose folders are gone, and whether there
//! is space.
//!
//! Invariants: at most one check runs at a time; a folder counts as gone when two checks in a row
//! miss it, and only while the original jobs folder is in place: one that is unmounted or moved may
//! come back with everything in it.

use super::{Setup, pools::Pool};
use crate::{model::JobId, store::read::is_missing_folder};
use std::{collections::HashSet, sync::Arc};
use tokio::task::JoinSet;

/// The result of a check.
#[derive(Debug)]
pub(super) enum Checked {
    /// These jobs have no folder.
    Folders(HashSet<JobId>),
    /// Whether the disk accepts writes.
    Space(bool),
}

/// The check that runs, and what the last one found.
#[derive(Debug)]
pub(super) struct DiskChecks {
    setup: Setup,
    pool: Pool,
    running: JoinSet<Checked>,
    /// Jobs whose folders were missing at the last check.
    missing: HashSet<JobId>,
}

impl DiskChecks {
    pub(super) fn new(setup: Setup, pool: Pool) -> Self {
        Self { setup, pool, running: JoinSet::new(), missing: HashSet::new() }
    }

    /// Whether no check runs.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Starts to look for those of these jobs that have lost their folders.
    pub(super) fn look_for_folders(&mut self, ids: Vec<JobId>) {
        let (jobs, space) = (self.setup.jobs.clone(), Arc::clone(&self.setup.space));
        let look = self.pool.run(move || {
            // Logs a change of the disk's state even when nobody submits jobs.
            space.obstacle();
            let here = space.is_here();
            ids.into_iter().filter(|id| here && is_missing_folder(jobs.job(id).path())).collect()
        });
        self.running.spawn(async move { Checked::Folders(look.await.unwrap_or_default()) });
    }

    /// Starts to check whether the disk accepts writes again.
    pub(super) fn look_for_space(&mut self) {
        let space = Arc::clone(&self.setup.space);
        let look = self.pool.run(move || space.obstacle_to_scan().is_none());
        self.running.spawn(async move { Checked::Space(look.await.unwrap_or(false)) });
    }

    /// Waits for the result of the check that runs.
    pub(super) async fn next(&mut self) -> Option<Checked> {
        self.running.join_next().await?.ok()
    }

    /// Takes in the jobs that have no folder. Returns those whose folders are gone.
    pub(super) fn gone(&mut self, missing: HashSet<JobId>) -> Vec<JobId> {
        let gone = missing.intersection(&self.missing).cloned().collect();
        self.missing = missing;
        gone
    }
}
