//! How the wait for a shim ended: what the server knows by itself when it finds out what became of
//! an attempt.
//!
//! Input: the exit code, the orders given, the record that the shim was started with. Output: what
//! of the files of the attempt can be believed. Invariant: what a scanner may write decides
//! nothing about its own limits, so what the server knows comes before what a file says.

use super::overdue::Killed;
use crate::model::{
    Failure, FailureKind, RepoState,
    attempt::{AttemptRecord, OrderReason, Unsettled},
};

/// What is known of the processes of an attempt whose shim is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tree {
    /// The shim ended in order: it has seen to them, and to what stands in the files.
    Ended,
    /// The shim is dead, and none of them is left.
    Swept,
    /// Some may be left.
    Unknown,
}

/// The exit codes of a shim that has claimed nothing (`shim::Exit`).
const CLAIMED_NOTHING: std::ops::RangeInclusive<i32> = 75..=77;

/// How the wait for a shim ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) tree: Tree,
    /// If the disk refused the final state: how the attempt ended, by the exit code of its shim.
    pub(super) unsettled: Option<Unsettled>,
    /// If this server has killed it.
    pub(super) killed: Option<Killed>,
    /// The record of the attempt that the shim has claimed, as far as this server knows.
    pub(super) known: Option<AttemptRecord>,
    /// Whether this server has seen the shim end, whether or not it had claimed an attempt.
    pub(super) is_seen: bool,
    /// Whether a status that says that the repository waits was written by shim or server.
    pub(super) waiting_is_true: bool,
}

impl Ended {
    /// A shim that this server has waited for is gone.
    pub(super) fn of(
        code: Option<i32>,
        ordered: Option<OrderReason>,
        killed: Option<Killed>,
        known: Option<AttemptRecord>,
    ) -> Self {
        let claimed = !code.is_some_and(|it| CLAIMED_NOTHING.contains(&it));
        let in_order = code == Some(0);
        Self {
            tree: if in_order { Tree::Ended } else { Tree::Unknown },
            unsettled: code.and_then(Unsettled::of_code),
            killed,
            known: known.filter(|_| claimed),
            is_seen: true,
            // Of one that another server started there is no code.
            waiting_is_true: !claimed
                || in_order
                || (ordered == Some(OrderReason::Stop) && killed.is_none()),
        }
    }

    /// Nothing is known but what the disk says: of an attempt that is found, or that never began.
    pub(super) fn unknown(tree: Tree) -> Self {
        Self {
            tree,
            unsettled: None,
            killed: None,
            known: None,
            is_seen: false,
            waiting_is_true: true,
        }
    }
}

/// The final state of an attempt that its shim could not write; `None` where the attempt has none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    /// `None` if the repository is to be scanned again.
    pub(super) state: Option<RepoState>,
    pub(super) failure: Option<Failure>,
}

impl Ended {
    /// What is to be written in the shim's place; `None` if it died without a word.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        if let Some(killed) = self.killed {
            let (state, failure) = killed.cause.verdict();
            return Some(Verdict { state, failure: Some(failure) });
        }
        let kind = match self.unsettled? {
            Unsettled::Completed => {
                return Some(Verdict { state: Some(RepoState::Completed), failure: None });
            }
            Unsettled::Failed(kind) => kind,
        };
        let state = match kind {
            FailureKind::Interrupted => None,
            FailureKind::Timeout => Some(RepoState::TimedOut),
            FailureKind::Cancelled => Some(RepoState::Cancelled),
            _ => Some(RepoState::Failed),
        };
        let detail = format!(
            "The scan ended as `{}`; its shim could not write more of it, for the disk of the jobs \
             folder refused that",
            kind.as_str()
        );
        Some(Verdict { state, failure: Some(Failure::new(kind, detail)) })
    }
}

#[cfg(test)]
mod tests;
