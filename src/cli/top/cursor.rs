//! The selected row of a list whose rows move.
//!
//! Input: the order of the rows, motions, the height of the list. Output: the selected row, and the
//! rows in sight. Invariants: the selection stays with its row wherever that moves; only a selection
//! that nobody has made stays at the top; the selected row is always in sight.

use super::keys::Motion;
use std::{cell::Cell, ops::Range};

/// The selection and the part of the list in sight.
#[derive(Debug)]
pub(super) struct Cursor<K> {
    /// The selected row; `None` as long as it is whichever is the first.
    key: Option<K>,
    position: usize,
    first_shown: Cell<usize>,
    height: Cell<usize>,
}

impl<K: Clone + PartialEq> Cursor<K> {
    /// Selects the first row, whichever that is.
    pub(super) fn new() -> Self {
        Self { key: None, position: 0, first_shown: Cell::new(0), height: Cell::new(1) }
    }

    /// Follows the selected row to its new position. If the row is gone, the one in its place is
    /// selected.
    pub(super) fn follow(&mut self, order: &[K]) {
        let Some(key) = &self.key else {
            self.position = 0;
            return;
        };
        match order.iter().position(|other| other == key) {
            Some(position) => self.position = position,
            None => self.select(order, self.position),
        }
    }

    /// Moves the selection.
    pub(super) fn go(&mut self, motion: Motion, order: &[K]) {
        let page = self.height.get().max(1);
        let position = match motion {
            Motion::Up => self.position.saturating_sub(1),
            Motion::Down => self.position + 1,
            Motion::PageUp => self.position.saturating_sub(page),
            Motion::PageDown => self.position + page,
            Motion::First => 0,
            Motion::Last => usize::MAX,
        };
        self.select(order, position);
        if motion == Motion::First {
            self.key = None;
        }
    }

    fn select(&mut self, order: &[K], position: usize) {
        self.position = position.min(order.len().saturating_sub(1));
        self.key = order.get(self.position).cloned();
    }

    /// The position of the selected row.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The positions in sight of a list that is `height` rows high.
    pub(super) fn shown(&self, length: usize, height: usize) -> Range<usize> {
        self.height.set(height);
        let last_first = length.saturating_sub(height);
        let lowest = (self.position + 1).saturating_sub(height);
        let first = self.first_shown.get().clamp(lowest, self.position.max(lowest)).min(last_first);
        self.first_shown.set(first);
        first..(first + height).min(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selection_stays_with_its_row() {
        let mut cursor = Cursor::new();
        cursor.follow(&['a', 'b', 'c']);
        assert_eq!(cursor.position(), 0);
        // Nothing was selected: the first row it is.
        cursor.follow(&['n', 'a', 'b', 'c']);
        assert_eq!(cursor.position(), 0);
        cursor.go(Motion::Down, &['n', 'a', 'b', 'c']);
        cursor.follow(&['x', 'y', 'n', 'a', 'b']);
        assert_eq!(cursor.position(), 3, "`a` has moved");
        cursor.follow(&['x', 'y', 'n', 'b']);
        assert_eq!(cursor.position(), 3, "`a` is gone, and `b` is in its place");
        cursor.follow(&['b', 'x']);
        assert_eq!(cursor.position(), 0, "`b` was selected then");
        cursor.follow(&[]);
        assert_eq!(cursor.position(), 0);
        cursor.go(Motion::Last, &[]);
        assert_eq!((cursor.position(), cursor.shown(0, 5)), (0, 0..0));
    }

    #[test]
    fn the_selected_row_is_in_sight() {
        let order: Vec<u32> = (0..100).collect();
        let mut cursor = Cursor::new();
        assert_eq!(cursor.shown(100, 10), 0..10);
        cursor.go(Motion::PageDown, &order);
        assert_eq!((cursor.position(), cursor.shown(100, 10)), (10, 1..11));
        cursor.go(Motion::Up, &order);
        assert_eq!(cursor.shown(100, 10), 1..11, "no more than necessary moves");
        cursor.go(Motion::Last, &order);
        assert_eq!(cursor.shown(100, 10), 90..100);
        // The terminal becomes higher, lower, and has no room at all.
        assert_eq!(cursor.shown(100, 30), 70..100);
        assert_eq!(cursor.shown(100, 3), 97..100);
        assert_eq!(cursor.shown(100, 0).len(), 0);
        cursor.go(Motion::First, &order);
        assert_eq!(cursor.shown(100, 10), 0..10);
        for position in 0..100 {
            for height in 1..120 {
                cursor.position = position;
                assert!(cursor.shown(100, height).contains(&position), "{position} {height}");
            }
        }
    }
}
