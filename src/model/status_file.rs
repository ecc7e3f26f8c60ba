//! The members of `repo_N.json`, the status file of one repository, and what scanwatch writes into
//! a file that a scanner wrote.
//!
//! Input: facts about a repository. Output: the file of the built-in scanner, the schema for authors
//! of scanners, files with a state that scanwatch adds.
//!
//! Invariants: [`StatusFile`] is the only definition of the members: it is written by the built-in
//! scanner and published as a schema. The reader
//! ([`RepositoryStatus`](super::repository::RepositoryStatus)) names the members that it reads once
//! more, because each of them is read leniently on its own (an absent, unknown or invalid member
//! affects nothing else), and because it reads the file at each change of a scan: it parses no
//! member that is not served. [`StatusPatch`] names those that it sets, because it must keep all
//! others, in their order. The tests compare both with the definition.

use super::{
    Failure, JobId, RepoState,
    json::count_of,
    stage_progress::StageProgress,
    time::{self, Timestamp},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The status file of one repository. A writer omits what it does not know, and may add members of
/// its own; the file is replaced as a whole, by rename.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct StatusFile<'a> {
    /// The layout version: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<u32>,
    /// The N of the file's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo_name: Option<Cow<'a, str>>,
    /// Without credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_url: Option<Cow<'a, str>>,
    /// In progress: `starting`, `downloading`, `extracting`, `cloning`, `scanning`, `analyzing`.
    /// Finished: `completed`, `failed`, `timeout`, `cancelled`. Anything else counts as pending.
    pub status: Cow<'a, str>,
    /// From 1; each new attempt of a repository has the next number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// Grows with each write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// For display; never signalled.
    pub pid: Option<u32>,
    #[schemars(with = "Option<Time>")]
    #[serde(skip_serializing_if = "Option::is_none", with = "time::option")]
    pub started_at: Option<Timestamp>,
    /// The heartbeat.
    #[schemars(with = "Option<Time>")]
    #[serde(skip_serializing_if = "Option::is_none", with = "time::option")]
    pub last_update: Option<Timestamp>,
    #[schemars(with = "Option<Time>")]
    #[serde(with = "time::option")]
    pub completed_at: Option<Timestamp>,
    /// The current activity, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<Cow<'a, str>>,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_total: Option<u64>,
    /// 0 to 100; any other JSON value of at most 4,096 bytes is passed through.
    #[schemars(with = "Option<StageProgress>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_progress: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_extracted: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_extraction_files: Option<u64>,
    /// 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extraction_percentage: Option<f64>,
    /// The scanned commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<Cow<'a, str>>,
    /// The number of files to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_files: Option<u64>,
    /// How many of them are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_file: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_filename: Option<Cow<'a, str>>,
    /// 0 to 100; computed from the files if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percentage: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dependencies_found: Option<u64>,
    /// The job whose scan produced the result, if this repository was not scanned again because
    /// nothing that it depends on has changed. Only scanwatch writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reused_from: Option<&'a JobId>,
    /// When the scanner asked the forge for the commit.
    #[schemars(with = "Option<Time>")]
    #[serde(skip_serializing_if = "Option::is_none", with = "time::option")]
    pub checked_at: Option<Timestamp>,
    /// Errors; the first one is shown.
    #[schemars(with = "Option<Vec<ErrorEntry>>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<&'a [ErrorEntry]>,
    /// The error, if there are no `errors`.
    pub error_message: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<&'a Failure>,
    /// Notes that are not failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warnings: Option<Vec<Cow<'a, str>>>,
    /// The end of the scanner's standard error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr: Option<Cow<'a, str>>,
}

/// An error.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ErrorEntry {
    pub message: String,
    #[schemars(with = "Option<Time>")]
    #[serde(skip_serializing_if = "Option::is_none", with = "time::option")]
    pub timestamp: Option<Timestamp>,
    /// The error's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceback: Option<String>,
}

/// RFC 3339 in UTC, or Unix seconds.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Time {
    Text(Timestamp),
    UnixSeconds(f64),
}

/// The JSON object of a status file, for adding a final state without losing members of any
/// scanner. `None` if the bytes are not a JSON object.
pub fn raw_object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Some(map),
        _ => None,
    }
}

/// Whether a final status has all members that every final status has.
pub fn is_complete_final_status(map: &Map<String, Value>) -> bool {
    ["repo_name", "attempt", "started_at", "completed_at", "git_url"]
        .iter()
        .all(|key| map.get(*key).is_some_and(|value| !value.is_null()))
}

/// What scanwatch writes into a repository's status file.
#[derive(Debug)]
pub struct StatusPatch<'a> {
    pub index: u32,
    pub name: &'a str,
    pub git_url: &'a str,
    pub attempt: u64,
    /// The status word to write; `interrupted` counts as pending.
    pub word: &'a str,
    pub now: Timestamp,
    /// When the attempt began, if that is known.
    pub started_at: Option<Timestamp>,
    pub failure: Option<&'a Failure>,
}

impl StatusPatch<'_> {
    /// Applies the patch to what the scanner last wrote (`before`): name and progress are kept.
    pub fn apply(&self, before: Option<Map<String, Value>>) -> Value {
        let mut map = before.unwrap_or_default();
        let now = time::format(self.now);
        let revision = map.get("revision").and_then(count_of).unwrap_or(0) + 1;
        let mut set = |key: &str, value: Value| map.insert(key.to_owned(), value);
        set("schema", 1.into());
        set("repo_index", self.index.into());
        set("git_url", self.git_url.into());
        set("status", self.word.into());
        set("attempt", self.attempt.into());
        set("revision", revision.into());
        set("last_update", now.clone().into());
        if let Some(failure) = self.failure {
            set("failure", serde_json::to_value(failure).unwrap_or(Value::Null));
            set("error_message", failure.detail.clone().into());
            let entry = serde_json::json!({ "message": failure.detail, "timestamp": now });
            match map.get_mut("errors").and_then(Value::as_array_mut) {
                // The cause of the failure comes first, because clients show the first error.
                Some(errors) => errors.insert(0, entry),
                None => {
                    map.insert("errors".to_owned(), Value::Array(vec![entry]));
                }
            }
        }
        if !map.get("repo_name").is_some_and(Value::is_string) {
            map.insert("repo_name".to_owned(), self.name.into());
        }
        if let Some(at) = self.started_at
            && map.get("started_at").is_none_or(Value::is_null)
        {
            map.insert("started_at".to_owned(), time::format(at).into());
        }
        if RepoState::parse(self.word).is_final() {
            map.insert("pid".to_owned(), Value::Null);
            map.entry("completed_at").or_insert(Value::Null);
            if map["completed_at"].is_null() {
                map.insert("completed_at".to_owned(), now.into());
            }
        }
        Value::Object(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FailureKind, repository::RepositoryStatus};
    use serde_json::json;

    fn members() -> Map<String, Value> {
        let schema = schemars::schema_for!(StatusFile<'_>).to_value();
        schema["properties"].as_object().unwrap().clone()
    }

    /// A file with an invalid value for each described member.
    #[test]
    fn every_member_that_is_read_is_described() {
        let members = members();
        let mut odd: Map<_, _> = members.keys().map(|name| (name.clone(), json!([[]]))).collect();
        let warnings = |file: &Map<String, Value>| {
            RepositoryStatus::parse(0, Value::from(file.clone()).to_string().as_bytes()).unwrap().1
        };
        let mut warned = warnings(&odd);
        // Stages are only read together with a message.
        odd["message"] = json!("at it");
        warned.extend(warnings(&odd));
        // `failure.kind` is a part of `failure`.
        let member = |warning: &str| Some(warning.split('`').nth(1)?.split('.').next()?.to_owned());
        let read: Vec<String> = warned.iter().filter_map(|warning| member(warning)).collect();
        for name in &read {
            assert!(members.contains_key(name), "{name} is read and not described");
        }
        // Members that are described and not read are for people, or for later versions.
        let unread: Vec<_> = members.keys().filter(|name| !read.contains(name)).collect();
        // Every value of `stage_progress` is valid.
        let expected =
            ["schema", "revision", "pid", "stage_progress", "commit", "errors", "stderr"];
        assert_eq!(unread, expected);
    }
    #[test]
    fn every_member_that_a_patch_sets_is_described() {
        let failure = Failure::new(FailureKind::Stalled, "no heartbeat");
        let patch = StatusPatch {
            index: 0,
            name: "r",
            git_url: "https://h/r.git",
            attempt: 1,
            word: "failed",
            now: Timestamp::default(),
            started_at: Some(Timestamp::default()),
            failure: Some(&failure),
        };
        let members = members();
        for name in patch.apply(None).as_object().unwrap().keys() {
            assert!(members.contains_key(name), "{name}");
        }
    }

    #[test]
    fn a_patch_keeps_name_and_progress_and_puts_its_cause_first() {
        let before = raw_object(
            br#"{"repo_name":"a/b","status":"scanning","current_file":4,"revision":8,
                 "errors":[{"message":"old"}]}"#,
        );
        let failure = Failure::new(FailureKind::Stalled, "no heartbeat");
        let after = StatusPatch {
            index: 3,
            name: "other",
            git_url: "https://h/a/b.git",
            attempt: 2,
            word: "failed",
            now: Timestamp::default(),
            started_at: None,
            failure: Some(&failure),
        }
        .apply(before);
        assert_eq!(after["repo_name"], "a/b");
        assert_eq!(after["current_file"], 4);
        assert_eq!(after["revision"], 9);
        assert_eq!(after["errors"][0]["message"], "no heartbeat");
        assert_eq!(after["errors"][1]["message"], "old");
        assert_eq!(after["completed_at"], "1970-01-01T00:00:00.000Z");
        let (status, warnings) = RepositoryStatus::parse(3, after.to_string().as_bytes()).unwrap();
        assert_eq!(status.error.as_deref(), Some("no heartbeat"));
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}
