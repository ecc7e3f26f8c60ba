//! The border between the scan and a parser: a file goes in, findings come out.

use super::{
    budget::Budget, dotnet::MsBuild, gradle::GradleFile, imports::Named, maven::Pom,
    workspace::Project,
};
use crate::model::scan_result::{Package, Warning};

/// One file of a repository, as its parser gets it.
#[derive(Debug, Clone, Copy)]
pub struct SourceFile<'a> {
    /// The path below the repository's root, with `/`; shown as it is in what is found.
    pub path: &'a str,
    pub bytes: &'a [u8],
    /// The work that reading it may take.
    pub budget: &'a Budget,
}

/// What a parser finds in a file, within the budget of work of a file of its size.
pub fn read(parser: &dyn Parser, path: &str, bytes: &[u8]) -> Findings {
    let budget = Budget::of(bytes.len() as u64);
    read_within(parser, SourceFile { path, bytes, budget: &budget })
}

/// As [`read`], within a budget that the caller keeps. A file that uses it up gets one warning.
pub(crate) fn read_within(parser: &dyn Parser, file: SourceFile<'_>) -> Findings {
    let mut findings = parser.parse(file);
    if file.budget.was_used_up() {
        findings.warnings.push(file.warning(None, file.budget.message()));
    }
    findings
}

#[cfg(test)]
impl<'a> SourceFile<'a> {
    /// A file with a budget that nobody else sees.
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

/// The last segment of a path with `/`. Each parser asks for it, of each path of a tree: byte by byte
/// from behind is faster than any search for so few.
pub(crate) fn file_name(path: &str) -> &str {
    let slash = path.bytes().rposition(|byte| byte == b'/');
    slash.and_then(|at| path.get(at + 1..)).unwrap_or(path)
}

/// Reads one kind of file. Pure: bytes in, findings out. The scan owns the walk, the size
/// limits and the reading, and guards against a panic all the same.
pub trait Parser: Sync {
    /// A short, stable name, as it appears in reports: `cargo-lock`.
    fn name(&self) -> &'static str;

    /// Whether this parser wants the file, judged by its path alone.
    fn wants(&self, path: &str) -> bool;

    /// Whether the file is read in deep scans alone: what it lists may not be in use.
    fn is_deep(&self) -> bool {
        false
    }

    /// What the file declares.
    fn parse(&self, file: SourceFile<'_>) -> Findings;
}

/// What a file told us. Half a broken file is still worth reporting, so there is no `Result`:
/// what could not be read is a warning beside the rest.
#[derive(Debug, Default, PartialEq)]
pub struct Findings {
    pub packages: Vec<Package>,
    pub warnings: Vec<Warning>,
    /// Set where nothing of the file could be understood; a file without packages is fine.
    pub unreadable: bool,
    /// A pom, whose packages [`join`](super::join()) makes once all poms of the repository are
    /// there: what a version is, one of them alone seldom knows.
    pub pom: Option<Box<Pom>>,
    /// A project of `MSBuild`, with which it is the same.
    pub msbuild: Option<Box<MsBuild>>,
    /// A file of a Gradle build, with which it is the same.
    pub gradle: Option<Box<GradleFile>>,
    /// What a manifest says of its own project.
    pub project: Option<Box<Project>>,
    /// What a source imports, of which [`join`](super::join()) makes packages once it is known what
    /// is declared.
    pub imports: Option<Box<Named>>,
}
