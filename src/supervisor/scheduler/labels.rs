//! The labels of repositories: only agents with a label scan what is routed to it.
//!
//! Input: the labels of jobs, and how many slots the agents of each label have. Output: whether a job may start a
//! scan.
//!
//! Invariants: without limits (scans on this machine) every job may; with limits, a label without agents has no
//! slot, and jobs of other labels go before those that wait for it.

use super::{Job, Scheduler};
use std::{collections::HashMap, sync::Arc};

/// A label of agents.
pub(in crate::supervisor) type Label = Arc<str>;

/// How many scans run with each label, and how many may.
#[derive(Debug, Default)]
pub(super) struct Labels {
    /// `None`: no label is limited.
    limits: Option<HashMap<Label, usize>>,
    running: HashMap<Label, usize>,
}

impl Labels {
    pub(super) fn set_limits(&mut self, limits: HashMap<Label, usize>) {
        self.limits = Some(limits);
    }

    fn accepts(&self, label: Option<&Label>) -> bool {
        let (Some(limits), Some(label)) = (&self.limits, label) else { return true };
        let running = self.running.get(label).copied().unwrap_or(0);
        running < limits.get(label).copied().unwrap_or(0)
    }

    /// This many more scans run with the label.
    pub(super) fn begin(&mut self, label: Option<&Label>, count: usize) {
        if let Some(label) = label.filter(|_| count > 0) {
            *self.running.entry(label.clone()).or_default() += count;
        }
    }

    /// A scan with the label has ended.
    pub(super) fn end(&mut self, label: Option<&Label>) {
        if let Some(running) = label.and_then(|label| self.running.get_mut(label)) {
            *running = running.saturating_sub(1);
        }
    }
}

impl Scheduler {
    /// Whether the agents of the job's label have a free slot.
    pub(super) fn label_accepts(&self, job: &Job) -> bool {
        self.labels.accepts(job.label.as_ref())
    }
}
