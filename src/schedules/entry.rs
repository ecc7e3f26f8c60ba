//! One schedule with what it has run, and how all of them are read from the settings and the disk.
//!
//! Input: the settings and the files. Output: entries by name, problems for `/health`, and states without a
//! schedule. Invariants: pure; one invalid file affects no other schedule; a schedule whose state cannot be
//! read is not run, because nobody knows what it has run.

use super::{
    document::{ScheduleDocument, ScheduleProblem, Source},
    record::Record,
    rules::{self, Due},
};
use crate::{
    model::{
        address::NetworkPolicy,
        git_url::{GitUrl, Refusal},
        schedule::{MOST_SCHEDULES, ScheduleName, ScheduleSpec},
        time::Timestamp,
        timetable::Timetable,
    },
    store::schedules::{Content, Found},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

/// The first and the longest pause before a run or a write is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

/// One schedule.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) spec: ScheduleSpec,
    pub(super) source: Source,
    timetable: Timetable,
    pub(super) record: Record,
    /// The record is not on the disk yet.
    pub(super) unsaved: bool,
    /// Why the record could not be written.
    pub(super) unsavable: Option<String>,
    /// The next run.
    pub(super) next: Option<Due>,
    /// When a write or a start that failed is tried again.
    pub(super) retry_at: Option<Instant>,
    failures: u32,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) entries: BTreeMap<ScheduleName, Entry>,
    pub(super) problems: Vec<ScheduleProblem>,
    /// The schedules of these states do not exist.
    pub(super) orphans: Vec<ScheduleName>,
}

impl Entry {
    /// A new schedule, or a known one with another definition.
    pub(super) fn new(
        name: &ScheduleName,
        (spec, timetable): (ScheduleSpec, Timetable),
        source: Source,
        record: Option<Record>,
        now: Timestamp,
    ) -> Self {
        let mut unsaved = record.is_none();
        let mut record = record.unwrap_or_else(|| Record::new(&spec, now));
        unsaved |= record.follow(&spec, now);
        let handled = rules::plausible(record.handled, now);
        if handled != record.handled {
            tracing::warn!(
                schedule = %name,
                newest_run = %record.handled,
                "the clock was far ahead when the schedule last ran; its runs count from now"
            );
            (record.handled, unsaved) = (handled, true);
        }
        let mut entry = Self {
            spec,
            source,
            timetable,
            record,
            unsaved,
            unsavable: None,
            next: None,
            retry_at: None,
            failures: 0,
        };
        entry.plan(name);
        entry
    }

    /// Computes the next run.
    fn plan(&mut self, name: &ScheduleName) {
        self.next = rules::next(name, &self.spec, &self.timetable, self.record.handled);
        self.record.next_run = self.next.map(|next| next.from);
    }

    /// The newest run that is due.
    pub(super) fn due(&self, name: &ScheduleName, now: Timestamp) -> Option<Due> {
        self.next.filter(|next| next.from <= now)?;
        rules::newest(name, &self.spec, &self.timetable, self.record.handled, now)
    }

    /// Every time up to this one is handled now.
    pub(super) fn handle(&mut self, name: &ScheduleName, at: Timestamp) {
        self.record.handled = at;
        self.unsaved = true;
        self.plan(name);
    }

    /// Whether something that failed is tried now, or something has not been tried.
    pub(super) fn may_retry(&self, now: Instant) -> bool {
        self.retry_at.is_none_or(|at| at <= now)
    }

    /// A write or a start failed: the next one has to wait.
    pub(super) fn note_failure(&mut self) {
        let pause = PAUSES.0.saturating_mul(1 << self.failures.min(16)).min(PAUSES.1);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(Instant::now() + pause);
    }

    /// Whatever failed has succeeded, or is not wanted any more.
    pub(super) fn note_success(&mut self) {
        (self.retry_at, self.failures) = (None, 0);
    }

    /// What is published about the schedule.
    pub(super) fn document(&self, name: &ScheduleName) -> ScheduleDocument {
        ScheduleDocument {
            name: name.clone(),
            source: self.source,
            spec: self.spec.clone(),
            next_run: self.record.next_run,
            pending: self.record.pending.clone(),
            history: self.record.history.clone(),
        }
    }
}

/// Reads all schedules. `unsaved`: records that are newer than their files.
pub(super) fn load(
    settings: &BTreeMap<ScheduleName, ScheduleSpec>,
    network: &NetworkPolicy,
    mut found: Found,
    mut unsaved: BTreeMap<ScheduleName, Record>,
    now: Timestamp,
) -> Loaded {
    let mut loaded = Loaded::default();
    let files: BTreeSet<ScheduleName> = found.definitions.keys().cloned().collect();
    let mut definitions: Vec<_> = settings
        .iter()
        .map(|(name, spec)| {
            let checked = spec.check().map(|timetable| (spec.clone(), timetable));
            (name.clone(), Source::Settings, checked.map_err(|error| error.to_string()))
        })
        .collect();
    for (name, content) in found.definitions {
        if settings.contains_key(&name) {
            let problem = "the settings define this schedule, so its file in .schedules is ignored; remove \
                           or rename one of them";
            loaded.problem(&name, problem);
        } else {
            definitions.push((name, Source::Api, definition(content, network)));
        }
    }
    for (name, source, definition) in definitions {
        let state = found.states.remove(&name);
        let definition = match definition {
            Ok(definition) => definition,
            Err(problem) => {
                loaded.problem(&name, format!("its file {name}.json is invalid: {problem}"));
                continue;
            }
        };
        if loaded.entries.len() >= MOST_SCHEDULES {
            loaded.problem(&name, format!("there are more than {MOST_SCHEDULES} schedules"));
            continue;
        }
        let record = match (unsaved.remove(&name), state) {
            (Some(record), _) => Ok(Some(record)),
            (None, None) => Ok(None),
            (None, Some(content)) => content.and_then(|bytes| Record::parse(&bytes)).map(Some),
        };
        match record {
            Ok(record) => {
                let entry = Entry::new(&name, definition, source, record, now);
                loaded.entries.insert(name, entry);
            }
            Err(problem) => loaded.problem(
                &name,
                format!(
                    "it does not run, because its file {name}.state.json is invalid: {problem}; correct or \
                     remove the file and send SIGHUP"
                ),
            ),
        }
    }
    for name in found.unknown {
        loaded.problems.push(ScheduleProblem {
            name,
            problem: "a file in .schedules is no file of a schedule, and is ignored".to_owned(),
        });
    }
    loaded.orphans = found.states.into_keys().filter(|name| !files.contains(name)).collect();
    loaded
}

fn definition(
    content: Content,
    network: &NetworkPolicy,
) -> Result<(ScheduleSpec, Timetable), String> {
    let value = serde_json::from_slice(&content?).map_err(|error| error.to_string())?;
    let Value::Object(members) = value else { return Err("expected an object".to_owned()) };
    let spec = ScheduleSpec::parse(members).map_err(|error| error.to_string())?;
    let timetable = spec.check().map_err(|error| error.to_string())?;
    // A URL with a password must not be shown. What the policy forbids today may be allowed when the schedule runs.
    if let Err(why) = GitUrl::parse(&spec.git_url, network)
        && matches!(
            why,
            Refusal::Characters | Refusal::Shape(_) | Refusal::Scheme(_) | Refusal::Userinfo
        )
    {
        return Err(format!("`git_url`: {why}"));
    }
    Ok((spec, timetable))
}

impl Loaded {
    fn problem(&mut self, name: &ScheduleName, problem: impl Into<String>) {
        let problem = ScheduleProblem { name: name.to_string(), problem: problem.into() };
        self.problems.push(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time;

    const GOOD: &[u8] = br#"{"cron": "0 2 * * *", "git_url": "https://github.com/acme"}"#;

    /// Fails if one invalid file stops the others, or is not named; or if a schedule is run that nobody knows the
    /// state of.
    #[test]
    fn an_invalid_file_is_a_problem_of_its_own() {
        let now = time::of_text("2026-01-01T00:00:00Z").unwrap();
        let name = |text: &str| text.parse::<ScheduleName>().unwrap();
        let mut found = Found { unknown: vec!["notes".to_owned()], ..Found::default() };
        for (file, content) in [
            ("good", Ok(GOOD.to_vec())),
            ("half", Ok(GOOD[..20].to_vec())),
            ("list", Ok(b"[]".to_vec())),
            ("deep", Ok(br#"{"cron": "0 2 * * *", "git_url": "https://h", "depp": 1}"#.to_vec())),
            (
                "url",
                Ok(br#"{"cron": "0 2 * * *", "git_url": "https://u:s3cret@github.com/a/b"}"#
                    .to_vec()),
            ),
            ("gone", Err("Permission denied".to_owned())),
            ("both", Ok(GOOD.to_vec())),
            ("held", Ok(GOOD.to_vec())),
        ] {
            found.definitions.insert(name(file), content);
        }
        found.states.insert(name("held"), Ok(b"{".to_vec()));
        found.states.insert(name("half"), Ok(b"{}".to_vec()));
        found.states.insert(name("orphan"), Ok(b"{}".to_vec()));
        let network = NetworkPolicy::default();
        let (spec, _) = definition(Ok(GOOD.to_vec()), &network).unwrap();
        let settings = BTreeMap::from([(name("both"), spec)]);
        let loaded = load(&settings, &network, found, BTreeMap::new(), now);
        let entries: Vec<_> = loaded.entries.keys().map(ScheduleName::as_str).collect();
        assert_eq!(entries, ["both", "good"]);
        assert_eq!(loaded.entries[&name("both")].source, Source::Settings);
        let mut problems: Vec<_> =
            loaded.problems.iter().map(|problem| problem.name.as_str()).collect();
        problems.sort_unstable();
        assert_eq!(problems, ["both", "deep", "gone", "half", "held", "list", "notes", "url"]);
        assert!(!format!("{:?}", loaded.problems).contains("s3cret"));
        assert_eq!(loaded.orphans, [name("orphan")]);
    }
}
