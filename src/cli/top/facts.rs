//! States and times as people read them.
//!
//! Input: words and times of the server's documents. Output: signs, kinds and texts. Invariants:
//! each state has a word and a sign, so that it is recognized without colour; an unknown word is
//! shown as it is.

use crate::model::{
    JobState, RepoState,
    state::{COARSE_STATES, Work},
    time::Timestamp,
};

/// What a state means to a person; it decides the colour and the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Failed,
    Running,
    Waiting,
    Done,
}

/// The sign and the kind of the state of a repository.
pub(super) fn of_repository(state: RepoState) -> (char, Kind) {
    match state {
        RepoState::Pending => ('○', Kind::Waiting),
        RepoState::Working(Work::Scanning) => ('◑', Kind::Running),
        RepoState::Working(Work::Analyzing) => ('◕', Kind::Running),
        RepoState::Working(_) => ('◔', Kind::Running),
        RepoState::Completed => ('✓', Kind::Done),
        RepoState::Failed | RepoState::TimedOut => ('✗', Kind::Failed),
        RepoState::Cancelled => ('⊘', Kind::Failed),
    }
}

/// The sign and the kind of the state of a job.
pub(super) fn of_job(word: &str) -> (char, Kind) {
    match word {
        "completed_with_errors" => ('!', Kind::Failed),
        "cancelled" => ('⊘', Kind::Failed),
        _ => match coarse(word) {
            "running" => ('◑', Kind::Running),
            "completed" => ('✓', Kind::Done),
            "failed" => ('✗', Kind::Failed),
            _ => ('○', Kind::Waiting),
        },
    }
}

/// The state as in lists, of a state as in events or in lists; an unknown one counts as pending.
pub(super) fn coarse(word: &str) -> &'static str {
    let listed = COARSE_STATES.into_iter().find(|state| *state == word);
    let exact = JobState::ALL.into_iter().find(|state| state.as_str() == word);
    listed.or_else(|| exact.map(JobState::coarse)).unwrap_or(COARSE_STATES[0])
}

/// Whether a job in this state is finished.
pub(super) fn is_finished(word: &str) -> bool {
    matches!(coarse(word), "completed" | "failed")
}

/// The whole seconds between two times; 0 if the clocks disagree.
pub(super) fn seconds_between(start: Timestamp, end: Timestamp) -> u64 {
    u64::try_from((end - start).num_seconds()).unwrap_or(0)
}

/// A duration in its largest unit: as long as the column of a table.
pub(super) fn short(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A duration in its two largest units.
pub(super) fn long(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_kind() {
        for (word, sign, kind) in [
            ("initializing", '○', Kind::Waiting),
            ("in_progress", '◑', Kind::Running),
            ("running", '◑', Kind::Running),
            ("completed_with_errors", '!', Kind::Failed),
            ("all_failed", '✗', Kind::Failed),
            ("timeout", '✗', Kind::Failed),
            ("completed", '✓', Kind::Done),
            ("\u{1b}[2J", '○', Kind::Waiting),
        ] {
            assert_eq!(of_job(word), (sign, kind), "{word}");
        }
        assert!(is_finished("all_failed") && !is_finished("processing") && !is_finished("?"));
        assert_eq!(of_repository(RepoState::parse("downloading")), ('◔', Kind::Running));
    }

    #[test]
    fn durations_are_rounded_down() {
        assert_eq!(
            (short(59), short(61), short(7_200)),
            ("59 s".into(), "1 min".into(), "2 h".into())
        );
        assert_eq!((short(172_800), long(90_000)), ("2 d".into(), "1 d 1 h".into()));
    }
}
