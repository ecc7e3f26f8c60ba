//! Texts that occur many times, each kept once.
//!
//! Input: texts, each with a tag that distinguishes equal texts. Output: numbers, from 0. Invariants: the numbers of
//! texts that were added stay the same; about 16 bytes for each text, besides the text.

use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};

/// Ends each text. It occurs in no UTF-8, so no search matches beyond the end of a text.
const END: u8 = 0xff;

/// A set of texts.
#[derive(Debug, Default)]
pub(super) struct Interner {
    /// All texts, each followed by [`END`].
    bytes: Vec<u8>,
    /// For each text the position behind its end.
    ends: Vec<u32>,
    tags: Vec<u16>,
    numbers: HashTable<u32>,
    hasher: RandomState,
}

impl Interner {
    /// The number of a text, which is added if it is new; `None` if there is no room.
    pub(super) fn add(&mut self, tag: u16, text: &str) -> Option<u32> {
        if let Some(number) = self.number(tag, text) {
            return Some(number);
        }
        let number = u32::try_from(self.ends.len()).ok()?;
        let end = u32::try_from(self.bytes.len() + text.len() + 1).ok()?;
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(END);
        self.ends.push(end);
        self.tags.push(tag);
        let Self { bytes, ends, tags, numbers, hasher } = self;
        let rehash = |number: &u32| {
            let tag = tags.get(*number as usize).copied().unwrap_or_default();
            hasher.hash_one((tag, slice(bytes, ends, *number)))
        };
        numbers.insert_unique(hasher.hash_one((tag, text.as_bytes())), number, rehash);
        Some(number)
    }

    /// The number of a text that was added.
    pub(super) fn number(&self, tag: u16, text: &str) -> Option<u32> {
        let hash = self.hasher.hash_one((tag, text.as_bytes()));
        let is_equal =
            |number: &u32| self.tag(*number) == tag && self.slice(*number) == text.as_bytes();
        self.numbers.find(hash, is_equal).copied()
    }

    /// How many texts there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn tag(&self, number: u32) -> u16 {
        self.tags.get(number as usize).copied().unwrap_or_default()
    }

    pub(super) fn text(&self, number: u32) -> &str {
        std::str::from_utf8(self.slice(number)).unwrap_or_default()
    }

    /// Calls `visit` with the number of each text that contains this one, whatever the case of its ASCII letters.
    pub(super) fn containing(&self, fragment: &str, mut visit: impl FnMut(u32)) {
        let fragment = fragment.as_bytes();
        let Some(first) = fragment.first() else { return };
        let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
        let mut from = 0;
        while let Some(offset) =
            memchr::memchr2(lower, upper, self.bytes.get(from..).unwrap_or_default())
        {
            let place = from + offset;
            let candidate = self.bytes.get(place..place + fragment.len());
            if candidate.is_some_and(|text| text.eq_ignore_ascii_case(fragment)) {
                let number = self.ends.partition_point(|end| *end as usize <= place);
                visit(u32::try_from(number).unwrap_or(u32::MAX));
                // The rest of this text cannot add anything.
                from = self.ends.get(number).map_or(self.bytes.len(), |end| *end as usize);
            } else {
                from = place + 1;
            }
        }
    }

    /// The size in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.capacity()
            + self.ends.capacity() * size_of::<u32>()
            + self.tags.capacity() * size_of::<u16>()
            + self.numbers.allocation_size()
    }

    fn slice(&self, number: u32) -> &[u8] {
        slice(&self.bytes, &self.ends, number)
    }
}

fn slice<'a>(bytes: &'a [u8], ends: &[u32], number: u32) -> &'a [u8] {
    let number = number as usize;
    let start =
        number.checked_sub(1).map_or(0, |before| ends.get(before).map_or(0, |end| *end as usize));
    let end = ends.get(number).map_or(start, |end| *end as usize - 1);
    bytes.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_kept_once_and_found_by_their_parts() {
        let mut texts = Interner::default();
        let names = ["left-pad", "Newtonsoft.Json", "", "left", "ünï", "json5"];
        for _ in 0..2 {
            let numbers: Vec<_> = names.iter().map(|name| texts.add(0, name).unwrap()).collect();
            assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
        }
        assert_eq!(texts.add(1, "left"), Some(6), "another tag");
        assert_eq!((texts.number(1, "left"), texts.number(2, "left")), (Some(6), None));
        let all: Vec<_> = (0..7).map(|number| texts.text(number)).collect();
        assert_eq!(all, [&names[..], &["left"]].concat());
        let found = |fragment| {
            let mut found = Vec::new();
            texts.containing(fragment, |number| found.push(number));
            found
        };
        assert_eq!(found("LEFT"), [0, 3, 6]);
        assert_eq!(found("json"), [1, 5]);
        assert_eq!(found("n"), [1, 4, 5]);
        assert_eq!(found("ï"), [4]);
        assert!(found("padn").is_empty(), "over the end of a name");
        assert!(found("d-").is_empty());
    }
}
