//! Plans of jobs, read on the first request and cached until the file changes.
//!
//! Input: ids of jobs. Output: plans.
//!
//! Invariants: a plan can be long, so few are cached: the one that was requested last, and as many
//! earlier ones as have [`KEPT_BYTES`] on the disk together; none that was not requested within a
//! minute.

use super::ArchivedJobs;
use crate::{
    model::{JobId, plan::Plan},
    store::{
        layout::JobsDir,
        read::{self, MASTER_CAP, Signature},
    },
};
use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How many plans are cached.
const KEPT: usize = 16;
/// The size on the disk of the cached plans, without the last one.
const KEPT_BYTES: usize = 8 << 20;
/// How long a plan stays cached after its last request.
const KEPT_FOR: Duration = Duration::from_mins(1);

/// A cache of plans.
#[derive(Debug)]
pub struct Plans {
    jobs: JobsDir,
    archived: Option<Arc<ArchivedJobs>>,
    /// In the order of their last requests, the newest last.
    cached: Mutex<VecDeque<CachedPlan>>,
}

#[derive(Debug)]
struct CachedPlan {
    job: JobId,
    signature: Signature,
    plan: Arc<Plan>,
    bytes: usize,
    requested_at: Instant,
}

impl Plans {
    /// An empty cache.
    pub fn new(jobs: JobsDir) -> Self {
        Self { jobs, archived: None, cached: Mutex::default() }
    }

    /// The same with the plans of archived jobs.
    #[must_use]
    pub fn with_archived(self, archived: Arc<ArchivedJobs>) -> Self {
        Self { archived: Some(archived), ..self }
    }

    /// The plan of a job; `None` if no plan can be read, as for a job of another program. Blocks.
    pub fn get(&self, id: &JobId) -> Option<Arc<Plan>> {
        let (path, now) = self.found(id)?;
        {
            let mut cached = self.cached();
            let found = cached.iter().position(|plan| plan.job == *id);
            if let Some(mut found) = found.and_then(|position| cached.remove(position))
                && found.signature == now
            {
                let plan = Arc::clone(&found.plan);
                found.requested_at = Instant::now();
                cached.push_back(found);
                return Some(plan);
            }
        }
        // Read outside the lock, so that requests for other plans do not wait.
        let (text, signature) = read::whole(&path, MASTER_CAP).ok()?;
        let plan: Arc<Plan> = Arc::new(serde_json::from_slice(&text).ok()?);
        let (bytes, requested_at) = (text.len(), Instant::now());
        let mut cached = self.cached();
        cached.retain(|plan| plan.job != *id);
        let mut left = KEPT_BYTES;
        let fit = cached.iter().rev().take(KEPT - 1).take_while(|plan| {
            let rest = left.checked_sub(plan.bytes);
            left = rest.unwrap_or(0);
            rest.is_some()
        });
        let too_many = cached.len() - fit.count();
        cached.drain(..too_many);
        cached.push_back(CachedPlan {
            job: id.clone(),
            signature,
            plan: Arc::clone(&plan),
            bytes,
            requested_at,
        });
        Some(plan)
    }

    /// The path of a plan, with its signature.
    fn found(&self, id: &JobId) -> Option<(PathBuf, Signature)> {
        let path = self.jobs.job(id).plan();
        if let Some(signature) = Signature::at(&path) {
            return Some((path, signature));
        }
        let path = self.archived.as_ref()?.plan(id).ok().flatten()?;
        let signature = Signature::at(&path)?;
        Some((path, signature))
    }

    /// Drops the plans that were not requested recently.
    pub fn forget_idle(&self) {
        let mut cached = self.cached();
        cached.retain(|plan| plan.requested_at.elapsed() < KEPT_FOR);
        cached.shrink_to_fit();
    }

    fn cached(&self) -> MutexGuard<'_, VecDeque<CachedPlan>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::master::Master, store::atomic::Durability};

    #[test]
    fn a_plan_is_cached_until_it_is_replaced_and_few_plans_are_cached() {
        let root = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(&root.path().join("jobs")).unwrap();
        jobs.create(0o750).unwrap();
        let create = || {
            let id = JobId::generate();
            let master = Master::new(&id, "https://h.example/g", None, vec![], chrono::Utc::now());
            jobs.create_job(&id, 0o750, &master, &Plan::unknown()).unwrap();
            id
        };
        let plans = Plans::new(jobs.clone());
        let first = create();
        let unknown = plans.get(&first).unwrap();
        assert!(!unknown.complete);
        assert!(Arc::ptr_eq(&unknown, &plans.get(&first).unwrap()), "read again");

        let whole = Plan::of([("r".to_owned(), "https://h.example/g/r.git".to_owned())]);
        jobs.job(&first).write_plan(&whole, Durability::Flushed).unwrap();
        assert_eq!(*plans.get(&first).unwrap(), whole);
        for _ in 0..40 {
            plans.get(&create()).unwrap();
        }
        assert_eq!(plans.cached().len(), KEPT);
        assert!(plans.get(&JobId::generate()).is_none());

        let long = || {
            let id = create();
            let name = "n".repeat(3 << 20);
            let plan = Plan::of([(name, "https://h.example/g/r.git".to_owned())]);
            jobs.job(&id).write_plan(&plan, Durability::Flushed).unwrap();
            plans.get(&id).unwrap()
        };
        let first = long();
        (1..4).for_each(|_| drop(long()));
        assert_eq!(plans.cached().len(), 3, "two, and the last one");
        assert_eq!(Arc::strong_count(&first), 1);
        plans.cached().iter_mut().for_each(|plan| plan.requested_at -= KEPT_FOR);
        plans.forget_idle();
        assert!(plans.cached().is_empty());
    }
}
