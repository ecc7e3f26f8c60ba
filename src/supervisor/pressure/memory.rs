//! Slots under scarce memory.
//!
//! Input: samples. Output: a number of slots. Invariants: as in [`super`]; what is about to run out
//! halves the number, what is scarce lowers it by one, and no more scans start at once than there is
//! memory for.

use super::{CALM, Cause, Resource, STEP, moved, passed};
use crate::sys::pressure::{MemoryLeft, Pressure, Stall};
use std::time::Duration;

/// From these shares on, in percent of the last ten seconds, memory is about to run out, or scarce.
/// Below the last ones it is not.
const CRITICAL_FULL: f64 = 20.0;
const SCARCE: Stall = Stall { some: 25.0, full: 5.0 };
const ENOUGH: Stall = Stall { some: 10.0, full: 1.0 };
/// The least free memory that is enough on a large machine, and on a small one.
const MOST_NEEDED: u64 = 1 << 30;
const LEAST_NEEDED: u64 = 64 << 20;
/// What a scan of a usual repository takes at most, with its git.
const PER_SCAN: u64 = 48 << 20;
/// The minimum time between two lowerings: the averages of the kernel cover ten seconds, while the
/// free memory is exact.
const BETWEEN_STEPS: Duration = Duration::from_secs(10);
const BETWEEN_HALVINGS: Duration = Duration::from_secs(4);
/// A lowering this soon after a raise shows that the raise was one too many.
const TOO_SOON: Duration = Duration::from_secs(30);
/// The longest time between two raises.
const LONGEST_STEP: Duration = Duration::from_mins(5);

/// The number of slots that the memory allows.
#[derive(Debug)]
pub(super) struct Memory {
    level: usize,
    changed: Option<Duration>,
    raised: Option<Duration>,
    calm_since: Option<Duration>,
    /// The time between two raises.
    step: Duration,
    cause: Option<Cause>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    None,
    /// Neither scarce nor enough: nothing changes.
    Between,
    Scarce,
    Critical,
}

impl Memory {
    pub(super) fn new(ceiling: usize) -> Self {
        Self {
            level: ceiling,
            changed: None,
            raised: None,
            calm_since: None,
            step: STEP,
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
    }

    pub(super) fn on_sample(
        &mut self,
        now: Duration,
        pressure: &Pressure,
        running: usize,
        ceiling: usize,
    ) {
        let (severity, figures) = severity(pressure);
        if !figures.is_empty() && (severity >= Severity::Scarce || self.cause.is_some()) {
            self.cause = Some(Cause { resource: Resource::Memory, figures });
        }
        let affordable = affordable(pressure, running);
        if affordable < self.level {
            let figures = pressure.memory_left.map(free).unwrap_or_default();
            self.cause = Some(Cause { resource: Resource::Memory, figures });
            self.lower(now, affordable);
        }
        // Slots that nobody uses take no memory.
        let used = if running == 0 { self.level } else { self.level.min(running) };
        match severity {
            Severity::Critical if passed(now, self.changed, BETWEEN_HALVINGS) => {
                self.lower(now, used / 2);
            }
            Severity::Scarce if passed(now, self.changed, BETWEEN_STEPS) => {
                self.lower(now, used - 1);
            }
            Severity::None => {
                let calm_since = *self.calm_since.get_or_insert(now);
                self.raise_if_due(now, calm_since, ceiling.min(affordable), ceiling);
                return;
            }
            Severity::Critical | Severity::Scarce | Severity::Between => {}
        }
        self.calm_since = None;
    }

    fn lower(&mut self, now: Duration, to: usize) {
        let to = to.max(1);
        if to >= self.level {
            return;
        }
        if !passed(now, self.raised, TOO_SOON) || !passed(now, self.raised, self.step) {
            self.step = (self.step * 2).min(LONGEST_STEP);
        }
        self.level = to;
        self.changed = Some(now);
        self.raised = None;
    }

    fn raise_if_due(&mut self, now: Duration, calm_since: Duration, most: usize, ceiling: usize) {
        if self.level == ceiling {
            self.cause = None;
            // The load that caused the lowerings is gone.
            if passed(now, self.changed, LONGEST_STEP) {
                self.step = STEP;
            }
        } else if self.level < most
            && passed(now, Some(calm_since), CALM)
            && passed(now, self.changed, self.step)
        {
            self.level += 1;
            self.changed = Some(now);
            self.raised = Some(now);
        }
    }
}

/// How scarce memory is, with the figures that show it.
fn severity(pressure: &Pressure) -> (Severity, String) {
    let by_stall = pressure.memory.map(|stall| {
        let severity = if stall.full >= CRITICAL_FULL {
            Severity::Critical
        } else if stall.full >= SCARCE.full || stall.some >= SCARCE.some {
            Severity::Scarce
        } else if stall.full >= ENOUGH.full || stall.some >= ENOUGH.some {
            Severity::Between
        } else {
            Severity::None
        };
        let figures = if stall.full >= SCARCE.full {
            format!("full avg10 {:.0} %", stall.full)
        } else {
            format!("some avg10 {:.0} %", stall.some)
        };
        (severity, figures)
    });
    let by_size = pressure.memory_left.map(|left| {
        let needed = needed(left);
        let severity = if left.free < needed / 4 {
            Severity::Critical
        } else if left.free < needed / 2 {
            Severity::Scarce
        } else if left.free < needed {
            Severity::Between
        } else {
            Severity::None
        };
        (severity, free(left))
    });
    by_stall
        .into_iter()
        .chain(by_size)
        .max_by_key(|(severity, _)| *severity)
        .unwrap_or((Severity::None, String::new()))
}

/// How many scans there is memory for: those that run, and more that are small.
fn affordable(pressure: &Pressure, running: usize) -> usize {
    let Some(left) = pressure.memory_left else { return usize::MAX };
    let more = left.free.saturating_sub(needed(left) / 2) / PER_SCAN;
    running.saturating_add(usize::try_from(more).unwrap_or(usize::MAX)).max(1)
}

fn free(left: MemoryLeft) -> String {
    format!("{} of {} MiB free", left.free >> 20, left.total >> 20)
}

/// The free memory that is enough: a tenth, but no more than scanners can use, and on a small machine
/// enough for one or two of them.
fn needed(MemoryLeft { total, .. }: MemoryLeft) -> u64 {
    (total / 10).max(LEAST_NEEDED.min(total / 4)).min(MOST_NEEDED)
}
