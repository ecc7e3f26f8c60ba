//! The results of a scan, `results/repo_N.json`.
//!
//! Input: what a scanner found. Output: the file's content.

use super::{
    ecosystem::AnyEcosystem,
    time::{self, Timestamp},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One result file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ScanResult {
    pub schema: u32,
    pub repo_index: u32,
    pub repo_name: String,
    pub git_url: String,
    /// The scanned commit; null for a plain folder.
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

/// How many files were seen, and the outcome for those that a parser handles.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct FileCounts {
    /// All files of the tree.
    pub seen: u64,
    /// Parsed, at least in part.
    pub parsed: u64,
    /// Handled by a parser, but nothing in them could be parsed.
    pub failed: u64,
    /// Handled by a parser, but not read: too large, a link.
    pub skipped: u64,
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
}

impl Package {
    /// The size of its texts in bytes: nearly its size in memory, and less than its size as JSON.
    pub fn text_len(&self) -> usize {
        let Self { name, version, specifier, ecosystem, purl, file, requires, .. } = self;
        let texts = [name, purl, file].into_iter().chain(version).chain(specifier).chain(requires);
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
