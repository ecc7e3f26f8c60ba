//! The interface of all parsers: [`SourceFile`] in, [`Findings`] out.

use super::{
    budget::{ArchiveLimits, Budget},
    facts::Fact,
    path::{file_name, folder_of},
    project::Project,
};
use crate::model::scan_result::{Package, Warning};

/// The beginning of a pointer file ("Git LFS Specification", "The Pointer").
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Larger files have to be text as tools write it: the memory for any other text would be a multiple of its size.
const LARGE: usize = 16 << 20;

/// Bytes of a line of a large file, on average.
const SHORTEST_LINE: usize = 8;

/// One file of a repository, as its parser gets it.
#[derive(Debug, Clone, Copy)]
pub struct SourceFile<'a> {
    /// The path below the repository's root, with `/`, as it appears in the findings.
    pub path: &'a str,
    pub bytes: &'a [u8],
    /// The limit of the work that parsing may take.
    pub budget: &'a Budget,
}

/// Parses a file within a budget that depends on its size.
pub fn read(parser: &dyn Parser, path: &str, bytes: &[u8]) -> Findings {
    let budget = Budget::of(bytes.len() as u64);
    read_within(parser, SourceFile { path, bytes, budget: &budget })
}

/// Parses an archive within the limits of archives.
pub fn read_archive(
    parser: &dyn Parser,
    path: &str,
    bytes: &[u8],
    limits: ArchiveLimits,
) -> Findings {
    let budget = Budget::of(bytes.len() as u64).of_archive(limits);
    let file = SourceFile { path, bytes, budget: &budget };
    if let Some(findings) = pointer(file) { findings } else { parsed(parser, file) }
}

/// As [`read`], within the caller's budget. A file that uses up the budget gets one warning.
pub(crate) fn read_within(parser: &dyn Parser, file: SourceFile<'_>) -> Findings {
    if let Some(findings) = pointer(file) {
        return findings;
    }
    if file.bytes.len() > LARGE && !is_usual_text(file.bytes) {
        let message = format!(
            "not parsed: a file of more than {LARGE} bytes has to be UTF-8 with lines of at least \
             {SHORTEST_LINE} bytes on average"
        );
        return unreadable(file, message);
    }
    parsed(parser, file)
}

/// The findings of a pointer of Git LFS in the place of a file.
fn pointer(file: SourceFile<'_>) -> Option<Findings> {
    file.bytes.starts_with(LFS_POINTER).then(|| {
        let message =
            "a pointer of Git LFS: the content is not in the repository, and is not fetched";
        unreadable(file, message)
    })
}

fn unreadable(file: SourceFile<'_>, message: impl Into<String>) -> Findings {
    let warnings = vec![file.warning(None, message)];
    Findings { warnings, unreadable: true, ..Findings::default() }
}

fn parsed(parser: &dyn Parser, file: SourceFile<'_>) -> Findings {
    let mut findings = parser.parse(file);
    if file.budget.was_used_up() {
        findings.warnings.push(file.warning(None, file.budget.message()));
    }
    findings
}

fn is_usual_text(bytes: &[u8]) -> bool {
    let lines = bytes.split(|byte| *byte == b'\n').count();
    lines <= bytes.len() / SHORTEST_LINE && std::str::from_utf8(bytes).is_ok()
}

#[cfg(test)]
impl<'a> SourceFile<'a> {
    /// A file with a budget of its own.
    pub(crate) fn alone(path: &'a str, bytes: &'a [u8]) -> Self {
        Self { path, bytes, budget: Budget::alone(bytes.len()) }
    }
}

impl SourceFile<'_> {
    /// The last segment of the path.
    pub fn file_name(&self) -> &str {
        file_name(self.path)
    }

    /// A warning about this file.
    pub fn warning(&self, line: Option<u32>, message: impl Into<String>) -> Warning {
        Warning { file: self.path.to_owned(), line, message: message.into() }
    }
}

/// Parses one kind of file. Pure: bytes in, findings out. The scan walks the tree, enforces the size
/// limits, reads the files, and catches panics all the same.
pub trait Parser: Sync {
    /// A short, stable name for reports and fixtures: `cargo-lock`.
    fn name(&self) -> &'static str;

    /// Whether the parser handles this file, by the path alone.
    fn wants(&self, path: &str) -> bool;

    /// Whether the file is parsed in deep scans only, because it may list packages that are not in use.
    fn is_deep(&self) -> bool {
        false
    }

    /// Whether the files are lock files, which are larger than what people write and have a size limit of their
    /// own. By default by the parser's name. Such a parser bounds the number of values that it keeps.
    fn reads_lock_files(&self) -> bool {
        self.name().ends_with("-lock")
    }

    /// Whether the parser of the file's imports finds the same packages: a deep scan uses that one.
    fn is_part_of_source(&self) -> bool {
        false
    }

    /// How this file and the files beside it complete each other.
    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        Pairing::of(path)
    }

    /// Parses the file.
    fn parse(&self, file: SourceFile<'_>) -> Findings;
}

/// How manifests and lock files belong together: a lock file gets `direct` and `scope` from the manifests
/// with the same folder and tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pairing<'p> {
    /// The folder of the project that the file belongs to.
    pub folder: &'p str,
    /// The tool, where one folder may have files of several: a `requirements.txt` beside a `poetry.lock`
    /// is often exported from it. Empty for the usual tool of the ecosystem.
    pub tool: &'static str,
    /// Of a lock file: whether a package that none of these manifests names is transitive.
    pub names_all_direct: bool,
}

impl<'p> Pairing<'p> {
    /// The pairing of a file of the usual tool, in the folder of its project.
    pub fn of(path: &'p str) -> Self {
        Self { folder: folder_of(path), tool: "", names_all_direct: true }
    }

    /// The same with files of one tool.
    pub(super) fn with(self, tool: &'static str) -> Self {
        Self { tool, ..self }
    }
}

/// The findings of one file. There is no `Result`: a part that cannot be parsed becomes a warning
/// beside the packages of the rest.
#[derive(Debug, Default)]
pub struct Findings {
    pub packages: Vec<Package>,
    pub warnings: Vec<Warning>,
    /// What needs no action.
    pub notes: Vec<Warning>,
    /// Set where nothing of the file could be parsed. A file without packages is not unreadable.
    pub unreadable: bool,
    /// The project that a manifest describes.
    pub project: Option<Box<Project>>,
    /// What the format keeps of the file until all files have been read.
    pub fact: Option<Box<dyn Fact>>,
}

#[cfg(test)]
impl Findings {
    /// The fact, which is of this type.
    pub(crate) fn into_fact<T: Fact>(self) -> T {
        let fact: Box<dyn std::any::Any> = self.fact.unwrap();
        *fact.downcast().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::{LARGE, SourceFile, read_within};
    use crate::ecosystem::{deep_parser_for, parser_for};

    /// Fails if the memory for a large file depends on its content instead of its size.
    #[test]
    fn a_large_file_is_usual_text_or_not_parsed() {
        let parser = parser_for("yarn.lock").unwrap();
        let outcome_of = |filler: &[u8]| {
            let entry = b"a@^1:\n  version \"1.0.0\"\n".as_slice();
            let bytes = [entry, &filler.repeat(LARGE / filler.len() + 1)].concat();
            let findings = read_within(parser, SourceFile::alone("yarn.lock", &bytes));
            (findings.packages.len(), findings.unreadable)
        };
        assert_eq!(outcome_of(b"# a line of a comment\n"), (1, false));
        assert_eq!(outcome_of(b"#\n"), (0, true));
        assert_eq!(outcome_of(b"# \xff a line that is not UTF-8\n"), (0, true));
    }

    /// Fails if a lock file has the size limit of a manifest, or a manifest that of a lock file.
    #[test]
    fn lock_files_are_known_by_their_parser() {
        let reads = |path: &str| {
            let parser = parser_for(path).or_else(|| deep_parser_for(path)).unwrap();
            parser.reads_lock_files()
        };
        for path in [
            "package-lock.json",
            "web/yarn.lock",
            "pnpm-lock.yaml",
            "bun.lock",
            "Cargo.lock",
            "pylock.toml",
            "Package.resolved",
            "obj/project.assets.json",
            "cpanfile.snapshot",
            "go.sum",
            "vendor/modules.txt",
            "cabal.project.freeze",
            "release/app.cdx.json",
        ] {
            assert!(reads(path), "{path}");
        }
        for path in ["package.json", "Cargo.toml", "pom.xml", "requirements.txt", "Gemfile"] {
            assert!(!reads(path), "{path}");
        }
    }
}
