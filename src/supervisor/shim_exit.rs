//! How a shim exited: what the server knows without the files when it determines the outcome of an
//! attempt.
//!
//! Input: the exit code, the orders given, the record that the shim was started with. Output: which
//! of the attempt's files can be trusted.
//!
//! Invariants: what a scanner may write never decides about its own limits, so what the server
//! knows takes precedence over the files.

use crate::model::{
    Failure, FailureKind, RepoState,
    attempt::{AttemptRecord, OrderReason, UnwrittenEnd},
    element::ElementEnd,
};

/// What is known about the processes of an attempt whose shim has exited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcessTree {
    /// The shim exited cleanly: it ended the process tree and wrote the final state.
    Ended,
    /// The shim is dead, and none of its processes is left.
    Swept,
    /// Processes may be left.
    Unknown,
}

/// The exit codes of a shim that claimed no attempt (`shim::Exit`).
const CLAIMED_NOTHING: std::ops::RangeInclusive<i32> = 75..=77;

/// Why the server killed a shim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The scan exceeded its deadline of this many seconds.
    Timeout(u64),
    /// The shim did not obey this order.
    Order(OrderReason),
    /// The attempt was given to another machine and is withdrawn, because of an order or because none can continue it.
    Withdrawn(Option<OrderReason>),
    /// Slurm ended the job of the attempt.
    Slurm(ElementEnd),
}

impl Cause {
    /// The final state of the attempt and its failure; no state if the repository is scanned again.
    pub(super) fn verdict(self) -> (Option<RepoState>, Failure) {
        const HOW: &str = "its shim did not react, so the server killed both";
        match self {
            Self::Timeout(secs) => {
                let detail = format!("Process killed after {secs} seconds timeout; {HOW}");
                (Some(RepoState::TimedOut), Failure::new(FailureKind::Timeout, detail))
            }
            Self::Order(OrderReason::Cancel) => {
                let detail = format!("Cancelled on request; {HOW}");
                (Some(RepoState::Cancelled), Failure::new(FailureKind::Cancelled, detail))
            }
            Self::Order(OrderReason::Stop) => {
                let detail = format!("Stopped together with the server; {HOW}");
                (None, Failure::new(FailureKind::Interrupted, detail))
            }
            Self::Order(OrderReason::Yield) => {
                let detail = format!("Its slot went to another job; {HOW}");
                (None, Failure::new(FailureKind::Interrupted, detail))
            }
            Self::Withdrawn(Some(OrderReason::Cancel)) => (
                Some(RepoState::Cancelled),
                Failure::new(FailureKind::Cancelled, "Cancelled on request"),
            ),
            Self::Withdrawn(_) => {
                let detail = "Withdrawn from the machine that held it; the repository is queued and scanned again";
                (None, Failure::new(FailureKind::Interrupted, detail))
            }
            Self::Slurm(end) => Self::of_slurm(end),
        }
    }

    /// The final state of an attempt whose job Slurm ended.
    fn of_slurm(end: ElementEnd) -> (Option<RepoState>, Failure) {
        let (state, kind, detail) = match end {
            ElementEnd::TimeLimit => (
                Some(RepoState::TimedOut),
                FailureKind::Timeout,
                "Slurm ended the scan at the time limit of its job (TIMEOUT), which is shorter than that of the scan",
            ),
            ElementEnd::OutOfMemory => (
                Some(RepoState::Failed),
                FailureKind::OutOfMemory,
                "Slurm ended the scan because its job used more memory than it was given (OUT_OF_MEMORY)",
            ),
            ElementEnd::Cancelled => (
                Some(RepoState::Cancelled),
                FailureKind::Cancelled,
                "The Slurm job of the scan was cancelled (CANCELLED), and not by this server",
            ),
            ElementEnd::Preempted => (
                None,
                FailureKind::Interrupted,
                "Slurm gave the node to another job (PREEMPTED); the repository is queued and scanned again",
            ),
            ElementEnd::Lost => (
                None,
                FailureKind::Interrupted,
                "The Slurm job of the scan is lost; the repository is queued and scanned again",
            ),
        };
        (state, Failure::new(kind, detail))
    }
}

/// A shim that the server killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Killed {
    pub(super) cause: Cause,
    /// The shim's process; in an uninterruptible system call it may survive SIGKILL.
    pub(super) pid: u32,
    pub(super) attempt: u64,
}

/// How a shim exited.
#[derive(Debug, Clone)]
pub(super) struct ShimExit {
    pub(super) tree: ProcessTree,
    /// How the attempt ended according to the shim's exit code, if the disk refused the final
    /// state.
    pub(super) unwritten_end: Option<UnwrittenEnd>,
    /// Set if this server killed the shim.
    pub(super) killed: Option<Killed>,
    /// The record of the attempt that the shim claimed, as far as this server knows.
    pub(super) known: Option<AttemptRecord>,
    /// Whether this server saw the shim exit, claimed attempt or not.
    pub(super) is_seen: bool,
    /// Whether a `pending` status can be trusted: only a shim or the server can have written it.
    pub(super) pending_is_trusted: bool,
    /// What is known about the death of a shim that reported no cause.
    pub(super) death: Option<String>,
}

impl ShimExit {
    /// A shim that this server waited for has exited.
    pub(super) fn of(
        code: Option<i32>,
        ordered: Option<OrderReason>,
        killed: Option<Killed>,
        known: Option<AttemptRecord>,
    ) -> Self {
        let claimed = !code.is_some_and(|code| CLAIMED_NOTHING.contains(&code));
        let in_order = code == Some(0);
        Self {
            tree: if in_order { ProcessTree::Ended } else { ProcessTree::Unknown },
            unwritten_end: code.and_then(UnwrittenEnd::of_code),
            killed,
            known: known.filter(|_| claimed),
            is_seen: true,
            // The exit code of a shim that another server started is unknown.
            pending_is_trusted: !claimed
                || in_order
                || (ordered == Some(OrderReason::Stop) && killed.is_none()),
            death: None,
        }
    }

    /// The exit code of the shim, as far as the server has to know it.
    #[cfg(feature = "nats")]
    pub(super) fn code(&self) -> Option<i32> {
        match (self.tree, self.unwritten_end) {
            _ if self.killed.is_some() => None,
            (ProcessTree::Ended, _) => Some(0),
            (_, Some(end)) => Some(i32::from(end.code())),
            _ if self.known.is_none() && self.pending_is_trusted && self.is_seen => {
                Some(*CLAIMED_NOTHING.end())
            }
            _ => None,
        }
    }

    /// An attempt that was given to another machine has ended without its word.
    pub(super) fn withdrawn(record: AttemptRecord, reason: Option<OrderReason>) -> Self {
        let killed = Killed { cause: Cause::Withdrawn(reason), pid: 0, attempt: record.attempt };
        Self {
            tree: ProcessTree::Swept,
            unwritten_end: None,
            killed: Some(killed),
            known: Some(record),
            is_seen: true,
            pending_is_trusted: true,
            death: None,
        }
    }

    /// Slurm has ended the job of an attempt, and the server knows why; `death` describes it if the attempt counts as a death.
    pub(super) fn of_element(record: AttemptRecord, cause: Cause, death: Option<String>) -> Self {
        let killed = Killed { cause, pid: 0, attempt: record.attempt };
        Self {
            tree: ProcessTree::Swept,
            unwritten_end: None,
            killed: death.is_none().then_some(killed),
            known: Some(record),
            is_seen: true,
            // The shim may have written that it was interrupted, without knowing by whom.
            pending_is_trusted: false,
            death,
        }
    }

    /// Nothing is known beyond the files: the attempt was found at start, or never began.
    pub(super) fn unknown(tree: ProcessTree) -> Self {
        Self {
            tree,
            unwritten_end: None,
            killed: None,
            known: None,
            is_seen: false,
            pending_is_trusted: true,
            death: None,
        }
    }
}

/// The final state of an attempt that its shim could not write; `None` if the attempt has none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    /// `None` if the repository is to be scanned again.
    pub(super) state: Option<RepoState>,
    pub(super) failure: Option<Failure>,
}

impl ShimExit {
    /// The state to write in place of the shim; `None` if the shim died without reporting a cause.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        if let Some(killed) = self.killed {
            let (state, failure) = killed.cause.verdict();
            return Some(Verdict { state, failure: Some(failure) });
        }
        let kind = match self.unwritten_end? {
            UnwrittenEnd::Completed => {
                return Some(Verdict { state: Some(RepoState::Completed), failure: None });
            }
            UnwrittenEnd::Failed(kind) => kind,
        };
        let state = match kind {
            FailureKind::Interrupted => None,
            FailureKind::Timeout => Some(RepoState::TimedOut),
            FailureKind::Cancelled => Some(RepoState::Cancelled),
            _ => Some(RepoState::Failed),
        };
        let detail = format!(
            "The scan ended as `{}`, but its shim could not write the details because the disk \
             of the jobs folder refused the write; check its free space and its errors",
            kind.as_str()
        );
        Some(Verdict { state, failure: Some(Failure::new(kind, detail)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_decide_if_the_shim_claimed_no_attempt() {
        let record = AttemptRecord {
            schema: 1,
            attempt: 2,
            interruptions: 1,
            retries: 0,
            alone: false,
            started_at: chrono::Utc::now(),
            remote: None,
        };
        let of = |code, ordered| ShimExit::of(code, ordered, None, Some(record.clone()));
        for code in [75, 76, 77] {
            let ended = of(Some(code), None);
            assert!(ended.known.is_none() && ended.pending_is_trusted, "{code}");
        }
        let clean = of(Some(0), None);
        assert!(
            clean.known.is_some() && clean.pending_is_trusted && clean.tree == ProcessTree::Ended
        );
        let dead = of(None, None);
        assert!(
            dead.known.is_some() && !dead.pending_is_trusted && dead.tree == ProcessTree::Unknown
        );
        assert!(of(None, Some(OrderReason::Stop)).pending_is_trusted);
        assert!(!of(None, Some(OrderReason::Cancel)).pending_is_trusted);
    }

    #[test]
    fn what_was_killed_has_its_reason() {
        let of = |cause: Cause| {
            let (state, failure) = cause.verdict();
            (state, failure.kind)
        };
        assert_eq!(of(Cause::Timeout(7)), (Some(RepoState::TimedOut), FailureKind::Timeout));
        let cancel = Cause::Order(OrderReason::Cancel);
        assert_eq!(of(cancel), (Some(RepoState::Cancelled), FailureKind::Cancelled));
        assert_eq!(of(Cause::Order(OrderReason::Stop)), (None, FailureKind::Interrupted));
    }
}
