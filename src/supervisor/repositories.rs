//! What the loop does about one repository: starts its shim, finds out how it ended, writes the end
//! of one that will not be started.

use super::{
    RepoKey,
    actor::{Actor, Outcome},
    ended::{Ended, Tree},
    finals,
    job::Job,
    overdue::Overseer,
    pools::Purpose,
    recovery::{self, Found},
    retry::Next,
    scheduler::{Effect, Event},
    spawn::{self, Awaited, Shim},
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

/// How often a shim may end before it claimed its attempt, until that counts as a failure.
const FALSE_STARTS: u32 = 6;
/// What the loop waits for of a repository that holds a slot.
#[derive(Debug)]
pub(super) enum Phase {
    /// Its shim is being started; an order that came meanwhile is given afterwards.
    Starting(Option<OrderReason>),
    Running(Running),
    /// Its shim is gone: what it left is read, or a final state is written in its place.
    Settling,
}

/// A repository whose shim lives.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) shim: Shim,
    /// An order is being given.
    ordering: bool,
    /// The one that follows it.
    next: Option<OrderReason>,
}

/// The outcome of an effect on one repository.
pub(super) enum Done {
    /// None where the disk has no room for a scan.
    Started(io::Result<Option<(Shim, Awaited)>>),
    Ordered(Result<(), StoreError>),
    Read(Settled),
    /// The final state of one that was not started.
    Ended(Result<(), StoreError>),
}

/// What a shim that is gone has left.
pub(super) struct Settled {
    shim: Option<Shim>,
    /// What the server knows of its end.
    ended: Ended,
    found: Result<Found, StoreError>,
    /// The shim ended before it claimed its attempt.
    false_start: bool,
    /// The disk takes no writes, of which a false start is a sign.
    refused: bool,
}

impl Actor {
    /// Begins to start the shim of a repository that got a slot.
    pub(super) fn start(&mut self, key: RepoKey) -> Vec<Effect> {
        let task = self.jobs.get(&key.job).and_then(|job| spawn::task(&self.setup, job, &key));
        let Some(task) = task else {
            return self.scheduler.on(Event::Over(key));
        };
        self.phases.insert(key.clone(), Phase::Starting(None));
        let space = Arc::clone(&self.setup.space);
        let (folder, index) = (self.setup.jobs.job(&key.job), key.index);
        let scratch = trash::scratch(&folder, &key.job, index, task.scan.attempt);
        let start = move || match space.obstacle_to_scan() {
            None => {
                let place = Arc::new(space.place(scratch));
                attempt::remove_order(&folder, index).map_err(io::Error::other)?;
                let (shim, awaited) = Shim::start(&task)?;
                Ok(Some((Shim { place: Some(place), ..shim }, awaited)))
            }
            Some(_) => Ok(None),
        };
        let work = self.pools.of(Purpose::Scans).run(start);
        self.carry_out_one(key, async move {
            Done::Started(work.await.unwrap_or_else(|panic| Err(panic.into())))
        });
        Vec::new()
    }

    /// An effect on a repository is done.
    pub(super) fn repository_done(&mut self, key: RepoKey, done: Done) {
        let job = key.job.clone();
        self.lanes.end_effect(&job);
        match done {
            Done::Started(started) => self.started(key, started),
            Done::Ordered(ordered) => self.ordered(&key, &ordered),
            Done::Read(settled) => self.settled(key, settled),
            // It may be tried again, like one whose shim wrote that.
            Done::Ended(Ok(())) => self.settle(key, None, Ended::unknown(Tree::Ended)),
            Done::Ended(Err(error)) => {
                self.try_later(key, Ended::unknown(Tree::Unknown), &chain(&error));
            }
        }
        self.remove_if_idle(&job);
    }

    fn started(&mut self, key: RepoKey, started: io::Result<Option<(Shim, Awaited)>>) {
        let phase = self.phases.remove(&key);
        match started {
            // It has failed at nothing: it waits.
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
            // Out of processes or memory: it stays queued, in its slot, and is tried again.
            Err(error) => self.try_later(key, Ended::unknown(Tree::Unknown), &error.to_string()),
        }
    }

    pub(super) fn watch(&mut self, key: RepoKey, mut shim: Shim, awaited: Awaited) {
        let (jobs, space) = (&self.setup.jobs, &self.setup.space);
        shim.place.get_or_insert_with(|| {
            let folder = jobs.job(&key.job);
            Arc::new(space.place(trash::scratch(&folder, &key.job, key.index, shim.attempt)))
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
        let overseer = Overseer::new(key.clone(), shim.clone(), limits, self.handle.clone());
        let running = Running { shim, ordering: false, next: None };
        self.phases.insert(key.clone(), Phase::Running(running));
        self.ends.spawn(async move { (key, overseer.wait(awaited).await) });
    }

    /// Asks again after a pause what became of a repository: what is known of its shim is kept.
    fn try_later(&mut self, key: RepoKey, ended: Ended, error: &str) {
        self.phases.remove(&key);
        let repository =
            self.jobs.get_mut(&key.job).and_then(|job| job.repositories.get_mut(&key.index));
        let setbacks = repository.map_or(0, |it| {
            it.setbacks += 1;
            it.setbacks
        });
        tracing::warn!(repository = %key, setbacks, error, "cannot start or settle a scan; tried again");
        let pause = Duration::from_millis(250 << setbacks.min(5));
        self.ends.spawn(async move {
            sleep(pause).await;
            (key, ended)
        });
    }

    /// A shim is gone: reads what became of its repository.
    pub(super) fn shim_ended(&mut self, key: RepoKey, ended: Ended) {
        let shim = match self.phases.remove(&key) {
            Some(Phase::Running(running)) => Some(running.shim),
            _ => None,
        };
        self.settle(key, shim, ended);
    }

    fn settle(&mut self, key: RepoKey, shim: Option<Shim>, ended: Ended) {
        self.phases.remove(&key);
        let Some((name, git_url)) = self.facts(&key) else {
            // Its job was forgotten meanwhile.
            return self.on(Event::Over(key));
        };
        self.phases.insert(key.clone(), Phase::Settling);
        let retries = self.jobs.get(&key.job).map(|job| self.setup.retries(&job.master));
        let retries = retries.unwrap_or(Retries::NONE);
        let attempt = shim.as_ref().map(|it| it.attempt);
        let (setup, wanted, known) = (self.setup.clone(), key.clone(), ended.clone());
        let work = self.pools.of(Purpose::Scans).run(move || {
            let found = recovery::find(&setup, &wanted, &name, &git_url, &known, retries);
            let false_start = match &found {
                Ok(Found::Queued(next)) => attempt.is_some_and(|it| next.attempt <= it),
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
                (Err(StoreError::at("settle a scan in", path)(panic.into())), false, false)
            });
            Done::Read(Settled { shim, ended, found, false_start, refused })
        });
    }

    fn settled(&mut self, key: RepoKey, settled: Settled) {
        self.phases.remove(&key);
        let Settled { shim, ended, found, false_start, refused } = settled;
        match found {
            Ok(Found::Over(status)) => {
                self.note_scan(shim.as_ref(), status.state, status.started_at, status.completed_at);
                self.over(&key, &status);
            }
            Ok(Found::TriedAgain { failed, cause, next }) => {
                self.tried_again(key, shim.as_ref(), &failed, cause, next);
            }
            Ok(Found::Running(living)) => {
                // Another one, of a server that died, was first.
                let (shim, awaited) = Shim::adopt(living);
                self.watch(key, shim, awaited);
            }
            // Only what is found at start, or reopened, can be this.
            Ok(Found::Refused(reason)) => {
                let failure = Failure::new(FailureKind::Refused, reason);
                self.end_unstarted(&key, RepoState::Failed, failure);
            }
            // If it had to wait, it has: its attempt was about to begin.
            Ok(Found::Queued(next)) => {
                if !false_start {
                    self.note_scan(shim.as_ref(), RepoState::Pending, None, None);
                }
                self.again(key, next, false_start, refused);
            }
            // The disk does not answer: asked again later.
            Err(error) => self.try_later(key, ended, &chain(&error)),
        }
    }

    /// Counts a scan that has ended. One that another server started is measured by what its file
    /// says, if that says it.
    pub(super) fn note_scan(
        &self,
        shim: Option<&Shim>,
        state: RepoState,
        started: Option<Timestamp>,
        completed: Option<Timestamp>,
    ) {
        let Some(shim) = shim else { return };
        let by_file = || (completed? - started?).to_std().ok();
        if let Some(took) = shim.started.map(|it| it.elapsed()).or_else(by_file) {
            self.handle.scans().note(state, took);
        }
    }

    fn again(&mut self, key: RepoKey, next: Next, false_start: bool, refused: bool) {
        if let Some(job) = self.jobs.get_mut(&key.job) {
            job.note_waiting(key.index);
            job.expect_attempt(key.index, next);
            if let Some(repository) = job.repositories.get_mut(&key.index) {
                // A disk that takes no writes is not the repository's failure: it waits, uncounted.
                if refused {
                    return self.on(Event::NoSpace(key));
                }
                repository.false_starts += u32::from(false_start);
                if repository.false_starts >= FALSE_STARTS {
                    let detail = format!("The scan could not be started, {FALSE_STARTS} times");
                    let failure = Failure::new(FailureKind::Spawn, detail);
                    return self.end_unstarted(&key, RepoState::Failed, failure);
                }
            }
            // Whatever it is that fails for a moment must not cost all the tries at once.
            if false_start && !job.is_cancelled() {
                let ended = Ended::unknown(Tree::Unknown);
                return self.try_later(key, ended, "its shim ended before it began");
            }
        }
        self.on(Event::Again(key));
    }

    fn over(&mut self, key: &RepoKey, status: &RepositoryStatus) {
        let failure = status.failure.as_ref().map(|it| it.kind.as_str());
        tracing::info!(repository = %key, status = %status.state, failure, "scan over");
        if let Some(job) = self.jobs.get_mut(&key.job) {
            job.note_over(key.index, status);
        }
        let event = match status.state {
            RepoState::Completed => Event::Completed(key.clone()),
            _ => Event::Over(key.clone()),
        };
        self.on(event);
    }

    fn end_unstarted(&mut self, key: &RepoKey, state: RepoState, failure: Failure) {
        let Some((name, git_url)) = self.facts(key) else {
            return self.on(Event::Over(key.clone()));
        };
        self.phases.insert(key.clone(), Phase::Settling);
        let folder = self.setup.jobs.job(&key.job);
        let attempt = self.next_attempt(key);
        // One that could not begin counts as one that did. Where that cannot be written, there is no
        // other: it could not be told from this one.
        let claim = (failure.kind == FailureKind::Spawn).then(|| self.record(key)).flatten();
        let wanted = key.clone();
        let work = self.pools.of(Purpose::Files).run(move || {
            let mut failure = failure;
            if let Some(claim) = claim
                && let Err(error) = attempt::write(&folder, wanted.index, &claim)
            {
                tracing::warn!(repository = %wanted, error = chain(&error), "cannot claim an attempt");
                failure.permanent = true;
            }
            finals::write_end(&folder, &wanted, &name, &git_url, attempt, state, &failure)
                .map(drop)
        });
        let path = self.setup.jobs.job(&key.job).path().to_owned();
        self.carry_out_one(key.clone(), async move {
            Done::Ended(work.await.unwrap_or_else(|panic| {
                Err(StoreError::at("write a final state in", path)(panic.into()))
            }))
        });
    }

    /// Carries out an effect on a repository beside the loop; its job's files stay until it is done.
    fn carry_out_one(&mut self, key: RepoKey, work: impl Future<Output = Done> + Send + 'static) {
        self.lanes.begin_effect(&key.job);
        self.effects.spawn(async move { Outcome::Repository(key, Box::new(work.await)) });
    }

    /// A scan has been running for long, if it is still the same.
    pub(super) fn is_slow(&mut self, key: RepoKey, attempt: u64) {
        let is_meant = |it: &Phase| matches!(it, Phase::Running(it) if it.shim.attempt == attempt);
        if self.phases.get(&key).is_some_and(is_meant) {
            self.on(Event::Slow(key));
        }
    }

    /// Orders a shim to end. Orders to one shim are given one after the other.
    pub(super) fn order(&mut self, key: &RepoKey, reason: OrderReason) {
        match self.phases.get_mut(key) {
            Some(Phase::Starting(order)) => *order = Some(reason),
            Some(Phase::Running(running)) if running.ordering => running.next = Some(reason),
            Some(Phase::Running(running)) => {
                running.ordering = true;
                if reason == OrderReason::Yield {
                    tracing::info!(repository = %key, "a job waits without a slot; a slow scan is ended and queued again");
                }
                // A shim of an earlier version does not know that reason, and would take it for a cancel.
                let reason = match reason {
                    OrderReason::Yield if running.shim.started.is_none() => OrderReason::Stop,
                    reason => reason,
                };
                let shim = running.shim.clone();
                let (folder, index) = (self.setup.jobs.job(&key.job), key.index);
                let path = folder.path().to_owned();
                let work =
                    self.pools.of(Purpose::Scans).run(move || shim.end(&folder, index, reason));
                self.carry_out_one(key.clone(), async move {
                    Done::Ordered(work.await.unwrap_or_else(|panic| {
                        Err(StoreError::at("give an order in", path)(panic.into()))
                    }))
                });
            }
            Some(Phase::Settling) | None => {}
        }
    }

    fn ordered(&mut self, key: &RepoKey, ordered: &Result<(), StoreError>) {
        if let Err(error) = ordered {
            tracing::error!(repository = %key, error = chain(error), "cannot order a scan to end");
        }
        if let Some(Phase::Running(running)) = self.phases.get_mut(key) {
            running.ordering = false;
            if let Some(reason) = running.next.take() {
                self.order(key, reason);
            }
        }
    }

    pub(super) fn facts(&self, key: &RepoKey) -> Option<(String, String)> {
        let repository = self.jobs.get(&key.job)?.repositories.get(&key.index)?;
        Some((repository.name.clone(), repository.git_url.clone()))
    }

    /// What its shim would write of the next attempt.
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
        job.and_then(|job| job.repositories.get(&key.index)).map_or(1, |it| it.next_attempt)
    }
}
