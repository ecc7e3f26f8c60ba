//! Bazel: `MODULE.bazel` and its segments, `MODULE.bazel.lock`, and `WORKSPACE`.
//!
//! Input: programs in Starlark, which are never run, and their lock file. Output: modules, repositories and archives
//! of forges, and the artifacts of other ecosystems that well-known rules and extensions fetch. Invariants: only
//! literals and names of literals have values.

mod files;
mod lock;
mod rules;
mod starlark;

pub(super) use files::BazelFile;
pub(super) use lock::ModuleLock;
