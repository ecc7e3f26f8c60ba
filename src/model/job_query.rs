//! The filter of the list of jobs: words, some with a qualifier.
//!
//! Input: what a user typed: `status:failed forge:gitlab name:auth shop`. Output: whether a job fits all words.
//!
//! Invariants: case does not matter; an unknown qualifier is an error and not a word, because it would silently find nothing.

use super::{
    progress::JobFacts,
    state::{COARSE_STATES, JobState},
};

/// The longest filter, in bytes.
pub const MAX_LENGTH: usize = 200;

/// A filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobQuery(Vec<Word>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    /// A state of a job, or one of the states of lists.
    Status(String),
    /// Part of the host.
    Forge(String),
    /// Part of the path.
    Name(String),
    /// The whole name of the schedule.
    Schedule(String),
    /// Part of the URL, or of the id.
    Any(String),
}

/// Why a text is not a filter.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error("the filter is longer than {MAX_LENGTH} bytes")]
    TooLong,
    #[error("unknown qualifier `{0}:`; use status: forge: name: schedule:")]
    UnknownQualifier(String),
    #[error("unknown state `{0}`")]
    UnknownState(String),
}

impl JobQuery {
    /// Reads a filter; an empty one fits every job.
    ///
    /// # Errors
    /// A qualifier or a state that does not exist, or a filter that is too long.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        if text.len() > MAX_LENGTH {
            return Err(QueryError::TooLong);
        }
        text.to_lowercase().split_whitespace().map(Word::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a job fits all words.
    pub fn fits(&self, job: &JobFacts) -> bool {
        let url = job.url.as_deref().unwrap_or_default().to_lowercase();
        self.0.iter().all(|word| word.fits(job, &url))
    }
}

impl Word {
    fn parse(word: &str) -> Result<Self, QueryError> {
        // A URL has a colon too.
        let parts = word.split_once(':').filter(|(_, value)| !value.starts_with('/'));
        let Some((qualifier, value)) = parts else {
            return Ok(Self::Any(word.to_owned()));
        };
        match qualifier {
            "forge" => Ok(Self::Forge(value.to_owned())),
            "name" => Ok(Self::Name(value.to_owned())),
            "schedule" => Ok(Self::Schedule(value.to_owned())),
            "status" => {
                let is_known = COARSE_STATES.contains(&value)
                    || JobState::ALL.iter().any(|state| state.as_str() == value);
                if is_known {
                    Ok(Self::Status(value.to_owned()))
                } else {
                    Err(QueryError::UnknownState(value.to_owned()))
                }
            }
            other if is_qualifier(other) && !is_port(value) => {
                Err(QueryError::UnknownQualifier(other.to_owned()))
            }
            _ => Ok(Self::Any(word.to_owned())),
        }
    }

    fn fits(&self, job: &JobFacts, url: &str) -> bool {
        let behind_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (host, path) = behind_scheme.split_once('/').unwrap_or((behind_scheme, ""));
        match self {
            Self::Status(status) => job.state.coarse() == status || job.state.as_str() == status,
            Self::Forge(part) => host.contains(part.as_str()),
            Self::Name(part) => path.contains(part.as_str()),
            Self::Schedule(name) => {
                job.schedule.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
            }
            Self::Any(part) => {
                url.contains(part.as_str())
                    || job.id.as_str().to_lowercase().contains(part.as_str())
            }
        }
    }
}

fn is_qualifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Whether what follows a colon is that of a host, or nothing.
fn is_port(text: &str) -> bool {
    text.bytes().take_while(|byte| *byte != b'/').all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{state::Summary, time::Timestamp};
    use std::sync::Arc;

    fn job(url: &str, state: JobState) -> JobFacts {
        JobFacts {
            id: "0190-abc".parse().unwrap(),
            url: Some(Arc::from(url)),
            state,
            summary: Summary::default(),
            skipped: 0,
            discovering: false,
            discovery_errors: 0,
            started_at: None,
            folder_time: Timestamp::UNIX_EPOCH,
            completed_at: None,
            error: None,
            schedule: None,
            fraction: 0.0,
            paused: false,
            archived: false,
        }
    }

    #[test]
    fn a_job_fits_all_words() {
        let mut job =
            job("https://gitlab.example/Shop/auth-api.git", JobState::CompletedWithErrors);
        job.schedule = Some(Arc::from("Nightly"));
        for (text, expected) in [
            ("", true),
            ("auth", true),
            ("SHOP auth", true),
            ("shop billing", false),
            ("status:completed", true),
            ("status:completed_with_errors forge:gitlab name:auth", true),
            ("status:failed", false),
            ("forge:auth", false),
            ("name:gitlab", false),
            ("https://gitlab.example/shop", true),
            ("0190", true),
            ("schedule:nightly auth", true),
            ("schedule:night", false),
        ] {
            assert_eq!(JobQuery::parse(text).unwrap().fits(&job), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        let unknown = QueryError::UnknownQualifier("user".to_owned());
        assert_eq!(JobQuery::parse("user:me"), Err(unknown));
        assert_eq!(JobQuery::parse("status:x"), Err(QueryError::UnknownState("x".to_owned())));
        assert_eq!(JobQuery::parse(&"x".repeat(MAX_LENGTH + 1)), Err(QueryError::TooLong));
        assert!(JobQuery::parse("localhost:8000 a: :b").is_ok());
    }
}
