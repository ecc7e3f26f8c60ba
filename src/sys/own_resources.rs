//! What this process uses: memory and descriptors, for `/metrics`.
//!
//! Input: nothing. Output: figures of the kernel; one that it does not report is absent. Blocks.

use std::fs;

/// The resources of this process.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct OwnResources {
    /// The resident set size in bytes.
    pub resident_bytes: Option<u64>,
    pub open_files: Option<u64>,
    /// The soft limit of open files; `None` if there is none.
    pub max_open_files: Option<u64>,
}

/// The current figures of this process (`proc_pid_status(5)`, `proc_pid_fd(5)`, `getrlimit(2)`).
pub fn own_resources() -> OwnResources {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = resident.and_then(|text| text.trim().strip_suffix("kB")?.trim().parse().ok());
    // The descriptor of the listing itself is one of them.
    let open_files =
        fs::read_dir("/proc/self/fd").ok().map(|files| (files.count() as u64).saturating_sub(1));
    OwnResources {
        resident_bytes: kibibytes.map(|kibibytes: u64| kibibytes.saturating_mul(1024)),
        open_files,
        max_open_files: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_descriptors() {
        let used = own_resources();
        assert!(used.resident_bytes.is_some_and(|bytes| bytes > 100_000), "{used:?}");
        assert!(used.open_files.is_some_and(|files| files >= 3), "{used:?}");
        assert!(
            used.max_open_files.is_none_or(|most| most >= used.open_files.unwrap()),
            "{used:?}"
        );
    }
}
