//! Limits failed login attempts. Pure: the clock is an argument.
//!
//! Input: an attempt, before its credentials are checked. Output: permission, or how long to wait.
//!
//! # Theory of operation
//!
//! An attempt is counted *before* it is checked and refunded if it was right: otherwise a thousand
//! parallel attempts could all be checked before the first failure is known. A count expires a
//! minute after its first failure.
//!
//! Three things are counted: the address, the name, and both together. Ten failures of one name
//! from one address, or twenty of any names from one address, block its attempts for the rest of
//! the minute. A name that fails from many addresses is not locked, because strangers could then
//! lock out its owner: it is limited to one attempt a minute from each address.
//!
//! Invariants: the tables are bounded, however many addresses and names an attacker has; a full
//! table forgets the entries with the fewest failures first.

use super::secret::Fingerprint;
use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// How long a failure counts.
const WINDOW: Duration = Duration::from_mins(1);
/// Failures of one name from one address.
const PER_PAIR: u32 = 10;
/// Failures from one address.
const PER_ADDRESS: u32 = 20;
/// Failures of one name from any address, after which each address has [`SLOWED`] attempts for it.
const PER_NAME: u32 = 100;
const SLOWED: u32 = 1;
/// Entries of one table.
const CAPACITY: usize = 8192;

/// The source of an attempt: an IPv4 address, or an IPv6 /64 network, which is what one household
/// or server gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Network(IpAddr);

impl Network {
    /// The text of the address, for a fingerprint.
    pub(super) fn text(self) -> String {
        self.0.to_string()
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// The failures of the last minute.
#[derive(Debug)]
pub(super) struct Throttle {
    pairs: Counts<(Network, Fingerprint)>,
    addresses: Counts<Network>,
    names: Counts<Fingerprint>,
}

impl Throttle {
    pub(super) fn new() -> Self {
        Self {
            pairs: Counts::new(CAPACITY),
            addresses: Counts::new(CAPACITY),
            names: Counts::new(CAPACITY),
        }
    }

    /// Counts a login attempt; the error is how long to wait where there were too many.
    pub(super) fn charge(
        &mut self,
        from: Network,
        name: Fingerprint,
        now: Instant,
    ) -> Result<(), Duration> {
        let is_slowed = self.names.count(&name, now) >= PER_NAME;
        let limit = if is_slowed { SLOWED } else { PER_PAIR };
        self.pairs.below(&(from, name), limit, now)?;
        self.addresses.below(&from, PER_ADDRESS, now)?;
        self.pairs.add((from, name), now);
        self.addresses.add(from, now);
        self.names.add(name, now);
        Ok(())
    }

    /// Counts a wrong token. Tokens are too long to be guessed, so this limits only programs that
    /// keep sending a dead token, and does not count against passwords.
    pub(super) fn charge_token(
        &mut self,
        from: Network,
        tokens: Fingerprint,
        now: Instant,
    ) -> Result<(), Duration> {
        self.pairs.below(&(from, tokens), PER_PAIR, now)?;
        self.pairs.add((from, tokens), now);
        Ok(())
    }

    /// Takes an attempt back that was right or was never checked.
    pub(super) fn refund(&mut self, from: Network, name: Fingerprint) {
        self.pairs.take_back(&(from, name));
        self.addresses.take_back(&from);
        self.names.take_back(&name);
    }
}

/// A bounded table of counts.
#[derive(Debug)]
struct Counts<K> {
    windows: HashMap<K, Window>,
    capacity: usize,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    failures: u32,
    began: Instant,
}

impl Window {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= WINDOW
    }
}

impl<K: Eq + Hash + Copy> Counts<K> {
    fn new(capacity: usize) -> Self {
        Self { windows: HashMap::new(), capacity }
    }

    fn count(&self, key: &K, now: Instant) -> u32 {
        self.windows
            .get(key)
            .filter(|window| !window.is_over(now))
            .map_or(0, |window| window.failures)
    }

    /// Checks that one more is within the limit; the error is how long to wait.
    fn below(&self, key: &K, limit: u32, now: Instant) -> Result<(), Duration> {
        match self.windows.get(key) {
            Some(window) if !window.is_over(now) && window.failures >= limit => {
                Err(WINDOW.saturating_sub(now.saturating_duration_since(window.began)))
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, key: K, now: Instant) {
        if self.windows.len() >= self.capacity && !self.windows.contains_key(&key) {
            self.make_room(now);
        }
        let window = self.windows.entry(key).or_insert(Window { failures: 0, began: now });
        if window.is_over(now) {
            *window = Window { failures: 0, began: now };
        }
        window.failures += 1;
    }

    fn take_back(&mut self, key: &K) {
        if let Some(window) = self.windows.get_mut(key) {
            window.failures = window.failures.saturating_sub(1);
            if window.failures == 0 {
                self.windows.remove(key);
            }
        }
    }

    /// Removes expired entries; if that is not enough, also the half with the fewest failures, so
    /// that the cost is amortized over many additions.
    fn make_room(&mut self, now: Instant) {
        self.windows.retain(|_, window| !window.is_over(now));
        if self.windows.len() > self.capacity / 2 {
            let rank = |window: &Window| (window.failures, window.began);
            let mut ranks: Vec<_> = self.windows.values().map(rank).collect();
            let middle = ranks.len() / 2;
            let (_, median, _) = ranks.select_nth_unstable(middle);
            self.windows.retain(|_, window| rank(window) > *median);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::secret::Fingerprints, *};

    struct Attackers {
        throttle: Throttle,
        prints: Fingerprints,
        now: Instant,
    }

    impl Attackers {
        fn new() -> Self {
            let prints = Fingerprints::new().unwrap();
            Self { throttle: Throttle::new(), prints, now: Instant::now() }
        }

        fn fails(&mut self, from: &str, name: &str) -> Result<(), Duration> {
            let name = self.prints.of(&[name.as_bytes()]);
            self.throttle.charge(network(from), name, self.now)
        }

        fn later(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }
    }

    fn network(text: &str) -> Network {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn ten_failures_block_attempts_until_the_minute_is_over() {
        let mut attackers = Attackers::new();
        for second in 0..10 {
            assert_eq!(attackers.fails("192.0.2.1", "owner"), Ok(()), "{second}");
            attackers.later(1);
        }
        for _ in 0..500 {
            assert_eq!(attackers.fails("192.0.2.1", "owner"), Err(Duration::from_secs(50)));
        }
        assert_eq!(attackers.fails("192.0.2.2", "owner"), Ok(()), "the owner uses another address");
        assert_eq!(
            attackers.fails("192.0.2.1", "other"),
            Ok(()),
            "the address has ten attempts left"
        );
        attackers.later(50);
        assert_eq!(
            attackers.fails("192.0.2.1", "owner"),
            Ok(()),
            "a refused attempt does not count"
        );
    }

    #[test]
    fn an_address_is_limited_across_names() {
        let mut attackers = Attackers::new();
        let accepted =
            (0..500).filter(|n| attackers.fails("192.0.2.1", &n.to_string()).is_ok()).count();
        assert_eq!(accepted, 20);
        assert!(attackers.fails("::ffff:192.0.2.1", "x").is_err(), "the same address, mapped");
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one() {
        let mut attackers = Attackers::new();
        let accepted = (0..500)
            .filter(|n| attackers.fails(&format!("2001:db8::{n:x}"), "owner").is_ok())
            .count();
        assert_eq!(accepted, 10);
        assert_eq!(attackers.fails("2001:db8:0:1::1", "owner"), Ok(()));
    }

    #[test]
    fn a_name_that_fails_everywhere_is_slowed_and_never_locked() {
        let mut attackers = Attackers::new();
        let mut accepted = 0;
        for address in 0..50 {
            for _ in 0..10 {
                accepted +=
                    u32::from(attackers.fails(&format!("192.0.2.{address}"), "owner").is_ok());
            }
        }
        assert_eq!(accepted, 100 + 40, "ten from each of ten, and one from each of the rest");
        assert_eq!(attackers.fails("198.51.100.1", "owner"), Ok(()), "the owner has an attempt");
    }

    #[test]
    fn right_and_unchecked_attempts_are_refunded() {
        let mut attackers = Attackers::new();
        let (from, name) = (network("192.0.2.1"), attackers.prints.of(&[b"owner"]));
        for _ in 0..500 {
            assert_eq!(attackers.fails("192.0.2.1", "owner"), Ok(()));
            attackers.throttle.refund(from, name);
        }
        assert_eq!(attackers.throttle.pairs.windows.len(), 0);
    }

    #[test]
    fn dead_tokens_do_not_count_against_passwords() {
        let mut attackers = Attackers::new();
        let (from, tokens) = (network("192.0.2.1"), attackers.prints.of(&[]));
        let now = attackers.now;
        let accepted =
            (0..500).filter(|_| attackers.throttle.charge_token(from, tokens, now).is_ok()).count();
        assert_eq!(accepted, 10);
        assert_eq!(attackers.fails("192.0.2.1", "owner"), Ok(()));
    }

    #[test]
    fn the_tables_are_bounded_and_keep_the_entries_with_most_failures() {
        let mut attackers = Attackers::new();
        for _ in 0..10 {
            attackers.fails("192.0.2.1", "owner").unwrap();
        }
        for number in 0..100_000_u32 {
            let address = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
            let _ = attackers.fails(&address.to_string(), &number.to_string());
            // Advance the clock, so that no two windows start at the same time.
            attackers.now += Duration::from_micros(1);
        }
        let Throttle { pairs, addresses, names } = &attackers.throttle;
        for len in [pairs.windows.len(), addresses.windows.len(), names.windows.len()] {
            assert!((CAPACITY / 2..=CAPACITY).contains(&len), "{len}");
        }
        assert!(attackers.fails("192.0.2.1", "owner").is_err(), "the entry was forgotten");
    }
}
