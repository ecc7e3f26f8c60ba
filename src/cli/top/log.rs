//! The text of a log that is being followed.
//!
//! Input: bytes in arbitrary pieces, motions. Output: lines, and which of them are in sight.
//! Invariants: at most [`MAX_LINES`] lines and [`MAX_BYTES`] bytes are kept, whatever the log holds;
//! what is in sight stays there when lines are added, unless the end is followed.

use super::keys::Motion;
use std::{cell::Cell, collections::VecDeque, ops::Range};

/// The maximum number of lines: as many as are requested.
pub(super) const MAX_LINES: usize = 5_000;
/// The maximum size of all lines.
const MAX_BYTES: usize = 4 << 20;
/// The maximum size of a line; the rest of a longer one is a line of its own.
const MAX_LINE: usize = 8 << 10;

/// The last lines of a log.
#[derive(Debug, Default)]
pub(super) struct LogText {
    lines: VecDeque<String>,
    bytes: usize,
    /// The line that is not complete.
    rest: Vec<u8>,
    /// The first line in sight; `None` follows the end.
    first_shown: Option<usize>,
    height: Cell<usize>,
    /// How many lines were removed at the beginning.
    removed: u64,
}

impl LogText {
    /// Adds bytes.
    pub(super) fn add(&mut self, piece: &[u8]) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            for part in part.chunks(MAX_LINE) {
                self.rest.extend_from_slice(part);
                if self.rest.len() >= MAX_LINE || self.rest.ends_with(b"\n") {
                    self.end_line();
                }
            }
        }
    }

    /// Ends the last line; the log is complete.
    pub(super) fn end(&mut self) {
        if !self.rest.is_empty() {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let bytes = std::mem::take(&mut self.rest);
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_end_matches(['\n', '\r']).to_owned();
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > MAX_LINES || self.bytes > MAX_BYTES {
            let Some(line) = self.lines.pop_front() else { break };
            self.bytes -= line.len();
            self.removed += 1;
            if let Some(first) = &mut self.first_shown {
                *first = first.saturating_sub(1);
            }
        }
    }

    /// Moves within the text. The end follows the log again.
    pub(super) fn go(&mut self, motion: Motion) {
        let height = self.height.get().max(1);
        let last = self.lines.len().saturating_sub(height);
        let first = self.first_shown.unwrap_or(last);
        let first = match motion {
            Motion::Up => first.saturating_sub(1),
            Motion::Down => first + 1,
            Motion::PageUp => first.saturating_sub(height),
            Motion::PageDown => first + height,
            Motion::First => 0,
            Motion::Last => usize::MAX,
        };
        self.first_shown = (first < last || motion == Motion::First && last > 0).then_some(first);
    }

    /// The lines in sight of a view that is `height` lines high.
    pub(super) fn shown(&self, height: usize) -> Range<usize> {
        self.height.set(height);
        let last = self.lines.len().saturating_sub(height);
        let first = self.first_shown.map_or(last, |first| first.min(last));
        first..(first + height).min(self.lines.len())
    }

    /// One of the lines.
    pub(super) fn line(&self, index: usize) -> &str {
        self.lines.get(index).map_or("", String::as_str)
    }

    /// How many lines there are.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// How many lines at the beginning are not kept.
    pub(super) fn removed(&self) -> u64 {
        self.removed
    }

    /// Whether the end is followed.
    pub(super) fn is_following(&self) -> bool {
        self.first_shown.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(range: Range<usize>) -> String {
        let lines: Vec<_> = range.map(|number| format!("line {number}\n")).collect();
        lines.concat()
    }

    #[test]
    fn pieces_become_lines() {
        let mut log = LogText::default();
        log.add("ä\r\nb".as_bytes());
        log.add(b"c\nd\xff");
        assert_eq!((log.len(), log.line(0), log.line(1)), (2, "ä", "bc"));
        log.end();
        log.end();
        assert_eq!((log.len(), log.line(2), log.line(3)), (3, "d\u{fffd}", ""));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut log = LogText::default();
        log.add(numbered(0..3 * MAX_LINES).as_bytes());
        assert_eq!((log.len(), log.removed()), (MAX_LINES, 2 * MAX_LINES as u64));
        assert_eq!(log.line(MAX_LINES - 1), format!("line {}", 3 * MAX_LINES - 1));
        // One line without an end, larger than everything that is kept.
        for _ in 0..100 {
            log.add(&vec![b'x'; 64 << 10]);
        }
        assert!(log.bytes <= MAX_BYTES && log.rest.len() < MAX_LINE);
        assert_eq!(log.bytes, log.lines.iter().map(String::len).sum::<usize>());
    }

    #[test]
    fn what_is_in_sight_stays_unless_the_end_is_followed() {
        let mut log = LogText::default();
        log.add(numbered(0..100).as_bytes());
        assert_eq!(log.shown(10), 90..100);
        log.go(Motion::PageUp);
        assert_eq!((log.shown(10), log.is_following()), (80..90, false));
        log.add(numbered(100..120).as_bytes());
        assert_eq!(log.shown(10), 80..90);
        log.go(Motion::Last);
        assert_eq!((log.shown(10), log.is_following()), (110..120, true));
        log.go(Motion::First);
        assert_eq!(log.shown(10), 0..10);
        // Lines are removed at the beginning: the same text stays in sight as long as it exists.
        log.go(Motion::PageDown);
        let before = log.line(log.shown(10).start).to_owned();
        log.add(numbered(120..MAX_LINES + 5).as_bytes());
        assert_eq!(log.line(log.shown(10).start), before);
        log.go(Motion::Last);
        log.go(Motion::Up);
        log.go(Motion::Down);
        assert!(log.is_following(), "the end is reached line by line, too");
    }
}
