//! Waits for the end of a scanner's run: its own exit, its deadline, a missing heartbeat, or an
//! order.
//!
//! Input: the scanner's pidfd, a pipe that SIGTERM writes to, the status file. Output: why the run
//! ended.
//!
//! Invariants: blocking, by poll(2), with a tick for what cannot be polled; times are those of the
//! monotonic clock.

use super::{element::Element, process_tree::Scanner, verdict::RunEnd};
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
    sys::{self, ChildEnd},
};
use std::{
    cell::Cell,
    io::{self, Read},
    os::{fd::AsFd, unix::net::UnixStream},
    sync::Arc,
    time::{Duration, Instant},
};

/// How often the status file and orphans are checked.
const TICK: Duration = Duration::from_millis(200);
/// How often a shim in Slurm reads the files of the server.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long a signal of Slurm may reach the shim after its scanner.
const SIGNAL_PATIENCE: Duration = Duration::from_millis(500);

/// Receives SIGTERM as an order; ignores SIGHUP, which concerns terminals and settings.
pub(super) struct Orders {
    pipe: UnixStream,
    /// The element of a Slurm array that the shim runs in.
    pub(super) element: Option<Element>,
    /// When the files of the element were read.
    polled: Cell<Option<Instant>>,
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
        Ok(Self { pipe, element: None, polled: Cell::new(None) })
    }

    /// The order that has arrived, if any. A signal without an order file is a cancel; to a shim in Slurm, it is Slurm's.
    pub(super) fn given(&self, job: &JobDir, scan: &ScanTask) -> Option<RunEnd> {
        let mut bytes = [0; 16];
        let signalled = (&self.pipe).read(&mut bytes).is_ok_and(|count| count > 0);
        let written = attempt::read_order(job, scan.repo_index)
            .filter(|order| order.attempt == scan.attempt)
            .map(|order| order.reason);
        match (written, &self.element) {
            (_, Some(element)) if element.is_fenced() => Some(RunEnd::Fenced),
            (Some(reason), _) => Some(RunEnd::Ordered(reason)),
            (None, _) if !signalled => None,
            (None, None) => Some(RunEnd::Ordered(OrderReason::Cancel)),
            (None, Some(_)) => Some(RunEnd::Terminated),
        }
    }

    /// Whether the files are to be read without a signal: the server is on another machine and cannot send one.
    fn is_due(&self) -> bool {
        let now = Instant::now();
        let due = self.element.is_some()
            && self.polled.get().is_none_or(|polled| now - polled >= POLL_INTERVAL);
        if due {
            self.polled.set(Some(now));
        }
        due
    }

    /// Why a run ended whose scanner has exited like this. Slurm signals all processes of a job, and its signal may reach
    /// the scanner before the shim.
    fn explain(&self, end: ChildEnd, job: &JobDir, scan: &ScanTask) -> RunEnd {
        if self.element.is_some() && end != ChildEnd::Exited(0) {
            let _ = sys::wait_readable([self.pipe.as_fd()], SIGNAL_PATIENCE);
            if let Some(given) = self.given(job, scan) {
                return given;
            }
        }
        RunEnd::Ended(end)
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
            return orders.explain(end, job, &task.scan);
        }
        if (ordered || orders.is_due())
            && let Some(end) = orders.given(job, &task.scan)
        {
            return end;
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
