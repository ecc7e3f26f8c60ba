//! Finds out which repositories the jobs have whose forge has to be asked: a few at a time, each
//! in a task of its own.
//!
//! What flows in: jobs on the disk whose plan is not complete. What flows out: their plans, or why
//! there is none, to the supervisor. What must stay true: a job that waits for its plan is in one
//! task's hands until the supervisor has taken the answer, or nobody wants it any more; a disk
//! that is full for a while costs time, and never the answer.

use super::{
    discovery::{Discovery, Listing},
    target::Target,
};
use crate::{
    model::master::ScanType,
    store::chain,
    supervisor::{Planned, Planning, Supervisor},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::sleep};
use tokio_util::task::TaskTracker;

/// How many jobs are found out at once: forges count how often they are asked.
const AT_ONCE: usize = 4;
/// The pauses while the disk refuses a plan: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Hands plans to the supervisor. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Planner {
    discovery: Discovery,
    supervisor: Supervisor,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Planner {
    pub(super) fn new(discovery: Discovery, supervisor: Supervisor, tasks: TaskTracker) -> Self {
        Self { discovery, supervisor, places: Arc::new(Semaphore::new(AT_ONCE)), tasks }
    }

    /// Begins to find out what `target` has, for a job that the supervisor knows.
    pub(super) fn begin(&self, target: Target, planning: Planning) {
        let this = self.clone();
        self.tasks.spawn(async move {
            let stop = planning.stop.clone();
            let _ = stop.run_until_cancelled(this.plan(&target, &planning)).await;
        });
    }

    /// Says of a job that it has no plan, and why.
    pub(super) fn give_up(&self, planning: Planning, why: String) {
        let this = self.clone();
        self.tasks.spawn(async move {
            let stop = planning.stop.clone();
            let _ = stop.run_until_cancelled(this.tell(&planning, Planned::Failed(why))).await;
        });
    }

    async fn plan(&self, target: &Target, planning: &Planning) {
        // Never closed.
        let _place = self.places.acquire().await;
        let id = &planning.id;
        tracing::info!(%id, url = planning.url, "asking the forge for the job's repositories");
        let found = |count| self.supervisor.note_found(id, count);
        let planned = match self.discovery.list(target, &planning.options, found).await {
            Ok(Listing::Repository(plan)) => {
                Planned::Repositories { scan_type: ScanType::Repository, plan }
            }
            Ok(Listing::Group(plan)) => Planned::Repositories { scan_type: ScanType::Group, plan },
            Err(error) => Planned::Failed(chain(&error)),
        };
        self.tell(planning, planned).await;
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
