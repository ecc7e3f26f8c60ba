//! Learns the commit of a repository for a scanner of others, which need not know of the store of results: the
//! built-in scanner asks the forge, and ends without a scan.
//!
//! Input: the task. Output: the status that the check wrote, with the commit, or `unchanged`.
//!
//! Invariants: the check has the sandbox, the policy and the log of a scan; it has a folder of its own in the scratch folder,
//! which is gone before the scanner starts. A check that fails is no failure of the scan.

use super::{
    log::Log,
    make_scratch,
    process_tree::Scanner,
    timeouts::{self, Orders},
    verdict::RunEnd,
};
use crate::{
    model::{status_file::raw_object, task::ShimTask},
    store::{
        layout::JobDir,
        read::{self, Signature},
        trash,
    },
    sys::ChildEnd,
};
use serde_json::{Map, Value};

/// What the built-in scanner wrote about the commit; `None` if it could not find out.
///
/// # Errors
/// The order that ended the check, and so ends the attempt.
pub(super) fn run(
    task: &ShimTask,
    job: &JobDir,
    orders: &Orders,
    log: &Log,
) -> Result<Option<Map<String, Value>>, RunEnd> {
    let folder = task.scan.work_dir.join("check");
    if make_scratch(&folder).is_err() {
        return Ok(None);
    }
    let mut check = task.clone();
    check.command = Vec::new();
    check.scan.check_only = true;
    check.scan.status_file = folder.join("status.json");
    check.scan.result_file = folder.join("result.json");
    check.scan.work_dir.clone_from(&folder);
    let before = Signature::at(&job.status(task.scan.repo_index));
    let ending = Scanner::start(&check, log).ok().map(|mut scanner| {
        let ending = timeouts::until_run_ends(&mut scanner, &check, job, before, orders);
        scanner.end_tree(log);
        ending
    });
    log.forget_stderr();
    let written = read::whole(&check.scan.status_file, read::STATUS_CAP).ok();
    let _ = trash::remove_scratch(&folder);
    match ending {
        Some(RunEnd::Ended(ChildEnd::Exited(0))) => {
            Ok(written.and_then(|(bytes, _)| raw_object(&bytes)))
        }
        Some(end @ (RunEnd::Ordered(_) | RunEnd::Terminated | RunEnd::Fenced)) => Err(end),
        _ => {
            log.note("the commit could not be learned; the repository is scanned");
            Ok(None)
        }
    }
}
