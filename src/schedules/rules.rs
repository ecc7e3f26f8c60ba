//! The rules of schedules: when a run is due, and what happens to it.
//!
//! Input: a schedule, what has been handled, the time. Output: the run that is due, and a decision.
//! Invariants: pure, without a clock; a run that is late by less than [`GRACE`] counts as punctual; of
//! several runs that are due at once only the newest is run.

use super::record::Pending;
use crate::model::{
    JobId,
    schedule::{Overlap, ScheduleName, ScheduleSpec},
    time::{self, Timestamp},
    timetable::Timetable,
};
use chrono::TimeDelta;
use uuid::Uuid;

/// How late a run may be and still count as punctual: a busy machine, or a quick restart.
pub(super) const GRACE: TimeDelta = TimeDelta::seconds(60);
/// If the newest handled time is further in the future than this, the clock was wrong when it was handled.
const FROM_A_WRONG_CLOCK: TimeDelta = TimeDelta::days(1);

/// A run that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// The time of the pattern.
    pub(super) at: Timestamp,
    /// When the run starts: later by the jitter.
    pub(super) from: Timestamp,
}

/// What happens to a run that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// It starts at once.
    Start,
    /// It starts when this job is finished.
    Wait(JobId),
    /// It does not start; the reason is for people.
    Skip(String),
}

/// The run for a time of the pattern. The jitter depends only on name and time, so that a restart does not change it,
/// and ends before the next time.
fn due(name: &ScheduleName, spec: &ScheduleSpec, timetable: &Timetable, at: Timestamp) -> Due {
    let most = TimeDelta::seconds(i64::try_from(spec.jitter_secs).unwrap_or(0));
    if most.is_zero() {
        return Due { at, from: at };
    }
    let gap = timetable.next_after(at).map_or(most, |next| next - at - TimeDelta::milliseconds(1));
    let most = u64::try_from(most.min(gap).num_milliseconds()).unwrap_or(0);
    let text = format!("{name} {}", at.timestamp());
    let (hash, _) = Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes()).as_u64_pair();
    let jitter = i64::try_from(hash % (most + 1)).unwrap_or(0);
    Due { at, from: at + TimeDelta::milliseconds(jitter) }
}

/// The first run after the newest handled time.
pub(super) fn next(
    name: &ScheduleName,
    spec: &ScheduleSpec,
    timetable: &Timetable,
    handled: Timestamp,
) -> Option<Due> {
    if !spec.enabled {
        return None;
    }
    timetable.next_after(handled).map(|at| due(name, spec, timetable, at))
}

/// The newest run that is due. Those before it were missed, and are not made up for.
pub(super) fn newest(
    name: &ScheduleName,
    spec: &ScheduleSpec,
    timetable: &Timetable,
    handled: Timestamp,
    now: Timestamp,
) -> Option<Due> {
    let first = next(name, spec, timetable, handled).filter(|first| first.from <= now)?;
    let newest = timetable.newest(handled, now).unwrap_or(first.at);
    let newest = due(name, spec, timetable, newest);
    if newest.from <= now {
        return Some(newest);
    }
    // Its jitter has not passed; that of the one before has.
    let before = timetable.newest(handled, newest.at - TimeDelta::milliseconds(1));
    Some(before.map_or(first, |at| due(name, spec, timetable, at)))
}

/// The newest handled time, unless it comes from a clock that was far ahead. A clock that was set back a
/// little repeats no run: its times have been handled.
pub(super) fn plausible(handled: Timestamp, now: Timestamp) -> Timestamp {
    if handled > now + FROM_A_WRONG_CLOCK { now } else { handled }
}

/// Decides about a run. `unfinished`: the job of the run before, if it is not finished. `pending`: a run that
/// has not started.
pub(super) fn decide(
    spec: &ScheduleSpec,
    due: Due,
    now: Timestamp,
    unfinished: Option<&JobId>,
    pending: Option<&Pending>,
) -> Decision {
    let late = now - due.from;
    if late > GRACE && !spec.catch_up {
        let seconds = late.num_seconds();
        return Decision::Skip(format!("missed: {seconds} s late, and catch_up is off"));
    }
    if let Some(job) = pending.and_then(|pending| pending.waits_for.as_ref()) {
        return Decision::Skip(format!("another run already waits for job {job}"));
    }
    match (unfinished, spec.overlap) {
        (None, _) => Decision::Start,
        (Some(job), Overlap::Queue) => Decision::Wait(job.clone()),
        (Some(job), Overlap::Skip) => {
            Decision::Skip(format!("job {job} of the run before is not finished"))
        }
    }
}

/// Why a run that could not start until the next one was due is skipped.
pub(super) fn replaced(pending: &Pending, by: Due) -> String {
    let reason = pending.reason.as_deref().unwrap_or("it could not start");
    format!("{reason}; not started until the run of {}", time::format(by.at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedules::record::Cause;
    use serde_json::json;

    fn at(text: &str) -> Timestamp {
        time::of_text(text).unwrap()
    }

    fn name() -> ScheduleName {
        "nightly".parse().unwrap()
    }

    fn spec(cron: &str, jitter_secs: u64) -> (ScheduleSpec, Timetable) {
        let members = json!({
            "cron": cron, "git_url": "https://github.com/acme", "jitter_secs": jitter_secs,
        });
        let serde_json::Value::Object(members) = members else { unreachable!() };
        let spec = ScheduleSpec::parse(members).unwrap();
        let timetable = spec.check().unwrap();
        (spec, timetable)
    }

    /// Fails if the jitter changes with each look, exceeds its bound, or is the same for all.
    #[test]
    fn the_jitter_is_fixed_bounded_and_different() {
        let (daily, timetable) = spec("0 2 * * *", 600);
        let handled = at("2026-01-01T12:00:00Z");
        let of = |name: &str| next(&name.parse().unwrap(), &daily, &timetable, handled).unwrap();
        assert_eq!(of("a"), of("a"));
        let offsets: Vec<_> =
            (0..100).map(|n| (of(&format!("s{n}")).from - of("a").at).num_seconds()).collect();
        assert!(offsets.iter().all(|offset| (0..=600).contains(offset)), "{offsets:?}");
        assert!(offsets.iter().max() > Some(&400) && offsets.iter().min() < Some(&200));
        // Never as late as the next run.
        let (often, timetable) = spec("* * * * *", 86_400);
        for n in 0..200 {
            let handled = handled + TimeDelta::minutes(n);
            let due = next(&name(), &often, &timetable, handled).unwrap();
            assert!(due.from - due.at < TimeDelta::minutes(1), "{due:?}");
        }
    }

    /// Fails if each missed run is made up for, or none, or if a run that is not due yet is run.
    #[test]
    fn of_missed_runs_the_newest_is_due() {
        let (hourly, timetable) = spec("0 * * * *", 0);
        let newest = |handled: &str, now: &str| {
            newest(&name(), &hourly, &timetable, at(handled), at(now)).map(|due| due.at)
        };
        let handled = "2026-01-01T00:00:00Z";
        assert_eq!(newest(handled, "2026-01-01T00:59:59Z"), None);
        assert_eq!(newest(handled, "2026-01-01T01:00:00Z"), Some(at("2026-01-01T01:00:00Z")));
        assert_eq!(newest(handled, "2026-01-03T07:30:00Z"), Some(at("2026-01-03T07:00:00Z")));
        // The clock was set back.
        assert_eq!(newest(handled, "2025-12-31T20:00:00Z"), None);
        let (late, timetable) = spec("0 * * * *", 3_000);
        let first = next(&name(), &late, &timetable, at(handled)).unwrap();
        let second = next(&name(), &late, &timetable, first.at).unwrap();
        let newest = |now| super::newest(&name(), &late, &timetable, at(handled), now);
        assert_eq!(newest(first.from - TimeDelta::seconds(1)), None);
        assert_eq!(newest(second.from - TimeDelta::milliseconds(1)), Some(first));
        assert_eq!(newest(second.from), Some(second));
    }

    /// Fails if a schedule that is switched off is due.
    #[test]
    fn a_schedule_that_is_off_is_never_due() {
        let (mut off, timetable) = spec("* * * * *", 0);
        off.enabled = false;
        let handled = at("2026-01-01T00:00:00Z");
        assert_eq!(next(&name(), &off, &timetable, handled), None);
        assert_eq!(newest(&name(), &off, &timetable, handled, handled + TimeDelta::days(1)), None);
    }

    /// Fails if a clock that was years ahead stops a schedule for years, or a small step back runs one twice.
    #[test]
    fn only_a_wrong_clock_is_forgotten() {
        let now = at("2026-01-02T00:00:00Z");
        for (handled, expected) in [
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
            ("2026-01-02T06:00:00Z", "2026-01-02T06:00:00Z"),
            ("2031-01-02T06:00:00Z", "2026-01-02T00:00:00Z"),
        ] {
            assert_eq!(plausible(at(handled), now), at(expected));
        }
    }

    /// Fails if a run starts although it must not, or does not although it may.
    #[test]
    fn overlap_and_catch_up_decide() {
        let (mut spec, _) = spec("0 * * * *", 0);
        let time = at("2026-01-01T01:00:00Z");
        let due = Due { at: time, from: time };
        let job: JobId = "job".parse().unwrap();
        let pending = |waits_for: Option<&JobId>| Pending {
            due: time,
            job_id: "next".parse().unwrap(),
            cause: Cause::Due,
            waits_for: waits_for.cloned(),
            reason: None,
        };
        let decided = |spec: &ScheduleSpec, seconds, unfinished, pending: Option<&Pending>| {
            decide(spec, due, time + TimeDelta::seconds(seconds), unfinished, pending)
        };
        assert_eq!(decided(&spec, 5, None, None), Decision::Start);
        assert_eq!(decided(&spec, 9_000, None, None), Decision::Start);
        assert!(
            matches!(decided(&spec, 5, Some(&job), None), Decision::Skip(why) if why.contains("job job"))
        );
        spec.overlap = Overlap::Queue;
        assert_eq!(decided(&spec, 5, Some(&job), None), Decision::Wait(job.clone()));
        let waits = pending(Some(&job));
        assert!(matches!(decided(&spec, 5, Some(&job), Some(&waits)), Decision::Skip(_)));
        // One that the full queue refused is replaced.
        assert_eq!(decided(&spec, 5, None, Some(&pending(None))), Decision::Start);
        spec.catch_up = false;
        assert_eq!(decided(&spec, 60, None, None), Decision::Start);
        assert!(
            matches!(decided(&spec, 61, None, None), Decision::Skip(why) if why.contains("missed"))
        );
    }
}
