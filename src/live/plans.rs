//! Plans of jobs: read when somebody first asks, kept until the file is another. A plan can be
//! long, so only the newest few are kept.

use crate::{
    model::{JobId, plan::Plan},
    store::{
        layout::JobsDir,
        read::{self, MASTER_CAP, Signature},
    },
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

/// How many plans are kept: those of the jobs that are being looked at.
const KEPT: usize = 16;

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
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let found = known.iter().position(|it| it.job == *id);
            if let Some(found) = found.and_then(|it| known.remove(it))
                && Some(found.signature) == now
            {
                let plan = Arc::clone(&found.plan);
                known.push_back(found);
                return Some(plan);
            }
        }
        // Not under the lock: who asks for another plan does not wait for this one.
        let (bytes, signature) = read::whole(&path, MASTER_CAP).ok()?;
        let plan: Arc<Plan> = Arc::new(serde_json::from_slice(&bytes).ok()?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|it| it.job != *id);
        known.push_back(Known { job: id.clone(), signature, plan: Arc::clone(&plan) });
        if known.len() > KEPT {
            known.pop_front();
        }
        Some(plan)
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
        assert_eq!(plans.known.lock().unwrap().len(), KEPT);
        assert!(plans.get(&JobId::generate()).is_none());
    }
}
