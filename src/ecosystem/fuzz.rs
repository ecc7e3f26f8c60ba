//! The invariants of every parser, as a fuzz target.
//!
//! Input: any bytes. Output: a panic where a parser violates an invariant. Invariants asserted: no
//! panic, bounded and well-formed findings, and the same findings for the same bytes.

use super::{
    Budget, Findings, Imports, Parser, REGISTRY, SourceFile, dotnet, gradle, imports::SOURCES,
    maven, parser::read_within,
};
use crate::fuzzing::choice;

/// The fuzz target: the first byte selects the parser of the remaining bytes.
pub(crate) fn parsers(bytes: &[u8]) {
    let parsers: Vec<&dyn Parser> = REGISTRY.iter().chain(SOURCES).copied().collect();
    let (number, bytes) = choice(bytes, parsers.len());
    check_parser(parsers[number], bytes);
}

/// Asserts the invariants of one parser.
pub(super) fn check_parser(parser: &dyn Parser, bytes: &[u8]) {
    let parse = || {
        let budget = Budget::of(bytes.len() as u64);
        read_alone(parser, SourceFile { path: "requirements.txt", bytes, budget: &budget })
    };
    let findings = parse();
    assert!(findings.packages.len() <= bytes.len());
    assert!(findings.warnings.len() <= 204);
    assert!(
        findings.packages.iter().all(|package| !package.name.is_empty() && package.line > Some(0))
    );
    assert!(findings.packages.iter().all(|package| package.requires.is_sorted()));
    assert!(!findings.unreadable || findings.packages.is_empty());
    assert_eq!(findings, parse());
}

/// Parses a file as the only file of a repository. Poms, `MSBuild` projects and Gradle builds are
/// resolved alone, and imports are resolved against no declared packages.
pub(super) fn read_alone(parser: &dyn Parser, file: SourceFile<'_>) -> Findings {
    let mut findings = read_within(parser, file);
    let of_pom =
        maven::resolve(findings.pom.take().map(|boxed| *boxed).into_iter().collect(), file.budget);
    findings.packages.extend(of_pom.packages);
    findings.warnings.extend(of_pom.warnings);
    let of_build = dotnet::resolve(
        findings.msbuild.take().map(|boxed| *boxed).into_iter().collect(),
        file.budget,
    );
    findings.packages.extend(of_build.packages);
    findings.warnings.extend(of_build.warnings);
    let of_gradle = gradle::resolve(
        findings.gradle.take().map(|boxed| *boxed).into_iter().collect(),
        file.budget,
    );
    findings.packages.extend(of_gradle.packages);
    findings.warnings.extend(of_gradle.warnings);
    if let Some(named) = findings.imports.take() {
        let mut imports = Imports::default();
        imports.see(file.path);
        imports.add(file.path, *named);
        let (packages, warnings) = imports.resolve(&[]);
        findings.packages.extend(packages);
        findings.warnings.extend(warnings);
    }
    findings
}
