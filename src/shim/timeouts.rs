//! Waits for the end of a scanner's run: its own exit, its deadline, a missing heartbeat, or an
//! order.
//!
//! Input: the scanner's pidfd, a pipe that SIGTERM writes to, the status file. Output: why the run
//! ended.
//!
//! Invariants: blocking, by poll(2), with a tick for what cannot be polled; times are those of the
//! monotonic clock.

use super::{process_tree::Scanner, verdict::RunEnd};
use crate::{
    model::{
        attempt::OrderReason,
        task::{ScanTask, ShimTask},
    },
    store::{
        attempt,
        layout::JobDir,
        read::{Signature, is_missing_folder},
    },
    sys,
};
use std::{
    io::{self, Read},
    os::{fd::AsFd, unix::net::UnixStream},
    sync::Arc,
    time::{Duration, Instant},
};

/// How often the status file and orphans are checked.
const TICK: Duration = Duration::from_millis(200);

/// Receives SIGTERM as an order; ignores SIGHUP, which concerns terminals and settings.
pub(super) struct Orders {
    pipe: UnixStream,
}

impl Orders {
    /// Turns SIGTERM and SIGINT into bytes on a pipe.
    pub(super) fn listen() -> io::Result<Self> {
        let (pipe, writer) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::default())?;
        Ok(Self { pipe })
    }

    /// The order that has arrived, if any; a signal without an order file is a cancel.
    pub(super) fn given(&self, job: &JobDir, scan: &ScanTask) -> Option<OrderReason> {
        let mut bytes = [0; 16];
        let signalled = (&self.pipe).read(&mut bytes).is_ok_and(|count| count > 0);
        let written = attempt::read_order(job, scan.repo_index)
            .filter(|order| order.attempt == scan.attempt)
            .map(|order| order.reason);
        written.or(signalled.then_some(OrderReason::Cancel))
    }
}

/// Waits until the scanner has exited or must be stopped. The caller ends the process tree.
///
/// `before` is the status file before the scanner was started: a status that the scanner writes
/// before the first look here is a heartbeat too.
pub(super) fn until_run_ends(
    scanner: &mut Scanner,
    task: &ShimTask,
    job: &JobDir,
    before: Option<Signature>,
    orders: &Orders,
) -> RunEnd {
    let began = Instant::now();
    let deadline = began + Duration::from_secs(task.timeout_secs);
    let patience = Duration::from_secs(task.stall_timeout_secs);
    let status = job.status(task.scan.repo_index);
    let mut signature = before;
    // A scanner that never writes a status has only its deadline.
    let mut last_heartbeat: Option<Instant> = None;
    loop {
        let waited = sys::wait_readable([scanner.as_fd(), orders.pipe.as_fd()], TICK);
        let [exited, ordered] = waited.unwrap_or([true, true]);
        if exited && let Some(end) = scanner.try_reap() {
            return RunEnd::Ended(end);
        }
        if ordered && let Some(reason) = orders.given(job, &task.scan) {
            return RunEnd::Ordered(reason);
        }
        // Read after the wait: if this process was stopped for a while, the scanner was not.
        let newest = Signature::at(&status);
        let now = Instant::now();
        // Writes to an unavailable folder cannot be seen, so a missing heartbeat means nothing.
        let is_away = newest.is_none() && is_missing_folder(job.path());
        if newest != signature || is_away {
            signature = newest;
            last_heartbeat = Some(now);
        }
        if now >= deadline {
            return RunEnd::TimedOut;
        }
        if last_heartbeat.is_some_and(|at| now - at >= patience) {
            return RunEnd::Stalled;
        }
        scanner.reap_orphans();
    }
}
