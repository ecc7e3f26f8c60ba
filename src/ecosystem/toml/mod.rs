//! TOML 1.1 with line numbers, for files that may be broken.
//!
//! What flows in: the text of a file. What flows out: the tables as far as they could be read,
//! and the errors met on the way.
//!
//! What must stay true: the tree is never so deep that walking or dropping it overflows the
//! stack. The `toml` crate bounds arrays and inline tables, not the parts of a dotted key, so
//! lines with too many of those are taken out before it sees them. And a line that is neither
//! key nor table (the marker of an unfinished merge) costs only itself: the crate reads nothing
//! behind one, so it is taken out too, and the rest read again. And memory is bounded: a file of
//! more tokens than any project has is cut, and of a long one that is broken all over the rest is not read.

mod survey;

use super::{
    collect::Collector,
    source::Findings,
    text::{self, Lines},
};
use std::borrow::Cow;
use survey::{MAX_KEY_PARTS, Survey};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// As with JSON: a file of noise would bring an error with each line.
const MAX_ERRORS: usize = 20;

/// A long file is read up to the piece in which it gets more errors than this.
const MAX_ERRORS_OF_A_LONG_FILE: usize = 1000;

/// How the crate's message about a key without a value begins.
const LONE_KEY: &str = "key with no value";

/// What could be read of a text.
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

/// Reads as much of a file as can be understood, and gives it to `walk`. What could not be
/// understood is a warning.
pub(crate) fn read(
    bytes: &[u8],
    mut found: Collector<'_>,
    walk: impl FnOnce(&Document<'_>, &mut Collector<'_>),
) -> Findings {
    let text = text::decode(bytes);
    found.budget().read(text.len());
    let Survey { deep, ends, cut_at } = Survey::of(&text);
    for line in &deep {
        found.warn(*line, format!("a key of more than {MAX_KEY_PARTS} parts is not read"));
    }
    if let Some(line) = cut_at {
        found.warn(line, "the file or a table of it is too long, the rest is not read");
    }
    let text = without_lines(&text, &deep);
    let end = end_of_sense(&text, &ends);
    if ends.last() > Some(&end) {
        let line = Lines::new(&text).at(end);
        found.warn(line, "too many errors, the rest is not read");
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

/// Where a text ends, or the piece of it that begins with the last of many errors. All errors
/// of a text are made before the first can be looked at, so a long one is read in pieces at first.
fn end_of_sense(text: &str, ends: &[usize]) -> usize {
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
            let line = lines.at(error.span().map_or(0, |it| it.start));
            (line, error.message().replace('\n', ", "))
        })
        .collect();
    // One broken spot often breaks several rules; of those, a lone key has to be kept.
    errors.sort_by_key(|(line, message)| (*line, !message.starts_with(LONE_KEY)));
    errors.dedup_by_key(|(line, _)| *line);
    Document { root: root.into_inner(), lines, errors }
}

/// The text with some lines made blank, so that all others keep their places.
fn without_lines<'a>(text: &'a str, numbers: &[u32]) -> Cow<'a, str> {
    if numbers.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    for (number, line) in (1_u32..).zip(text.split_inclusive('\n')) {
        if numbers.binary_search(&number).is_ok() {
            kept.extend(line.bytes().map(|it| if it == b'\n' { '\n' } else { ' ' }));
        } else {
            kept.push_str(line);
        }
    }
    Cow::Owned(kept)
}

/// The value of a key, where it is a table.
pub(crate) fn table<'t, 'i>(parent: &'t DeTable<'i>, key: &str) -> Option<&'t DeTable<'i>> {
    parent.get(key)?.get_ref().as_table()
}

/// The table at the end of a path of keys.
pub(crate) fn descend<'t, 'i>(root: &'t DeTable<'i>, path: &[&str]) -> Option<&'t DeTable<'i>> {
    path.iter().try_fold(root, |at, key| table(at, key))
}

/// The elements of a key, where it is an array.
pub(crate) fn elements<'t, 'i>(
    parent: &'t DeTable<'i>,
    key: &str,
) -> impl Iterator<Item = &'t Spanned<DeValue<'i>>> + use<'t, 'i> {
    parent.get(key).and_then(|it| it.get_ref().as_array()).into_iter().flatten()
}

/// The text of a key, where it is one.
pub(crate) fn string<'t>(parent: &'t DeTable<'_>, key: &str) -> Option<&'t str> {
    parent.get(key)?.get_ref().as_str()
}

/// Whether a key is there and `true`.
pub(crate) fn is_true(parent: &DeTable<'_>, key: &str) -> bool {
    parent.get(key).and_then(|it| it.get_ref().as_bool()) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::{SourceFile, purl::Ecosystem};
    use crate::model::scan_result::Source;

    /// The tables and keys that were read, then the lines of the warnings.
    fn read_keys(text: &str) -> (Vec<String>, Vec<u32>) {
        let file = SourceFile::alone("Cargo.toml", text.as_bytes());
        let found = Collector::new(file, Ecosystem::Cargo, Source::Manifest);
        let mut keys = Vec::new();
        let findings = read(file.bytes, found, |document, _| {
            for (key, value) in &document.root {
                let line = document.line(key);
                let inner = value.get_ref().as_table().into_iter().flat_map(DeTable::keys);
                let inner: Vec<_> = inner.map(|it| it.get_ref().as_ref()).collect();
                keys.push(format!("{line}:{}[{}]", key.get_ref(), inner.join(",")));
            }
        });
        (keys, findings.warnings.iter().filter_map(|it| it.line).collect())
    }

    #[track_caller]
    fn check(text: &str, keys: &[&str], warnings: &[u32]) {
        let (read, lines) = read_keys(text);
        assert_eq!(read, keys, "{text}");
        assert_eq!(lines, warnings, "{text}");
    }

    #[test]
    fn a_broken_line_does_not_hide_the_others() {
        check("[a]\nb = \nc = 1\n[d\ne = 2\n[f]\ng = 3\n", &["1:a[b,c]", "6:f[g]"], &[2, 4]);
    }

    #[test]
    fn the_markers_of_a_merge_leave_both_sides() {
        let text = "[a]\n<<<<<<< HEAD\nb = 1\n=======\nc = 1\n>>>>>>> main\nd = 1\n[e]\n";
        check(text, &["1:a[,b,c,d]", "8:e[]"], &[2, 4, 6]);
    }

    #[test]
    fn deep_keys_cost_their_line_only() {
        let text = format!("a = 1\n{}b = 2\nc = \"{}\"\n", "x.".repeat(40), ".".repeat(40));
        check(&text, &["1:a[]", "3:c[]"], &[2]);
    }

    /// Breaks if a long file is taken for a broken one, or is read past its sense.
    #[test]
    fn a_long_file_is_read_up_to_where_it_is_broken_all_over() {
        let good: Vec<String> = (0..30_000).map(|it| format!("[t{it}]\na = 1\n")).collect();
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
    fn no_nesting_overflows_the_stack() {
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
