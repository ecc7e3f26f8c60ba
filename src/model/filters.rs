//! The filters of a group submission: which of the listed repositories are scanned.
//!
//! Input: members of a submission. Output: checked filters. Invariants: absent filters skip nothing; the
//! number and the length of the texts are limited.

use super::control_chars::is_invisible;
use std::{fmt, str::FromStr};

/// The most topics of one submission.
pub const MOST_TOPICS: usize = 100;
/// The longest topic, in characters.
pub const LONGEST_TOPIC: usize = 200;
/// The most days of `active_within_days`.
pub const MOST_DAYS: u64 = 36_500;
/// The largest `max_size_mb`.
pub const MOST_MEGABYTES: u64 = 1_000_000_000;

/// Who may see a repository, according to its forge.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    Public,
    /// Everybody who can sign in to the forge, or everybody of the organization.
    Internal,
    Private,
}

impl Visibility {
    /// All of them, as they are written.
    pub const NAMES: [&str; 3] = ["public", "internal", "private"];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Private => "private",
        }
    }
}

impl fmt::Display for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Visibility {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Public, Self::Internal, Self::Private];
        all.into_iter().find(|known| known.as_str() == text).ok_or(FilterError::Visibility)
    }
}

/// Why a text is not a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    #[error("expected public, internal or private")]
    Visibility,
    #[error("a topic is empty")]
    EmptyTopic,
    #[error("a topic is longer than {LONGEST_TOPIC} characters")]
    LongTopic,
    #[error("a topic contains control or invisible characters")]
    Characters,
    #[error("more than {MOST_TOPICS} topics")]
    ManyTopics,
}

/// The filters of a submission, in addition to the patterns of names. A filter by what a forge does not
/// state skips nothing; only `topics` and `visibility` then skip.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a member of a JSON object")]
pub struct Filters {
    /// Only for a group: whether archived repositories are skipped.
    #[serde(default, skip_serializing_if = "is_false")]
    pub skip_archived: bool,
    /// Only for a group: whether forks are skipped.
    #[serde(default, skip_serializing_if = "is_false")]
    pub skip_forks: bool,
    /// Only for a group: whether empty repositories are skipped; those of a GitLab always are.
    #[serde(default, skip_serializing_if = "is_false")]
    pub skip_empty: bool,
    /// Only for a group of a GitLab: whether projects that other groups share with it are scanned, too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub include_shared: bool,
    /// Only for a group: topics, one of which a repository must have; letter case is ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// Only for a group: visibilities, one of which a repository must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub visibility: Vec<Visibility>,
    /// Only for a group: whether repositories without activity for this many days are skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_within_days: Option<u64>,
    /// Only for a group: whether repositories larger than this many megabytes (10^6 bytes) are skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size_mb: Option<u64>,
}

impl Filters {
    /// Checks the topics.
    ///
    /// # Errors
    /// The rule that they violate.
    pub fn check(&self) -> Result<(), FilterError> {
        if self.topics.len() > MOST_TOPICS {
            return Err(FilterError::ManyTopics);
        }
        for topic in &self.topics {
            if topic.trim().is_empty() {
                return Err(FilterError::EmptyTopic);
            }
            if topic.chars().count() > LONGEST_TOPIC {
                return Err(FilterError::LongTopic);
            }
            if topic.contains(is_invisible) {
                return Err(FilterError::Characters);
            }
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if a topic that no forge can have is accepted, or a usual one refused.
    #[test]
    fn topics_are_checked() {
        let check = |topics: Vec<String>| Filters { topics, ..Filters::default() }.check().err();
        assert_eq!(check(vec!["rust".into(), "Größe 2".into()]), None);
        assert_eq!(check(vec![" ".into()]), Some(FilterError::EmptyTopic));
        assert_eq!(check(vec!["x".repeat(201)]), Some(FilterError::LongTopic));
        assert_eq!(check(vec!["a\u{202e}b".into()]), Some(FilterError::Characters));
        assert_eq!(check(vec!["x".into(); 101]), Some(FilterError::ManyTopics));
    }

    /// Fails if a visibility is written in another way than it is read.
    #[test]
    fn visibilities_are_read_as_they_are_written() {
        for name in Visibility::NAMES {
            assert_eq!(name.parse::<Visibility>().unwrap().as_str(), name);
        }
        assert_eq!("Public".parse::<Visibility>(), Err(FilterError::Visibility));
    }
}
