//! The results of a scan, `results/repo_N.json`.
//!
//! Input: what a scanner found. Output: the file's content.

use super::{
    ecosystem::AnyEcosystem,
    repository::RepositoryStatus,
    time::{self, Timestamp},
};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;

/// One result file. A scanner has to write the packages; scanwatch knows the rest otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ScanResult {
    #[serde(default, deserialize_with = "leniently")]
    pub schema: u32,
    #[serde(default, deserialize_with = "leniently")]
    pub repo_index: u32,
    #[serde(default, deserialize_with = "leniently")]
    pub repo_name: String,
    #[serde(default, deserialize_with = "leniently")]
    pub git_url: String,
    /// The scanned commit; null for a plain folder. Of a work tree the commit that it is based on.
    #[serde(default, deserialize_with = "leniently")]
    pub commit: Option<String>,
    /// Whether local changes of a work tree were read, so that the result is not that of the commit.
    #[serde(default, deserialize_with = "leniently", skip_serializing_if = "is_false")]
    pub dirty: bool,
    #[serde(default, serialize_with = "time::serialize", deserialize_with = "time_leniently")]
    #[schemars(with = "Timestamp")]
    pub scanned_at: Timestamp,
    #[serde(default, deserialize_with = "leniently")]
    pub duration_ms: u64,
    #[serde(default, deserialize_with = "leniently")]
    pub files: FileCounts,
    /// The patterns of paths whose files were not read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude_paths: Vec<String>,
    pub packages: Vec<Package>,
    #[serde(default)]
    pub categories: BTreeMap<String, bool>,
    #[serde(default)]
    pub infrastructure_usage: BTreeMap<String, bool>,
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// What was noticed and needs no action.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Warning>,
}

/// Reads a member that nothing depends on: what cannot be understood counts as absent.
fn leniently<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    from: D,
) -> Result<T, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

fn time_leniently<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(time::parse(&value).unwrap_or_default())
}

impl ScanResult {
    /// Adds what the scanner may leave out: which repository it is.
    #[must_use]
    pub fn of(mut self, repository: &RepositoryStatus) -> Self {
        self.repo_index = repository.index;
        if self.repo_name.is_empty() {
            self.repo_name = repository.display_name();
        }
        if self.git_url.is_empty() {
            self.git_url = repository.git_url.clone().unwrap_or_default();
        }
        self
    }
}

/// How many files were seen, and the outcome for those that a parser handles.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(default)]
pub struct FileCounts {
    /// All files of the tree.
    pub seen: u64,
    /// Parsed, at least in part.
    pub parsed: u64,
    /// Handled by a parser, but nothing in them could be parsed.
    pub failed: u64,
    /// Handled by a parser, but not read: too large, a link, excluded.
    pub skipped: u64,
    /// How many of the skipped files `exclude_paths` excluded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub excluded: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// One package as one file declares it.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Package {
    pub name: String,
    /// The exact version, if the file states one.
    pub version: Option<String>,
    /// The version range as declared, if the file declares one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specifier: Option<String>,
    /// The ecosystem's name as in purl types: `npm`, `pypi`, `cargo`.
    #[schemars(with = "String")]
    pub ecosystem: AnyEcosystem,
    /// Package URL by the purl specification's rules for the type.
    pub purl: String,
    /// The path of the declaring file below the repository's root.
    pub file: String,
    /// The line of the declaration in that file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Whether the project itself requires the package; null if the file does not say.
    pub direct: Option<bool>,
    pub scope: Option<Scope>,
    pub source: Source,
    /// The purls of the packages in the same lock file that this package requires, sorted; empty if
    /// it requires none or the file does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Of a requirement in a manifest: the purl of the package that its lock file chose for it, if the lock
    /// file has several versions of the package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
    /// The licenses that the file states for the package, each as an SPDX expression where it is one,
    /// else as it is written (`model::license`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// The digests of the package's archives that the file states, sorted: `sha256:` or the name of
    /// another algorithm, and hexadecimal digits (`model::digest`). A package that is published as
    /// several archives has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashes: Vec<String>,
    /// The purls of the parents and BOMs outside the repository one of which manages the version, if the file
    /// states none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managed_by: Vec<String>,
    /// The file of a local module cache that the version comes from, below the folder of the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_from: Option<String>,
}

impl Package {
    /// The size of its texts in bytes: nearly its size in memory, and less than its size as JSON.
    pub fn text_len(&self) -> usize {
        let Self { name, version, specifier, ecosystem, purl, file, requires, .. } = self;
        let optional = [version, specifier, &self.resolved, &self.resolved_from];
        let lists = [requires, &self.licenses, &self.hashes, &self.managed_by];
        let texts = [name, purl, file].into_iter().chain(optional.into_iter().flatten());
        let texts = texts.chain(lists.into_iter().flatten());
        ecosystem.as_str().len() + texts.map(String::len).sum::<usize>()
    }
}

/// What a package is used for.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    Runtime,
    Dev,
    Optional,
    Build,
    Peer,
    Test,
}

impl Scope {
    /// The name in files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Dev => "dev",
            Self::Optional => "optional",
            Self::Build => "build",
            Self::Peer => "peer",
            Self::Test => "test",
        }
    }

    /// The scope with the strongest need, of two under which a project requires one package.
    pub fn stronger(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        let rank = |scope: Self| match scope {
            Self::Runtime => 0,
            Self::Peer => 1,
            Self::Optional => 2,
            Self::Build => 3,
            Self::Test => 4,
            Self::Dev => 5,
        };
        [a, b].into_iter().flatten().min_by_key(|scope| rank(*scope))
    }
}

/// The kind of file that a package was read from.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Lockfile,
    Manifest,
    Import,
    /// The package is in the repository, in a committed archive or program.
    Archive,
}

/// A part of a file that could not be parsed; the rest of the file is used.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Warning {
    pub file: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breaks if `scan` refuses what the server accepts: the scanner of five lines in
    /// docs/protocol.md writes nothing but packages.
    #[test]
    fn a_scanner_has_to_write_only_packages() {
        let result: ScanResult = serde_json::from_str(r#"{"schema":1,"packages":[]}"#).unwrap();
        assert_eq!((result.schema, result.repo_name.as_str()), (1, ""));
        let odd = r#"{"commit": 7, "scanned_at": "soon", "files": {"seen": 3}, "packages": []}"#;
        let result: ScanResult = serde_json::from_str(odd).unwrap();
        assert_eq!((result.commit, result.files.seen), (None, 3));
        assert!(serde_json::from_str::<ScanResult>("{}").is_err());
        let schema = schemars::schema_for!(ScanResult).to_value();
        assert_eq!(schema["required"], serde_json::json!(["packages"]));
    }
}
