//! The task: which jobs are uploaded when, and which are removed from the archive.
//!
//! Input: changes of jobs in the cache, records of archived jobs, requested removals. Output: uploads and removals, repeated
//! until they succeed.
//!
//! Invariants: a job is uploaded or removed by one task at a time; while the storage does not work one transfer at a time
//! tries it, after growing pauses; a failure of one job delays no other one.

use super::{
    backoff,
    error::{Kind, StorageError},
    removal,
    shared::Shared,
    upload::Upload,
};
use crate::{
    live::Live,
    model::{JobId, time::Timestamp},
};
use chrono::Utc;
use ring::rand::{SecureRandom, SystemRandom};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// How often the task checks for work, if nothing wakes it.
const INTERVAL: Duration = Duration::from_secs(2);
/// How many jobs are transferred at once: a small one does not wait for a large one.
const JOBS_AT_ONCE: usize = 4;
/// How many changed jobs are examined at once.
const PORTION: usize = 256;
/// How often archived jobs that are not uploaded are searched for, and expired ones in the archive.
const SEARCH_INTERVAL: Duration = Duration::from_mins(10);
const EXPIRY_INTERVAL: Duration = Duration::from_hours(6);

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Remove,
    Upload,
    /// Whether the storage works again.
    Check,
    /// What has been in the archive for the retention time is removed.
    Expire,
}

/// A job that waits.
#[derive(Debug)]
struct Waiting {
    work: Work,
    since: Timestamp,
    failures: u32,
    not_before: Option<Instant>,
    last: Option<Kind>,
}

impl Waiting {
    fn new(work: Work, since: Timestamp) -> Self {
        Self { work, since, failures: 0, not_before: None, last: None }
    }

    fn pause(&mut self) {
        self.failures += 1;
        self.not_before = Some(Instant::now() + backoff::pause(self.failures, random()));
    }
}

/// The end of some work, of a job, unless it is of the whole archive; and whether the storage was contacted.
type Done = (Option<JobId>, Work, Result<bool, StorageError>);

pub(super) struct Task {
    shared: Arc<Shared>,
    live: Arc<Live>,
    waiting: BTreeMap<JobId, Waiting>,
    running: JoinSet<Done>,
    /// What runs, by its task: a panic leaves nothing behind.
    tasks: HashMap<tokio::task::Id, Option<JobId>>,
    /// Failures of the storage in a row, and until when it rests.
    storage_failures: u32,
    rests_until: Option<Instant>,
    /// The version of the cache up to which changes were examined, and those that are not yet.
    version: u64,
    changed: Vec<JobId>,
    search_at: Instant,
    expire_at: Instant,
}

impl Task {
    pub(super) fn new(shared: Arc<Shared>, live: Arc<Live>) -> Self {
        let now = Instant::now();
        Self {
            shared,
            live,
            waiting: BTreeMap::new(),
            running: JoinSet::new(),
            tasks: HashMap::new(),
            storage_failures: 0,
            rests_until: None,
            version: 0,
            changed: Vec::new(),
            search_at: now,
            expire_at: now,
        }
    }

    /// Works until the server stops. Interrupted transfers are continued by the next server.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let mut changes = self.live.changes();
        loop {
            let pause = self.step().await;
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(done) = self.running.join_next_with_id() => match done {
                    Ok((task, done)) => {
                        self.tasks.remove(&task);
                        self.note(done);
                    }
                    Err(error) => {
                        let job = self.tasks.remove(&error.id()).flatten();
                        tracing::error!(?job, %error, "a transfer to the archive ended unexpectedly; it is repeated");
                        if let Some(waiting) = job.and_then(|id| self.waiting.get_mut(&id)) {
                            waiting.pause();
                        }
                    }
                },
                () = self.shared.wake.notified() => {}
                _ = changes.changed() => {
                    // Many changes are examined at once.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.running.shutdown().await;
    }

    /// Searches for work and begins it. Returns how long nothing more is to be done by itself.
    async fn step(&mut self) -> Duration {
        if !self.live.is_ready() {
            return Duration::from_millis(200);
        }
        self.find_removals().await;
        self.examine_changed().await;
        self.find_records().await;
        self.begin();
        self.publish();
        if self.changed.is_empty() { self.next_due() } else { Duration::ZERO }
    }

    /// Removals that were requested, also before the start.
    async fn find_removals(&mut self) {
        let uploads = self.shared.uploads.clone();
        let found = self.shared.pool.run(move || uploads.to_be_removed()).await;
        let Ok(Ok(found)) = found else { return };
        for id in found {
            let waiting = self.waiting.get(&id);
            if self.is_running(&id) || waiting.is_some_and(|job| job.work == Work::Remove) {
                continue;
            }
            self.waiting.insert(id, Waiting::new(Work::Remove, Utc::now()));
        }
    }

    /// Finished jobs that are not in the archive as they are.
    async fn examine_changed(&mut self) {
        let (changed, _, version) = self.live.changed_after(self.version);
        self.version = version;
        self.changed.extend(changed);
        let portion: Vec<_> = {
            let count = PORTION.min(self.changed.len());
            self.changed.drain(..count).collect()
        };
        if portion.is_empty() {
            return;
        }
        let (live, shared) = (Arc::clone(&self.live), Arc::clone(&self.shared));
        let examine = move || -> Vec<(JobId, Option<Timestamp>)> {
            let is_due = |id: &JobId| {
                let job = live.get(id).filter(|job| job.is_over())?;
                let is_done = shared.uploads.has_as_it_is(id, &shared.jobs.job(id));
                (!is_done).then(|| job.facts().completed_at.unwrap_or_else(Utc::now))
            };
            portion.into_iter().map(|id| (id.clone(), is_due(&id))).collect()
        };
        let Ok(examined) = self.shared.pool.run(examine).await else { return };
        for (id, since) in examined {
            match since {
                Some(since) if !self.is_running(&id) => {
                    self.waiting.entry(id).or_insert_with(|| Waiting::new(Work::Upload, since));
                }
                Some(_) => {}
                None => {
                    if self.waiting.get(&id).is_some_and(|job| job.work == Work::Upload) {
                        self.waiting.remove(&id);
                    }
                }
            }
        }
    }

    /// Archived jobs here that are not in the archive, because it was configured later, and what uploads left.
    async fn find_records(&mut self) {
        if Instant::now() < self.search_at {
            return;
        }
        self.search_at = Instant::now() + SEARCH_INTERVAL;
        let (shared, live) = (Arc::clone(&self.shared), Arc::clone(&self.live));
        let search = move || {
            let records = shared.archive.jobs().unwrap_or_default();
            let is_missing =
                |id: &JobId| live.get(id).is_none() && shared.uploads.mark(id).is_none();
            let found: Vec<_> = records.into_iter().filter(is_missing).collect();
            // A mark is needed as long as something of the job is here.
            for id in shared.uploads.marked().unwrap_or_default() {
                let is_here = live.get(&id).is_some() || shared.archive.record_path(&id).exists();
                if !is_here && shared.jobs.job(&id).path().symlink_metadata().is_err() {
                    let _ = shared.uploads.remove_mark(&id);
                }
            }
            for id in shared.uploads.workspaces().unwrap_or_default() {
                let is_here = live.get(&id).is_some() || shared.archive.record_path(&id).exists();
                if !is_here {
                    let _ = shared.uploads.remove_workspace(&id);
                }
            }
            found
        };
        for id in self.shared.pool.run(search).await.unwrap_or_default() {
            if !self.is_running(&id) {
                self.waiting.entry(id).or_insert_with(|| Waiting::new(Work::Upload, Utc::now()));
            }
        }
    }

    /// Begins the work that has waited for the longest time.
    fn begin(&mut self) {
        let now = Instant::now();
        if self.rests_until.is_some_and(|until| now < until) {
            return;
        }
        // One transfer finds out whether the storage works again.
        let is_broken = self.shared.with_state(|state| state.problem.is_some());
        let most = if is_broken { 1 } else { JOBS_AT_ONCE };
        let free = most.saturating_sub(self.tasks.len());
        let mut due: Vec<_> = self
            .waiting
            .iter()
            .filter(|(id, job)| job.not_before.is_none_or(|at| at <= now) && !self.is_running(id))
            .map(|(id, job)| (job.work, job.since, id))
            .collect();
        if free < due.len() {
            due.select_nth_unstable(free);
            due.truncate(free);
        }
        due.sort_unstable();
        let due: Vec<_> =
            due.into_iter().take(free).map(|(work, _, id)| (work, id.clone())).collect();
        for (work, id) in due {
            self.spawn(Some(id), work);
        }
        if self.tasks.is_empty() {
            if is_broken {
                self.spawn(None, Work::Check);
            } else if now >= self.expire_at {
                self.expire_at = now + EXPIRY_INTERVAL;
                self.spawn(None, Work::Expire);
            }
        }
    }

    fn spawn(&mut self, id: Option<JobId>, work: Work) {
        let (shared, of) = (Arc::clone(&self.shared), id.clone());
        let live = id.as_ref().and_then(|id| self.live.get(id));
        let task = self.running.spawn(async move {
            let outcome = match (&of, work) {
                (Some(id), Work::Upload) => Upload { shared, id: id.clone(), live }.run().await,
                (Some(id), _) => removal::remove(&shared, id).await.map(|()| true),
                (None, Work::Check) => shared.bucket.check().await.map(|()| true),
                (None, _) => removal::expire(&shared).await,
            };
            (of, work, outcome)
        });
        self.tasks.insert(task.id(), id);
    }

    /// What follows from the end of some work.
    fn note(&mut self, (id, work, outcome): Done) {
        match outcome {
            Ok(is_contacted) => {
                if is_contacted {
                    self.storage_failures = 0;
                    self.rests_until = None;
                    self.shared.note_success();
                }
                if let Some(id) = id {
                    self.waiting.remove(&id);
                    // It may have changed meanwhile.
                    if work == Work::Upload {
                        self.changed.push(id);
                    }
                }
            }
            Err(error) if error.kind.is_of_storage() => {
                self.shared.note_failure(&error);
                self.storage_failures += 1;
                let pause = backoff::pause(self.storage_failures, random());
                self.rests_until = Some(Instant::now() + pause);
            }
            Err(error) => {
                let Some((id, waiting)) =
                    id.and_then(|id| Some((id.clone(), self.waiting.get_mut(&id)?)))
                else {
                    return;
                };
                waiting.pause();
                if error.kind != Kind::Changed {
                    tracing::warn!(job = %id, %error, failures = waiting.failures, "a job cannot be archived; it stays here, and the server retries");
                }
                waiting.last = Some(error.kind);
            }
        }
    }

    fn publish(&self) {
        let removals = self.waiting.values().filter(|job| job.work == Work::Remove).count();
        let uploads = || self.waiting.values().filter(|job| job.work == Work::Upload);
        let failing = || self.waiting.values().filter(|job| job.failures > 1);
        self.shared.with_state(|state| {
            state.removals = removals;
            state.waiting = uploads().count();
            state.oldest = uploads().map(|job| job.since).min();
            state.failing = failing().count();
            state.last_failure = failing().find_map(|job| job.last);
        });
    }

    fn is_running(&self, id: &JobId) -> bool {
        self.tasks.values().any(|job| job.as_ref() == Some(id))
    }

    /// How long nothing happens by itself.
    fn next_due(&self) -> Duration {
        let now = Instant::now();
        let dues = self.waiting.values().filter_map(|job| job.not_before).chain(self.rests_until);
        let next =
            dues.map(|at| at.saturating_duration_since(now)).filter(|pause| !pause.is_zero()).min();
        next.unwrap_or(INTERVAL).min(INTERVAL)
    }
}

/// A random number between 0 and 1.
fn random() -> f64 {
    let mut bytes = [0; 4];
    // Without one, pauses are the shortest.
    let _ = SystemRandom::new().fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
