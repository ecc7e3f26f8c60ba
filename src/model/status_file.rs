//! The schema of `repo_N.json` for writers: scanners of any kind.
//!
//! Invariants: it contains every member that
//! [`RepositoryStatus`](super::repository::RepositoryStatus) reads. Parsing is lenient: an absent,
//! unknown or invalid member affects nothing else.

use super::{Failure, time::Timestamp};
use schemars::JsonSchema;

/// The status file of one repository. A writer omits what it does not know, and may add members of
/// its own; the file is replaced as a whole, by rename.
#[derive(Debug, JsonSchema)]
pub struct StatusFile {
    /// The layout version: 1.
    pub schema: Option<u32>,
    /// The N of the file's name.
    pub repo_index: Option<u32>,
    pub repo_name: Option<String>,
    /// Without credentials.
    pub git_url: Option<String>,
    /// In progress: `starting`, `downloading`, `extracting`, `cloning`, `scanning`, `analyzing`.
    /// Finished: `completed`, `failed`, `timeout`, `cancelled`. Anything else counts as pending.
    pub status: String,
    /// From 1; each new attempt of a repository has the next number.
    pub attempt: Option<u64>,
    /// Grows with each write.
    pub revision: Option<u64>,
    /// For display; never signalled.
    pub pid: Option<u32>,
    pub started_at: Option<Time>,
    /// The heartbeat.
    pub last_update: Option<Time>,
    pub completed_at: Option<Time>,
    /// The current activity, for people.
    pub message: Option<String>,
    pub stage: Option<String>,
    /// From 1.
    pub stage_index: Option<u64>,
    pub stage_total: Option<u64>,
    /// 0 to 100.
    pub stage_progress: Option<f64>,
    pub download_bytes: Option<u64>,
    pub files_extracted: Option<u64>,
    pub total_extraction_files: Option<u64>,
    /// 0 to 100.
    pub extraction_percentage: Option<f64>,
    /// The number of files to read.
    pub total_files: Option<u64>,
    /// How many of them are done.
    pub current_file: Option<u64>,
    pub current_filename: Option<String>,
    /// 0 to 100; computed from the files if absent.
    pub percentage: Option<f64>,
    /// The scanned commit.
    pub commit: Option<String>,
    pub dependencies_found: Option<u64>,
    /// Errors; the first one is shown.
    pub errors: Option<Vec<ErrorEntry>>,
    /// The error, if there are no `errors`.
    pub error_message: Option<String>,
    pub failure: Option<Failure>,
    /// Notes that are not failures.
    pub warnings: Option<Vec<String>>,
    /// The end of the scanner's standard error.
    pub stderr: Option<String>,
}

/// An error.
#[derive(Debug, JsonSchema)]
pub struct ErrorEntry {
    pub message: String,
    pub timestamp: Option<Time>,
    /// The error's type.
    pub exception: Option<String>,
    pub traceback: Option<String>,
}

/// RFC 3339 in UTC, or Unix seconds.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
pub enum Time {
    Text(Timestamp),
    UnixSeconds(f64),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::repository::RepositoryStatus;
    use serde_json::{Map, Value, json};

    /// A file with an invalid value for each described member.
    #[test]
    fn every_member_that_is_read_is_described() {
        let schema = schemars::schema_for!(StatusFile).to_value();
        let members = schema["properties"].as_object().unwrap();
        let mut odd: Map<_, _> = members.keys().map(|name| (name.clone(), json!([[]]))).collect();
        let warnings = |file: &Map<String, Value>| {
            RepositoryStatus::parse(0, Value::from(file.clone()).to_string().as_bytes()).unwrap().1
        };
        let mut warned = warnings(&odd);
        // Stages are only read together with a message.
        odd["message"] = json!("at it");
        warned.extend(warnings(&odd));
        let read: Vec<_> = warned.iter().filter_map(|warning| warning.split('`').nth(1)).collect();
        for name in &read {
            assert!(members.contains_key(*name), "{name} is read and not described");
        }
        // Members that are described and not read are for people, or for later versions.
        let unread: Vec<_> =
            members.keys().map(String::as_str).filter(|name| !read.contains(name)).collect();
        assert_eq!(unread, ["schema", "revision", "pid", "commit", "errors", "stderr"]);
    }
}
