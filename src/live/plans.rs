//! Plans of jobs: read when somebody first asks, kept until the file is another. A plan can be
//! long, so few are kept: the one that was asked for last, and as many of those before as have
//! [`KEPT_BYTES`] on the disk together; none that nobody has asked for within a minute.

use crate::{
    model::{JobId, plan::Plan},
    store::{
        layout::JobsDir,
        read::{self, MASTER_CAP, Signature},
    },
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How many plans are kept: those of the jobs that are being looked at.
const KEPT: usize = 16;
/// How many bytes they have on the disk, beside the last one.
const KEPT_BYTES: usize = 8 << 20;
/// How long a plan is kept that nobody asks for.
const KEPT_FOR: Duration = Duration::from_mins(1);

/// The plans that have been asked for.
#[derive(Debug)]
pub struct Plans {
    jobs: JobsDir,
    /// The one that was asked for last is the last.
    known: Mutex<VecDeque<Known>>,
}

#[derive(Debug)]
struct Known {
    job: JobId,
    signature: Signature,
    plan: Arc<Plan>,
    bytes: usize,
    asked: Instant,
}

impl Plans {
    /// None yet.
    pub fn new(jobs: JobsDir) -> Self {
        Self { jobs, known: Mutex::default() }
    }

    /// The plan of a job; `None` where there is none that can be read, as of another program's
    /// job. Blocks.
    pub fn get(&self, id: &JobId) -> Option<Arc<Plan>> {
        let path = self.jobs.job(id).plan();
        let now = Signature::at(&path);
        {
            let mut known = self.known();
            let found = known.iter().position(|it| it.job == *id);
            if let Some(mut found) = found.and_then(|it| known.remove(it))
                && Some(found.signature) == now
            {
                let plan = Arc::clone(&found.plan);
                found.asked = Instant::now();
                known.push_back(found);
                return Some(plan);
            }
        }
        // Not under the lock: who asks for another plan does not wait for this one.
        let (text, signature) = read::whole(&path, MASTER_CAP).ok()?;
        let plan: Arc<Plan> = Arc::new(serde_json::from_slice(&text).ok()?);
        let (bytes, asked) = (text.len(), Instant::now());
        let mut known = self.known();
        known.retain(|it| it.job != *id);
        let mut left = KEPT_BYTES;
        let fit = known.iter().rev().take(KEPT - 1).take_while(|it| {
            let rest = left.checked_sub(it.bytes);
            left = rest.unwrap_or(0);
            rest.is_some()
        });
        let too_many = known.len() - fit.count();
        known.drain(..too_many);
        known.push_back(Known {
            job: id.clone(),
            signature,
            plan: Arc::clone(&plan),
            bytes,
            asked,
        });
        Some(plan)
    }

    /// Forgets what nobody has asked for of late.
    pub fn forget_idle(&self) {
        let mut known = self.known();
        known.retain(|it| it.asked.elapsed() < KEPT_FOR);
        known.shrink_to_fit();
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::master::Master;

    #[test]
    fn a_plan_is_read_once_until_it_is_replaced_and_few_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(&root.path().join("jobs")).unwrap();
        jobs.create(0o750).unwrap();
        let lay = || {
            let id = JobId::generate();
            let master = Master::new(&id, "https://h.example/g", None, vec![], chrono::Utc::now());
            jobs.create_job(&id, 0o750, &master, &Plan::unknown()).unwrap();
            id
        };
        let plans = Plans::new(jobs.clone());
        let first = lay();
        let unknown = plans.get(&first).unwrap();
        assert!(!unknown.complete);
        assert!(Arc::ptr_eq(&unknown, &plans.get(&first).unwrap()), "read again");

        let whole = Plan::of([("r".to_owned(), "https://h.example/g/r.git".to_owned())]);
        jobs.job(&first).write_plan(&whole).unwrap();
        assert_eq!(*plans.get(&first).unwrap(), whole);
        for _ in 0..40 {
            plans.get(&lay()).unwrap();
        }
        assert_eq!(plans.known().len(), KEPT);
        assert!(plans.get(&JobId::generate()).is_none());

        let long = || {
            let id = lay();
            let name = "n".repeat(3 << 20);
            let plan = Plan::of([(name, "https://h.example/g/r.git".to_owned())]);
            jobs.job(&id).write_plan(&plan).unwrap();
            plans.get(&id).unwrap()
        };
        let first = long();
        (1..4).for_each(|_| drop(long()));
        assert_eq!(plans.known().len(), 3, "two, and the last");
        assert_eq!(Arc::strong_count(&first), 1);
        plans.known().iter_mut().for_each(|it| it.asked -= KEPT_FOR);
        plans.forget_idle();
        assert!(plans.known().is_empty());
    }
}
