//! The interface of all parsers: [`SourceFile`] in, [`Findings`] out.

use super::{
    budget::Budget, dotnet::MsBuild, gradle::GradleFile, imports::FileImports, maven::Pom,
    path::file_name, workspace::Project,
};
use crate::model::scan_result::{Package, Warning};

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

/// As [`read`], within the caller's budget. A file that uses up the budget gets one warning.
pub(crate) fn read_within(parser: &dyn Parser, file: SourceFile<'_>) -> Findings {
    let mut findings = parser.parse(file);
    if file.budget.was_used_up() {
        findings.warnings.push(file.warning(None, file.budget.message()));
    }
    findings
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

    /// Parses the file.
    fn parse(&self, file: SourceFile<'_>) -> Findings;
}

/// The findings of one file. There is no `Result`: a part that cannot be parsed becomes a warning
/// beside the packages of the rest.
#[derive(Debug, Default, PartialEq)]
pub struct Findings {
    pub packages: Vec<Package>,
    pub warnings: Vec<Warning>,
    /// Set where nothing of the file could be parsed. A file without packages is not unreadable.
    pub unreadable: bool,
    /// A pom. [`join`](super::join()) resolves it with all poms of the repository, because a pom alone
    /// seldom defines all of its versions.
    pub pom: Option<Box<Pom>>,
    /// An `MSBuild` project, resolved together with the others.
    pub msbuild: Option<Box<MsBuild>>,
    /// A file of a Gradle build, resolved together with the others.
    pub gradle: Option<Box<GradleFile>>,
    /// The project that a manifest describes.
    pub project: Option<Box<Project>>,
    /// The imports of a source file. [`join`](super::join()) compares them with the declared packages.
    pub imports: Option<Box<FileImports>>,
}
