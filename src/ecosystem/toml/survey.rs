//! A first look at a text of TOML, token by token, before a tree is made of it.
//!
//! What flows in: a text. What flows out: which of its lines have keys of too many parts, how much
//! of it is read, and where it can be parted.
//!
//! What must stay true: memory is that of the lines that are found. A tree takes about a hundred
//! bytes for each token of a good text, and five hundred for each of a bad one: of ten megabytes
//! of `}` that would be five gigabytes.

/// More parts than this in one dotted key cost their line. Each of the 80 levels of nesting
/// that `toml` allows can hold such a key.
pub(super) const MAX_KEY_PARTS: usize = 32;

/// So many tokens are read: a lock file of 4 MB has them.
pub(super) const MAX_TOKENS: usize = 1_000_000;

/// A piece ends with the table in which it gets so many tokens; a table of twice as many is cut.
const PIECE: usize = 64_000;

/// What a text looks like.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The lines with keys of too many parts.
    pub(super) deep: Vec<u32>,
    /// Where the pieces end. Each begins where the one before ended: with the header of a table.
    pub(super) ends: Vec<usize>,
    /// The line at which the last piece ends, if there is more behind it.
    pub(super) cut_at: Option<u32>,
}

impl Survey {
    pub(super) fn of(text: &str) -> Self {
        let mut survey = Self::default();
        let (mut line, mut dots, mut open) = (1_u32, 0, 0_usize);
        let (mut tokens, mut in_piece, mut begin_of_line) = (0, 0, 0);
        let mut rest = text;
        while let Some(first) = rest.bytes().next() {
            let at = text.len() - rest.len();
            let (token, tail) = rest.split_at_checked(length(rest)).unwrap_or((rest, ""));
            let weight = weight(token);
            (tokens, in_piece) = (tokens + weight, in_piece + weight);
            if in_piece > PIECE && first == b'[' && open == 0 && at == begin_of_line {
                survey.ends.push(at);
                in_piece = weight;
            }
            if tokens > MAX_TOKENS || in_piece > 2 * PIECE {
                survey.ends.push(begin_of_line);
                survey.cut_at = Some(line);
                return survey;
            }
            match first {
                b'.' => {
                    dots += 1;
                    if dots >= MAX_KEY_PARTS && survey.deep.last() != Some(&line) {
                        survey.deep.push(line);
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
                let newlines = token.bytes().filter(|it| *it == b'\n').count();
                line = line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
            }
            rest = tail;
        }
        survey.ends.push(text.len());
        survey
    }
}

/// How many tokens or errors `toml` makes of a token, at the most: in a text or a comment those
/// that a bad escape or a control character costs, elsewhere one for each run of blanks and each
/// sign.
fn weight(token: &str) -> usize {
    let quoted = token.starts_with(['"', '\'', '#']);
    let mut before = b'\0';
    let costs = |it: &u8| {
        let is_blank = matches!(it, b' ' | b'\t');
        let more_blanks = is_blank && before == *it;
        before = *it;
        match it {
            _ if is_blank => !quoted && !more_blanks,
            b'\\' | 0..0x20 | 0x7f => true,
            _ => !quoted && !it.is_ascii_alphanumeric() && *it < 0x80,
        }
    };
    1 + token.as_bytes().get(1..).unwrap_or_default().iter().copied().filter(costs).count()
}

/// The length of the token at the start of `text`: a string, a comment, a run of other
/// characters, or one character. Strings that nothing ends go on to where `toml` ends them.
fn length(text: &str) -> usize {
    for quotes in ["\"\"\"", "'''"] {
        if let Some(body) = text.strip_prefix(quotes) {
            return quotes.len() + multi_line_length(body, quotes);
        }
    }
    let bytes = text.as_bytes();
    let until = |end: fn(u8) -> bool| bytes.iter().skip(1).position(|it| end(*it));
    match bytes.first() {
        Some(b'#') => until(|it| it == b'\n' || it == b'\r').map_or(bytes.len(), |it| it + 1),
        Some(b'\'') => match until(|it| it == b'\'' || it == b'\n') {
            Some(end) if bytes.get(end + 1) == Some(&b'\'') => end + 2,
            Some(end) => end + 1,
            None => bytes.len(),
        },
        Some(b'"') => basic_length(bytes),
        Some(byte) if is_punctuation(*byte) => 1,
        Some(_) => until(|it| is_punctuation(it) || matches!(it, b'"' | b'\'' | b'#'))
            .map_or(bytes.len(), |it| it + 1),
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

/// From behind the opening quotes to behind the closing ones, with up to two more that belong
/// to the text.
fn multi_line_length(body: &str, quotes: &str) -> usize {
    let bytes = body.as_bytes();
    let escapes = quotes.starts_with('"');
    let mut at = 0;
    loop {
        match bytes.get(at) {
            None => return bytes.len(),
            Some(b'\\') if escapes => at += 2,
            Some(_) if bytes.get(at..).is_some_and(|it| it.starts_with(quotes.as_bytes())) => {
                let more = bytes.iter().skip(at + 3).take(2);
                return at + 3 + more.take_while(|it| quotes.as_bytes().contains(it)).count();
            }
            Some(_) => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_parted_between_tables() {
        let table = "[[package]]\nname = \"a\"\ndependencies = [\n \"b\",\n]\n";
        let text = table.repeat(10_000);
        let survey = Survey::of(&text);
        assert!(survey.ends.len() > 2 && survey.cut_at.is_none());
        assert!(survey.ends.iter().all(|end| end % table.len() == 0));
        assert_eq!(survey.ends.last(), Some(&text.len()));
        assert_eq!(Survey::of(table).ends, [table.len()]);
    }

    #[test]
    fn what_is_too_much_is_cut_before_a_line() {
        let text = "a = 1\n".repeat(100_000);
        let survey = Survey::of(&text);
        let [end] = survey.ends.as_slice() else { panic!("{:?}", survey.ends) };
        assert!(*end > 0 && end % 6 == 0);
        assert_eq!(survey.cut_at, Some(u32::try_from(end / 6).unwrap() + 1));
        assert_eq!(Survey::of(&"}".repeat(200_000)).ends, [0]);
        let text = "[a]\n".repeat(1_000_000);
        assert_eq!(Survey::of(&text).cut_at, Some(250_001));
    }
}
