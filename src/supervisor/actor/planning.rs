//! Jobs whose repositories have to be listed by their forge.
//!
//! Input: jobs with incomplete plans, and pages of repositories. Output: requests to the planner;
//! plans on the disk; queued repositories.
//!
//! Invariants: only the loop sends requests to the planner, at most one at a time for each job; a
//! repository is queued once its page is durable; a cancelled job needs no plan.

use super::Actor;
use crate::{
    model::{JobId, listing::ListingError},
    store::StoreError,
    supervisor::{
        job::{Planned, Planning},
        job_steps::{PlanToStore, Step},
        scheduler::Event,
    },
};
use chrono::Utc;
use std::time::Duration;
use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::CancellationToken;

/// The minimum time between two writes of a job's `repositories.json` while its list goes on.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);
/// The minimum of this time in multiples of the time that a write takes, which grows with the list.
const PUBLISH_FACTOR: u32 = 10;

impl Actor {
    /// Requests a job's repositories from the planner unless they are listed. Returns whether they
    /// are to be listed.
    pub(super) fn begin_planning(&mut self, id: &JobId) -> bool {
        let Some(job) = self.jobs.get_mut(id).filter(|job| job.master.discovering) else {
            return false;
        };
        let stop = CancellationToken::new();
        job.planning = Some(stop.clone());
        let planning = Planning {
            id: id.clone(),
            url: job.master.group_url.clone().unwrap_or_default(),
            options: job.master.options.clone().unwrap_or_default(),
            stop,
        };
        // While the server stops, nothing is listed; the next server requests the list again.
        if self.stop.is_none() {
            let _ = self.planner.send(planning);
        }
        true
    }

    /// Takes in a part of a job's list, or why there is none.
    pub(super) fn listed(
        &mut self,
        id: &JobId,
        planned: Planned,
        answer: oneshot::Sender<Result<(), StoreError>>,
    ) {
        let Planned::Failed(error) = planned else {
            return self.push(id, Step::Plan(planned, answer));
        };
        if let Some(job) = self.jobs.get_mut(id).filter(|job| job.is_being_listed()) {
            tracing::warn!(job = %id, error, "cannot list the job's repositories; the job fails");
            job.fail(error, Utc::now());
            self.on(Event::PlanFailed(id.clone()));
        }
        let _ = answer.send(Ok(()));
    }

    /// Begins to store a part of a job's plan; `None` if the plan is no longer needed.
    pub(super) fn plan_to_store(&mut self, id: &JobId) -> Option<PlanToStore> {
        let folder = self.setup.jobs.job(id);
        let job = self.jobs.get_mut(id).filter(|job| job.planning.is_some())?;
        let publish = job.publish_at.is_none_or(|at| at <= Instant::now());
        let master = job.master.scan_type.is_none().then(|| job.master.clone());
        Some(PlanToStore { folder, master, publish })
    }

    /// A part of a job's plan is on the disk: queues its repositories. `took`: how long it took to
    /// write `repositories.json`, if it was written.
    pub(super) fn planned(&mut self, id: &JobId, planned: Planned, took: Option<Duration>) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let is_first = job.master.scan_type.is_none();
        job.master.scan_type.get_or_insert(planned.scan_type());
        if let Some(took) = took {
            job.publish_at = Some(Instant::now() + PUBLISH_INTERVAL.max(took * PUBLISH_FACTOR));
        }
        let mut more = false;
        let rows = match planned {
            Planned::Repository(plan) => plan.repositories,
            Planned::Page(page) => {
                for error in page.errors {
                    job.note_listing_error(error);
                }
                more = true;
                page.repositories
            }
            Planned::Ended(error) => {
                if let Some(ListingError { request, error, .. }) = &error {
                    tracing::warn!(job = %id, request, error, "the list of the job's repositories ends early; what was listed is scanned");
                }
                if let Some(error) = error {
                    job.note_listing_error(error);
                }
                Vec::new()
            }
            Planned::Complete | Planned::Failed(_) => Vec::new(),
        };
        job.take_rows(&rows);
        if !more {
            job.end_listing();
            let repositories = job.repositories.len();
            let skipped = job.master.skipped_repositories;
            tracing::info!(job = %id, repositories, skipped, "job planned");
        }
        job.describe_waiting();
        let is_single = job.is_single();
        let (mut queued, mut refused) = (Vec::new(), Vec::new());
        for row in rows {
            match (row.repo_index, row.refused) {
                (Some(index), Some(reason)) => refused.push((index, reason)),
                (Some(index), None) => queued.push(index),
                (None, _) => {}
            }
        }
        if is_first || !more {
            // Clients that follow the job see the names.
            self.write_master(id);
        }
        let ending = refused.len();
        self.refuse(id.clone(), refused);
        if is_single {
            self.on(Event::IsSingle(id.clone()));
        }
        self.note_targets(id, &queued);
        self.on(Event::Planned { job: id.clone(), queued, ending, more });
    }
}
