//! Changes of how many scans may run at once, in all and at each host.
//!
//! Input: samples of the pressure, requests, outcomes of scans. Output: events for the scheduler, and
//! the published limits.
//!
//! Invariants: a sample is read beside the loop, one at a time; each change is logged once, with its
//! cause; a running scan is never stopped because there are fewer slots.

use super::Actor;
use crate::{
    model::{RepoState, repository::RepositoryStatus},
    supervisor::{
        RepoKey,
        engine::Attempt,
        limits::{Circumstances, LimitSource, ScanLimits, SlotReason},
        pools::Purpose,
        scheduler::Event,
        timers::Elapsed,
    },
    sys::pressure,
};
use std::time::Duration;

impl Actor {
    /// Starts to read the pressure.
    pub(super) fn sample(&mut self) {
        if self.limits.forget_hosts() {
            self.hosts_changed();
        }
        if self.limits.is_adaptive() && self.samples.is_empty() {
            let read = self.effects.pool(Purpose::Checks).run(pressure::read);
            self.samples.spawn(async move { read.await.unwrap_or_default() });
        }
    }

    /// Takes in a sample of the pressure.
    pub(super) fn sampled(&mut self, pressure: &pressure::Pressure) {
        let now = self.circumstances();
        self.limits.on_sample(pressure, now);
        self.slots_changed();
    }

    /// Changes the ceiling, and whether pressure lowers the number of slots.
    pub(super) fn set_ceiling(&mut self, ceiling: usize, source: LimitSource) -> ScanLimits {
        let before = self.limits.ceiling();
        self.limits.set_ceiling(ceiling, source);
        if before != ceiling || source == LimitSource::Request && !self.engine.is_remote() {
            tracing::info!(
                before,
                ceiling,
                source = source.as_str(),
                "limit of concurrent scans changed"
            );
        }
        self.on(Event::Limit(ceiling));
        self.slots_changed();
        self.publish_limits()
    }

    /// Takes in how many scans the agents can run.
    pub(super) fn take_capacity(&mut self) {
        let Some(capacity) = &mut self.capacity else { return };
        let capacity = capacity.borrow_and_update().clone();
        self.on(Event::LabelLimits(capacity.by_label));
        let most = self.requested_ceiling.unwrap_or(usize::MAX);
        let source = match self.requested_ceiling {
            Some(most) if most < capacity.total => LimitSource::Request,
            _ => LimitSource::Settings,
        };
        // Without agents the labels have no slots.
        self.set_ceiling(capacity.total.min(most).max(1), source);
    }

    /// Passes the number of slots to the scheduler.
    pub(super) fn slots_changed(&mut self) {
        self.on(Event::Slots(self.limits.slots()));
    }

    fn hosts_changed(&mut self) {
        self.on(Event::HostLimits(self.limits.host_limits()));
    }

    /// A host may be contacted again.
    pub(super) fn host_pause_ended(&mut self) {
        self.hosts_changed();
    }

    /// A scan has ended: what that shows about its host.
    pub(super) fn note_host(
        &mut self,
        key: &RepoKey,
        attempt: Option<&Attempt>,
        status: &RepositoryStatus,
    ) {
        self.limits.note_end();
        let Some(host) = self.jobs.get(&key.job).and_then(|job| job.host.clone()) else { return };
        let began = attempt.and_then(|attempt| attempt.started);
        match &status.failure {
            Some(failure) if status.state.is_failure() && failure.throttled => {
                let requested = failure.retry_after_secs.map(Duration::from_secs);
                let running = self.scheduler.running_at(&host);
                let pause = self.limits.refused(&host, began, requested, running);
                self.timers.start(pause, Elapsed::HostPause);
                self.hosts_changed();
            }
            _ if status.state == RepoState::Completed && self.limits.served(&host, began) => {
                self.hosts_changed();
            }
            _ => {}
        }
    }

    pub(super) fn circumstances(&self) -> Circumstances {
        Circumstances {
            running: self.scheduler.running(),
            queued: self.scheduler.queued(),
            waits_for_space: self.scheduler.waits_for_space(),
            runs_alone: self.scheduler.runs_alone(),
        }
    }

    /// Publishes the limits, and logs a change of the number of slots.
    pub(super) fn publish_limits(&self) -> ScanLimits {
        let mut now =
            self.limits.describe(self.circumstances(), |host| self.scheduler.running_at(host));
        if let Some(capacity) = &self.capacity {
            let total = capacity.borrow().total;
            (now.ceiling, now.slots) = (now.ceiling.min(total), now.slots.min(total));
        }
        let (before, now) = self.load.note_limits(now);
        let is_pressure = |limits: &ScanLimits| limits.reason.is_some_and(SlotReason::is_pressure);
        if before.slots != now.slots || before.reason != now.reason {
            let (slots, ceiling) = (now.slots, now.ceiling);
            match &now.limited_by {
                Some(limited_by) if is_pressure(&now) => {
                    tracing::info!(
                        slots,
                        ceiling,
                        limited_by,
                        "pressure changes the number of concurrent scans"
                    );
                }
                None if is_pressure(&before) => {
                    tracing::info!(slots, ceiling, "no pressure any more; all slots are in use");
                }
                // The disk and the starts of scans have log lines of their own.
                _ => {}
            }
        }
        now
    }
}
