//! The repositories of a job as planned, by number.
//!
//! Input: a job and its plan. Output: one entry per repository, also for those that have not
//! started.
//!
//! Invariants: the numbers are those of the status files; a job without a plan costs at most
//! [`MOST_UNNAMED`] entries.

use crate::{
    live::LiveJob,
    model::plan::{Plan, PlannedRepository},
};
use std::collections::BTreeMap;

/// The maximum number of placeholder rows for a job of which only the total is known.
const MOST_UNNAMED: u64 = 100_000;

/// All repositories of the job by number, as planned. Of a job of another program only their number
/// is known.
pub(crate) fn planned<'a>(
    job: &LiveJob,
    plan: Option<&'a Plan>,
) -> BTreeMap<u32, Option<&'a PlannedRepository>> {
    if let Some(plan) = plan {
        return plan.counted().map(|(index, repository)| (index, Some(repository))).collect();
    }
    let total = job.facts().summary.total_repositories.min(MOST_UNNAMED);
    (0..u32::try_from(total).unwrap_or(0)).map(|index| (index, None)).collect()
}
