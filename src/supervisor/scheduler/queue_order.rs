//! The order in which waiting jobs are expected to start, for people who wait.
//!
//! Input: the jobs that wait for their first scan, the longest waiting first. Output: the same jobs
//! in the order of their first slots.
//!
//! Invariant: the rules are those of `priority`, applied to jobs of which none has a slot. What else
//! runs and waits is not considered, so the real order may differ by a few places.

use super::user_shares::{User, Weights, weight_of};
use crate::model::JobId;
use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
};

/// A job that waits for its first scan.
#[derive(Debug, Clone)]
pub(in crate::supervisor) struct WaitingJob {
    pub(in crate::supervisor) id: JobId,
    pub(in crate::supervisor) user: User,
    pub(in crate::supervisor) single: bool,
    pub(in crate::supervisor) bumped: Option<i64>,
}

/// The expected order: single repositories and groups alternate, users take turns by weight, and the
/// jobs of a user come in the order in which they have waited, bumped ones first.
pub(in crate::supervisor) fn expected_order(
    waiting: Vec<WaitingJob>,
    weights: &Weights,
) -> Vec<JobId> {
    let (singles, groups) = waiting.into_iter().partition(|job| job.single);
    let mut groups = by_turns(groups, weights).into_iter();
    let mut order = Vec::new();
    for single in by_turns(singles, weights) {
        order.push(single);
        order.extend(groups.next());
    }
    order.extend(groups);
    order
}

/// The jobs of one kind in the order of the turns of their users.
fn by_turns(waiting: Vec<WaitingJob>, weights: &Weights) -> Vec<JobId> {
    let mut users: Vec<(User, VecDeque<WaitingJob>)> = Vec::new();
    let mut positions: HashMap<User, usize> = HashMap::new();
    for job in waiting {
        let position = *positions.entry(job.user.clone()).or_insert(users.len());
        match users.get_mut(position) {
            Some((_, jobs)) => jobs.push_back(job),
            None => users.push((job.user.clone(), VecDeque::from([job]))),
        }
    }
    for (_, jobs) in &mut users {
        // Stable: of equal jobs, the one that has waited longer stays first.
        jobs.make_contiguous().sort_by_key(|job| Reverse(job.bumped));
    }
    let mut order = Vec::new();
    // Smooth weighted round-robin: with each turn the credit of every user grows by its weight, the
    // one with the highest credit is next, and pays for all.
    let mut credits: HashMap<User, i64> = HashMap::new();
    loop {
        users.retain(|(_, jobs)| !jobs.is_empty());
        let mut all = 0;
        for (user, _) in &users {
            let weight = i64::from(weight_of(weights, user));
            all += weight;
            *credits.entry(user.clone()).or_default() += weight;
        }
        let credit = |user: &User| credits.get(user).copied().unwrap_or(0);
        // The first of equal ones: `max_by_key` would return the last.
        let next = users.iter_mut().min_by_key(|(user, _)| -credit(user));
        let Some((user, jobs)) = next else { return order };
        order.extend(jobs.pop_front().map(|job| job.id));
        if let Some(credit) = credits.get_mut(user) {
            *credit -= all;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str, user: &str, single: bool, bumped: Option<i64>) -> WaitingJob {
        WaitingJob { id: id.parse().unwrap(), user: Some(user.into()), single, bumped }
    }

    fn order(waiting: Vec<WaitingJob>, weights: &[(&str, u32)]) -> String {
        let weights = weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
        let order = expected_order(waiting, &weights);
        order.iter().map(JobId::as_str).collect::<Vec<_>>().join(" ")
    }

    /// Fails if the list of jobs promises another order than the scheduler keeps.
    #[test]
    fn singles_and_groups_alternate_users_take_turns_and_bumped_jobs_come_first() {
        let group = |id, user, bumped| job(id, user, false, bumped);
        assert_eq!(
            order(
                vec![group("g1", "a", None), group("g2", "a", None), job("s", "a", true, None)],
                &[]
            ),
            "s g1 g2"
        );
        assert_eq!(
            order(
                vec![
                    group("a1", "a", None),
                    group("a2", "a", None),
                    group("a3", "a", Some(1)),
                    group("a4", "a", Some(2)),
                    group("b1", "b", None),
                    group("b2", "b", None),
                ],
                &[("a", 2)]
            ),
            "a4 b1 a3 a1 b2 a2"
        );
    }
}
