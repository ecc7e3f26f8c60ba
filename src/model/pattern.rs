//! Patterns on the names of a group's repositories: text comes in, a verdict on names goes out.
//!
//! `*` stands for any run of characters within a segment, `?` for one of them, `**` for any run
//! across segments (`**/` also for none at all). A pattern is matched whole and with regard to
//! case; one without `/` is also matched with a name's last segment alone.
//!
//! Invariants: a match costs a few machine words for each character of the name, whatever
//! either of them says: all ways through the pattern are followed at once, a bit for each.

use super::unseen::is_invisible;
use std::{fmt, str::FromStr};

/// The longest pattern, in characters.
pub const LONGEST: usize = 200;
/// The most patterns of one list.
pub const MOST: usize = 100;

/// A pattern that has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    automaton: Automaton,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("a pattern is empty")]
    Empty,
    #[error("a pattern is longer than {LONGEST} characters")]
    Long,
    #[error("a pattern has control or invisible characters in it")]
    Characters,
    #[error("`{0}` begins or ends with /: names are matched below the group, without it")]
    Slash(String),
    #[error("more than {MOST} patterns")]
    Many,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Char(char),
    /// `?`
    One,
    /// `*`
    Within,
    /// `**`
    Across,
    /// `**/`, where a segment begins: any number of whole segments.
    Segments,
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.chars().count() > LONGEST {
            return Err(PatternError::Long);
        }
        if text.contains(is_invisible) {
            return Err(PatternError::Characters);
        }
        if text.starts_with('/') || text.ends_with('/') {
            return Err(PatternError::Slash(text.to_owned()));
        }
        Ok(Self { text: text.to_owned(), automaton: Automaton::new(&parts(text)) })
    }
}

impl Pattern {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Reads a list of patterns.
    ///
    /// # Errors
    /// The first that is none, or that there are too many.
    pub fn list<T: AsRef<str>>(texts: &[T]) -> Result<Vec<Self>, PatternError> {
        if texts.len() > MOST {
            return Err(PatternError::Many);
        }
        texts.iter().map(|it| it.as_ref().parse()).collect()
    }

    /// Whether the pattern stands for this name.
    pub fn matches(&self, name: &str) -> bool {
        // Of a name without `/` the last segment is the name.
        let last = name.rsplit_once('/').filter(|_| !self.text.contains('/')).map(|(_, it)| it);
        self.automaton.accepts(name) || last.is_some_and(|it| self.automaton.accepts(it))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A set of places in a pattern, a bit for each: place `i` is before its part `i`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Places(u128, u128);

/// The longest pattern has a place for each part, and one at its end.
const _: () = assert!(LONGEST < 256);

impl Places {
    fn at(place: usize) -> Self {
        if place < 128 { Self(1 << place, 0) } else { Self(0, 1 << (place - 128)) }
    }

    fn is_empty(self) -> bool {
        self.0 | self.1 == 0
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 & other.0, self.1 & other.1)
    }

    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0, self.1 | other.1)
    }

    /// The places behind these.
    fn next(self) -> Self {
        Self(self.0 << 1, self.1 << 1 | self.0 >> 127)
    }
}

/// A pattern as sets of the places before parts of each kind.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Automaton {
    /// Before each character that the pattern names, sorted by character.
    chars: Vec<(char, Places)>,
    /// Before `?`.
    one: Places,
    /// Before what stands for any run of characters within a segment.
    within: Places,
    /// Before what stands for any run of characters.
    across: Places,
    /// Before what stands for nothing, too, wherever it is met: `*`, `**`.
    empty: Places,
    /// Before what stands for nothing, too, where a segment begins: `**/`.
    empty_at_segment: Places,
    end: Places,
}

impl Automaton {
    fn new(parts: &[Part]) -> Self {
        let before = |wanted: &dyn Fn(Part) -> bool| {
            let meant = parts.iter().enumerate().filter(|(_, part)| wanted(**part));
            meant.fold(Places::default(), |places, (at, _)| places.or(Places::at(at)))
        };
        let mut chars: Vec<char> = parts
            .iter()
            .filter_map(|it| if let Part::Char(c) = it { Some(*c) } else { None })
            .collect();
        chars.sort_unstable();
        chars.dedup();
        let chars = chars.into_iter().map(|c| (c, before(&|it| it == Part::Char(c)))).collect();
        Self {
            chars,
            one: before(&|it| it == Part::One),
            within: before(&|it| it == Part::Within),
            across: before(&|it| matches!(it, Part::Across | Part::Segments)),
            empty: before(&|it| matches!(it, Part::Within | Part::Across)),
            empty_at_segment: before(&|it| it == Part::Segments),
            end: Places::at(parts.len()),
        }
    }

    /// Whether the whole name is what the pattern stands for.
    fn accepts(&self, name: &str) -> bool {
        let mut reached = self.pass(Places::at(0), true);
        for c in name.chars() {
            let named = self.chars.binary_search_by_key(&c, |(named, _)| *named);
            let mut moved = match named.ok().and_then(|at| self.chars.get(at)) {
                Some((_, places)) => reached.and(*places),
                None => Places::default(),
            };
            let mut stays = reached.and(self.across);
            if c != '/' {
                moved = moved.or(reached.and(self.one));
                stays = stays.or(reached.and(self.within));
            }
            reached = self.pass(moved.next().or(stays), c == '/');
            if reached.is_empty() {
                return false;
            }
        }
        !reached.and(self.end).is_empty()
    }

    /// Goes past the parts that stand for nothing (more).
    fn pass(&self, mut reached: Places, segment_begins: bool) -> Places {
        // At most two of them stand side by side: `parts` joins any others.
        for _ in 0..2 {
            reached = reached.or(reached.and(self.empty).next());
            if segment_begins {
                reached = reached.or(reached.and(self.empty_at_segment).next());
            }
        }
        reached
    }
}

/// Reads a pattern. Runs of signs that stand for the same as one of them are that one.
fn parts(text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let begins = matches!(parts.last(), None | Some(Part::Char('/') | Part::Segments));
        let part = if rest.starts_with("**/") && begins {
            rest = &rest[3..];
            Part::Segments
        } else if rest.starts_with("**") {
            rest = &rest[2..];
            Part::Across
        } else {
            rest = &rest[c.len_utf8()..];
            match c {
                '*' => Part::Within,
                '?' => Part::One,
                other => Part::Char(other),
            }
        };
        match (parts.last(), part) {
            (Some(Part::Across), Part::Across | Part::Within)
            | (Some(Part::Segments), Part::Segments) => {}
            _ => parts.push(part),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let pattern: Pattern = pattern.parse().unwrap();
        for name in yes {
            assert!(pattern.matches(name), "`{pattern}` is to match {name}");
        }
        for name in no {
            assert!(!pattern.matches(name), "`{pattern}` is not to match {name}");
        }
    }

    #[test]
    fn each_sign_stands_for_what_is_said_of_it() {
        check("api", &["api", "web/api"], &["apis", "api/web", "API"]);
        check("web/api", &["web/api"], &["x/web/api", "api"]);
        check("*-old", &["a-old", "web/-old"], &["a-old-b", "x-old/web"]);
        check("web/*", &["web/api", "web/"], &["web/a/b", "web"]);
        check("web/**", &["web/api", "web/a/b"], &["web", "webs/a"]);
        check("**/api", &["api", "web/api", "a/b/api"], &["webapi", "a/bapi"]);
        check("a/**/z", &["a/z", "a/b/z", "a/b/c/z"], &["az", "a/bz"]);
        check("v?", &["v1", "a/v1", "vä"], &["v", "v12", "v/"]);
        check("*", &["a", "a/b"], &[]);
        check("a**z", &["az", "a/b/z"], &["a/b"]);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, refused) in [
            ("", PatternError::Empty),
            ("a\nb", PatternError::Characters),
            ("/a", PatternError::Slash("/a".into())),
            ("a/", PatternError::Slash("a/".into())),
            (&"ä".repeat(LONGEST + 1), PatternError::Long),
        ] {
            assert_eq!(text.parse::<Pattern>(), Err(refused), "{text}");
        }
        assert!("ä".repeat(LONGEST).parse::<Pattern>().is_ok());
        assert_eq!(Pattern::list(&vec!["a"; MOST + 1]), Err(PatternError::Many));
    }

    /// Whoever tries one way after the other does not come back from this.
    #[test]
    fn no_pattern_makes_a_match_explode() {
        let name = format!("{}b", "a".repeat(1000));
        check(&"*a".repeat(LONGEST / 2), &[], &[&name]);
        check(&"**a".repeat(LONGEST / 3), &[], &[&name]);
        check(&format!("{}x", "**/".repeat(60)), &[], &[&"a/".repeat(500)]);
    }

    /// The same by the definition, one way after the other.
    fn by_definition(parts: &[Part], name: &[char]) -> bool {
        let Some((part, rest)) = parts.split_first() else { return name.is_empty() };
        let skips = |allowed: fn(char) -> bool| {
            (0..=name.len())
                .take_while(|to| name[..*to].iter().all(|c| allowed(*c)))
                .any(|to| by_definition(rest, &name[to..]))
        };
        match part {
            Part::Char(wanted) => name.first() == Some(wanted) && by_definition(rest, &name[1..]),
            Part::One => name.first().is_some_and(|c| *c != '/') && by_definition(rest, &name[1..]),
            Part::Within => skips(|c| c != '/'),
            Part::Across => skips(|_| true),
            Part::Segments => (0..=name.len())
                .filter(|to| *to == 0 || name[to - 1] == '/')
                .any(|to| by_definition(rest, &name[to..])),
        }
    }

    /// Where one word ends and the next begins nothing is lost.
    #[test]
    fn patterns_of_any_length_match() {
        for length in [2, 63, 64, 126, 127, 128, 129, LONGEST - 1, LONGEST] {
            let text = "a".repeat(length);
            check(&text, &[&text], &[&text[1..], &format!("{text}a")]);
            let starred = format!("{}*", &text[1..]);
            check(&starred, &[&text, &format!("{text}b")], &[&format!("b{text}")]);
        }
    }

    proptest! {
        #[test]
        fn all_ways_at_once_find_what_each_way_alone_finds(
            text in "[ab/*?]{1,8}", name in "[ab/]{0,8}"
        ) {
            let Ok(pattern) = text.parse::<Pattern>() else { return Ok(()) };
            let chars: Vec<char> = name.chars().collect();
            prop_assert_eq!(pattern.automaton.accepts(&name), by_definition(&parts(&text), &chars));
        }
    }
}
