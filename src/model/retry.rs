//! The retry rules: which failures are retried, how often, and after which pause.
//!
//! Input: how an attempt ended, and how many retries its repository has used. Output: the next
//! retry, or none. Invariants: no retry without a request for it; a permanent cause is never
//! retried; pauses grow.

use super::{Failure, FailureKind, RepoState, repository::RepositoryStatus};
use serde_json::Value;
use std::time::Duration;

/// The maximum number of retries that can be requested.
pub const MAX_RETRIES: u64 = 10;
/// The maximum ratio of a pause to the first one.
const MAX_FACTOR: u32 = 32;
/// The maximum pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// How many characters of the last failure are shown while its repository waits.
const SHOWN: usize = 300;

/// The transient causes, sorted by name.
pub const TRANSIENT: [FailureKind; 7] = [
    FailureKind::Clone,
    FailureKind::Exit,
    FailureKind::OutOfMemory,
    FailureKind::Signal,
    FailureKind::Spawn,
    FailureKind::Stalled,
    FailureKind::Timeout,
];

/// The cause of a failed attempt, if it is transient.
///
/// A scanner marks a failure that would recur as permanent; a failure without a cause counts like a
/// nonzero exit.
pub fn transient_cause(state: RepoState, failure: Option<&Failure>) -> Option<FailureKind> {
    let unnamed = match state {
        RepoState::Failed => FailureKind::Exit,
        RepoState::TimedOut => FailureKind::Timeout,
        RepoState::Pending
        | RepoState::Working(_)
        | RepoState::Completed
        | RepoState::Cancelled => return None,
    };
    let (kind, permanent) =
        failure.map_or((unnamed, false), |failure| (failure.kind, failure.permanent));
    match kind {
        FailureKind::Spawn
        | FailureKind::Exit
        | FailureKind::Signal
        | FailureKind::OutOfMemory
        | FailureKind::Timeout
        | FailureKind::Stalled
        | FailureKind::Clone => (!permanent).then_some(kind),
        // Caused by a decision, or counted elsewhere.
        FailureKind::Refused
        | FailureKind::Limit
        | FailureKind::Protocol
        | FailureKind::Cancelled
        | FailureKind::Interrupted => None,
    }
}

/// The automatic retries of a job's repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    most: u64,
    first_pause: Duration,
}

impl Retries {
    /// No retries.
    pub const NONE: Self = Self { most: 0, first_pause: Duration::ZERO };

    /// At most this many retries, the first one after this pause.
    pub fn new(most: u64, first_pause: Duration) -> Self {
        Self { most: most.min(MAX_RETRIES), first_pause }
    }

    /// The retry after an attempt that was retry number `used` (0 is the first try), if there is
    /// one.
    pub fn after(&self, used: u64, status: &RepositoryStatus) -> Option<Retry> {
        let cause = transient_cause(status.state, status.failure.as_ref())?;
        if used >= self.most {
            return None;
        }
        let number = used + 1;
        let failure = status.failure.clone().unwrap_or_else(|| {
            let detail = status.error.as_deref().unwrap_or("The scanner gave no cause");
            Failure::new(cause, detail)
        });
        let pause = self.pause_after(number, &failure);
        let shown: String = failure.detail.chars().take(SHOWN).collect();
        let begins = match cause {
            FailureKind::OutOfMemory => format!("runs alone, in {} s or later", pause.as_secs()),
            _ => format!("begins in {} s", pause.as_secs()),
        };
        let message = format!(
            "Attempt {} of {} {begins} (last: {}: {shown})",
            number + 1,
            self.most + 1,
            cause.as_str(),
        );
        Some(Retry { cause, number, pause, failure, message })
    }

    /// The pause before this retry, which follows this failure: as long as the host requested, too.
    pub fn pause_after(&self, number: u64, failure: &Failure) -> Duration {
        let requested = failure.retry_after_secs.filter(|_| failure.throttled).unwrap_or(0);
        self.pause(number).max(Duration::from_secs(requested).min(LONGEST_PAUSE))
    }

    /// The pause before this retry: the first one, doubled with each retry.
    pub fn pause(&self, number: u64) -> Duration {
        let doublings = u32::try_from(number.saturating_sub(1)).unwrap_or(u32::MAX);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(MAX_FACTOR).clamp(1, MAX_FACTOR);
        self.first_pause.saturating_mul(factor).min(LONGEST_PAUSE)
    }
}

/// A retry of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    pub cause: FailureKind,
    /// From 1.
    pub number: u64,
    /// The pause before it.
    pub pause: Duration,
    /// The failure of the attempt before.
    pub failure: Failure,
    /// A summary for people.
    pub message: String,
}

impl Retry {
    /// Whether nothing else is scanned meanwhile.
    pub fn is_alone(&self) -> bool {
        self.cause == FailureKind::OutOfMemory
    }
}

/// Adds the number of attempts to a repository's error text; its failure's detail is unchanged.
pub fn note_tries(status: &mut Value, tries: u64) {
    let note = format!(" ({tries} attempts)");
    let noted = |text: &str| match text.strip_suffix(&note) {
        Some(_) => text.to_owned(),
        None => format!("{text}{note}"),
    };
    let cause = status["failure"]["detail"].as_str().unwrap_or("Unknown error");
    let mut shown = noted(cause);
    // The first error is the one that clients show.
    let first = status.get_mut("errors").and_then(|errors| errors.get_mut(0));
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
    fn only_transient_causes_are_retried() {
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
                assert_eq!(transient_cause(state, Some(&failure)), expected, "{}", word(kind));
                let permanent = Failure { permanent: true, ..failure.clone() };
                assert_eq!(transient_cause(state, Some(&permanent)), None, "{}", word(kind));
            }
            for state in [RepoState::Completed, RepoState::Cancelled, RepoState::Pending] {
                assert_eq!(transient_cause(state, Some(&failure)), None, "{state}: {}", word(kind));
            }
            assert_eq!(TRANSIENT.contains(&kind), passes, "{}", word(kind));
        }
        assert!(TRANSIENT.is_sorted_by_key(|kind| kind.as_str()));
        assert_eq!(transient_cause(RepoState::Failed, None), Some(FailureKind::Exit));
        assert_eq!(transient_cause(RepoState::TimedOut, None), Some(FailureKind::Timeout));
        assert_eq!(transient_cause(RepoState::Cancelled, None), None);
    }

    #[test]
    fn only_the_scanner_marks_failures_as_permanent() {
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
    fn there_are_as_many_retries_as_requested() {
        let failed = status(&json!({ "status": "failed", "error_message": "no luck" }));
        let next = |most, used| Retries::new(most, Duration::from_secs(10)).after(used, &failed);
        assert_eq!(next(0, 0), None);
        assert_eq!(next(3, 3), None);
        assert_eq!(
            next(1000, MAX_RETRIES),
            None,
            "a file may contain more than a request may ask for"
        );
        let retry = next(3, 1).unwrap();
        assert_eq!((retry.number, retry.pause), (2, Duration::from_secs(20)));
        assert_eq!(retry.message, "Attempt 3 of 4 begins in 20 s (last: exit: no luck)");
        assert_eq!(retry.failure, Failure::new(FailureKind::Exit, "no luck"));
    }

    /// Fails if a host is contacted before the time that it requested, or a repository that ran out of
    /// memory is not announced to run alone.
    #[test]
    fn a_retry_waits_as_long_as_its_host_requested_and_names_how_it_runs() {
        let next = |failure: Value| {
            let file = json!({ "status": "failed", "failure": failure });
            Retries::new(3, Duration::from_secs(10)).after(0, &status(&file)).unwrap()
        };
        let refused = |secs: u64| {
            json!({
                "kind": "clone", "detail": "429", "throttled": true, "retry_after_secs": secs,
            })
        };
        assert_eq!(next(refused(90)).pause, Duration::from_secs(90));
        assert_eq!(next(refused(3)).pause, Duration::from_secs(10));
        assert_eq!(next(refused(u64::MAX)).pause, LONGEST_PAUSE);
        let retry = next(json!({ "kind": "out_of_memory", "detail": "killed" }));
        assert!(retry.is_alone());
        let message = "Attempt 2 of 4 runs alone, in 10 s or later (last: out_of_memory: killed)";
        assert_eq!(retry.message, message);
    }

    #[test]
    fn pauses_double_up_to_a_maximum() {
        let pauses = |first: u64| {
            let rules = Retries::new(MAX_RETRIES, Duration::from_secs(first));
            (1..=MAX_RETRIES).map(|number| rules.pause(number).as_secs()).collect::<Vec<_>>()
        };
        assert_eq!(pauses(10), [10, 20, 40, 80, 160, 320, 320, 320, 320, 320]);
        assert_eq!(pauses(60), [60, 120, 240, 480, 600, 600, 600, 600, 600, 600]);
        assert_eq!(pauses(u64::MAX), [600; 10]);
        let rules = Retries::new(1, Duration::from_secs(1));
        assert_eq!(rules.pause(u64::MAX), Duration::from_secs(32));
    }

    #[test]
    fn the_number_of_attempts_is_in_the_error_once_and_not_in_its_cause() {
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
