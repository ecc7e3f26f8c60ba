//! The shims that are stopped now (a scanner may send its shim SIGSTOP), for /health.
//!
//! Input: what the watchdogs see. Output: one problem that names the first of them.
//!
//! Invariant: each change is logged once.

use super::RepoKey;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// The shims that are stopped now, for /health.
#[derive(Debug, Default)]
pub struct StoppedShims {
    shims: Mutex<BTreeMap<RepoKey, u32>>,
}

impl StoppedShims {
    pub(super) fn note(&self, key: &RepoKey, pid: u32) {
        let mut shims = self.shims.lock().unwrap_or_else(PoisonError::into_inner);
        if shims.insert(key.clone(), pid).is_none() {
            tracing::warn!(repository = %key, pid, "the shim of a scan is stopped; the server enforces the scan's limits until it resumes");
        }
    }

    pub(super) fn clear(&self, key: &RepoKey) {
        let mut shims = self.shims.lock().unwrap_or_else(PoisonError::into_inner);
        if shims.remove(key).is_some() {
            tracing::info!(repository = %key, "the stopped shim of a scan has resumed or exited");
        }
    }

    /// The problem for /health.
    pub fn problem(&self) -> Option<String> {
        let shims = self.shims.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, pid) = shims.first_key_value()?;
        let count = shims.len();
        Some(format!(
            "{count} scans are suspended because their shims are stopped (SIGSTOP), first {key} \
             (process {pid}); the server ends each at its deadline; resume with `kill -CONT {pid}`, or cancel"
        ))
    }
}
