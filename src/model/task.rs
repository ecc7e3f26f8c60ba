//! The two messages on standard input: the task of a shim, and the task of a scanner.
//!
//! Input: settings and plan. Output: JSON. Invariants: credentials travel here and nowhere else.

pub use super::credentials::Credentials;

use super::{JobId, address::NetworkPolicy, element::ElementName};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// The environment variable that marks every process of one attempt, so that strays can be found.
pub const TRACKING_VARIABLE: &str = "SCANWATCH_TRACKING_ID";

/// Limits beyond which a scan fails with `failure.kind` = `limit` or `clone`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Entries of one commit's tree.
    pub max_tree_entries: u64,
    /// Nested folders.
    pub max_tree_depth: u64,
    /// Bytes of one path.
    pub max_path_bytes: u64,
    /// Seconds for listing one tree.
    pub list_timeout_secs: u64,
    /// Bytes of one file that is read; larger files are reported as skipped.
    pub max_file_bytes: u64,
    /// Bytes of one lock file that is read: tools generate them, so they may be larger than other files.
    #[serde(default = "default_max_lock_file_bytes")]
    pub max_lock_file_bytes: u64,
    /// Bytes that one fetch may leave on disk.
    pub max_fetch_bytes: u64,
    /// Seconds until a connection must be established.
    pub connect_timeout_secs: u64,
    /// Seconds without progress after which a fetch fails.
    pub fetch_stall_timeout_secs: u64,
    /// Source files of one repository whose imports are read; the rest is reported as skipped.
    pub max_source_files: u64,
    /// Bytes of one archive or program that is read, where a scan asks for them.
    #[serde(default = "default_max_archive_bytes")]
    pub max_archive_bytes: u64,
    /// Entries in the directory of one archive.
    #[serde(default = "default_max_archive_entries")]
    pub max_archive_entries: u64,
    /// Bytes that are unpacked of one archive: only metadata is.
    #[serde(default = "default_max_archive_unpacked_bytes")]
    pub max_archive_unpacked_bytes: u64,
    /// Seconds of processor time for all archives of one repository.
    #[serde(default = "default_max_archives_secs")]
    pub max_archives_secs: u64,
    /// Packages of one repository.
    pub max_packages: u64,
    /// Bytes of one result file.
    pub max_result_bytes: u64,
    /// Bytes of address space of the built-in scanner, and of each git that it starts.
    #[serde(default = "default_max_memory_bytes")]
    pub max_memory_bytes: u64,
    /// Bytes of private memory of each of these processes.
    #[serde(default = "default_max_data_bytes")]
    pub max_data_bytes: u64,
    /// Seconds of processor time of the built-in scanner, and of each git that it starts.
    #[serde(default = "default_max_cpu_secs")]
    pub max_cpu_secs: u64,
}

impl Limits {
    /// The maximum size of a file or a lock file, and the name of the setting.
    pub fn of_file(&self, is_lock_file: bool) -> (u64, &'static str) {
        if is_lock_file {
            (self.max_lock_file_bytes, "max_lock_file_bytes")
        } else {
            (self.max_file_bytes, "max_file_bytes")
        }
    }
}

fn default_max_lock_file_bytes() -> u64 {
    64 << 20
}

fn default_max_archive_bytes() -> u64 {
    64 << 20
}

fn default_max_archive_entries() -> u64 {
    100_000
}

fn default_max_archive_unpacked_bytes() -> u64 {
    16 << 20
}

fn default_max_archives_secs() -> u64 {
    60
}

fn default_max_memory_bytes() -> u64 {
    2 << 30
}

fn default_max_data_bytes() -> u64 {
    256 << 20
}

fn default_max_cpu_secs() -> u64 {
    600
}

/// The sandbox of the built-in scanner, which it enters before it reads foreign data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Sandbox {
    #[serde(default)]
    pub mode: SandboxMode,
    /// Folders that stay readable and executable, in addition to the system's.
    #[serde(default)]
    pub paths: Vec<PathBuf>,
}

/// Which parts of the sandbox are required.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SandboxMode {
    /// Everything that the kernel supports.
    #[default]
    Auto,
    /// All parts; otherwise scans fail.
    Require,
    /// No sandbox: only resource limits.
    Off,
}

impl SandboxMode {
    /// The name in settings and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Require => "require",
            Self::Off => "off",
        }
    }
}

/// Packages and patterns of one category of the results.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// Package names; compared ignoring case and the difference between `-`, `_` and `.`.
    #[serde(default)]
    pub dependencies: Vec<String>,
    /// Names in which `*` matches any characters.
    #[serde(default)]
    pub patterns: Vec<String>,
    /// Parts of URLs, in which `*` matches any characters; a deep scan compares them with the URLs
    /// in the sources that it reads, ignoring case.
    #[serde(default)]
    pub api_patterns: Vec<String>,
}

/// The task of a scanner on its standard input: one line of JSON, then end of file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a member of a JSON object")]
pub struct ScanTask {
    pub job_id: JobId,
    pub repo_index: u32,
    pub repo_name: String,
    /// A https URL; for a scan of a local path, that path.
    pub git_url: String,
    /// Branch, tag or commit; null for the default branch.
    #[serde(rename = "ref", default)]
    pub reference: Option<String>,
    pub attempt: u64,
    pub status_file: PathBuf,
    pub result_file: PathBuf,
    /// An empty folder on the file system of the two files; removed afterwards.
    pub work_dir: PathBuf,
    pub update_interval_secs: u64,
    #[serde(default = "default_progress_interval_ms")]
    pub progress_interval_ms: u64,
    /// Whether imports in source files are read, in addition to manifests and lock files.
    #[serde(default)]
    pub deep: bool,
    /// Whether committed archives and programs are read, too.
    #[serde(default)]
    pub archives: bool,
    /// [Patterns](super::pattern) of paths whose files are not read: a file or folder that matches one of
    /// them, and everything below it.
    #[serde(default)]
    pub exclude_paths: Vec<String>,
    /// Whether files of a local work tree that git ignores are read, too.
    #[serde(default)]
    pub no_ignore: bool,
    /// The folders of local module caches (Maven's, Gradle's), from which versions are resolved that no file of
    /// the repository defines: only if a user of the command line asked for it.
    #[serde(default)]
    pub module_caches: Vec<PathBuf>,
    pub limits: Limits,
    /// Hosts and addresses that the scanner may contact.
    pub network: NetworkPolicy,
    #[serde(default)]
    pub categories: BTreeMap<String, Category>,
    #[serde(default)]
    pub sandbox: Sandbox,
    #[serde(default)]
    pub credentials: Option<Credentials>,
    /// The stored result of an earlier scan with the same options. A scanner that finds that a scan would have the same
    /// result writes a working status with `unchanged: true`, and exits with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Known>,
    /// Only learn the commit, and end: the task of the built-in scanner before and after a scan by another one.
    #[schemars(skip)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub check_only: bool,
}

/// What a stored result was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Known {
    /// The commit that was scanned.
    pub commit: String,
    /// The digest of everything that the scanner read of it, if the scanner wrote one (`files_digest`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_digest: Option<String>,
}

/// How an attempt uses the store of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reuse {
    /// Not at all.
    #[default]
    Off,
    /// The repository is scanned, and the result is stored (`force`).
    Store,
    /// A stored result is reused if nothing has changed since.
    Reuse,
}

fn default_progress_interval_ms() -> u64 {
    500
}

impl ScanTask {
    /// The logins in the task, whose passwords must not be shown.
    pub fn logins(&self) -> impl Iterator<Item = &Credentials> {
        let proxy = self.network.proxy.as_ref();
        self.credentials.iter().chain(proxy.and_then(|proxy| proxy.credentials.as_ref()))
    }

    /// The id that marks the processes of this attempt; the same for every server.
    pub fn tracking_id(job_id: &JobId, repo_index: u32, attempt: u64) -> String {
        format!("{job_id}/{repo_index}/{attempt}")
    }
}

/// The task of a shim on its standard input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShimTask {
    /// The jobs folder: parent of the job's folder and of `.staging`.
    pub jobs_dir: PathBuf,
    /// The scanner's program and arguments; empty for the built-in one.
    pub command: Vec<String>,
    /// The scanner's `PATH`.
    pub path: String,
    /// Seconds after which the scanner is stopped.
    pub timeout_secs: u64,
    /// Seconds between SIGTERM and SIGKILL.
    pub kill_grace_secs: u64,
    /// Seconds without a heartbeat after which the scanner is stopped.
    pub stall_timeout_secs: u64,
    /// The size limit of a log file in bytes; further output is drained and dropped.
    pub log_max_bytes: u64,
    /// How many shims of this repository have died without reporting a cause.
    pub interruptions: u64,
    /// The number of this attempt among the requested retries; 0 for the first try.
    #[serde(default)]
    pub retries: u64,
    /// Nothing else is scanned during this attempt.
    #[serde(default)]
    pub alone: bool,
    #[serde(default)]
    pub reuse: Reuse,
    /// Which version of `command` scans; with an empty one, its results are not stored.
    #[serde(default)]
    pub command_version: String,
    /// The element of a Slurm array that runs the shim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<ElementTask>,
    pub scan: ScanTask,
}

/// Where a shim of a Slurm cluster runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElementTask {
    pub name: ElementName,
    /// The node, as Slurm names it.
    pub node: String,
}
