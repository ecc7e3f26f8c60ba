//! The hosts of repositories: a host that throttles accepts a limited number of scans at once.
//!
//! Input: the hosts of jobs, and their limits. Output: whether a job may start a scan. Invariants: a
//! repository that waits for its host holds no slot, and jobs of other hosts go before it.

use super::{Job, Scheduler};
use crate::supervisor::throttling::Host;

impl Scheduler {
    /// Whether the host of the job accepts one more scan, and the agents of its label have a slot for it.
    pub(super) fn has_place(&self, job: &Job) -> bool {
        let Some(host) = &job.host else { return self.label_accepts(job) };
        let accepts = self.host_limits.get(host).is_none_or(|limit| self.running_at(host) < *limit);
        accepts && self.label_accepts(job)
    }

    /// How many scans contact this host.
    pub(in crate::supervisor) fn running_at(&self, host: &Host) -> usize {
        self.running_at.get(host).copied().unwrap_or(0)
    }

    /// This many more scans contact the host.
    pub(super) fn note_at(&mut self, host: Option<&Host>, count: usize) {
        if let Some(host) = host.filter(|_| count > 0) {
            *self.running_at.entry(host.clone()).or_default() += count;
        }
    }

    /// A scan does not contact the host any more.
    pub(super) fn leave_host(&mut self, host: Option<&Host>) {
        let Some(host) = host else { return };
        if let Some(count) = self.running_at.get_mut(host) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.running_at.remove(host);
            }
        }
    }
}
