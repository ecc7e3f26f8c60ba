//! The commands of the API.
//!
//! Input: commands. Output: files, and answers. Invariants: a change is durable before its answer; a schedule of the
//! settings is changed only by them; a run that a user requests is not repeated if it cannot start: the answer has the cause.

use super::Task;
use crate::{
    intake::IntakeError,
    model::{
        JobId,
        schedule::{MOST_SCHEDULES, Overlap, ScheduleName, ScheduleSpec},
        timetable::Timetable,
    },
    schedules::{
        document::Source,
        entry::Entry,
        handle::{ChangeError, Command, Put, RunError, RunStarted},
        record::{Cause, Pending},
    },
};
use chrono::Utc;

impl Task {
    /// Carries out a command.
    pub(super) async fn handle(&mut self, command: Command) {
        self.changed = true;
        match command {
            Command::Put { name, definition, answer } => {
                let put = self.put(&name, *definition).await;
                // Published before the answer: a GET after it finds the schedule.
                self.publish();
                let _ = answer.send(put);
            }
            Command::Remove { name, answer } => {
                let removed = self.remove(&name).await;
                self.publish();
                let _ = answer.send(removed);
            }
            Command::Run { name, answer } => {
                let run = self.run_now(&name).await;
                self.publish();
                let _ = answer.send(run);
            }
            Command::Reload => self.load().await,
        }
    }

    async fn put(
        &mut self,
        name: &ScheduleName,
        definition: (ScheduleSpec, Timetable),
    ) -> Result<Put, ChangeError> {
        self.check_owner(name)?;
        let known = self.entries.get(name).map(|entry| entry.record.clone());
        if known.is_none() && self.entries.len() >= MOST_SCHEDULES {
            return Err(ChangeError::Many(MOST_SCHEDULES));
        }
        let put = if known.is_some() { Put::Replaced } else { Put::Created };
        let entry = Entry::new(name, definition, Source::Api, known, Utc::now());
        let (files, file) = (self.files.clone(), name.clone());
        let (spec, record) = (entry.spec.clone(), entry.record.clone());
        let written = self.on_disk(move || {
            // A new one never finds the state of another that had its name.
            if put == Put::Created {
                files.write_state(&file, &record)?;
            }
            files.write_definition(&file, &spec)
        });
        written.await?;
        tracing::info!(schedule = %name, cron = entry.spec.cron, timezone = entry.spec.timezone, "schedule stored");
        self.problems.retain(|problem| problem.name != name.as_str());
        self.entries.insert(name.clone(), entry);
        let _ = self.save(name).await;
        Ok(put)
    }

    async fn remove(&mut self, name: &ScheduleName) -> Result<(), ChangeError> {
        self.check_owner(name)?;
        let is_broken = self.problems.iter().any(|problem| problem.name == name.as_str());
        if !self.entries.contains_key(name) && !is_broken {
            return Err(ChangeError::NotFound);
        }
        let (files, file) = (self.files.clone(), name.clone());
        self.on_disk(move || files.remove(&file)).await?;
        tracing::info!(schedule = %name, "schedule removed");
        self.problems.retain(|problem| problem.name != name.as_str());
        self.entries.remove(name);
        Ok(())
    }

    fn check_owner(&self, name: &ScheduleName) -> Result<(), ChangeError> {
        if self.config.get().schedules.contains_key(name) {
            return Err(ChangeError::OfSettings(name.clone()));
        }
        Ok(())
    }

    async fn run_now(&mut self, name: &ScheduleName) -> Result<RunStarted, RunError> {
        let now = Utc::now();
        let entry = self.entries.get(name).ok_or(RunError::NotFound)?;
        if entry.record.pending.is_some() {
            return Err(RunError::Pending);
        }
        let (overlap, last) = (entry.spec.overlap, entry.record.history.last_job.clone());
        let waits_for = match last {
            Some(job) if self.is_unfinished(&job).await => Some(job),
            _ => None,
        };
        if let (Some(job), Overlap::Skip) = (&waits_for, overlap) {
            return Err(RunError::Unfinished(job.clone()));
        }
        let job_id = JobId::generate();
        let entry = self.entries.get_mut(name).ok_or(RunError::NotFound)?;
        entry.record.pending = Some(Pending {
            due: now,
            job_id: job_id.clone(),
            cause: Cause::Manual,
            reason: waits_for
                .as_ref()
                .map(|job| format!("job {job} of the run before is not finished")),
            waits_for: waits_for.clone(),
        });
        entry.unsaved = true;
        if let Err(error) = self.save(name).await {
            self.forget_pending(name).await;
            return Err(error.into());
        }
        if waits_for.is_none() {
            match self.start_pending(name).await {
                // It may be on the disk: the next server finds out.
                Err(IntakeError::Stopped) => return Err(RunError::Stopped),
                Ok(_) => {}
                Err(error) => {
                    self.forget_pending(name).await;
                    return Err(error.into());
                }
            }
        }
        Ok(RunStarted { job_id, waits_for, requested_at: now })
    }

    /// Drops a run that has not started.
    async fn forget_pending(&mut self, name: &ScheduleName) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.record.pending = None;
        entry.unsaved = true;
        entry.note_success();
        let _ = self.save(name).await;
    }
}
