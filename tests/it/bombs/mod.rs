//! Malicious repositories, scanned by the real server with the real scanner: each ends in time and
//! within its memory limit, with a reason, and affects no other job.

mod all_at_once;
mod git;
mod manifests;
mod single;

/// The sizes of the bombs, and the settings that bound them. The suite has less time than a server.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// `[limits] max_fetch_bytes`.
    fetch_bytes: u64,
    /// `[limits] list_timeout_secs`.
    list_secs: u64,
    /// More than `[limits] max_data_bytes`.
    message_bytes: usize,
    manifests: u32,
    /// Entries of one folder, or of one manifest: more than the limits of files and of packages.
    entries: u32,
    /// The size of a file of zeros, more than `[limits] max_data_bytes`, and the id of its blob.
    zeros: (u64, &'static str),
    /// The size of a large manifest; `[limits] max_file_bytes` is 10 MB.
    manifest_bytes: usize,
}

impl Scale {
    const SUITE: Self = Self {
        fetch_bytes: 64 << 20,
        list_secs: 15,
        message_bytes: 300 << 20,
        manifests: 40_000,
        entries: 250_000,
        zeros: (320 << 20, "b52d19c850222c6ecfb303a20a63c9522936fdf4"),
        manifest_bytes: 5 << 20,
    };
    /// The default settings.
    const WHOLE: Self = Self {
        fetch_bytes: 2 << 30,
        list_secs: 60,
        message_bytes: 600 << 20,
        manifests: 200_000,
        entries: 1_000_000,
        zeros: (1 << 30, "4fce05a4e4ed8cefef2d99f32c519b2fd7841b74"),
        manifest_bytes: (10 << 20) - 1000,
    };
}
