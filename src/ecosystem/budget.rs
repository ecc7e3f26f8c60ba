//! Work budgets: the limit of the work for one file, and for joining all files of a repository.
//!
//! A file of some kilobytes can name one long list or text many thousand times. Parsers are linear in
//! the length of the file; the budget is the second line of defence. Whoever visits a node or copies
//! text charges the budget. Once it is used up, the JSON, TOML, YAML and XML readers return nothing more,
//! so that every walk ends, and the findings so far are kept.
//!
//! Input: the size of a file in bytes, then charges. Output: whether work is left, and the units spent.
//!
//! Invariants: the budget is a linear function of the size; once used up it stays used up, except for
//! one listing ([`Budget::allow_listing`]); a charge costs one addition and one comparison.

use std::cell::Cell;

/// Units for visiting one node of a tree, or for one lookup in a loop.
pub(crate) const NODE: u64 = 8;

/// Units for each byte that is copied into a finding: it is parsed, encoded, compared and written.
const COPIED: u64 = 4;

/// Units for each byte of the file. Real lock files, manifests and pipelines take at most five, as
/// docs/performance.md measures.
const UNITS_PER_BYTE: u64 = 128;

/// Units for a file of any size, so that a small file with many rules is not cut off.
const UNITS_PER_FILE: u64 = 1 << 20;

/// What may be read of one archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Entries of its directory.
    pub entries: u64,
    /// Bytes of all entries that are unpacked.
    pub unpacked_bytes: u64,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self { entries: 100_000, unpacked_bytes: 16 << 20 }
    }
}

/// The work budget of one file or one repository.
///
/// A unit is about the work of reading one byte: at most a few nanoseconds.
#[derive(Debug)]
pub struct Budget {
    allowed: u64,
    limit: Cell<u64>,
    spent: Cell<u64>,
    is_listing: Cell<bool>,
    was_used_up: Cell<bool>,
    archive: Cell<ArchiveLimits>,
}

impl Budget {
    /// The budget of a file of this many bytes, or of a repository whose files have this many in total.
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
            archive: Cell::default(),
        }
    }

    /// The same for an archive with these limits.
    #[must_use]
    pub fn of_archive(self, limits: ArchiveLimits) -> Self {
        self.archive.set(limits);
        self
    }

    /// Charges an entry of an archive. False once there are too many.
    pub(crate) fn list_entry(&self) -> bool {
        let limits = self.archive.get();
        let left = limits.entries.checked_sub(1);
        self.archive.set(ArchiveLimits { entries: left.unwrap_or_default(), ..limits });
        left.is_some() && self.visit()
    }

    /// Charges unpacked bytes, which are work like those of a file. False where they are too many.
    pub(crate) fn unpack(&self, bytes: u64) -> bool {
        let limits = self.archive.get();
        let Some(unpacked_bytes) = limits.unpacked_bytes.checked_sub(bytes) else { return false };
        self.archive.set(ArchiveLimits { unpacked_bytes, ..limits });
        self.limit.set(self.limit.get().saturating_add(bytes.saturating_mul(UNITS_PER_BYTE)));
        true
    }

    /// A budget without a limit, which only counts.
    #[cfg(test)]
    pub(crate) fn unlimited() -> Self {
        Self::limited_to(u64::MAX)
    }

    /// A budget for a single test file.
    #[cfg(test)]
    pub(crate) fn alone(bytes: usize) -> &'static Self {
        Box::leak(Box::new(Self::of(bytes as u64)))
    }

    /// Charges units. False once the budget is used up.
    pub(crate) fn spend(&self, units: u64) -> bool {
        let spent = self.spent.get().saturating_add(units);
        self.spent.set(spent);
        if spent <= self.limit.get() {
            return true;
        }
        self.was_used_up.set(true);
        false
    }

    /// Charges the visit of a node, or a step of a loop.
    pub(crate) fn visit(&self) -> bool {
        self.spend(NODE)
    }

    /// Charges bytes that are read, compared or hashed.
    pub(crate) fn read(&self, bytes: usize) -> bool {
        self.spend(bytes as u64)
    }

    /// Charges bytes that are copied into a finding.
    pub(crate) fn copy(&self, bytes: usize) -> bool {
        self.spend((bytes as u64).saturating_mul(COPIED))
    }

    /// Whether the budget is used up.
    pub(crate) fn is_used_up(&self) -> bool {
        self.spent.get() > self.limit.get()
    }

    /// Grants the budget once more where it is used up: for a parser that reads everything first and
    /// lists it afterwards. Each listed entry was charged when it was read, so this is bounded.
    pub(crate) fn allow_listing(&self) {
        if self.is_used_up() && !self.is_listing.replace(true) {
            self.limit.set(self.spent.get().saturating_add(self.allowed));
        }
    }

    /// Whether the budget was ever used up, so that findings are incomplete.
    pub(crate) fn was_used_up(&self) -> bool {
        self.was_used_up.get()
    }

    /// The units spent so far, including those beyond the budget.
    pub fn spent(&self) -> u64 {
        self.spent.get()
    }

    /// The units of the whole budget.
    pub fn allowed(&self) -> u64 {
        self.allowed
    }

    /// The warning for a file that used up its budget.
    pub(crate) fn message(&self) -> String {
        format!(
            "the file takes more work than is allowed for its size ({} units); the rest is skipped",
            self.allowed
        )
    }

    /// The warning for a repository that used up its budget.
    pub(crate) fn message_of_all(&self) -> String {
        format!(
            "combining the findings of all files takes more work than is allowed for their size \
             ({} units); some packages may be missing or incomplete",
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
    fn an_archive_is_limited_in_entries_and_unpacked_bytes() {
        let limits = ArchiveLimits { entries: 2, unpacked_bytes: 10 };
        let budget = Budget::of(1000).of_archive(limits);
        assert!(budget.list_entry() && budget.list_entry() && !budget.list_entry());
        assert!(budget.unpack(6) && !budget.unpack(5) && budget.unpack(4) && !budget.unpack(1));
        assert!(!budget.was_used_up());
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
