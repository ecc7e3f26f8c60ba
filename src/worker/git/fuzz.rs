//! Fuzz invariants of the parsers of git's output, for any output of git, its server or a tree.

use super::{
    diagnosis::diagnose,
    process::said,
    progress::Listener,
    reference::Reference,
    remote::Remote,
    tree::{parse, read_record},
    version,
};
use crate::{
    fuzzing::choice,
    worker::{sample, text},
};
use std::{io::BufReader, path::Path};

/// The longest record that is read from a list.
const LONGEST: usize = 200;

/// Parses the same bytes as a file list, and as messages on standard error in pieces of any size.
pub(crate) fn git(bytes: &[u8]) {
    let (size, bytes) = choice(bytes, 64);
    let mut records = BufReader::with_capacity(size + 1, bytes);
    let mut record = Vec::new();
    while read_record(&mut records, &mut record, LONGEST).expect("bytes can be read") {
        assert!(record.len() <= LONGEST + size + 1, "{} bytes", record.len());
        if let Some(entry) = parse(&record) {
            assert!(record.ends_with(&entry.path));
        }
        if record.len() > LONGEST {
            break;
        }
    }

    let mut listener = Listener::default();
    for piece in bytes.chunks(size + 1) {
        listener.hear(piece, |progress| {
            assert!(progress.bytes.is_none_or(|bytes| bytes < 1 << 53), "{progress:?}");
        });
    }
    let words = listener.finish();
    assert!(words.lines.len() <= 8 && words.lines.iter().all(|line| line.len() <= 3 * 4096 + 3));
    let remote = Remote::of(&sample::task(Path::new("/nowhere"), "https://h.example/a/b.git"));
    let remote = remote.expect("a host that is trusted");
    let name = String::from_utf8_lossy(bytes);
    let reference = Reference::parse(Some(&name)).or_else(|_| Reference::parse(None));
    let reference = reference.expect("the default branch");
    let error = diagnose(&words, &remote, &reference, 1);
    let shown = text::one_line(&error.to_string());
    assert!(!shown.is_empty() && !shown.contains('\n'));
    let _ = (version::parse(&name), said(bytes), error.kind());
}
