//! The lease of an attempt: whether it still belongs to this agent.
//!
//! Input: when NATS confirmed a sign of life, whether the agent is connected, and the time. Output: whether the lease is
//! held.
//!
//! Invariants: all times are of one clock that nobody can set and that runs while the machine sleeps; while NATS itself
//! is away, no lease ends, because NATS delivers nothing to others.

use std::time::Duration;

/// The lease of one attempt.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    ack_wait: Duration,
    /// When the last sign of life that NATS confirmed was sent.
    confirmed: Duration,
    /// Since when the agent is connected.
    connected: Option<Duration>,
    /// When this was checked last.
    checked: Duration,
}

/// Why a lease has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// This process did not run for so long: it or the machine was stopped.
    Stopped(Duration),
    /// NATS was connected and has confirmed nothing for so long.
    Unconfirmed(Duration),
}

impl Lease {
    /// A lease that begins with a delivery that was received now.
    pub(super) fn new(now: Duration, ack_wait: Duration) -> Self {
        Self { ack_wait, confirmed: now, connected: Some(now), checked: now }
    }

    /// A lease of an earlier run of the agent, with its last confirmation.
    pub(super) fn resumed(now: Duration, confirmed: Duration, ack_wait: Duration) -> Self {
        Self { confirmed, ..Self::new(now, ack_wait) }
    }

    /// NATS has confirmed a sign of life that was sent then.
    pub(super) fn confirm(&mut self, sent: Duration) {
        self.confirmed = self.confirmed.max(sent);
    }

    /// When the last confirmed sign of life was sent.
    pub(super) fn confirmed(&self) -> Duration {
        self.confirmed
    }

    /// Checks the lease.
    ///
    /// # Errors
    /// If it has ended.
    pub(super) fn check(&mut self, now: Duration, is_connected: bool) -> Result<(), Lost> {
        let unseen = now.saturating_sub(self.checked);
        self.checked = now;
        if unseen >= self.ack_wait {
            return Err(Lost::Stopped(unseen));
        }
        let Some(since) = self.connected.filter(|_| is_connected) else {
            self.connected = is_connected.then_some(now);
            return Ok(());
        };
        let silent = now.saturating_sub(self.confirmed.max(since));
        if silent > self.ack_wait { Err(Lost::Unconfirmed(silent)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(30);

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(1000.0 + seconds)
    }

    /// Checks a lease ten times a second, in this span.
    fn checked(lease: &mut Lease, from: f64, to: f64, connected: bool) -> Option<(f64, Lost)> {
        let mut time = from;
        while time < to {
            if let Err(lost) = lease.check(at(time), connected) {
                return Some((time, lost));
            }
            time += 0.1;
        }
        None
    }

    #[test]
    fn a_lease_ends_when_nats_confirms_nothing() {
        let mut lease = Lease::new(at(0.0), WAIT);
        let (time, lost) = checked(&mut lease, 0.1, 100.0, true).unwrap();
        assert!((30.0..30.3).contains(&time) && matches!(lost, Lost::Unconfirmed(_)), "{time}");
        let mut lease = Lease::new(at(0.0), WAIT);
        assert!(checked(&mut lease, 0.1, 20.0, true).is_none());
        lease.confirm(at(19.0));
        // An answer that arrives late changes nothing.
        lease.confirm(at(5.0));
        let (time, _) = checked(&mut lease, 20.0, 100.0, true).unwrap();
        assert!((49.0..49.3).contains(&time), "{time}");
    }

    #[test]
    fn a_lease_outlasts_an_outage_of_nats() {
        let mut lease = Lease::new(at(0.0), WAIT);
        assert!(checked(&mut lease, 0.1, 3600.0, false).is_none());
        assert!(checked(&mut lease, 3600.0, 3629.0, true).is_none());
        lease.confirm(at(3628.0));
        assert!(checked(&mut lease, 3629.0, 3650.0, true).is_none());
    }

    #[test]
    fn a_process_that_was_stopped_has_lost_its_lease() {
        for connected in [true, false] {
            let mut lease = Lease::new(at(0.0), WAIT);
            assert!(checked(&mut lease, 0.1, 5.0, connected).is_none());
            lease.confirm(at(4.9));
            assert!(matches!(lease.check(at(36.0), connected), Err(Lost::Stopped(_))));
        }
        // A shorter pause is none.
        let mut lease = Lease::new(at(0.0), WAIT);
        assert!(lease.check(at(20.0), true).is_ok());
    }
}
