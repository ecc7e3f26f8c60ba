//! What the loop does about jobs whose repositories are found out later, and about finished ones that
//! are to go on.
//!
//! What flows in: what a forge has told of a job, and wishes to scan again what failed. What flows
//! out: plans on the disk, queued repositories, answers.
//!
//! What must stay true: what is written comes in an order in which a crash between any two files is
//! found, and put right, by the next server; nothing else happens to a job while it is revived.

use super::{
    actor::Actor,
    handle::Retried,
    job::{Job, Planned},
    revival::{self, Revival},
    scheduler::Event,
};
use crate::{
    model::JobId,
    store::{StoreError, atomic::Durability},
};
use chrono::Utc;
use tokio::{sync::oneshot, task::spawn_blocking};

/// A finished job that was read, and perhaps written, to go on; and who waits for the answer.
pub(super) type Revived = (JobId, oneshot::Sender<Retried>, Result<Revival, StoreError>);

impl Actor {
    /// Takes in which repositories a job has, or that it has none.
    ///
    /// Master is written before the plan: a crash in between leaves an incomplete plan, and what
    /// a job has is found out anew.
    pub(super) async fn planned(&mut self, id: &JobId, planned: Planned) -> Result<(), StoreError> {
        let wanted = |job: &&mut Job| job.planning.is_some();
        let Some(job) = self.jobs.get_mut(id).filter(wanted) else { return Ok(()) };
        let (scan_type, plan) = match planned {
            Planned::Repositories { scan_type, plan } => (scan_type, plan),
            Planned::Failed(error) => {
                tracing::warn!(%id, error, "the job's repositories could not be found out");
                job.planning = None;
                job.fail(error, Utc::now());
                self.on(Event::PlanFailed(id.clone())).await;
                return Ok(());
            }
        };
        let mut master = job.master.clone();
        master.scan_type = Some(scan_type);
        let folder = self.setup.jobs.job(id);
        let written = {
            let (master, plan) = (master.clone(), plan.clone());
            spawn_blocking(move || {
                folder.write_master(&master, Durability::Flushed)?;
                folder.write_plan(&plan)
            })
        };
        written.await.map_err(|error| {
            StoreError::at("write the plan of", self.setup.jobs.job(id).path())(error.into())
        })??;
        let Some(job) = self.jobs.get_mut(id) else { return Ok(()) };
        job.planning = None;
        job.master = master;
        job.take_plan(&plan);
        let (mut queued, mut refused) = (Vec::new(), Vec::new());
        for (index, row) in plan.counted() {
            match &row.refused {
                Some(reason) => refused.push((index, reason.clone())),
                None => queued.push(index),
            }
        }
        tracing::info!(%id, repositories = queued.len(), refused = refused.len(), "job planned");
        // The names are news to whoever follows the job.
        let _ = self.write_master(id).await;
        let ending = refused.len();
        self.refuse(id.clone(), refused);
        self.on(Event::Planned { job: id.clone(), queued, ending }).await;
        Ok(())
    }

    /// Begins to revive a finished job; what else is wished of it waits until that is done.
    pub(super) fn retry(&mut self, id: JobId, answer: oneshot::Sender<Retried>) {
        if self.stop.is_some() || self.jobs.contains_key(&id) {
            let stops = self.stop.is_some();
            let _ = answer.send(if stops { Retried::Stopped } else { Retried::Running });
            return;
        }
        self.reviving.insert(id.clone(), Vec::new());
        let setup = self.setup.clone();
        self.revivals.spawn(async move {
            let revived = {
                let id = id.clone();
                spawn_blocking(move || revival::revive(&setup, &id)).await
            };
            let revived = revived
                .unwrap_or_else(|error| Err(StoreError::at("read", id.as_str())(error.into())));
            (id, answer, revived)
        });
    }

    pub(super) async fn revived(&mut self, (id, answer, revived): Revived) {
        let waiting = self.reviving.remove(&id).unwrap_or_default();
        let outcome = match revived {
            Ok(Revival::Job(job)) => {
                tracing::info!(%id, "what failed of the job is scanned again");
                let planning = job.planning.clone();
                self.resume(*job).await;
                Retried::GoesOn(planning)
            }
            Ok(Revival::NothingFailed) => Retried::NothingFailed,
            Ok(Revival::NotOurs) => Retried::NotOurs,
            Err(error) => Retried::Failed(error),
        };
        let _ = answer.send(outcome);
        for command in waiting {
            Box::pin(self.obey(command)).await;
        }
    }
}
