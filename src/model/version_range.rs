//! Ranges of versions, as advisories write them: `>= 4.0.0, < 4.17.21`.
//!
//! Input: a text. Output: whether a version is in the range, by the order of its ecosystem.
//!
//! Comparators (`<`, `<=`, `>`, `>=`, `=`, `!=`) that are separated by commas or blanks must all hold; of alternatives,
//! separated by `|` or `||`, one. A version without an operator means equal, `*` any version. Invariants: at most
//! 64 comparators.

use super::{
    ecosystem::AnyEcosystem,
    version_order::{compare, is_version},
};
use std::{cmp::Ordering, str::FromStr};

/// The maximum number of comparators in a range.
const MOST: usize = 64;

/// A range of versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRange {
    /// One of them has to hold.
    alternatives: Vec<Vec<Comparator>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Comparator {
    operator: Operator,
    version: Box<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

/// Longer operators before those that they begin with.
const OPERATORS: [(&str, Operator); 7] = [
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("!=", Operator::NotEqual),
    ("==", Operator::Equal),
    ("<", Operator::Less),
    (">", Operator::Greater),
    ("=", Operator::Equal),
];

/// Why a text is not a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    #[error("`{0}` is not a comparator; expected for example `>=1.2.0,<2.0.0`")]
    Invalid(String),
    #[error("an alternative of the range is empty; expected for example `<1.5 || >=2.0,<2.3`")]
    Empty,
    #[error("the range has more than {MOST} comparators")]
    TooMany,
}

impl FromStr for VersionRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let text = text.replace("||", "|");
        let alternatives: Vec<_> = text.split('|').map(comparators).collect::<Result<_, _>>()?;
        if alternatives.iter().map(Vec::len).sum::<usize>() > MOST {
            return Err(RangeError::TooMany);
        }
        Ok(Self { alternatives })
    }
}

fn comparators(mut text: &str) -> Result<Vec<Comparator>, RangeError> {
    let mut comparators = Vec::new();
    let is_separator = |c: char| c == ',' || c.is_whitespace();
    text = text.trim_matches(is_separator);
    if text.is_empty() {
        return Err(RangeError::Empty);
    }
    if text == "*" {
        return Ok(Vec::new());
    }
    while !text.is_empty() {
        let found = OPERATORS.iter().find(|(sign, _)| text.starts_with(sign));
        let (sign, operator) = found.map_or(("", Operator::Equal), |(sign, of)| (*sign, *of));
        let behind = text[sign.len()..].trim_start();
        let end = behind.find(is_separator).unwrap_or(behind.len());
        let (version, rest) = behind.split_at(end);
        if !version.starts_with(char::is_alphanumeric)
            || version.contains(['<', '>', '=', '^', '*'])
        {
            return Err(RangeError::Invalid(text.chars().take(100).collect()));
        }
        comparators.push(Comparator { operator, version: version.into() });
        if comparators.len() > MOST {
            return Err(RangeError::TooMany);
        }
        text = rest.trim_start_matches(is_separator);
    }
    Ok(comparators)
}

impl VersionRange {
    /// Whether a version is in the range; `None` for a text that has no place in the order of versions.
    pub fn contains(&self, ecosystem: &AnyEcosystem, version: &str) -> Option<bool> {
        is_version(ecosystem, version).then(|| {
            self.alternatives.iter().any(|all| all.iter().all(|one| one.holds(ecosystem, version)))
        })
    }
}

impl Comparator {
    fn holds(&self, ecosystem: &AnyEcosystem, version: &str) -> bool {
        let order = compare(ecosystem, version, &self.version);
        match self.operator {
            Operator::Less => order == Ordering::Less,
            Operator::LessOrEqual => order != Ordering::Greater,
            Operator::Greater => order == Ordering::Greater,
            Operator::GreaterOrEqual => order != Ordering::Less,
            Operator::Equal => order == Ordering::Equal,
            Operator::NotEqual => order != Ordering::Equal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ecosystem::Ecosystem;

    fn matching(ecosystem: Ecosystem, range: &str) -> Vec<&'static str> {
        let range: VersionRange = range.parse().unwrap();
        let all = ["1.0.0-rc.1", "1.0.0", "1.9.0", "1.10.0", "2.0.0", "10.0.0"];
        all.into_iter()
            .filter(|version| range.contains(&ecosystem.into(), version) == Some(true))
            .collect()
    }

    #[test]
    fn ranges_contain_versions_by_their_order() {
        let npm = |range| matching(Ecosystem::Npm, range);
        assert_eq!(npm(">=1.0.0,<2.0.0"), ["1.0.0", "1.9.0", "1.10.0"]);
        assert_eq!(npm(">= 1.9.0 < 2"), ["1.9.0", "1.10.0"]);
        assert_eq!(npm("<1.0.0 || >= 10"), ["1.0.0-rc.1", "10.0.0"]);
        assert_eq!(npm("1.0|2"), ["1.0.0", "2.0.0"]);
        assert_eq!(npm("!=1.0.0, <=1.9.0"), ["1.0.0-rc.1", "1.9.0"]);
        assert_eq!(npm("==1.10"), ["1.10.0"]);
        assert_eq!(npm("*").len(), 6);
        assert_eq!(matching(Ecosystem::PyPi, "<1.0"), ["1.0.0-rc.1"]);
        let any: VersionRange = "*".parse().unwrap();
        assert_eq!(any.contains(&Ecosystem::Docker.into(), "latest"), None);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", " ", ">=", "<1,>", "^1.2", "1 ||", "|1", ">=<1", "1.*", "~1.2", ">1 | ,"] {
            assert!(text.parse::<VersionRange>().is_err(), "{text:?}");
        }
        let many = vec!["1"; MOST + 1];
        assert_eq!(many.join("|").parse::<VersionRange>(), Err(RangeError::TooMany));
        assert_eq!(many.join(" ").parse::<VersionRange>(), Err(RangeError::TooMany));
    }
}
