//! Masks secrets in text that leaves a scanner or a forge client: logs, errors, status, results.
//!
//! A secret is found unchanged and in every encoding that tools apply:
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
//! Input: text. Output: the same text with secrets masked.
//!
//! Invariants: text without a secret is unchanged; masked text contains no form of a secret; the
//! work is linear in the length of the text. A secret that continues after the end of a text is not
//! found: [`Redactor::settled`] returns where such a secret may start.

mod alphabet;
mod forms;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod reader;
#[cfg(test)]
mod tests;

use super::task::Credentials;
use forms::{Pattern, Places};
use std::{borrow::Cow, fmt, ops::Range};

/// The replacement of a secret.
pub const MASK: &str = "***";

/// Shorter secrets are not masked, in bytes: they would mask half of every log. A truncated secret
/// is masked if at least this many characters are left.
pub const SHORTEST: usize = 4;

/// Masks all forms of a set of secrets.
#[derive(Clone, Default)]
pub struct Redactor {
    patterns: Vec<Pattern>,
    /// For each byte: the patterns of which a text that starts with this byte may be a match.
    by_first_byte: Vec<Vec<usize>>,
}

/// The matches in a text.
#[derive(Debug, Default)]
struct Look {
    /// The ranges of secrets, in order, without overlap.
    secrets: Vec<Range<usize>>,
    /// Where a possible secret starts that continues after the end, and how many of its characters
    /// are there.
    unfinished: Vec<(usize, usize)>,
}

impl Redactor {
    /// A redactor of these secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let known = secrets.into_iter().filter(|secret| secret.len() >= SHORTEST);
        Self::of(forms::of_all(known.flat_map(forms::of_secret)))
    }

    /// A redactor for logins: the password of each, and the header that contains both.
    pub fn of_logins<'a>(logins: impl IntoIterator<Item = &'a Credentials>) -> Self {
        let known = logins.into_iter().filter(|login| login.password.len() >= SHORTEST);
        Self::of(forms::of_all(known.flat_map(|login| {
            let pair = forms::of_pair(&login.username, &login.password);
            forms::of_secret(&login.password).chain([pair])
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
            // Repeat, because a mask and its neighbours may look like a secret that contains `*`.
            // Each round shortens the text.
            text = Cow::Owned(shown);
        }
    }

    /// How much of the text is settled: no possible secret starts before this offset that has at
    /// least `known` characters in the text and continues after its end.
    pub fn settled(&self, text: &str, known: usize) -> usize {
        let Look { secrets, unfinished } = self.look(text);
        let begin =
            unfinished.into_iter().filter(|start| start.1 >= known).map(|start| start.0).min();
        let begin = begin.unwrap_or(text.len());
        // Complete secrets are not split either: their end may be the start of another one.
        let parted = secrets.into_iter().find(|secret| secret.start < begin && begin < secret.end);
        parted.map_or(begin, |secret| secret.start)
    }

    fn look(&self, text: &str) -> Look {
        let mut look = Look::default();
        if self.patterns.is_empty() {
            return look;
        }
        let mut places = Places::default();
        for (start, byte) in text.bytes().enumerate() {
            // Continuation bytes of UTF-8 never match a first byte, so this is a character
            // boundary.
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
