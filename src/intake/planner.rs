//! Lists the repositories of the jobs whose forge has to be asked, each job in a task of its own.
//!
//! Input: jobs on the disk whose plans are not complete, from the supervisor. Output: their plans, or
//! why there is none, to the supervisor.
//!
//! Invariants: a job that waits for its plan belongs to one task until the supervisor has taken the
//! answer, or nobody wants it any more; a slow forge delays the jobs of that forge alone, and they
//! say so; a disk that is full for a while costs time, and never the answer.

use super::{
    discovery::{Discovery, Listing},
    target::Target,
};
use crate::{
    config::Config,
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

/// How many jobs of one forge are listed at once: forges limit how often they are asked.
const AT_ONCE: usize = 4;
/// The pauses while the disk refuses a plan: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Hands plans to the supervisor. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Planner {
    config: Arc<Config>,
    discovery: Discovery,
    supervisor: Supervisor,
    forges: Arc<Mutex<HashMap<Origin, Arc<Semaphore>>>>,
}

impl Planner {
    /// Starts to take in jobs, until the supervisor has ended.
    pub(super) fn start(
        config: &Arc<Config>,
        supervisor: Supervisor,
        mut plannings: mpsc::UnboundedReceiver<Planning>,
        tasks: &TaskTracker,
    ) {
        let this = Self {
            config: Arc::clone(config),
            discovery: Discovery::new(Arc::clone(config)),
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
        let planned = match Target::parse(&planning.url, &self.config) {
            Ok(target) => self.list(&target, planning).await,
            // The settings are others than those by which it was accepted.
            Err(error) => Planned::Failed(error.to_string()),
        };
        self.tell(planning, planned).await;
    }

    async fn list(&self, target: &Target, planning: &Planning) -> Planned {
        let id = &planning.id;
        let _permit = self.permit(target, planning).await;
        tracing::info!(%id, url = planning.url, "listing the job's repositories");
        let found = |count| self.supervisor.note_found(id, count);
        let listing =
            self.discovery.list(target, &planning.options, found, planning.stop.clone()).await;
        match listing {
            Ok(Listing::Repository(plan)) => {
                Planned::Repositories { scan_type: ScanType::Repository, plan }
            }
            Ok(Listing::Group(plan)) => Planned::Repositories { scan_type: ScanType::Group, plan },
            Err(error) => Planned::Failed(chain(&error)),
        }
    }

    /// Waits until the forge may be asked for one more job; the job says meanwhile what it waits for.
    async fn permit(&self, target: &Target, planning: &Planning) -> Option<OwnedSemaphorePermit> {
        let origin = target.origin()?;
        let forge = {
            let mut forges = self.forges.lock().unwrap_or_else(PoisonError::into_inner);
            let forge = forges.entry(origin.clone());
            Arc::clone(forge.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
        };
        if let Ok(permit) = Arc::clone(&forge).try_acquire_owned() {
            return Some(permit);
        }
        let reason = format!("waiting for {origin}: {AT_ONCE} other groups of it are being listed");
        tracing::info!(id = %planning.id, reason, "the job's listing waits");
        self.supervisor.note_waiting(&planning.id, Some(reason)).await;
        // Never closed.
        let permit = forge.acquire_owned().await.ok();
        self.supervisor.note_waiting(&planning.id, None).await;
        permit
    }

    /// Tells the supervisor until it has been able to write it down.
    async fn tell(&self, planning: &Planning, planned: Planned) {
        let mut pause = PAUSES.0;
        while let Err(error) = self.supervisor.planned(&planning.id, planned.clone()).await {
            tracing::error!(
                id = %planning.id,
                error = chain(&error),
                "cannot write a job's plan; it is tried again"
            );
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}
