//! How loaded this machine is: the kernel's pressure stall information (PSI), free memory, load.
//!
//! Input: /proc, and the control group of this process. Output: [`Pressure`]; what the kernel does not
//! report is absent.
//!
//! Invariants: every read is bounded; of the machine and the control group, the worse figure counts,
//! because a service may be limited although the machine is idle.

use super::cgroup;
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// The maximum size of a file that is read, in bytes; the longest one has some 2 KiB.
const MOST_BYTES: u64 = 64 << 10;
/// How many levels of control groups are read.
const LEVELS: usize = 16;
/// Limits of at least this many bytes are the kernel's way to write "none" (cgroup v1).
const UNLIMITED: u64 = 1 << 60;

/// The share of the last ten seconds in which tasks waited for a resource, in percent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stall {
    /// At least one task waited.
    pub some: f64,
    /// All tasks waited: nothing was done meanwhile.
    pub full: f64,
}

/// Memory that can still be used before something is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLeft {
    pub free: u64,
    pub total: u64,
}

/// How loaded this machine is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pressure {
    pub memory: Option<Stall>,
    pub io: Option<Stall>,
    pub cpu: Option<Stall>,
    pub memory_left: Option<MemoryLeft>,
    /// The load average of the last minute.
    pub load: Option<f64>,
    pub cpus: usize,
}

/// Reads all figures. Blocks.
pub fn read() -> Pressure {
    let own = cgroup::own_folder();
    let of = |resource: &str| {
        let machine = stall(&PathBuf::from(format!("/proc/pressure/{resource}")));
        let group = own.as_ref().and_then(|own| stall(&own.join(format!("{resource}.pressure"))));
        worse(machine, group)
    };
    let machine = text(Path::new("/proc/meminfo")).and_then(|text| memory_of_machine(&text));
    Pressure {
        memory: of("memory"),
        io: of("io"),
        cpu: of("cpu"),
        memory_left: machine.into_iter().chain(memory_of_groups(own)).min_by_key(|left| left.free),
        load: text(Path::new("/proc/loadavg")).and_then(|text| load(&text)),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
    }
}

fn text(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(MOST_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// A file of pressure stall information; `None` on a kernel without it, or that has disabled it.
fn stall(path: &Path) -> Option<Stall> {
    text(path).and_then(|text| stall_in(&text))
}

/// Parses `some avg10=1.50 avg60=… total=…`. Kernels before 5.13 have no line `full` for the
/// processors.
fn stall_in(text: &str) -> Option<Stall> {
    let of = |kind: &str| -> Option<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        let average = line.split_whitespace().find_map(|field| field.strip_prefix("avg10="))?;
        average.parse().ok().filter(|percent: &f64| percent.is_finite())
    };
    Some(Stall { some: of("some ")?, full: of("full ").unwrap_or(0.0) })
}

fn worse(one: Option<Stall>, other: Option<Stall>) -> Option<Stall> {
    match (one, other) {
        (Some(one), Some(other)) => {
            Some(Stall { some: one.some.max(other.some), full: one.full.max(other.full) })
        }
        (one, other) => one.or(other),
    }
}

/// `MemAvailable` and `MemTotal` of /proc/meminfo.
fn memory_of_machine(text: &str) -> Option<MemoryLeft> {
    let of = |name: &str| -> Option<u64> {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes.saturating_mul(1024))
    };
    Some(MemoryLeft { free: of("MemAvailable:")?, total: of("MemTotal:")? })
}

/// What the limits of the control group and of the groups above it leave. Cached files count as free, as in
/// `MemAvailable`: the kernel drops them before it kills anything.
fn memory_of_groups(unified: Option<PathBuf>) -> Option<MemoryLeft> {
    let (start, [limit, usage, inactive, active]) =
        match unified.filter(|folder| folder.join("memory.max").exists()) {
            Some(folder) => {
                (folder, ["memory.max", "memory.current", "inactive_file ", "active_file "])
            }
            None => (
                cgroup::own_memory_folder()?,
                [
                    "memory.limit_in_bytes",
                    "memory.usage_in_bytes",
                    "total_inactive_file ",
                    "total_active_file ",
                ],
            ),
        };
    start
        .ancestors()
        .take(LEVELS)
        .take_while(|folder| folder.join(limit).exists())
        .filter_map(|folder| {
            let number = |name: &str| text(&folder.join(name))?.trim().parse::<u64>().ok();
            // "max" is no number.
            let total = number(limit).filter(|total| *total < UNLIMITED)?;
            let figures = text(&folder.join("memory.stat")).unwrap_or_default();
            let of = |name: &str| -> u64 {
                let line = figures.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0)
            };
            let used = number(usage)?.saturating_sub(of(inactive).saturating_add(of(active)));
            Some(MemoryLeft { free: total.saturating_sub(used), total })
        })
        .min_by_key(|left| left.free)
}

/// The first number of /proc/loadavg.
fn load(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok().filter(|load: &f64| load.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_kernel_are_parsed() {
        let psi = "some avg10=12.50 avg60=3.00 avg300=1.00 total=9\n\
                   full avg10=4.25 avg60=0.00 avg300=0.00 total=1\n";
        assert_eq!(stall_in(psi), Some(Stall { some: 12.5, full: 4.25 }));
        let old = "some avg10=99.00 avg60=3.00 avg300=1.00 total=9\n";
        assert_eq!(stall_in(old), Some(Stall { some: 99.0, full: 0.0 }));
        for broken in ["", "some", "some avg10=x", "some avg10=NaN", "full avg10=1.0"] {
            assert_eq!(stall_in(broken), None, "{broken}");
        }
        let meminfo = "MemTotal:       2048 kB\nMemFree:  1 kB\nMemAvailable:   512 kB\n";
        let left = MemoryLeft { free: 512 << 10, total: 2048 << 10 };
        assert_eq!(memory_of_machine(meminfo), Some(left));
        assert_eq!(memory_of_machine("MemTotal: 1 kB\n"), None);
        assert_eq!(load("0.52 0.58 0.59 1/467 12345\n"), Some(0.52));
        assert_eq!(load(""), None);
    }

    #[test]
    fn the_worse_of_two_figures_counts() {
        let (idle, busy) = (Stall { some: 1.0, full: 0.5 }, Stall { some: 0.0, full: 7.0 });
        assert_eq!(worse(Some(idle), Some(busy)), Some(Stall { some: 1.0, full: 7.0 }));
        assert_eq!(worse(None, Some(busy)), Some(busy));
        assert_eq!(worse(None, None), None);
    }

    /// Fails if the limit of a control group above the own one is overlooked, or if cached files
    /// count as used.
    #[test]
    fn the_tightest_group_counts_without_its_cached_files() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("outer/inner");
        std::fs::create_dir_all(&inner).unwrap();
        let write = |folder: &Path, max: &str, current: &str| {
            for (name, content) in [
                ("memory.max", max),
                ("memory.current", current),
                ("memory.stat", "anon 1\ninactive_file 30\nactive_file 10\n"),
            ] {
                std::fs::File::create(folder.join(name)).unwrap();
                std::fs::OpenOptions::new()
                    .write(true)
                    .open(folder.join(name))
                    .and_then(|mut file| std::io::Write::write_all(&mut file, content.as_bytes()))
                    .unwrap();
            }
        };
        write(&inner, "max\n", "50\n");
        write(inner.parent().unwrap(), "100\n", "90\n");
        let left = memory_of_groups(Some(inner));
        assert_eq!(left, Some(MemoryLeft { free: 50, total: 100 }));
    }

    #[test]
    fn this_machine_reports_something() {
        let pressure = read();
        assert!(pressure.cpus > 0);
        assert!(pressure.memory_left.is_some_and(|left| left.free <= left.total));
    }
}
