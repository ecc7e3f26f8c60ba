//! Characters that must not reach a terminal or a line of a log as they are.

/// Whether a character is a control character, or one of Unicode's that break lines or turn the
/// direction of reading.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
