//! The forms of a secret as sequences of characters, each of which may be escaped in several ways;
//! finds them in a text.
//!
//! Input: secrets, text. Output: matches.

use super::{
    SHORTEST,
    alphabet::Alphabet,
    reader::{Ends, gap, read},
};
use crate::model::digest::hexadecimal;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

/// One form to search for.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    characters: Vec<char>,
    alphabet: Alphabet,
}

/// The possible ends of the characters so far: more than one if escapes are ambiguous. Reused, so
/// that matching allocates no memory.
#[derive(Debug, Default)]
pub(super) struct Places {
    these: Vec<usize>,
    next: Ends,
}

/// The result of matching at one offset.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) end: Option<usize>,
    /// How many characters match of a form that continues after the end of the text.
    pub(super) unfinished: Option<usize>,
}

/// The forms of one secret.
pub(super) fn of_secret(secret: &str) -> impl Iterator<Item = Pattern> + use<> {
    let bytes = secret.as_bytes();
    let hexadecimal = hexadecimal(bytes);
    let base64 = [0, 1, 2].map(|shift| Pattern::new(&base64_core(bytes, shift), Alphabet::Base64));
    let plain = [secret, &hexadecimal, &package_name(secret)];
    plain.map(|text| Pattern::new(text, Alphabet::Plain)).into_iter().chain(base64)
}

/// The secret as a package name: runs of separators become one `-`, and separators at the ends are
/// removed.
fn package_name(secret: &str) -> String {
    let words = secret.split(['-', '_', '.']).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// The complete value of Basic authentication (RFC 7617).
pub(super) fn of_pair(username: &str, secret: &str) -> Pattern {
    Pattern::new(&STANDARD_NO_PAD.encode(format!("{username}:{secret}")), Alphabet::Base64)
}

/// The patterns that are long enough, without duplicates.
pub(super) fn of_all(patterns: impl Iterator<Item = Pattern>) -> Vec<Pattern> {
    let mut all: Vec<Pattern> = Vec::new();
    for pattern in patterns {
        let length: usize = pattern.characters.iter().map(|c| c.len_utf8()).sum();
        if length >= SHORTEST && !all.contains(&pattern) {
            all.push(pattern);
        }
    }
    all
}

/// The base64 characters that depend on the secret alone if it starts `shift` bytes into a group of
/// three; those that depend on neighbours are cut off.
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

    /// The first bytes of all texts that match this form.
    pub(super) fn first_bytes(&self) -> Vec<u8> {
        let Some(first) = self.characters.first() else { return Vec::new() };
        let mut bytes = [0; 4];
        let itself = first.encode_utf8(&mut bytes).as_bytes()[0];
        let mut all = vec![itself.to_ascii_lowercase(), itself.to_ascii_uppercase()];
        all.extend([b'%', b'\\', b'&']);
        all.extend(self.alphabet.others(*first).iter().flat_map(|text| text.bytes()));
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether this form matches at this offset.
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

    /// Advances from the end of one character to that of the next.
    fn step(
        &self,
        text: &str,
        place: usize,
        (count, character): (usize, char),
        ends: &mut Ends,
        found: &mut Found,
    ) {
        // The text may have been truncated here by code that did not know the secret, or within a
        // character.
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

/// The offset of a truncation mark here, or after the start of an escape or a line end here.
fn cut_after(text: &str, place: usize) -> Option<usize> {
    /// The longest escape of one character, in bytes.
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
    near.find(signs).map(|offset| place + offset)
}
