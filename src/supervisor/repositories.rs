//! What the loop does about one repository: starts its shim, finds out how it ended, writes the end
//! of one that will not be started.

use super::{
    RepoKey,
    actor::Actor,
    job::Job,
    recovery::{self, Found, Tree},
    retry::Next,
    scheduler::{Effect, Event},
    spawn::{self, Awaited, Shim},
};
use crate::{
    model::{
        Failure, FailureKind, JobId, RepoState,
        attempt::{AttemptRecord, OrderReason},
        repository::RepositoryStatus,
        retry::Retries,
        time::Timestamp,
    },
    store::{attempt, chain},
};
use chrono::Utc;
use std::{io, sync::Arc, time::Duration};
use tokio::{task::spawn_blocking, time::sleep};

/// How often a shim may end before it claimed its attempt, until that counts as a failure.
const FALSE_STARTS: u32 = 6;
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
    pub(super) async fn spawn(&mut self, key: RepoKey) -> Vec<Effect> {
        let task = self.jobs.get(&key.job).and_then(|job| spawn::task(&self.setup, job, &key));
        let Some(task) = task else {
            return self.scheduler.on(Event::Over(key));
        };
        let space = Arc::clone(&self.setup.space);
        let (folder, index) = (self.setup.jobs.job(&key.job), key.index);
        let started = spawn_blocking(move || match space.obstacle() {
            None => {
                attempt::remove_order(&folder, index).map_err(io::Error::other)?;
                Shim::start(&task).map(Some)
            }
            Some(_) => Ok(None),
        });
        match started.await {
            // It has failed at nothing: it waits.
            Ok(Ok(None)) => return self.scheduler.on(Event::NoSpace(key)),
            Ok(Ok(Some((shim, awaited)))) => {
                tracing::info!(repository = %key, attempt = shim.attempt, "scan started");
                let id = key.job.clone();
                self.watch(key, shim, awaited);
                if self.jobs.get(&id).is_some_and(Job::has_just_begun) {
                    let _ = self.write_master(&id).await;
                }
            }
            // Out of processes or memory: it stays queued, in its slot, and is tried again.
            Ok(Err(error)) => self.try_later(key, &error.to_string()),
            Err(error) => self.try_later(key, &error.to_string()),
        }
        Vec::new()
    }

    pub(super) fn watch(&mut self, key: RepoKey, shim: Shim, awaited: Awaited) {
        if let Some(job) = self.jobs.get_mut(&key.job) {
            job.note_running(key.index);
        }
        self.shims.insert(key.clone(), shim);
        self.ends.spawn(async move { (key, awaited.end().await) });
    }

    fn try_later(&mut self, key: RepoKey, error: &str) {
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
            (key, None)
        });
    }

    /// A shim is gone: finds out what became of its repository, and goes on.
    pub(super) async fn shim_ended(&mut self, key: RepoKey, code: Option<i32>) {
        let shim = self.shims.remove(&key);
        let Some((name, git_url)) = self.facts(&key) else {
            // Its job was forgotten meanwhile.
            return self.on(Event::Over(key)).await;
        };
        let retries = self.jobs.get(&key.job).map(|job| self.setup.retries(&job.master));
        let retries = retries.unwrap_or(Retries::NONE);
        let tree = if code == Some(0) { Tree::Ended } else { Tree::Unknown };
        let found = {
            let (setup, key) = (self.setup.clone(), key.clone());
            spawn_blocking(move || recovery::find(&setup, &key, &name, &git_url, tree, retries))
                .await
        };
        match found {
            Ok(Ok(Found::Over(status))) => {
                self.note_scan(shim.as_ref(), status.state, status.started_at, status.completed_at);
                self.over(&key, &status).await;
            }
            Ok(Ok(Found::TriedAgain { failed, cause, next })) => {
                self.tried_again(key, shim.as_ref(), &failed, cause, next).await;
            }
            Ok(Ok(Found::Running { holder, attempt })) => {
                // Another one, of a server that died, was first.
                let (shim, awaited) = Shim::adopt(holder, attempt);
                self.watch(key, shim, awaited);
            }
            // Only what is found at start, or revived, can be this.
            Ok(Ok(Found::Refused(reason))) => {
                let failure = Failure::new(FailureKind::Refused, reason);
                self.end_unstarted(&key, RepoState::Failed, failure).await;
            }
            // If it had to wait, it has: its attempt was about to begin.
            Ok(Ok(Found::Queued(next))) => {
                // A shim ran, and ended before it claimed its attempt.
                let false_start = shim.as_ref().is_some_and(|it| next.attempt <= it.attempt);
                if !false_start {
                    self.note_scan(shim.as_ref(), RepoState::Pending, None, None);
                }
                self.again(key, next, false_start).await;
            }
            // The disk does not answer: asked again later.
            Ok(Err(error)) => self.try_later(key, &chain(&error)),
            Err(error) => self.try_later(key, &error.to_string()),
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

    async fn again(&mut self, key: RepoKey, next: Next, false_start: bool) {
        // A disk that takes no writes is not the repository's failure: it waits, uncounted.
        let refused = false_start && self.disk_refuses().await;
        if let Some(job) = self.jobs.get_mut(&key.job) {
            job.note_waiting(key.index);
            job.expect_attempt(key.index, next);
            if let Some(repository) = job.repositories.get_mut(&key.index) {
                if refused {
                    return self.on(Event::NoSpace(key)).await;
                }
                repository.false_starts += u32::from(false_start);
                if repository.false_starts >= FALSE_STARTS {
                    let detail = format!("The scan could not be started, {FALSE_STARTS} times");
                    let failure = Failure::new(FailureKind::Spawn, detail);
                    return self.end_unstarted(&key, RepoState::Failed, failure).await;
                }
            }
            // Whatever it is that fails for a moment must not cost all the tries at once.
            if false_start && !job.is_cancelled() {
                return self.try_later(key, "its shim ended before it began");
            }
        }
        self.on(Event::Again(key)).await;
    }

    /// Whether the disk refuses writes now, of which a shim that could not begin is a sign.
    async fn disk_refuses(&self) -> bool {
        let space = Arc::clone(&self.setup.space);
        let looked = spawn_blocking(move || {
            space.suspect();
            space.obstacle().is_some()
        });
        looked.await.unwrap_or(false)
    }

    async fn over(&mut self, key: &RepoKey, status: &RepositoryStatus) {
        let failure = status.failure.as_ref().map(|it| it.kind.as_str());
        tracing::info!(repository = %key, status = %status.state, failure, "scan over");
        if let Some(job) = self.jobs.get_mut(&key.job) {
            job.note_over(key.index, status);
        }
        self.on(Event::Over(key.clone())).await;
    }

    async fn end_unstarted(&mut self, key: &RepoKey, state: RepoState, failure: Failure) {
        let Some((name, git_url)) = self.facts(key) else { return };
        let folder = self.setup.jobs.job(&key.job);
        let attempt = self.next_attempt(key);
        // One that could not begin counts as one that did. Where that cannot be written, there is no
        // other: it could not be told from this one.
        let claim = (failure.kind == FailureKind::Spawn).then(|| self.record(key)).flatten();
        let written = {
            let key = key.clone();
            spawn_blocking(move || {
                let mut failure = failure;
                if let Some(claim) = claim
                    && let Err(error) = attempt::write(&folder, key.index, &claim)
                {
                    tracing::warn!(repository = %key, error = chain(&error), "cannot claim an attempt");
                    failure.permanent = true;
                }
                recovery::write_end(&folder, &key, &name, &git_url, attempt, state, &failure)
            })
            .await
        };
        match written {
            // It may be tried again, like one whose shim wrote that.
            Ok(Ok(_)) => Box::pin(self.shim_ended(key.clone(), Some(0))).await,
            Ok(Err(error)) => self.try_later(key.clone(), &chain(&error)),
            Err(error) => self.try_later(key.clone(), &error.to_string()),
        }
    }

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
        self.discards.spawn(async move {
            sleep(pause).await;
            let write = move || {
                let mut written = Vec::new();
                while written.len() < DISCARDED_AT_ONCE
                    && let Some(next) = left.last()
                {
                    let Unstarted { key, name, git_url, attempt, state, failure } = next;
                    match recovery::write_end(&folder, key, name, git_url, *attempt, *state, failure)
                    {
                        Ok(status) => written.push((key.index, status)),
                        Err(error) => {
                            // Said once, and not each second for as long as the disk is away.
                            if pause.is_zero() {
                                tracing::error!(repository = %key, error = chain(&error), "cannot write the end of a repository; it is tried again");
                            }
                            break;
                        }
                    }
                    left.pop();
                }
                (written, left)
            };
            let (written, left) = spawn_blocking(write).await.unwrap_or_default();
            Discards { job, written, left }
        });
    }

    pub(super) async fn discarded(&mut self, discards: Discards) {
        let Discards { job: id, written, left } = discards;
        // It may have been forgotten or removed meanwhile.
        let Some(job) = self.jobs.get_mut(&id) else { return };
        for (index, status) in &written {
            job.note_over(*index, status);
        }
        if !left.is_empty() {
            let pause = if written.is_empty() { DISCARD_PAUSE } else { Duration::ZERO };
            self.write_discards(id.clone(), left, pause);
        }
        self.on(Event::Discarded(id, written.len())).await;
    }

    pub(super) async fn end(&mut self, key: &RepoKey, reason: OrderReason) {
        let Some(shim) = self.shims.get(key).cloned() else { return };
        let (folder, index) = (self.setup.jobs.job(&key.job), key.index);
        let told = spawn_blocking(move || shim.end(&folder, index, reason)).await;
        if let Ok(Err(error)) = told {
            tracing::error!(repository = %key, error = chain(&error), "cannot tell a scan to end");
        }
    }

    fn facts(&self, key: &RepoKey) -> Option<(String, String)> {
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
