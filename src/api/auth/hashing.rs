//! Checks passwords against bcrypt hashes, a few at a time.
//!
//! Input: a password, a hash or none, and who claims the password. Output: right, wrong, or busy.
//!
//! Invariants:
//! - A bcrypt hash costs tens of milliseconds by design, so at most [`AT_ONCE`] are computed at
//!   once, each on a thread of its own that serves nothing else.
//! - At most [`WAITING`] passwords wait, at most [`WAITING_EACH`] of one claimant, and none of
//!   them past its deadline.
//! - Claimants take turns: one with many passwords delays another by one hash at most.
//! - The duration of a check reveals neither whether the user exists nor the cost of its hash.
//! - A client that disconnects frees its slot only after its hash is computed.

use super::{secret::Fingerprint, single_flight::SingleFlight};
use secrecy::{ExposeSecret, SecretSlice};
use std::{str::FromStr, sync::Arc};
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, timeout_at},
};

/// Hashes that are computed at once.
const AT_ONCE: usize = 2;
/// Passwords that wait, in addition to those.
const WAITING: usize = 128;
/// Waiting passwords of one claimant, including the one that is being checked: as many as may fail
/// in a minute (`throttle`).
const WAITING_EACH: usize = 10;
/// The highest accepted cost: 2^14 rounds take a second or two.
pub(super) const HIGHEST_COST: u32 = 14;
const LOWEST_COST: u32 = 4;
/// Salt and hash that match no known password.
const DUMMY: &str = ".....................................................";

/// A valid bcrypt hash of an accepted cost.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PasswordHash {
    text: String,
    cost: u32,
}

impl PasswordHash {
    pub(super) fn cost(&self) -> u32 {
        self.cost
    }

    /// A dummy hash that takes the time of a real one.
    fn dummy(cost: u32) -> Self {
        Self { text: format!("$2b${cost:02}${DUMMY}"), cost }
    }

    fn is_of(&self, password: &[u8]) -> bool {
        // The text was validated, so an error is about the password: it contains a NUL.
        bcrypt::verify(password, &self.text).unwrap_or(false)
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PasswordHash(cost {})", self.cost)
    }
}

impl FromStr for PasswordHash {
    /// The reason of the refusal, without the text of the hash.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_bcrypt = ["$2y$", "$2a$", "$2b$"].iter().any(|prefix| text.starts_with(prefix));
        if !is_bcrypt {
            let scheme = match text {
                _ if text.starts_with("{SHA}") => "SHA-1",
                _ if text.starts_with("$apr1$") => "MD5 (apr1)",
                _ if text.starts_with("$2") => "an outdated kind of bcrypt",
                _ if text.starts_with('$') => "in an unsupported scheme",
                _ => "crypt or plain text",
            };
            return Err(format!(
                "the password is {scheme}, but only bcrypt is accepted: use `htpasswd -B`"
            ));
        }
        let parts = bcrypt::HashParts::from_str(text)
            .map_err(|_| "the bcrypt hash is damaged: use `htpasswd -B`".to_owned())?;
        let cost = parts.get_cost();
        if !(LOWEST_COST..=HIGHEST_COST).contains(&cost) {
            return Err(format!(
                "the bcrypt cost is {cost}, but must be {LOWEST_COST} to {HIGHEST_COST}: \
                 use `htpasswd -B -C 12`"
            ));
        }
        Ok(Self { text: text.to_owned(), cost })
    }
}

/// The queue of passwords is full, or the password would wait past its deadline.
#[derive(Debug)]
pub(super) struct Busy;

/// The claimant of a password, and the deadline for the start of the check.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    /// The fingerprint of the name and the network of the client.
    pub(super) claimant: Fingerprint,
    pub(super) deadline: Instant,
}

/// Limits the computation of hashes.
#[derive(Debug)]
pub(super) struct Hashing {
    /// One permit for each password that is checked or waits.
    permits: Arc<Semaphore>,
    claimants: SingleFlight<()>,
    /// First come, first served; each claimant has one password here at a time.
    turns: Arc<Semaphore>,
}

impl Hashing {
    pub(super) fn new() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
            claimants: SingleFlight::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Checks a password against a user's hash, or against a dummy without one. Each check takes as
    /// long as a hash of `highest_cost`.
    pub(super) async fn is_right(
        &self,
        password: SecretSlice<u8>,
        hash: Option<PasswordHash>,
        highest_cost: u32,
        claim: Claim,
    ) -> Result<bool, Busy> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| Busy)?;
        let ticket = self.claimants.queue(claim.claimant, WAITING_EACH).ok_or(Busy)?;
        let turns = async {
            let own_turn = ticket.turn().await;
            (own_turn, Arc::clone(&self.turns).acquire_owned().await)
        };
        let (own_turn, turn) = timeout_at(claim.deadline, turns).await.map_err(|_| Busy)?;
        let (sender, receiver) = oneshot::channel();
        let work = move || {
            let right = judge(password.expose_secret(), hash.as_ref(), highest_cost);
            drop((turn, own_turn, ticket, permit));
            // The receiver may be gone: the client has disconnected.
            let _ = sender.send(right);
        };
        let thread = std::thread::Builder::new().name("password".to_owned()).spawn(work);
        thread.map_err(|_| Busy)?;
        receiver.await.map_err(|_| Busy)
    }
}

fn judge(password: &[u8], hash: Option<&PasswordHash>, highest_cost: u32) -> bool {
    let Some(hash) = hash else {
        PasswordHash::dummy(highest_cost).is_of(password);
        return false;
    };
    let right = hash.is_of(password);
    // The rounds double with each step of the cost: 2^c + 2^c + 2^(c+1) + … + 2^(h-1) = 2^h.
    for missing in hash.cost..highest_cost {
        PasswordHash::dummy(missing).is_of(password);
    }
    right
}

#[cfg(test)]
mod tests {
    use super::{super::secret::Fingerprints, *};
    use futures_util::future::join_all;
    use std::{sync::Mutex, time::Duration};

    fn hash(password: &str) -> PasswordHash {
        bcrypt::hash(password, LOWEST_COST).unwrap().parse().unwrap()
    }

    fn claim(prints: &Fingerprints, claimant: &str) -> Claim {
        let deadline = Instant::now() + Duration::from_mins(1);
        Claim { claimant: prints.of(&[claimant.as_bytes()]), deadline }
    }

    #[tokio::test]
    async fn passwords_are_checked_against_their_hash() {
        let (hashing, prints) = (Hashing::new(), Fingerprints::new().unwrap());
        let judge = async |password: &str, hash, highest| {
            let password = password.as_bytes().to_vec().into();
            hashing.is_right(password, hash, highest, claim(&prints, "u")).await.unwrap()
        };
        assert!(judge("right", Some(hash("right")), 4).await);
        assert!(judge("right", Some(hash("right")), 6).await);
        assert!(!judge("wrong", Some(hash("right")), 6).await);
        assert!(!judge("right\0", Some(hash("right")), 4).await);
        assert!(!judge("right", None, 4).await);
    }

    #[test]
    fn a_dummy_hash_costs_as_much_as_a_real_one() {
        let nobody = PasswordHash::dummy(7);
        assert_eq!(nobody.text.parse::<PasswordHash>().as_ref(), Ok(&nobody));
        assert!(bcrypt::verify("x", &nobody.text).is_ok(), "the hash is computed, not refused");
    }

    #[tokio::test]
    async fn the_queue_is_bounded_in_number_and_in_time() {
        let (hashing, prints) = (Hashing::new(), Fingerprints::new().unwrap());
        let ask = |claim| hashing.is_right(b"x".to_vec().into(), None, LOWEST_COST, claim);
        let all = u32::try_from(AT_ONCE + WAITING).unwrap();
        let taken = Arc::clone(&hashing.permits).acquire_many_owned(all).await.unwrap();
        assert!(matches!(ask(claim(&prints, "u")).await, Err(Busy)));
        drop(taken);
        let both = u32::try_from(AT_ONCE).unwrap();
        let taken = Arc::clone(&hashing.turns).acquire_many_owned(both).await.unwrap();
        let at_once = Claim { deadline: Instant::now(), ..claim(&prints, "u") };
        assert!(matches!(ask(at_once).await, Err(Busy)), "it waited past its deadline");
        drop(taken);
        assert!(matches!(ask(claim(&prints, "u")).await, Ok(false)));
    }

    #[tokio::test]
    async fn a_claimant_with_many_passwords_delays_no_other_and_not_all_of_them_wait() {
        let (hashing, prints) = (Hashing::new(), Fingerprints::new().unwrap());
        let both = u32::try_from(AT_ONCE).unwrap();
        let taken = Arc::clone(&hashing.turns).acquire_many_owned(both).await.unwrap();
        let order = Mutex::new(Vec::new());
        let ask = async |name: &'static str| {
            let claim = claim(&prints, name);
            let outcome = hashing.is_right(b"x".to_vec().into(), None, LOWEST_COST, claim).await;
            order.lock().unwrap().push((name, outcome.is_ok()));
        };
        let all = join_all((0..20).map(|_| ask("greedy")).chain([ask("other")]));
        // All requests have joined the queue when this is polled for the second time.
        let let_go = async {
            tokio::task::yield_now().await;
            drop(taken);
        };
        tokio::join!(all, let_go);
        let order = order.into_inner().unwrap();
        let busy = order.iter().filter(|outcome| **outcome == ("greedy", false)).count();
        assert_eq!(busy, 20 - WAITING_EACH);
        let judged: Vec<_> =
            order.iter().filter(|(_, judged)| *judged).map(|(name, _)| *name).collect();
        let place = judged.iter().position(|name| *name == "other").unwrap();
        // It is third in the queue, and the one that is hashed beside it may end first.
        assert!(place <= 3, "it was the {place}th: {judged:?}");
    }
}
