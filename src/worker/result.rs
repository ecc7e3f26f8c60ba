//! Writes the result file: redacted, within its size limit, fsynced.
//!
//! Input: what the scan found. Output: `results/repo_N.json`. Invariants: the file is complete or
//! missing.

use super::{
    error::ScanError,
    limits::LimitError,
    scan::{ScanFindings, categories},
};
use crate::{
    model::{
        redact::Redactor,
        scan_result::{Package, ScanResult, Warning},
        task::ScanTask,
    },
    store::{
        StoreError,
        atomic::{self, Durability},
    },
};
use chrono::Utc;
use std::{
    io::{self, Write},
    time::Duration,
};

/// What a scan found, and where.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) findings: ScanFindings,
    /// `None` for a plain folder, and for a repository without a commit.
    pub(super) commit: Option<String>,
    /// Whether what was read differs from the commit.
    pub(super) dirty: bool,
}

impl Scanned {
    /// The findings in a commit, or in a plain folder.
    pub(super) fn of(findings: ScanFindings, commit: Option<String>) -> Self {
        Self { findings, commit, dirty: false }
    }
}

/// Writes the result file.
pub(super) fn write(
    task: &ScanTask,
    redactor: &Redactor,
    scanned: Scanned,
    took: Duration,
) -> Result<(), ScanError> {
    let Scanned { findings: found, commit, dirty } = scanned;
    let mut result = ScanResult {
        schema: 1,
        repo_index: task.repo_index,
        repo_name: task.repo_name.clone(),
        git_url: task.git_url.clone(),
        commit,
        dirty,
        scanned_at: Utc::now(),
        duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        files: found.files,
        exclude_paths: task.exclude_paths.clone(),
        categories: categories(&task.categories, &found.packages, &found.categories_of_urls),
        packages: found.packages,
        infrastructure_usage: found.infrastructure_usage,
        warnings: found.warnings,
        notes: found.notes,
    };
    if task.logins().next().is_some() {
        redact(&mut result, redactor);
    }
    let bytes = to_json(&result, task)?;
    atomic::replace(&task.work_dir, &task.result_file, &bytes, Durability::Flushed)?;
    Ok(())
}

/// Masks secrets: a repository may contain the very token that gives access to it.
fn redact(result: &mut ScanResult, redactor: &Redactor) {
    let hide = |text: &mut String| {
        if let std::borrow::Cow::Owned(hidden) = redactor.redact(text) {
            *text = hidden;
        }
    };
    hide(&mut result.repo_name);
    hide(&mut result.git_url);
    for package in &mut result.packages {
        let Package { name, version, specifier, purl, file, managed_by, resolved_from, .. } =
            package;
        let texts = [name, purl, file].into_iter().chain(version).chain(specifier);
        texts.chain(managed_by).chain(resolved_from).for_each(hide);
    }
    for Warning { file, message, .. } in result.warnings.iter_mut().chain(&mut result.notes) {
        [file, message].into_iter().for_each(hide);
    }
}

fn to_json(result: &ScanResult, task: &ScanTask) -> Result<Vec<u8>, ScanError> {
    let most = task.limits.max_result_bytes;
    let mut capped =
        Capped { bytes: Vec::new(), most: usize::try_from(most).unwrap_or(usize::MAX) };
    match serde_json::to_writer_pretty(&mut capped, result) {
        Ok(()) => {
            capped.bytes.push(b'\n');
            Ok(capped.bytes)
        }
        Err(error) if error.io_error_kind() == Some(io::ErrorKind::FileTooLarge) => {
            Err(LimitError::ResultTooLarge { most }.into())
        }
        Err(error) => Err(StoreError::at("write", &task.result_file)(error.into()).into()),
    }
}

/// A buffer in memory with a size limit.
struct Capped {
    bytes: Vec<u8>,
    most: usize,
}

impl Write for Capped {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + piece.len() > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
