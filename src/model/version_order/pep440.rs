//! Versions of Python packages.
//!
//! Input: two versions. Output: their order. Invariants: a version that is not one of PEP 440 is older than all that are
//! (as `packaging` had it), and two of these are ordered by their words. Source: "Version specifiers", section
//! "Version scheme", and its appendix for the accepted spellings (packaging.python.org).

use super::{is_number, numbers, words};
use std::cmp::Ordering;

pub(super) fn compare(a: &str, b: &str) -> Ordering {
    match (Version::parse(a), Version::parse(b)) {
        (Some(x), Some(y)) => x.order(&y),
        (None, None) => words::compare(&words::USUAL, a, b),
        (x, y) => x.is_some().cmp(&y.is_some()),
    }
}

pub(super) fn is_version(text: &str) -> bool {
    Version::parse(text).is_some()
}

/// A version, in lower case; a number that is not written is an empty text.
#[derive(Debug, Default)]
struct Version {
    epoch: String,
    release: Vec<String>,
    /// Alpha, beta or release candidate, and its number.
    pre: Option<(u8, String)>,
    post: Option<String>,
    dev: Option<String>,
    local: Vec<String>,
}

impl Version {
    fn parse(version: &str) -> Option<Self> {
        let lower = version.to_ascii_lowercase();
        let text = lower.strip_prefix('v').unwrap_or(&lower);
        let (public, local) = match text.split_once('+') {
            Some((public, local)) => (public, Some(local)),
            None => (text, None),
        };
        let mut parsed = Self::default();
        if let Some(local) = local {
            parsed.local = local.split(['.', '-', '_']).map(str::to_owned).collect();
            if !parsed.local.iter().all(|part| !part.is_empty() && part.is_ascii()) {
                return None;
            }
        }
        let mut rest = public;
        if let Some((epoch, release)) = public.split_once('!') {
            (parsed.epoch, rest) = (is_number(epoch).then(|| epoch.to_owned())?, release);
        }
        loop {
            parsed.release.push(Some(number(&mut rest)).filter(|digits| !digits.is_empty())?);
            match rest.strip_prefix('.') {
                Some(next) if next.starts_with(|c: char| c.is_ascii_digit()) => rest = next,
                _ => break,
            }
        }
        // 1.0-1 is the first post-release.
        let is_implicit = |rest: &str| {
            rest.strip_prefix('-')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        if let Some(rank) = word(
            &mut rest,
            &[
                ("alpha", 0),
                ("a", 0),
                ("beta", 1),
                ("b", 1),
                ("preview", 2),
                ("pre", 2),
                ("rc", 2),
                ("c", 2),
            ],
        ) {
            parsed.pre = Some((rank, number(&mut rest)));
        }
        if is_implicit(rest) {
            rest = &rest[1..];
            parsed.post = Some(number(&mut rest));
        } else if word(&mut rest, &[("post", 0), ("rev", 0), ("r", 0)]).is_some() {
            parsed.post = Some(number(&mut rest));
        }
        if word(&mut rest, &[("dev", 0)]).is_some() {
            parsed.dev = Some(number(&mut rest));
        }
        rest.is_empty().then_some(parsed)
    }

    fn order(&self, other: &Self) -> Ordering {
        let release = || {
            let most = self.release.len().max(other.release.len());
            let at = |of: &Self, index: usize| of.release.get(index).cloned().unwrap_or_default();
            let each = (0..most).map(|index| numbers(&at(self, index), &at(other, index)));
            each.fold(Ordering::Equal, Ordering::then)
        };
        numbers(&self.epoch, &other.epoch)
            .then_with(release)
            .then_with(|| self.pre_key().cmp(&other.pre_key()))
            .then_with(|| numbers(self.pre_number(), other.pre_number()))
            .then_with(|| optional(self.post.as_deref(), other.post.as_deref()))
            // A development release is older than what it leads to.
            .then_with(|| other.dev.is_some().cmp(&self.dev.is_some()))
            .then_with(|| optional(self.dev.as_deref(), other.dev.as_deref()))
            .then_with(|| self.local_order(other))
    }

    /// `1.dev1` is older than `1a1`, which is older than `1`.
    fn pre_key(&self) -> u8 {
        match &self.pre {
            Some((rank, _)) => rank + 1,
            None if self.post.is_none() && self.dev.is_some() => 0,
            None => u8::MAX,
        }
    }

    fn pre_number(&self) -> &str {
        self.pre.as_ref().map_or("", |(_, number)| number)
    }

    /// A number is newer than a word; more parts are newer than fewer.
    fn local_order(&self, other: &Self) -> Ordering {
        let each =
            self.local.iter().zip(&other.local).map(|(x, y)| match (is_number(x), is_number(y)) {
                (true, true) => numbers(x, y),
                (false, false) => x.cmp(y),
                (x, y) => x.cmp(&y),
            });
        each.fold(Ordering::Equal, Ordering::then).then(self.local.len().cmp(&other.local.len()))
    }
}

fn optional(a: Option<&str>, b: Option<&str>) -> Ordering {
    a.is_some().cmp(&b.is_some()).then_with(|| numbers(a.unwrap_or(""), b.unwrap_or("")))
}

/// Takes one of these words with the separators around it.
fn word(rest: &mut &str, words: &[(&str, u8)]) -> Option<u8> {
    let text = rest.strip_prefix(['.', '-', '_']).unwrap_or(rest);
    let (name, rank) = words.iter().find(|(word, _)| text.starts_with(word))?;
    let text = &text[name.len()..];
    let after = text.strip_prefix(['.', '-', '_']);
    let has_number = |text: &&str| text.starts_with(|c: char| c.is_ascii_digit());
    *rest = after.filter(has_number).unwrap_or(text);
    Some(*rank)
}

/// Takes digits, which may be none.
fn number(rest: &mut &str) -> String {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, behind) = rest.split_at(end);
    *rest = behind;
    digits.to_owned()
}
