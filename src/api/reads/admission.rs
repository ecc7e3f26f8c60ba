//! Admits clients to reads that are expensive, and decides whose turn it is.
//!
//! Input: clients that ask for documents, CSV, packages and results. Output: a [`Reading`] for
//! each admitted answer, and a [`MemorySlot`] for those that need memory; 503 for the others.
//!
//! Invariants:
//! - At most [`READINGS`] answers are active, at most [`OF_ONE`] of them for one client; at most
//!   [`SLOTS`] hold memory at a time.
//! - A free slot goes to the client with the fewest slots; among those, to the one that came
//!   first. So many answers of one client do not delay the answer of another one for long.
//! - A reading or a slot is released on drop, and a client that stops waiting leaves the queue.

use crate::api::{answers::error::ApiError, auth::User};
use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{oneshot, watch};

/// The maximum number of active answers, including those that wait for a slot.
const READINGS: usize = 256;
/// The maximum number of active answers of one client.
const OF_ONE: usize = 128;
/// The maximum number of answers that hold memory at a time.
const SLOTS: usize = 3;
/// `Retry-After`, in seconds.
const RETRY_SECS: u64 = 5;

/// The client to whose share an answer counts: a user at an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    user: Option<String>,
    peer: Option<IpAddr>,
}

/// Grants readings and slots.
#[derive(Debug)]
pub(crate) struct ReadAdmission {
    state: Mutex<State>,
    /// The number of answers that wait for a slot.
    waiting: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    readings: Shares,
    slots: Shares,
    queue: VecDeque<(Client, oneshot::Sender<MemorySlot>)>,
}

/// How many units are taken, in total and per client.
#[derive(Debug, Default)]
struct Shares {
    total: usize,
    by_client: HashMap<Client, usize>,
}

/// An active answer.
#[derive(Debug)]
pub(crate) struct Reading {
    admission: Arc<ReadAdmission>,
    client: Client,
}

/// The right to hold memory for an answer.
#[derive(Debug)]
pub(crate) struct MemorySlot {
    /// `None` if the slot was not delivered.
    admission: Option<Arc<ReadAdmission>>,
    client: Client,
}

impl Client {
    pub(crate) fn new(user: &User, peer: Option<IpAddr>) -> Self {
        Self { user: user.name().map(str::to_owned), peer }
    }
}

impl ReadAdmission {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), waiting: watch::Sender::new(0) })
    }

    /// Admits an answer of a client, or refuses it.
    pub(crate) fn open(self: &Arc<Self>, client: Client) -> Result<Reading, ApiError> {
        let mut state = self.state();
        if state.readings.total >= READINGS || state.readings.of(&client) >= OF_ONE {
            return Err(ApiError::Unavailable {
                detail: "Too many results are being read".into(),
                retry_after: Some(RETRY_SECS),
            });
        }
        state.readings.take(&client);
        drop(state);
        Ok(Reading { admission: Arc::clone(self), client })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Grants free slots to waiting answers.
    fn grant_free_slots(self: &Arc<Self>) {
        let mut state = self.state();
        state.queue.retain(|(_, waiter)| !waiter.is_closed());
        while state.slots.total < SLOTS {
            let slots = &state.slots;
            let wait = state.queue.iter().enumerate();
            let next = wait.min_by_key(|(number, (client, _))| (slots.of(client), *number));
            let Some(next) = next.map(|(number, _)| number) else { break };
            let Some((client, sender)) = state.queue.remove(next) else { break };
            state.slots.take(&client);
            let slot = MemorySlot { admission: Some(Arc::clone(self)), client };
            if let Err(mut slot) = sender.send(slot) {
                slot.admission = None;
                state.slots.give_back(&slot.client);
            }
        }
        self.waiting.send_replace(state.queue.len());
    }
}

impl Reading {
    /// Waits for a slot.
    pub(crate) async fn slot(&self) -> Option<MemorySlot> {
        let (sender, slot) = oneshot::channel();
        self.admission.state().queue.push_back((self.client.clone(), sender));
        self.admission.grant_free_slots();
        slot.await.ok()
    }

    /// Waits until another answer waits for a slot.
    pub(crate) async fn others_wait(&self) {
        let mut waiting = self.admission.waiting.subscribe();
        // The sender lives as long as the admission.
        let _ = waiting.wait_for(|waiting| *waiting > 0).await;
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.admission.state().readings.give_back(&self.client);
    }
}

impl Drop for MemorySlot {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            admission.state().slots.give_back(&self.client);
            admission.grant_free_slots();
        }
    }
}

impl Shares {
    fn of(&self, client: &Client) -> usize {
        self.by_client.get(client).copied().unwrap_or(0)
    }

    fn take(&mut self, client: &Client) {
        self.total += 1;
        *self.by_client.entry(client.clone()).or_default() += 1;
    }

    fn give_back(&mut self, client: &Client) {
        self.total -= 1;
        if let Some(count) = self.by_client.get_mut(client) {
            *count -= 1;
            if *count == 0 {
                self.by_client.remove(client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn client(name: &str) -> Client {
        Client { user: Some(name.to_owned()), peer: None }
    }

    #[tokio::test]
    async fn a_free_slot_goes_to_the_client_with_the_fewest() {
        let admission = ReadAdmission::new();
        let greedy: Vec<_> =
            (0..OF_ONE).map(|_| admission.open(client("greedy")).unwrap()).collect();
        assert!(admission.open(client("greedy")).is_err(), "the share of the client is used up");
        let mut slots = Vec::new();
        for reading in &greedy[..SLOTS] {
            slots.push(reading.slot().now_or_never().unwrap().unwrap());
        }
        let mut waiting: Vec<_> =
            greedy[SLOTS..].iter().map(|reading| Box::pin(reading.slot())).collect();
        for wait in &mut waiting {
            assert!(wait.now_or_never().is_none());
        }
        let other = admission.open(client("other")).unwrap();
        let mut wait = Box::pin(other.slot());
        assert!((&mut wait).now_or_never().is_none());
        slots.pop();
        let slot = wait.now_or_never().unwrap().unwrap();
        assert_eq!(*admission.waiting.borrow(), OF_ONE - SLOTS);

        // An answer that is cancelled leaves the queue, and its slot goes to another one.
        waiting.truncate(1);
        drop(slot);
        assert!(waiting.pop().unwrap().now_or_never().unwrap().is_some());
        assert_eq!(*admission.waiting.borrow(), 0);
        drop(slots);
        drop(waiting);
        drop((greedy, other));
        let state = admission.state();
        assert_eq!((state.readings.total, state.slots.total), (0, 0));
        assert!(state.readings.by_client.is_empty() && state.slots.by_client.is_empty());
    }

    #[test]
    fn the_total_number_of_readings_is_limited() {
        let admission = ReadAdmission::new();
        let readings: Vec<_> = (0..READINGS)
            .map(|number| admission.open(client(&number.to_string())).unwrap())
            .collect();
        assert!(admission.open(client("one more")).is_err());
        drop(readings);
        assert!(admission.open(client("one more")).is_ok());
    }
}
