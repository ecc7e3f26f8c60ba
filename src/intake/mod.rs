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
    supervisor::{NewJob, Planning, Retried, Setup, Supervisor},
};
use chrono::Utc;
use discovery::Discovery;
use planner::Planner;
use std::sync::Arc;
use target::{NotScannable, Target};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

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
}

/// Takes requests in.
#[derive(Debug, Clone)]
pub struct Intake {
    setup: Setup,
    supervisor: Supervisor,
    planner: Planner,
}

impl Intake {
    /// An intake for this queue; forges are asked on `tasks`.
    pub fn new(setup: Setup, supervisor: Supervisor, tasks: TaskTracker) -> Self {
        let discovery = Discovery::new(Arc::clone(&setup.config));
        let planner = Planner::new(discovery, supervisor.clone(), tasks);
        Self { setup, supervisor, planner }
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
        let retried = self.supervisor.retry(id).await;
        if let Retried::GoesOn(Some(planning)) = &retried {
            self.plan(planning.clone());
        }
        retried
    }

    /// Finds out which repositories a job has that the supervisor knows already: one that was
    /// found at start, or is scanned again.
    pub fn plan(&self, planning: Planning) {
        match Target::parse(&planning.url, &self.setup.config) {
            Ok(target) => self.planner.begin(target, planning),
            // The settings are others than those that it was accepted by.
            Err(error) => self.planner.give_up(planning, error.to_string()),
        }
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
        let stop = target.needs_discovery().then(CancellationToken::new);
        let plan = match stop {
            Some(_) => Plan::unknown(),
            None => Plan::of([(target.name(), target.location())]),
        };
        let names = plan.repositories.iter().map(|it| it.repo_name.clone()).collect();
        let mut master = Master::new(&id, &url, target.scan_type(), names, created_at);
        master.submitted_by = submitted_by;
        master.options = Some(options.clone());

        let setup = self.setup.clone();
        let job =
            NewJob { id: id.clone(), master, plan, place: Some(place), planning: stop.clone() };
        let job = tokio::task::spawn_blocking(move || {
            if let Some(obstacle) = setup.space.obstacle() {
                return Err(IntakeError::NoPlace(obstacle));
            }
            let mode = setup.config.jobs.folder_mode;
            let created = setup.jobs.create_job(&job.id, mode, &job.master, &job.plan);
            if created.is_err() {
                setup.space.suspect();
            }
            created?;
            Ok(job)
        })
        .await
        .map_err(|error| StoreError::at("create", self.setup.jobs.root())(error.into()))??;
        self.supervisor.submit(job).await;
        tracing::info!(%id, url, "job accepted");
        if let Some(stop) = stop {
            self.planner.begin(target, Planning { id: id.clone(), url, options, stop });
        }
        Ok(Accepted { job_id: id, created_at })
    }
}
