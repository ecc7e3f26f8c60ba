//! Lists the repositories of jobs on their forges, each job in a task of its own.
//!
//! Input: jobs with incomplete plans, from the supervisor. Output: their plans, or an error, for
//! the supervisor. Invariants: a job that waits for its plan belongs to one task until the
//! supervisor has taken the answer or the job is cancelled; a slow forge delays only the jobs of
//! that forge, and they report it; a full disk delays an answer but never loses it.

use super::{
    discovery::{Discovery, Listing},
    target::Target,
};
use crate::{
    config::CurrentConfig,
    model::{address::Origin, master::ScanType},
    store::chain,
    supervisor::{Planned, Planning, Supervisor},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::sleep,
};
use tokio_util::task::TaskTracker;

/// How many groups of one forge are listed concurrently, because forges limit the request rate.
const MAX_LISTINGS_PER_FORGE: usize = 4;
/// The first and the longest pause between two attempts to store a plan.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Lists groups and delivers their plans to the supervisor. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Planner {
    config: CurrentConfig,
    discovery: Discovery,
    supervisor: Supervisor,
    forges: Arc<Mutex<HashMap<Origin, Arc<Semaphore>>>>,
}

impl Planner {
    /// Starts to plan the jobs that arrive, until the supervisor has ended.
    pub(super) fn start(
        config: &CurrentConfig,
        supervisor: Supervisor,
        mut plannings: mpsc::UnboundedReceiver<Planning>,
        tasks: &TaskTracker,
    ) {
        let this = Self {
            config: config.clone(),
            discovery: Discovery::new(config.get()),
            supervisor,
            forges: Arc::default(),
        };
        let jobs = tasks.clone();
        tasks.spawn(async move {
            while let Some(planning) = plannings.recv().await {
                let this = this.clone();
                jobs.spawn(async move {
                    let stop = planning.stop.clone();
                    let _ = stop.run_until_cancelled(this.plan(&planning)).await;
                });
            }
        });
    }

    async fn plan(&self, planning: &Planning) {
        let planned = match Target::parse(&planning.url, &self.config.get()) {
            Ok(target) => self.list(&target, planning).await,
            // The settings have changed since the job was accepted.
            Err(error) => Planned::Failed(error.to_string()),
        };
        self.deliver(planning, planned).await;
    }

    async fn list(&self, target: &Target, planning: &Planning) -> Planned {
        let id = &planning.id;
        let _permit = self.permit(target, planning).await;
        tracing::info!(job = %id, url = planning.url, "listing the repositories of the job");
        let found = |count| self.supervisor.note_found(id, count);
        // The settings may have changed since the start.
        let discovery = self.discovery.with_settings(self.config.get());
        let listing = discovery.list(target, &planning.options, found, planning.stop.clone()).await;
        match listing {
            Ok(Listing::Repository(plan)) => {
                Planned::Repositories { scan_type: ScanType::Repository, plan }
            }
            Ok(Listing::Group(plan)) => Planned::Repositories { scan_type: ScanType::Group, plan },
            Err(error) => Planned::Failed(chain(&error)),
        }
    }

    /// Waits for a listing permit of the forge; meanwhile the job reports what it waits for.
    async fn permit(&self, target: &Target, planning: &Planning) -> Option<OwnedSemaphorePermit> {
        let origin = target.origin()?;
        let forge = {
            let mut forges = self.forges.lock().unwrap_or_else(PoisonError::into_inner);
            let forge = forges.entry(origin.clone());
            Arc::clone(forge.or_insert_with(|| Arc::new(Semaphore::new(MAX_LISTINGS_PER_FORGE))))
        };
        if let Ok(permit) = Arc::clone(&forge).try_acquire_owned() {
            return Some(permit);
        }
        let reason = format!(
            "waiting for {origin}: {MAX_LISTINGS_PER_FORGE} other groups of this forge are being listed"
        );
        tracing::info!(job = %planning.id, reason, "the repositories of the job's group cannot be listed yet");
        self.supervisor.note_waiting(&planning.id, Some(reason)).await;
        // The semaphore is never closed.
        let permit = forge.acquire_owned().await.ok();
        self.supervisor.note_waiting(&planning.id, None).await;
        permit
    }

    /// Delivers a plan to the supervisor, and retries until the supervisor could store it.
    async fn deliver(&self, planning: &Planning, planned: Planned) {
        let mut pause = PAUSES.0;
        while let Err(error) = self.supervisor.planned(&planning.id, planned.clone()).await {
            tracing::error!(
                job = %planning.id,
                error = chain(&error),
                pause_ms = pause.as_millis(),
                "cannot store the plan of a job; retrying"
            );
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}
