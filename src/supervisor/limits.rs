//! How many scans may run at once, and why: what the loop publishes, and what it keeps for that.
//!
//! Input: the ceiling, samples of pressure, hosts that throttle. Output: [`ScanLimits`].
//!
//! Invariants: the ceiling comes from the settings, or from a request until the settings are read
//! again or the server restarts; the list of hosts is bounded.

use super::{
    pressure::{Controller, Resource, Work},
    throttling::{Host, Throttling},
};
use crate::{
    model::time::{self, Timestamp},
    sys::pressure::Pressure,
};
use chrono::Utc;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// How many hosts are listed.
const LISTED_HOSTS: usize = 20;
/// A server that scans one repository at a time for so long is degraded.
const TOO_LONG: Duration = Duration::from_mins(10);

/// Where the ceiling comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitSource {
    Settings,
    Request,
}

impl LimitSource {
    /// The name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Request => "request",
        }
    }
}

/// Why fewer scans run than the ceiling allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotReason {
    Memory,
    Io,
    Cpu,
    /// The disk has no room for another scan.
    Disk,
    /// A repository that ran out of memory is scanned alone.
    Alone,
}

impl SlotReason {
    /// All reasons.
    pub const ALL: [Self; 5] = [Self::Memory, Self::Io, Self::Cpu, Self::Disk, Self::Alone];

    /// The name in metrics and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Io => "io",
            Self::Cpu => "cpu",
            Self::Disk => "disk",
            Self::Alone => "alone",
        }
    }

    /// Whether the reason is pressure on this machine.
    pub(super) fn is_pressure(self) -> bool {
        matches!(self, Self::Memory | Self::Io | Self::Cpu)
    }
}

/// How many scans may run at once, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanLimits {
    pub ceiling: usize,
    pub source: LimitSource,
    /// How many of the slots are in use.
    pub slots: usize,
    /// Why they are fewer than the ceiling.
    pub reason: Option<SlotReason>,
    /// The reason as a sentence, such as `3 of 8 slots: memory pressure (full avg10 14 %)`.
    pub limited_by: Option<String>,
    /// Since when there are so many slots for this reason.
    pub since: Timestamp,
    /// The hosts that throttle, at most 20 of them.
    pub hosts: Vec<HostLimit>,
    /// How many hosts throttle.
    pub throttled_hosts: usize,
}

/// The limit of a host that throttles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostLimit {
    /// Scheme, name and port, as in `https://gitlab.com`.
    pub origin: String,
    /// How many scans may contact it at once.
    pub scans: usize,
    pub running: usize,
    /// It is not contacted before this time.
    pub not_before: Option<Timestamp>,
}

impl ScanLimits {
    /// Limits without pressure.
    pub(super) fn of(ceiling: usize) -> Self {
        Self {
            ceiling,
            source: LimitSource::Settings,
            slots: ceiling,
            reason: None,
            limited_by: None,
            since: Utc::now(),
            hosts: Vec::new(),
            throttled_hosts: 0,
        }
    }

    /// Why this degrades the service: pressure leaves a single slot for long.
    pub fn problem(&self, now: Timestamp) -> Option<String> {
        let lasts = (now - self.since).to_std().unwrap_or_default();
        let is_pressure = self.reason.is_some_and(SlotReason::is_pressure);
        let minutes = lasts.as_secs() / 60;
        let text = self.limited_by.as_ref()?;
        (is_pressure && self.slots == 1 && lasts >= TOO_LONG).then(|| {
            format!("one repository at a time has been scanned for {minutes} minutes: {text}")
        })
    }
}

/// What the loop keeps about limits.
#[derive(Debug)]
pub(super) struct Limits {
    ceiling: usize,
    source: LimitSource,
    /// Whether pressure lowers the number of slots.
    is_adaptive: bool,
    controller: Controller,
    throttling: Throttling,
    /// How many scans have ended.
    ended: u64,
    /// Times are counted from here.
    begin: Instant,
}

/// What else the number of slots depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    pub(super) running: usize,
    pub(super) queued: usize,
    pub(super) waits_for_space: bool,
    pub(super) runs_alone: bool,
}

impl Limits {
    pub(super) fn new(ceiling: usize, is_adaptive: bool) -> Self {
        Self {
            ceiling,
            source: LimitSource::Settings,
            is_adaptive,
            controller: Controller::new(ceiling),
            throttling: Throttling::default(),
            ended: 0,
            begin: Instant::now(),
        }
    }

    pub(super) fn ceiling(&self) -> usize {
        self.ceiling
    }

    pub(super) fn is_adaptive(&self) -> bool {
        self.is_adaptive
    }

    /// Changes the ceiling.
    pub(super) fn set_ceiling(&mut self, ceiling: usize, source: LimitSource) {
        (self.ceiling, self.source) = (ceiling, source);
        self.controller.set_ceiling(ceiling);
    }

    /// Changes whether pressure lowers the number of slots.
    pub(super) fn set_adaptive(&mut self, is_adaptive: bool) {
        self.is_adaptive = is_adaptive;
        if !is_adaptive {
            self.controller = Controller::new(self.ceiling);
        }
    }

    /// How many slots are in use.
    pub(super) fn slots(&self) -> usize {
        self.controller.slots()
    }

    /// Takes in a sample of the pressure.
    pub(super) fn on_sample(&mut self, pressure: &Pressure, now: Circumstances) {
        if self.is_adaptive {
            let Circumstances { running, queued, .. } = now;
            let work = Work { running, queued, ended: self.ended };
            self.controller.on_sample(self.begin.elapsed(), pressure, work);
        }
    }

    /// A scan has ended.
    pub(super) fn note_end(&mut self) {
        self.ended += 1;
    }

    /// A host has refused a scan that began then because of its rate limit, while `running` scans contacted it. Returns
    /// the pause until it is contacted again.
    pub(super) fn refused(
        &mut self,
        host: &Host,
        began: Option<Instant>,
        requested: Option<Duration>,
        running: usize,
    ) -> Duration {
        let (now, began) = (self.begin.elapsed(), self.since_begin(began));
        let limit = self.throttling.refused(host, (now, began), requested, running);
        let pause = limit.not_before.saturating_sub(now);
        tracing::warn!(
            host = %host, scans = limit.scans, pause_secs = pause.as_secs(),
            "the host refuses scans because of its rate limit; fewer scans contact it at once, after a pause"
        );
        pause
    }

    /// A host has served a scan that began then. Returns whether its limit has changed.
    pub(super) fn served(&mut self, host: &Host, began: Option<Instant>) -> bool {
        let (now, began) = (self.begin.elapsed(), self.since_begin(began));
        let changed = self.throttling.served(host, (now, began), self.ceiling);
        if changed {
            if let Some(scans) = self.throttling.scans_at(host, now) {
                tracing::info!(host = %host, scans, "the host serves scans; one more may contact it at once");
            } else {
                tracing::info!(host = %host, "the host does not throttle any more");
            }
        }
        changed
    }

    fn since_begin(&self, at: Option<Instant>) -> Duration {
        at.map_or(Duration::ZERO, |at| at.saturating_duration_since(self.begin))
    }

    /// Forgets hosts that have not been contacted for long. Returns whether there were any.
    pub(super) fn forget_hosts(&mut self) -> bool {
        !self.throttling.forget(self.begin.elapsed()).is_empty()
    }

    /// How many scans may contact each host that throttles now.
    pub(super) fn host_limits(&self) -> HashMap<Host, usize> {
        let now = self.begin.elapsed();
        self.throttling
            .limits()
            .filter_map(|(host, _)| Some((Host::clone(host), self.throttling.scans_at(host, now)?)))
            .collect()
    }

    /// What is to be published.
    pub(super) fn describe(
        &self,
        now: Circumstances,
        running_at: impl Fn(&Host) -> usize,
    ) -> ScanLimits {
        let ceiling = self.ceiling;
        let (slots, reason, why) = if now.runs_alone && ceiling > 1 {
            let why = "a repository that ran out of memory is scanned alone".to_owned();
            (1, Some(SlotReason::Alone), why)
        } else if now.waits_for_space && now.running < self.slots() {
            let why = "the disk has no room for another scan".to_owned();
            (now.running, Some(SlotReason::Disk), why)
        } else if let Some(cause) = self.controller.cause() {
            let (reason, resource) = match cause.resource {
                Resource::Memory => (SlotReason::Memory, "memory"),
                Resource::Io => (SlotReason::Io, "io"),
                Resource::Cpu => (SlotReason::Cpu, "cpu"),
            };
            (self.slots(), Some(reason), format!("{resource} pressure ({})", cause.figures))
        } else {
            (self.slots(), None, String::new())
        };
        let (elapsed, wall) = (self.begin.elapsed(), Utc::now());
        let hosts = self.throttling.limits().take(LISTED_HOSTS);
        ScanLimits {
            ceiling,
            source: self.source,
            slots,
            reason,
            limited_by: reason.map(|_| format!("{slots} of {ceiling} slots: {why}")),
            since: wall,
            throttled_hosts: self.throttling.limits().len(),
            hosts: hosts
                .map(|(host, limit)| HostLimit {
                    origin: host.to_string(),
                    scans: limit.scans,
                    running: running_at(host),
                    not_before: limit
                        .not_before
                        .checked_sub(elapsed)
                        .filter(|left| !left.is_zero())
                        .map(|left| time::later(wall, left)),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle() -> Circumstances {
        Circumstances { running: 2, queued: 9, waits_for_space: false, runs_alone: false }
    }

    /// Fails if the number of slots has no reason, or a wrong one.
    #[test]
    fn fewer_slots_are_explained() {
        let mut limits = Limits::new(8, true);
        let describe = |limits: &Limits, now| limits.describe(now, |_| 0);
        assert_eq!(describe(&limits, idle()).limited_by, None);
        let full = describe(&limits, Circumstances { waits_for_space: true, ..idle() });
        let text = "2 of 8 slots: the disk has no room for another scan";
        assert_eq!((full.limited_by.as_deref(), full.reason), (Some(text), Some(SlotReason::Disk)));
        let alone = describe(&limits, Circumstances { runs_alone: true, ..idle() });
        assert_eq!(alone.slots, 1);
        assert!(alone.problem(Utc::now() + Duration::from_hours(1)).is_none());

        let stall = crate::sys::pressure::Stall { some: 14.0, full: 14.0 };
        let pressure = Pressure { memory: Some(stall), ..Pressure::default() };
        limits.on_sample(&pressure, idle());
        let found = describe(&limits, idle());
        let text = "1 of 8 slots: memory pressure (full avg10 14 %)";
        assert_eq!(found.limited_by.as_deref(), Some(text));
        assert!(found.problem(Utc::now()).is_none());
        assert!(found.problem(Utc::now() + TOO_LONG).unwrap().contains(text));
        limits.set_adaptive(false);
        limits.on_sample(&pressure, idle());
        assert_eq!(limits.slots(), 8, "switched off");
    }
}
