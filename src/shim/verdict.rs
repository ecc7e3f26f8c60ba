//! The scanner protocol as pure rules: derives the final state from how a scanner's run ended.
//!
//! Input: how the run ended, and the content of the status file. Output: the state to write, or
//! that the written state is kept. Invariants: within one attempt a final state is kept, with the
//! one exception that the protocol makes (`completed`, and then an exit code other than 0).

use crate::{
    model::{Failure, FailureKind, RepoState, attempt::OrderReason},
    sys::ChildEnd,
};

/// Why a scanner's run ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RunEnd {
    NotStarted(Failure),
    Ended(ChildEnd),
    /// Killed because memory ran out; `detail` names the evidence.
    OutOfMemory {
        end: ChildEnd,
        detail: String,
    },
    /// Stopped by a limit that the built-in scanner sets for itself; `detail` names it.
    Limited {
        end: ChildEnd,
        detail: String,
    },
    /// The scanner failed, and the disk is full; `detail` says so.
    DiskFull {
        code: i32,
        detail: String,
    },
    TimedOut,
    Stalled,
    Ordered(OrderReason),
    /// A signal of Slurm asked for the end; the server finds out why.
    Terminated,
    /// The server has ended the attempt: nothing is written any more.
    Fenced,
}

/// The content of the status file after the scanner's exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// Only what the shim wrote itself.
    Nothing,
    /// A state that the scanner wrote.
    State(RepoState),
    /// Not a valid status.
    Unreadable,
}

/// What to do with the status file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// Keep the scanner's own final state.
    Stands,
    /// The scanner succeeded without ever writing a status: completed.
    CompletedWithoutStatus,
    /// Write this state with this failure.
    Ends(RepoState, Failure),
    /// Not final: the repository is scanned again.
    Interrupted(Failure),
}

/// Derives the verdict. `result` is the problem of the result file, if it has one.
pub(super) fn judge(
    ending: &RunEnd,
    written: Written,
    result: Option<&str>,
    limits: (u64, u64),
) -> Verdict {
    let (timeout_secs, stall_timeout_secs) = limits;
    let last = match written {
        Written::State(state) if state.is_final() => Some(state),
        _ => None,
    };
    let failed =
        |kind, detail: String| Verdict::Ends(RepoState::Failed, Failure::new(kind, detail));
    match (ending, last) {
        (RunEnd::Ended(ChildEnd::Exited(0)), Some(RepoState::Completed)) => match result {
            None => Verdict::Stands,
            Some(wrong) => failed(FailureKind::Protocol, format!("The result file {wrong}")),
        },
        (RunEnd::Ended(ChildEnd::Exited(code)), Some(RepoState::Completed)) => exited(*code),
        // The scanner was finished before it was stopped, or chose its final state when it was.
        (_, Some(_)) => Verdict::Stands,
        (RunEnd::NotStarted(failure), None) => Verdict::Ends(RepoState::Failed, failure.clone()),
        (RunEnd::Ended(ChildEnd::Exited(0)), None) => match (written, result) {
            (Written::Nothing, None) => Verdict::CompletedWithoutStatus,
            (Written::Nothing, Some(wrong)) => {
                failed(FailureKind::Protocol, format!("The result file {wrong}"))
            }
            (Written::Unreadable, _) => failed(
                FailureKind::Protocol,
                "The scanner exited with code 0, but its status file is not valid JSON".to_owned(),
            ),
            (Written::State(state), _) => failed(
                FailureKind::Protocol,
                format!("The scanner exited with code 0 while its status was `{state}`"),
            ),
        },
        (RunEnd::Ended(ChildEnd::Exited(code)), None) => exited(*code),
        (RunEnd::Ended(ChildEnd::Signalled(signal)), None) => {
            let detail = format!("Process killed by signal {signal}{}", signal_name(*signal));
            let failure =
                Failure { signal: Some(*signal), ..Failure::new(FailureKind::Signal, detail) };
            Verdict::Ends(RepoState::Failed, failure)
        }
        (RunEnd::OutOfMemory { end, detail }, None) => {
            let failure = Failure::new(FailureKind::OutOfMemory, detail.clone());
            Verdict::Ends(RepoState::Failed, Failure { signal: signal_of(*end), ..failure })
        }
        (RunEnd::Limited { end, detail }, None) => {
            let failure = Failure::new(FailureKind::Limit, detail.clone());
            Verdict::Ends(RepoState::Failed, Failure { signal: signal_of(*end), ..failure })
        }
        (RunEnd::DiskFull { code, detail }, None) => {
            let failure = Failure::new(FailureKind::Exit, detail.clone());
            Verdict::Ends(RepoState::Failed, Failure { exit_code: Some(*code), ..failure })
        }
        (RunEnd::TimedOut, None) => {
            let detail = format!("Process killed after {timeout_secs} seconds timeout");
            Verdict::Ends(RepoState::TimedOut, Failure::new(FailureKind::Timeout, detail))
        }
        (RunEnd::Stalled, None) => failed(
            FailureKind::Stalled,
            format!("Process killed after {stall_timeout_secs} seconds without a heartbeat"),
        ),
        (RunEnd::Ordered(OrderReason::Cancel), None) => {
            let failure = Failure::new(FailureKind::Cancelled, "Cancelled on request");
            Verdict::Ends(RepoState::Cancelled, failure)
        }
        (RunEnd::Ordered(OrderReason::Stop), None) => Verdict::Interrupted(Failure::new(
            FailureKind::Interrupted,
            "Stopped together with the server; the next server start scans the repository again",
        )),
        (RunEnd::Ordered(OrderReason::Yield), None) => Verdict::Interrupted(Failure::new(
            FailureKind::Interrupted,
            "Its slot went to another job; the repository is queued and scanned again",
        )),
        (RunEnd::Terminated | RunEnd::Fenced, None) => Verdict::Interrupted(Failure::new(
            FailureKind::Interrupted,
            "Slurm ended the job of this scan",
        )),
    }
}

fn signal_of(end: ChildEnd) -> Option<i32> {
    match end {
        ChildEnd::Signalled(signal) => Some(signal),
        ChildEnd::Exited(_) => None,
    }
}

fn exited(code: i32) -> Verdict {
    let detail = format!("Process exited with code {code}");
    let failure = Failure { exit_code: Some(code), ..Failure::new(FailureKind::Exit, detail) };
    Verdict::Ends(RepoState::Failed, failure)
}

/// The name of a signal in parentheses; empty if the signal has none.
fn signal_name(signal: i32) -> String {
    match signal_hook::low_level::signal_name(signal) {
        Some(name) => format!(" ({name})"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::state::Work;

    const SCANNING: Written = Written::State(RepoState::Working(Work::Scanning));

    #[track_caller]
    fn check(ending: &RunEnd, written: Written, expected: &str) {
        let verdict = judge(ending, written, None, (3600, 120));
        let text = match verdict {
            Verdict::Stands => "stands".to_owned(),
            Verdict::CompletedWithoutStatus => "completed".to_owned(),
            Verdict::Interrupted(failure) => format!("interrupted {}", failure.kind.as_str()),
            Verdict::Ends(state, failure) => {
                format!("{state} {} {}", failure.kind.as_str(), failure.detail)
            }
        };
        assert!(text.starts_with(expected), "{ending:?} {written:?}: {text}");
    }

    #[test]
    fn each_exit_gets_its_cause() {
        let exited = |code| RunEnd::Ended(ChildEnd::Exited(code));
        let completed = Written::State(RepoState::Completed);
        let failed = Written::State(RepoState::Failed);
        let kill = || RunEnd::Ended(ChildEnd::Signalled(9));
        check(&exited(0), Written::Nothing, "completed");
        check(&exited(0), completed, "stands");
        check(&exited(0), failed, "stands");
        check(&exited(0), SCANNING, "failed protocol");
        check(&exited(0), Written::Unreadable, "failed protocol");
        check(&exited(3), SCANNING, "failed exit Process exited with code 3");
        check(&exited(3), Written::Nothing, "failed exit");
        check(&exited(3), failed, "stands");
        check(&exited(3), completed, "failed exit");
        check(&kill(), SCANNING, "failed signal Process killed by signal 9 (SIGKILL)");
        check(&kill(), completed, "stands");
        check(
            &RunEnd::TimedOut,
            SCANNING,
            "timeout timeout Process killed after 3600 seconds timeout",
        );
        check(&RunEnd::TimedOut, completed, "stands");
        let detail = || "as it was".to_owned();
        let starved = RunEnd::OutOfMemory { end: ChildEnd::Signalled(9), detail: detail() };
        check(&starved, SCANNING, "failed out_of_memory as it was");
        check(&starved, completed, "stands");
        let limited = RunEnd::Limited { end: ChildEnd::Signalled(24), detail: detail() };
        check(&limited, SCANNING, "failed limit as it was");
        check(&limited, failed, "stands");
        check(&RunEnd::Stalled, SCANNING, "failed stalled");
        check(&RunEnd::Ordered(OrderReason::Cancel), SCANNING, "cancelled cancelled");
        check(&RunEnd::Ordered(OrderReason::Cancel), completed, "stands");
        check(&RunEnd::Ordered(OrderReason::Stop), SCANNING, "interrupted interrupted");
        check(&RunEnd::Ordered(OrderReason::Stop), failed, "stands");
        check(&RunEnd::Ordered(OrderReason::Yield), SCANNING, "interrupted interrupted");
        check(&RunEnd::Ordered(OrderReason::Yield), completed, "stands");
    }

    #[test]
    fn a_broken_result_file_breaks_the_protocol() {
        for written in [Written::Nothing, Written::State(RepoState::Completed)] {
            let ending = RunEnd::Ended(ChildEnd::Exited(0));
            let verdict = judge(&ending, written, Some("is not valid JSON"), (1, 1));
            assert!(matches!(
                verdict,
                Verdict::Ends(RepoState::Failed, Failure { kind: FailureKind::Protocol, .. })
            ));
        }
    }
}
