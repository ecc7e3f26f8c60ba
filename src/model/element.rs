//! Elements of Slurm arrays: each runs one attempt on a node of the cluster.
//!
//! Input: names in records, file names and the list of Slurm's jobs. Output: the same as values. Invariants: a name is
//! usable as a file name and as a part of a Slurm job's name; it is never used twice, unlike the numbers of Slurm.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The name of the engine in records.
pub const ENGINE: &str = "slurm";

/// The command of scanwatch that an element runs, with the shared folder and the name of the array.
pub const COMMAND: &str = "slurm-element";

/// The prefix of the names of our jobs in Slurm.
const PREFIX: &str = "scanwatch-";

/// An array, by the unique part of its job's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArrayName(String);

impl ArrayName {
    /// A name that no other array has.
    pub fn unique() -> Self {
        Self(uuid::Uuid::now_v7().simple().to_string())
    }

    /// The name of the array's job in Slurm.
    pub fn job_name(&self) -> String {
        format!("{PREFIX}{self}")
    }

    /// The array with this job name, if it is one of ours.
    pub fn of_job(name: &str) -> Option<Self> {
        name.strip_prefix(PREFIX)?.parse().ok()
    }
}

impl fmt::Display for ArrayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not the name of an array or an element.
#[derive(Debug, thiserror::Error)]
#[error("not the name of an element: `{0}`")]
pub struct InvalidName(String);

impl FromStr for ArrayName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 32 && text.bytes().all(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName(text.to_owned()))
        }
    }
}

/// An element of an array.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ElementName {
    pub array: ArrayName,
    pub index: u32,
}

impl fmt::Display for ElementName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.array, self.index)
    }
}

impl FromStr for ElementName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName(text.to_owned());
        let (array, index) = text.split_once('_').ok_or_else(invalid)?;
        Ok(Self { array: array.parse()?, index: index.parse().map_err(|_| invalid())? })
    }
}

impl TryFrom<String> for ElementName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<ElementName> for String {
    fn from(name: ElementName) -> Self {
        name.to_string()
    }
}

/// How the work of an element ended, in the file that is written once: by its shim, or by the server once Slurm reports
/// that the job of the element has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndMark {
    pub schema: u32,
    /// The exit code of the shim; absent if the server wrote the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// The shim was asked to end by a signal, and not by an order of the server: only Slurm knows why.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub terminated: bool,
    /// Why the server counts the attempt as ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<ElementEnd>,
    /// The same, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Why Slurm ended the job of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElementEnd {
    /// The time limit of the job.
    TimeLimit,
    OutOfMemory,
    /// `scancel`, by somebody else than this server.
    Cancelled,
    Preempted,
    /// Its node failed, its processes died, or Slurm does not list it any more.
    Lost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_again_in_the_name_of_its_job() {
        let array = ArrayName::unique();
        assert_ne!(array, ArrayName::unique());
        assert_eq!(ArrayName::of_job(&array.job_name()), Some(array.clone()));
        let element = ElementName { array, index: 7 };
        assert_eq!(element.to_string().parse::<ElementName>().unwrap(), element);
        for foreign in ["", "scanwatch-", "train", "scanwatch-../x", "scanwatch-0123"] {
            assert_eq!(ArrayName::of_job(foreign), None, "{foreign}");
        }
        for invalid in ["", "_1", "a_1", "0123456789abcdef0123456789abcdef", "../../etc_1"] {
            assert!(invalid.parse::<ElementName>().is_err(), "{invalid}");
        }
    }
}
