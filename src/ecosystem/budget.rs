//! The budget of work of one file, and of the step that joins all files of a repository.
//!
//! A file of some kilobytes can name one long list or text many thousand times. Parsers are written so
//! that this costs no more than the file is long; the budget is the second line of defence. Whoever
//! visits a node or copies text charges it. When the budget is used up, the readers of this module's
//! neighbours return nothing more, so that every walk over them ends, and what was found before is kept.
//!
//! Input: the size of a file in bytes, then charges. Output: whether there is work left, and a count
//! of the units spent.
//!
//! Invariants: the budget is a linear function of the size; once it is used up it stays used up, except
//! for one listing ([`Budget::allow_listing`]); charging is an addition and a comparison.

use std::cell::Cell;

/// Units for a visit of one node of a tree, or one step of a loop that looks something up.
pub(crate) const NODE: u64 = 8;

/// Units for a byte that is copied into a result: it is parsed, encoded, compared and written.
const COPIED: u64 = 4;

/// Units for each byte of the file: real lock files, manifests and pipelines take five at most, as
/// docs/performance.md measures it.
const UNITS_PER_BYTE: u64 = 128;

/// Units for a file of any size, so that a small file with many rules is not cut short.
const UNITS_PER_FILE: u64 = 1 << 20;

/// The budget of work of one file or one repository.
///
/// A unit is about the work of reading one byte, at most a few nanoseconds.
#[derive(Debug)]
pub struct Budget {
    allowed: u64,
    limit: Cell<u64>,
    spent: Cell<u64>,
    is_listing: Cell<bool>,
    was_used_up: Cell<bool>,
}

impl Budget {
    /// The budget of a file of so many bytes, or of a repository whose files have so many together.
    pub fn of(bytes: u64) -> Self {
        Self::limited_to(bytes.saturating_mul(UNITS_PER_BYTE).saturating_add(UNITS_PER_FILE))
    }

    pub(crate) fn limited_to(allowed: u64) -> Self {
        Self {
            allowed,
            limit: Cell::new(allowed),
            spent: Cell::new(0),
            is_listing: Cell::new(false),
            was_used_up: Cell::new(false),
        }
    }

    /// A budget without an end, which only counts.
    #[cfg(test)]
    pub(crate) fn unlimited() -> Self {
        Self::limited_to(u64::MAX)
    }

    /// A budget that nobody else sees.
    #[cfg(test)]
    pub(crate) fn alone(bytes: usize) -> &'static Self {
        Box::leak(Box::new(Self::of(bytes as u64)))
    }

    /// Charges units; false once there are none left.
    pub(crate) fn spend(&self, units: u64) -> bool {
        let spent = self.spent.get().saturating_add(units);
        self.spent.set(spent);
        if spent <= self.limit.get() {
            return true;
        }
        self.was_used_up.set(true);
        false
    }

    /// Charges a visit of a node, or a step of a loop.
    pub(crate) fn visit(&self) -> bool {
        self.spend(NODE)
    }

    /// Charges bytes that are read, compared or hashed.
    pub(crate) fn read(&self, bytes: usize) -> bool {
        self.spend(bytes as u64)
    }

    /// Charges bytes that are copied into what is kept.
    pub(crate) fn copy(&self, bytes: usize) -> bool {
        self.spend((bytes as u64).saturating_mul(COPIED))
    }

    /// Whether there is no work left.
    pub(crate) fn is_used_up(&self) -> bool {
        self.spent.get() > self.limit.get()
    }

    /// Allows as much again, once, where the budget is used up: for a parser that reads everything
    /// first and lists it then. What it lists was charged when it was read, so this is bounded.
    pub(crate) fn allow_listing(&self) {
        if self.is_used_up() && !self.is_listing.replace(true) {
            self.limit.set(self.spent.get().saturating_add(self.allowed));
        }
    }

    /// Whether the budget was used up at any time, and something is missing for it.
    pub(crate) fn was_used_up(&self) -> bool {
        self.was_used_up.get()
    }

    /// The units spent so far, those beyond the budget included.
    pub fn spent(&self) -> u64 {
        self.spent.get()
    }

    /// The units that are allowed.
    pub fn allowed(&self) -> u64 {
        self.allowed
    }

    /// What a warning says where the budget was used up.
    pub(crate) fn message(&self) -> String {
        format!(
            "takes more work than is allowed for a file of its size ({} units); the rest is not read",
            self.allowed
        )
    }

    /// The same of all files of a repository together.
    pub(crate) fn message_of_all(&self) -> String {
        format!(
            "joining what the files say of each other takes more work than is allowed for their \
             size ({} units); some packages may be missing or incomplete",
            self.allowed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_linear_and_ends_once() {
        assert_eq!(Budget::of(2_000).allowed() - Budget::of(1_000).allowed(), 128_000);
        let budget = Budget::limited_to(100);
        assert!(budget.spend(60) && budget.copy(10) && !budget.is_used_up());
        assert!(!budget.visit() && budget.is_used_up() && !budget.spend(0));
        assert_eq!(budget.spent(), 108);
        assert!(budget.message().contains("(100 units)"));
    }

    #[test]
    fn a_listing_is_allowed_once() {
        let budget = Budget::limited_to(100);
        budget.allow_listing();
        assert!(!budget.spend(101));
        budget.allow_listing();
        assert!(budget.spend(100) && budget.was_used_up() && !budget.is_used_up());
        assert!(!budget.spend(1));
        budget.allow_listing();
        assert!(budget.is_used_up());
    }
}
