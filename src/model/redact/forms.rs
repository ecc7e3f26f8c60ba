//! The forms of a secret as sequences of characters, each of which may itself be written in several
//! ways, and where one of them is in a text.

use super::{
    SHORTEST,
    reader::{Ends, gap, read},
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use std::fmt::Write;

/// One form: what is looked for.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    characters: Vec<char>,
    alphabet: Alphabet,
}

/// Where the characters of a form so far may have ended: more than one place where escapes can be
/// read in more than one way. Kept, so that no look at a place asks for memory.
#[derive(Debug, Default)]
pub(super) struct Places {
    these: Vec<usize>,
    next: Ends,
}

/// What may stand for a character beside itself and its escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// `+` for a blank; and one of `-`, `_` and `.` for another, as in names of packages (PEP 503).
    Plain,
    /// `-` and `_` for `+` and `/` (RFC 4648, section 5).
    Base64,
}

impl Alphabet {
    /// What may stand for a character.
    pub(super) fn others(self, character: char) -> &'static [&'static str] {
        match (self, character) {
            (Self::Plain, ' ') => &["+"],
            (Self::Plain, '-' | '_' | '.') => &["-", "_", "."],
            (Self::Base64, '+') => &["-"],
            (Self::Base64, '/') => &["_"],
            _ => &[],
        }
    }
}

/// What is at one place.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) end: Option<usize>,
    /// How many characters are there of one that goes on behind the end of the text.
    pub(super) unfinished: Option<usize>,
}

/// The forms of one secret.
pub(super) fn of_secret(secret: &str) -> impl Iterator<Item = Pattern> + use<> {
    let bytes = secret.as_bytes();
    let hexadecimal = bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    let base64 = [0, 1, 2].map(|shift| Pattern::new(&base64_core(bytes, shift), Alphabet::Base64));
    let plain = [secret, &hexadecimal, &package_name(secret)];
    plain.map(|it| Pattern::new(it, Alphabet::Plain)).into_iter().chain(base64)
}

/// The secret as the name of a package: of several signs that part words one is left, and none at
/// the ends.
fn package_name(secret: &str) -> String {
    let words = secret.split(['-', '_', '.']).filter(|it| !it.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// The whole of what Basic authentication sends (RFC 7617).
pub(super) fn of_pair(username: &str, secret: &str) -> Pattern {
    Pattern::new(&STANDARD_NO_PAD.encode(format!("{username}:{secret}")), Alphabet::Base64)
}

/// Those that are long enough, each once.
pub(super) fn of_all(patterns: impl Iterator<Item = Pattern>) -> Vec<Pattern> {
    let mut all: Vec<Pattern> = Vec::new();
    for pattern in patterns {
        let length: usize = pattern.characters.iter().map(|it| it.len_utf8()).sum();
        if length >= SHORTEST && !all.contains(&pattern) {
            all.push(pattern);
        }
    }
    all
}

/// The characters of base64 that depend on the secret alone when it begins `shift` bytes into a
/// group of three: those that neighbours share are cut off.
fn base64_core(secret: &[u8], shift: usize) -> String {
    let mut padded = vec![0; shift];
    padded.extend_from_slice(secret);
    let whole = STANDARD_NO_PAD.encode(&padded);
    let first = (shift * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    whole[first..last].to_owned()
}

impl Pattern {
    fn new(text: &str, alphabet: Alphabet) -> Self {
        Self { characters: text.chars().collect(), alphabet }
    }

    /// The bytes with which a text may begin that begins with this form.
    pub(super) fn first_bytes(&self) -> Vec<u8> {
        let Some(first) = self.characters.first() else { return Vec::new() };
        let mut bytes = [0; 4];
        let itself = first.encode_utf8(&mut bytes).as_bytes()[0];
        let mut all = vec![itself.to_ascii_lowercase(), itself.to_ascii_uppercase()];
        all.extend([b'%', b'\\', b'&']);
        all.extend(self.alphabet.others(*first).iter().flat_map(|it| it.bytes()));
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether this form begins at this place of a text.
    pub(super) fn find_at(&self, text: &str, start: usize, places: &mut Places) -> Found {
        let mut found = Found::default();
        let Places { these, next } = places;
        these.clear();
        these.push(start);
        for (count, character) in self.characters.iter().enumerate() {
            for place in these.drain(..) {
                self.step(text, place, (count, *character), next, &mut found);
            }
            if next.take(these) {
                found.unfinished = found.unfinished.max(Some(count));
            }
            if these.is_empty() {
                return found;
            }
        }
        found.end = these.last().copied();
        found
    }

    /// From one character's end to the next one's.
    fn step(
        &self,
        text: &str,
        place: usize,
        (count, character): (usize, char),
        ends: &mut Ends,
        found: &mut Found,
    ) {
        // What is cut off here was shortened by somebody who did not know that it is a secret, or
        // within a character.
        if count >= SHORTEST
            && let Some(cut) = cut_after(text, place)
        {
            let mut cut_off = Ends::default();
            self.read(&text[..cut], place, (count, character), &mut cut_off);
            if cut_off.take(&mut Vec::new()) {
                found.end = found.end.max(Some(cut));
            }
        }
        self.read(text, place, (count, character), ends);
    }

    fn read(&self, text: &str, place: usize, (count, character): (usize, char), ends: &mut Ends) {
        read(text, place, character, self.alphabet, ends);
        if count > 0
            && let Some(behind) = gap(text, place, ends)
        {
            read(text, behind, character, self.alphabet, ends);
        }
    }
}

/// The sign of a cut at this place, or behind the beginning of an escape or the end of a line here.
fn cut_after(text: &str, place: usize) -> Option<usize> {
    /// No escape of one character is longer, in bytes.
    const LONGEST_ESCAPE: usize = 128;
    let rest = &text[place..];
    let signs = ['…', char::REPLACEMENT_CHARACTER];
    if rest.starts_with(signs) {
        return Some(place);
    }
    if !rest.starts_with(['%', '\\', '&', '\'', ';', ' ', '\n', '\r']) {
        return None;
    }
    let near = &rest[..rest.floor_char_boundary(LONGEST_ESCAPE.min(rest.len()))];
    near.find(signs).map(|it| place + it)
}
