//! Sorts and deduplicates texts in bounded memory, in several passes.
//!
//! Input: texts in any order, each with a position; the same ones in each pass. Output: the first texts in
//! order, as many as fit, and whether these are all. The next pass takes the same input and keeps the texts
//! after these.
//!
//! Invariants: never more than `most` bytes (half as much again while texts are evicted); a text is kept with
//! all its positions or not at all; if the positions of one text alone are too many, the text is kept
//! and [`Sorted::is_crowded`] is true.

/// The position of a text: the result, and the position in it.
pub(super) type Place = (u32, u64);

/// Bytes of an item in addition to its text.
const ITEM: usize = size_of::<Item>();

/// A bounded, sorted list of texts with their positions.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    most: usize,
    bytes: Vec<u8>,
    items: Vec<Item>,
    /// Texts up to this one belong to earlier passes.
    after: Option<Vec<u8>>,
    /// Texts from this one on belong to later passes.
    until: Option<Vec<u8>>,
    /// A text whose positions are too many to keep.
    crowded: Option<Vec<u8>>,
}

/// A text, as a range of the bytes, and one of its positions.
#[derive(Debug, Clone, Copy)]
struct Item {
    start: u32,
    length: u32,
    place: u64,
    result: u32,
}

impl Sorted {
    /// Keeps at most `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        let (bytes, items) = (Vec::new(), Vec::new());
        Self { most, bytes, items, after: None, until: None, crowded: None }
    }

    /// Begins a pass that keeps only texts after `after`.
    pub(super) fn begin(&mut self, after: Option<Vec<u8>>) {
        self.bytes.clear();
        self.items.clear();
        self.after = after;
        self.until = None;
        self.crowded = None;
    }

    /// Frees the memory.
    pub(super) fn free(&mut self) {
        *self = Self::new(self.most);
    }

    /// Adds one text.
    pub(super) fn push(&mut self, text: &[u8], (result, place): Place) {
        let is = |of: &Option<Vec<u8>>, test: fn(&[u8], &[u8]) -> bool| {
            of.as_ref().is_some_and(|bound| test(text, bound))
        };
        if is(&self.after, |text, after| text <= after)
            || is(&self.until, |text, until| text >= until)
            || is(&self.crowded, |text, crowded| text == crowded)
        {
            return;
        }
        let mut item = Item { start: 0, length: 0, place, result };
        match self.items.last() {
            // The declarations of one package are mostly adjacent.
            Some(last) if self.text(last) == text => {
                (item.start, item.length) = (last.start, last.length);
            }
            _ => {
                let (Ok(start), Ok(length)) =
                    (u32::try_from(self.bytes.len()), u32::try_from(text.len()))
                else {
                    return;
                };
                self.bytes.extend_from_slice(text);
                (item.start, item.length) = (start, length);
            }
        }
        self.items.push(item);
        if self.weight() > self.most {
            self.make_room();
        }
    }

    /// Removes the texts of a result.
    pub(super) fn forget(&mut self, result: u32) {
        self.items.retain(|item| item.result != result);
    }

    /// Ends a pass and sorts the texts.
    pub(super) fn finish(&mut self) {
        let Self { bytes, items, .. } = self;
        let key = |item: &Item| (text_in(bytes, item), item.result, item.place);
        items.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        items.dedup_by(|a, b| key(a) == key(b));
    }

    /// Whether no texts are left for later passes.
    pub(super) fn is_last(&self) -> bool {
        self.until.is_none()
    }

    /// Whether all texts are here, including those of earlier passes.
    pub(super) fn is_whole(&self) -> bool {
        self.until.is_none() && self.after.is_none()
    }

    /// Whether the text has more positions than are kept.
    pub(super) fn is_crowded(&self, text: &[u8]) -> bool {
        self.crowded.as_deref() == Some(text)
    }

    /// The number of items.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// The text and position of an item, in order. Requires [`Self::finish`].
    pub(super) fn get(&self, number: usize) -> Option<(&[u8], Place)> {
        let item = self.items.get(number)?;
        Some((self.text(item), (item.result, item.place)))
    }

    /// The index of the first item after `text`. Requires [`Self::finish`].
    pub(super) fn behind(&self, text: &[u8]) -> usize {
        self.items.partition_point(|item| self.text(item) <= text)
    }

    /// Whether a text is here. Requires [`Self::finish`].
    pub(super) fn contains(&self, text: &[u8]) -> bool {
        self.items.binary_search_by(|item| self.text(item).cmp(text)).is_ok()
    }

    fn text(&self, item: &Item) -> &[u8] {
        text_in(&self.bytes, item)
    }

    fn weight(&self) -> usize {
        self.bytes.len() + self.items.len() * ITEM
    }

    /// Removes duplicates, and evicts the second half of the rest if that is not enough.
    fn make_room(&mut self) {
        self.finish();
        let mut bytes = Vec::with_capacity(self.most / 4);
        let mut last: Option<Item> = None;
        let mut kept = 0;
        let mut crowded_from = None;
        for number in 0..self.items.len() {
            let mut item = self.items[number];
            let text = text_in(&self.bytes, &item);
            if let Some(same) = last.filter(|same| text_in(&bytes, same) == text) {
                (item.start, item.length) = (same.start, same.length);
            } else {
                if bytes.len() + number * ITEM > self.most / 2 {
                    self.until = Some(text.to_vec());
                    break;
                }
                // The previous bytes were counted by 32 bits, and these are not more.
                item.start = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                bytes.extend_from_slice(text);
                crowded_from = Some(number);
            }
            last = Some(item);
            self.items[number] = item;
            kept = number + 1;
        }
        self.items.truncate(kept);
        self.bytes = bytes;
        if self
            .crowded
            .as_ref()
            .zip(self.until.as_ref())
            .is_some_and(|(crowded, until)| crowded >= until)
        {
            self.crowded = None;
        }
        // The last text has more positions than all others together.
        if let (Some(first), Some(last)) = (crowded_from, last)
            && self.weight() > self.most / 4 * 3
        {
            let text = self.text(&last).to_vec();
            if self.crowded.as_ref().is_some_and(|crowded| *crowded != text) {
                // There is a crowded text already, so this one is left for the next pass.
                self.items.truncate(first);
                self.until = Some(text);
            } else {
                // Keeps its first position only.
                self.items.truncate(first + 1);
                self.crowded = Some(text);
            }
        }
    }
}

fn text_in<'a>(bytes: &'a [u8], item: &Item) -> &'a [u8] {
    // An item is created together with its bytes.
    let end = item.start as usize + item.length as usize;
    bytes.get(item.start as usize..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// All texts with their positions, in as many passes as necessary; the positions of a crowded text are
    /// taken from the input.
    fn all(input: &[(String, u32)], most: usize) -> (Vec<(String, u32)>, usize) {
        let (mut sorted, mut found, mut passes) = (Sorted::new(most), Vec::new(), 0);
        let mut after = None;
        loop {
            sorted.begin(after.take());
            passes += 1;
            for (text, place) in input {
                sorted.push(text.as_bytes(), (*place, 0));
                assert!(sorted.weight() <= most + ITEM + text.len(), "{}", sorted.weight());
            }
            sorted.finish();
            let mut number = 0;
            while let Some((text, (place, _))) = sorted.get(number) {
                assert!(sorted.contains(text));
                assert_eq!(sorted.get(sorted.behind(text)).map(|item| item.0 > text), {
                    let is_last =
                        sorted.items[number..].iter().all(|item| sorted.text(item) == text);
                    (!is_last).then_some(true)
                });
                let text = String::from_utf8(text.to_vec()).unwrap();
                if sorted.is_crowded(text.as_bytes()) {
                    let mut places: Vec<_> =
                        input.iter().filter(|entry| entry.0 == text).cloned().collect();
                    places.sort();
                    places.dedup();
                    found.extend(places);
                } else {
                    found.push((text, place));
                }
                number += 1;
            }
            if sorted.is_last() {
                return (found, passes);
            }
            let last = sorted.get(sorted.len() - 1).unwrap().0.to_vec();
            after = Some(last);
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_once_and_in_order_in_any_budget(
            input in prop::collection::vec(("[ab]{0,3}", 0_u32..40), 0..200),
            most in 40_usize..2000,
        ) {
            let mut expected = input.clone();
            expected.sort();
            expected.dedup();
            prop_assert_eq!(all(&input, most).0, expected);
        }
    }

    #[test]
    fn a_large_budget_takes_one_pass() {
        let input: Vec<_> =
            (0..1000).map(|number| (format!("text {}", number % 100), number)).collect();
        let (found, passes) = all(&input, 1 << 20);
        assert_eq!((found.len(), passes), (1000, 1));
        let (found, passes) = all(&input, 8 << 10);
        assert_eq!(found.len(), 1000);
        assert!((4..=12).contains(&passes), "{passes}");
        let by_text = found.iter().fold(BTreeMap::new(), |mut by, entry| {
            *by.entry(&entry.0).or_insert(0) += 1;
            by
        });
        assert!(by_text.values().all(|count| *count == 10));
    }
}
