//! Who may read what is expensive to read, and when.
//!
//! Input: clients that ask for documents, CSV, packages and results. Output: a [`Reading`] for each that
//! is let in, and a [`Seat`] for those that need memory for their answer; 503 for the others.
//!
//! Invariants:
//! - At most [`READINGS`] answers are under way, at most [`OF_ONE`] of them for one client; at most
//!   [`SEATS`] hold memory at a time.
//! - A free seat goes to the client with the fewest; among those, to the one that came first. So one client's
//!   many answers do not keep another's one from its turn.
//! - A reading or a seat is given back when it is dropped, and who stops waiting leaves the queue.

use super::{ApiError, auth::User};
use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{oneshot, watch};

/// How many answers may be under way, those included that wait for their turn.
const READINGS: usize = 256;
/// How many of them may be one client's.
const OF_ONE: usize = 128;
/// How many answers may hold memory at a time.
const SEATS: usize = 3;
/// When to ask again.
const RETRY_SECS: u64 = 5;

/// Whose share an answer is a part of: a user, at an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Client {
    user: Option<String>,
    peer: Option<IpAddr>,
}

/// Gives out readings and seats.
#[derive(Debug)]
pub(super) struct Desk {
    state: Mutex<State>,
    /// How many wait for a seat.
    waiting: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    readings: Shares,
    seats: Shares,
    queue: VecDeque<(Client, oneshot::Sender<Seat>)>,
}

/// How many of something are taken, in all and by client.
#[derive(Debug, Default)]
struct Shares {
    total: usize,
    by_client: HashMap<Client, usize>,
}

/// One answer that is under way.
#[derive(Debug)]
pub(super) struct Reading {
    desk: Arc<Desk>,
    client: Client,
}

/// The right to hold memory for an answer.
#[derive(Debug)]
pub(super) struct Seat {
    /// None once another has it.
    desk: Option<Arc<Desk>>,
    client: Client,
}

impl Client {
    pub(super) fn new(user: &User, peer: Option<IpAddr>) -> Self {
        Self { user: user.name().map(str::to_owned), peer }
    }
}

impl Desk {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), waiting: watch::Sender::new(0) })
    }

    /// Lets a client in, or not.
    pub(super) fn open(self: &Arc<Self>, client: Client) -> Result<Reading, ApiError> {
        let mut state = self.state();
        if state.readings.total >= READINGS || state.readings.of(&client) >= OF_ONE {
            return Err(ApiError::Unavailable {
                detail: "Too many results are being read".into(),
                retry_after: Some(RETRY_SECS),
            });
        }
        state.readings.take(&client);
        drop(state);
        Ok(Reading { desk: Arc::clone(self), client })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a free seat to who waits for one.
    fn pass_on(self: &Arc<Self>) {
        let mut state = self.state();
        state.queue.retain(|(_, waiter)| !waiter.is_closed());
        while state.seats.total < SEATS {
            let seats = &state.seats;
            let wait = state.queue.iter().enumerate();
            let next = wait.min_by_key(|(number, (client, _))| (seats.of(client), *number));
            let Some(next) = next.map(|(number, _)| number) else { break };
            let Some((client, sender)) = state.queue.remove(next) else { break };
            state.seats.take(&client);
            let seat = Seat { desk: Some(Arc::clone(self)), client };
            if let Err(mut seat) = sender.send(seat) {
                seat.desk = None;
                state.seats.give_back(&seat.client);
            }
        }
        self.waiting.send_replace(state.queue.len());
    }
}

impl Reading {
    /// A seat, as soon as it is this client's turn.
    pub(super) async fn seat(&self) -> Option<Seat> {
        let (sender, seat) = oneshot::channel();
        self.desk.state().queue.push_back((self.client.clone(), sender));
        self.desk.pass_on();
        seat.await.ok()
    }

    /// Waits until somebody waits for a seat.
    pub(super) async fn others_wait(&self) {
        let mut waiting = self.desk.waiting.subscribe();
        // The sender is as old as the desk.
        let _ = waiting.wait_for(|waiting| *waiting > 0).await;
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.desk.state().readings.give_back(&self.client);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(desk) = self.desk.take() {
            desk.state().seats.give_back(&self.client);
            desk.pass_on();
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
    async fn a_free_seat_goes_to_who_has_the_fewest() {
        let desk = Desk::new();
        let greedy: Vec<_> = (0..OF_ONE).map(|_| desk.open(client("greedy")).unwrap()).collect();
        assert!(desk.open(client("greedy")).is_err(), "its share is used up");
        let mut seats = Vec::new();
        for reading in &greedy[..SEATS] {
            seats.push(reading.seat().now_or_never().unwrap().unwrap());
        }
        let mut waiting: Vec<_> =
            greedy[SEATS..].iter().map(|reading| Box::pin(reading.seat())).collect();
        for wait in &mut waiting {
            assert!(wait.now_or_never().is_none());
        }
        let other = desk.open(client("other")).unwrap();
        let mut wait = Box::pin(other.seat());
        assert!((&mut wait).now_or_never().is_none());
        seats.pop();
        let seat = wait.now_or_never().unwrap().unwrap();
        assert_eq!(*desk.waiting.borrow(), OF_ONE - SEATS);

        // Who gives up leaves the queue, and nobody gets the seat that was meant for it.
        waiting.truncate(1);
        drop(seat);
        assert!(waiting.pop().unwrap().now_or_never().unwrap().is_some());
        assert_eq!(*desk.waiting.borrow(), 0);
        drop(seats);
        drop(waiting);
        drop((greedy, other));
        let state = desk.state();
        assert_eq!((state.readings.total, state.seats.total), (0, 0));
        assert!(state.readings.by_client.is_empty() && state.seats.by_client.is_empty());
    }

    #[test]
    fn there_is_an_end_to_all_readings_together() {
        let desk = Desk::new();
        let readings: Vec<_> =
            (0..READINGS).map(|number| desk.open(client(&number.to_string())).unwrap()).collect();
        assert!(desk.open(client("one more")).is_err());
        drop(readings);
        assert!(desk.open(client("one more")).is_ok());
    }
}
