//! Who else holds an attempt, and whether this agent may begin a later one.
//!
//! Input: what is stored of earlier attempts of a message, and whether their agents live. Output: a decision.
//!
//! Invariants: while an earlier holder may live, nothing begins.

use crate::wire::status::Kind;

/// What is stored of an attempt of another agent, or of an earlier run of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) attempt: u64,
    pub(super) kind: Kind,
    /// Whether its agent may still run it.
    pub(super) may_live: bool,
}

/// Whether an attempt begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Begin,
    /// An earlier holder may live.
    Wait,
    /// An earlier attempt of the same message has a final state.
    Finished,
    /// A later attempt has begun.
    Outdated,
}

/// Decides for an attempt, by the attempts that have begun since `first`, the first one of its message.
pub(super) fn decide(attempt: u64, first: u64, held: &[Held]) -> Decision {
    let of_message = || held.iter().filter(|held| held.attempt >= first && held.attempt != attempt);
    if of_message().any(|held| held.attempt > attempt) {
        Decision::Outdated
    } else if of_message().any(|held| held.kind == Kind::Final) {
        Decision::Finished
    } else if of_message().any(|held| held.may_live) {
        Decision::Wait
    } else {
        Decision::Begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_begins_only_if_no_other_may_live() {
        let held = |attempt, kind, may_live| Held { attempt, kind, may_live };
        let of = |list: &[Held]| decide(5, 4, list);
        assert_eq!(of(&[]), Decision::Begin);
        assert_eq!(of(&[held(4, Kind::Running, true)]), Decision::Wait);
        assert_eq!(of(&[held(4, Kind::Began, true)]), Decision::Wait);
        assert_eq!(of(&[held(4, Kind::Running, false)]), Decision::Begin);
        assert_eq!(of(&[held(4, Kind::Final, false)]), Decision::Finished);
        assert_eq!(
            of(&[held(4, Kind::Final, true), held(6, Kind::Began, true)]),
            Decision::Outdated
        );
        // Attempts of an earlier message have been ended by the server.
        assert_eq!(
            of(&[held(3, Kind::Running, true), held(2, Kind::Final, true)]),
            Decision::Begin
        );
    }
}
