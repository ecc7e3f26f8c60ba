//! Jobs whose repositories have to be listed by their forge.
//!
//! Input: jobs with incomplete plans, and lists of repositories. Output: requests to the planner;
//! complete plans on the disk; queued repositories.
//!
//! Invariants: only the loop sends requests to the planner, at most one at a time for each job; a
//! cancelled job needs no plan.

use super::Actor;
use crate::{
    model::{JobId, master::ScanType, plan::Plan},
    store::StoreError,
    supervisor::{
        job::{Planned, Planning},
        job_steps::Step,
        scheduler::Event,
    },
};
use chrono::Utc;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

impl Actor {
    /// Requests a job's repositories from the planner if its plan is incomplete. Returns whether it
    /// is incomplete.
    pub(super) fn begin_planning(&mut self, id: &JobId) -> bool {
        let Some(job) = self.jobs.get_mut(id).filter(|job| !job.is_planned()) else { return false };
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

    /// Takes in a job's repositories, or why they cannot be listed.
    pub(super) fn listed(
        &mut self,
        id: &JobId,
        planned: Planned,
        answer: oneshot::Sender<Result<(), StoreError>>,
    ) {
        match planned {
            Planned::Repositories { scan_type, plan } => {
                self.push(id, Step::Plan(scan_type, plan, answer));
            }
            Planned::Failed(error) => {
                if let Some(job) = self.jobs.get_mut(id).filter(|job| job.is_being_listed()) {
                    job.planning = None;
                    tracing::warn!(job = %id, error, "cannot list the job's repositories; the job fails");
                    job.fail(error, Utc::now());
                    self.on(Event::PlanFailed(id.clone()));
                }
                let _ = answer.send(Ok(()));
            }
        }
    }

    /// A job's plan is on the disk: queues its repositories.
    pub(super) fn planned(&mut self, id: &JobId, scan_type: ScanType, plan: &Plan) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        job.planning = None;
        job.master.scan_type = Some(scan_type);
        job.take_plan(plan);
        job.describe_waiting();
        let is_single = job.is_single();
        let (mut queued, mut refused) = (Vec::new(), Vec::new());
        for (index, row) in plan.counted() {
            match &row.refused {
                Some(reason) => refused.push((index, reason.clone())),
                None => queued.push(index),
            }
        }
        tracing::info!(job = %id, repositories = queued.len(), refused = refused.len(), "job planned");
        // Clients that follow the job see the names.
        self.write_master(id);
        let ending = refused.len();
        self.refuse(id.clone(), refused);
        if is_single {
            self.on(Event::IsSingle(id.clone()));
        }
        self.note_targets(id, &queued);
        self.on(Event::Planned { job: id.clone(), queued, ending });
    }
}
