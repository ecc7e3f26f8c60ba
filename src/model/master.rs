//! The job's own file, `master.json`.
//!
//! Input: bytes, of the Python service, too. Output: the file's content. Invariants: parsed
//! leniently; only the server writes it, as a whole.

use super::{
    JobId, JobState,
    filters::Filters,
    json::{self, Fields},
    listing::{self, ListingError, ListingErrors},
    report::Report,
    time::{self, Timestamp},
};
use serde::Serialize;
use serde_json::Value;

/// The layout version that scanwatch writes.
pub const SCHEMA: u32 = 1;

/// The largest plausible number of repositories: a wrong number would count as pending for ever.
pub const MOST_REPOSITORIES: u64 = 1_000_000;

/// What was scanned; decides the name of a job's final state.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ScanType {
    /// One repository by URL.
    Repository,
    /// All repositories of a group, organisation or user.
    Group,
    /// A local folder or bare repository.
    Path,
}

/// The options of a submission.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a member of a JSON object")]
pub struct Options {
    /// The branch, tag or commit to scan; the default branch if absent.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Whether imports in source files are read, too.
    #[serde(default)]
    pub deep: bool,
    /// Whether committed archives and programs are read, too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub archives: bool,
    /// Only for a group: whether its subgroups are scanned, too.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub include_subgroups: bool,
    /// Only for a group: [patterns](super::pattern), one of which a repository's name must match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Only for a group: patterns that a repository's name must not match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    #[serde(flatten)]
    pub filters: Filters,
    /// [Patterns](super::pattern) of paths within a repository, whose files are not read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude_paths: Vec<String>,
    /// Only for a work tree on this machine: whether files that git ignores are read, too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_ignore: bool,
    /// How often a repository is retried after a failure with a transient cause.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u64,
    /// Whether every repository is scanned, even if its result is known.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

fn yes() -> bool {
    true
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reference: None,
            deep: false,
            archives: false,
            include_subgroups: true,
            include: Vec::new(),
            exclude: Vec::new(),
            filters: Filters::default(),
            exclude_paths: Vec::new(),
            no_ignore: false,
            retries: 0,
            force: false,
        }
    }
}

/// A failed repository in master.json.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct FailedRepository {
    pub repo_name: Option<String>,
    pub error: String,
    pub status: String,
}

/// The content of master.json.
#[derive(Debug, Clone, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Master {
    pub schema: u32,
    pub job_id: Option<String>,
    /// The URL as submitted, also for a single repository.
    pub group_url: Option<String>,
    pub scan_type: Option<ScanType>,
    /// Those found so far, without the skipped ones.
    pub total_repositories: Option<u64>,
    /// How many entries of the group are skipped; absent for jobs of other programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped_repositories: Option<u64>,
    /// Whether the repositories are still being listed.
    #[serde(skip_serializing_if = "is_false")]
    pub discovering: bool,
    /// As written; see [`Master::final_state`].
    pub status: Option<String>,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    pub started_at: Option<Timestamp>,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    pub completed_at: Option<Timestamp>,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    pub last_aggregation: Option<Timestamp>,
    pub pending_repositories: Option<Vec<String>>,
    pub completed_repositories: Option<Vec<String>>,
    pub failed_repositories: Option<Vec<FailedRepository>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the job waits for before its repositories can be listed, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// What could not be listed: the first 100 errors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub discovery_errors: Vec<ListingError>,
    /// The number of all errors.
    #[serde(skip_serializing_if = "is_zero")]
    pub discovery_errors_total: u64,
    pub submitted_by: Option<String>,
    /// The schedule whose run this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    pub options: Option<Options>,
    /// Nothing more of the job is started until it is resumed.
    #[serde(skip_serializing_if = "is_false")]
    pub paused: bool,
    /// When the job was put before the other jobs of its user, if it was.
    #[serde(with = "time::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    pub bumped_at: Option<Timestamp>,
    /// Of a finished job: how many repositories were completed, failed and skipped, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

impl Master {
    /// Parses a master.json. The second value contains warnings about invalid members.
    ///
    /// # Errors
    /// A sentence for people, if the bytes are not a JSON object.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Vec<String>), String> {
        let mut fields = Fields::parse(bytes)?;
        let failed = fields
            .list("failed_repositories")
            .map(|items| items.into_iter().filter_map(json::Value::typed).collect());
        let errors = fields.list("discovery_errors").unwrap_or_default();
        let errors: Vec<ListingError> =
            errors.into_iter().filter_map(json::Value::typed).take(listing::MAX_ERRORS).collect();
        let master = Self {
            schema: fields
                .count("schema")
                .and_then(|schema| u32::try_from(schema).ok())
                .unwrap_or(0),
            job_id: fields.text("job_id"),
            group_url: fields.text("group_url"),
            scan_type: fields.typed("scan_type", "repository, group or path"),
            total_repositories: fields.count_up_to("total_repositories", MOST_REPOSITORIES),
            skipped_repositories: fields.count_up_to("skipped_repositories", MOST_REPOSITORIES),
            discovering: fields.typed("discovering", "true or false").unwrap_or(false),
            status: fields.text("status"),
            started_at: fields.time("started_at"),
            completed_at: fields.time("completed_at"),
            last_aggregation: fields.time("last_aggregation"),
            pending_repositories: fields.texts("pending_repositories"),
            completed_repositories: fields.texts("completed_repositories"),
            failed_repositories: failed,
            error: fields.text("error"),
            waiting_for: fields.text("waiting_for"),
            discovery_errors_total: fields
                .count("discovery_errors_total")
                .unwrap_or_default()
                .max(errors.len() as u64),
            discovery_errors: errors,
            submitted_by: fields.text("submitted_by"),
            schedule: fields.text("schedule"),
            options: fields.typed("options", "an object"),
            paused: fields.typed("paused", "true or false").unwrap_or(false),
            bumped_at: fields.time("bumped_at"),
            report: fields.typed("report", "an object"),
        };
        Ok((master, fields.into_warnings()))
    }

    /// Parses only the final state from the bytes of a master.json.
    pub fn final_state_in(bytes: &[u8]) -> Option<JobState> {
        Fields::parse(bytes).ok()?.text("status").as_deref().and_then(JobState::parse_final)
    }

    /// The final state in the file, if there is one.
    pub fn final_state(&self) -> Option<JobState> {
        self.status.as_deref().and_then(JobState::parse_final)
    }

    /// How many repositories the file lists as finished. A job is marked cancelled before all its
    /// repositories are finished.
    pub fn named(&self) -> usize {
        self.completed_repositories.as_ref().map_or(0, Vec::len)
            + self.failed_repositories.as_ref().map_or(0, Vec::len)
    }

    /// The first master.json of a job: nothing has started. If its repositories still have to be
    /// listed, it has no `scan_type` and no names.
    pub fn new(
        id: &JobId,
        url: &str,
        scan_type: Option<ScanType>,
        names: Vec<String>,
        now: Timestamp,
    ) -> Self {
        Self {
            schema: SCHEMA,
            job_id: Some(id.to_string()),
            group_url: Some(url.to_owned()),
            scan_type,
            total_repositories: Some(names.len() as u64),
            status: Some(JobState::Initializing.to_string()),
            started_at: Some(now),
            last_aggregation: Some(now),
            pending_repositories: Some(names),
            completed_repositories: Some(Vec::new()),
            failed_repositories: Some(Vec::new()),
            ..Self::default()
        }
    }

    /// Marks a finished job as unfinished.
    pub fn reopen(&mut self, now: Timestamp) {
        self.status = Some(JobState::InProgress.to_string());
        self.completed_at = None;
        self.error = None;
        self.report = None;
        self.set_discovery_errors(ListingErrors::default());
        self.last_aggregation = Some(now);
    }

    /// Replaces the errors of the listing.
    pub fn set_discovery_errors(&mut self, errors: ListingErrors) {
        self.discovery_errors = errors.first;
        self.discovery_errors_total = errors.total;
    }

    /// The file's content.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}

/// The final state of a job, derived from those of its repositories.
///
/// `last` is the state of the only repository of a job that has one.
pub fn end_state(
    scan_type: ScanType,
    completed: u64,
    failed: u64,
    last: super::RepoState,
) -> JobState {
    use super::RepoState::{Cancelled, TimedOut};
    match (scan_type, completed, failed) {
        (_, _, 0) => JobState::Completed,
        (ScanType::Group, 0, _) => JobState::AllFailed,
        (ScanType::Group, _, _) => JobState::CompletedWithErrors,
        (ScanType::Repository | ScanType::Path, _, _) => match last {
            TimedOut => JobState::TimedOut,
            Cancelled => JobState::Cancelled,
            _ => JobState::Failed,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breaks if an impossible number is shown as the number of pending repositories.
    #[test]
    fn an_impossible_total_counts_as_absent() {
        for (total, read) in [(MOST_REPOSITORIES, Some(MOST_REPOSITORIES)), (1 << 32, None)] {
            let text =
                format!("{{\"total_repositories\": {total}, \"started_at\": 1704067200000}}");
            let (master, warnings) = Master::parse(text.as_bytes()).unwrap();
            assert_eq!(master.total_repositories, read);
            assert_eq!(warnings.len(), 1 + usize::from(read.is_none()), "{warnings:?}");
            assert_eq!(master.started_at, None);
        }
    }

    #[test]
    fn absent_options_are_the_defaults() {
        let text = r#"{"deep":false}"#;
        assert_eq!(serde_json::from_str::<Options>(text).unwrap(), Options::default());
        assert_eq!(serde_json::to_string(&Options::default()).unwrap(), text);
        let narrow = Options { include_subgroups: false, ..Options::default() };
        let text = serde_json::to_string(&narrow).unwrap();
        assert_eq!(serde_json::from_str::<Options>(&text).unwrap(), narrow);
    }
}
