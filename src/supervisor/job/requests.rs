//! What decides about the turns of a job, what its users request of it while it is unfinished, and
//! the report at its end.
//!
//! Input: commands, `master.json`, final states. Output: `master.json`, the job's entry among those
//! that wait for their first scan, and facts for the scheduler.
//!
//! Invariant: a finished job is neither paused nor bumped.

use super::{Job, QueueState};
use crate::{
    model::{
        master::{Options, ScanType},
        report::Report,
        target_key::TargetKey,
        time::Timestamp,
    },
    supervisor::scheduler::{User, WaitingJob},
};

impl Job {
    /// Whose job it is.
    pub(in crate::supervisor) fn user(&self) -> User {
        self.master.submitted_by.as_deref().map(Into::into)
    }

    /// Whether it is a job of a single repository; a job whose forge has still to be queried is not.
    pub(in crate::supervisor) fn is_single(&self) -> bool {
        matches!(self.master.scan_type, Some(ScanType::Repository | ScanType::Path))
    }

    /// When the job was bumped, if it was: later ones are greater.
    pub(in crate::supervisor) fn bumped(&self) -> Option<i64> {
        self.master.bumped_at.map(|at| at.timestamp_micros())
    }

    /// What these of its repositories are.
    pub(in crate::supervisor) fn targets(
        &self,
        indices: impl Iterator<Item = u32>,
    ) -> Vec<(u32, TargetKey)> {
        let none = Options::default();
        let options = self.master.options.as_ref().unwrap_or(&none);
        let key = |index: u32| {
            let repository = self.repositories.get(&index)?;
            Some((index, TargetKey::of(&repository.git_url, options)))
        };
        indices.filter_map(key).collect()
    }

    /// Pauses or resumes the job.
    pub(in crate::supervisor) fn set_paused(&mut self, paused: bool) {
        self.master.paused = paused;
        self.dirty = true;
        self.describe_waiting();
    }

    /// Puts the job before the other jobs of its user.
    pub(in crate::supervisor) fn bump(&mut self, now: Timestamp) {
        self.master.bumped_at = Some(now);
        self.dirty = true;
        self.describe_waiting();
    }

    /// Brings the description of the job among those that wait for their first scan up to date.
    pub(in crate::supervisor) fn describe_waiting(&self) {
        if let Some(permit) = &self.permit {
            let (id, user) = (self.id.clone(), self.user());
            let (single, bumped) = (self.is_single(), self.bumped());
            permit.describe(WaitingJob { id, user, single, bumped }, self.master.paused);
        }
    }

    /// What was requested of an unfinished job does not apply to a finished one.
    pub(in crate::supervisor) fn end_requests(&mut self) {
        self.master.paused = false;
        self.master.bumped_at = None;
    }

    /// The report at the end of the job.
    pub(in crate::supervisor) fn report(&self) -> Report {
        let mut report = self.skipped.clone();
        for repository in self.repositories.values() {
            if let QueueState::Finished { state, kind, .. } = repository.state {
                report.count(state, kind);
            }
        }
        report
    }
}
