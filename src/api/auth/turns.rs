//! Queues by key: those with the same key are served one after the other, others do not wait for them.
//!
//! The same credentials are judged by one request at a time, so that those which wait find the
//! outcome: fifty connections that begin with the same right password cost one hash, and are not
//! taken for fifty guesses; fifty with the same wrong one cost one hash too. The passwords of one
//! name from one address are judged one at a time, so that others get their turns in between.
//!
//! Invariants: a queue is there as long as somebody is in it; what one leaves in a queue for the next
//! is found by those who are in it, and by nobody who comes to an empty one.

use super::secret::Fingerprint;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio::sync::OwnedMutexGuard;

/// Queues, each with what is left in it for the next.
#[derive(Debug)]
pub(super) struct Turns<T> {
    queues: Arc<Queues<T>>,
}

type Queues<T> = Mutex<HashMap<Fingerprint, Queue<T>>>;

#[derive(Debug)]
struct Queue<T> {
    turn: Arc<tokio::sync::Mutex<T>>,
    places: usize,
}

/// A place in a queue, whose end takes the queue away if it was the last.
#[derive(Debug)]
pub(super) struct Place<T> {
    queues: Arc<Queues<T>>,
    key: Fingerprint,
    turn: Arc<tokio::sync::Mutex<T>>,
    joined: Instant,
}

impl<T: Default> Default for Turns<T> {
    fn default() -> Self {
        Self { queues: Arc::default() }
    }
}

impl<T: Default> Turns<T> {
    /// A place behind the others with this key; none if there are `most` already.
    pub(super) fn queue(&self, key: Fingerprint, most: usize) -> Option<Place<T>> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry(key).or_insert_with(|| Queue { turn: Arc::default(), places: 0 });
        if queue.places >= most {
            return None;
        }
        queue.places += 1;
        let turn = Arc::clone(&queue.turn);
        Some(Place { queues: Arc::clone(&self.queues), key, turn, joined: Instant::now() })
    }
}

impl<T> Place<T> {
    /// Waits for the turn, which ends when the guard is dropped.
    pub(super) async fn turn(&self) -> OwnedMutexGuard<T> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Since when this place has been taken.
    pub(super) fn joined(&self) -> Instant {
        self.joined
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get_mut(&self.key) {
            queue.places -= 1;
            if queue.places == 0 {
                queues.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::secret::Fingerprints, *};

    #[tokio::test]
    async fn the_same_wait_for_each_other_others_do_not_and_nothing_is_left() {
        let prints = Fingerprints::new().unwrap();
        let turns = Turns::<u8>::default();
        let first = turns.queue(prints.of(&[b"same"]), 2).unwrap();
        let second = turns.queue(prints.of(&[b"same"]), 2).unwrap();
        assert!(turns.queue(prints.of(&[b"same"]), 2).is_none(), "the queue is full");
        let other = turns.queue(prints.of(&[b"other"]), 2).unwrap();
        let mut turn = first.turn().await;
        drop(other.turn().await);
        assert!(second.turn.try_lock().is_err());
        *turn = 7;
        drop(turn);
        drop(first);
        assert_eq!(*second.turn().await, 7, "what was left for the next");
        drop((second, other));
        assert!(turns.queues.lock().unwrap().is_empty());
    }
}
