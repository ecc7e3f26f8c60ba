//! The part of a result file before its packages, which names the repository and the commit.
//!
//! Input: the beginning of a result file, or a small file in another layout. Output: the members of the head, and the same
//! result for another repository or commit.
//!
//! Invariants: the packages, which may be hundreds of megabytes, are neither parsed nor held in memory; all members that
//! are set here precede them, so no member occurs twice.

use serde_json::{Map, Value};
use std::io::{self, Read, Seek, SeekFrom, Write};

/// The beginning of the packages in a file that is indented by two.
const PACKAGES: &[u8] = b"\n  \"packages\": [";
/// The size limit of a head: some short texts, and at most a few hundred patterns.
const LONGEST_HEAD: u64 = 1 << 20;
/// The size limit of a file in another layout, which is parsed and written anew.
const LARGEST_PARSED: u64 = 16 << 20;

/// The members before the packages.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Head {
    members: Map<String, Value>,
    /// Where the rest of the file begins.
    rest: u64,
}

/// What a result file names.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    pub repo_index: u32,
    pub repo_name: &'a str,
    pub git_url: &'a str,
    pub commit: &'a str,
    /// The number of files in the tree, if it is known.
    pub seen: Option<u64>,
}

impl Head {
    /// Reads the head of a file; `None` if the file has another layout.
    pub(super) fn read(file: &mut (impl Read + Seek)) -> io::Result<Option<Self>> {
        file.seek(SeekFrom::Start(0))?;
        let mut bytes = Vec::new();
        file.by_ref().take(LONGEST_HEAD).read_to_end(&mut bytes)?;
        let found = bytes.windows(PACKAGES.len()).position(|window| window == PACKAGES);
        let head = found.and_then(|at| {
            let text = [bytes[..at].strip_suffix(b",")?, b"}"].concat();
            let members = serde_json::from_slice(&text).ok()?;
            Some(Self { members, rest: at as u64 })
        });
        Ok(head)
    }

    /// Brings a file in another layout into this one; `None` if it is too large, or no result.
    pub(super) fn normalized(file: &mut (impl Read + Seek)) -> io::Result<Option<Vec<u8>>> {
        file.seek(SeekFrom::Start(0))?;
        let mut bytes = Vec::new();
        file.by_ref().take(LARGEST_PARSED + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST_PARSED {
            return Ok(None);
        }
        let Ok(Value::Object(mut members)) = serde_json::from_slice(&bytes) else {
            return Ok(None);
        };
        let Some(packages @ Value::Array(_)) = members.shift_remove("packages") else {
            return Ok(None);
        };
        members.entry("schema").or_insert(1.into());
        members.insert("packages".to_owned(), packages);
        Ok(Some(format!("{:#}\n", Value::Object(members)).into_bytes()))
    }

    /// Whether the result is that of a commit, without local changes.
    pub(super) fn is_of_commit(&self) -> bool {
        self.members.get("dirty").is_none_or(|dirty| *dirty == Value::Bool(false))
    }

    /// The commit that the file names, if it names one.
    pub(super) fn commit(&self) -> Option<&str> {
        self.members.get("commit")?.as_str()
    }

    /// Sets the names; `false` if the file has all of them already.
    pub(super) fn set(&mut self, names: &Names<'_>) -> bool {
        let mut is_changed = false;
        let mut set = |members: &mut Map<String, Value>, key: &str, value: Value| {
            if members.get(key) != Some(&value) {
                members.insert(key.to_owned(), value);
                is_changed = true;
            }
        };
        set(&mut self.members, "repo_index", names.repo_index.into());
        set(&mut self.members, "repo_name", names.repo_name.into());
        set(&mut self.members, "git_url", names.git_url.into());
        set(&mut self.members, "commit", names.commit.into());
        if let Some(seen) = names.seen
            && let Some(Value::Object(files)) = self.members.get_mut("files")
        {
            set(files, "seen", seen.into());
        }
        is_changed
    }

    /// Writes the file with this head.
    pub(super) fn write(
        &self,
        file: &mut (impl Read + Seek),
        to: &mut impl Write,
    ) -> io::Result<()> {
        let text = serde_json::to_string_pretty(&self.members)?;
        to.write_all(text.strip_suffix("\n}").unwrap_or(&text).as_bytes())?;
        to.write_all(b",")?;
        file.seek(SeekFrom::Start(self.rest))?;
        io::copy(file, to).map(drop)
    }
}
