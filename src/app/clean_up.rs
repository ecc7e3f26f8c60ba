//! The clean-up: finished jobs whose time is over go, and so does what crashes left.
//!
//! What flows in: what is known of the jobs, and time. What flows out: wishes to the supervisor,
//! which alone removes jobs. What must stay true: what an end is, is said by the job's files; a
//! job of another program is treated as one of ours.

use crate::{
    live::{Live, LiveJob, Nudger, Plans, Results},
    model::{JobId, time::Timestamp},
    pool::Pool,
    store::{
        chain,
        layout::{JobFile, JobsDir},
        retention::{self, Clock},
        trash,
    },
    supervisor::Supervisor,
    sys,
};
use chrono::Utc;
use std::{collections::BTreeSet, ffi::OsString, sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How often is looked for what a killed process left in `.staging`, and for what nobody has asked
/// for since the last look.
const SWEEP_INTERVAL: Duration = Duration::from_secs(15);
/// How long the first clean-up waits for the disk to be read, each time it looks.
const UNREADY_PAUSE: Duration = Duration::from_millis(200);

/// What a clean-up works with.
pub(super) struct CleanUp {
    pub(super) live: Arc<Live>,
    pub(super) nudger: Nudger,
    pub(super) results: Arc<Results>,
    pub(super) plans: Arc<Plans>,
    pub(super) supervisor: Supervisor,
    pub(super) jobs: JobsDir,
    /// How long a finished job is kept.
    pub(super) retention: Duration,
    pub(super) pool: Pool,
}

impl CleanUp {
    /// Cleans up at once, and then at an interval, for ever.
    pub(super) async fn run(self, every: Duration) {
        let mut clock = Clock::new(Utc::now(), sys::since_boot());
        let mut interval = interval_at(Instant::now(), every);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sweeps = interval_at(Instant::now() + SWEEP_INTERVAL, SWEEP_INTERVAL);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = BTreeSet::new();
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                _ = sweeps.tick() => {
                    self.results.forget_idle();
                    self.plans.forget_idle();
                    self.rest_idle().await;
                    seen = self.sweep(seen).await;
                    continue;
                }
            }
            if !self.live.is_ready() {
                // Nothing is known yet, and the next turn may be an hour away.
                interval.reset_after(UNREADY_PAUSE);
                continue;
            }
            if clock.is_trusted(Utc::now(), sys::since_boot(), self.retention) {
                self.remove_expired().await;
            }
            seen = self.sweep(seen).await;
            self.sweep_kept().await;
        }
    }

    async fn sweep_kept(&self) {
        let jobs = self.jobs.clone();
        let swept = self.pool.run(move || trash::sweep_kept(&jobs)).await;
        if let Ok(Err(error)) = swept {
            tracing::warn!(error = chain(&error), "cannot sweep .attempts");
        }
    }

    /// Sweeps `.staging` of what was there at the last look too: by a clock that is ahead of the
    /// disk's, also what is being written just now looks old. Says what is there now.
    async fn sweep(&self, seen: BTreeSet<OsString>) -> BTreeSet<OsString> {
        let jobs = self.jobs.clone();
        let swept = self.pool.run(move || {
            let now = trash::staged(&jobs);
            sweep(&jobs, Some(&seen));
            now
        });
        swept.await.unwrap_or_default()
    }

    /// Has the jobs that nobody asks for take less memory.
    async fn rest_idle(&self) {
        let live = Arc::clone(&self.live);
        let _ = self.pool.run(move || live.rest_idle()).await;
    }

    async fn remove_expired(&self) {
        let (live, jobs, retention) = (Arc::clone(&self.live), self.jobs.clone(), self.retention);
        let expired = self.pool.run(move || expired(&live, &jobs, retention)).await;
        for id in expired.unwrap_or_default() {
            match self.supervisor.remove(&id).await {
                Ok(()) => tracing::info!(%id, "removed an expired job"),
                Err(error) => {
                    tracing::error!(%id, error = chain(&error), "cannot remove an expired job");
                }
            }
            self.nudger.nudge(&id).await;
        }
    }
}

fn expired(live: &Live, jobs: &JobsDir, retention: Duration) -> Vec<JobId> {
    let is_expired = |job: &Arc<LiveJob>| {
        let facts = job.facts();
        facts.state.is_final()
            && retention::is_expired(&facts, ended_at(job, jobs), retention, Utc::now())
    };
    live.all().iter().filter(|job| is_expired(job)).map(|job| job.id().clone()).collect()
}

/// When a finished job ended: by its own word; else, for other programs leave it out, the newest
/// time that its files name; and where they name none, when the last word was written.
fn ended_at(job: &LiveJob, jobs: &JobsDir) -> Option<Timestamp> {
    let written = || {
        let master = jobs.job(job.id()).file(JobFile::Master);
        std::fs::symlink_metadata(master).and_then(|it| it.modified()).ok().map(Timestamp::from)
    };
    job.facts().completed_at.or_else(|| job.newest_time()).or_else(written)
}

/// What cannot be removed now is no reason not to work; it is tried again at the next clean-up.
pub(super) fn sweep(jobs: &JobsDir, among: Option<&BTreeSet<OsString>>) {
    if let Err(error) = trash::sweep(jobs, among) {
        tracing::warn!(error = chain(&error), "cannot sweep .staging");
    }
}
