//! The warnings and notes of a scan.
//!
//! Input: warnings and notes, as files are read. Output: both lists, sorted. Invariants: they are bounded in number and in
//! size; the number of dropped warnings is the last warning.

use crate::model::scan_result::Warning;

/// The maximum number of warnings, and of notes; one more warning reports how many were dropped.
const MOST: usize = 10_000;
/// The maximum size of all warnings and notes together, in bytes: each contains the path of its file.
const MOST_BYTES: usize = 16 << 20;

/// The warnings and notes so far.
#[derive(Debug, Default)]
pub(super) struct Notices {
    warnings: Vec<Warning>,
    notes: Vec<Warning>,
    bytes: usize,
    /// How many warnings were dropped.
    dropped: u64,
}

impl Notices {
    pub(super) fn warn(&mut self, warning: Warning) {
        if !add(&mut self.warnings, &mut self.bytes, warning) {
            self.dropped += 1;
        }
    }

    /// Adds a note; a dropped one is not counted.
    pub(super) fn note(&mut self, note: Warning) {
        add(&mut self.notes, &mut self.bytes, note);
    }

    /// The warnings, each once, and the notes.
    pub(super) fn into_lists(mut self) -> (Vec<Warning>, Vec<Warning>) {
        self.warnings.sort();
        self.warnings.dedup();
        self.notes.sort();
        if self.dropped > 0 {
            let message = format!("{} more warnings are not listed", self.dropped);
            self.warnings.push(Warning { file: String::new(), line: None, message });
        }
        (self.warnings, self.notes)
    }
}

/// Adds one if there is room; returns whether there was.
fn add(list: &mut Vec<Warning>, bytes: &mut usize, one: Warning) -> bool {
    let size = one.file.len() + one.message.len();
    let has_room = *bytes + size <= MOST_BYTES && list.len() < MOST;
    if has_room {
        *bytes += size;
        list.push(one);
    }
    has_room
}
