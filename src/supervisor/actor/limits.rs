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
        limits::{Circumstances, LimitSource, ScanLimits, SlotReason},
        pools::Purpose,
        scheduler::Event,
        spawn::Shim,
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
        if source == LimitSource::Request || before != ceiling {
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
        shim: Option<&Shim>,
        status: &RepositoryStatus,
    ) {
        self.limits.note_end();
        let Some(host) = self.jobs.get(&key.job).and_then(|job| job.host.clone()) else { return };
        let began = shim.and_then(|shim| shim.started);
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
        let now =
            self.limits.describe(self.circumstances(), |host| self.scheduler.running_at(host));
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
