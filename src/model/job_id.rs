//! Job ids.
//!
//! Input: text from a request or a folder listing. Output: a name that is safe as a file name.
//! Invariants: no other code has to check for `..` or `/` again.

use std::{fmt, str::FromStr, sync::Arc};

/// The name of a job and of its folder: 1 to 64 of `A-Z a-z 0-9 . _ -`, no leading dot.
///
/// Cloning is cheap because the text is shared.
#[derive(
    Clone,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    description = "The name of a job and of its folder.",
    extend("pattern" = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")
)]
pub struct JobId(Arc<str>);

/// The text is not a valid job id.
#[derive(Debug, thiserror::Error)]
#[error("invalid job id `{0}`: expected 1 to 64 of A-Z a-z 0-9 . _ - without a leading dot")]
pub struct InvalidJobId(String);

/// The name space of the ids of runs.
const RUNS: uuid::Uuid = uuid::Uuid::from_u128(0x0a4e_7c1d_9b52_4f0e_8d6a_3c5b_71f2_90e4);

impl JobId {
    /// A new id: a version 7 UUID (RFC 9562), so that names sort by the time of submission.
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7().to_string().into())
    }

    /// The id of what is due at a time, by its name: always the same, and sorted by the time. A UUID of version 7,
    /// whose random part is a hash.
    pub fn of_run(name: &str, due: super::time::Timestamp) -> Self {
        let millis = due.timestamp_millis();
        let text = format!("{millis} {name}");
        let hash = uuid::Uuid::new_v5(&RUNS, text.as_bytes());
        let mut random = [0; 10];
        random.copy_from_slice(&hash.as_bytes()[..10]);
        let millis = u64::try_from(millis).unwrap_or_default();
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        Self(id.to_string().into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, InvalidJobId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if (1..=64).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidJobId(text.chars().take(80).collect()))
        }
    }
}

impl TryFrom<String> for JobId {
    type Error = InvalidJobId;

    fn try_from(text: String) -> Result<Self, InvalidJobId> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> String {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        let long = "a".repeat(65);
        for bad in
            ["", ".", "..", ".lock", "../x", "a/b", "a\0", "a b", "ä", "a\n", "%2e", long.as_str()]
        {
            assert!(bad.parse::<JobId>().is_err(), "{bad:?}");
        }
    }

    /// Fails if a run that is repeated after a crash gets another id, or two runs the same.
    #[test]
    fn the_id_of_a_run_depends_on_its_name_and_time() {
        let at =
            |seconds: i64| chrono::DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap();
        assert_eq!(JobId::of_run("a", at(0)), JobId::of_run("a", at(0)));
        let ids = [JobId::of_run("a", at(0)), JobId::of_run("b", at(0)), JobId::of_run("a", at(1))];
        assert!(ids[0] != ids[1] && ids[0] < ids[2] && ids[1] < ids[2], "{ids:?}");
        let uuid: uuid::Uuid = ids[0].as_str().parse().unwrap();
        assert_eq!(uuid.get_version_num(), 7);
    }

    #[test]
    fn generated_and_foreign_names_are_accepted_and_sort_by_time() {
        let (first, second) = (JobId::generate(), JobId::generate());
        assert!(first < second);
        for good in [first.as_str(), "job_1", "A.b-c", "b7b0ab1e-5b8e-4b0c-9f61-3f0f3b5d5a53"] {
            assert_eq!(good.parse::<JobId>().unwrap().as_str(), good);
        }
    }
}
