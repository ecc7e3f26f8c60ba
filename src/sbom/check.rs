//! Documents of results in memory, for tests: each is made in several ways, which have to agree.

use super::{Budget, Document, Format, InMemory};
use crate::model::{repository::RepositoryStatus, scan_result::ScanResult, time::Timestamp};
use serde_json::Value;

/// What a document is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    Repository,
    Group { name: &'a str, missing: &'a [RepositoryStatus] },
}

pub(super) fn cyclonedx(subject: Subject<'_>, results: &[&ScanResult], now: Timestamp) -> Value {
    document(Format::CycloneDx, subject, results, now)
}

pub(super) fn spdx(subject: Subject<'_>, results: &[&ScanResult], now: Timestamp) -> Value {
    document(Format::Spdx, subject, results, now)
}

fn document(
    format: Format,
    subject: Subject<'_>,
    results: &[&ScanResult],
    now: Timestamp,
) -> Value {
    let (group, missing) = match subject {
        Subject::Repository => (None, &[][..]),
        Subject::Group { name, missing } => (Some(name.to_owned()), missing),
    };
    let make = |budget, rests| {
        let findings = InMemory { results, missing };
        let mut document = Document::new(format, group.clone(), findings, now, budget);
        let mut bytes = Vec::new();
        while document.piece(&mut bytes).unwrap() {
            if rests {
                document.rest();
            }
        }
        String::from_utf8(bytes).unwrap()
    };
    let text = make(Budget::default(), false);
    let in_pieces = Budget { piece: 1, ..Budget::default() };
    assert_eq!(make(in_pieces, true), text, "with rests");
    for most in [200, 1000, 5000] {
        let budget = Budget { components: most, component: most, piece: 1 };
        assert_eq!(make(budget, false), text, "with a budget of {most} bytes");
        assert_eq!(make(budget, true), text, "with a budget of {most} bytes and rests");
    }
    serde_json::from_str(&text).unwrap()
}
