//! A listing that goes on page by page: where it continues, what it has found, and what it could
//! not list.
//!
//! Input: pages, in the order of their delivery. Output: the plan so far, and how the listing
//! continues.
//!
//! Invariants: a page counts once, however often it was stored; numbers never change; the list of
//! errors is bounded, and their number is not lost.

use super::{
    plan::{Plan, PlannedRepository},
    time::{self, Timestamp},
};
use serde::{Deserialize, Serialize};

/// The maximum number of errors that are listed.
pub const MAX_ERRORS: usize = 100;
/// The maximum length of an error or a request, in characters.
const MAX_TEXT_CHARS: usize = 1_000;

/// Where a listing continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The URL of the next page, without secrets.
    pub url: String,
    /// The number of this page, from 1.
    pub page: u32,
    /// The number of entries on the pages before it.
    pub listed: u64,
}

/// Something that could not be listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ListingError {
    /// The request that failed, without its query.
    pub request: String,
    pub error: String,
    #[serde(with = "time")]
    #[schemars(with = "Timestamp")]
    pub timestamp: Timestamp,
}

impl ListingError {
    /// An error with texts of limited length.
    pub fn new(request: &str, error: &str, timestamp: Timestamp) -> Self {
        let cut = |text: &str| text.chars().take(MAX_TEXT_CHARS).collect();
        Self { request: cut(request), error: cut(error), timestamp }
    }
}

/// The errors of a listing: the first [`MAX_ERRORS`], and the number of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListingErrors {
    pub first: Vec<ListingError>,
    pub total: u64,
}

impl ListingErrors {
    /// Adds an error.
    pub fn add(&mut self, error: ListingError) {
        self.total += 1;
        if self.first.len() < MAX_ERRORS {
            self.first.push(error);
        }
    }
}

/// What one page adds to a plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanPage {
    /// The number of this page among all pages of the job, from 1. A page that was stored twice
    /// counts once.
    pub sequence: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<PlannedRepository>,
    /// Where the listing continues; without it, and unless this is the last page, it starts again
    /// from the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Cursor>,
    /// Nothing follows.
    #[serde(default, skip_serializing_if = "is_false")]
    pub last: bool,
    /// What could not be listed before this page.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ListingError>,
    /// A retry of the job lists again what could not be listed. Earlier errors no longer count.
    #[serde(default, skip_serializing_if = "is_false")]
    pub again: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// How an incomplete listing continues.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The number of the last page.
    pub sequence: u64,
    pub next: Option<Cursor>,
    pub last: bool,
    pub errors: ListingErrors,
}

/// A plan, and how its listing continues.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPlan {
    pub plan: Plan,
    pub listing: Listing,
}

impl StoredPlan {
    /// A plan of which no page is stored.
    pub fn of(plan: Plan) -> Self {
        Self { plan, listing: Listing::default() }
    }

    /// Adds a page, unless it is already included.
    pub fn add(&mut self, page: PlanPage) {
        let listing = &mut self.listing;
        if page.sequence <= listing.sequence {
            return;
        }
        listing.sequence = page.sequence;
        if page.again {
            // Pages that were skipped lie before the end, so all are requested again.
            let skipped = listing.errors.total > 0;
            listing.errors = ListingErrors::default();
            if skipped {
                (listing.next, listing.last) = (None, false);
            }
            return;
        }
        (listing.next, listing.last) = (page.next, page.last);
        for error in page.errors {
            listing.errors.add(error);
        }
        self.plan.repositories.extend(page.repositories);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(index: u32) -> PlannedRepository {
        let url = format!("https://h.example/g/r{index}.git");
        let mut plan = Plan::of([(format!("r{index}"), url)]);
        PlannedRepository { repo_index: Some(index), ..plan.repositories.remove(0) }
    }

    fn page(sequence: u64, index: u32) -> PlanPage {
        let next = Cursor { url: "https://h.example/2".to_owned(), page: 2, listed: 1 };
        PlanPage {
            sequence,
            repositories: vec![row(index)],
            next: Some(next),
            ..PlanPage::default()
        }
    }

    /// Fails if a page that was stored twice, because its first write seemed to fail, counts twice.
    #[test]
    fn a_page_counts_once() {
        let mut stored = StoredPlan::of(Plan::unknown());
        for page in [page(1, 0), page(1, 0), page(2, 1), page(1, 0)] {
            stored.add(page);
        }
        assert_eq!(stored.plan.repositories, [row(0), row(1)]);
        assert_eq!((stored.listing.sequence, stored.listing.next.unwrap().page), (2, 2));
    }

    /// Fails if a retry forgets to request what was skipped, or requests everything where nothing
    /// was skipped.
    #[test]
    fn a_retry_lists_what_could_not_be_listed() {
        let again = |sequence| PlanPage { sequence, again: true, ..PlanPage::default() };
        let error = ListingError::new("https://h.example/1", "broken", Timestamp::default());
        let mut stored = StoredPlan::of(Plan::unknown());
        stored.add(page(1, 0));
        stored.add(again(2));
        assert!(stored.listing.next.is_some(), "the listing ended early, and continues there");
        stored.add(PlanPage { errors: vec![error], last: true, ..page(3, 1) });
        assert_eq!(stored.listing.errors.total, 1);
        stored.add(again(4));
        let expected = Listing { sequence: 4, ..Listing::default() };
        assert_eq!(stored.listing, expected);
        assert_eq!(stored.plan.repositories, [row(0), row(1)]);
    }

    /// Fails if a forge can fill the memory with errors, or if some of them are not counted.
    #[test]
    fn errors_are_bounded_and_counted() {
        let mut errors = ListingErrors::default();
        for _ in 0..250 {
            errors.add(ListingError::new("r", &"x".repeat(5_000), Timestamp::default()));
        }
        assert_eq!((errors.first.len(), errors.total), (MAX_ERRORS, 250));
        assert_eq!(errors.first[0].error.len(), MAX_TEXT_CHARS);
    }

    #[test]
    fn a_page_is_written_and_read() {
        let error = ListingError::new("r", "e", Timestamp::default());
        let page = PlanPage { errors: vec![error], ..page(7, 3) };
        let text = serde_json::to_string(&page).unwrap();
        assert_eq!(serde_json::from_str::<PlanPage>(&text).unwrap(), page);
    }
}
