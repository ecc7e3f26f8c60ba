//! How many slots are in use under pressure: the rules as pure code, without clock and I/O.
//!
//! Input: samples of the machine's pressure with their times, and what the scanners do. Output: the
//! number of slots, and why it is below the ceiling.
//!
//! Invariants: the number is never below 1 and never above the ceiling; it is raised by one at a time;
//! between the threshold of lowering and that of raising nothing changes, and a raise that was
//! followed by another lowering is repeated later and later, so that a constant load causes a bounded
//! number of changes. Scarce memory always lowers the number (`memory`). Waiting for processors and
//! disks lowers it only as long as the throughput does not suffer, because the scanners cause such
//! waits themselves and run at a low priority anyway (`load`).

mod load;
mod memory;

use crate::sys::pressure::Pressure;
use load::Load;
use memory::Memory;
use std::time::Duration;

/// How long there has to be no pressure until the number is raised.
const CALM: Duration = Duration::from_secs(10);
/// The minimum time between two raises.
const STEP: Duration = Duration::from_secs(5);

/// What the scanners do.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Work {
    pub(super) running: usize,
    pub(super) queued: usize,
    /// How many scans have ended since the start of the server.
    pub(super) ended: u64,
}

/// Why the number of slots is below the ceiling.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cause {
    pub(super) resource: Resource,
    /// The figures, such as `full avg10 14 %`.
    pub(super) figures: String,
}

/// What is scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    Memory,
    Io,
    Cpu,
}

/// Decides how many slots are in use.
#[derive(Debug)]
pub(super) struct Controller {
    ceiling: usize,
    memory: Memory,
    load: Load,
}

impl Controller {
    /// A controller below this ceiling; at first all slots are in use.
    pub(super) fn new(ceiling: usize) -> Self {
        let ceiling = ceiling.max(1);
        Self { ceiling, memory: Memory::new(ceiling), load: Load::new(ceiling) }
    }

    /// Changes the ceiling. A number that was at the ceiling follows it at once.
    pub(super) fn set_ceiling(&mut self, ceiling: usize) {
        let ceiling = ceiling.max(1);
        self.memory.set_ceiling(self.ceiling, ceiling);
        self.load.set_ceiling(self.ceiling, ceiling);
        self.ceiling = ceiling;
    }

    /// How many slots are in use.
    pub(super) fn slots(&self) -> usize {
        self.memory.level().min(self.load.level())
    }

    /// Why they are fewer than the ceiling allows.
    pub(super) fn cause(&self) -> Option<&Cause> {
        if self.slots() == self.ceiling {
            None
        } else if self.memory.level() <= self.load.level() {
            self.memory.cause()
        } else {
            self.load.cause()
        }
    }

    /// Takes in a sample.
    pub(super) fn on_sample(&mut self, now: Duration, pressure: &Pressure, work: Work) {
        self.memory.on_sample(now, pressure, work.running, self.ceiling);
        // With fewer slots because of memory, the throughput shows nothing about other resources.
        let judged = self.memory.level() >= self.load.level();
        self.load.on_sample(now, pressure, work, judged, self.ceiling);
    }
}

/// A level that was at the old ceiling follows it; another one is at most the new ceiling.
fn moved(level: usize, before: usize, ceiling: usize) -> usize {
    if level == before { ceiling } else { level.min(ceiling) }
}

/// Whether so much time has passed since the moment, if there was one.
fn passed(now: Duration, since: Option<Duration>, wanted: Duration) -> bool {
    since.is_none_or(|since| now.saturating_sub(since) >= wanted)
}

#[cfg(test)]
mod tests;
