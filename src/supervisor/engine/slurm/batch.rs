//! Submits attempts as arrays: several that wait become one call of `sbatch`.
//!
//! Input: tasks. Output: submitted elements. Invariants: the record and the task of every element are durable before Slurm
//! knows of the array, so a crash at any time loses no attempt; if Slurm refuses an array, or perhaps does, each task is taken back, and
//! one that cannot be taken back is running.

use super::hub::Hub;
use crate::{
    model::{
        attempt::{AttemptRecord, RemoteAttempt},
        element::{ArrayName, ElementName},
        task::ShimTask,
    },
    store::{StoreError, admission::ScanRegistration, attempt, trash},
    supervisor::RepoKey,
};
use std::{io, sync::Arc};
use tokio::sync::oneshot;

/// An attempt that is to be submitted.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) key: RepoKey,
    pub(super) task: Box<ShimTask>,
    /// `None` if the attempt waits: the disk has no room, or Slurm takes no jobs.
    pub(super) answer: oneshot::Sender<io::Result<Option<Submitted>>>,
}

/// An attempt that was submitted.
#[derive(Debug)]
pub(super) struct Submitted {
    pub(super) name: ElementName,
    pub(super) record: AttemptRecord,
    pub(super) registration: Arc<ScanRegistration>,
}

type Answer = oneshot::Sender<io::Result<Option<Submitted>>>;

/// Submits these attempts as one array.
pub(super) async fn submit(hub: Arc<Hub>, batch: Vec<Submission>) {
    let array = ArrayName::unique();
    let ready = if hub.may_submit() { prepare(&hub, &array, batch).await } else { Vec::new() };
    if ready.is_empty() {
        // The dropped senders answer that nothing has been submitted yet.
        return;
    }
    hub.follow(ready.iter().map(|(submitted, _)| submitted.name.clone()));
    let count = ready.len();
    let submitted = hub.commands.submit((&array, count), &hub.program, hub.elements.folder()).await;
    let is_submitted = submitted.is_ok();
    hub.note_submission(submitted);
    if is_submitted {
        tracing::info!(array = %array.job_name(), elements = count, "scans are submitted to Slurm");
    }
    for (submitted, answer) in ready {
        let is_taken_back = !is_submitted && take_back(&hub, &submitted.name).await;
        let _ = answer.send(Ok(Some(submitted).filter(|_| !is_taken_back)));
    }
}

/// Takes a task back. Returns whether no element can run it.
async fn take_back(hub: &Arc<Hub>, name: &ElementName) -> bool {
    let (elements, withdrawn) = (hub.elements.clone(), name.clone());
    let withdrawn = hub.pool.run(move || elements.withdraw(&withdrawn)).await;
    let is_withdrawn = matches!(withdrawn, Ok(Ok(true)));
    if is_withdrawn {
        hub.leave(name);
    }
    is_withdrawn
}

/// Writes tasks and records. Answers those that cannot be submitted.
async fn prepare(
    hub: &Arc<Hub>,
    array: &ArrayName,
    batch: Vec<Submission>,
) -> Vec<(Submitted, Answer)> {
    let (shared, array) = (Arc::clone(hub), array.clone());
    let write = move || {
        let mut ready: Vec<(Submitted, Answer)> = Vec::new();
        for Submission { key, task, answer } in batch {
            let index = u32::try_from(ready.len()).unwrap_or(u32::MAX);
            let name = ElementName { array: array.clone(), index };
            match write_one(&shared, &key, &task, name) {
                Ok(Some(submitted)) => ready.push((submitted, answer)),
                Ok(None) => drop(answer.send(Ok(None))),
                Err(error) => drop(answer.send(Err(io::Error::other(error)))),
            }
        }
        if let Err(error) = shared.elements.flush() {
            tracing::warn!(%error, "cannot make the tasks for Slurm durable; they are not submitted");
            for (submitted, answer) in ready.drain(..) {
                shared.elements.remove(&submitted.name);
                let _ = answer.send(Ok(None));
            }
        }
        ready
    };
    hub.pool.run(write).await.unwrap_or_default()
}

fn write_one(
    hub: &Hub,
    key: &RepoKey,
    task: &ShimTask,
    name: ElementName,
) -> Result<Option<Submitted>, StoreError> {
    let space = &hub.setup.space;
    if space.obstacle_to_scan().is_some() {
        return Ok(None);
    }
    let folder = hub.setup.jobs.job(&key.job);
    let scratch = trash::scratch(&folder, &key.job, key.index, task.scan.attempt);
    let registration = Arc::new(space.register(scratch));
    attempt::remove_order(&folder, key.index)?;
    let record = AttemptRecord {
        schema: 1,
        attempt: task.scan.attempt,
        interruptions: task.interruptions,
        retries: task.retries,
        alone: task.alone,
        started_at: chrono::Utc::now(),
        remote: Some(RemoteAttempt::of_element(name.clone(), None)),
    };
    let text = serde_json::to_vec(task).map_err(|error| {
        StoreError::at("write a task in", hub.elements.folder())(io::Error::from(error))
    })?;
    hub.elements.put(&name, &text)?;
    attempt::write(&folder, key.index, &record)?;
    // Only this record can mark an attempt as remote: no sandboxed scanner can write it.
    attempt::keep(&folder, key.index, &record)?;
    Ok(Some(Submitted { name, record, registration }))
}
