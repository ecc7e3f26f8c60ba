//! The slots that are in use: which repositories hold one, and what each of them waits for.
//!
//! Input: starts and exits of shims, orders to them. Output: the shims of the repositories, and the
//! orders that are to be sent now.
//!
//! Invariants: a repository keeps its slot until its outcome is known; orders to one shim are sent
//! one after the other; an order for a shim that is being started is sent once it runs.

use super::{RepoKey, spawn::Shim};
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
    /// Its shim is being started; an order that arrives meanwhile is sent afterwards.
    Starting(Option<OrderReason>),
    Running(Running),
    /// Its shim has exited: its files are being read, or a final state is written in its place.
    Finalizing,
}

/// A repository whose shim lives.
#[derive(Debug)]
struct Running {
    shim: Shim,
    /// Whether an order is being sent.
    ordering: bool,
    /// The order to send next.
    next: Option<OrderReason>,
}

impl Slots {
    /// The repository's shim is being started.
    pub(super) fn begin(&mut self, key: RepoKey) {
        self.phases.insert(key, Phase::Starting(None));
    }

    /// The attempt to start the repository's shim has ended. Returns the order that arrived
    /// meanwhile.
    pub(super) fn end_start(&mut self, key: &RepoKey) -> Option<OrderReason> {
        match self.phases.remove(key) {
            Some(Phase::Starting(order)) => order,
            _ => None,
        }
    }

    /// The repository's shim runs.
    pub(super) fn run(&mut self, key: RepoKey, shim: Shim) {
        let running = Running { shim, ordering: false, next: None };
        self.phases.insert(key, Phase::Running(running));
    }

    /// The repository has no shim any more; its outcome is being determined or written.
    pub(super) fn finalize(&mut self, key: RepoKey) {
        self.phases.insert(key, Phase::Finalizing);
    }

    /// The repository waits for nothing any more. Returns its shim if it had one.
    pub(super) fn clear(&mut self, key: &RepoKey) -> Option<Shim> {
        match self.phases.remove(key) {
            Some(Phase::Running(running)) => Some(running.shim),
            _ => None,
        }
    }

    /// A shim is to end its scan. Returns it if the order is to be sent now.
    pub(super) fn order(&mut self, key: &RepoKey, reason: OrderReason) -> Option<Shim> {
        match self.phases.get_mut(key)? {
            Phase::Starting(order) => *order = Some(reason),
            Phase::Running(running) if running.ordering => running.next = Some(reason),
            Phase::Running(running) => {
                running.ordering = true;
                return Some(running.shim.clone());
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

    /// Whether the shim of this attempt runs.
    pub(super) fn runs(&self, key: &RepoKey, attempt: u64) -> bool {
        matches!(self.phases.get(key), Some(Phase::Running(running)) if running.shim.attempt == attempt)
    }

    /// How many slots are in use.
    pub(super) fn used(&self) -> usize {
        self.phases.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{store::lock::Holder, supervisor::disposition::LiveShim, sys};

    #[test]
    fn orders_to_one_shim_are_sent_one_after_the_other_and_the_last_one_counts() {
        let key = RepoKey { job: "job".parse().unwrap(), index: 0 };
        let pid = std::process::id();
        let holder = Holder { pid, pidfd: sys::open_process(pid).unwrap() };
        let living = LiveShim { holder, attempt: 3, record: None, ordered: None };
        let (shim, _) = Shim::adopt(living);

        let mut slots = Slots::default();
        assert!(slots.order(&key, OrderReason::Stop).is_none(), "it holds no slot");
        slots.begin(key.clone());
        assert!(slots.order(&key, OrderReason::Stop).is_none(), "its shim is being started");
        assert_eq!(slots.end_start(&key), Some(OrderReason::Stop));

        slots.run(key.clone(), shim);
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
        assert!(slots.order(&key, OrderReason::Cancel).is_none(), "its shim has exited");
        assert_eq!((slots.used(), slots.clear(&key).is_none(), slots.used()), (1, true, 0));
    }
}
