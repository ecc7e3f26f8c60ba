//! Decides which repositories the filters of a submission skip. Pure: the clock is an argument.
//!
//! Input: filters, and what a forge states about a repository. Output: the reason why the repository is
//! skipped, if it is. Invariants: without filters nothing is skipped; what a forge does not state is no
//! reason to skip a repository, except by `topics` and `visibility`, which name what a repository must
//! have.

use crate::{
    intake::forge_api::Facts,
    model::{filters::Filters, plan::SkipKind, time::Timestamp},
};
use chrono::{Days, SecondsFormat};

/// The maximum number of values that a reason names.
const MAX_NAMED: usize = 3;
const BYTES_PER_MEGABYTE: u64 = 1_000_000;

/// Filters at a point in time.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    filters: Filters,
    /// In lower case.
    topics: Vec<String>,
    /// The earliest activity of a repository that is scanned.
    active_since: Option<Timestamp>,
}

impl Filter {
    pub(super) fn new(filters: &Filters, now: Timestamp) -> Self {
        let days = filters.active_within_days.map(Days::new);
        Self {
            filters: filters.clone(),
            topics: filters.topics.iter().map(|topic| topic.to_lowercase()).collect(),
            active_since: days.and_then(|days| now.checked_sub_days(days)),
        }
    }

    /// Why the repository is skipped, if it is.
    pub(super) fn reason(&self, facts: &Facts) -> Option<(SkipKind, String)> {
        let filters = &self.filters;
        let plain = |kind, wanted, is: Option<bool>, reason: &str| {
            (wanted && is == Some(true)).then(|| (kind, reason.to_owned()))
        };
        let filtered = |reason| (SkipKind::Filtered, reason);
        let archived = "the repository is archived";
        plain(SkipKind::Archived, filters.skip_archived, facts.archived, archived)
            .or_else(|| {
                plain(SkipKind::Fork, filters.skip_forks, facts.fork, "the repository is a fork")
            })
            .or_else(|| {
                plain(SkipKind::Empty, filters.skip_empty, facts.empty, "the repository is empty")
            })
            .or_else(|| self.by_visibility(facts).map(filtered))
            .or_else(|| self.by_topics(facts).map(filtered))
            .or_else(|| self.by_activity(facts).map(filtered))
            .or_else(|| self.by_size(facts).map(|reason| (SkipKind::TooLarge, reason)))
    }

    fn by_visibility(&self, facts: &Facts) -> Option<String> {
        let wanted = &self.filters.visibility;
        if wanted.is_empty() {
            return None;
        }
        match facts.visibility {
            Some(visibility) if wanted.contains(&visibility) => None,
            Some(visibility) => Some(format!("its visibility is {visibility}")),
            None => Some("the forge does not state its visibility".to_owned()),
        }
    }

    fn by_topics(&self, facts: &Facts) -> Option<String> {
        if self.topics.is_empty() {
            return None;
        }
        let Some(topics) = &facts.topics else {
            return Some("the forge does not state its topics".to_owned());
        };
        if topics.iter().any(|topic| self.topics.contains(&topic.to_lowercase())) {
            return None;
        }
        let named = self.filters.topics.iter().take(MAX_NAMED);
        let mut named: Vec<_> = named.map(|topic| format!("`{topic}`")).collect();
        if self.topics.len() > MAX_NAMED {
            named.push("…".to_owned());
        }
        Some(format!("none of its topics is {}", named.join(", ")))
    }

    fn by_activity(&self, facts: &Facts) -> Option<String> {
        let (since, at) = (self.active_since?, facts.active_at?);
        let at_date = at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let date = at_date.split('T').next().unwrap_or(&at_date);
        (at < since).then(|| format!("its last activity was on {date}"))
    }

    fn by_size(&self, facts: &Facts) -> Option<String> {
        let (most, bytes) = (self.filters.max_size_mb?, facts.bytes?);
        // Rounded up, so that the number in the reason is above the limit.
        let megabytes = bytes.div_ceil(BYTES_PER_MEGABYTE);
        (megabytes > most).then(|| format!("the repository has {megabytes} MB, more than {most}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::filters::Visibility;
    use chrono::DateTime;

    fn facts() -> Facts {
        Facts {
            archived: Some(true),
            fork: Some(true),
            empty: Some(true),
            topics: Some(vec!["Rust".into(), "cli".into()]),
            visibility: Some(Visibility::Internal),
            active_at: DateTime::from_timestamp(1_799_900_000, 0),
            bytes: Some(5_000_001),
        }
    }

    fn reason(filters: &Filters, facts: &Facts) -> Option<(SkipKind, String)> {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        Filter::new(filters, now).reason(facts)
    }

    /// Fails if a filter skips what it should not, keeps what it should skip, or names another reason.
    #[test]
    fn each_filter_skips_what_it_names() {
        use SkipKind::{Archived, Empty, Filtered, Fork, TooLarge};
        let of = Filters::default;
        let topics = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        for (filters, expected) in [
            (of(), None),
            (
                Filters { skip_archived: true, ..of() },
                Some((Archived, "the repository is archived")),
            ),
            (Filters { skip_forks: true, ..of() }, Some((Fork, "the repository is a fork"))),
            (Filters { skip_empty: true, ..of() }, Some((Empty, "the repository is empty"))),
            (Filters { topics: topics(&["go", "rust"]), ..of() }, None),
            (
                Filters { topics: topics(&["a", "b", "c", "d"]), ..of() },
                Some((Filtered, "none of its topics is `a`, `b`, `c`, …")),
            ),
            (Filters { visibility: vec![Visibility::Internal], ..of() }, None),
            (
                Filters { visibility: vec![Visibility::Public, Visibility::Private], ..of() },
                Some((Filtered, "its visibility is internal")),
            ),
            (Filters { active_within_days: Some(2), ..of() }, None),
            (
                Filters { active_within_days: Some(1), ..of() },
                Some((Filtered, "its last activity was on 2027-01-14")),
            ),
            (Filters { max_size_mb: Some(6), ..of() }, None),
            (
                Filters { max_size_mb: Some(5), ..of() },
                Some((TooLarge, "the repository has 6 MB, more than 5")),
            ),
            // The first reason is named.
            (
                Filters { skip_archived: true, skip_forks: true, max_size_mb: Some(1), ..of() },
                Some((Archived, "the repository is archived")),
            ),
        ] {
            let found = reason(&filters, &facts());
            let found = found.as_ref().map(|(kind, reason)| (*kind, reason.as_str()));
            assert_eq!(found, expected, "{filters:?}");
        }
    }

    /// Fails if a repository is skipped because its forge is silent.
    #[test]
    fn what_a_forge_does_not_state_is_no_reason_to_skip() {
        let all = Filters {
            skip_archived: true,
            skip_forks: true,
            skip_empty: true,
            active_within_days: Some(1),
            max_size_mb: Some(1),
            ..Filters::default()
        };
        assert_eq!(reason(&all, &Facts::default()), None);
        let opposite = Facts {
            archived: Some(false),
            fork: Some(false),
            empty: Some(false),
            active_at: DateTime::from_timestamp(1_800_000_000, 0),
            bytes: Some(0),
            ..Facts::default()
        };
        assert_eq!(reason(&all, &opposite), None);
        let topics = Filters { topics: vec!["a".into()], ..Filters::default() };
        assert!(
            reason(&topics, &Facts::default()).unwrap().1.contains("does not state its topics")
        );
        let seen = Filters { visibility: vec![Visibility::Public], ..Filters::default() };
        assert!(reason(&seen, &Facts::default()).unwrap().1.contains("does not state its visib"));
        let long_ago = Filters { active_within_days: Some(u64::MAX), ..Filters::default() };
        assert_eq!(reason(&long_ago, &facts()), None);
    }
}
