//! Semantic Versioning 2.0.0, section 11 ("Precedence"), for as many numbers as there are: `NuGet` has four, a tag of an
//! action one.
//!
//! Input: two versions. Output: their order. Invariants: a text whose release is not made of numbers is older than all
//! versions, and two of these are ordered by their words.

use super::{is_number, lower, numbers, words};
use std::cmp::Ordering;

/// Whether letters of a pre-release differ by case. Source for `NuGet`: "Package versioning", comparison ignores case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Matters,
    Ignored,
}

pub(super) fn compare(a: &str, b: &str, case: Case) -> Ordering {
    match (parts(a), parts(b)) {
        (Some(x), Some(y)) => releases(x.0, y.0).then_with(|| pre_releases(x.1, y.1, case)),
        (None, None) => words::compare(&words::USUAL, a, b),
        (x, y) => x.is_some().cmp(&y.is_some()),
    }
}

pub(super) fn is_version(text: &str) -> bool {
    parts(text).is_some()
}

/// The release and the pre-release; `None` if the release has anything but numbers.
fn parts(version: &str) -> Option<(&str, Option<&str>)> {
    let version = version.strip_prefix(['v', 'V']).unwrap_or(version);
    let version = version.split_once('+').map_or(version, |(version, _)| version);
    let (release, pre_release) = match version.split_once('-') {
        Some((release, pre_release)) => (release, Some(pre_release)),
        None => (version, None),
    };
    release.split('.').all(is_number).then_some((release, pre_release))
}

/// Numbers that are not there count as zero.
fn releases(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let (x, y) = (a.next(), b.next());
        if x.is_none() && y.is_none() {
            return Ordering::Equal;
        }
        let order = numbers(x.unwrap_or("0"), y.unwrap_or("0"));
        if order.is_ne() {
            return order;
        }
    }
}

fn pre_releases(a: Option<&str>, b: Option<&str>, case: Case) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else {
        // A release is newer than its pre-releases.
        return b.is_some().cmp(&a.is_some());
    };
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let (x, y) = match (a.next(), b.next()) {
            (Some(x), Some(y)) => (x, y),
            (x, y) => return x.is_some().cmp(&y.is_some()),
        };
        let order = match (is_number(x), is_number(y)) {
            (true, true) => numbers(x, y),
            (false, false) if case == Case::Ignored => lower(x).cmp(lower(y)),
            (false, false) => x.cmp(y),
            // A number comes before a word.
            (x, y) => y.cmp(&x),
        };
        if order.is_ne() {
            return order;
        }
    }
}
