//! The effects on one repository: starts its attempt, orders it to end, determines the outcome after its end,
//! writes the final state of a repository that could not be started.
//!
//! Input: a repository, and the threads to work on. Output: the outcome of the effect. Invariant:
//! nothing here decides what follows an outcome.

use super::{
    RepoKey, Setup,
    disposition::Disposition,
    engine::{Attempt, Engine, Started},
    outcome,
    pools::Pool,
    shim_exit::ShimExit,
    status_files::PlannedRepository,
};
use crate::{
    model::{
        Failure, RepoState,
        attempt::{AttemptRecord, OrderReason},
        retry::Retries,
        task::ShimTask,
    },
    store::{StoreError, attempt, chain},
};

/// The outcome of an effect on one repository.
pub(super) enum Done {
    Started(Started),
    Ordered(Result<(), StoreError>),
    Finalized(Box<Finalized>),
    /// The final state of a repository that was not started has been written.
    FinalWritten(Result<(), StoreError>),
    /// It is published what a repository waits for.
    Noted(Result<(), StoreError>),
}

/// The outcome of an attempt whose shim has exited.
pub(super) struct Finalized {
    pub(super) attempt: Option<Attempt>,
    /// How the shim exited.
    pub(super) ended: ShimExit,
    pub(super) found: Result<Disposition, StoreError>,
    /// The shim exited before it claimed its attempt.
    pub(super) false_start: bool,
    /// The disk accepts no writes, which explains a false start.
    pub(super) refused: bool,
}

/// A repository of the loop, for an effect on it.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) key: RepoKey,
    pub(super) name: String,
    pub(super) git_url: String,
}

/// Starts an attempt.
pub(super) fn start(
    engine: &Engine,
    key: &RepoKey,
    task: ShimTask,
    pool: &Pool,
) -> impl Future<Output = Done> + Send + 'static {
    let started = engine.start(key, task, pool);
    async move { Done::Started(started.await) }
}

/// Orders an attempt to end.
pub(super) fn order(
    engine: &Engine,
    key: &RepoKey,
    attempt: Attempt,
    reason: OrderReason,
    pool: &Pool,
) -> impl Future<Output = Done> + Send + 'static {
    let ordered = engine.order(key, attempt, reason, pool);
    async move { Done::Ordered(ordered.await) }
}

/// Determines the outcome of a repository whose shim, if it had one, has exited.
pub(super) fn finalize(
    setup: &Setup,
    subject: Subject,
    retries: Retries,
    (attempt, ended): (Option<Attempt>, ShimExit),
    pool: &Pool,
) -> impl Future<Output = Done> + Send + 'static {
    let path = setup.jobs.job(&subject.key.job).path().to_owned();
    let number = attempt.as_ref().map(|attempt| attempt.number);
    let (setup, known) = (setup.clone(), ended.clone());
    let work = pool.run(move || {
        let Subject { key, name, git_url } = &subject;
        let found = outcome::find(&setup, key, name, git_url, &known, retries);
        let false_start = match &found {
            Ok(Disposition::Queued(next)) => number.is_some_and(|number| next.attempt <= number),
            _ => false,
        };
        let refused = false_start && {
            setup.space.suspect();
            setup.space.obstacle().is_some()
        };
        (found, false_start, refused)
    });
    async move {
        let (found, false_start, refused) = work.await.unwrap_or_else(|panic| {
            (Err(StoreError::at("finalize a scan in", path)(panic.into())), false, false)
        });
        Done::Finalized(Box::new(Finalized { attempt, ended, found, false_start, refused }))
    }
}

/// Writes the final state of a repository that could not be started. With a `claim`, the failed
/// start counts as an attempt. If the claim cannot be written, there is no retry, because the retry
/// could not be told from this attempt.
pub(super) fn end_unstarted(
    setup: &Setup,
    subject: Subject,
    (attempt, claim): (u64, Option<AttemptRecord>),
    (state, mut failure): (RepoState, Failure),
    pool: &Pool,
) -> impl Future<Output = Done> + Send + 'static {
    let folder = setup.jobs.job(&subject.key.job);
    let path = folder.path().to_owned();
    let work = pool.run(move || {
        let Subject { key, name, git_url } = &subject;
        if let Some(claim) = claim
            && let Err(error) = attempt::write(&folder, key.index, &claim)
        {
            tracing::warn!(repository = %key, error = chain(&error), "cannot record a failed start as an attempt; the repository is not retried");
            failure.permanent = true;
        }
        PlannedRepository { folder: &folder, key, name, git_url }
            .write_final_state(attempt, state, &failure)
            .map(drop)
    });
    async move {
        Done::FinalWritten(work.await.unwrap_or_else(|panic| {
            Err(StoreError::at("write a final state in", path)(panic.into()))
        }))
    }
}

/// Publishes what a repository waits for before this attempt.
pub(super) fn note(
    setup: &Setup,
    subject: Subject,
    attempt: u64,
    message: String,
    pool: &Pool,
) -> impl Future<Output = Done> + Send + 'static {
    let folder = setup.jobs.job(&subject.key.job);
    let path = folder.path().to_owned();
    let work = pool.run(move || {
        let Subject { key, name, git_url } = &subject;
        PlannedRepository { folder: &folder, key, name, git_url }.note(attempt, &message)
    });
    async move {
        Done::Noted(
            work.await.unwrap_or_else(|panic| {
                Err(StoreError::at("write a message in", path)(panic.into()))
            }),
        )
    }
}
