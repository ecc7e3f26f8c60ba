//! Pages of long lists: `?page=&per_page=`.
//!
//! Input: the two numbers, and the length of a list. Output: the items of the page, and its
//! position.
//!
//! Invariants: numbers out of range are clamped, not refused, as in the Python service.

use schemars::JsonSchema;
use serde::Serialize;
use std::ops::Range;

/// The requested page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    number: usize,
    size: usize,
}

/// The position of a page in the list: members of every paged answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct PagePosition {
    /// The number of rows on all pages.
    total: usize,
    page: usize,
    per_page: usize,
    total_pages: usize,
}

impl Page {
    /// Clamps the two numbers: the page to 1 or more, the size to 1 to `most`.
    pub(crate) fn new(
        page: Option<i64>,
        per_page: Option<i64>,
        default: usize,
        most: usize,
    ) -> Self {
        let whole = |number: i64| usize::try_from(number).unwrap_or(0);
        Self {
            number: page.map_or(1, whole).max(1),
            size: per_page.map_or(default, whole).clamp(1, most),
        }
    }

    /// The items on this page.
    pub(crate) fn of<T>(self, items: &[T]) -> impl Iterator<Item = &T> {
        let Range { start, end } = self.range();
        items.iter().skip(start).take(end - start)
    }

    /// The indexes of the items on this page, from 0.
    pub(crate) fn range(self) -> Range<usize> {
        let start = (self.number - 1).saturating_mul(self.size);
        start..start.saturating_add(self.size)
    }

    /// The position of this page in the list.
    pub(crate) fn place(self, total: usize) -> PagePosition {
        PagePosition {
            total,
            page: self.number,
            per_page: self.size,
            total_pages: total.div_ceil(self.size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_clamped() {
        let items: Vec<u32> = (0..25).collect();
        for (page, per_page, expected) in [
            (None, None, 0..10),
            (Some(0), Some(0), 0..1),
            (Some(-3), Some(-1), 0..1),
            (Some(3), None, 20..25),
            (Some(4), None, 0..0),
            (Some(i64::MAX), Some(i64::MAX), 0..0),
            (Some(1), Some(1000), 0..20),
        ] {
            let page = Page::new(page, per_page, 10, 20);
            let found: Vec<u32> = page.of(&items).copied().collect();
            assert_eq!(found, expected.collect::<Vec<u32>>(), "{page:?}");
        }
        let place = Page::new(Some(2), None, 10, 20).place(25);
        assert_eq!(place, PagePosition { total: 25, page: 2, per_page: 10, total_pages: 3 });
    }
}
