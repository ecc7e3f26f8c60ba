//! What a file states about a package besides its name and version.
//!
//! Input: a package that was added, and texts about it. Output: members of the package. Invariants: their number and
//! size are bounded; a text that is not what it should be is ignored.

use super::{Added, Collector, MAX_NAME, MAX_STATED, MAX_TEXT};
use crate::model::{digest, license, scan_result::Package};

impl Collector<'_> {
    /// Records digests of the package's archives, separated by blanks, each in a notation that
    /// `model::digest` knows. Another text is not a digest of an archive, and is ignored.
    pub(crate) fn hash(&mut self, of: Option<Added>, text: &str) {
        for digest in text.split_ascii_whitespace().take(MAX_STATED) {
            if let Some(digest) =
                self.file.budget.visit().then(|| digest::normalize(digest)).flatten()
            {
                self.state(of, digest, |package| &mut package.hashes);
            }
        }
    }

    /// Records a license that the file states for the package. A longer text than a name can be is the
    /// license itself, and is ignored.
    pub(crate) fn license(&mut self, of: Option<Added>, text: &str) {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_NAME || !self.file.budget.copy(text.len()) {
            return;
        }
        let license = license::expression(text).unwrap_or_else(|| text.to_owned());
        self.state(of, license, |package| &mut package.licenses);
    }

    /// Adds a text to a list of a package, once.
    fn state(
        &mut self,
        of: Option<Added>,
        text: String,
        list: impl FnOnce(&mut Package) -> &mut Vec<String>,
    ) {
        let package = of.and_then(|Added(place)| self.findings.packages.get_mut(place));
        let Some(list) = package.map(list).filter(|list| list.len() < MAX_STATED) else { return };
        let fits = self.text <= MAX_TEXT && self.file.budget.copy(text.len());
        if fits && !list.contains(&text) {
            self.text += text.len();
            list.push(text);
        }
    }

    /// Records the poms outside the repository one of which manages the version, or the file of the local cache
    /// that it comes from.
    pub(crate) fn managed(
        &mut self,
        of: Option<Added>,
        managed_by: Vec<String>,
        resolved_from: Option<&str>,
    ) {
        let package = of.and_then(|Added(place)| self.findings.packages.get_mut(place));
        let Some(package) = package else { return };
        let size = managed_by.iter().map(String::len).sum::<usize>();
        let size = size + resolved_from.map_or(0, str::len);
        if self.text <= MAX_TEXT && self.file.budget.copy(size) {
            self.text += size;
            package.managed_by = managed_by;
            package.resolved_from = resolved_from.map(str::to_owned);
        }
    }
}
