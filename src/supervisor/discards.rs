//! Repositories that are not started: writes their final states in batches, because there may be
//! thousands and each is fsynced.
//!
//! Input: repositories of a cancelled job, and repositories that must not be contacted. Output:
//! their status files.
//!
//! Invariants: a write that the disk refuses is repeated; a job that is being removed gets no more
//! files.

use super::{RepoKey, actor::Actor, final_states, pools::Purpose, scheduler::Event};
use crate::{
    model::{Failure, FailureKind, JobId, RepoState, repository::RepositoryStatus},
    store::chain,
};
use std::time::Duration;
use tokio::time::sleep;

/// How many final states are written before the loop is informed.
const DISCARDED_AT_ONCE: usize = 64;
/// The pause after a failed write.
const DISCARD_PAUSE: Duration = Duration::from_secs(1);

/// A batch of repositories of one job that are not started; some of their final states are written.
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
    /// Finishes repositories of a cancelled job that have not been started.
    pub(super) fn discard(&mut self, job: JobId, indices: Vec<u32>) {
        let cancelled = || Failure::new(FailureKind::Cancelled, "Cancelled on request");
        let ends = indices.into_iter().map(|index| (index, RepoState::Cancelled, cancelled()));
        self.write_ends(job, ends.collect());
    }

    /// Finishes repositories that must not be contacted.
    pub(super) fn refuse(&mut self, job: JobId, reasons: Vec<(u32, String)>) {
        let ends = reasons.into_iter().map(|(index, reason)| {
            (index, RepoState::Failed, Failure::new(FailureKind::Refused, reason))
        });
        self.write_ends(job, ends.collect());
    }

    /// Writes final states of repositories that are not started, beside the loop.
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
        self.steps.begin_effect(&job);
        self.discards.spawn(async move {
            sleep(pause).await;
            let write = move || {
                let mut written = Vec::new();
                while written.len() < DISCARDED_AT_ONCE
                    && let Some(next) = left.last()
                {
                    let Unstarted { key, name, git_url, attempt, state, failure } = next;
                    match final_states::write_final_state(&folder, key, name, git_url, *attempt, *state, failure)
                    {
                        Ok(status) => written.push((key.index, status)),
                        Err(error) => {
                            // Logged once, not every second while the disk is unavailable.
                            if pause.is_zero() {
                                tracing::error!(repository = %key, error = chain(&error), "cannot write the final state of a repository; the write is repeated until it succeeds");
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
        self.steps.end_effect(&id);
        // The job may have been dropped meanwhile, or may be about to be removed.
        if let Some(job) = self.jobs.get_mut(&id) {
            for (index, status) in &written {
                job.note_finished(*index, status);
            }
            if !left.is_empty() && !self.steps.is_leaving(&id) {
                let pause = if written.is_empty() { DISCARD_PAUSE } else { Duration::ZERO };
                self.write_discards(id.clone(), left, pause);
            }
            self.on(Event::Discarded(id.clone(), written.len()));
        }
        self.remove_if_idle(&id);
    }
}
