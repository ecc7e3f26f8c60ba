//! Which failures are tried again, how often, and after which pause.
//!
//! Input: how an attempt ended, and how often its repository was tried again before. What
//! flows out: the next try, or none. Invariants: nobody is tried again who did not ask
//! for it; a cause that cannot pass is never tried again; pauses grow.

use super::{Failure, FailureKind, RepoState, repository::RepositoryStatus};
use serde_json::Value;
use std::time::Duration;

/// The most retries that can be asked for.
pub const MAX_RETRIES: u64 = 10;
/// The longest pause is so many times the first.
const MAX_FACTOR: u32 = 32;
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// So many characters of the last failure are repeated while its repository waits.
const SHOWN: usize = 300;

/// The causes that may pass, in the order of their words.
pub const MAY_PASS: [FailureKind; 7] = [
    FailureKind::Clone,
    FailureKind::Exit,
    FailureKind::OutOfMemory,
    FailureKind::Signal,
    FailureKind::Spawn,
    FailureKind::Stalled,
    FailureKind::Timeout,
];

/// Why an attempt failed, if another one may end better.
///
/// A scanner that knows that its failure stays calls it permanent; one that gives no cause has
/// given up, like one that exits.
pub fn may_pass(state: RepoState, failure: Option<&Failure>) -> Option<FailureKind> {
    let unnamed = match state {
        RepoState::Failed => FailureKind::Exit,
        RepoState::TimedOut => FailureKind::Timeout,
        RepoState::Pending
        | RepoState::Working(_)
        | RepoState::Completed
        | RepoState::Cancelled => return None,
    };
    let (kind, permanent) = failure.map_or((unnamed, false), |it| (it.kind, it.permanent));
    match kind {
        FailureKind::Spawn
        | FailureKind::Exit
        | FailureKind::Signal
        | FailureKind::OutOfMemory
        | FailureKind::Timeout
        | FailureKind::Stalled
        | FailureKind::Clone => (!permanent).then_some(kind),
        // Somebody or something decided it, or it is counted elsewhere.
        FailureKind::Refused
        | FailureKind::Limit
        | FailureKind::Protocol
        | FailureKind::Cancelled
        | FailureKind::Interrupted => None,
    }
}

/// How often the repositories of a job are tried again, and how soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    most: u64,
    first_pause: Duration,
}

impl Retries {
    /// Nothing is tried again.
    pub const NONE: Self = Self { most: 0, first_pause: Duration::ZERO };

    /// At most so often, the first time after this pause.
    pub fn new(most: u64, first_pause: Duration) -> Self {
        Self { most: most.min(MAX_RETRIES), first_pause }
    }

    /// The retry that follows an attempt which was retry number `used` (0 is the first try), if
    /// one follows.
    pub fn after(&self, used: u64, status: &RepositoryStatus) -> Option<Retry> {
        let cause = may_pass(status.state, status.failure.as_ref())?;
        if used >= self.most {
            return None;
        }
        let number = used + 1;
        let failure = status.failure.clone().unwrap_or_else(|| {
            let detail = status.error.as_deref().unwrap_or("The scanner gave no cause");
            Failure::new(cause, detail)
        });
        let pause = self.pause(number);
        let shown: String = failure.detail.chars().take(SHOWN).collect();
        let message = format!(
            "Attempt {} of {} begins in {} s (last: {}: {shown})",
            number + 1,
            self.most + 1,
            pause.as_secs(),
            cause.as_str(),
        );
        Some(Retry { cause, number, pause, failure, message })
    }

    /// The pause before this retry: the first one, doubled with each try.
    pub fn pause(&self, number: u64) -> Duration {
        let doublings = u32::try_from(number.saturating_sub(1)).unwrap_or(u32::MAX);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(MAX_FACTOR).clamp(1, MAX_FACTOR);
        self.first_pause.saturating_mul(factor).min(LONGEST_PAUSE)
    }
}

/// One more try of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    pub cause: FailureKind,
    /// From 1.
    pub number: u64,
    /// How long it is waited for.
    pub pause: Duration,
    /// What ended the try before.
    pub failure: Failure,
    /// All of that for people.
    pub message: String,
}

/// Says how often a repository was tried, in the words of its error: its cause keeps its own.
pub fn note_tries(status: &mut Value, tries: u64) {
    let note = format!(" ({tries} attempts)");
    let noted = |text: &str| match text.strip_suffix(&note) {
        Some(_) => text.to_owned(),
        None => format!("{text}{note}"),
    };
    let cause = status["failure"]["detail"].as_str().unwrap_or("Unknown error");
    let mut shown = noted(cause);
    // The first of the errors is what clients show.
    let first = status.get_mut("errors").and_then(|it| it.get_mut(0));
    let first = match first {
        Some(Value::Object(entry)) => entry.get_mut("message"),
        other => other,
    };
    if let Some(Value::String(text)) = first {
        *text = noted(text);
        shown.clone_from(text);
    }
    if let Some(map) = status.as_object_mut() {
        let text = map.get("error_message").and_then(Value::as_str).map_or(shown, noted);
        map.insert("error_message".to_owned(), text.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(text: &Value) -> RepositoryStatus {
        RepositoryStatus::parse(0, text.to_string().as_bytes()).unwrap().0
    }

    #[test]
    fn a_cause_that_may_pass_is_tried_again_and_no_other() {
        let word = |kind: FailureKind| kind.as_str();
        for (kind, passes) in [
            (FailureKind::Spawn, true),
            (FailureKind::Exit, true),
            (FailureKind::Signal, true),
            (FailureKind::OutOfMemory, true),
            (FailureKind::Timeout, true),
            (FailureKind::Stalled, true),
            (FailureKind::Clone, true),
            (FailureKind::Refused, false),
            (FailureKind::Limit, false),
            (FailureKind::Protocol, false),
            (FailureKind::Cancelled, false),
            (FailureKind::Interrupted, false),
        ] {
            let failure = Failure::new(kind, "why");
            let expected = passes.then_some(kind);
            for state in [RepoState::Failed, RepoState::TimedOut] {
                assert_eq!(may_pass(state, Some(&failure)), expected, "{}", word(kind));
                let permanent = Failure { permanent: true, ..failure.clone() };
                assert_eq!(may_pass(state, Some(&permanent)), None, "{}", word(kind));
            }
            for state in [RepoState::Completed, RepoState::Cancelled, RepoState::Pending] {
                assert_eq!(may_pass(state, Some(&failure)), None, "{state}: {}", word(kind));
            }
            assert_eq!(MAY_PASS.contains(&kind), passes, "{}", word(kind));
        }
        assert!(MAY_PASS.is_sorted_by_key(|it| it.as_str()));
        assert_eq!(may_pass(RepoState::Failed, None), Some(FailureKind::Exit));
        assert_eq!(may_pass(RepoState::TimedOut, None), Some(FailureKind::Timeout));
        assert_eq!(may_pass(RepoState::Cancelled, None), None);
    }

    #[test]
    fn permanent_is_what_a_scanner_says_and_nothing_else() {
        let of = |failure: Value| {
            let file = json!({ "status": "failed", "failure": failure });
            Retries::new(1, Duration::ZERO).after(0, &status(&file)).is_some()
        };
        assert!(of(json!({ "kind": "clone", "detail": "" })));
        assert!(of(json!({ "kind": "clone", "detail": "", "permanent": false })));
        assert!(!of(json!({ "kind": "clone", "detail": "", "permanent": true })));
        let text = serde_json::to_string(&Failure::new(FailureKind::Clone, "x")).unwrap();
        assert_eq!(text, r#"{"kind":"clone","detail":"x"}"#);
    }

    #[test]
    fn there_are_as_many_retries_as_were_asked_for() {
        let failed = status(&json!({ "status": "failed", "error_message": "no luck" }));
        let next = |most, used| Retries::new(most, Duration::from_secs(10)).after(used, &failed);
        assert_eq!(next(0, 0), None);
        assert_eq!(next(3, 3), None);
        assert_eq!(next(1000, MAX_RETRIES), None, "a file may say what no request may");
        let retry = next(3, 1).unwrap();
        assert_eq!((retry.number, retry.pause), (2, Duration::from_secs(20)));
        assert_eq!(retry.message, "Attempt 3 of 4 begins in 20 s (last: exit: no luck)");
        assert_eq!(retry.failure, Failure::new(FailureKind::Exit, "no luck"));
    }

    #[test]
    fn pauses_double_up_to_an_end() {
        let pauses = |first: u64| {
            let rules = Retries::new(MAX_RETRIES, Duration::from_secs(first));
            (1..=MAX_RETRIES).map(|it| rules.pause(it).as_secs()).collect::<Vec<_>>()
        };
        assert_eq!(pauses(10), [10, 20, 40, 80, 160, 320, 320, 320, 320, 320]);
        assert_eq!(pauses(60), [60, 120, 240, 480, 600, 600, 600, 600, 600, 600]);
        assert_eq!(pauses(u64::MAX), [600; 10]);
        let rules = Retries::new(1, Duration::from_secs(1));
        assert_eq!(rules.pause(u64::MAX), Duration::from_secs(32));
    }

    #[test]
    fn the_number_of_tries_stands_in_the_error_once_and_not_in_its_cause() {
        let mut file = json!({
            "status": "failed", "error_message": "Process exited with code 3",
            "errors": [{ "message": "Process exited with code 3" }, { "message": "old" }],
            "failure": { "kind": "exit", "detail": "Process exited with code 3" },
        });
        for _ in 0..2 {
            note_tries(&mut file, 4);
        }
        assert_eq!(file["errors"][0]["message"], "Process exited with code 3 (4 attempts)");
        assert_eq!(file["error_message"], "Process exited with code 3 (4 attempts)");
        assert_eq!(file["errors"][1]["message"], "old");
        assert_eq!(file["failure"]["detail"], "Process exited with code 3");
        let mut bare = json!({ "status": "failed", "errors": ["text"] });
        note_tries(&mut bare, 2);
        assert_eq!(status(&bare).error.unwrap(), "text (2 attempts)");
        let mut bare = json!({ "status": "failed" });
        note_tries(&mut bare, 2);
        assert_eq!(status(&bare).error.unwrap(), "Unknown error (2 attempts)");
        let mut bare = json!({ "status": "failed", "failure": { "kind": "exit", "detail": "x" } });
        note_tries(&mut bare, 2);
        assert_eq!(status(&bare).error.unwrap(), "x (2 attempts)");
    }
}
