//! A request becomes a plan: what is asked for, whether it is allowed, and a job on the disk.
//!
//! What flows in: a URL (or, from the command line, a path) with options. What flows out: an
//! accepted job, durable before the submitter hears of it, and queued; where the forge has to be
//! asked what the URL names, its plan follows.
//!
//! What must stay true: no request waits for a forge; nothing is accepted that could not be kept.

pub mod discovery;
mod planner;
pub mod target;

use crate::{
    model::{
        JobId, git_ref,
        git_url::Refusal,
        master::{Master, Options},
        pattern::{Pattern, PatternError},
        plan::Plan,
        time::Timestamp,
    },
    store::{StoreError, space::Obstacle},
    supervisor::{CreateError, NewJob, Planning, Setup, Supervisor},
};
use chrono::Utc;
use planner::Planner;
use target::{NotScannable, Target};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

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
    /// Of the member that is named.
    #[error("Invalid pattern in {0}: {1}")]
    Pattern(&'static str, PatternError),
    #[error("The queue is full: {0} jobs wait already")]
    QueueFull(usize),
    #[error("New jobs are refused: {0}")]
    NoPlace(Obstacle),
    #[error("the job cannot be stored")]
    Store(#[from] StoreError),
    #[error("The server is stopping")]
    Stopped,
}

impl From<CreateError> for IntakeError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::NoPlace(obstacle) => Self::NoPlace(obstacle),
            CreateError::Store(error) => Self::Store(error),
            CreateError::Stopped => Self::Stopped,
        }
    }
}

/// Takes requests in.
#[derive(Debug, Clone)]
pub struct Intake {
    setup: Setup,
    supervisor: Supervisor,
}

impl Intake {
    /// An intake for this queue. The jobs that come by `plannings` have their repositories listed on
    /// `tasks`.
    pub fn new(
        setup: Setup,
        supervisor: Supervisor,
        plannings: mpsc::UnboundedReceiver<Planning>,
        tasks: &TaskTracker,
    ) -> Self {
        Planner::start(&setup.config, supervisor.clone(), plannings, tasks);
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

    /// Accepts a target that has been checked: what a user typed at the command line.
    ///
    /// # Errors
    /// A reference or pattern that is none, or what kept the job from being stored.
    pub async fn queue(
        &self,
        target: Target,
        request: ScanRequest,
    ) -> Result<Accepted, IntakeError> {
        if let Some(reference) = &request.options.reference {
            git_ref::check(reference).map_err(IntakeError::Reference)?;
        }
        let ScanRequest { url, options, submitted_by } = request;
        for (member, patterns) in [("include", &options.include), ("exclude", &options.exclude)] {
            Pattern::list(patterns).map_err(|error| IntakeError::Pattern(member, error))?;
        }
        let place = self.supervisor.reserve();
        let place = place.ok_or(IntakeError::QueueFull(self.setup.config.jobs.max_queued_jobs))?;
        let (id, created_at) = (JobId::generate(), Utc::now());
        let plan = if target.needs_discovery() {
            Plan::unknown()
        } else {
            Plan::of([(target.name(), target.location())])
        };
        let names = plan.repositories.iter().map(|it| it.repo_name.clone()).collect();
        let mut master = Master::new(&id, &url, target.scan_type(), names, created_at);
        master.submitted_by = submitted_by;
        master.options = Some(options);
        let job = NewJob { id: id.clone(), master, plan, place: Some(place) };
        self.supervisor.create(job).await?;
        tracing::info!(%id, url, "job accepted");
        Ok(Accepted { job_id: id, created_at })
    }
}
