//! Versions of numbers and words, where an ecosystem ranks the words: Maven, `RubyGems`, Composer, and formats without
//! rules of their own.
//!
//! Input: the ranks of words, two versions. Output: their order. A version is read as runs of digits and runs of
//! letters; everything else separates. A word with a negative rank makes a version older than the same version
//! without it, one with a positive rank newer; the end has rank zero.
//!
//! Invariants: no allocation. Sources: Maven's "Version Order Specification" (POM reference), `RubyGems`'
//! `Gem::Version`, Composer's "Versions and constraints" with PHP's `version_compare`, Perl's `version`.

use super::{lower, numbers};
use std::cmp::Ordering;

/// How an ecosystem orders words.
#[derive(Debug)]
pub(super) struct Ranks {
    /// Words in lower case with their ranks. Words of equal rank are equal.
    known: &'static [(&'static str, i8)],
    /// The same for words that count only directly before a digit: `1.0b2` is a beta, `1.0-b` is not.
    letters: &'static [(&'static str, i8)],
    /// The rank of all other words, which are ordered by their letters.
    other: i8,
    hyphen: Hyphen,
}

/// What a hyphen before a number does.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hyphen {
    /// As a dot.
    Separates,
    /// Makes it less than a number after a dot, and ends what is before it: `1.0-1` is `1-1`.
    Descends,
    /// Stands for the word `pre`.
    IsPreRelease,
}

/// Formats without rules, and versions that break their rules: the words that pre-releases usually have.
pub(super) static USUAL: Ranks = Ranks {
    known: &[
        ("dev", -6),
        ("nightly", -6),
        ("snapshot", -6),
        ("a", -5),
        ("alpha", -5),
        ("b", -4),
        ("beta", -4),
        ("m", -3),
        ("milestone", -3),
        ("preview", -2),
        ("pre", -2),
        ("c", -1),
        ("cr", -1),
        ("rc", -1),
        ("final", 0),
        ("release", 0),
    ],
    letters: &[],
    other: 1,
    hyphen: Hyphen::Separates,
};

pub(super) static MAVEN: Ranks = Ranks {
    known: &[
        ("alpha", -5),
        ("beta", -4),
        ("milestone", -3),
        ("rc", -2),
        ("cr", -2),
        ("snapshot", -1),
        ("ga", 0),
        ("final", 0),
        ("release", 0),
        ("sp", 1),
    ],
    other: 2,
    hyphen: Hyphen::Descends,
    letters: &[("a", -5), ("b", -4), ("m", -3)],
};

/// Any word makes a pre-release.
pub(super) static GEM: Ranks =
    Ranks { known: &[], letters: &[], other: -1, hyphen: Hyphen::IsPreRelease };

pub(super) static COMPOSER: Ranks = Ranks {
    known: &[
        ("dev", -5),
        ("a", -4),
        ("alpha", -4),
        ("b", -3),
        ("beta", -3),
        ("rc", -2),
        ("c", -2),
        ("stable", 0),
        ("p", 1),
        ("pl", 1),
        ("patch", 1),
    ],
    letters: &[],
    // The name of a branch.
    other: -6,
    hyphen: Hyphen::Separates,
};

#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    Number { digits: &'a str, after_hyphen: bool },
    Word { text: &'a str, rank: i8 },
}

pub(super) fn compare(ranks: &Ranks, a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (Parts::of(a, ranks), Parts::of(b, ranks));
    loop {
        let (x, y) = (a.next(), b.next());
        if x.is_none() && y.is_none() {
            return Ordering::Equal;
        }
        let order = rank(x).cmp(&rank(y)).then_with(|| ranks.within(x, y));
        if order.is_ne() {
            return order;
        }
    }
}

/// The rank of a part: a number ranks above all words.
fn rank(part: Option<Part<'_>>) -> i8 {
    match part {
        None => 0,
        Some(Part::Number { .. }) => i8::MAX,
        Some(Part::Word { rank, .. }) => rank,
    }
}

impl Ranks {
    /// The rank of a word; `is_before_digit`: whether a digit follows it directly.
    fn of(&self, word: &str, is_before_digit: bool) -> i8 {
        let letters = if is_before_digit { self.letters } else { &[] };
        let mut known = self.known.iter().chain(letters);
        let known = known.find(|(known, _)| known.eq_ignore_ascii_case(word));
        known.map_or(self.other, |(_, rank)| *rank)
    }

    /// The order of two parts of equal rank.
    fn within(&self, x: Option<Part<'_>>, y: Option<Part<'_>>) -> Ordering {
        match (x, y) {
            (
                Some(Part::Number { digits: x, after_hyphen: x_after }),
                Some(Part::Number { digits: y, after_hyphen: y_after }),
            ) => {
                let hyphens = match self.hyphen {
                    Hyphen::Descends => y_after.cmp(&x_after),
                    Hyphen::Separates | Hyphen::IsPreRelease => Ordering::Equal,
                };
                hyphens.then_with(|| numbers(x, y))
            }
            (Some(Part::Word { text: x, rank }), Some(Part::Word { text: y, .. }))
                if rank == self.other =>
            {
                lower(x).cmp(lower(y))
            }
            _ => Ordering::Equal,
        }
    }
}

/// The parts of a version, up to its build metadata. Zeros before a word or the end are skipped: `1.0` is `1`.
struct Parts<'a, 'r> {
    rest: &'a str,
    ranks: &'r Ranks,
    /// How many zeros that follow are known to have a number behind them.
    kept_zeros: usize,
    /// Whether a part was read.
    begun: bool,
}

impl<'a, 'r> Parts<'a, 'r> {
    fn of(version: &'a str, ranks: &'r Ranks) -> Self {
        let version = version.split_once('+').map_or(version, |(version, _)| version);
        let rest = match version.strip_prefix(['v', 'V']) {
            Some(rest) if begins_with_digit(rest) => rest,
            _ => version,
        };
        Self { rest, ranks, kept_zeros: 0, begun: false }
    }

    fn part(&mut self) -> Option<Part<'a>> {
        let start = self.rest.find(char::is_alphanumeric).unwrap_or(self.rest.len());
        let (separator, rest) = self.rest.split_at(start);
        let is_hyphen = separator.contains('-');
        if is_hyphen && self.ranks.hyphen == Hyphen::IsPreRelease {
            self.rest = rest;
            let pre = Part::Word { text: "pre", rank: self.ranks.of("pre", false) };
            return (!rest.is_empty()).then_some(pre);
        }
        // From letters to digits is a hyphen too.
        let after_hyphen = is_hyphen || (separator.is_empty() && self.begun);
        self.begun = true;
        let is_digit = begins_with_digit(rest);
        let end = rest.find(|c: char| !c.is_alphanumeric() || c.is_ascii_digit() != is_digit);
        let (part, rest) = rest.split_at(end.unwrap_or(rest.len()));
        self.rest = rest;
        if part.is_empty() {
            return None;
        }
        Some(if is_digit {
            Part::Number { digits: part, after_hyphen }
        } else {
            Part::Word { text: part, rank: self.ranks.of(part, begins_with_digit(rest)) }
        })
    }

    /// Whether zeros before this part count: it is a number, and not what a hyphen begins.
    fn keeps_zeros(&self, part: Option<Part<'_>>) -> bool {
        let Some(Part::Number { after_hyphen, .. }) = part else { return false };
        !(after_hyphen && self.ranks.hyphen == Hyphen::Descends)
    }
}

fn begins_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

fn is_zero(part: Option<Part<'_>>) -> bool {
    let Some(Part::Number { digits, .. }) = part else { return false };
    digits.bytes().all(|digit| digit == b'0')
}

impl<'a> Iterator for Parts<'a, '_> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let part = self.part();
        if !is_zero(part) {
            return part;
        }
        if self.kept_zeros > 0 {
            self.kept_zeros -= 1;
            return part;
        }
        let mut ahead = Parts { rest: self.rest, ..*self };
        let mut zeros = 0;
        let mut behind = ahead.part();
        while is_zero(behind) && self.keeps_zeros(behind) {
            zeros += 1;
            behind = ahead.part();
        }
        if self.keeps_zeros(behind) {
            self.kept_zeros = zeros;
            return part;
        }
        self.rest = ahead.rest;
        behind
    }
}

/// Perl's versions: `1.2` is a decimal fraction (`v1.200`), `v1.2` and `1.2.3` are lists of numbers, which are equal from
/// 2^64 on.
pub(super) fn perl(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (PerlNumbers::of(a), PerlNumbers::of(b));
    loop {
        let (x, y) = (a.next(), b.next());
        if x.is_none() && y.is_none() {
            return Ordering::Equal;
        }
        let order = x.unwrap_or(0).cmp(&y.unwrap_or(0));
        if order.is_ne() {
            return order;
        }
    }
}

/// The numbers of a version of Perl.
struct PerlNumbers<'a> {
    rest: &'a str,
    is_decimal: bool,
    in_fraction: bool,
}

impl<'a> PerlNumbers<'a> {
    fn of(version: &'a str) -> Self {
        let rest = version.strip_prefix('v').unwrap_or(version);
        let is_decimal = rest.len() == version.len() && rest.matches('.').count() < 2;
        Self { rest, is_decimal, in_fraction: false }
    }
}

impl Iterator for PerlNumbers<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let rest = self.rest.trim_start_matches(|c: char| !c.is_ascii_digit());
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if digits == 0 {
            return None;
        }
        let (length, scale) = match self.is_decimal && self.in_fraction {
            true if digits < 3 => (digits, 10_u64.pow(3 - u32::try_from(digits).unwrap_or(0))),
            true => (3, 1),
            false => (digits, 1),
        };
        self.in_fraction = true;
        self.rest = &rest[length..];
        Some(rest[..length].parse().map_or(u64::MAX, |number: u64| number.saturating_mul(scale)))
    }
}
