//! Limits of this process and of each child (setrlimit(2)).
//!
//! Input: a [`Quota`]. Output: the limits that could not be set.
//!
//! The number of processes is not limited: the kernel counts all processes and threads of a user,
//! so a limit here would include the server's threads.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The resources that one process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of address space, including mapped files.
    pub memory_bytes: u64,
    /// Bytes of private memory.
    pub data_bytes: u64,
    /// Bytes of one written file; a process that writes more gets SIGXFSZ.
    pub file_bytes: u64,
    /// Seconds of processor time; then the process gets SIGXCPU.
    pub cpu_secs: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

/// Sets the limits. Returns those that could not be set.
///
/// A limit that is already lower is kept.
pub fn limit(quota: &Quota) -> Vec<String> {
    let wanted = [
        // Core dumps would contain secrets.
        ("core files", Resource::Core, 0),
        ("descriptors", Resource::Nofile, quota.descriptors),
        ("memory", Resource::As, quota.memory_bytes),
        ("data", Resource::Data, quota.data_bytes),
        ("file size", Resource::Fsize, quota.file_bytes),
        ("processor time", Resource::Cpu, quota.cpu_secs),
    ];
    let set = |(name, resource, most): (&str, Resource, u64)| {
        let now = getrlimit(resource);
        let lower = |now: Option<u64>| Some(now.map_or(most, |now| now.min(most)));
        // The hard limit of processor time would cause a SIGKILL, which is less specific.
        let hard = match resource {
            Resource::Cpu => now.maximum,
            _ => lower(now.maximum),
        };
        let limit = Rlimit { current: lower(now.current), maximum: hard };
        setrlimit(resource, limit).err().map(|error| format!("limit of {name}: {error}"))
    };
    wanted.into_iter().filter_map(set).collect()
}
