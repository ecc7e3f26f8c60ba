//! Slots while tasks wait for processors or disks.
//!
//! Input: samples. Output: a number of slots. Invariants: as in [`super`]; a lowering is a trial of
//! twenty seconds that stays only if as many scans end as before; a level that was lowered in this way
//! is tried again after some minutes; at least half of the slots stay in use, and one per processor.
//!
//! Scanners have a low priority, so that they take from others only what nobody needs, and each of
//! them waits for its own disk writes most of the time: neither is a reason to scan more slowly.

use super::{CALM, Cause, Resource, STEP, Work, moved, passed};
use crate::sys::pressure::Pressure;
use std::time::Duration;

/// From these shares on, in percent of the last ten seconds, a resource is overloaded; below the
/// second one it is not.
const OVERLOADED_IO: f64 = 25.0;
const ENOUGH_IO: f64 = 10.0;
const OVERLOADED_CPU: f64 = 90.0;
const ENOUGH_CPU: f64 = 60.0;
/// With so many runnable tasks of others for each processor, the processors are overloaded.
const OTHERS_PER_CPU: f64 = 4.0;
/// How long the throughput is measured before and during a trial.
const WINDOW: Duration = Duration::from_secs(20);
/// How many scans have to end meanwhile: fewer show nothing.
const LEAST_ENDED: u64 = 20;
/// The share of the throughput that a lower level has to reach.
const KEPT: f64 = 0.95;
/// The pause after a trial that failed, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_mins(10);
const LONGEST_PAUSE: Duration = Duration::from_mins(80);
/// A level that was lowered is raised after this time although the load stays.
const TRIED_AGAIN: Duration = Duration::from_mins(5);

/// The number of slots that the load allows.
#[derive(Debug)]
pub(super) struct Load {
    level: usize,
    changed: Option<Duration>,
    calm_since: Option<Duration>,
    phase: Phase,
    /// No trial begins before this time.
    not_before: Duration,
    pause: Duration,
    cause: Option<Cause>,
}

/// The start of a measurement: the time, and how many scans had ended.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Duration,
    ended: u64,
}

impl Mark {
    /// How many scans have ended a second since.
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    fn rate(self, now: Duration, ended: u64) -> f64 {
        let seconds = now.saturating_sub(self.at).as_secs_f64();
        ended.saturating_sub(self.ended) as f64 / seconds.max(0.001)
    }
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Idle,
    /// The throughput is measured before a trial.
    Measuring(Mark),
    /// One slot fewer is in use, to compare the throughput.
    Trial {
        since: Mark,
        before: f64,
    },
}

impl Load {
    pub(super) fn new(ceiling: usize) -> Self {
        Self {
            level: ceiling,
            changed: None,
            calm_since: None,
            phase: Phase::Idle,
            not_before: Duration::ZERO,
            pause: FIRST_PAUSE,
            cause: None,
        }
    }

    pub(super) fn level(&self) -> usize {
        self.level
    }

    pub(super) fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }

    pub(super) fn set_ceiling(&mut self, before: usize, ceiling: usize) {
        self.level = moved(self.level, before, ceiling);
        self.phase = Phase::Idle;
    }

    /// `judged`: whether this level, and no other reason, decides how many scans run.
    pub(super) fn on_sample(
        &mut self,
        now: Duration,
        pressure: &Pressure,
        work: Work,
        judged: bool,
        ceiling: usize,
    ) {
        let overload = overload(pressure, work.running);
        let is_calm = overload.is_none() && is_calm(pressure);
        self.calm_since = is_calm.then(|| self.calm_since.unwrap_or(now));
        let comparable = judged && work.queued > 0 && work.running >= self.level;
        match self.phase {
            Phase::Trial { since, before } => {
                self.judge(now, work, comparable.then_some(since), before, ceiling);
            }
            Phase::Idle | Phase::Measuring(_) => {
                let floor = ceiling.div_ceil(2).max(pressure.cpus.min(ceiling));
                match overload {
                    Some(cause) if comparable && self.level > floor && now >= self.not_before => {
                        self.measure(now, work, cause);
                    }
                    _ => {
                        self.phase = Phase::Idle;
                        self.raise_if_due(now, ceiling);
                    }
                }
            }
        }
    }

    /// Measures the throughput, and begins a trial if enough scans have ended.
    fn measure(&mut self, now: Duration, work: Work, cause: Cause) {
        let here = Mark { at: now, ended: work.ended };
        let Phase::Measuring(since) = self.phase else {
            self.phase = Phase::Measuring(here);
            return;
        };
        if now.saturating_sub(since.at) < WINDOW {
            return;
        }
        self.phase = if work.ended.saturating_sub(since.ended) < LEAST_ENDED {
            Phase::Measuring(here)
        } else {
            self.level -= 1;
            self.changed = Some(now);
            self.cause = Some(cause);
            Phase::Trial { since: here, before: since.rate(now, work.ended) }
        };
    }

    /// Ends a trial when its time has passed, or when it shows nothing any more.
    fn judge(
        &mut self,
        now: Duration,
        work: Work,
        since: Option<Mark>,
        before: f64,
        ceiling: usize,
    ) {
        let Some(since) = since else {
            self.phase = Phase::Idle;
            self.level = (self.level + 1).min(ceiling);
            self.changed = Some(now);
            return;
        };
        if now.saturating_sub(since.at) < WINDOW {
            return;
        }
        self.phase = Phase::Idle;
        self.changed = Some(now);
        if since.rate(now, work.ended) < KEPT * before {
            self.level = (self.level + 1).min(ceiling);
            self.not_before = now + self.pause;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn raise_if_due(&mut self, now: Duration, ceiling: usize) {
        if self.level >= ceiling {
            self.level = ceiling;
            self.cause = None;
            return;
        }
        let is_calm = self.calm_since.is_some_and(|since| passed(now, Some(since), CALM));
        if is_calm && passed(now, self.changed, STEP) {
            self.level += 1;
            self.changed = Some(now);
        } else if passed(now, self.changed, TRIED_AGAIN) {
            self.level += 1;
            self.changed = Some(now);
            self.not_before = now + FIRST_PAUSE;
        }
    }
}

/// Which resource is overloaded, if any.
fn overload(pressure: &Pressure, running: usize) -> Option<Cause> {
    if let Some(io) = pressure.io.filter(|io| io.full >= OVERLOADED_IO) {
        let figures = format!("full avg10 {:.0} %", io.full);
        return Some(Cause { resource: Resource::Io, figures });
    }
    let load = pressure.load.filter(|load| *load >= most_load(pressure.cpus, running))?;
    let waits = pressure.cpu.is_none_or(|cpu| cpu.some >= OVERLOADED_CPU);
    waits.then(|| Cause {
        resource: Resource::Cpu,
        figures: format!("load {load:.0} on {} processors", pressure.cpus),
    })
}

fn is_calm(pressure: &Pressure) -> bool {
    pressure.io.is_none_or(|io| io.full < ENOUGH_IO)
        && pressure.cpu.is_none_or(|cpu| {
            // The scanners alone let tasks wait for processors.
            cpu.some < ENOUGH_CPU
                || pressure.load.is_none_or(|load| load < most_load(pressure.cpus, 0))
        })
}

/// The load from which on others overload the processors, beside this many scanners.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn most_load(cpus: usize, running: usize) -> f64 {
    // A scanner has a git and a shim, of which one runs at a time.
    OTHERS_PER_CPU * cpus as f64 + 1.5 * running as f64
}
