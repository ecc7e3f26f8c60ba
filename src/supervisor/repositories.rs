//! The loop's effects on one repository: starts its shim, determines how the shim exited, writes
//! the final state of a repository that is not started.
//!
//! Input: effects of the scheduler, exits of shims. Output: shims, orders, status files, events for
//! the scheduler.
//!
//! Invariants: a repository keeps its slot until its outcome is known; effects on one repository
//! run one after the other.

use super::{
    RepoKey,
    actor::{Actor, Outcome},
    final_states,
    job::Job,
    pools::Purpose,
    recovery::{self, Disposition},
    retry::NextAttempt,
    scheduler::{Effect, Event},
    shim_exit::{ProcessTree, ShimExit},
    spawn::{self, Awaited, Shim},
    watchdog::Watchdog,
};
use crate::{
    model::{
        Failure, FailureKind, RepoState,
        attempt::{AttemptRecord, OrderReason},
        repository::RepositoryStatus,
        retry::Retries,
        time::Timestamp,
    },
    store::{StoreError, attempt, chain, trash},
};
use chrono::Utc;
use std::{io, sync::Arc, time::Duration};
use tokio::time::sleep;

/// How often in a row a shim may exit before it claims its attempt, until the repository fails.
const FALSE_STARTS: u32 = 6;

/// What the loop waits for while a repository holds a slot.
#[derive(Debug)]
pub(super) enum Phase {
    /// Its shim is being started; an order that arrives meanwhile is sent afterwards.
    Starting(Option<OrderReason>),
    Running(Running),
    /// Its shim has exited: its files are being read, or a final state is written in its place.
    Finalizing,
}

/// A repository whose shim lives.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) shim: Shim,
    /// Whether an order is being sent.
    pub(super) ordering: bool,
    /// The order to send next.
    pub(super) next: Option<OrderReason>,
}

/// The outcome of an effect on one repository.
pub(super) enum Done {
    /// `None` if the disk has no room for a scan.
    Started(io::Result<Option<(Shim, Awaited)>>),
    Ordered(Result<(), StoreError>),
    Finalized(Finalized),
    /// The final state of a repository that was not started has been written.
    FinalWritten(Result<(), StoreError>),
}

/// The outcome of an attempt whose shim has exited.
pub(super) struct Finalized {
    shim: Option<Shim>,
    /// How the shim exited.
    ended: ShimExit,
    found: Result<Disposition, StoreError>,
    /// The shim exited before it claimed its attempt.
    false_start: bool,
    /// The disk accepts no writes, which explains a false start.
    refused: bool,
}

impl Actor {
    /// Starts the shim of a repository that got a slot.
    pub(super) fn start(&mut self, key: RepoKey) -> Vec<Effect> {
        let task = self.jobs.get(&key.job).and_then(|job| spawn::task(&self.setup, job, &key));
        let Some(task) = task else {
            return self.scheduler.on(Event::Finished(key));
        };
        self.phases.insert(key.clone(), Phase::Starting(None));
        let space = Arc::clone(&self.setup.space);
        let (folder, index) = (self.setup.jobs.job(&key.job), key.index);
        let scratch = trash::scratch(&folder, &key.job, index, task.scan.attempt);
        let start = move || match space.obstacle_to_scan() {
            None => {
                let registration = Some(Arc::new(space.register(scratch)));
                attempt::remove_order(&folder, index).map_err(io::Error::other)?;
                let (shim, awaited) = Shim::start(&task)?;
                Ok(Some((Shim { registration, ..shim }, awaited)))
            }
            Some(_) => Ok(None),
        };
        let work = self.pools.of(Purpose::Scans).run(start);
        self.carry_out_one(key, async move {
            Done::Started(work.await.unwrap_or_else(|panic| Err(panic.into())))
        });
        Vec::new()
    }

    /// Takes in the outcome of an effect on a repository.
    pub(super) fn repository_done(&mut self, key: RepoKey, done: Done) {
        let job = key.job.clone();
        self.steps.end_effect(&job);
        match done {
            Done::Started(started) => self.started(key, started),
            Done::Ordered(ordered) => self.ordered(&key, &ordered),
            Done::Finalized(finalized) => self.finalized(key, finalized),
            // The repository may be retried, as if its shim had written the final state.
            Done::FinalWritten(Ok(())) => {
                self.finalize(key, None, ShimExit::unknown(ProcessTree::Ended));
            }
            Done::FinalWritten(Err(error)) => {
                self.try_later(key, ShimExit::unknown(ProcessTree::Unknown), &chain(&error));
            }
        }
        self.remove_if_idle(&job);
    }

    fn started(&mut self, key: RepoKey, started: io::Result<Option<(Shim, Awaited)>>) {
        let phase = self.phases.remove(&key);
        match started {
            // The scan has not failed; it waits for space.
            Ok(None) => self.on(Event::NoSpace(key)),
            Ok(Some((shim, awaited))) => {
                tracing::info!(repository = %key, attempt = shim.attempt, "scan started");
                self.watch(key.clone(), shim, awaited);
                if self.jobs.get(&key.job).is_some_and(Job::has_just_begun) {
                    self.write_master(&key.job);
                }
                if let Some(Phase::Starting(Some(reason))) = phase {
                    self.order(&key, reason);
                }
            }
            // Out of processes or memory: the repository keeps its slot, and the start is repeated.
            Err(error) => {
                self.try_later(key, ShimExit::unknown(ProcessTree::Unknown), &error.to_string());
            }
        }
    }

    pub(super) fn watch(&mut self, key: RepoKey, mut shim: Shim, awaited: Awaited) {
        let (jobs, space) = (&self.setup.jobs, &self.setup.space);
        shim.registration.get_or_insert_with(|| {
            let folder = jobs.job(&key.job);
            Arc::new(space.register(trash::scratch(&folder, &key.job, key.index, shim.attempt)))
        });
        if let Some(job) = self.jobs.get_mut(&key.job) {
            job.note_running(key.index);
        }
        let slow = (key.clone(), shim.attempt);
        let after = self.setup.config.scanner.slow_after;
        self.slow.spawn(async move {
            sleep(after).await;
            slow
        });
        let scanner = &self.setup.config.scanner;
        let limits = (scanner.subprocess_timeout_secs, scanner.kill_grace_secs);
        let watchdog = Watchdog::new(key.clone(), shim.clone(), limits, self.handle.clone());
        let running = Running { shim, ordering: false, next: None };
        self.phases.insert(key.clone(), Phase::Running(running));
        self.ends.spawn(async move { (key, watchdog.wait(awaited).await) });
    }

    /// Determines the outcome of a repository again after a pause; what is known about its shim is
    /// kept.
    fn try_later(&mut self, key: RepoKey, ended: ShimExit, error: &str) {
        self.phases.remove(&key);
        let repository =
            self.jobs.get_mut(&key.job).and_then(|job| job.repositories.get_mut(&key.index));
        let setbacks = repository.map_or(0, |repository| {
            repository.setbacks += 1;
            repository.setbacks
        });
        tracing::warn!(repository = %key, setbacks, error, "cannot start or finalize a scan; retrying after a pause");
        let pause = Duration::from_millis(250 << setbacks.min(5));
        self.ends.spawn(async move {
            sleep(pause).await;
            (key, ended)
        });
    }

    /// A shim has exited: determines the outcome of its repository.
    pub(super) fn shim_ended(&mut self, key: RepoKey, ended: ShimExit) {
        let shim = match self.phases.remove(&key) {
            Some(Phase::Running(running)) => Some(running.shim),
            _ => None,
        };
        self.finalize(key, shim, ended);
    }

    fn finalize(&mut self, key: RepoKey, shim: Option<Shim>, ended: ShimExit) {
        self.phases.remove(&key);
        let Some((name, git_url)) = self.facts(&key) else {
            // The job was dropped meanwhile.
            return self.on(Event::Finished(key));
        };
        self.phases.insert(key.clone(), Phase::Finalizing);
        let retries = self.jobs.get(&key.job).map(|job| self.setup.retries(&job.master));
        let retries = retries.unwrap_or(Retries::NONE);
        let attempt = shim.as_ref().map(|shim| shim.attempt);
        let (setup, wanted, known) = (self.setup.clone(), key.clone(), ended.clone());
        let work = self.pools.of(Purpose::Scans).run(move || {
            let found = recovery::find(&setup, &wanted, &name, &git_url, &known, retries);
            let false_start = match &found {
                Ok(Disposition::Queued(next)) => {
                    attempt.is_some_and(|attempt| next.attempt <= attempt)
                }
                _ => false,
            };
            let refused = false_start && {
                setup.space.suspect();
                setup.space.obstacle().is_some()
            };
            (found, false_start, refused)
        });
        let path = self.setup.jobs.job(&key.job).path().to_owned();
        self.carry_out_one(key, async move {
            let (found, false_start, refused) = work.await.unwrap_or_else(|panic| {
                (Err(StoreError::at("finalize a scan in", path)(panic.into())), false, false)
            });
            Done::Finalized(Finalized { shim, ended, found, false_start, refused })
        });
    }

    fn finalized(&mut self, key: RepoKey, finalized: Finalized) {
        self.phases.remove(&key);
        let Finalized { shim, ended, found, false_start, refused } = finalized;
        match found {
            Ok(Disposition::Finished(status)) => {
                self.note_scan(shim.as_ref(), status.state, status.started_at, status.completed_at);
                self.finished(&key, &status);
            }
            Ok(Disposition::WillRetry { failed, cause, next }) => {
                self.will_retry(key, shim.as_ref(), &failed, cause, next);
            }
            Ok(Disposition::Running(living)) => {
                // A shim that a dead server started was first.
                let (shim, awaited) = Shim::adopt(living);
                self.watch(key, shim, awaited);
            }
            // Only recovery and reopening return this.
            Ok(Disposition::Refused(reason)) => {
                let failure = Failure::new(FailureKind::Refused, reason);
                self.end_unstarted(&key, RepoState::Failed, failure);
            }
            // If the repository had to wait, it has waited: its attempt was about to begin.
            Ok(Disposition::Queued(next)) => {
                if !false_start {
                    self.note_scan(shim.as_ref(), RepoState::Pending, None, None);
                }
                self.again(key, next, false_start, refused);
            }
            // The disk does not answer: try again later.
            Err(error) => self.try_later(key, ended, &chain(&error)),
        }
    }

    /// Counts a finished scan. A scan that another server started is timed by its status file, if
    /// that has both times.
    pub(super) fn note_scan(
        &self,
        shim: Option<&Shim>,
        state: RepoState,
        started: Option<Timestamp>,
        completed: Option<Timestamp>,
    ) {
        let Some(shim) = shim else { return };
        let by_file = || (completed? - started?).to_std().ok();
        if let Some(took) = shim.started.map(|since| since.elapsed()).or_else(by_file) {
            self.handle.scan_metrics().note(state, took);
        }
    }

    fn again(&mut self, key: RepoKey, next: NextAttempt, false_start: bool, refused: bool) {
        if let Some(job) = self.jobs.get_mut(&key.job) {
            job.note_waiting(key.index);
            job.expect_attempt(key.index, next);
            if let Some(repository) = job.repositories.get_mut(&key.index) {
                // A disk that accepts no writes is not the repository's failure: the repository
                // waits, and nothing is counted.
                if refused {
                    return self.on(Event::NoSpace(key));
                }
                repository.false_starts += u32::from(false_start);
                if repository.false_starts >= FALSE_STARTS {
                    let detail = format!(
                        "The scan could not be started: its shim exited early {FALSE_STARTS} times"
                    );
                    let failure = Failure::new(FailureKind::Spawn, detail);
                    return self.end_unstarted(&key, RepoState::Failed, failure);
                }
            }
            // A brief failure must not use up all tries at once.
            if false_start && !job.is_cancelled() {
                let ended = ShimExit::unknown(ProcessTree::Unknown);
                return self.try_later(key, ended, "its shim exited before it claimed the attempt");
            }
        }
        self.on(Event::Again(key));
    }

    fn finished(&mut self, key: &RepoKey, status: &RepositoryStatus) {
        let failure = status.failure.as_ref().map(|failure| failure.kind.as_str());
        tracing::info!(repository = %key, status = %status.state, failure, "scan finished");
        if let Some(job) = self.jobs.get_mut(&key.job) {
            job.note_finished(key.index, status);
        }
        let event = match status.state {
            RepoState::Completed => Event::Completed(key.clone()),
            _ => Event::Finished(key.clone()),
        };
        self.on(event);
    }

    fn end_unstarted(&mut self, key: &RepoKey, state: RepoState, failure: Failure) {
        let Some((name, git_url)) = self.facts(key) else {
            return self.on(Event::Finished(key.clone()));
        };
        self.phases.insert(key.clone(), Phase::Finalizing);
        let folder = self.setup.jobs.job(&key.job);
        let attempt = self.next_attempt(key);
        // An attempt that failed to start counts as an attempt. If the claim cannot be written,
        // there is no retry, because the retry could not be told from this attempt.
        let claim = (failure.kind == FailureKind::Spawn).then(|| self.record(key)).flatten();
        let wanted = key.clone();
        let work = self.pools.of(Purpose::Files).run(move || {
            let mut failure = failure;
            if let Some(claim) = claim
                && let Err(error) = attempt::write(&folder, wanted.index, &claim)
            {
                tracing::warn!(repository = %wanted, error = chain(&error), "cannot record a failed start as an attempt; the repository is not retried");
                failure.permanent = true;
            }
            final_states::write_final_state(&folder, &wanted, &name, &git_url, attempt, state, &failure)
                .map(drop)
        });
        let path = self.setup.jobs.job(&key.job).path().to_owned();
        self.carry_out_one(key.clone(), async move {
            Done::FinalWritten(work.await.unwrap_or_else(|panic| {
                Err(StoreError::at("write a final state in", path)(panic.into()))
            }))
        });
    }

    /// Carries out an effect on a repository beside the loop; the job's files stay until it is
    /// done.
    pub(super) fn carry_out_one(
        &mut self,
        key: RepoKey,
        work: impl Future<Output = Done> + Send + 'static,
    ) {
        self.steps.begin_effect(&key.job);
        self.effects.spawn(async move { Outcome::Repository(key, Box::new(work.await)) });
    }

    /// A scan has run for long, if the same attempt still runs.
    pub(super) fn is_slow(&mut self, key: RepoKey, attempt: u64) {
        let is_meant = |phase: &Phase| matches!(phase, Phase::Running(running) if running.shim.attempt == attempt);
        if self.phases.get(&key).is_some_and(is_meant) {
            self.on(Event::Slow(key));
        }
    }

    pub(super) fn facts(&self, key: &RepoKey) -> Option<(String, String)> {
        let repository = self.jobs.get(&key.job)?.repositories.get(&key.index)?;
        Some((repository.name.clone(), repository.git_url.clone()))
    }

    /// The record that the shim of the next attempt would write.
    fn record(&self, key: &RepoKey) -> Option<AttemptRecord> {
        let repository = self.jobs.get(&key.job)?.repositories.get(&key.index)?;
        Some(AttemptRecord {
            schema: 1,
            attempt: repository.next_attempt,
            interruptions: repository.interruptions,
            retries: repository.retries,
            started_at: Utc::now(),
        })
    }

    pub(super) fn next_attempt(&self, key: &RepoKey) -> u64 {
        let job = self.jobs.get(&key.job);
        job.and_then(|job| job.repositories.get(&key.index))
            .map_or(1, |repository| repository.next_attempt)
    }
}
