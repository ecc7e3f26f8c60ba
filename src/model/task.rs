//! The two messages that travel on standard input: what a shim is to do, and what a scanner is
//! to scan. Credentials travel here and nowhere else.

use super::{JobId, address::NetworkPolicy};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, path::PathBuf};

/// The variable that marks every process of one attempt, so that strays can be found.
pub const TRACKING_VARIABLE: &str = "SCANWATCH_TRACKING_ID";

/// A user name and its secret, for one repository's host.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, …)", self.username)
    }
}

/// Sizes and times at which a scan ends with `failure.kind` = `limit` or `clone`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Entries of one commit's tree.
    pub max_tree_entries: u64,
    /// Folders below each other.
    pub max_tree_depth: u64,
    /// Bytes of one path.
    pub max_path_bytes: u64,
    /// Seconds for listing one tree.
    pub list_timeout_secs: u64,
    /// Bytes of one file that is read; larger ones are listed as skipped.
    pub max_file_bytes: u64,
    /// Bytes that one fetch may leave on disk.
    pub max_fetch_bytes: u64,
    /// Seconds until a connection must stand.
    pub connect_timeout_secs: u64,
    /// Seconds for which a fetch may move (nearly) nothing.
    pub fetch_stall_timeout_secs: u64,
    /// Sources of one repository whose imports are read; the rest is listed as skipped.
    pub max_source_files: u64,
    /// Packages of one repository.
    pub max_packages: u64,
    /// Bytes of one result file.
    pub max_result_bytes: u64,
    /// Bytes of address space of the built-in scanner, and of each git that it starts.
    #[serde(default = "default_max_memory_bytes")]
    pub max_memory_bytes: u64,
    /// Bytes that each of them may fill with data of its own.
    #[serde(default = "default_max_data_bytes")]
    pub max_data_bytes: u64,
    /// Seconds of processor time of the built-in scanner, and of each git that it starts.
    #[serde(default = "default_max_cpu_secs")]
    pub max_cpu_secs: u64,
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

/// How the built-in scanner shuts itself in, before it reads anything foreign.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Sandbox {
    #[serde(default)]
    pub mode: SandboxMode,
    /// Folders that stay open for reading and for running programs, beside the system's.
    #[serde(default)]
    pub paths: Vec<PathBuf>,
}

/// How much of it there has to be.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SandboxMode {
    /// What the kernel can do.
    #[default]
    Auto,
    /// All of it, or no scan.
    Require,
    /// None: only the limits hold.
    Off,
}

impl SandboxMode {
    /// The word in settings and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Require => "require",
            Self::Off => "off",
        }
    }
}

/// Packages and patterns that make up one category of the results.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// Names of packages; matched without regard to case, `-`, `_` and `.`.
    #[serde(default)]
    pub dependencies: Vec<String>,
    /// Names with `*` for any run of characters.
    #[serde(default)]
    pub patterns: Vec<String>,
}

/// What a scanner reads from its standard input: one line of JSON, then end of file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ScanTask {
    pub job_id: JobId,
    pub repo_index: u32,
    pub repo_name: String,
    /// A https URL; for a scan of a local path, that path.
    pub git_url: String,
    /// Branch, tag or commit; none for the default branch.
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
    /// Whether the imports of sources are read beside manifests and lock files.
    #[serde(default)]
    pub deep: bool,
    pub limits: Limits,
    /// Hosts and addresses that the scanner may contact.
    pub network: NetworkPolicy,
    #[serde(default)]
    pub categories: BTreeMap<String, Category>,
    #[serde(default)]
    pub sandbox: Sandbox,
    #[serde(default)]
    pub credentials: Option<Credentials>,
}

fn default_progress_interval_ms() -> u64 {
    500
}

impl ScanTask {
    /// Marks the processes of this attempt; the same for every server that asks.
    pub fn tracking_id(job_id: &JobId, repo_index: u32, attempt: u64) -> String {
        format!("{job_id}/{repo_index}/{attempt}")
    }
}

/// What a shim reads from its standard input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShimTask {
    /// The jobs folder: parent of the job's folder and of `.staging`.
    pub jobs_dir: PathBuf,
    /// The scanner's program and arguments; empty for the built-in one.
    pub command: Vec<String>,
    /// The `PATH` that the scanner gets.
    pub path: String,
    /// Seconds after which the scanner is ended.
    pub timeout_secs: u64,
    /// Seconds between SIGTERM and SIGKILL.
    pub kill_grace_secs: u64,
    /// Seconds without a heartbeat after which the scanner is ended.
    pub stall_timeout_secs: u64,
    /// Bytes of a log file, after which the rest is drained unseen.
    pub log_max_bytes: u64,
    /// How often before a shim of this repository died without a word.
    pub interruptions: u64,
    /// Which retry of those that were asked for this attempt is; 0 for the first try.
    #[serde(default)]
    pub retries: u64,
    pub scan: ScanTask,
}
