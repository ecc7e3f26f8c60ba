//! The periodic clean-up: removes expired jobs and files that crashed processes left.
//!
//! Input: the cached jobs and the time. Output: remove commands for the supervisor, which alone
//! removes jobs. Invariants: a job's files determine when it finished; jobs of other programs are
//! treated like our own.

use crate::{
    archive::ObjectArchive,
    config::CurrentConfig,
    live::{ArchivedJobs, Live, LiveJob, Nudger, PackageIndexes, Plans, Results},
    model::{
        JobId,
        time::{self, Timestamp},
    },
    pool::Pool,
    store::{
        archive::ArchiveHeader,
        chain,
        layout::{JobFile, JobsDir},
        results::{Removed, ResultStore},
        retention::{self, Clock},
        trash,
    },
    supervisor::Supervisor,
    sys,
    webhooks::Webhooks,
};
use chrono::Utc;
use std::{
    collections::BTreeSet,
    ffi::OsString,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// The interval for removing files that killed processes left in `.staging`, and for packing idle
/// jobs.
const SWEEP_INTERVAL: Duration = Duration::from_secs(15);
/// The pause before checking again whether the first read of the disk is done.
const UNREADY_PAUSE: Duration = Duration::from_millis(200);

/// The clean-up task and what it needs.
pub(super) struct CleanUp {
    pub(super) live: Arc<Live>,
    pub(super) nudger: Nudger,
    pub(super) results: Arc<Results>,
    pub(super) packages: Arc<PackageIndexes>,
    pub(super) plans: Arc<Plans>,
    pub(super) archived: Arc<ArchivedJobs>,
    pub(super) supervisor: Supervisor,
    pub(super) jobs: JobsDir,
    /// How long a finished job is kept: `jobs.retention`.
    pub(super) config: CurrentConfig,
    /// A job is removed after its events are recorded.
    pub(super) webhooks: Webhooks,
    /// A job is removed after it is in the archive.
    pub(super) archive: Option<ObjectArchive>,
    pub(super) pool: Pool,
}

impl CleanUp {
    /// Cleans up at once, and then at an interval, without an end.
    pub(super) async fn run(self, every: Duration) {
        let mut clock = Clock::new(Utc::now(), sys::since_boot());
        let mut clock_of_results = Clock::new(Utc::now(), sys::since_boot());
        let mut interval = interval_at(Instant::now(), every);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sweeps = interval_at(Instant::now() + SWEEP_INTERVAL, SWEEP_INTERVAL);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = BTreeSet::new();
        let mut retry_pause = SWEEP_INTERVAL;
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                _ = sweeps.tick() => {
                    self.results.forget_idle();
                    self.packages.forget_idle();
                    self.plans.forget_idle();
                    self.archived.forget_idle();
                    self.pack_idle().await;
                    seen = self.sweep(seen).await;
                    continue;
                }
            }
            if !self.live.is_ready() {
                // The disk is not read yet, and the regular interval may be an hour: check again
                // soon.
                interval.reset_after(UNREADY_PAUSE);
                continue;
            }
            let retention = self.config.get().jobs.retention;
            let mut problems = Vec::new();
            if clock.is_trusted(Utc::now(), sys::since_boot(), retention) {
                problems.extend(self.remove_expired(retention).await);
            }
            let retention = self.config.get().jobs.results_retention;
            if clock_of_results.is_trusted(Utc::now(), sys::since_boot(), retention) {
                self.clean_results(retention).await;
                problems.extend(self.clean_archive(retention).await);
            }
            if problems.is_empty() {
                retry_pause = SWEEP_INTERVAL;
            } else {
                // The next clean-up may be an hour away, and the problem be gone in a moment.
                interval.reset_after(retry_pause.min(every));
                retry_pause = (retry_pause * 2).min(every.max(SWEEP_INTERVAL));
            }
            self.archived.note_problem(problems.into_iter().next());
            seen = self.sweep(seen).await;
            self.sweep_kept().await;
        }
    }

    /// Removes stored results that were not used for the retention time.
    async fn clean_results(&self, retention: Duration) {
        let store = ResultStore::of(&self.jobs);
        match self.pool.run(move || store.clean(retention, SystemTime::now())).await {
            Ok(Ok(removed)) if removed != Removed::default() => tracing::info!(
                targets = removed.records,
                results = removed.results,
                "stored results removed that were outdated or not used"
            ),
            Ok(Err(error)) => tracing::warn!(
                error = chain(&error),
                "cannot remove outdated results in .results; the next clean-up retries"
            ),
            Ok(Ok(_)) | Err(_) => {}
        }
    }

    async fn sweep_kept(&self) {
        let jobs = self.jobs.clone();
        let swept = self.pool.run(move || trash::sweep_kept(&jobs)).await;
        if let Ok(Err(error)) = swept {
            tracing::warn!(
                error = chain(&error),
                "cannot remove outdated records in .attempts; the next clean-up retries"
            );
        }
    }

    /// Removes files in `.staging` that already existed at the previous sweep, and returns those
    /// that exist now. Age alone is not enough: if the clock is ahead of the disk's, new files look
    /// old.
    async fn sweep(&self, seen: BTreeSet<OsString>) -> BTreeSet<OsString> {
        let jobs = self.jobs.clone();
        let swept = self.pool.run(move || {
            let now = trash::staged(&jobs);
            sweep(&jobs, Some(&seen));
            now
        });
        swept.await.unwrap_or_default()
    }

    /// Packs idle jobs, so that they take less memory.
    async fn pack_idle(&self) {
        let live = Arc::clone(&self.live);
        let _ = self.pool.run(move || live.pack_idle()).await;
    }

    /// Removes the jobs that have expired, and archives them before, unless results are not kept. Returns what failed.
    async fn remove_expired(&self, retention: Duration) -> Option<String> {
        let (live, jobs) = (Arc::clone(&self.live), self.jobs.clone());
        let results_retention = self.config.get().jobs.results_retention;
        let expired = self.pool.run(move || expired(&live, &jobs, retention)).await;
        let mut failed = 0_usize;
        for (job, ended_at) in expired.unwrap_or_default() {
            let id = job.id();
            if !self.webhooks.has_recorded(id) {
                continue;
            }
            if let Some(archive) = &self.archive
                && !archive.may_remove(id).await
            {
                continue;
            }
            let header = header(&job, ended_at, results_retention, Utc::now());
            let is_archived = header.is_some();
            let removed = match header {
                Some(header) => {
                    self.archived.note_archiving(id);
                    self.supervisor.retire(header).await
                }
                None => self.supervisor.remove(id).await,
            };
            match removed {
                Ok(()) if is_archived => {
                    tracing::info!(job = %id, "expired job archived and removed");
                }
                Ok(()) => tracing::info!(job = %id, "expired job removed"),
                Err(error) => {
                    failed += 1;
                    tracing::error!(job = %id, error = chain(&error), "cannot archive or remove an expired job; the next clean-up retries");
                }
            }
            self.nudger.nudge(id).await;
        }
        (failed > 0).then(|| {
            format!("{failed} expired jobs cannot be archived or removed, so their files stay; the log names each job and the cause")
        })
    }

    /// Removes archived jobs that have expired, and the files that no archived job uses any more. Returns what failed.
    async fn clean_archive(&self, retention: Duration) -> Option<String> {
        let archived = Arc::clone(&self.archived);
        let cleaned = self
            .pool
            .run({
                let storage = self.archive.clone();
                move || {
                    let may_go =
                        |id: &JobId| storage.as_ref().is_none_or(|storage| storage.may_forget(id));
                    archived.clean(retention, Utc::now(), &may_go)
                }
            })
            .await;
        match cleaned {
            Ok(Ok((0, 0))) | Err(_) => None,
            Ok(Ok((jobs, files))) => {
                tracing::info!(jobs, files, "archived jobs and files removed that have expired");
                None
            }
            Ok(Err(error)) => {
                tracing::warn!(
                    error = chain(&error),
                    "cannot clean up archived jobs in .results; the next clean-up retries"
                );
                Some(
                    "archived jobs cannot be cleaned up; the log names the file and the cause"
                        .to_owned(),
                )
            }
        }
    }
}

fn expired(
    live: &Live,
    jobs: &JobsDir,
    retention: Duration,
) -> Vec<(Arc<LiveJob>, Option<Timestamp>)> {
    let with_end = |job: Arc<LiveJob>| {
        let facts = job.facts();
        let ended_at = facts.state.is_final().then(|| ended_at(&job, jobs)).flatten();
        let is_expired = retention::is_expired(&facts, ended_at, retention, Utc::now());
        is_expired.then_some((job, ended_at))
    };
    live.all().into_iter().filter_map(with_end).collect()
}

/// The first line of the archive record of an expired job; `None` if the record would have expired too.
fn header(
    job: &LiveJob,
    ended_at: Option<Timestamp>,
    results_retention: Duration,
    now: Timestamp,
) -> Option<ArchiveHeader> {
    let ended_at = ended_at?;
    let expires_at = time::later(ended_at, results_retention);
    let error = job.error_message();
    let times = [ended_at, expires_at];
    (expires_at > now).then(|| ArchiveHeader::of(&job.facts(), error.as_deref(), times, now))
}

/// When a finished job was completed: its `completed_at`; otherwise, because other programs omit
/// it, the newest time in its files; otherwise the modification time of master.json.
fn ended_at(job: &LiveJob, jobs: &JobsDir) -> Option<Timestamp> {
    let written = || {
        let master = jobs.job(job.id()).file(JobFile::Master);
        std::fs::symlink_metadata(master)
            .and_then(|metadata| metadata.modified())
            .ok()
            .map(Timestamp::from)
    };
    job.facts().completed_at.or_else(|| job.newest_time()).or_else(written)
}

/// Removes leftovers in `.staging`. A failure is only logged, and the next sweep retries.
pub(super) fn sweep(jobs: &JobsDir, among: Option<&BTreeSet<OsString>>) {
    if let Err(error) = trash::sweep(jobs, among) {
        tracing::warn!(
            error = chain(&error),
            "cannot remove leftovers in .staging; the next sweep retries"
        );
    }
}
