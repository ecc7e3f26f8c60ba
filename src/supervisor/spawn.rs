//! Shims as the server sees them: started, adopted, told to end, and awaited.

use super::{RepoKey, Setup, job::Job, overdue::Given};
use crate::{
    model::{
        address::Origin,
        attempt::{AttemptRecord, Order, OrderReason},
        task::{ScanTask, ShimTask},
    },
    store::{
        StoreError, attempt,
        layout::JobDir,
        lock::{self, Holder},
        room::Place,
    },
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

/// How often an adopted shim is looked at.
const ADOPTED_INTERVAL: Duration = Duration::from_millis(50);

/// A living shim.
#[derive(Debug, Clone)]
pub(super) struct Shim {
    pub(super) attempt: u64,
    /// When it was started; not known of one that another server started.
    pub(super) started: Option<Instant>,
    /// From when on its time counts.
    pub(super) began: Instant,
    pub(super) pid: u32,
    pub(super) process: Arc<OwnedFd>,
    /// What it writes when it claims the attempt, or has written.
    pub(super) known: Option<AttemptRecord>,
    pub(super) order: Given,
    /// Its place among the scans that share the disk.
    pub(super) place: Option<Arc<Place>>,
}

/// A shim that another server started, as it was found.
#[derive(Debug)]
pub(super) struct Living {
    pub(super) holder: Holder,
    pub(super) attempt: u64,
    /// What it has claimed, if it has come that far.
    pub(super) record: Option<AttemptRecord>,
    /// What the other server has told it.
    pub(super) ordered: Option<OrderReason>,
}

/// What to wait for to know that a shim is gone.
pub(super) enum Awaited {
    /// One that this server started: it has to be fed, and reaped.
    Started { child: Box<Child>, task: Vec<u8> },
    /// One that another server started.
    Adopted(Arc<OwnedFd>),
}

/// Puts together what a shim has to know.
pub(super) fn task(setup: &Setup, job: &Job, key: &RepoKey) -> Option<ShimTask> {
    let repository = job.repositories.get(&key.index)?;
    let config = &setup.config;
    let folder = setup.jobs.job(&key.job);
    let options = job.master.options.clone().unwrap_or_default();
    let url = url::Url::parse(&repository.git_url).ok();
    let origin = url.as_ref().and_then(Origin::of);
    let scan = ScanTask {
        job_id: key.job.clone(),
        repo_index: key.index,
        repo_name: repository.name.clone(),
        git_url: repository.git_url.clone(),
        reference: options.reference,
        attempt: repository.next_attempt,
        status_file: folder.status(key.index),
        result_file: folder.result(key.index),
        // The shim names it: it makes it and removes it.
        work_dir: std::path::PathBuf::new(),
        update_interval_secs: config.scanner.update_interval_secs,
        progress_interval_ms: config.scanner.progress_interval_ms,
        deep: options.deep,
        limits: config.limits,
        network: config.network.clone(),
        categories: config.categories.clone(),
        sandbox: config.scanner.sandbox.clone(),
        credentials: origin.and_then(|origin| config.credentials_for(&origin)),
    };
    Some(ShimTask {
        jobs_dir: setup.jobs.root().to_owned(),
        command: config.scanner.command.clone(),
        path: setup.path.clone(),
        timeout_secs: config.scanner.subprocess_timeout_secs,
        kill_grace_secs: config.scanner.kill_grace_secs,
        stall_timeout_secs: config.scanner.stall_timeout_secs,
        log_max_bytes: config.scanner.log_max_bytes,
        interruptions: repository.interruptions,
        retries: repository.retries,
        scan,
    })
}

impl Shim {
    /// Starts a shim. It gets nothing of this process's environment but `PATH`, and what it has
    /// to do by standard input: the arguments are for people who read `ps`.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that starts shims")]
    pub(super) fn start(task: &ShimTask) -> io::Result<(Self, Awaited)> {
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
            started_at: chrono::Utc::now(),
        };
        let shim = Self {
            attempt: scan.attempt,
            started: Some(now),
            began: now,
            pid,
            process,
            known: Some(known),
            order: Given::default(),
            place: None,
        };
        Ok((shim, Awaited::Started { child: Box::new(child), task: task_text }))
    }

    /// Takes over a shim that another server started.
    pub(super) fn adopt(living: Living) -> (Self, Awaited) {
        let Living { holder, attempt, record, ordered } = living;
        let process = Arc::new(holder.pidfd);
        let now = Instant::now();
        // Asked of the kernel, because a scanner may have written anything into a file.
        let age = sys::age_of(holder.pid).unwrap_or_default();
        let shim = Self {
            attempt,
            started: None,
            began: now.checked_sub(age).unwrap_or(now),
            pid: holder.pid,
            process: Arc::clone(&process),
            known: record,
            order: Arc::new(Mutex::new(ordered.map(|reason| (reason, now)))),
            place: None,
        };
        (shim, Awaited::Adopted(process))
    }

    /// Tells the shim to end, and why.
    pub(super) fn end(
        &self,
        job: &JobDir,
        index: u32,
        reason: OrderReason,
    ) -> Result<(), StoreError> {
        // One that was adopted just after it took its lock may have claimed a later attempt since.
        let claimed = attempt::read(job, index).ok().flatten().map_or(0, |it| it.attempt);
        let order = Order { attempt: self.attempt.max(claimed), reason };
        // From now on it has to react, whether or not that can be written.
        *self.order.lock().unwrap_or_else(PoisonError::into_inner) = Some((reason, Instant::now()));
        let written = attempt::write_order(job, index, &order);
        // Before it has its lock, a shim may not listen to signals yet, and would die of one. It looks
        // for an order once it has the lock.
        let listens = !matches!(lock::holder(&job.lock(index)), Ok(None));
        // Without a written order a signal is a cancel, so a stop must not be signalled then.
        let signalled = if written.is_ok() { listens } else { reason == OrderReason::Cancel };
        if signalled {
            sys::end_process(self.process.as_ref(), sys::Ending::Ask)
                .map_err(StoreError::at("signal the shim of", job.path()))?;
        }
        written
    }
}

impl Awaited {
    /// Returns when the shim is gone. The exit code is known only of one that this server started.
    pub(super) async fn end(self) -> Option<i32> {
        match self {
            Self::Started { mut child, task } => {
                let stdin = child.stdin.take();
                let feed = async {
                    if let Some(mut stdin) = stdin {
                        // A shim that dies while it is fed is found dead by the other.
                        let _ = stdin.write_all(&task).await;
                    }
                };
                // One that does not read must not keep this from hearing of its end.
                let ((), ended) = tokio::join!(feed, child.wait());
                ended.ok().and_then(|status| status.code())
            }
            Self::Adopted(process) => {
                // A process descriptor becomes readable when its process ends (pidfd_open(2)).
                // Looked at now and then: the runtime takes in descriptors of others by unsafe
                // code alone, and there are at most as many of these as the limit allows.
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
        store::layout::JobsDir,
    };

    #[tokio::test]
    async fn an_order_names_the_attempt_that_was_claimed_after_the_adoption() {
        let root = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(root.path()).unwrap();
        jobs.create(0o750).unwrap();
        let id = "job".parse().unwrap();
        let job = jobs.create_job(&id, 0o750, &Master::default(), &Plan::of([])).unwrap();
        // A process that has ended stands for the shim: nobody is signalled.
        #[expect(clippy::disallowed_methods, reason = "a process that does nothing")]
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id().unwrap();
        let holder = Holder { pid, pidfd: sys::open_process(pid).unwrap() };
        child.wait().await.unwrap();

        let (shim, _) = Shim::adopt(Living { holder, attempt: 1, record: None, ordered: None });
        let record = AttemptRecord {
            schema: 1,
            attempt: 2,
            interruptions: 0,
            retries: 0,
            started_at: chrono::Utc::now(),
        };
        attempt::write(&job, 0, &record).unwrap();
        shim.end(&job, 0, OrderReason::Stop).unwrap();
        let order = attempt::read_order(&job, 0).unwrap();
        assert_eq!((order.attempt, order.reason), (2, OrderReason::Stop));
    }

    /// Breaks if a shim is signalled before it holds its lock: it may not listen to signals yet, and
    /// would die of one, which counts as a death without a word.
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
            // One that was there before may have left its lock file.
            if has_lock_file {
                std::fs::File::create(job.lock(0)).unwrap();
            }
            // It ends when its input does; of a signal it would have died before it saw that.
            #[expect(clippy::disallowed_methods, reason = "a process that stands for the shim")]
            let mut child =
                Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
            let pid = child.id().unwrap();
            let holder = Holder { pid, pidfd: sys::open_process(pid).unwrap() };
            let (shim, _) = Shim::adopt(Living { holder, attempt: 1, record: None, ordered: None });
            shim.end(&job, 0, reason).unwrap();
            drop(child.stdin.take());
            let ended = child.wait().await.unwrap();
            assert_eq!(ended.code(), Some(0), "{reason:?}: {ended}");
            let order = attempt::read_order(&job, 0).unwrap();
            assert_eq!((order.attempt, order.reason), (1, reason));
        }
    }

    /// Breaks if the time of a shim that another server started begins anew with each server.
    #[tokio::test]
    async fn the_time_of_an_adopted_shim_counts_from_its_start() {
        #[expect(clippy::disallowed_methods, reason = "a process that stands for the shim")]
        let mut child = Command::new("sleep").arg("999").spawn().unwrap();
        let pid = child.id().unwrap();
        let ran = Duration::from_millis(1200);
        tokio::time::sleep(ran).await;
        let holder = Holder { pid, pidfd: sys::open_process(pid).unwrap() };
        let (shim, _) = Shim::adopt(Living { holder, attempt: 1, record: None, ordered: None });
        let age = shim.began.elapsed();
        child.kill().await.unwrap();
        // Its start is known to a hundredth of a second.
        assert!(age >= ran.mul_f64(0.9), "{age:?}");
    }
}
