//! Patterns for the names of a group's repositories, and for paths within a repository.
//!
//! Input: a pattern, names. Output: whether they match.
//!
//! `*` matches any characters within a segment, `?` one of them, `**` any characters across
//! segments (`**/` also none at all). A pattern must match the whole name, and case matters; a
//! pattern without `/` is also matched against a name's last segment. For paths, a pattern that matches
//! a folder matches everything below it; without `/`, the folder or file may be anywhere.
//!
//! Invariants: a match costs a few machine words for each character of the name, whatever pattern
//! and name contain: all paths through the pattern are followed at once, one bit for each.

use super::control_chars::is_invisible;
use std::{fmt, str::FromStr};

/// The longest pattern, in characters.
pub const LONGEST: usize = 200;
/// The most patterns of one list.
pub const MOST: usize = 100;

/// A valid pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    automaton: Automaton,
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("a pattern is empty")]
    Empty,
    #[error("a pattern is longer than {LONGEST} characters")]
    Long,
    #[error("a pattern contains control or invisible characters")]
    Characters,
    #[error(
        "`{0}` starts or ends with /: patterns are matched against paths relative to the group or repository"
    )]
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
    /// `**/` at the start of a segment: any number of whole segments.
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
    /// The pattern's text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Parses a list of patterns.
    ///
    /// # Errors
    /// The first invalid pattern, or that there are too many.
    pub fn list<T: AsRef<str>>(texts: &[T]) -> Result<Vec<Self>, PatternError> {
        if texts.len() > MOST {
            return Err(PatternError::Many);
        }
        texts.iter().map(|text| text.as_ref().parse()).collect()
    }

    /// Parses a pattern for paths within a repository; a `/` at its end, for a folder, is ignored.
    ///
    /// # Errors
    /// Why the text is not a pattern.
    pub fn of_path(text: &str) -> Result<Self, PatternError> {
        text.strip_suffix('/').unwrap_or(text).parse()
    }

    /// Parses a list of patterns for paths within a repository.
    ///
    /// # Errors
    /// The first invalid pattern, or that there are too many.
    pub fn list_of_paths<T: AsRef<str>>(texts: &[T]) -> Result<Vec<Self>, PatternError> {
        if texts.len() > MOST {
            return Err(PatternError::Many);
        }
        texts.iter().map(|text| Self::of_path(text.as_ref())).collect()
    }

    /// Whether the pattern matches this path or a folder that contains it.
    pub fn matches_path(&self, path: &str) -> bool {
        let anywhere = !self.text.contains('/');
        self.automaton.accepts_start(path)
            || anywhere && path.split('/').any(|segment| self.automaton.accepts(segment))
    }

    /// Whether the pattern matches this name.
    pub fn matches(&self, name: &str) -> bool {
        // A name without `/` is its own last segment.
        let last = name.rsplit_once('/').filter(|_| !self.text.contains('/')).map(|(_, last)| last);
        self.automaton.accepts(name) || last.is_some_and(|last| self.automaton.accepts(last))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A set of positions in a pattern, one bit for each: position `i` is before part `i`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Places(u128, u128);

/// The longest pattern has a position for each part and one at its end.
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

    /// The positions after these.
    fn next(self) -> Self {
        Self(self.0 << 1, self.1 << 1 | self.0 >> 127)
    }
}

/// A pattern as sets of the positions before parts of each kind.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Automaton {
    /// Before each character in the pattern, sorted by character.
    chars: Vec<(char, Places)>,
    /// Before `?`.
    one: Places,
    /// Before parts that match any characters within a segment.
    within: Places,
    /// Before parts that match any characters.
    across: Places,
    /// Before parts that may match nothing anywhere: `*`, `**`.
    empty: Places,
    /// Before parts that may match nothing at the start of a segment: `**/`.
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
            .filter_map(|part| if let Part::Char(c) = part { Some(*c) } else { None })
            .collect();
        chars.sort_unstable();
        chars.dedup();
        let chars = chars.into_iter().map(|c| (c, before(&|part| part == Part::Char(c)))).collect();
        Self {
            chars,
            one: before(&|part| part == Part::One),
            within: before(&|part| part == Part::Within),
            across: before(&|part| matches!(part, Part::Across | Part::Segments)),
            empty: before(&|part| matches!(part, Part::Within | Part::Across)),
            empty_at_segment: before(&|part| part == Part::Segments),
            end: Places::at(parts.len()),
        }
    }

    /// Whether the pattern matches the whole name.
    fn accepts(&self, name: &str) -> bool {
        self.run(name, false)
    }

    /// Whether the pattern matches the whole path, or its beginning before a `/`.
    fn accepts_start(&self, path: &str) -> bool {
        self.run(path, true)
    }

    fn run(&self, name: &str, or_start: bool) -> bool {
        let mut reached = self.pass(Places::at(0), true);
        for c in name.chars() {
            if or_start && c == '/' && !reached.and(self.end).is_empty() {
                return true;
            }
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

    /// Skips the parts that may match nothing (more).
    fn pass(&self, mut reached: Places, segment_begins: bool) -> Places {
        // At most two of them are adjacent: `parts` merges others.
        for _ in 0..2 {
            reached = reached.or(reached.and(self.empty).next());
            if segment_begins {
                reached = reached.or(reached.and(self.empty_at_segment).next());
            }
        }
        reached
    }
}

/// Parses a pattern. Merges adjacent wildcards that are equivalent to one of them.
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
    fn each_wildcard_matches_as_documented() {
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
    fn a_folder_that_matches_contains_what_matches() {
        for (pattern, yes, no) in [
            ("test", &["test", "test/a", "a/test", "a/test/b/c"][..], &["tests/a", "a/btest"][..]),
            ("testdata/", &["testdata/a", "x/testdata/a"], &["testdata2/a"]),
            ("docs/*.txt", &["docs/a.txt", "docs/a.txt/b"], &["docs/a/b.txt", "x/docs/a.txt"]),
            ("examples/**", &["examples/a", "examples/a/b"], &["a/examples/b", "examples"]),
            ("**/fixtures", &["fixtures/a", "a/b/fixtures/c"], &["a/fixture/c"]),
            ("src/test", &["src/test/java/pom.xml"], &["src/tests/x", "a/src/test/x"]),
            ("*.lock", &["Cargo.lock", "a/b/yarn.lock", "x.lock/a"], &["a/lock"]),
            ("a**z", &["az", "a/b/z", "a/z/c"], &["a/b"]),
        ] {
            let parsed = Pattern::of_path(pattern).unwrap();
            for path in yes {
                assert!(parsed.matches_path(path), "`{pattern}` is to match {path}");
            }
            for path in no {
                assert!(!parsed.matches_path(path), "`{pattern}` is not to match {path}");
            }
        }
        assert!(Pattern::of_path("/").is_err() && Pattern::of_path("/a").is_err());
    }

    #[test]
    fn invalid_patterns_are_refused() {
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

    /// A backtracking matcher would not return from this.
    #[test]
    fn no_pattern_makes_a_match_explode() {
        let name = format!("{}b", "a".repeat(1000));
        check(&"*a".repeat(LONGEST / 2), &[], &[&name]);
        check(&"**a".repeat(LONGEST / 3), &[], &[&name]);
        check(&format!("{}x", "**/".repeat(60)), &[], &[&"a/".repeat(500)]);
    }

    /// The definition as a backtracking matcher.
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

    /// Nothing is lost between the two machine words.
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
        fn the_automaton_agrees_with_the_definition(
            text in "[ab/*?]{1,8}", name in "[ab/]{0,8}"
        ) {
            let Ok(pattern) = text.parse::<Pattern>() else { return Ok(()) };
            let chars: Vec<char> = name.chars().collect();
            prop_assert_eq!(pattern.automaton.accepts(&name), by_definition(&parts(&text), &chars));
        }
    }
}
