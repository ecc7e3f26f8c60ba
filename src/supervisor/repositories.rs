//! The effects on one repository: starts its shim, orders it, determines the outcome after its exit,
//! writes the final state of a repository that could not be started.
//!
//! Input: a repository, and the threads to work on. Output: the outcome of the effect. Invariant:
//! nothing here decides what follows an outcome.

use super::{
    RepoKey, Setup,
    disposition::Disposition,
    outcome,
    pools::Pool,
    shim_exit::ShimExit,
    spawn::{Awaited, Shim},
    status_files::PlannedRepository,
};
use crate::{
    model::{
        Failure, RepoState,
        attempt::{AttemptRecord, OrderReason},
        retry::Retries,
        task::ShimTask,
    },
    store::{StoreError, attempt, chain, trash},
};
use std::{io, sync::Arc};

/// The outcome of an effect on one repository.
pub(super) enum Done {
    /// `None` if the disk has no room for a scan.
    Started(io::Result<Option<(Shim, Awaited)>>),
    Ordered(Result<(), StoreError>),
    Finalized(Finalized),
    /// The final state of a repository that was not started has been written.
    FinalWritten(Result<(), StoreError>),
    /// It is published what a repository waits for.
    Noted(Result<(), StoreError>),
}

/// The outcome of an attempt whose shim has exited.
pub(super) struct Finalized {
    pub(super) shim: Option<Shim>,
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

/// Starts a shim if the disk has room for its scan.
pub(super) fn start(
    setup: &Setup,
    key: &RepoKey,
    task: ShimTask,
    pool: &Pool,
) -> impl Future<Output = Done> + Send + 'static {
    let space = Arc::clone(&setup.space);
    let (folder, index) = (setup.jobs.job(&key.job), key.index);
    let scratch = trash::scratch(&folder, &key.job, index, task.scan.attempt);
    let work = pool.run(move || match space.obstacle_to_scan() {
        None => {
            let registration = Some(Arc::new(space.register(scratch)));
            attempt::remove_order(&folder, index).map_err(io::Error::other)?;
            let (shim, awaited) = Shim::start(&task)?;
            Ok(Some((Shim { registration, ..shim }, awaited)))
        }
        Some(_) => Ok(None),
    });
    async move { Done::Started(work.await.unwrap_or_else(|panic| Err(panic.into()))) }
}

/// Orders a shim to end its scan.
pub(super) fn order(
    setup: &Setup,
    key: &RepoKey,
    shim: Shim,
    reason: OrderReason,
    pool: &Pool,
) -> impl Future<Output = Done> + Send + 'static {
    let (folder, index) = (setup.jobs.job(&key.job), key.index);
    let path = folder.path().to_owned();
    let work = pool.run(move || shim.end(&folder, index, reason));
    async move {
        Done::Ordered(
            work.await.unwrap_or_else(|panic| {
                Err(StoreError::at("give an order in", path)(panic.into()))
            }),
        )
    }
}

/// Determines the outcome of a repository whose shim, if it had one, has exited.
pub(super) fn finalize(
    setup: &Setup,
    subject: Subject,
    retries: Retries,
    (shim, ended): (Option<Shim>, ShimExit),
    pool: &Pool,
) -> impl Future<Output = Done> + Send + 'static {
    let path = setup.jobs.job(&subject.key.job).path().to_owned();
    let attempt = shim.as_ref().map(|shim| shim.attempt);
    let (setup, known) = (setup.clone(), ended.clone());
    let work = pool.run(move || {
        let Subject { key, name, git_url } = &subject;
        let found = outcome::find(&setup, key, name, git_url, &known, retries);
        let false_start = match &found {
            Ok(Disposition::Queued(next)) => attempt.is_some_and(|attempt| next.attempt <= attempt),
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
        Done::Finalized(Finalized { shim, ended, found, false_start, refused })
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
