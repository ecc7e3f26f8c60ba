//! Characters that must not reach a terminal or a log line unescaped.
//!
//! Input: a character. Output: its class.

/// Whether a character is a control character, or a Unicode character that breaks lines or changes
/// the reading direction.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character is invisible: control characters (`Cc`), format characters (`Cf`), line and
/// paragraph separators, and noncharacters. Text of a client must not contain any: they make two
/// names look the same, or one name look like another.
pub fn is_invisible(c: char) -> bool {
    is_unprintable(c)
        || is_format(c)
        || u32::from(c) & 0xfffe == 0xfffe
        || ('\u{fdd0}'..='\u{fdef}').contains(&c)
}

/// The general category `Cf` of Unicode 16.
fn is_format(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_recognized_and_letters_are_not() {
        for c in [
            '\0',
            '\n',
            '\u{7f}',
            '\u{9b}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{2028}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{206a}',
            '\u{feff}',
            '\u{fffe}',
            '\u{fdd0}',
            '\u{fff9}',
            '\u{1d173}',
            '\u{e0041}',
            '\u{10ffff}',
        ] {
            assert!(is_invisible(c), "{c:?}");
        }
        for c in ['a', ' ', 'é', 'ß', '中', 'ع', 'א', '\u{301}', '🦀', '\u{fffd}', '\u{fe0f}']
        {
            assert!(!is_invisible(c), "{c:?}");
        }
    }
}
