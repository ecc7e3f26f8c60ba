//! The measurements: what a server holds, and how long answers take.

use super::MEMORY;
use crate::support::{files, processes, server::TestServer};
use std::{fmt, fs, path::Path, time::Duration};

/// The one thread that a timer starts every 15 s, whatever happened before; it ends after 10 s.
const TIMED: &str = "clean-up";

/// What the server holds at one time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    memory: u64,
    descriptors: usize,
    threads: usize,
    watches: usize,
    files: usize,
}

impl Figures {
    pub(super) fn of(server: &TestServer) -> Self {
        let pid = server.pid();
        let entries = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
        let descriptors: Vec<_> = entries.map(|entry| files::text(&entry.path())).collect();
        let watches = descriptors.iter().flat_map(|descriptor| descriptor.lines());
        Self {
            memory: processes::resident_bytes(pid),
            watches: watches.filter(|line| line.starts_with("inotify ")).count(),
            descriptors: descriptors.len(),
            threads: processes::thread_names(pid).iter().filter(|name| *name != TIMED).count(),
            files: kept(&server.setup().jobs()),
        }
    }

    /// Whether descriptors, threads, watches and files are the same.
    pub(super) fn counts_as(&self, other: &Self) -> bool {
        let counts =
            |figures: &Self| (figures.descriptors, figures.threads, figures.watches, figures.files);
        counts(self) == counts(other)
    }

    /// Whether no figure is higher than it was.
    pub(super) fn is_as_good_as(&self, before: &Self) -> bool {
        self.memory <= before.memory + MEMORY
            && self.descriptors <= before.descriptors
            && self.threads <= before.threads
            && self.watches <= before.watches
            && self.files <= before.files
    }
}

/// The number of files in the jobs folder, except the newest results of the repositories, which are
/// kept on purpose.
fn kept(jobs: &Path) -> usize {
    let results = jobs.join(".results");
    let newest =
        |path: &Path| path.starts_with(&results) && !path.starts_with(results.join("jobs"));
    files::below(jobs).iter().filter(|path| !newest(path)).count()
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, descriptors, threads, watches, files } = self;
        write!(
            f,
            "{} MiB, {descriptors} descriptors, {threads} threads, {watches} watches, {files} files",
            memory >> 20
        )
    }
}

/// How long answers took.
#[derive(Debug)]
pub(super) struct Latencies {
    count: usize,
    median: Duration,
    slow: Duration,
    worst: Duration,
}

impl Latencies {
    pub(super) fn of(measured: &[Duration]) -> Self {
        let mut sorted = measured.to_vec();
        sorted.sort();
        let at = |percent: usize| {
            let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
            sorted.get(place).copied().unwrap_or_default()
        };
        Self { count: sorted.len(), median: at(50), slow: at(99), worst: at(100) }
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, median, slow, worst } = self;
        write!(
            f,
            "{count} answers, p50 {median:.1?}, p99 {slow:.1?} (goal 20 ms), worst {worst:.1?}"
        )
    }
}
