//! Webhooks as plain data: kinds of targets, names of events, secrets, and the payload that a target receives.
//!
//! Input: words of the settings, facts of jobs. Output: their types, and the payload by the specification of Standard
//! Webhooks. Invariants: the name of a webhook is a file name; no payload contains a secret.

use super::{
    Failure, JobId, JobState,
    time::{self, Timestamp},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The prefix of a signing secret.
const SECRET_PREFIX: &str = "whsec_";
/// The size of a signing secret in bytes: the range of Standard Webhooks.
const SECRET_SIZES: std::ops::RangeInclusive<usize> = 24..=64;

/// What is sent to a webhook.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum EventKind {
    /// A job was submitted.
    #[serde(rename = "job.created")]
    JobCreated,
    /// The first repository of a job is being scanned.
    #[serde(rename = "job.started")]
    JobStarted,
    /// A job reached its final state, or was deleted before that.
    #[serde(rename = "job.finished")]
    JobFinished,
    /// A repository was scanned.
    #[serde(rename = "repository.finished")]
    RepositoryFinished,
    /// The scan of a repository failed, timed out, or was cancelled.
    #[serde(rename = "repository.failed")]
    RepositoryFailed,
    /// Somebody tries the webhook. It is sent once, to one target, whatever events that has subscribed to.
    #[serde(rename = "webhook.test")]
    Test,
}

impl EventKind {
    /// The events that a webhook can subscribe to.
    pub const ALL: [Self; 5] = [
        Self::JobCreated,
        Self::JobStarted,
        Self::JobFinished,
        Self::RepositoryFinished,
        Self::RepositoryFailed,
    ];

    /// The name in settings, payloads and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JobCreated => "job.created",
            Self::JobStarted => "job.started",
            Self::JobFinished => "job.finished",
            Self::RepositoryFinished => "repository.finished",
            Self::RepositoryFailed => "repository.failed",
            Self::Test => "webhook.test",
        }
    }

    /// The event with this name, if webhooks can subscribe to it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == name)
    }
}

/// The protocol of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookKind {
    /// Standard Webhooks: a signed payload.
    Standard,
    /// The bill of materials of each scanned repository, uploaded to Dependency-Track.
    DependencyTrack,
}

/// Where a delivery stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is sent now or later.
    Pending,
    /// It was given up after all attempts.
    Failed,
    /// The target accepted it.
    Delivered,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Failed, Self::Delivered];

    /// The name in paths and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
        }
    }
}

/// Whether a text can be the name of a webhook: 1 to 64 of `A-Z a-z 0-9 . _ -`, without a dot at the beginning.
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(allowed)
}

/// The bytes of a signing secret: `whsec_` and 24 to 64 bytes in base64.
pub fn secret_bytes(text: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(text.strip_prefix(SECRET_PREFIX)?).ok()?;
    SECRET_SIZES.contains(&bytes.len()).then_some(bytes)
}

/// What a webhook receives: the payload of Standard Webhooks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "WebhookPayload")]
pub struct Payload {
    #[serde(rename = "type")]
    pub event: EventKind,
    /// When the event happened, or when it was noticed if no file names the time.
    #[serde(with = "time")]
    #[schemars(with = "Timestamp")]
    pub timestamp: Timestamp,
    pub data: Data,
}

/// The subject of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Data {
    Repository(RepositoryData),
    Job(JobData),
    Test(TestData),
}

/// A job: the data of `job.created`, `job.started` and `job.finished`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "WebhookJob")]
pub struct JobData {
    pub job_id: String,
    /// The submitted URL, without credentials.
    pub git_url: Option<String>,
    /// A state of a job, or `deleted`: the job was deleted before its final state was noticed.
    pub status: String,
    pub total_repositories: u64,
    pub completed: u64,
    pub failed: u64,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    pub started_at: Option<Timestamp>,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    pub completed_at: Option<Timestamp>,
    /// Why the job failed.
    pub error: Option<String>,
    /// Where the job is served, if `[server] public_url` is set.
    pub url: Option<String>,
}

/// A repository of a job: the data of `repository.finished` and `repository.failed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "WebhookRepository")]
pub struct RepositoryData {
    pub job_id: String,
    pub repo_index: u32,
    pub repo_name: String,
    /// Without credentials.
    pub git_url: Option<String>,
    /// The requested branch, tag or commit; null for the default branch.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    #[schemars(extend("enum" = ["completed", "failed", "timeout", "cancelled"]))]
    pub status: String,
    /// The number of the attempt, from 1, if the scanner's file names it.
    pub attempt: Option<u64>,
    pub dependencies_found: Option<u64>,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    pub started_at: Option<Timestamp>,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    pub completed_at: Option<Timestamp>,
    /// Why the scan failed.
    pub error: Option<String>,
    pub failure: Option<Failure>,
    /// Where the repository is served, if `[server] public_url` is set.
    pub url: Option<String>,
}

/// The data of `webhook.test`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "WebhookTest")]
pub struct TestData {
    /// The name of the webhook.
    pub webhook: String,
}

impl JobData {
    /// A job that was deleted; `git_url` is what is known about it.
    pub fn deleted(id: &JobId, git_url: Option<String>) -> Self {
        Self {
            job_id: id.to_string(),
            git_url,
            status: "deleted".to_owned(),
            total_repositories: 0,
            completed: 0,
            failed: 0,
            started_at: None,
            completed_at: None,
            error: None,
            url: None,
        }
    }

    /// Sets the state.
    #[must_use]
    pub fn in_state(mut self, state: JobState) -> Self {
        state.as_str().clone_into(&mut self.status);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_secrets_are_checked() {
        for (name, is_valid) in
            [("ci", true), ("a.b_c-1", true), ("", false), (".x", false), ("a/b", false)]
        {
            assert_eq!(is_name(name), is_valid, "{name}");
        }
        let secret = |size| format!("whsec_{}", STANDARD.encode(vec![7; size]));
        assert_eq!(secret_bytes(&secret(24)).unwrap(), [7; 24]);
        for bad in [secret(23), secret(65), secret(24).replace("whsec_", ""), "whsec_%".into()] {
            assert_eq!(secret_bytes(&bad), None, "{bad}");
        }
        for event in EventKind::ALL {
            assert_eq!(serde_json::to_value(event).unwrap(), event.as_str());
            assert_eq!(EventKind::parse(event.as_str()), Some(event));
        }
    }
}
