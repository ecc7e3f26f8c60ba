//! Turns a request into a job: validates the URL and the options, and creates the job.
//!
//! Input: a URL (or, from the command line, a path) with options. Output: an accepted job, durable
//! before the answer and queued; if the forge has to be queried, its plan follows later.
//! Invariants: no request waits for a forge; a job that cannot be stored is not accepted.

pub mod discovery;
pub mod dry_run;
mod forge_api;
mod planner;
pub mod target;

use crate::{
    model::{
        JobId,
        filters::FilterError,
        git_ref,
        git_url::{self, Refusal},
        master::{Master, Options},
        pattern::{Pattern, PatternError},
        plan::Plan,
        schedule::ScheduleName,
        time::Timestamp,
    },
    store::{StoreError, space::Obstacle},
    supervisor::{CreateError, NewJob, Planning, Setup, Supervisor},
};
use chrono::Utc;
use discovery::Discovery;
use planner::Planner;
use std::sync::Arc;
use target::{NotScannable, Target};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;

/// A request to scan something.
#[derive(Debug, Clone, Default)]
pub struct ScanRequest {
    pub url: String,
    pub options: Options,
    /// The user, if the server has authentication.
    pub submitted_by: Option<String>,
    /// The run of a schedule that this is.
    pub run: Option<ScheduledRun>,
}

/// The run of a schedule.
#[derive(Debug, Clone)]
pub struct ScheduledRun {
    pub schedule: ScheduleName,
    /// The id that the job gets, recorded before: a run that is repeated after a crash is the same job.
    pub job_id: JobId,
}

/// A job that is durable and queued.
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
    /// The name of the invalid member, and the error.
    #[error("Invalid pattern in {0}: {1}")]
    Pattern(&'static str, PatternError),
    #[error("Invalid topics: {0}")]
    Topics(FilterError),
    #[error("The queue is full: {0} jobs are waiting already")]
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
            CreateError::NoSpace(obstacle) => Self::NoPlace(obstacle),
            CreateError::Store(error) => Self::Store(error),
            CreateError::Stopped => Self::Stopped,
        }
    }
}

/// Accepts requests.
#[derive(Debug, Clone)]
pub struct Intake {
    setup: Setup,
    supervisor: Supervisor,
    /// Lists groups for dry runs.
    discovery: Discovery,
    dry_runs: Arc<Semaphore>,
}

impl Intake {
    /// Creates an intake, and starts a planner on `tasks` for the jobs from `plannings`.
    pub fn new(
        setup: Setup,
        supervisor: Supervisor,
        plannings: mpsc::UnboundedReceiver<Planning>,
        tasks: &TaskTracker,
    ) -> Self {
        Planner::start(&setup, supervisor.clone(), plannings, tasks);
        let discovery = Discovery::new(setup.config.get());
        let dry_runs = Arc::new(Semaphore::new(dry_run::MAX_DRY_RUNS));
        Self { setup, supervisor, discovery, dry_runs }
    }

    /// Validates a request from outside, and accepts it.
    ///
    /// # Errors
    /// The first rule that the request violates, or the reason why the job could not be stored.
    pub async fn accept(&self, request: ScanRequest) -> Result<Accepted, IntakeError> {
        let target = Target::parse(&request.url, &self.setup.config.get())?;
        self.queue(target, request).await
    }

    /// Validates a URL from outside, as [`accept`](Self::accept) does.
    ///
    /// # Errors
    /// The rule that the URL violates.
    pub fn check(&self, url: &str) -> Result<(), IntakeError> {
        Target::parse(url, &self.setup.config.get()).map(drop)
    }

    /// Accepts a validated target, such as one from the command line.
    ///
    /// # Errors
    /// An invalid reference or pattern, or the reason why the job could not be stored.
    pub async fn queue(
        &self,
        target: Target,
        request: ScanRequest,
    ) -> Result<Accepted, IntakeError> {
        check_options(&request.options)?;
        let ScanRequest { url, options, submitted_by, run } = request;
        let permit = self.supervisor.reserve();
        let permit =
            permit.ok_or(IntakeError::QueueFull(self.setup.config.get().jobs.max_queued_jobs))?;
        let (job_id, schedule) = run.map(|run| (run.job_id, run.schedule.into())).unzip();
        let (id, created_at) = (job_id.unwrap_or_else(JobId::generate), Utc::now());
        let plan = if target.needs_discovery() {
            Plan::unknown()
        } else {
            Plan::of([(target.name(), target.location())])
        };
        let names = plan.repositories.iter().map(|planned| planned.repo_name.clone()).collect();
        let url = git_url::trimmed(&url);
        let mut master = Master::new(&id, url, target.scan_type(), names, created_at);
        master.discovering = !plan.complete;
        master.submitted_by = submitted_by;
        master.schedule = schedule;
        master.options = Some(options);
        let job = NewJob { id: id.clone(), master, plan, permit: Some(permit) };
        self.supervisor.create(job).await?;
        tracing::info!(job = %id, url, "job accepted");
        Ok(Accepted { job_id: id, created_at })
    }
}

/// Checks the texts of the options.
fn check_options(options: &Options) -> Result<(), IntakeError> {
    if let Some(reference) = &options.reference {
        git_ref::check(reference).map_err(IntakeError::Reference)?;
    }
    for (member, patterns) in [("include", &options.include), ("exclude", &options.exclude)] {
        Pattern::list(patterns).map_err(|error| IntakeError::Pattern(member, error))?;
    }
    Pattern::list_of_paths(&options.exclude_paths)
        .map_err(|error| IntakeError::Pattern("exclude_paths", error))?;
    options.filters.check().map_err(IntakeError::Topics)
}
