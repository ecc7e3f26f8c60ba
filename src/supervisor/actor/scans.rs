//! Repositories that hold a slot: starts and orders their attempts, and takes in how these ended.
//!
//! Input: effects of the scheduler, endings of attempts, outcomes of effects (`repositories`), timers.
//! Output: effects on repositories, events for the scheduler.
//!
//! Invariants: a repository keeps its slot until its outcome is known; effects on one repository
//! run one after the other.

use super::Actor;
use crate::{
    model::{
        Failure, FailureKind, RepoState, attempt::OrderReason, repository::RepositoryStatus,
        retry::Retries, time::Timestamp,
    },
    store::{StoreError, chain},
    supervisor::{
        RepoKey,
        disposition::{Disposition, Living, NextAttempt},
        engine::{Attempt, Ending, Started},
        job::{Job, Repository},
        pools::Purpose,
        repositories::{self, Done, Finalized, Subject},
        scheduler::{Effect, Event},
        shim_exit::{ProcessTree, ShimExit},
        tasks,
        timers::Elapsed,
    },
};
use std::time::Duration;
use tokio::time::sleep;

/// How often in a row a shim may exit before it claims its attempt, until the repository fails.
const FALSE_STARTS: u32 = 6;

impl Actor {
    /// Starts an attempt of a repository that got a slot.
    pub(super) fn start(&mut self, key: RepoKey) -> Vec<Effect> {
        let task = self.jobs.get(&key.job).and_then(|job| tasks::task(&self.setup, job, &key));
        let Some(task) = task else {
            return self.scheduler.on(Event::Finished(key));
        };
        self.slots.begin(key.clone());
        let pool = self.effects.pool(Purpose::Scans);
        let work = repositories::start(&self.engine, &key, task, pool);
        self.carry_out(key, work);
        Vec::new()
    }

    /// Orders an attempt to end.
    pub(super) fn order(&mut self, key: &RepoKey, reason: OrderReason) {
        let Some(attempt) = self.slots.order(key, reason) else { return };
        if reason == OrderReason::Stop && attempt.outlasts_a_stop() {
            // The next server adopts it.
            self.slots.clear(key);
            return;
        }
        if reason == OrderReason::Yield {
            tracing::info!(repository = %key, "a job waits without a slot; a slow scan is stopped and queued again to free one");
        }
        let pool = self.effects.pool(Purpose::Scans);
        let work = repositories::order(&self.engine, key, attempt, reason, pool);
        self.carry_out(key.clone(), work);
    }

    fn ordered(&mut self, key: &RepoKey, ordered: &Result<(), StoreError>) {
        if let Err(error) = ordered {
            tracing::error!(repository = %key, error = chain(error), "cannot order a scan to stop");
        }
        if let Some(reason) = self.slots.end_order(key) {
            self.order(key, reason);
        }
    }

    /// Takes in the outcome of an effect on a repository.
    pub(super) fn repository_done(&mut self, key: RepoKey, done: Done) {
        let job = key.job.clone();
        self.steps.end_effect(&job);
        match done {
            Done::Started(started) => self.started(key, started),
            Done::Ordered(ordered) => self.ordered(&key, &ordered),
            Done::Finalized(finalized) => self.finalized(key, *finalized),
            // The repository may be retried, as if its shim had written the final state.
            Done::FinalWritten(Ok(())) => {
                self.finalize(key, None, ShimExit::unknown(ProcessTree::Ended));
            }
            Done::Noted(noted) => {
                if let Err(error) = noted {
                    tracing::warn!(repository = %key, error = chain(&error), "cannot publish what a repository waits for");
                }
            }
            Done::FinalWritten(Err(error)) => {
                self.try_later(key, ShimExit::unknown(ProcessTree::Unknown), &chain(&error));
            }
        }
        self.remove_if_idle(&job);
    }

    fn started(&mut self, key: RepoKey, started: Started) {
        let order = self.slots.end_start(&key);
        match started {
            // The scan has not failed; it waits for space.
            Ok(None) => self.on(Event::NoSpace(key)),
            Ok(Some((attempt, ending))) => {
                let name = self.repository(&key).map(|repository| repository.name.as_str());
                tracing::info!(repository = %key, name, attempt = attempt.number, "scan started");
                self.watch(key.clone(), attempt, ending);
                if self.jobs.get(&key.job).is_some_and(Job::has_just_begun) {
                    self.write_master(&key.job);
                }
                if let Some(reason) = order {
                    self.order(&key, reason);
                }
            }
            // Out of processes or memory: the repository keeps its slot, and the start is repeated.
            Err(error) => {
                self.try_later(key, ShimExit::unknown(ProcessTree::Unknown), &error.to_string());
            }
        }
    }

    pub(super) fn watch(&mut self, key: RepoKey, attempt: Attempt, ending: Ending) {
        if let Some(job) = self.jobs.get_mut(&key.job) {
            job.note_running(key.index);
        }
        let slow_after = self.setup.config.get().scanner.slow_after;
        self.timers.start(slow_after, Elapsed::Slow(key.clone(), attempt.number));
        self.slots.run(key.clone(), attempt);
        self.exits.spawn(async move { (key, ending.await) });
    }

    /// Continues to supervise an attempt that another server started.
    pub(super) fn adopt(&self, key: &RepoKey, living: Living) -> (Attempt, Ending) {
        let repository = self.repository(key);
        let named =
            repository.map(|repository| (repository.name.clone(), repository.git_url.clone()));
        self.engine.adopt(key, named.unwrap_or_default(), living)
    }

    /// Determines the outcome of a repository again after a pause; what is known about its shim is
    /// kept.
    fn try_later(&mut self, key: RepoKey, ended: ShimExit, error: &str) {
        self.slots.clear(&key);
        let repository =
            self.jobs.get_mut(&key.job).and_then(|job| job.repositories.get_mut(&key.index));
        let setbacks = repository.map_or(0, |repository| {
            repository.setbacks += 1;
            repository.setbacks
        });
        tracing::warn!(repository = %key, setbacks, error, "cannot start or finalize a scan; retrying after a pause");
        let pause = Duration::from_millis(250 << setbacks.min(5));
        self.exits.spawn(async move {
            sleep(pause).await;
            (key, ended)
        });
    }

    /// An attempt has ended: determines the outcome of its repository.
    pub(super) fn attempt_ended(&mut self, key: RepoKey, ended: ShimExit) {
        let attempt = self.slots.clear(&key);
        self.finalize(key, attempt, ended);
    }

    fn finalize(&mut self, key: RepoKey, attempt: Option<Attempt>, ended: ShimExit) {
        self.slots.clear(&key);
        let Some(subject) = self.subject(&key) else {
            // The job was dropped meanwhile.
            return self.on(Event::Finished(key));
        };
        self.slots.finalize(key.clone());
        let retries = self.jobs.get(&key.job).map(|job| self.setup.retries(&job.master));
        let retries = retries.unwrap_or(Retries::NONE);
        let pool = self.effects.pool(Purpose::Scans);
        let work = repositories::finalize(&self.setup, subject, retries, (attempt, ended), pool);
        self.carry_out(key, work);
    }

    fn finalized(&mut self, key: RepoKey, finalized: Finalized) {
        self.slots.clear(&key);
        let Finalized { attempt, ended, found, false_start, refused } = finalized;
        match found {
            Ok(Disposition::Finished(status)) => {
                let times = (status.started_at, status.completed_at);
                self.note_scan(attempt.as_ref(), status.state, times);
                self.note_host(&key, attempt.as_ref(), &status);
                self.finished(&key, &status);
            }
            Ok(Disposition::WillRetry { failed, cause, next }) => {
                self.will_retry(key, attempt.as_ref(), &failed, cause, next);
            }
            Ok(Disposition::Running(living)) => {
                // A shim that a dead server started was first.
                let (attempt, ending) = self.adopt(&key, living);
                self.watch(key, attempt, ending);
            }
            // Only recovery and reopening return this.
            Ok(Disposition::Refused(reason)) => {
                let failure = Failure::new(FailureKind::Refused, reason);
                self.end_unstarted(&key, RepoState::Failed, failure);
            }
            // If the repository had to wait, it has waited: its attempt was about to begin.
            Ok(Disposition::Queued(next)) => {
                if !false_start {
                    self.note_scan(attempt.as_ref(), RepoState::Pending, (None, None));
                }
                self.again(key, next, false_start, refused);
            }
            // The disk does not answer: try again later.
            Err(error) => self.try_later(key, ended, &chain(&error)),
        }
    }

    /// Counts a finished scan. A scan that another server started is timed by its status file, if
    /// that has both times.
    fn note_scan(
        &self,
        attempt: Option<&Attempt>,
        state: RepoState,
        (started, completed): (Option<Timestamp>, Option<Timestamp>),
    ) {
        let Some(attempt) = attempt else { return };
        let by_file = || (completed? - started?).to_std().ok();
        if let Some(took) = attempt.started.map(|since| since.elapsed()).or_else(by_file) {
            self.scan_metrics.note(state, took);
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

    /// One line per repository: at 3 am it has to say which one, and why.
    pub(super) fn log_finished(&self, key: &RepoKey, status: &RepositoryStatus) {
        let name = status.name.as_deref();
        if !status.state.is_failure() {
            tracing::info!(repository = %key, name, status = %status.state, "scan finished");
            return;
        }
        // A scanner that writes `failed` without a cause has exited with that.
        let failure = status.failure.as_ref();
        self.scan_metrics.note_failure(failure.map_or(FailureKind::Exit, |failure| failure.kind));
        let detail = failure.map(|failure| failure.detail.as_str()).or(status.error.as_deref());
        let failure = failure.map(|failure| failure.kind.as_str());
        tracing::info!(
            repository = %key, name, status = %status.state, failure, detail, "scan finished"
        );
    }

    fn finished(&mut self, key: &RepoKey, status: &RepositoryStatus) {
        self.log_finished(key, status);
        if let Some(job) = self.jobs.get_mut(&key.job) {
            job.note_finished(key.index, status);
        }
        let event = match status.state {
            RepoState::Completed => Event::Completed(key.clone()),
            _ => Event::Finished(key.clone()),
        };
        self.on(event);
    }

    /// An attempt has failed, and a retry follows.
    fn will_retry(
        &mut self,
        key: RepoKey,
        attempt: Option<&Attempt>,
        failed: &RepositoryStatus,
        cause: FailureKind,
        next: NextAttempt,
    ) {
        self.note_scan(attempt, failed.state, (failed.started_at, failed.completed_at));
        self.note_host(&key, attempt, failed);
        let detail = failed.failure.as_ref().map(|failure| failure.detail.as_str());
        self.note_retry(&key, cause, detail, next);
        if let Some(job) = self.jobs.get_mut(&key.job) {
            job.note_waiting(key.index);
            job.expect_attempt(key.index, next);
        }
        self.time_pause(key.clone(), next);
        self.on(Event::Paused(key));
    }

    pub(super) fn note_retry(
        &self,
        key: &RepoKey,
        cause: FailureKind,
        detail: Option<&str>,
        next: NextAttempt,
    ) {
        let name = self.repository(key).map(|repository| repository.name.as_str());
        let pause_secs = next.pause.as_secs();
        tracing::info!(repository = %key, name, failure = cause.as_str(), detail, retry = next.retries, pause_secs, "scan failed with a transient cause; it is retried after the pause");
        self.scan_metrics.note_retry(cause);
    }

    /// Starts the timer of the pause before this attempt.
    pub(super) fn time_pause(&mut self, key: RepoKey, next: NextAttempt) {
        self.timers.start(next.pause, Elapsed::Pause(key, next.attempt));
    }

    pub(super) fn pause_ended(&mut self, key: RepoKey, attempt: u64) {
        // A timer may be left of a repository that was cancelled and then retried on request.
        if self.next_attempt(&key) == attempt {
            let alone = self.repository(&key).is_some_and(|repository| repository.alone);
            self.on(if alone { Event::PauseEndedAlone(key) } else { Event::PauseEnded(key) });
        }
    }

    /// Finishes a repository that could not be started.
    fn end_unstarted(&mut self, key: &RepoKey, state: RepoState, failure: Failure) {
        let Some(subject) = self.subject(key) else {
            return self.on(Event::Finished(key.clone()));
        };
        self.slots.finalize(key.clone());
        // An attempt that failed to start counts as an attempt.
        let failed_start = failure.kind == FailureKind::Spawn;
        let claim = self.repository(key).filter(|_| failed_start).map(Repository::record);
        let attempt = (self.next_attempt(key), claim);
        let pool = self.effects.pool(Purpose::Files);
        let work =
            repositories::end_unstarted(&self.setup, subject, attempt, (state, failure), pool);
        self.carry_out(key.clone(), work);
    }

    /// Carries out an effect on a repository beside the loop; the job's files stay until it is
    /// done.
    pub(super) fn carry_out(
        &mut self,
        key: RepoKey,
        work: impl Future<Output = Done> + Send + 'static,
    ) {
        self.steps.begin_effect(&key.job);
        self.effects.run_on_repository(key, work);
    }

    /// A scan has run for long, if the same attempt still runs.
    pub(super) fn is_slow(&mut self, key: RepoKey, attempt: u64) {
        if self.slots.runs(&key, attempt) {
            self.on(Event::Slow(key));
        }
    }

    fn repository(&self, key: &RepoKey) -> Option<&Repository> {
        self.jobs.get(&key.job)?.repositories.get(&key.index)
    }

    pub(super) fn subject(&self, key: &RepoKey) -> Option<Subject> {
        let Repository { name, git_url, .. } = self.repository(key)?;
        Some(Subject { key: key.clone(), name: name.clone(), git_url: git_url.clone() })
    }

    pub(super) fn next_attempt(&self, key: &RepoKey) -> u64 {
        self.repository(key).map_or(1, |repository| repository.next_attempt)
    }
}
