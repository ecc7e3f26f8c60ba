//! What must hold of every parser, whatever is in a file.

use super::{
    Budget, Findings, Imports, Parser, REGISTRY, SourceFile, dotnet, gradle, imports::SOURCES,
    maven, source::read_within,
};
use crate::made_up::choice;

/// The first byte says which parser reads the rest.
pub(crate) fn parsers(bytes: &[u8]) {
    let parsers: Vec<&dyn Parser> = REGISTRY.iter().chain(SOURCES).copied().collect();
    let (number, bytes) = choice(bytes, parsers.len());
    check(parsers[number], bytes);
}

/// No panic, bounded findings, the same answer twice.
pub(super) fn check(parser: &dyn Parser, bytes: &[u8]) {
    let parse = || {
        let budget = Budget::of(bytes.len() as u64);
        read_alone(parser, SourceFile { path: "requirements.txt", bytes, budget: &budget })
    };
    let findings = parse();
    assert!(findings.packages.len() <= bytes.len());
    assert!(findings.warnings.len() <= 204);
    assert!(findings.packages.iter().all(|it| !it.name.is_empty() && it.line > Some(0)));
    assert!(findings.packages.iter().all(|it| it.requires.is_sorted()));
    assert!(!findings.unreadable || findings.packages.is_empty());
    assert_eq!(findings, parse());
}

/// What a parser finds in a file; of a pom or a project what it says when it is all that there is, and
/// of a source what it imports when nothing is declared.
pub(super) fn read_alone(parser: &dyn Parser, file: SourceFile<'_>) -> Findings {
    let mut findings = read_within(parser, file);
    let of_pom =
        maven::resolve(findings.pom.take().map(|it| *it).into_iter().collect(), file.budget);
    findings.packages.extend(of_pom.packages);
    findings.warnings.extend(of_pom.warnings);
    let of_build =
        dotnet::resolve(findings.msbuild.take().map(|it| *it).into_iter().collect(), file.budget);
    findings.packages.extend(of_build.packages);
    findings.warnings.extend(of_build.warnings);
    let of_gradle =
        gradle::resolve(findings.gradle.take().map(|it| *it).into_iter().collect(), file.budget);
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
