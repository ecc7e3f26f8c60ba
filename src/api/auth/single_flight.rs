//! Queues by key: requests with the same key are served one after the other, and do not delay
//! others.
//!
//! Requests with the same credentials are checked one at a time, and those that wait reuse the
//! outcome: fifty connections that start with the same right password cost one hash and are not
//! counted as fifty guesses; fifty with the same wrong password cost one hash too. The passwords
//! of one name from one address are checked one at a time, so that other clients get their turns
//! in between.
//!
//! Input: a key, and a limit of waiting requests. Output: a [`Ticket`], then exclusive access to
//! the value that the queue shares.
//!
//! Invariants: a queue exists as long as a ticket for it exists; a value that was left in a queue
//! is seen by requests that had joined it before, and never by the first request of a new queue.

use super::secret::Fingerprint;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio::sync::OwnedMutexGuard;

/// Queues by key, each with a value that its requests share.
#[derive(Debug)]
pub(super) struct SingleFlight<T> {
    queues: Arc<Queues<T>>,
}

type Queues<T> = Mutex<HashMap<Fingerprint, Queue<T>>>;

#[derive(Debug)]
struct Queue<T> {
    turn: Arc<tokio::sync::Mutex<T>>,
    tickets: usize,
}

/// A place in a queue. Dropping the last ticket removes the queue.
#[derive(Debug)]
pub(super) struct Ticket<T> {
    queues: Arc<Queues<T>>,
    key: Fingerprint,
    turn: Arc<tokio::sync::Mutex<T>>,
    joined: Instant,
}

impl<T: Default> Default for SingleFlight<T> {
    fn default() -> Self {
        Self { queues: Arc::default() }
    }
}

impl<T: Default> SingleFlight<T> {
    /// Joins the queue of this key; `None` if it has `most` tickets already.
    pub(super) fn queue(&self, key: Fingerprint, most: usize) -> Option<Ticket<T>> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry(key).or_insert_with(|| Queue { turn: Arc::default(), tickets: 0 });
        if queue.tickets >= most {
            return None;
        }
        queue.tickets += 1;
        let turn = Arc::clone(&queue.turn);
        Some(Ticket { queues: Arc::clone(&self.queues), key, turn, joined: Instant::now() })
    }
}

impl<T> Ticket<T> {
    /// Waits for the turn of this ticket, which ends when the guard is dropped.
    pub(super) async fn turn(&self) -> OwnedMutexGuard<T> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// When this ticket joined the queue.
    pub(super) fn joined(&self) -> Instant {
        self.joined
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get_mut(&self.key) {
            queue.tickets -= 1;
            if queue.tickets == 0 {
                queues.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::secret::Fingerprints, *};

    #[tokio::test]
    async fn equal_keys_wait_for_each_other_others_do_not_and_no_queue_remains() {
        let prints = Fingerprints::new().unwrap();
        let turns = SingleFlight::<u8>::default();
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
        assert_eq!(*second.turn().await, 7, "the value that the first left");
        drop((second, other));
        assert!(turns.queues.lock().unwrap().is_empty());
    }
}
