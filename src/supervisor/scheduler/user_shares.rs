//! The shares of users in the slots, by weight.
//!
//! Input: how many slots each user holds, and who waits. Output: the user that gets the next slot.
//!
//! Invariants: a user that waits holds no fewer slots than its guaranteed ones, the whole part of its
//! share, before another one gets more than its own; the slots that remain go, on average over the
//! slots that are given out, to each user by the rest of its share; a slot is refused to nobody as
//! long as no other user has a better right to it. Balances are bounded, so every user gets its turn.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// A user by name; `None` for jobs of a server without authentication.
pub(in crate::supervisor) type User = Option<Arc<str>>;

/// The weights of users, by name; 1 for all others.
pub(in crate::supervisor) type Weights = BTreeMap<String, u32>;

/// The weight of a user.
pub(super) fn weight_of(weights: &Weights, user: &User) -> u32 {
    user.as_deref().and_then(|name| weights.get(name)).copied().unwrap_or(1).max(1)
}

/// One slot, as rests of shares and balances count.
const SLOT: i64 = 1_000_000;

/// How far each user is behind the rest of its share: with each slot that is given out, a user that
/// waits or holds slots earns the rest, and pays a slot if it holds one beyond its guaranteed ones.
#[derive(Debug, Default)]
pub(super) struct Balances(HashMap<User, i64>);

impl Balances {
    fn of(&self, user: &User) -> i64 {
        self.0.get(user).copied().unwrap_or(0)
    }

    /// Applies changes. `slots`: the number of all slots, which bounds the balances.
    pub(super) fn change(&mut self, changes: &[(User, i64)], slots: usize) {
        let most = i64::try_from(slots).unwrap_or(i64::MAX).saturating_mul(4 * SLOT);
        for (user, change) in changes {
            let balance = self.0.entry(user.clone()).or_default();
            *balance = balance.saturating_add(*change).clamp(-most, most);
        }
    }

    /// The user has no job any more.
    pub(super) fn forget(&mut self, user: &User) {
        self.0.remove(user);
    }
}

/// The shares of all users that wait or hold slots.
#[derive(Debug)]
pub(super) struct Shares<'a> {
    slots: usize,
    users: HashMap<&'a User, Share>,
}

#[derive(Debug, Default)]
struct Share {
    weight: u32,
    running: usize,
    /// How many of the running scans are jobs of a single repository.
    singles: usize,
    /// The slots that the user is entitled to: the whole part, and rounded up.
    least: usize,
    most: usize,
    /// The rest of the division.
    rest: i64,
}

impl Share {
    /// Which of two users holds fewer slots for its weight.
    fn held(&self, other: &Self) -> std::cmp::Ordering {
        let slots = |a: &Self, b: &Self| a.running as u128 * u128::from(b.weight);
        slots(self, other).cmp(&slots(other, self))
    }
}

impl<'a> Shares<'a> {
    pub(super) fn new(slots: usize) -> Self {
        Self { slots, users: HashMap::new() }
    }

    /// Adds a job that holds slots.
    pub(super) fn add_running(&mut self, user: &'a User, running: usize, single: bool) {
        let share = self.users.entry(user).or_default();
        share.running += running;
        share.singles += if single { running } else { 0 };
    }

    /// Adds a job that waits for a slot.
    pub(super) fn add_waiting(&mut self, user: &'a User) {
        self.users.entry(user).or_default();
    }

    /// Divides the slots, once all jobs are added.
    pub(super) fn divide(&mut self, weights: &Weights) {
        let mut all = 0;
        for (user, share) in &mut self.users {
            share.weight = weight_of(weights, user);
            all += u128::from(share.weight);
        }
        let to_usize = |number: u128| usize::try_from(number).unwrap_or(usize::MAX);
        for share in self.users.values_mut() {
            let slots = self.slots as u128 * u128::from(share.weight);
            share.least = to_usize(slots / all);
            share.most = to_usize(slots.div_ceil(all));
            let rest = (slots % all) * u128::from(SLOT.unsigned_abs()) / all;
            share.rest = i64::try_from(rest).unwrap_or(SLOT);
        }
    }

    /// Whether the single repositories of the user do not use up its share yet; one always fits.
    pub(super) fn has_room_for_single(&self, user: &User) -> bool {
        self.users.get(user).is_some_and(|share| share.singles < share.least.max(1))
    }

    /// Which of these users gets the next slot: one with fewer slots than it is guaranteed; else, of
    /// those with fewer than their shares rounded up, the one that is furthest behind; else the one
    /// that holds the fewest for its weight. Of equal ones, the first.
    pub(super) fn next(
        &self,
        users: impl Iterator<Item = &'a User>,
        balances: &Balances,
    ) -> Option<&'a User> {
        let mut known: HashSet<&User> = HashSet::new();
        let users: Vec<(&'a User, &Share)> = users
            .filter(|user| known.insert(*user))
            .filter_map(|user| Some((user, self.users.get(user)?)))
            .collect();
        let waiting = || users.iter();
        waiting()
            .filter(|(_, share)| share.running < share.least)
            .min_by(|(_, a), (_, b)| a.held(b))
            .or_else(|| {
                waiting()
                    .filter(|(_, share)| share.running < share.most)
                    // The first of equal ones: `max_by_key` would return the last.
                    .min_by_key(|(user, share)| -(balances.of(user) + share.rest))
            })
            .or_else(|| waiting().min_by(|(_, a), (_, b)| a.held(b)))
            .map(|(user, _)| *user)
    }

    /// How the balances change if `next` gets a slot.
    pub(super) fn changes(&self, next: &User) -> Vec<(User, i64)> {
        let change = |(user, share): (&&User, &Share)| {
            let running = share.running + usize::from(*user == next);
            let paid = if running > share.least { SLOT } else { 0 };
            ((*user).clone(), share.rest - paid)
        };
        self.users.iter().map(change).collect()
    }
}
