//! The names of a job's objects.
//!
//! Input: a job, and the number of a repository. Output: a name below the prefix of the settings.
//!
//! ```text
//! jobs/<job>.jsonl                    the record; uploaded last: a job is in the archive if its record is
//! files/<job>/repositories.json       the plan
//! files/<job>/results/<n>.json        the result of a repository
//! files/<job>/logs/<n>.log            its log
//! files/<job>/sbom/<n>.cdx.json       its bill of materials
//! ```
//!
//! Invariants: everything of a job, and nothing of another one, is below its name, so a removal needs to know no other job,
//! and rules of the bucket can expire objects by their age.

use crate::model::JobId;

/// The folder of all records.
pub(super) const RECORDS: &str = "jobs";
/// How the name of a record ends.
const RECORD: &str = ".jsonl";

/// The record of a job.
pub(super) fn record(job: &JobId) -> String {
    format!("{RECORDS}/{job}{RECORD}")
}

/// The job whose record has this name.
pub(super) fn job_of_record(name: &str) -> Option<JobId> {
    let name = name.strip_prefix(RECORDS)?.strip_prefix('/')?;
    name.strip_suffix(RECORD)?.parse().ok()
}

/// The folder of a job's files.
pub(super) fn folder(job: &JobId) -> String {
    format!("files/{job}")
}

/// The plan of a job.
pub(super) fn plan(job: &JobId) -> String {
    format!("{}/repositories.json", folder(job))
}

/// The result of a repository.
pub(super) fn result(job: &JobId, index: u32) -> String {
    format!("{}/results/{index}.json", folder(job))
}

/// The log of a repository.
pub(super) fn log(job: &JobId, index: u32) -> String {
    format!("{}/logs/{index}.log", folder(job))
}

/// The bill of materials of a repository.
pub(super) fn sbom(job: &JobId, index: u32) -> String {
    format!("{}/sbom/{index}.cdx.json", folder(job))
}
