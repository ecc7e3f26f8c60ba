//! Waiting for a scanner's end: its own exit, its deadline, its silence, or an order.
//!
//! Blocking, by poll(2) on the scanner's process descriptor and on a pipe that SIGTERM writes
//! to, with a tick for what cannot be waited for. Times are those of the monotonic clock.

use super::{process::Scanner, settle::Settler};
use crate::{
    model::{
        Failure,
        attempt::OrderReason,
        task::{ScanTask, ShimTask},
    },
    store::{attempt, layout::JobDir, read::is_missing_folder},
    sys::{self, ChildEnd},
};
use std::{
    io::{self, Read},
    os::{fd::AsFd, unix::net::UnixStream},
    sync::Arc,
    time::{Duration, Instant},
};

/// How often what cannot be waited for is looked at.
const TICK: Duration = Duration::from_millis(200);

/// Why a scanner's run is over.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ending {
    NotStarted(Failure),
    Ended(ChildEnd),
    /// Killed for want of memory; in words, by whose evidence.
    OutOfMemory {
        end: ChildEnd,
        detail: String,
    },
    /// Ended by a limit that the built-in scanner sets itself; in words, which.
    Limited {
        end: ChildEnd,
        detail: String,
    },
    /// It gave up, and the disk is full; in words, how.
    DiskFull {
        code: i32,
        detail: String,
    },
    TimedOut,
    Stalled,
    Ordered(OrderReason),
}

/// The ear for SIGTERM; deaf to SIGHUP, which is about terminals and settings.
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

    /// Whether an order has come; a signal without a written order is a cancel.
    pub(super) fn given(&self, job: &JobDir, scan: &ScanTask) -> Option<OrderReason> {
        let mut bytes = [0; 16];
        let signalled = (&self.pipe).read(&mut bytes).is_ok_and(|count| count > 0);
        let written = attempt::read_order(job, scan.repo_index)
            .filter(|order| order.attempt == scan.attempt)
            .map(|order| order.reason);
        written.or(signalled.then_some(OrderReason::Cancel))
    }
}

/// Waits until the scanner has exited or must be ended. Leaves its tree to the caller.
pub(super) fn until_the_end(
    scanner: &mut Scanner,
    task: &ShimTask,
    job: &JobDir,
    settler: &Settler<'_>,
    orders: &Orders,
) -> Ending {
    let began = Instant::now();
    let deadline = began + Duration::from_secs(task.timeout_secs);
    let patience = Duration::from_secs(task.stall_timeout_secs);
    let mut signature = settler.signature();
    // A scanner that never writes at all has only its deadline.
    let mut last_sign_of_life: Option<Instant> = None;
    loop {
        let waited = sys::wait_readable([scanner.as_fd(), orders.pipe.as_fd()], TICK);
        let [exited, ordered] = waited.unwrap_or([true, true]);
        if exited && let Some(end) = scanner.try_reap() {
            return Ending::Ended(end);
        }
        if ordered && let Some(reason) = orders.given(job, &task.scan) {
            return Ending::Ordered(reason);
        }
        // Read after the wait: if this process was stopped for a while, the scanner was not.
        let newest = settler.signature();
        let now = Instant::now();
        // What is written to a folder that is away cannot be seen: its silence says nothing.
        let is_away = newest.is_none() && is_missing_folder(job.path());
        if newest != signature || is_away {
            signature = newest;
            last_sign_of_life = Some(now);
        }
        if now >= deadline {
            return Ending::TimedOut;
        }
        if last_sign_of_life.is_some_and(|at| now - at >= patience) {
            return Ending::Stalled;
        }
        scanner.reap_orphans();
    }
}
