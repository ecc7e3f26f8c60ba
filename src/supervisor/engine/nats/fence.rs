//! Which reports about a repository count: the rules of the fence, as pure code.
//!
//! Input: the headers of reports, in the order in which they are received. Output: whether each counts.
//!
//! Invariants: the attempt with the highest number that has begun counts, and no report of an earlier one; of two agents
//! that claim the same attempt, the first one counts; after a final state nothing counts.

use crate::wire::{
    names::AgentName,
    status::{Kind, StatusHeader},
};

/// The fence of one repository.
#[derive(Debug, Clone)]
pub(super) struct Fence {
    /// Earlier attempts belong to messages that were withdrawn.
    first: u64,
    /// The last attempt that has begun.
    holder: Option<Holder>,
    is_final: bool,
}

/// An attempt that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) agent: AgentName,
    pub(super) attempt: u64,
    sequence: u64,
}

/// What becomes of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Counts,
    /// It was received before, or an older state of the same attempt.
    Known,
    /// The attempt no longer counts: it is to be ended.
    Outdated,
}

impl Fence {
    /// A fence that admits attempts from `first` on.
    pub(super) fn new(first: u64) -> Self {
        Self { first, holder: None, is_final: false }
    }

    /// The attempt that counts, if one has begun.
    pub(super) fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }

    /// Whether an agent may act for this attempt.
    pub(super) fn may_act(&self, agent: &AgentName, attempt: u64) -> bool {
        let newest = self.holder.as_ref().is_none_or(|holder| {
            attempt > holder.attempt || attempt == holder.attempt && *agent == holder.agent
        });
        attempt >= self.first && newest && !self.is_final
    }

    /// Takes in a report.
    pub(super) fn admit(&mut self, header: &StatusHeader) -> Admission {
        let StatusHeader { agent, attempt, sequence, kind, .. } = header;
        let holds = |holder: &&Holder| holder.agent == *agent && holder.attempt == *attempt;
        if let Some(holder) = self.holder.as_ref().filter(holds) {
            if self.is_final || (*sequence <= holder.sequence && *kind != Kind::Final) {
                return Admission::Known;
            }
        } else if !self.may_act(agent, *attempt) {
            return Admission::Outdated;
        }
        self.is_final = *kind == Kind::Final;
        self.holder = Some(Holder { agent: agent.clone(), attempt: *attempt, sequence: *sequence });
        Admission::Counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(agent: &str, attempt: u64, sequence: u64, kind: Kind) -> StatusHeader {
        let header = StatusHeader::began(agent.parse().unwrap(), attempt, 1);
        StatusHeader { sequence, kind, ..header }
    }

    #[test]
    fn the_newest_attempt_that_has_begun_counts() {
        use Admission::{Counts, Known, Outdated};
        let mut fence = Fence::new(3);
        for (agent, attempt, sequence, kind, expected) in [
            // Of a message that was withdrawn.
            ("a", 2, 0, Kind::Final, Outdated),
            ("a", 3, 0, Kind::Began, Counts),
            ("a", 3, 1, Kind::Running, Counts),
            ("a", 3, 1, Kind::Running, Known),
            ("a", 3, 0, Kind::Began, Known),
            // The same attempt of another agent.
            ("b", 3, 9, Kind::Final, Outdated),
            // A redelivery.
            ("b", 4, 0, Kind::Began, Counts),
            ("a", 3, 2, Kind::Running, Outdated),
            ("a", 3, 3, Kind::Final, Outdated),
            ("b", 4, 1, Kind::Final, Counts),
            ("b", 4, 1, Kind::Final, Known),
            ("c", 5, 0, Kind::Began, Outdated),
        ] {
            let found = fence.admit(&report(agent, attempt, sequence, kind));
            assert_eq!(found, expected, "{agent} {attempt} {sequence} {kind:?}");
        }
    }

    #[test]
    fn only_the_holder_or_a_newer_attempt_may_act() {
        let mut fence = Fence::new(2);
        let (a, b): (AgentName, AgentName) = ("a".parse().unwrap(), "b".parse().unwrap());
        assert!(fence.may_act(&a, 2) && !fence.may_act(&a, 1));
        fence.admit(&report("a", 2, 0, Kind::Began));
        assert!(fence.may_act(&a, 2) && !fence.may_act(&b, 2) && fence.may_act(&b, 3));
        fence.admit(&report("a", 2, 1, Kind::Final));
        assert!(!fence.may_act(&a, 2) && !fence.may_act(&b, 3));
    }
}
