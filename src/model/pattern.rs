//! Patterns on the names of a group's repositories: text comes in, a verdict on names goes out.
//!
//! `*` stands for any run of characters within a segment, `?` for one of them, `**` for any run
//! across segments (`**/` also for none at all). A pattern is matched whole and with regard to
//! case; one without `/` is also matched with a name's last segment alone.
//!
//! What must stay true: a match costs at most the pattern's length times the name's, whatever
//! either of them says.

use std::{fmt, str::FromStr};

/// The longest pattern, in characters.
pub const LONGEST: usize = 200;
/// The most patterns of one list.
pub const MOST: usize = 100;

/// A pattern that has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("a pattern is empty")]
    Empty,
    #[error("a pattern is longer than {LONGEST} characters")]
    Long,
    #[error("a pattern has control characters in it")]
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
        if text.contains(char::is_control) {
            return Err(PatternError::Characters);
        }
        if text.starts_with('/') || text.ends_with('/') {
            return Err(PatternError::Slash(text.to_owned()));
        }
        Ok(Self { text: text.to_owned(), parts: parts(text) })
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
        let last = name.rsplit('/').next().filter(|_| !self.text.contains('/'));
        self.matches_whole(name) || last.is_some_and(|it| self.matches_whole(it))
    }

    /// Follows all ways through the pattern at once: `reached[i]` says that the parts before `i`
    /// stand for what has been read.
    fn matches_whole(&self, name: &str) -> bool {
        let mut reached = vec![false; self.parts.len() + 1];
        let mut next = reached.clone();
        reached[0] = true;
        self.pass_over(&mut reached, None);
        for c in name.chars() {
            next.fill(false);
            for (at, part) in self.parts.iter().enumerate().filter(|(at, _)| reached[*at]) {
                match part {
                    Part::Char(wanted) => next[at + 1] |= *wanted == c,
                    Part::One => next[at + 1] |= c != '/',
                    Part::Within => next[at] |= c != '/',
                    Part::Across | Part::Segments => next[at] = true,
                }
            }
            self.pass_over(&mut next, Some(c));
            std::mem::swap(&mut reached, &mut next);
            if !reached.contains(&true) {
                return false;
            }
        }
        reached[self.parts.len()]
    }

    /// Goes past the parts that stand for nothing (more), after this character.
    fn pass_over(&self, reached: &mut [bool], after: Option<char>) {
        for (at, part) in self.parts.iter().enumerate() {
            let passed = match part {
                Part::Char(_) | Part::One => false,
                Part::Within | Part::Across => true,
                Part::Segments => matches!(after, None | Some('/')),
            };
            reached[at + 1] |= reached[at] && passed;
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
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
        parts.push(part);
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

    proptest! {
        #[test]
        fn all_ways_at_once_find_what_each_way_alone_finds(
            pattern in "[ab/*?]{1,8}", name in "[ab/]{0,8}"
        ) {
            let Ok(pattern) = pattern.parse::<Pattern>() else { return Ok(()) };
            let chars: Vec<char> = name.chars().collect();
            prop_assert_eq!(pattern.matches_whole(&name), by_definition(&pattern.parts, &chars));
        }
    }
}
