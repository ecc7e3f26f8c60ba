//! Limits of one process and of each that it starts (setrlimit(2)).
//!
//! The number of processes is not limited: the kernel counts those of a user, the server's
//! threads among them, so that a limit here would be one for everybody.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What one process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of address space, mapped files among them.
    pub memory_bytes: u64,
    /// Bytes of memory of its own: what it may come to fill.
    pub data_bytes: u64,
    /// Bytes of one file that is written; the process that writes more gets SIGXFSZ.
    pub file_bytes: u64,
    /// Seconds of processor time; after them comes SIGXCPU.
    pub cpu_secs: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

/// Sets the limits. Names those that could not be set.
///
/// A limit that is lower already stays.
pub fn limit(quota: &Quota) -> Vec<String> {
    let wanted = [
        // They would hold secrets.
        ("core files", Resource::Core, 0),
        ("descriptors", Resource::Nofile, quota.descriptors),
        ("memory", Resource::As, quota.memory_bytes),
        ("data", Resource::Data, quota.data_bytes),
        ("file size", Resource::Fsize, quota.file_bytes),
        ("processor time", Resource::Cpu, quota.cpu_secs),
    ];
    let set = |(name, resource, most): (&str, Resource, u64)| {
        let now = getrlimit(resource);
        let lower = |now: Option<u64>| Some(now.map_or(most, |it| it.min(most)));
        // Of processor time the hard limit is a later SIGKILL, which would say less.
        let hard = match resource {
            Resource::Cpu => now.maximum,
            _ => lower(now.maximum),
        };
        let limit = Rlimit { current: lower(now.current), maximum: hard };
        setrlimit(resource, limit).err().map(|error| format!("limit of {name}: {error}"))
    };
    wanted.into_iter().filter_map(set).collect()
}
