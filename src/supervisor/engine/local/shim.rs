//! Shims as the server sees them: starts, adopts, orders and awaits them.
//!
//! Input: a task, or the holder of a lock. Output: a running shim, and its exit.
//!
//! Invariants: the task, with its credentials, travels on standard input only; a shim is signalled
//! only once it holds its lock, because it may not handle signals before.

use crate::{
    model::{
        attempt::{AttemptRecord, Order, OrderReason},
        task::ShimTask,
    },
    store::{StoreError, admission::ScanRegistration, attempt, layout::JobDir, lock},
    supervisor::disposition::LiveShim,
    sys,
};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

/// How often an adopted shim is checked.
const ADOPTED_INTERVAL: Duration = Duration::from_millis(50);

/// A running shim.
#[derive(Debug, Clone)]
pub(in crate::supervisor) struct Shim {
    pub(in crate::supervisor) attempt: u64,
    /// When this server started it; `None` if another server did.
    pub(in crate::supervisor) started: Option<Instant>,
    /// The start of its deadline.
    pub(in crate::supervisor) began: Instant,
    pub(in crate::supervisor) pid: u32,
    pub(in crate::supervisor) process: Arc<OwnedFd>,
    /// The record that the shim writes, or has written, when it claims the attempt.
    pub(in crate::supervisor) known: Option<AttemptRecord>,
    pub(in crate::supervisor) order: LastOrder,
    /// Its share of the disk space, for as long as the loop holds the attempt.
    #[expect(dead_code, reason = "held, not read")]
    pub(in crate::supervisor) registration: Option<Arc<ScanRegistration>>,
}

/// The last order that the shim was given and when; shared with the task that waits for its exit.
pub(in crate::supervisor) type LastOrder = Arc<Mutex<Option<(OrderReason, Instant)>>>;

/// How to learn that a shim has exited.
pub(in crate::supervisor) enum Awaited {
    /// Started by this server: its task has to be written, and the process reaped.
    Started { child: Box<Child>, task: Vec<u8> },
    /// Started by another server.
    Adopted(Arc<OwnedFd>),
}

impl Shim {
    /// Starts a shim. It inherits nothing of this process's environment but `PATH`, and gets its
    /// task on standard input; the arguments are only for people who read `ps`.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that starts shims")]
    pub(in crate::supervisor) fn start(task: &ShimTask) -> io::Result<(Self, Awaited)> {
        let scan = &task.scan;
        let child = Command::new("/proc/self/exe")
            .arg0("scanwatch")
            .arg("shim")
            .arg(scan.job_id.as_str())
            .arg(scan.repo_index.to_string())
            .arg(scan.attempt.to_string())
            .env_clear()
            .env("PATH", &task.path)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A shim outlives its server.
            .kill_on_drop(false)
            .spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::other("the shim is gone already"))?;
        let process = Arc::new(sys::open_process(pid)?);
        let task_text = serde_json::to_vec(task)?;
        let now = Instant::now();
        let known = AttemptRecord {
            schema: 1,
            attempt: scan.attempt,
            interruptions: task.interruptions,
            retries: task.retries,
            alone: task.alone,
            started_at: chrono::Utc::now(),
            remote: None,
        };
        let shim = Self {
            attempt: scan.attempt,
            started: Some(now),
            began: now,
            pid,
            process,
            known: Some(known),
            order: LastOrder::default(),
            registration: None,
        };
        Ok((shim, Awaited::Started { child: Box::new(child), task: task_text }))
    }

    /// Adopts a shim that another server started.
    pub(in crate::supervisor) fn adopt(living: LiveShim) -> (Self, Awaited) {
        let LiveShim { holder, attempt, record, ordered } = living;
        let process = Arc::new(holder.pidfd);
        let now = Instant::now();
        // The kernel knows the age; a file may have been changed by a scanner.
        let age = sys::age_of(holder.pid).unwrap_or_default();
        let shim = Self {
            attempt,
            started: None,
            began: now.checked_sub(age).unwrap_or(now),
            pid: holder.pid,
            process: Arc::clone(&process),
            known: record,
            order: Arc::new(Mutex::new(ordered.map(|reason| (reason, now)))),
            registration: None,
        };
        (shim, Awaited::Adopted(process))
    }

    /// Orders the shim to end its scan.
    pub(in crate::supervisor) fn end(
        &self,
        job: &JobDir,
        index: u32,
        reason: OrderReason,
    ) -> Result<(), StoreError> {
        // A shim that was adopted just after it took its lock may have claimed a later attempt
        // since.
        let claimed = attempt::read(job, index).ok().flatten().map_or(0, |record| record.attempt);
        let order = Order { attempt: self.attempt.max(claimed), reason };
        // From now on the shim has to respond, whether or not the order can be written.
        *self.order.lock().unwrap_or_else(PoisonError::into_inner) = Some((reason, Instant::now()));
        let written = attempt::write_order(job, index, &order);
        // Before a shim holds its lock it may not handle signals yet and would die. It reads its
        // order once it has the lock.
        let listens = !matches!(lock::holder(&job.lock(index)), Ok(None));
        // Without an order file a signal means cancel, so a stop must not be signalled then.
        let signalled = if written.is_ok() { listens } else { reason == OrderReason::Cancel };
        if signalled {
            sys::signal_process(self.process.as_ref(), sys::StopSignal::Term)
                .map_err(StoreError::at("signal the shim of", job.path()))?;
        }
        written
    }
}

impl Awaited {
    /// Returns when the shim has exited. The exit code is known only if this server started the
    /// shim.
    pub(in crate::supervisor) async fn end(self) -> Option<i32> {
        match self {
            Self::Started { mut child, task } => {
                let stdin = child.stdin.take();
                let feed = async {
                    if let Some(mut stdin) = stdin {
                        // If the shim dies meanwhile, the wait below reports it.
                        let _ = stdin.write_all(&task).await;
                    }
                };
                // A shim that does not read its input must not delay the report of its exit.
                let ((), ended) = tokio::join!(feed, child.wait());
                ended.ok().and_then(|status| status.code())
            }
            Self::Adopted(process) => {
                // A pidfd becomes readable when its process exits (pidfd_open(2)). It is polled,
                // because the runtime can register foreign descriptors only by unsafe code; there
                // are at most as many as the concurrency limit.
                while !sys::wait_readable([process.as_fd()], Duration::ZERO)
                    .is_ok_and(|[ended]| ended)
                {
                    tokio::time::sleep(ADOPTED_INTERVAL).await;
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{attempt::AttemptRecord, master::Master, plan::Plan},
        store::{layout::JobsDir, lock::Holder},
    };

    #[tokio::test]
    async fn an_order_names_the_attempt_that_was_claimed_after_the_adoption() {
        let root = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(root.path()).unwrap();
        jobs.create(0o750).unwrap();
        let id = "job".parse().unwrap();
        let job = jobs.create_job(&id, 0o750, &Master::default(), &Plan::of([])).unwrap();
        // An exited process stands in for the shim: nobody is signalled.
        #[expect(clippy::disallowed_methods, reason = "a process that does nothing")]
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id().unwrap();
        let holder = Holder { pid, pidfd: sys::open_process(pid).unwrap() };
        child.wait().await.unwrap();

        let (shim, _) = Shim::adopt(LiveShim { holder, attempt: 1, record: None, ordered: None });
        let record = AttemptRecord {
            schema: 1,
            attempt: 2,
            interruptions: 0,
            retries: 0,
            alone: false,
            started_at: chrono::Utc::now(),
            remote: None,
        };
        attempt::write(&job, 0, &record).unwrap();
        shim.end(&job, 0, OrderReason::Stop).unwrap();
        let order = attempt::read_order(&job, 0).unwrap();
        assert_eq!((order.attempt, order.reason), (2, OrderReason::Stop));
    }

    /// Breaks if a shim is signalled before it holds its lock: it may not handle signals yet and
    /// would die, which counts as an interruption.
    #[tokio::test]
    async fn a_shim_without_its_lock_is_not_signalled_and_its_order_waits() {
        let root = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(root.path()).unwrap();
        jobs.create(0o750).unwrap();
        let id = "job".parse().unwrap();
        let job = jobs.create_job(&id, 0o750, &Master::default(), &Plan::of([])).unwrap();
        for (reason, has_lock_file) in
            [(OrderReason::Stop, false), (OrderReason::Cancel, true), (OrderReason::Yield, true)]
        {
            // An earlier shim may have left its lock file.
            if has_lock_file {
                std::fs::File::create(job.lock(0)).unwrap();
            }
            // The process exits when its input ends; a signal would have killed it before.
            #[expect(clippy::disallowed_methods, reason = "a process that stands for the shim")]
            let mut child =
                Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
            let pid = child.id().unwrap();
            let holder = Holder { pid, pidfd: sys::open_process(pid).unwrap() };
            let (shim, _) =
                Shim::adopt(LiveShim { holder, attempt: 1, record: None, ordered: None });
            shim.end(&job, 0, reason).unwrap();
            drop(child.stdin.take());
            let ended = child.wait().await.unwrap();
            assert_eq!(ended.code(), Some(0), "{reason:?}: {ended}");
            let order = attempt::read_order(&job, 0).unwrap();
            assert_eq!((order.attempt, order.reason), (1, reason));
        }
    }

    /// Breaks if the deadline of an adopted shim restarts with each server.
    #[tokio::test]
    async fn the_time_of_an_adopted_shim_counts_from_its_start() {
        #[expect(clippy::disallowed_methods, reason = "a process that stands for the shim")]
        let mut child = Command::new("sleep").arg("999").spawn().unwrap();
        let pid = child.id().unwrap();
        let ran = Duration::from_millis(1200);
        tokio::time::sleep(ran).await;
        let holder = Holder { pid, pidfd: sys::open_process(pid).unwrap() };
        let (shim, _) = Shim::adopt(LiveShim { holder, attempt: 1, record: None, ordered: None });
        let age = shim.began.elapsed();
        child.kill().await.unwrap();
        // The kernel reports the start time in hundredths of a second.
        assert!(age >= ran.mul_f64(0.9), "{age:?}");
    }
}
