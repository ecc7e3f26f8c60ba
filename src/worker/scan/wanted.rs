//! The files that a scan reads.
//!
//! Input: a path. Output: the parser of the file, and why it is read; its size limit. Invariants: the path alone decides.

use crate::{
    ecosystem::{self, Facts, Imports, Parser},
    model::task::Limits,
    worker::text,
};

/// Finds the parser for a file, by its path.
pub(crate) type ParserFor = fn(&str) -> Option<&'static dyn Parser>;

/// Which files a scan reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection {
    pub(super) parser_for: ParserFor,
    /// Whether imports in source files are read.
    pub(super) deep: bool,
    /// Whether committed archives and programs are read.
    pub(super) archives: bool,
}

/// A file with a parser.
pub(super) struct Wanted<H> {
    pub(super) path: Vec<u8>,
    pub(super) handle: H,
    pub(super) size: Option<u64>,
    pub(super) reader: Reader,
}

/// Why a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// A manifest or a lock file.
    Declaring,
    /// A source, whose imports only a deep scan reads.
    Source,
    /// An archive or a program, which only a scan with archives reads.
    Archive,
}

/// What reads a file.
#[derive(Clone, Copy)]
pub(super) struct Reader {
    pub(super) parser: &'static dyn Parser,
    pub(super) kind: FileKind,
    /// The parser of a source whose imports are not read.
    pub(super) otherwise: Option<&'static dyn Parser>,
}

impl<H> Wanted<H> {
    /// The path as text; created on demand, because it may be many times as long.
    pub(super) fn shown(&self) -> String {
        text::shown_path(&self.path)
    }
}

impl Reader {
    /// What reads the file at this path; none if nothing does. The facts learn of every file that is not ignored.
    pub(super) fn of(
        path: &str,
        with: Selection,
        is_ignored: bool,
        facts: &mut Facts,
    ) -> Option<Self> {
        let mut declares = (with.parser_for)(path);
        let source = if with.deep && !is_ignored {
            facts.with(|imports: &mut Imports| imports.see(path));
            declares = declares.or_else(|| ecosystem::deep_parser_for(path));
            let reads_imports = declares.is_none_or(Parser::is_part_of_source);
            reads_imports.then(|| ecosystem::source_parser_for(path)).flatten()
        } else {
            None
        };
        let reads = |parser, kind| Self { parser, kind, otherwise: declares };
        let archive = || with.archives.then(|| ecosystem::archive_parser_for(path)).flatten();
        source
            .map(|parser| reads(parser, FileKind::Source))
            .or_else(|| declares.map(|parser| reads(parser, FileKind::Declaring)))
            .or_else(|| archive().map(|parser| reads(parser, FileKind::Archive)))
    }

    /// The maximum size of the file, and the name of the setting.
    pub(super) fn limit(&self, limits: &Limits) -> (u64, &'static str) {
        match self.kind {
            FileKind::Archive => (limits.max_archive_bytes, "max_archive_bytes"),
            _ => limits.of_file(self.parser.reads_lock_files()),
        }
    }
}
