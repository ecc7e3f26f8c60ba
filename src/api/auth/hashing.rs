//! Judging passwords by their bcrypt hashes: passwords come in, "right" or "wrong" goes out, a
//! few at a time.
//!
//! What must stay true: a hash costs tens of milliseconds of a processor by design, so at most
//! [`AT_ONCE`] are computed at once, each on a thread of its own, that serves nobody else; at most
//! [`WAITING`] wait, of one claimant at most [`WAITING_EACH`], and nobody for longer than the
//! deadline; claimants take turns, so that one with many passwords holds up no other for longer
//! than one hash; the time that a hash takes does not tell whether the user exists, or how
//! expensive its hash is; a client that goes away does not give its place to the next before its
//! hash is done.

use super::{secret::Fingerprint, turns::Turns};
use secrecy::{ExposeSecret, SecretSlice};
use std::{str::FromStr, sync::Arc};
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, timeout_at},
};

/// Hashes that are computed at once.
const AT_ONCE: usize = 2;
/// Passwords that wait for their turn, beside those.
const WAITING: usize = 128;
/// Passwords of one claimant that wait, the one that is computed included: as many as may fail in a
/// minute (`throttle`).
const WAITING_EACH: usize = 10;
/// The most that a hash may cost: 2^14 rounds are a second or two.
pub(super) const HIGHEST_COST: u32 = 14;
const LOWEST_COST: u32 = 4;
/// Salt and hash of no password that anybody knows.
const NOBODY: &str = ".....................................................";

/// A bcrypt hash that can be judged by, and whose cost is bearable.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PasswordHash {
    text: String,
    cost: u32,
}

impl PasswordHash {
    pub(super) fn cost(&self) -> u32 {
        self.cost
    }

    /// A hash that takes the time of a real one.
    fn of_nobody(cost: u32) -> Self {
        Self { text: format!("$2b${cost:02}${NOBODY}"), cost }
    }

    fn is_of(&self, password: &[u8]) -> bool {
        // Its text was checked, so that an error is about the password: it has a NUL.
        bcrypt::verify(password, &self.text).unwrap_or(false)
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PasswordHash(cost {})", self.cost)
    }
}

impl FromStr for PasswordHash {
    /// Why not; never with the text.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_bcrypt = ["$2y$", "$2a$", "$2b$"].iter().any(|prefix| text.starts_with(prefix));
        if !is_bcrypt {
            let scheme = match text {
                _ if text.starts_with("{SHA}") => "SHA-1",
                _ if text.starts_with("$apr1$") => "MD5 (apr1)",
                _ if text.starts_with("$2") => "an old kind of bcrypt",
                _ if text.starts_with('$') => "of another kind",
                _ => "crypt or plain text",
            };
            return Err(format!("the password is {scheme}, want bcrypt: use `htpasswd -B`"));
        }
        let parts = bcrypt::HashParts::from_str(text)
            .map_err(|_| "the bcrypt hash is damaged: use `htpasswd -B`".to_owned())?;
        let cost = parts.get_cost();
        if !(LOWEST_COST..=HIGHEST_COST).contains(&cost) {
            return Err(format!(
                "the bcrypt cost is {cost}, want {LOWEST_COST} to {HIGHEST_COST}: \
                 use `htpasswd -B -C 12`"
            ));
        }
        Ok(Self { text: text.to_owned(), cost })
    }
}

/// There are more passwords to judge than wait here, or they would wait for too long.
#[derive(Debug)]
pub(super) struct Busy;

/// Whose password is to be judged, and until when that has to begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    /// Stands for the name and the address that it comes from.
    pub(super) claimant: Fingerprint,
    pub(super) deadline: Instant,
}

/// The places where hashes are computed.
#[derive(Debug)]
pub(super) struct Hashing {
    /// For those that are computed, and those that wait.
    places: Arc<Semaphore>,
    claimants: Turns<()>,
    /// First come, first served; of each claimant there is one at a time.
    turns: Arc<Semaphore>,
}

impl Hashing {
    pub(super) fn new() -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
            claimants: Turns::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Judges a password by a user's hash, or by nobody's: it takes as long as a hash of
    /// `highest_cost` each time.
    pub(super) async fn is_right(
        &self,
        password: SecretSlice<u8>,
        hash: Option<PasswordHash>,
        highest_cost: u32,
        claim: Claim,
    ) -> Result<bool, Busy> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Busy)?;
        let own_place = self.claimants.queue(claim.claimant, WAITING_EACH).ok_or(Busy)?;
        let turns = async {
            let own_turn = own_place.turn().await;
            (own_turn, Arc::clone(&self.turns).acquire_owned().await)
        };
        let (own_turn, turn) = timeout_at(claim.deadline, turns).await.map_err(|_| Busy)?;
        let (tell, told) = oneshot::channel();
        let work = move || {
            let right = judge(password.expose_secret(), hash.as_ref(), highest_cost);
            drop((turn, own_turn, own_place, place));
            // Nobody may be listening any more.
            let _ = tell.send(right);
        };
        let thread = std::thread::Builder::new().name("password".to_owned()).spawn(work);
        thread.map_err(|_| Busy)?;
        told.await.map_err(|_| Busy)
    }
}

fn judge(password: &[u8], hash: Option<&PasswordHash>, highest_cost: u32) -> bool {
    let Some(hash) = hash else {
        PasswordHash::of_nobody(highest_cost).is_of(password);
        return false;
    };
    let right = hash.is_of(password);
    // The rounds double with each step of the cost: 2^c + 2^c + 2^(c+1) + … + 2^(h-1) = 2^h.
    for missing in hash.cost..highest_cost {
        PasswordHash::of_nobody(missing).is_of(password);
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
    async fn passwords_are_judged_by_their_hash() {
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
    fn nobody_s_hash_costs_what_a_real_one_does() {
        let nobody = PasswordHash::of_nobody(7);
        assert_eq!(nobody.text.parse::<PasswordHash>().as_ref(), Ok(&nobody));
        assert!(bcrypt::verify("x", &nobody.text).is_ok(), "it is computed, not refused");
    }

    #[tokio::test]
    async fn the_queue_is_bounded_in_number_and_in_time() {
        let (hashing, prints) = (Hashing::new(), Fingerprints::new().unwrap());
        let ask = |claim| hashing.is_right(b"x".to_vec().into(), None, LOWEST_COST, claim);
        let all = u32::try_from(AT_ONCE + WAITING).unwrap();
        let taken = Arc::clone(&hashing.places).acquire_many_owned(all).await.unwrap();
        assert!(matches!(ask(claim(&prints, "u")).await, Err(Busy)));
        drop(taken);
        let both = u32::try_from(AT_ONCE).unwrap();
        let taken = Arc::clone(&hashing.turns).acquire_many_owned(both).await.unwrap();
        let at_once = Claim { deadline: Instant::now(), ..claim(&prints, "u") };
        assert!(matches!(ask(at_once).await, Err(Busy)), "it waited for longer than it was to");
        drop(taken);
        assert!(matches!(ask(claim(&prints, "u")).await, Ok(false)));
    }

    #[tokio::test]
    async fn one_with_many_passwords_holds_up_no_other_and_not_all_of_them_wait() {
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
        // All have asked once this is polled for the second time.
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
        assert!(place <= 2, "it was the {place}th: {judged:?}");
    }
}
