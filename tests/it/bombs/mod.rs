//! Malicious repositories, scanned by the real server with the real scanner: each ends in time and
//! within its memory limit, with a reason, and affects no other job.

mod all_at_once;
mod git;
mod manifests;
mod single;

/// The sizes of the bombs that a setting bounds, and those settings. The suite has less time than a
/// server.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// `[limits] max_fetch_bytes`.
    fetch_bytes: u64,
    /// `[limits] list_timeout_secs`.
    list_secs: u64,
    /// More than `[limits] max_data_bytes`.
    message_bytes: usize,
    manifests: u32,
}

impl Scale {
    const SUITE: Self =
        Self { fetch_bytes: 64 << 20, list_secs: 20, message_bytes: 300 << 20, manifests: 40_000 };
    /// The default settings.
    const WHOLE: Self =
        Self { fetch_bytes: 2 << 30, list_secs: 60, message_bytes: 600 << 20, manifests: 200_000 };
}
