//! Lists the repositories of jobs on their forges, each job in a task of its own.
//!
//! Input: jobs with incomplete plans, from the supervisor. Output: the pages of their plans, and how
//! each listing ended, for the supervisor. Invariants: a job that is being listed belongs to one
//! task until the supervisor has taken the end of its list or the job is cancelled; a page is stored
//! before the next one is requested; a slow forge delays only the jobs of that forge, and they
//! report it; a full disk delays a page but never loses it.

use super::{
    discovery::{Discovery, PageReceiver, Streamed},
    target::Target,
};
use crate::{
    config::CurrentConfig,
    model::{
        address::Origin,
        listing::{ListingError, PlanPage, StoredPlan},
    },
    pool::Pool,
    store::{chain, layout::JobsDir, listing},
    supervisor::{Planned, Planning, Setup, Supervisor},
};
use chrono::Utc;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::sleep,
};
use tokio_util::task::TaskTracker;

/// How many groups of one forge are listed concurrently, because forges limit the request rate.
const MAX_LISTINGS_PER_FORGE: usize = 4;
/// The first and the longest pause between two attempts to store a plan.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Lists groups and delivers their plans to the supervisor. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Planner {
    config: CurrentConfig,
    jobs: JobsDir,
    discovery: Discovery,
    /// Reads the plans of jobs whose listing continues.
    reads: Pool,
    supervisor: Supervisor,
    forges: Arc<Mutex<HashMap<Origin, Arc<Semaphore>>>>,
}

impl Planner {
    /// Starts to plan the jobs that arrive, until the supervisor has ended.
    pub(super) fn start(
        setup: &Setup,
        supervisor: Supervisor,
        mut plannings: mpsc::UnboundedReceiver<Planning>,
        tasks: &TaskTracker,
    ) {
        let this = Self {
            config: setup.config.clone(),
            jobs: setup.jobs.clone(),
            discovery: Discovery::new(setup.config.get()),
            reads: Pool::new("known-plans", 1),
            supervisor,
            forges: Arc::default(),
        };
        let jobs = tasks.clone();
        tasks.spawn(async move {
            while let Some(planning) = plannings.recv().await {
                let this = this.clone();
                jobs.spawn(async move {
                    let stop = planning.stop.clone();
                    let _ = stop.run_until_cancelled(this.plan(&planning)).await;
                });
            }
        });
    }

    async fn plan(&self, planning: &Planning) {
        let Some(known) = self.known(planning).await else { return };
        let is_new = known.listing.sequence == 0 && known.plan.repositories.is_empty();
        let errors = known.listing.errors.total;
        let mut delivery = Delivery { planner: self, planning, errors, pages: 0 };
        let listed = match Target::parse(&planning.url, &self.config.get()) {
            Ok(target) => self.list(&target, planning, known, &mut delivery).await,
            // The settings have changed since the job was accepted.
            Err(error) => Err(error.to_string()),
        };
        let is_new = is_new && delivery.pages == 0;
        let planned = match listed {
            Ok(Streamed::Repository(plan)) if is_new => Planned::Repository(plan),
            Ok(Streamed::Repository(_)) => {
                Planned::Ended(Some(early(planning, "it names a single repository now")))
            }
            Ok(Streamed::Group(None)) if delivery.errors == 0 => Planned::Complete,
            Ok(Streamed::Group(error)) => Planned::Ended(error),
            Err(error) if is_new => Planned::Failed(error),
            // What was listed before is kept.
            Err(error) => Planned::Ended(Some(early(planning, &error))),
        };
        self.deliver(planning, planned).await;
    }

    /// What an earlier listing of the job found; `None` if its plan cannot be read.
    async fn known(&self, planning: &Planning) -> Option<StoredPlan> {
        let mut pause = PAUSES.0;
        loop {
            let folder = self.jobs.job(&planning.id);
            let read = self.reads.run(move || listing::read(&folder)).await;
            let error = match read {
                Ok(Ok(stored)) => return stored,
                Ok(Err(error)) => chain(&error),
                Err(panic) => panic.to_string(),
            };
            tracing::error!(
                job = %planning.id,
                error,
                pause_ms = pause.as_millis(),
                "cannot read the plan of a job; retrying"
            );
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn list(
        &self,
        target: &Target,
        planning: &Planning,
        known: StoredPlan,
        delivery: &mut Delivery<'_>,
    ) -> Result<Streamed, String> {
        let _permit = self.permit(target, planning).await;
        let n_known = known.plan.repositories.len();
        tracing::info!(job = %planning.id, url = planning.url, known = n_known, "listing the repositories of the job");
        // The settings may have changed since the start.
        let discovery = self.discovery.with_settings(self.config.get());
        let (options, stop) = (&planning.options, planning.stop.clone());
        let streamed = discovery.stream(target, options, known, delivery, stop).await;
        streamed.map_err(|error| chain(&error))
    }

    /// Waits for a listing permit of the forge; meanwhile the job reports what it waits for.
    async fn permit(&self, target: &Target, planning: &Planning) -> Option<OwnedSemaphorePermit> {
        let origin = target.origin()?;
        let forge = {
            let mut forges = self.forges.lock().unwrap_or_else(PoisonError::into_inner);
            let forge = forges.entry(origin.clone());
            Arc::clone(forge.or_insert_with(|| Arc::new(Semaphore::new(MAX_LISTINGS_PER_FORGE))))
        };
        if let Ok(permit) = Arc::clone(&forge).try_acquire_owned() {
            return Some(permit);
        }
        let reason = format!(
            "waiting for {origin}: {MAX_LISTINGS_PER_FORGE} other groups of this forge are being listed"
        );
        tracing::info!(job = %planning.id, reason, "the repositories of the job's group cannot be listed yet");
        self.supervisor.note_waiting(&planning.id, Some(reason)).await;
        // The semaphore is never closed.
        let permit = forge.acquire_owned().await.ok();
        self.supervisor.note_waiting(&planning.id, None).await;
        permit
    }

    /// Delivers a page or an end to the supervisor, and retries until the supervisor could store it.
    async fn deliver(&self, planning: &Planning, planned: Planned) {
        let mut pause = PAUSES.0;
        while let Err(error) = self.supervisor.planned(&planning.id, planned.clone()).await {
            tracing::error!(
                job = %planning.id,
                error = chain(&error),
                pause_ms = pause.as_millis(),
                "cannot store the list of a job's repositories; retrying"
            );
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

/// Delivers the pages of one job.
struct Delivery<'a> {
    planner: &'a Planner,
    planning: &'a Planning,
    /// How many errors are known or were delivered.
    errors: u64,
    /// How many pages were delivered.
    pages: u64,
}

impl PageReceiver for Delivery<'_> {
    async fn take(&mut self, page: PlanPage) {
        self.errors += page.errors.len() as u64;
        self.pages += 1;
        for error in &page.errors {
            tracing::warn!(job = %self.planning.id, request = error.request, error = error.error, "a page of the job's list cannot be read; continuing with the next one");
        }
        self.planner.deliver(self.planning, Planned::Page(page)).await;
    }
}

/// The error of a listing that ends although a part of the list is known.
fn early(planning: &Planning, error: &str) -> ListingError {
    ListingError::new(&planning.url, error, Utc::now())
}
