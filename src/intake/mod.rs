//! A request becomes a plan: what is asked for, whether it is allowed, and a job on the disk.
//!
//! What flows in: a URL (or, from the command line, a path) with options. What flows out: an
//! accepted job, durable before the submitter hears of it, and queued.
//!
//! What must stay true: nothing is contacted before a job is accepted; nothing is accepted that
//! could not be kept.

pub mod discovery;
pub mod target;

use crate::{
    model::{
        JobId, git_ref,
        git_url::Refusal,
        master::{Master, Options, ScanType},
        plan::Plan,
        time::Timestamp,
    },
    store::StoreError,
    supervisor::{NewJob, Retried, Setup, Supervisor},
};
use chrono::Utc;
use target::{NotScannable, Target};

/// What somebody asks for.
#[derive(Debug, Clone, Default)]
pub struct ScanRequest {
    pub url: String,
    pub options: Options,
    /// The user, where there are users.
    pub submitted_by: Option<String>,
}

/// A job that is on the disk and in the queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    pub job_id: JobId,
    pub created_at: Timestamp,
}

/// Why a request was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    NotScannable(#[from] NotScannable),
    #[error("Invalid ref: {0}")]
    Reference(&'static str),
    #[error("The queue is full: {0} jobs wait already")]
    QueueFull(usize),
    #[error("the job cannot be stored")]
    Store(#[from] StoreError),
}

/// Takes requests in.
#[derive(Debug, Clone)]
pub struct Intake {
    setup: Setup,
    supervisor: Supervisor,
}

impl Intake {
    /// An intake for this queue.
    pub fn new(setup: Setup, supervisor: Supervisor) -> Self {
        Self { setup, supervisor }
    }

    /// Checks a request from outside, and accepts it.
    ///
    /// # Errors
    /// The first rule that the request breaks, or what kept the job from being stored.
    pub async fn accept(&self, request: ScanRequest) -> Result<Accepted, IntakeError> {
        let target = Target::parse(&request.url, &self.setup.config)?;
        self.queue(target, request).await
    }

    /// Scans again what failed of a finished job: returns once that is on the disk.
    pub async fn retry(&self, id: &JobId) -> Retried {
        self.supervisor.retry(id).await
    }

    /// Accepts a target that has been checked: what a user typed at the command line.
    ///
    /// # Errors
    /// A reference that is none, or what kept the job from being stored.
    pub async fn queue(
        &self,
        target: Target,
        request: ScanRequest,
    ) -> Result<Accepted, IntakeError> {
        if let Some(reference) = &request.options.reference {
            git_ref::check(reference).map_err(IntakeError::Reference)?;
        }
        // Where a forge would have to say which it is, a URL is taken for a repository's.
        let scan_type = target.scan_type().unwrap_or(ScanType::Repository);
        if scan_type == ScanType::Group {
            return Err(NotScannable::Group(target.location()).into());
        }
        let place = self.supervisor.reserve();
        let place = place.ok_or(IntakeError::QueueFull(self.setup.config.jobs.max_queued_jobs))?;
        let (id, created_at) = (JobId::generate(), Utc::now());
        let plan = Plan::of([(target.name(), target.location())]);
        let names = plan.repositories.iter().map(|it| it.repo_name.clone()).collect();
        let mut master = Master::new(&id, &request.url, Some(scan_type), names, created_at);
        master.submitted_by = request.submitted_by;
        master.options = Some(request.options);

        let (jobs, mode) = (self.setup.jobs.clone(), self.setup.config.jobs.folder_mode);
        let job = NewJob { id: id.clone(), master, plan, place: Some(place), planning: None };
        let job = tokio::task::spawn_blocking(move || {
            jobs.create_job(&job.id, mode, &job.master, &job.plan).map(|_| job)
        })
        .await
        .map_err(|error| StoreError::at("create", self.setup.jobs.root())(error.into()))??;
        self.supervisor.submit(job).await;
        tracing::info!(%id, url = request.url, "job accepted");
        Ok(Accepted { job_id: id, created_at })
    }
}
