//! Scans a TOML text token by token before it is parsed into a tree.
//!
//! Input: a text. Output: the lines whose keys have too many parts, the offset up to which the text is
//! parsed, and the offsets at which it can be split.
//!
//! Invariants: the scan keeps nothing but these offsets. A tree takes about 100 bytes for each token of
//! a valid text, and 500 for each of an invalid one: for ten megabytes of `}` that would be five
//! gigabytes.

/// A dotted key with more parts loses its line. Each of the 80 levels of nesting that `toml` allows can
/// hold such a key.
pub(super) const MAX_KEY_PARTS: usize = 32;

/// The number of tokens that are parsed: those of a lock file of 4 MB.
pub(super) const MAX_TOKENS: usize = 1_000_000;

/// A piece ends with the table that exceeds this number of tokens; a table of twice as many is cut.
const PIECE: usize = 64_000;

/// The result of the scan.
#[derive(Debug, Default)]
pub(super) struct Prescan {
    /// The lines with keys of too many parts.
    pub(super) deep: Vec<u32>,
    /// The ends of the pieces. Each piece begins at the end of the one before, with a table header.
    pub(super) ends: Vec<usize>,
    /// The line at which the last piece is cut; none if the whole text is used.
    pub(super) cut_at: Option<u32>,
}

impl Prescan {
    pub(super) fn of(text: &str) -> Self {
        let mut prescan = Self::default();
        let (mut line, mut dots, mut open) = (1_u32, 0, 0_usize);
        let (mut tokens, mut in_piece, mut begin_of_line) = (0, 0, 0);
        let mut rest = text;
        while let Some(first) = rest.bytes().next() {
            let at = text.len() - rest.len();
            let (token, tail) = rest.split_at_checked(length(rest)).unwrap_or((rest, ""));
            let weight = weight(token);
            (tokens, in_piece) = (tokens + weight, in_piece + weight);
            if in_piece > PIECE && first == b'[' && open == 0 && at == begin_of_line {
                prescan.ends.push(at);
                in_piece = weight;
            }
            if tokens > MAX_TOKENS || in_piece > 2 * PIECE {
                prescan.ends.push(begin_of_line);
                prescan.cut_at = Some(line);
                return prescan;
            }
            match first {
                b'.' => {
                    dots += 1;
                    if dots >= MAX_KEY_PARTS && prescan.deep.last() != Some(&line) {
                        prescan.deep.push(line);
                    }
                }
                b'\n' | b'=' | b',' | b'[' | b']' | b'{' | b'}' => dots = 0,
                _ => {}
            }
            match first {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
            if let Some(newline) = token.rfind('\n') {
                begin_of_line = at + newline + 1;
                let newlines = token.bytes().filter(|byte| *byte == b'\n').count();
                line = line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
            }
            rest = tail;
        }
        prescan.ends.push(text.len());
        prescan
    }
}

/// The maximum number of tokens or errors that `toml` makes of a token: in a string or a comment those
/// of invalid escapes and control characters, elsewhere one for each run of blanks and each sign.
fn weight(token: &str) -> usize {
    let quoted = token.starts_with(['"', '\'', '#']);
    let mut before = b'\0';
    let costs = |byte: &u8| {
        let is_blank = matches!(byte, b' ' | b'\t');
        let more_blanks = is_blank && before == *byte;
        before = *byte;
        match byte {
            _ if is_blank => !quoted && !more_blanks,
            b'\\' | 0..0x20 | 0x7f => true,
            _ => !quoted && !byte.is_ascii_alphanumeric() && *byte < 0x80,
        }
    };
    1 + token.as_bytes().get(1..).unwrap_or_default().iter().copied().filter(costs).count()
}

/// The length of the token at the start of `text`: a string, a comment, a run of other characters, or
/// one character. An unterminated string ends where `toml` ends it.
fn length(text: &str) -> usize {
    for quotes in ["\"\"\"", "'''"] {
        if let Some(body) = text.strip_prefix(quotes) {
            return quotes.len() + multi_line_length(body, quotes);
        }
    }
    let bytes = text.as_bytes();
    let until = |end: fn(u8) -> bool| bytes.iter().skip(1).position(|byte| end(*byte));
    match bytes.first() {
        Some(b'#') => {
            until(|byte| byte == b'\n' || byte == b'\r').map_or(bytes.len(), |offset| offset + 1)
        }
        Some(b'\'') => match until(|byte| byte == b'\'' || byte == b'\n') {
            Some(end) if bytes.get(end + 1) == Some(&b'\'') => end + 2,
            Some(end) => end + 1,
            None => bytes.len(),
        },
        Some(b'"') => basic_length(bytes),
        Some(byte) if is_punctuation(*byte) => 1,
        Some(_) => until(|byte| is_punctuation(byte) || matches!(byte, b'"' | b'\'' | b'#'))
            .map_or(bytes.len(), |offset| offset + 1),
        None => 0,
    }
}

fn is_punctuation(byte: u8) -> bool {
    matches!(byte, b'.' | b'=' | b',' | b'[' | b']' | b'{' | b'}' | b'\n')
}

fn basic_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    loop {
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') if matches!(bytes.get(at + 1), Some(b'"' | b'\\')) => at += 2,
            Some(b'\n') | None => return at,
            Some(_) => at += 1,
        }
    }
}

/// The offset after the closing quotes, counted from after the opening ones. Up to two more quotes
/// belong to the text.
fn multi_line_length(body: &str, quotes: &str) -> usize {
    let bytes = body.as_bytes();
    let escapes = quotes.starts_with('"');
    let mut at = 0;
    loop {
        match bytes.get(at) {
            None => return bytes.len(),
            Some(b'\\') if escapes => at += 2,
            Some(_) if bytes.get(at..).is_some_and(|rest| rest.starts_with(quotes.as_bytes())) => {
                let more = bytes.iter().skip(at + 3).take(2);
                return at + 3 + more.take_while(|byte| quotes.as_bytes().contains(byte)).count();
            }
            Some(_) => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_split_between_tables() {
        let table = "[[package]]\nname = \"a\"\ndependencies = [\n \"b\",\n]\n";
        let text = table.repeat(10_000);
        let prescan = Prescan::of(&text);
        assert!(prescan.ends.len() > 2 && prescan.cut_at.is_none());
        assert!(prescan.ends.iter().all(|end| end % table.len() == 0));
        assert_eq!(prescan.ends.last(), Some(&text.len()));
        assert_eq!(Prescan::of(table).ends, [table.len()]);
    }

    #[test]
    fn a_text_beyond_the_limits_is_cut_before_a_line() {
        let text = "a = 1\n".repeat(100_000);
        let prescan = Prescan::of(&text);
        let [end] = prescan.ends.as_slice() else { panic!("{:?}", prescan.ends) };
        assert!(*end > 0 && end % 6 == 0);
        assert_eq!(prescan.cut_at, Some(u32::try_from(end / 6).unwrap() + 1));
        assert_eq!(Prescan::of(&"}".repeat(200_000)).ends, [0]);
        let text = "[a]\n".repeat(1_000_000);
        assert_eq!(Prescan::of(&text).cut_at, Some(250_001));
    }
}
