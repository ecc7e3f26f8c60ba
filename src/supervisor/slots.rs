//! The slots that are in use: which repositories hold one, and what each of them waits for.
//!
//! Input: starts and endings of attempts, orders to them. Output: the attempts of the repositories, and the
//! orders that are to be sent now.
//!
//! Invariants: a repository keeps its slot until its outcome is known; orders to one attempt are sent
//! one after the other; an order for an attempt that is being started is sent once it runs.

use super::{RepoKey, engine::Attempt};
use crate::model::attempt::OrderReason;
use std::collections::HashMap;

/// The repositories that hold a slot.
#[derive(Debug, Default)]
pub(super) struct Slots {
    phases: HashMap<RepoKey, Phase>,
}

/// What a repository that holds a slot waits for.
#[derive(Debug)]
enum Phase {
    /// Its attempt is being started; an order that arrives meanwhile is sent afterwards.
    Starting(Option<OrderReason>),
    Running(Box<Running>),
    /// Its attempt has ended: its files are being read, or a final state is written in its place.
    Finalizing,
}

/// A repository whose attempt runs.
#[derive(Debug)]
struct Running {
    attempt: Attempt,
    /// Whether an order is being sent.
    ordering: bool,
    /// The order to send next.
    next: Option<OrderReason>,
}

impl Slots {
    /// The repository's attempt is being started.
    pub(super) fn begin(&mut self, key: RepoKey) {
        self.phases.insert(key, Phase::Starting(None));
    }

    /// The start of the repository's attempt has ended, whether or not it succeeded. Returns the order that arrived
    /// meanwhile.
    pub(super) fn end_start(&mut self, key: &RepoKey) -> Option<OrderReason> {
        match self.phases.remove(key) {
            Some(Phase::Starting(order)) => order,
            _ => None,
        }
    }

    /// The repository's attempt runs.
    pub(super) fn run(&mut self, key: RepoKey, attempt: Attempt) {
        let running = Box::new(Running { attempt, ordering: false, next: None });
        self.phases.insert(key, Phase::Running(running));
    }

    /// The repository's attempt has ended; its outcome is being determined or written.
    pub(super) fn finalize(&mut self, key: RepoKey) {
        self.phases.insert(key, Phase::Finalizing);
    }

    /// The repository waits for nothing any more. Returns its attempt if one ran.
    pub(super) fn clear(&mut self, key: &RepoKey) -> Option<Attempt> {
        match self.phases.remove(key) {
            Some(Phase::Running(running)) => Some(running.attempt),
            _ => None,
        }
    }

    /// An attempt is to end. Returns it if the order is to be sent now.
    pub(super) fn order(&mut self, key: &RepoKey, reason: OrderReason) -> Option<Attempt> {
        match self.phases.get_mut(key)? {
            Phase::Starting(order) => *order = Some(reason),
            Phase::Running(running) if running.ordering => running.next = Some(reason),
            Phase::Running(running) => {
                running.ordering = true;
                return Some(running.attempt.clone());
            }
            Phase::Finalizing => {}
        }
        None
    }

    /// An order has been sent. Returns the order that is to be sent next.
    pub(super) fn end_order(&mut self, key: &RepoKey) -> Option<OrderReason> {
        let Some(Phase::Running(running)) = self.phases.get_mut(key) else { return None };
        running.ordering = false;
        running.next.take()
    }

    /// Whether this attempt runs.
    pub(super) fn runs(&self, key: &RepoKey, attempt: u64) -> bool {
        matches!(self.phases.get(key), Some(Phase::Running(running)) if running.attempt.number == attempt)
    }

    /// How many slots are in use.
    pub(super) fn used(&self) -> usize {
        self.phases.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        store::{layout::JobsDir, lock::Holder},
        supervisor::{
            Setup,
            disposition::{LiveShim, Living},
            engine::{Agents, Engine, local::Local},
            stopped_shims::StoppedShims,
        },
        sys,
    };
    use std::sync::Arc;

    #[test]
    fn orders_to_one_attempt_are_sent_one_after_the_other_and_the_last_one_counts() {
        let key = RepoKey { job: "job".parse().unwrap(), index: 0 };
        let pid = std::process::id();
        let holder = Holder { pid, pidfd: sys::open_process(pid).unwrap() };
        let living = LiveShim { holder, attempt: 3, record: None, ordered: None };
        let root = tempfile::tempdir().unwrap();
        let setup = Setup::of_test(JobsDir::new(root.path()).unwrap());
        let local = Local::new(setup, Arc::new(StoppedShims::default()));
        let engine = Engine::new(local, Agents::none());
        let (attempt, _) = engine.adopt(&key, Default::default(), Living::Shim(living));

        let mut slots = Slots::default();
        assert!(slots.order(&key, OrderReason::Stop).is_none(), "it holds no slot");
        slots.begin(key.clone());
        assert!(slots.order(&key, OrderReason::Stop).is_none(), "its attempt is being started");
        assert_eq!(slots.end_start(&key), Some(OrderReason::Stop));

        slots.run(key.clone(), attempt);
        assert!(slots.runs(&key, 3) && !slots.runs(&key, 2));
        assert!(slots.order(&key, OrderReason::Stop).is_some());
        for reason in [OrderReason::Yield, OrderReason::Cancel] {
            assert!(slots.order(&key, reason).is_none(), "the first one is being sent");
        }
        assert_eq!(slots.end_order(&key), Some(OrderReason::Cancel));
        assert!(slots.order(&key, OrderReason::Cancel).is_some());
        assert_eq!(slots.end_order(&key), None);

        assert!(slots.clear(&key).is_some());
        slots.finalize(key.clone());
        assert!(slots.order(&key, OrderReason::Cancel).is_none(), "its attempt has ended");
        assert_eq!((slots.used(), slots.clear(&key).is_none(), slots.used()), (1, true, 0));
    }
}
