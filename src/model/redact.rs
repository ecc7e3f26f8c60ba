//! Hides secrets in text that leaves a scanner or a forge: logs, errors, status, results.
//!
//! A secret is looked for as it is, and in every form that tools put it into on the way:
//!
//! | form | written by | example of `a/"é` |
//! |---|---|---|
//! | as it is, in any case of its letters | | `a/"é` |
//! | percent-encoded, any characters of it, in digits of either case | URLs | `a%2F%22%C3%A9` |
//! | form-encoded: a blank is `+` | forms, queries | |
//! | percent-encoded up to four times | proxies, redirects | `a%252F%2522%25C3%25A9` |
//! | base64 from each of the three places in a group, padded or not | Basic credentials | `YS8iw6k=` |
//! | base64url, likewise | tokens | `YS8iw6k` |
//! | base64 of `user:secret`, whole | `Authorization` | |
//! | hexadecimal, in digits of either case | dumps | `612f22c3a9` |
//! | JSON: `\"`, `\/`, `\n`, `\uXXXX`, also within JSON | APIs | `a\/\"\u00e9` |
//! | XML and HTML: `&quot;`, `&#34;`, `&#x22;`, also escaped once more | error pages | `a/&quot;&#233;` |
//! | C and git: `\303\251`, `\x22`, `\"` | quoted paths | `a/\"\303\251` |
//! | shell: `'\''`, `\ ` | command lines | |
//! | any of them over the end of a line, or where lines were joined | wrapped base64, `remote: …` | |
//! | the beginning of any of them, before a `…` | text that was shortened | `a/"…` |
//!
//! Invariants: text without a secret comes out as it came; what comes out has no form of
//! a secret left; work grows with the text, not with its square. A secret that goes on behind the
//! end of a text is not found in it: [`Redactor::settled`] says from where on that may be.

mod forms;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod reader;
#[cfg(test)]
mod tests;

use super::task::Credentials;
use forms::{Pattern, Places};
use std::{borrow::Cow, fmt, ops::Range};

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// Shorter secrets are not looked for, in bytes: they would mask half of every log. Of a secret
/// that is cut off, as many characters have to be there.
pub const SHORTEST: usize = 4;

/// Finds the forms of a set of secrets.
#[derive(Clone, Default)]
pub struct Redactor {
    patterns: Vec<Pattern>,
    /// By a byte: the patterns that a text may begin with that begins with this byte.
    by_first_byte: Vec<Vec<usize>>,
}

/// What one look at a text tells.
#[derive(Debug, Default)]
struct Look {
    /// Where secrets are, in order; none touches the next.
    secrets: Vec<Range<usize>>,
    /// Where what could be one begins that goes on behind the end, and how many of its characters
    /// are there.
    unfinished: Vec<(usize, usize)>,
}

impl Redactor {
    /// A redactor of these secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let known = secrets.into_iter().filter(|it| it.len() >= SHORTEST);
        Self::of(forms::of_all(known.flat_map(forms::of_secret)))
    }

    /// A redactor of a login: its password, and the header that is made of both.
    pub fn of_login(login: Option<&Credentials>) -> Self {
        let known = login.into_iter().filter(|it| it.password.len() >= SHORTEST);
        Self::of(forms::of_all(known.flat_map(|it| {
            let pair = forms::of_pair(&it.username, &it.password);
            forms::of_secret(&it.password).chain([pair])
        })))
    }

    fn of(patterns: Vec<Pattern>) -> Self {
        let mut by_first_byte = vec![Vec::new(); 256];
        for (number, pattern) in patterns.iter().enumerate() {
            for byte in pattern.first_bytes() {
                by_first_byte[usize::from(byte)].push(number);
            }
        }
        Self { patterns, by_first_byte }
    }

    /// The text with every form of every secret masked.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        loop {
            let secrets = self.look(&text).secrets;
            if secrets.is_empty() {
                return text;
            }
            let mut shown = String::with_capacity(text.len());
            let mut end = 0;
            for secret in secrets {
                shown.push_str(&text[end..secret.start]);
                shown.push_str(MASK);
                end = secret.end;
            }
            shown.push_str(&text[end..]);
            // Once more: with its neighbours, a mask may be what a secret with * in it looks like.
            // Each round is shorter than the last.
            text = Cow::Owned(shown);
        }
    }

    /// How much of the text is settled: before this place nothing begins that could be a secret,
    /// of which at least `known` characters are there already and the rest is yet to come.
    pub fn settled(&self, text: &str, known: usize) -> usize {
        let Look { secrets, unfinished } = self.look(text);
        let begin = unfinished.into_iter().filter(|it| it.1 >= known).map(|it| it.0).min();
        let begin = begin.unwrap_or(text.len());
        // One that is whole is not parted either: its end may be the beginning of the next.
        let parted = secrets.into_iter().find(|it| it.start < begin && begin < it.end);
        parted.map_or(begin, |it| it.start)
    }

    fn look(&self, text: &str) -> Look {
        let mut look = Look::default();
        if self.patterns.is_empty() {
            return look;
        }
        let mut places = Places::default();
        for (start, byte) in text.bytes().enumerate() {
            // No character begins with the later bytes of another: this is the place of one.
            for number in &self.by_first_byte[usize::from(byte)] {
                let found = self.patterns[*number].find_at(text, start, &mut places);
                if let Some(units) = found.unfinished {
                    look.unfinished.push((start, units));
                }
                let Some(end) = found.end else { continue };
                match look.secrets.last_mut() {
                    Some(last) if last.end >= start => last.end = last.end.max(end),
                    _ => look.secrets.push(start..end),
                }
            }
        }
        look
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms)", self.patterns.len())
    }
}
