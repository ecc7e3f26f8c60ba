//! What a scan found: `results/repo_N.json`, written by a scanner, read by the server.

use super::time::{self, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One result file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ScanResult {
    pub schema: u32,
    pub repo_index: u32,
    pub repo_name: String,
    pub git_url: String,
    /// The commit that was read; none for a plain folder.
    pub commit: Option<String>,
    #[serde(with = "time")]
    #[schemars(with = "Timestamp")]
    pub scanned_at: Timestamp,
    pub duration_ms: u64,
    pub files: FileCounts,
    pub packages: Vec<Package>,
    #[serde(default)]
    pub categories: BTreeMap<String, bool>,
    #[serde(default)]
    pub infrastructure_usage: BTreeMap<String, bool>,
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

/// How many files were seen, and what became of those that a parser wanted.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct FileCounts {
    /// All files of the tree.
    pub seen: u64,
    /// Read and understood, at least in part.
    pub parsed: u64,
    /// Wanted, but nothing in them could be understood.
    pub failed: u64,
    /// Wanted, but not read: too large, a link.
    pub skipped: u64,
}

/// One package as one file declares it.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Package {
    pub name: String,
    /// The exact version, where the file states one.
    pub version: Option<String>,
    /// The range as declared, where the file declares one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specifier: Option<String>,
    /// The ecosystem's name as in purl types: `npm`, `pypi`, `cargo`.
    pub ecosystem: String,
    /// Package URL by the purl specification's rules for the type.
    pub purl: String,
    /// The path of the declaring file below the repository's root.
    pub file: String,
    /// The line of the declaration in that file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Whether the project itself asks for it; none where the file does not tell.
    pub direct: Option<bool>,
    pub scope: Option<Scope>,
    pub source: Source,
    /// The purls of the packages of the same lock file that it requires itself, sorted; empty where
    /// it requires none, or the file does not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
}

impl Package {
    /// Bytes of its texts: hardly less memory than it takes, and less than it takes as JSON.
    pub fn text_len(&self) -> usize {
        let Self { name, version, specifier, ecosystem, purl, file, requires, .. } = self;
        let texts = [name, ecosystem, purl, file].into_iter();
        texts.chain(version).chain(specifier).chain(requires).map(String::len).sum()
    }
}

/// What a package is needed for.
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
    /// The word in files and tables.
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
}

/// What kind of file a package was read from.
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
}

/// Something in a file that was not understood; the rest of the file stands.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Warning {
    pub file: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    pub message: String,
}
