//! The effects that run beside the loop, and their outcomes.
//!
//! Input: blocking work on a job or on a repository. Output: the outcome of each, as an event of the
//! loop.
//!
//! Invariants: an effect always reports an outcome, even after a panic; a stop waits for these
//! effects.

use super::{
    RepoKey, job_steps,
    pools::{Pool, Pools, Purpose},
    repositories,
};
use crate::{model::JobId, store::StoreError};
use std::path::PathBuf;
use tokio::task::{JoinError, JoinSet};

/// The outcome of an effect.
pub(super) enum Outcome {
    /// On a job as a whole.
    Step(JobId, job_steps::Done),
    Repository(RepoKey, Box<repositories::Done>),
}

/// The effects that run.
pub(super) struct Effects {
    pools: Pools,
    running: JoinSet<Outcome>,
}

impl Effects {
    pub(super) fn new(pools: Pools) -> Self {
        Self { pools, running: JoinSet::new() }
    }

    /// The threads of a purpose.
    pub(super) fn pool(&self, purpose: Purpose) -> &Pool {
        self.pools.of(purpose)
    }

    /// Runs a step of the job with this folder. A panic becomes the step's error.
    pub(super) fn run_step<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &mut self,
        (id, folder): (JobId, PathBuf),
        purpose: Purpose,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
        done: impl FnOnce(Result<T, E>) -> job_steps::Done + Send + 'static,
    ) {
        let work = self.pools.of(purpose).run(work);
        self.running.spawn(async move {
            let outcome = work.await.unwrap_or_else(|panic| {
                Err(StoreError::at("work with", &folder)(panic.into()).into())
            });
            Outcome::Step(id, done(outcome))
        });
    }

    /// Runs an effect on a repository.
    pub(super) fn run_on_repository(
        &mut self,
        key: RepoKey,
        work: impl Future<Output = repositories::Done> + Send + 'static,
    ) {
        self.running.spawn(async move { Outcome::Repository(key, Box::new(work.await)) });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Waits for the next outcome; `None` if no effect runs.
    pub(super) async fn next(&mut self) -> Option<Result<Outcome, JoinError>> {
        self.running.join_next().await
    }
}
