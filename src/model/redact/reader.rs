//! Reads one character in all notations that tools use.
//!
//! Input: text, an offset, a character. Output: possible ends. Invariants: every notation has a
//! bounded length; a notation that the end of the text truncates is reported as unfinished.

use super::alphabet::Alphabet;

/// The maximum depth of repeated escaping.
const DEEPEST: usize = 4;
/// The resulting number of backslashes: doubled each time, plus the one before the character.
const MOST_BACKSLASHES: usize = 7;

const HEX: [u8; 16] = *b"0123456789ABCDEF";

/// The possible ends of a character.
#[derive(Debug, Default)]
pub(super) struct Ends {
    places: Vec<usize>,
    /// Whether the text ended before a notation was complete.
    unfinished: bool,
}

impl Ends {
    /// Moves the offsets out, sorted and without duplicates; returns whether the text ended before
    /// a notation was complete.
    pub(super) fn take(&mut self, places: &mut Vec<usize>) -> bool {
        places.append(&mut self.places);
        places.sort_unstable();
        places.dedup();
        std::mem::take(&mut self.unfinished)
    }
}

/// A position in a text.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

/// The result of an attempt to read something.
#[derive(Debug, Clone, Copy)]
enum Step {
    Is,
    IsNot,
    /// It matches so far, and the text ends.
    Unfinished,
}

impl Step {
    /// Continues if it matches so far.
    fn and(self, next: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Is => next(),
            other => other,
        }
    }
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    /// Skips a text, ignoring case; its punctuation may be percent-encoded, as it is for escapes in
    /// a URL.
    fn word(&mut self, word: &str) -> Step {
        word.bytes().fold(Step::Is, |step, byte| step.and(|| self.sign(byte)))
    }

    fn sign(&mut self, sign: u8) -> Step {
        let rest = self.rest();
        match rest {
            [] => Step::Unfinished,
            [first, ..] if first.eq_ignore_ascii_case(&sign) => {
                self.at += 1;
                Step::Is
            }
            [b'%', ..] if sign.is_ascii_punctuation() && sign != b'%' => self.encoded_sign(sign),
            _ => Step::IsNot,
        }
    }

    /// Skips `%2F`, `%252F` and so on.
    fn encoded_sign(&mut self, sign: u8) -> Step {
        let mut digits = &self.rest()[1..];
        for depth in 0..DEEPEST {
            let Some((pair, rest)) = digits.split_at_checked(2) else { return Step::Unfinished };
            if pair
                .eq_ignore_ascii_case(&[HEX[usize::from(sign >> 4)], HEX[usize::from(sign & 15)]])
            {
                self.at += 3 + 2 * depth;
                return Step::Is;
            }
            if pair != b"25" {
                return Step::IsNot;
            }
            digits = rest;
        }
        Step::IsNot
    }

    /// Skips a text that is repeated this many times.
    fn words(&mut self, word: &str, count: usize) -> Step {
        (0..count).fold(Step::Is, |step, _| step.and(|| self.word(word)))
    }

    /// Skips a number with this many digits that encodes this character.
    fn number_of(
        &mut self,
        character: u32,
        radix: u32,
        digits: std::ops::RangeInclusive<usize>,
    ) -> Step {
        let rest = self.rest();
        let most = rest.len().min(*digits.end());
        let count =
            rest[..most].iter().take_while(|byte| char::from(**byte).is_digit(radix)).count();
        let is_over = count == rest.len() && count < *digits.end();
        if count < *digits.start() {
            return if is_over { Step::Unfinished } else { Step::IsNot };
        }
        let number = u32::from_str_radix(&self.text[self.at..self.at + count], radix);
        self.at += count;
        match number {
            Ok(number) if same(number, character) => Step::Is,
            _ if is_over => Step::Unfinished,
            _ => Step::IsNot,
        }
    }
}

/// Adds the ends of `character` at this offset, in all possible notations.
pub(super) fn read(text: &str, place: usize, character: char, alphabet: Alphabet, ends: &mut Ends) {
    let Some(first) = text.as_bytes().get(place) else {
        ends.unfinished = true;
        return;
    };
    let mut bytes = [0; 4];
    let itself: &str = character.encode_utf8(&mut bytes);
    let from = Cursor { text, at: place };
    as_word(from, itself, ends);
    for other in alphabet.others(character) {
        as_word(from, other, ends);
    }
    match first {
        b'%' => {
            as_percent(from, itself, ends);
            as_entity(from, character, ends);
            as_escape(from, character, itself, ends);
        }
        b'&' => as_entity(from, character, ends),
        b'\\' => as_escape(from, character, itself, ends),
        _ => {}
    }
    if character == '\'' {
        as_word(from, r"'\''", ends);
        as_word(from, r#"'"'"'"#, ends);
    }
}

fn as_word(mut from: Cursor<'_>, word: &str, ends: &mut Ends) {
    match from.word(word) {
        Step::Is => ends.places.push(from.at),
        Step::Unfinished => ends.unfinished = true,
        Step::IsNot => {}
    }
}

/// `%2F`, `%252F` and so on, for each byte.
fn as_percent(from: Cursor<'_>, itself: &str, ends: &mut Ends) {
    for depth in 0..DEEPEST {
        let mut cursor = from;
        let sign = |cursor: &mut Cursor<'_>| cursor.word("%").and(|| cursor.words("25", depth));
        add(each_byte(&mut cursor, itself, sign, 16, 2), cursor, ends);
        let mut deeper = from;
        if matches!(sign(&mut deeper).and(|| deeper.word("25")), Step::IsNot) {
            return;
        }
    }
}

/// Each byte of a character after the same prefix, with this many digits.
fn each_byte(
    cursor: &mut Cursor<'_>,
    itself: &str,
    sign: impl Fn(&mut Cursor<'_>) -> Step,
    radix: u32,
    digits: usize,
) -> Step {
    for byte in itself.bytes() {
        let step = sign(cursor).and(|| cursor.number_of(byte.into(), radix, digits..=digits));
        if !matches!(step, Step::Is) {
            return step;
        }
    }
    Step::Is
}

/// `&quot;`, `&#34;`, `&#x22;`, and the same with `&amp;` for `&`.
fn as_entity(from: Cursor<'_>, character: char, ends: &mut Ends) {
    let mut start = from;
    match start.word("&") {
        Step::Is => {}
        other => return add(other, start, ends),
    }
    for _ in 0..DEEPEST {
        let name = match character {
            '&' => "amp;",
            '<' => "lt;",
            '>' => "gt;",
            '"' => "quot;",
            '\'' => "apos;",
            '/' => "sol;",
            _ => "",
        };
        if !name.is_empty() {
            as_word(start, name, ends);
        }
        for (sign, radix) in [("#", 10), ("#x", 16)] {
            let mut cursor = start;
            let step = cursor.word(sign);
            let step = step.and(|| cursor.number_of(character.into(), radix, 1..=8));
            add(step.and(|| cursor.word(";")), cursor, ends);
        }
        match start.word("amp;") {
            Step::Is => {}
            Step::Unfinished => {
                ends.unfinished = true;
                return;
            }
            Step::IsNot => return,
        }
    }
}

/// The escapes after one or more backslashes.
fn as_escape(from: Cursor<'_>, character: char, itself: &str, ends: &mut Ends) {
    let mut start = from;
    let mut count = 0;
    while count < MOST_BACKSLASHES {
        match start.word("\\") {
            Step::Is => count += 1,
            Step::Unfinished => {
                ends.unfinished = true;
                break;
            }
            Step::IsNot => break,
        }
        // Unescaped, or doubled.
        if character == '\\' && matches!(count, 1 | 2 | 4) {
            ends.places.push(start.at);
        }
    }
    if count == 0 || start.rest().is_empty() {
        return;
    }
    as_word(start, itself, ends);
    as_entity(start, character, ends);
    let letter = match character {
        '\n' => "n",
        '\r' => "r",
        '\t' => "t",
        '\u{8}' => "b",
        '\u{b}' => "v",
        '\u{c}' => "f",
        '\u{7}' => "a",
        _ => "",
    };
    if !letter.is_empty() {
        as_word(start, letter, ends);
    }
    // Each further byte or unit has its own backslashes.
    let run = |cursor: &mut Cursor<'_>| cursor.words("\\", count);
    let mut cursor = from;
    match start.rest().first() {
        Some(b'x' | b'X') => {
            let sign = |cursor: &mut Cursor<'_>| run(cursor).and(|| cursor.word("x"));
            add(each_byte(&mut cursor, itself, sign, 16, 2), cursor, ends);
        }
        Some(b'0'..=b'7') => add(each_byte(&mut cursor, itself, run, 8, 3), cursor, ends),
        Some(b'u' | b'U') => {
            let mut units = [0; 2];
            let mut step = Step::Is;
            for unit in character.encode_utf16(&mut units) {
                let number = u32::from(*unit);
                step = step.and(|| run(&mut cursor)).and(|| cursor.word("u"));
                step = step.and(|| cursor.number_of(number, 16, 4..=4));
            }
            add(step, cursor, ends);
            for (open, digits, close) in [("u{", 1..=6, "}"), ("U", 8..=8, "")] {
                let mut cursor = start;
                let step = cursor.word(open);
                let step = step.and(|| cursor.number_of(character.into(), 16, digits));
                add(step.and(|| cursor.word(close)), cursor, ends);
            }
        }
        _ => {}
    }
}

fn add(step: Step, cursor: Cursor<'_>, ends: &mut Ends) {
    match step {
        Step::Is => ends.places.push(cursor.at),
        Step::Unfinished => ends.unfinished = true,
        Step::IsNot => {}
    }
}

/// Whether two numbers encode the same character, ignoring case.
fn same(a: u32, b: u32) -> bool {
    let lower = |c: u32| u8::try_from(c).map_or(c, |byte| u32::from(byte.to_ascii_lowercase()));
    lower(a) == lower(b)
}

/// The offset at which a secret may continue after a gap: a line end, literal or escaped, with the
/// prefix of the next line, or a separator where lines were joined.
pub(super) fn gap(text: &str, place: usize, ends: &mut Ends) -> Option<usize> {
    const LINE_ENDS: [&str; 6] = ["\r\n", "\n", "\r", "\\r\\n", "\\n", "\\r"];
    /// git's prefix of server messages.
    const BEFORE_A_LINE: &str = "remote:";
    let rest = &text[place..];
    if rest == ";" || rest == "\\" {
        ends.unfinished = true;
    }
    let joined = rest.strip_prefix("; ");
    let ended = || LINE_ENDS.iter().find_map(|end| rest.strip_prefix(end));
    let Some(after) = joined.or_else(ended) else {
        return rest.starts_with(' ').then_some(place + 1);
    };
    let after = without_blanks(after);
    if !after.is_empty() && after.len() < BEFORE_A_LINE.len() && BEFORE_A_LINE.starts_with(after) {
        ends.unfinished = true;
    }
    let after = after.strip_prefix(BEFORE_A_LINE).map_or(after, without_blanks);
    Some(text.len() - after.len())
}

/// The text after its leading blanks, as far as they are indentation.
fn without_blanks(text: &str) -> &str {
    const MOST: usize = 8;
    let blanks = text.bytes().take(MOST).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &text[blanks..]
}
