//! Runs: from the moment they are due until their job exists.
//!
//! Input: an entry with something to do. Output: its next record, on the disk, and a job.
//!
//! Invariants: a run is on the disk before its job is created; a job that exists is not created again; a run that cannot
//! start for a temporary reason is tried again until the next one is due.

use super::Task;
use crate::{
    intake::{Accepted, IntakeError, ScanRequest, ScheduledRun},
    model::{JobId, schedule::ScheduleName, time::Timestamp},
    schedules::{
        entry::Entry,
        record::{Cause, Pending, RunOutcome},
        rules::{self, Decision, Due, GRACE},
    },
    store::{StoreError, chain, plainly},
};
use chrono::Utc;
use tokio::time::Instant;

impl Task {
    /// Does one thing for a schedule.
    pub(super) async fn step(&mut self, name: &ScheduleName, now: Timestamp) {
        self.changed = true;
        let Some(entry) = self.entries.get(name) else { return };
        // First what was begun: the run that is due may depend on it.
        if entry.unsaved && entry.may_retry(Instant::now()) {
            let _ = self.save(name).await;
            return;
        }
        if let Some(due) = entry.due(name, now) {
            return self.on_due(name, due, now).await;
        }
        let starts = entry.record.pending.as_ref().is_some_and(|run| run.waits_for.is_none());
        if starts && entry.may_retry(Instant::now()) {
            let _ = self.start_pending(name).await;
        }
    }

    /// The time of a schedule has come.
    async fn on_due(&mut self, name: &ScheduleName, due: Due, now: Timestamp) {
        // A run whose job was created by a server that was killed is not pending any more.
        self.settle(name).await;
        let Some(entry) = self.entries.get(name) else { return };
        let unfinished = match entry.record.history.last_job.clone() {
            Some(job) if self.is_unfinished(&job).await => Some(job),
            _ => None,
        };
        let Some(entry) = self.entries.get_mut(name) else { return };
        let pending = entry.record.pending.as_ref();
        let decision = rules::decide(&entry.spec, due, now, unfinished.as_ref(), pending);
        let late = now - due.from > GRACE;
        entry.handle(name, due.at);
        let waits_for = match decision {
            Decision::Skip(reason) => {
                tracing::warn!(schedule = %name, due = %due.at, reason, "scheduled run skipped");
                entry.record.skip(due.at, reason);
                self.shared.count(RunOutcome::Skipped);
                let _ = self.save(name).await;
                return;
            }
            Decision::Start => None,
            Decision::Wait(job) => Some(job),
        };
        if let Some(pending) = entry.record.pending.take() {
            let reason = rules::replaced(&pending, due);
            tracing::warn!(schedule = %name, due = %pending.due, reason, "scheduled run skipped");
            entry.record.skip(pending.due, reason);
            self.shared.count(RunOutcome::Skipped);
        }
        if let Some(job) = &waits_for {
            tracing::info!(schedule = %name, due = %due.at, waits_for = %job, "scheduled run queued");
        }
        entry.note_success();
        entry.record.pending = Some(Pending {
            due: due.at,
            job_id: JobId::of_run(name.as_str(), due.at),
            cause: if late { Cause::CatchUp } else { Cause::Due },
            reason: waits_for
                .as_ref()
                .map(|job| format!("job {job} of the run before is not finished")),
            waits_for,
        });
        if self.save(name).await.is_ok() {
            let _ = self.start_pending(name).await;
        }
    }

    /// Takes note of a pending run whose job exists.
    async fn settle(&mut self, name: &ScheduleName) {
        let Some(pending) = self.entries.get(name).and_then(|entry| entry.record.pending.clone())
        else {
            return;
        };
        if self.exists(&pending.job_id).await {
            self.note_started(name, Utc::now()).await;
        }
    }

    /// Creates the job of the pending run, unless it waits for another job. `Ok(None)` if there is nothing to start, or
    /// the job existed.
    pub(super) async fn start_pending(
        &mut self,
        name: &ScheduleName,
    ) -> Result<Option<Accepted>, IntakeError> {
        self.settle(name).await;
        let Some(entry) = self.entries.get_mut(name) else { return Ok(None) };
        let Some(pending) = entry.record.pending.clone().filter(|run| run.waits_for.is_none())
        else {
            return Ok(None);
        };
        if entry.unsaved {
            return Ok(None);
        }
        if !entry.spec.enabled && pending.cause != Cause::Manual {
            entry.record.pending = None;
            entry.record.skip(pending.due, "the schedule was switched off".to_owned());
            entry.unsaved = true;
            self.shared.count(RunOutcome::Skipped);
            let _ = self.save(name).await;
            return Ok(None);
        }
        let request = ScanRequest {
            url: entry.spec.git_url.clone(),
            options: entry.spec.options.clone(),
            submitted_by: Some(format!("schedule:{name}")),
            run: Some(ScheduledRun { schedule: name.clone(), job_id: pending.job_id.clone() }),
        };
        let accepted = self.intake.accept(request).await;
        self.changed = true;
        let Some(entry) = self.entries.get_mut(name) else { return Ok(None) };
        match accepted {
            Ok(accepted) => {
                tracing::info!(schedule = %name, job = %accepted.job_id, due = %pending.due, cause = ?pending.cause, "scheduled run started");
                self.note_started(name, accepted.created_at).await;
                // A GET after this finds the job.
                self.nudger.nudge(&accepted.job_id).await;
                Ok(Some(accepted))
            }
            Err(error) if is_temporary(&error) => {
                let reason = error.to_string();
                tracing::warn!(schedule = %name, error = chain(&error), "a scheduled run cannot start yet; it is tried again");
                if let Some(pending) = &mut entry.record.pending {
                    pending.reason = Some(reason);
                }
                entry.note_failure();
                Err(error)
            }
            Err(error) => {
                tracing::error!(schedule = %name, error = chain(&error), "a scheduled run was refused");
                entry.record.failed(error.to_string());
                entry.unsaved = true;
                entry.note_success();
                self.shared.count(RunOutcome::Failed);
                let _ = self.save(name).await;
                Err(error)
            }
        }
    }

    async fn note_started(&mut self, name: &ScheduleName, created_at: Timestamp) {
        self.changed = true;
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.record.started(created_at);
        entry.unsaved = true;
        entry.note_success();
        self.shared.count(RunOutcome::Started);
        let _ = self.save(name).await;
    }

    /// Starts the runs whose turn has come. Returns whether there were any.
    pub(super) async fn start_freed(&mut self) -> bool {
        let waiting: Vec<(ScheduleName, JobId)> = self
            .entries
            .iter()
            .filter_map(|(name, entry)| {
                let job = entry.record.pending.as_ref()?.waits_for.clone()?;
                Some((name.clone(), job))
            })
            .collect();
        let mut freed = false;
        for (name, job) in waiting {
            if self.is_unfinished(&job).await {
                continue;
            }
            let Some(entry) = self.entries.get_mut(&name) else { continue };
            if let Some(pending) = &mut entry.record.pending {
                (pending.waits_for, pending.reason) = (None, None);
                (entry.unsaved, freed, self.changed) = (true, true, true);
                entry.note_success();
            }
        }
        freed
    }

    /// Writes the record of a schedule.
    pub(super) async fn save(&mut self, name: &ScheduleName) -> Result<(), StoreError> {
        self.changed = true;
        let Some(entry) = self.entries.get(name) else { return Ok(()) };
        let (files, file, record) = (self.files.clone(), name.clone(), entry.record.clone());
        let saved = self.on_disk(move || files.write_state(&file, &record)).await;
        let Some(entry) = self.entries.get_mut(name) else { return saved };
        note_saved(name, entry, &saved);
        saved
    }
}

fn note_saved(name: &ScheduleName, entry: &mut Entry, saved: &Result<(), StoreError>) {
    match saved {
        Ok(()) => {
            entry.unsaved = false;
            if entry.unsavable.take().is_some() {
                tracing::info!(schedule = %name, "the state of the schedule was stored; the earlier error is resolved");
                entry.note_success();
            }
        }
        Err(error) => {
            if entry.unsavable.is_none() {
                tracing::error!(schedule = %name, error = chain(error), "cannot store the state of a schedule; it does not run until it can be stored");
            }
            entry.unsavable = Some(plainly(&error.source));
            entry.note_failure();
        }
    }
}

/// Whether the same submission may be accepted later.
fn is_temporary(error: &IntakeError) -> bool {
    matches!(
        error,
        IntakeError::QueueFull(_)
            | IntakeError::NoPlace(_)
            | IntakeError::Store(_)
            | IntakeError::Stopped
    )
}
