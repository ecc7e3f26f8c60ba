//! A schedule: what is scanned when, and what happens if the scan before is not finished.
//!
//! Input: an entry of `[[schedules]]`, a file, or a request. Output: a checked [`ScheduleSpec`].
//!
//! Invariants: a name is safe as the name of a file, and no two names have a file in common; an unknown
//! member of an entry or a file is an error, because it would silently change nothing.

use super::{
    git_ref,
    job_id::JobId,
    master::Options,
    pattern::Pattern,
    retry::MAX_RETRIES,
    timetable::{Timetable, TimetableError},
};
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::{fmt, str::FromStr};

/// The most schedules of a server.
pub const MOST_SCHEDULES: usize = 1_000;
/// The longest jitter: a day.
pub const MAX_JITTER_SECS: u64 = 86_400;
/// The ending of the names of other files of schedules.
const STATE: &str = ".state";

/// The name of a schedule and of its files: as a job id, and not ending in `.state`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    description = "The name of a schedule; it does not end in `.state`.",
    extend("pattern" = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")
)]
pub struct ScheduleName(JobId);

/// The text is not a valid name of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a name of 1 to 64 of A-Z a-z 0-9 . _ - without a leading dot, and not ending in .state"
)]
pub struct InvalidScheduleName;

impl ScheduleName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for ScheduleName {
    type Err = InvalidScheduleName;

    fn from_str(text: &str) -> Result<Self, InvalidScheduleName> {
        match text.parse() {
            Ok(name) if !text.ends_with(STATE) => Ok(Self(name)),
            _ => Err(InvalidScheduleName),
        }
    }
}

impl TryFrom<String> for ScheduleName {
    type Error = InvalidScheduleName;

    fn try_from(text: String) -> Result<Self, InvalidScheduleName> {
        text.parse()
    }
}

impl From<ScheduleName> for String {
    fn from(name: ScheduleName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for ScheduleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ScheduleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happens to a run while the job of the one before is not finished.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// It is skipped, and that is recorded.
    #[default]
    Skip,
    /// It starts when that job is finished; at most one waits.
    Queue,
}

impl FromStr for Overlap {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "skip" => Ok(Self::Skip),
            "queue" => Ok(Self::Queue),
            _ => Err("expected \"skip\" or \"queue\""),
        }
    }
}

/// What is scanned when.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ScheduleSpec {
    /// A cron pattern of five fields (six with seconds).
    pub cron: String,
    /// The IANA time zone of the pattern.
    pub timezone: String,
    /// The URL of a repository or a group.
    pub git_url: String,
    #[serde(flatten)]
    pub options: Options,
    /// Each run is late by a time of up to this many seconds, which differs between schedules.
    pub jitter_secs: u64,
    pub overlap: Overlap,
    /// Whether a run that was missed, because the server did not run, is made up for once.
    pub catch_up: bool,
    pub enabled: bool,
}

/// An invalid member of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{member}`: {message}")]
pub struct SpecError {
    pub member: String,
    pub message: String,
}

impl SpecError {
    fn new(member: impl Into<String>, message: impl Into<String>) -> Self {
        Self { member: member.into(), message: message.into() }
    }
}

impl From<TimetableError> for SpecError {
    fn from(error: TimetableError) -> Self {
        Self::new(error.member(), error.to_string())
    }
}

/// The default time zone.
pub const DEFAULT_TIMEZONE: &str = "UTC";

impl ScheduleSpec {
    /// Reads an entry or a file. The URL is checked only by who knows the policy.
    ///
    /// # Errors
    /// The first member that is missing, unknown or invalid.
    pub fn parse(mut members: Map<String, Value>) -> Result<Self, SpecError> {
        let own = &mut members;
        let required = |member: &str| SpecError::new(member, "it is missing");
        let cron = take(own, "cron")?.ok_or_else(|| required("cron"))?;
        let timezone = take(own, "timezone")?.unwrap_or_else(|| DEFAULT_TIMEZONE.to_owned());
        let git_url = take(own, "git_url")?.ok_or_else(|| required("git_url"))?;
        let jitter_secs = take(own, "jitter_secs")?.unwrap_or(0);
        let overlap = take(own, "overlap")?.unwrap_or_default();
        let catch_up = take(own, "catch_up")?.unwrap_or(true);
        let enabled = take(own, "enabled")?.unwrap_or(true);
        let options = options(members)?;
        let spec =
            Self { cron, timezone, git_url, options, jitter_secs, overlap, catch_up, enabled };
        spec.check()?;
        Ok(spec)
    }

    /// Checks everything but the URL, and returns when the schedule is due.
    ///
    /// # Errors
    /// The first invalid member.
    pub fn check(&self) -> Result<Timetable, SpecError> {
        let timetable = Timetable::parse(&self.cron, &self.timezone)?;
        if self.jitter_secs > MAX_JITTER_SECS {
            return Err(SpecError::new(
                "jitter_secs",
                format!("expected at most {MAX_JITTER_SECS}"),
            ));
        }
        let options = &self.options;
        if let Some(reference) = &options.reference {
            git_ref::check(reference).map_err(|why| {
                SpecError::new("ref", format!("not a valid name of a branch, tag or commit: {why}"))
            })?;
        }
        for (member, patterns) in [("include", &options.include), ("exclude", &options.exclude)] {
            Pattern::list(patterns).map_err(|why| SpecError::new(member, why.to_string()))?;
        }
        Pattern::list_of_paths(&options.exclude_paths)
            .map_err(|why| SpecError::new("exclude_paths", why.to_string()))?;
        if options.retries > MAX_RETRIES {
            return Err(SpecError::new("retries", format!("expected at most {MAX_RETRIES}")));
        }
        Ok(timetable)
    }

    /// What the times that have been handled belong to: if it changes, times before the change are not
    /// missed.
    pub fn rule(&self) -> String {
        let state = if self.enabled { "" } else { " (off)" };
        format!("{} {}{state}", self.cron.trim(), self.timezone)
    }
}

/// Removes a member; an absent one and null are `None`.
fn take<T: DeserializeOwned>(
    members: &mut Map<String, Value>,
    member: &str,
) -> Result<Option<T>, SpecError> {
    match members.shift_remove(member) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => serde_json::from_value(value)
            .map(Some)
            .map_err(|error| SpecError::new(member, error.to_string())),
    }
}

/// The options of a submission, from what is left of the members.
fn options(members: Map<String, Value>) -> Result<Options, SpecError> {
    let schema = schema_for!(Options);
    let known = schema.get("properties").and_then(Value::as_object);
    // Only of a work tree on this machine, which no schedule has.
    let is_known = |name: &str| {
        name != "no_ignore" && known.is_some_and(|properties| properties.contains_key(name))
    };
    if let Some(name) = members.keys().find(|name| !is_known(name)) {
        return Err(SpecError::new(name.clone(), "a schedule has no such member"));
    }
    let members = members.into_iter().filter(|(_, value)| !value.is_null()).collect();
    serde_path_to_error::deserialize(Value::Object(members))
        .map_err(|error| SpecError::new(error.path().to_string(), error.inner().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(value: Value) -> Result<ScheduleSpec, SpecError> {
        let Value::Object(members) = value else { panic!("not an object") };
        ScheduleSpec::parse(members)
    }

    /// Fails if a schedule that is written and read again is another one.
    #[test]
    fn a_schedule_is_written_as_it_is_read() {
        let spec = parse(json!({
            "cron": "0 2 * * *", "git_url": "https://github.com/acme", "deep": true, "ref": "main",
            "include": ["web/*"], "overlap": "queue", "timezone": "Europe/Berlin", "retries": null,
        }))
        .unwrap();
        assert!(spec.options.deep && spec.catch_up && spec.enabled);
        assert_eq!(spec.overlap, Overlap::Queue);
        assert_eq!(parse(serde_json::to_value(&spec).unwrap()), Ok(spec));
    }

    /// Fails if a member that is misspelled or invalid is ignored.
    #[test]
    fn the_first_wrong_member_is_named() {
        for (member, value) in [
            ("cron", json!("every day")),
            ("timezone", json!("CEST+1")),
            ("git_url", json!(7)),
            ("jitter_secs", json!(86_401)),
            ("jitter_secs", json!(-1)),
            ("overlap", json!("wait")),
            ("catch_up", json!("yes")),
            ("deep", json!("yes")),
            ("ref", json!("a..b")),
            ("include", json!(["/x"])),
            ("exclude_paths", json!([""])),
            ("retries", json!(11)),
            ("overlp", json!("skip")),
            ("no_ignore", json!(true)),
        ] {
            let mut members = json!({ "cron": "0 2 * * *", "git_url": "https://github.com/acme" });
            members[member] = value.clone();
            let error = parse(members).unwrap_err();
            assert_eq!(error.member, member, "{value}: {error}");
        }
        assert_eq!(parse(json!({ "cron": "0 2 * * *" })).unwrap_err().member, "git_url");
    }

    /// Fails if two schedules share a file.
    #[test]
    fn a_name_is_the_name_of_a_file() {
        for bad in ["", ".", "..", ".x", "a/b", "a.state", "a b", &"x".repeat(65)] {
            assert!(bad.parse::<ScheduleName>().is_err(), "{bad}");
        }
        for good in ["nightly", "a.b_c-D", "state", "a.states"] {
            assert_eq!(good.parse::<ScheduleName>().unwrap().as_str(), good);
        }
    }
}
