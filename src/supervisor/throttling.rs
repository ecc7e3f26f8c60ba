//! Hosts that throttle: how many scans may contact each of them at once. Pure code, without clock.
//!
//! Input: scans that a host refused because of its rate limit, and scans that it served, with their
//! times. Output: the limit of the host, and until when it is not contacted at all.
//!
//! Invariants: a refusal halves the number of scans at this host, once for all scans that ran at that
//! time; as many served scans as the limit raise it by one (additive increase, multiplicative
//! decrease), until it reaches the ceiling and the host is forgotten. No request of a host is obeyed
//! for longer than [`LONGEST_PAUSE`]; at most [`MOST_HOSTS`] hosts are remembered.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// The name of a host, with its port if that is not the usual one.
pub(super) type Host = Arc<str>;

/// The longest pause that a host may request.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// The pause after a refusal that requests none; doubled with each refusal in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_OWN_PAUSE: Duration = Duration::from_mins(1);
/// How many hosts are remembered.
const MOST_HOSTS: usize = 256;
/// After this time without a scan, a host is forgotten.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// The hosts that throttle.
#[derive(Debug, Default)]
pub(super) struct Throttling {
    hosts: BTreeMap<Host, Limit>,
}

/// The limit of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limit {
    /// How many scans may contact it at once.
    pub(super) scans: usize,
    /// It is not contacted before this time.
    pub(super) not_before: Duration,
    /// The last time that the limit was lowered: scans that began before do not lower it again.
    lowered: Duration,
    /// How many scans it has served since the limit was changed.
    served: usize,
    /// Refusals without a scan in between that it served.
    in_a_row: u32,
    seen: Duration,
}

impl Throttling {
    /// A host has refused a scan that began at `began`, while `running` scans contacted it.
    pub(super) fn refused(
        &mut self,
        host: &Host,
        (now, began): (Duration, Duration),
        requested: Option<Duration>,
        running: usize,
    ) -> &Limit {
        if !self.hosts.contains_key(host) {
            self.make_room(now);
        }
        let is_new = !self.hosts.contains_key(host);
        let limit = self.hosts.entry(Arc::clone(host)).or_insert_with(|| Limit {
            scans: running.max(1),
            not_before: Duration::ZERO,
            lowered: Duration::ZERO,
            served: 0,
            in_a_row: 0,
            seen: now,
        });
        limit.seen = now;
        if is_new || began >= limit.lowered {
            limit.scans = (limit.scans.min(running.max(1)) / 2).max(1);
            limit.lowered = now;
            limit.served = 0;
            limit.in_a_row += 1;
        }
        let doublings = limit.in_a_row.saturating_sub(1).min(16);
        let own = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_OWN_PAUSE);
        let pause = requested.map_or(own, |requested| requested.min(LONGEST_PAUSE));
        limit.not_before = limit.not_before.max(now + pause);
        limit
    }

    /// A host has served a scan that began at `began`. Returns whether its limit has changed.
    pub(super) fn served(
        &mut self,
        host: &Host,
        (now, began): (Duration, Duration),
        ceiling: usize,
    ) -> bool {
        let Some(limit) = self.hosts.get_mut(host) else { return false };
        limit.seen = now;
        if began < limit.lowered {
            return false;
        }
        limit.in_a_row = 0;
        limit.served += 1;
        if limit.served < limit.scans {
            return false;
        }
        limit.served = 0;
        limit.scans += 1;
        if limit.scans >= ceiling {
            self.hosts.remove(host);
        }
        true
    }

    /// How many scans may contact this host at once now; `None` if there is no limit.
    pub(super) fn scans_at(&self, host: &Host, now: Duration) -> Option<usize> {
        let limit = self.hosts.get(host)?;
        Some(if limit.not_before > now { 0 } else { limit.scans })
    }

    /// Forgets hosts that have not been contacted for long. Returns them.
    pub(super) fn forget(&mut self, now: Duration) -> Vec<Host> {
        let is_old =
            |limit: &Limit| now.saturating_sub(limit.seen.max(limit.not_before)) >= FORGOTTEN;
        let old: Vec<Host> = self
            .hosts
            .iter()
            .filter(|(_, limit)| is_old(limit))
            .map(|(host, _)| Arc::clone(host))
            .collect();
        self.hosts.retain(|_, limit| !is_old(limit));
        old
    }

    /// The limits, by host.
    pub(super) fn limits(&self) -> impl ExactSizeIterator<Item = (&Host, &Limit)> {
        self.hosts.iter()
    }

    /// Makes room for another host: the one that was contacted least recently is forgotten.
    fn make_room(&mut self, now: Duration) {
        if self.hosts.len() < MOST_HOSTS {
            return;
        }
        let oldest = self.hosts.iter().min_by_key(|(_, limit)| limit.seen.min(now));
        if let Some(host) = oldest.map(|(host, _)| Arc::clone(host)) {
            self.hosts.remove(&host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn host(name: &str) -> Host {
        name.into()
    }

    /// Fails if a burst of refusals lowers the limit once for each scan of the burst, or if the limit
    /// is not raised step by step and given up in the end.
    #[test]
    fn a_burst_halves_the_limit_once_and_served_scans_raise_it() {
        let (mut hosts, name) = (Throttling::default(), host("h"));
        for _ in 0..8 {
            let limit = hosts.refused(&name, (secs(10), secs(9)), Some(secs(30)), 8);
            assert_eq!((limit.scans, limit.not_before), (4, secs(40)));
        }
        assert_eq!(hosts.scans_at(&name, secs(39)), Some(0));
        assert_eq!(hosts.scans_at(&name, secs(40)), Some(4));
        // A scan that began before the refusals shows nothing.
        for _ in 0..9 {
            assert!(!hosts.served(&name, (secs(41), secs(9)), 8));
        }
        let mut scans = Vec::new();
        for _ in 0..22 {
            if hosts.served(&name, (secs(50), secs(45)), 8) {
                scans.push(hosts.scans_at(&name, secs(50)));
            }
        }
        assert_eq!(scans, [Some(5), Some(6), Some(7), None]);
        assert!(!hosts.served(&name, (secs(51), secs(45)), 8));
        assert_eq!(hosts.scans_at(&host("other"), secs(51)), None);
    }

    /// Fails if a host that requests no pause is contacted in a tight loop, or one that requests days
    /// is given up.
    #[test]
    fn pauses_grow_and_are_bounded() {
        let (mut hosts, name) = (Throttling::default(), host("h"));
        let mut pauses = Vec::new();
        let mut now = secs(0);
        for _ in 0..7 {
            now += secs(100);
            let limit = hosts.refused(&name, (now, now), None, 1);
            pauses.push(limit.not_before.as_secs() - now.as_secs());
            assert_eq!(limit.scans, 1, "never none");
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60]);
        let limit = hosts.refused(&name, (now, now), Some(Duration::MAX), 1);
        assert_eq!(limit.not_before, now + LONGEST_PAUSE);
    }

    /// Fails if hosts are remembered without bound.
    #[test]
    fn few_hosts_are_remembered_and_not_for_ever() {
        let mut hosts = Throttling::default();
        for number in 0..2 * MOST_HOSTS as u64 {
            hosts.refused(&host(&format!("h{number}")), (secs(number), secs(number)), None, 2);
        }
        assert_eq!(hosts.limits().len(), MOST_HOSTS);
        assert_eq!(hosts.scans_at(&host("h0"), secs(0)), None, "the oldest goes");
        assert!(hosts.forget(secs(600)).is_empty());
        assert_eq!(hosts.forget(secs(600) + FORGOTTEN).len(), MOST_HOSTS);
        assert_eq!(hosts.limits().len(), 0);
    }
}
