//! The same credentials are judged by one request at a time, so that those which wait find the
//! outcome: fifty connections that begin with the same right password cost one hash, and are not
//! taken for fifty guesses.

use super::secret::Fingerprint;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::MutexGuard;

type Queues = Mutex<HashMap<Fingerprint, Arc<tokio::sync::Mutex<()>>>>;

/// The credentials that are being judged.
#[derive(Debug, Default)]
pub(super) struct Turns {
    queues: Arc<Queues>,
}

/// A place in a queue, whose end takes the queue away if it was the last.
#[derive(Debug)]
pub(super) struct Place {
    queues: Arc<Queues>,
    fingerprint: Fingerprint,
    queue: Arc<tokio::sync::Mutex<()>>,
}

impl Turns {
    /// A place behind the others with these credentials.
    pub(super) fn queue(&self, fingerprint: Fingerprint) -> Place {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = Arc::clone(queues.entry(fingerprint).or_default());
        Place { queues: Arc::clone(&self.queues), fingerprint, queue }
    }
}

impl Place {
    /// Waits for the turn.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.queue.lock().await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        // The table's own, and this one.
        if Arc::strong_count(&self.queue) <= 2 {
            queues.remove(&self.fingerprint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::secret::Fingerprints, *};

    #[tokio::test]
    async fn the_same_wait_for_each_other_others_do_not_and_nothing_is_left() {
        let prints = Fingerprints::new().unwrap();
        let turns = Turns::default();
        let first = turns.queue(prints.of(&[b"same"]));
        let second = turns.queue(prints.of(&[b"same"]));
        let other = turns.queue(prints.of(&[b"other"]));
        let turn = first.turn().await;
        drop(other.turn().await);
        assert!(second.queue.try_lock().is_err());
        drop(turn);
        drop(first);
        drop(second.turn().await);
        drop((second, other));
        assert!(turns.queues.lock().unwrap().is_empty());
    }
}
