//! A TOML 1.1 reader with line numbers that tolerates broken files.
//!
//! Input: the text of a file. Output: the tables as far as they could be read, and the errors.
//!
//! Invariants: the tree is never so deep that walking or dropping it overflows the stack. The `toml`
//! crate limits the depth of arrays and inline tables, but not the parts of a dotted key, so lines
//! with longer keys are blanked before parsing. A line that is neither a key nor a table (such as a
//! merge conflict marker) loses only itself: the crate stops at such a line, so the line is blanked and
//! the text is parsed again. Memory is bounded: a file with more tokens than any real project has is cut,
//! and a long file with too many errors is read up to them.

mod prescan;

use super::{
    collect::Collector,
    parser::Findings,
    text::{self, Lines},
};
use prescan::{MAX_KEY_PARTS, Prescan};
use std::borrow::Cow;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Errors that are kept; a file of noise would give one for each line.
const MAX_ERRORS: usize = 20;

/// A long file is read up to the piece that exceeds this number of errors.
const MAX_ERRORS_OF_A_LONG_FILE: usize = 1000;

/// The beginning of the crate's message about a key without a value.
const LONE_KEY: &str = "key with no value";

/// The tables of a text, as far as they could be read.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(crate) root: DeTable<'a>,
    lines: Lines,
    errors: Vec<(u32, String)>,
}

impl Document<'_> {
    /// The line on which a key or a value begins.
    pub(crate) fn line<T>(&self, of: &Spanned<T>) -> u32 {
        self.lines.at(of.span().start)
    }
}

/// Reads a file as far as possible and passes it to `walk`. Each syntax error becomes a warning.
pub(crate) fn read(
    bytes: &[u8],
    mut found: Collector<'_>,
    walk: impl FnOnce(&Document<'_>, &mut Collector<'_>),
) -> Findings {
    let text = text::decode(bytes);
    found.budget().read(text.len());
    let Prescan { deep, ends, cut_at } = Prescan::of(&text);
    for line in &deep {
        found.warn(*line, format!("the key has more than {MAX_KEY_PARTS} parts and is skipped"));
    }
    if let Some(line) = cut_at {
        found.warn(line, "the file or one of its tables is too long; the rest is skipped");
    }
    let text = without_lines(&text, &deep);
    let end = end_of_usable_text(&text, &ends);
    if ends.last() > Some(&end) {
        let line = Lines::new(&text).at(end);
        found.warn(line, "too many errors; the rest is skipped");
    }
    let text = text.get(..end).unwrap_or_default();
    let document = parse(text);
    for (line, message) in document.errors.iter().take(MAX_ERRORS) {
        found.warn(*line, message);
    }
    let lone_keys: Vec<u32> = document
        .errors
        .iter()
        .filter(|(_, message)| message.starts_with(LONE_KEY))
        .map(|(line, _)| *line)
        .collect();
    if lone_keys.is_empty() {
        return finish(&document, found, walk);
    }
    drop(document);
    let text = without_lines(text, &lone_keys);
    finish(&parse(&text), found, walk)
}

/// The end of a text, or the begin of the piece that exceeds the error limit. The crate collects all
/// errors of a text before it returns any, so a long text is parsed in pieces first.
fn end_of_usable_text(text: &str, ends: &[usize]) -> usize {
    let mut begin = 0;
    let mut errors = 0;
    if ends.len() > 1 {
        for end in ends {
            errors += DeTable::parse_recoverable(text.get(begin..*end).unwrap_or_default()).1.len();
            if errors > MAX_ERRORS_OF_A_LONG_FILE {
                return begin;
            }
            begin = *end;
        }
    }
    ends.last().copied().unwrap_or_default()
}

fn finish(
    document: &Document<'_>,
    mut found: Collector<'_>,
    walk: impl FnOnce(&Document<'_>, &mut Collector<'_>),
) -> Findings {
    if document.root.is_empty() && found.has_warnings() {
        return found.unreadable();
    }
    walk(document, &mut found);
    found.finish()
}

fn parse(text: &str) -> Document<'_> {
    let (root, reported) = DeTable::parse_recoverable(text);
    let lines = Lines::new(text);
    let mut errors: Vec<(u32, String)> = reported
        .iter()
        .map(|error| {
            let line = lines.at(error.span().map_or(0, |span| span.start));
            (line, error.message().replace('\n', ", "))
        })
        .collect();
    // One broken spot often breaks several rules; of its errors, keep the one about a lone key.
    errors.sort_by_key(|(line, message)| (*line, !message.starts_with(LONE_KEY)));
    errors.dedup_by_key(|(line, _)| *line);
    Document { root: root.into_inner(), lines, errors }
}

/// The text with these lines blanked, so that all other offsets stay the same.
fn without_lines<'a>(text: &'a str, numbers: &[u32]) -> Cow<'a, str> {
    if numbers.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    for (number, line) in (1_u32..).zip(text.split_inclusive('\n')) {
        if numbers.binary_search(&number).is_ok() {
            kept.extend(line.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        } else {
            kept.push_str(line);
        }
    }
    Cow::Owned(kept)
}

/// The value of a key, if it is a table.
pub(crate) fn table<'t, 'i>(parent: &'t DeTable<'i>, key: &str) -> Option<&'t DeTable<'i>> {
    parent.get(key)?.get_ref().as_table()
}

/// The table at the end of a path of keys.
pub(crate) fn descend<'t, 'i>(root: &'t DeTable<'i>, path: &[&str]) -> Option<&'t DeTable<'i>> {
    path.iter().try_fold(root, |at, key| table(at, key))
}

/// The elements of a key, if it is an array.
pub(crate) fn elements<'t, 'i>(
    parent: &'t DeTable<'i>,
    key: &str,
) -> impl Iterator<Item = &'t Spanned<DeValue<'i>>> + use<'t, 'i> {
    parent.get(key).and_then(|value| value.get_ref().as_array()).into_iter().flatten()
}

/// The text of a key, if it is a string.
pub(crate) fn string<'t>(parent: &'t DeTable<'_>, key: &str) -> Option<&'t str> {
    parent.get(key)?.get_ref().as_str()
}

/// Whether a key is `true`.
pub(crate) fn is_true(parent: &DeTable<'_>, key: &str) -> bool {
    parent.get(key).and_then(|value| value.get_ref().as_bool()) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::SourceFile;
    use crate::model::{ecosystem::Ecosystem, scan_result::Source};

    /// The tables and keys that were read, and the lines of the warnings.
    fn read_keys(text: &str) -> (Vec<String>, Vec<u32>) {
        let file = SourceFile::alone("Cargo.toml", text.as_bytes());
        let found = Collector::new(file, Ecosystem::Cargo, Source::Manifest);
        let mut keys = Vec::new();
        let findings = read(file.bytes, found, |document, _| {
            for (key, value) in &document.root {
                let line = document.line(key);
                let inner = value.get_ref().as_table().into_iter().flat_map(DeTable::keys);
                let inner: Vec<_> = inner.map(|key| key.get_ref().as_ref()).collect();
                keys.push(format!("{line}:{}[{}]", key.get_ref(), inner.join(",")));
            }
        });
        (keys, findings.warnings.iter().filter_map(|warning| warning.line).collect())
    }

    #[track_caller]
    fn check(text: &str, keys: &[&str], warnings: &[u32]) {
        let (read, lines) = read_keys(text);
        assert_eq!(read, keys, "{text}");
        assert_eq!(lines, warnings, "{text}");
    }

    #[test]
    fn a_broken_line_loses_only_itself() {
        check("[a]\nb = \nc = 1\n[d\ne = 2\n[f]\ng = 3\n", &["1:a[b,c]", "6:f[g]"], &[2, 4]);
    }

    #[test]
    fn merge_conflict_markers_keep_both_sides() {
        let text = "[a]\n<<<<<<< HEAD\nb = 1\n=======\nc = 1\n>>>>>>> main\nd = 1\n[e]\n";
        check(text, &["1:a[,b,c,d]", "8:e[]"], &[2, 4, 6]);
    }

    #[test]
    fn long_keys_lose_only_their_line() {
        let text = format!("a = 1\n{}b = 2\nc = \"{}\"\n", "x.".repeat(40), ".".repeat(40));
        check(&text, &["1:a[]", "3:c[]"], &[2]);
    }

    /// Fails if a long valid file is cut, or a broken one is read beyond the error limit.
    #[test]
    fn a_long_file_is_read_up_to_the_error_limit() {
        let good: Vec<String> = (0..30_000).map(|number| format!("[t{number}]\na = 1\n")).collect();
        let good = good.concat();
        let (keys, warnings) = read_keys(&good);
        assert_eq!((keys.len(), warnings.len()), (30_000, 0));
        let bad = format!("{good}{}", "[x]\na = = =\n".repeat(30_000));
        let (keys, warnings) = read_keys(&bad);
        assert!(keys.len() >= 20_000, "{}", keys.len());
        assert!(warnings.iter().any(|line| *line > 40_000), "{warnings:?}");
        let (keys, warnings) = read_keys(&format!("[a]\nb = 1\nc = [{}", "}".repeat(1_000_000)));
        assert_eq!((keys, warnings), (vec!["1:a[b]".to_owned()], vec![3]));
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let key = format!("{}y", "x.".repeat(MAX_KEY_PARTS - 1));
        let n = 100_000;
        for text in [
            format!("a = {}", "[".repeat(n)),
            format!("a = {}", "{a=".repeat(n)),
            format!("a{} = 1", ".a".repeat(n)),
            format!("[a{}]", ".a".repeat(n)),
            format!("[{}]", " . ".repeat(n)),
            format!("a = {}", format!("{{{key} = ").repeat(1000)),
            format!("[{key}]\n{key} = {}", format!("[{{{key} = ").repeat(1000)),
            "a = \"\"\"".repeat(n),
            "[[a]]\n".repeat(n),
            "a\n".repeat(n),
            "a = 1\n".repeat(n),
            "\"".repeat(n),
            "'".repeat(n),
            "\"\\".repeat(n),
        ] {
            read_keys(&text);
        }
    }
}
