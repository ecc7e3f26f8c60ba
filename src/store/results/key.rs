//! The key of a target: a digest of everything that a result depends on, except the commit.
//!
//! Input: a shim's task. Output: the key, or none if results of this task are not stored. Invariants: two tasks have
//! the same key only if a scan of the same commit has the same result for both; credentials are not part of it.

use crate::model::{
    digest::hexadecimal,
    task::{Category, Limits, Reuse, ScanTask, ShimTask},
};
use ring::digest::{SHA256, digest};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};
use url::Url;

/// The version of the key's composition and of the stored files. Another one finds nothing that was stored before.
const FORMAT: u32 = 1;

/// The key of a target: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResultKey(String);

/// What the key is made of.
#[derive(Serialize)]
struct Target<'a> {
    format: u32,
    scanner: Scanner<'a>,
    url: &'a str,
    reference: Option<&'a str>,
    deep: bool,
    archives: bool,
    exclude_paths: &'a [String],
    limits: &'a Limits,
    categories: &'a BTreeMap<String, Category>,
}

#[derive(Serialize)]
enum Scanner<'a> {
    BuiltIn { version: &'a str },
    Command { command: &'a [String], version: &'a str },
}

impl ResultKey {
    /// The key for a task; `None` if its result is neither stored nor reused: the store is switched off, a command has no
    /// version, the repository is a local path, or versions are resolved from local caches, which change by themselves.
    pub fn of(task: &ShimTask) -> Option<Self> {
        Self::for_version(task, env!("CARGO_PKG_VERSION"))
    }

    /// As [`of`](Self::of), for this version of the built-in scanner.
    pub(super) fn for_version(task: &ShimTask, own_version: &str) -> Option<Self> {
        let ScanTask { network, module_caches, .. } = &task.scan;
        let version = task.command_version.trim();
        let is_named = task.command.is_empty() || !version.is_empty();
        if task.reuse == Reuse::Off || !is_named || network.local_paths || !module_caches.is_empty()
        {
            return None;
        }
        let scanner = if task.command.is_empty() {
            Scanner::BuiltIn { version: own_version }
        } else {
            Scanner::Command { command: &task.command, version }
        };
        let mut url = Url::parse(&task.scan.git_url).ok()?;
        url.set_fragment(None);
        let target = Target {
            format: FORMAT,
            scanner,
            url: url.as_str(),
            reference: task.scan.reference.as_deref().filter(|name| !name.is_empty()),
            deep: task.scan.deep,
            archives: task.scan.archives,
            exclude_paths: &task.scan.exclude_paths,
            limits: &task.scan.limits,
            categories: &task.scan.categories,
        };
        let text = serde_json::to_vec(&target).ok()?;
        Some(Self(hexadecimal(digest(&SHA256, &text).as_ref())))
    }

    /// Reads a key from the beginning of a file's name.
    pub(super) fn at_start_of(name: &str) -> Option<Self> {
        let digits = name.get(..64)?;
        let is_hex =
            digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        is_hex.then(|| Self(digits.to_owned()))
    }

    /// The name of the folder for this key.
    pub(super) fn shard(&self) -> &str {
        &self.0[..2]
    }
}

impl fmt::Display for ResultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
