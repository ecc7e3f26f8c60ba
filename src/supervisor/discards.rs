//! Repositories that are not to be started: their final states are written in batches, since there may be
//! thousands, each of them flushed.
//!
//! Input: repositories of a cancelled job, or that must not be contacted. Output: their status files.
//!
//! Invariants: what the disk refuses is tried again; a job that is being removed gets no more files.

use super::{RepoKey, actor::Actor, finals, pools::Purpose, scheduler::Event};
use crate::{
    model::{Failure, FailureKind, JobId, RepoState, repository::RepositoryStatus},
    store::chain,
};
use std::time::Duration;
use tokio::time::sleep;

/// How many ends of unstarted repositories are written until the loop hears of it.
const DISCARDED_AT_ONCE: usize = 64;
/// The pause after one of them could not be written.
const DISCARD_PAUSE: Duration = Duration::from_secs(1);

/// Repositories of a job that are not to be started, in part with their ends written.
pub(super) struct Discards {
    job: JobId,
    written: Vec<(u32, RepositoryStatus)>,
    left: Vec<Unstarted>,
}

struct Unstarted {
    key: RepoKey,
    name: String,
    git_url: String,
    attempt: u64,
    state: RepoState,
    failure: Failure,
}

impl Actor {
    /// Ends repositories of a job that is cancelled, before they are started.
    pub(super) fn discard(&mut self, job: JobId, indices: Vec<u32>) {
        let cancelled = || Failure::new(FailureKind::Cancelled, "Cancelled on request");
        let ends = indices.into_iter().map(|index| (index, RepoState::Cancelled, cancelled()));
        self.write_ends(job, ends.collect());
    }

    /// Ends repositories that must not be contacted.
    pub(super) fn refuse(&mut self, job: JobId, reasons: Vec<(u32, String)>) {
        let ends = reasons.into_iter().map(|(index, reason)| {
            (index, RepoState::Failed, Failure::new(FailureKind::Refused, reason))
        });
        self.write_ends(job, ends.collect());
    }

    /// Writes the ends of repositories that are not to be started, beside the loop: there may be
    /// thousands, each of them flushed.
    fn write_ends(&mut self, job: JobId, ends: Vec<(u32, RepoState, Failure)>) {
        let unstarted = |(index, state, failure)| {
            let key = RepoKey { job: job.clone(), index };
            let (name, git_url) = self.facts(&key)?;
            let attempt = self.next_attempt(&key).saturating_sub(1);
            Some(Unstarted { key, name, git_url, attempt, state, failure })
        };
        let left: Vec<Unstarted> = ends.into_iter().filter_map(unstarted).collect();
        if !left.is_empty() {
            self.write_discards(job, left, Duration::ZERO);
        }
    }

    fn write_discards(&mut self, job: JobId, mut left: Vec<Unstarted>, pause: Duration) {
        let folder = self.setup.jobs.job(&job);
        let files = self.pools.of(Purpose::Files).clone();
        self.lanes.begin_effect(&job);
        self.discards.spawn(async move {
            sleep(pause).await;
            let write = move || {
                let mut written = Vec::new();
                while written.len() < DISCARDED_AT_ONCE
                    && let Some(next) = left.last()
                {
                    let Unstarted { key, name, git_url, attempt, state, failure } = next;
                    match finals::write_end(&folder, key, name, git_url, *attempt, *state, failure)
                    {
                        Ok(status) => written.push((key.index, status)),
                        Err(error) => {
                            // Logged once, and not each second for as long as the disk is away.
                            if pause.is_zero() {
                                tracing::error!(repository = %key, error = chain(&error), "cannot write the final state of a repository; it is tried again");
                            }
                            break;
                        }
                    }
                    left.pop();
                }
                (written, left)
            };
            let (written, left) = files.run(write).await.unwrap_or_default();
            Discards { job, written, left }
        });
    }

    pub(super) fn discarded(&mut self, discards: Discards) {
        let Discards { job: id, written, left } = discards;
        self.lanes.end_effect(&id);
        // It may have been forgotten meanwhile, or be about to be removed.
        if let Some(job) = self.jobs.get_mut(&id) {
            for (index, status) in &written {
                job.note_over(*index, status);
            }
            if !left.is_empty() && !self.lanes.is_leaving(&id) {
                let pause = if written.is_empty() { DISCARD_PAUSE } else { Duration::ZERO };
                self.write_discards(id.clone(), left, pause);
            }
            self.on(Event::Discarded(id.clone(), written.len()));
        }
        self.remove_if_idle(&id);
    }
}
