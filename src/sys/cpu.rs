//! Measures the processor time that this process and the child processes it has waited for have
//! used.
//!
//! Input: the moment at which the clock was created. Output: the time used since then.
//!
//! Invariants: everything is opened when the clock is created, so that it can be read inside a
//! sandbox; if the kernel does not report the time of children, only this process's own time is
//! counted.

use rustix::time::{ClockId, clock_gettime};
use std::{
    fs::File,
    os::unix::fs::FileExt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How much of its own time this process uses between two reads of the children's time, which grows
/// when a child is waited for and takes some microseconds to read.
const INTERVAL: Duration = Duration::from_secs(1);

/// The kernel reports these times in ticks of `USER_HZ`, which is 100 on every supported platform.
const MILLIS_PER_TICK: u64 = 10;

/// Longer than any content of `/proc/self/stat`, which has some 50 numbers.
const LONGEST: usize = 4096;

/// Counts from the moment of its creation.
#[derive(Debug)]
pub struct CpuClock {
    stat: Option<File>,
    own_at_first: Duration,
    others_at_first: Duration,
    /// The children's time when it was last read, and this process's own time at that moment, in
    /// microseconds.
    others: AtomicU64,
    read_at: AtomicU64,
}

impl CpuClock {
    /// Starts to count.
    pub fn begin() -> Self {
        let stat = File::open("/proc/self/stat").ok();
        let own = own();
        let others = others(stat.as_ref());
        Self {
            stat,
            own_at_first: own,
            others_at_first: others,
            others: AtomicU64::new(micros(others)),
            read_at: AtomicU64::new(micros(own)),
        }
    }

    /// The time used since the start. The children's part is at most one second of this process's
    /// own time old.
    pub fn used(&self) -> Duration {
        let now = own();
        let mut of_others = Duration::from_micros(self.others.load(Ordering::Relaxed));
        let at = Duration::from_micros(self.read_at.load(Ordering::Relaxed));
        if now.saturating_sub(at) >= INTERVAL {
            of_others = self.read_others(now);
        }
        now.saturating_sub(self.own_at_first) + of_others.saturating_sub(self.others_at_first)
    }

    /// Reads the children's time now; to be called when a child has been waited for.
    pub fn note_others(&self) {
        self.read_others(own());
    }

    fn read_others(&self, now: Duration) -> Duration {
        let of_others = others(self.stat.as_ref());
        self.others.store(micros(of_others), Ordering::Relaxed);
        self.read_at.store(micros(now), Ordering::Relaxed);
        of_others
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn own() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(used).unwrap_or_default()
}

/// The fields `cutime` and `cstime` of `proc_pid_stat(5)`.
fn others(stat: Option<&File>) -> Duration {
    let mut bytes = [0; LONGEST];
    let length = stat.and_then(|file| file.read_at(&mut bytes, 0).ok()).unwrap_or(0);
    let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default());
    ticks_of_others(&text)
        .map(|ticks| Duration::from_millis(ticks.saturating_mul(MILLIS_PER_TICK)))
        .unwrap_or_default()
}

/// Skips the process name, which may contain anything, including parentheses and spaces.
fn ticks_of_others(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    // The first field after the name is field 3, `cutime` is field 16.
    let mut fields = behind_name.split_whitespace().skip(13);
    let (user, system) = (fields.next()?, fields.next()?);
    Some(user.parse::<u64>().ok()?.saturating_add(system.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_children_is_found_after_any_process_name() {
        let numbers: Vec<_> = (3..=52).map(|number| number.to_string()).collect();
        let stat = format!("7 (a) b (c) {}", numbers.join(" "));
        assert_eq!(ticks_of_others(&stat), Some(16 + 17));
        for broken in ["", "7 (a", "7 (a) S 1 2", "7 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 x y"] {
            assert_eq!(ticks_of_others(broken), None, "{broken}");
        }
    }

    #[test]
    fn the_time_of_this_process_and_of_its_children_is_counted() {
        let clock = CpuClock::begin();
        let mut number = 1_u64;
        while clock.used() < Duration::from_millis(50) {
            number = std::hint::black_box(number).wrapping_mul(3);
        }
        let before = clock.used();
        #[expect(clippy::disallowed_methods, reason = "a program that uses processor time")]
        let ended = std::process::Command::new("sh")
            .args(["-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"])
            .status()
            .unwrap();
        assert!(ended.success());
        clock.note_others();
        assert!(clock.used() >= before + Duration::from_millis(10), "{before:?}");
    }
}
