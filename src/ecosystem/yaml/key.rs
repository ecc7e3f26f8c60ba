//! Where a key and a scalar end within a line.
//!
//! Input: a line from where a value or a key begins. Output: offsets in it. Invariants: work is linear in the
//! length of the line.

/// The offset of the colon after a key; none where the line does not begin with a key.
pub(super) fn colon_of(line: &str) -> Option<usize> {
    let begin = behind_properties(line);
    let rest = line.get(begin..)?;
    let ends = |rest: &str| rest.is_empty() || rest.starts_with([' ', '\t']);
    match rest.bytes().next()? {
        quote @ (b'"' | b'\'') => {
            let length = quoted_length(rest, quote)?;
            let behind = rest.get(length..)?;
            let spaces = behind.len() - behind.trim_start_matches(' ').len();
            let colon = behind.get(spaces..)?.strip_prefix(':')?;
            ends(colon).then_some(begin + length + spaces)
        }
        b'#' | b'|' | b'>' | b'{' | b'[' if !rest.starts_with("{{") => None,
        b'-' | b'?' if rest.len() == 1 || ends(rest.get(1..)?) => None,
        _ => {
            let end = end_of_plain(rest);
            rest.get(..end)?
                .match_indices(':')
                .map(|(at, _)| at)
                .find(|at| ends(rest.get(at + 1..).unwrap_or_default()))
                .map(|at| begin + at)
        }
    }
}

/// The length of the anchors and tags at the beginning of a line, with their separators.
pub(super) fn behind_properties(line: &str) -> usize {
    let mut rest = line;
    while rest.starts_with(['&', '!']) {
        let Some((_, behind)) = rest.split_once(' ') else { return line.len() };
        rest = behind.trim_start_matches(' ');
    }
    line.len() - rest.len()
}

/// The length of a quoted scalar including its quotes; none if it does not end in the line.
pub(super) fn quoted_length(line: &str, quote: u8) -> Option<usize> {
    let bytes = line.as_bytes();
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'\\' if quote == b'"' => at += 2,
            // A quote within single quotes is written twice.
            b'\'' if quote == b'\'' && bytes.get(at + 1) == Some(&quote) => at += 2,
            b'{' if quote == b'"' => at += template_length(line, at).unwrap_or(1),
            byte if *byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// The length of a `{{ … "x" … }}` within double quotes, which a template engine replaces before the YAML
/// is parsed. A quote after which the value may end is not part of a template.
fn template_length(line: &str, at: usize) -> Option<usize> {
    // Longer statements are not recognized; this bounds the work.
    const LONGEST: usize = 500;
    let rest = line.get(at..)?.strip_prefix("{{")?;
    let end = rest
        .bytes()
        .take(LONGEST)
        .zip(rest.bytes().skip(1))
        .position(|pair| pair == (b'}', b'}'))?;
    let quote = rest.get(..end)?.find('"')?;
    let behind = rest.get(quote + 1..)?.trim_start();
    let ends = behind.is_empty() || behind.starts_with([',', ':', ']', '}', '#']);
    (!ends).then_some(end + 4)
}

/// The end of a plain scalar in its line: before a comment, without trailing white space.
pub(super) fn end_of_plain(line: &str) -> usize {
    let comment = line.match_indices('#').map(|(at, _)| at).find(|at| {
        at.checked_sub(1)
            .is_some_and(|before| matches!(line.as_bytes().get(before), Some(b' ' | b'\t')))
    });
    let text = line.get(..comment.unwrap_or(line.len())).unwrap_or_default();
    text.trim_end_matches([' ', '\t']).len()
}
