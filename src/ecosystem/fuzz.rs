//! The invariants of every parser, as a fuzz target.
//!
//! Input: any bytes. Output: a panic where a parser violates an invariant. Invariants asserted: no
//! panic, bounded and well-formed findings, and the same findings for the same bytes.

use super::{
    Budget, Facts, Findings, Imports, Parser, STEPS, SourceFile, every_parser,
    parser::read_within,
    step::{Joining, Step},
};
use crate::fuzzing::choice;

/// The fuzz target: the first byte selects the parser of the remaining bytes.
pub(crate) fn parsers(bytes: &[u8]) {
    let parsers: Vec<&dyn Parser> = every_parser().copied().collect();
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
        findings.packages.iter().all(|package| !package.name.is_empty() && package.line != Some(0))
    );
    assert!(findings.packages.iter().all(|package| package.requires.is_sorted()));
    assert!(!findings.unreadable || findings.packages.is_empty());
    let again = parse();
    assert_eq!(findings.packages, again.packages);
    assert_eq!(findings.warnings, again.warnings);
    assert_eq!((findings.unreadable, findings.project), (again.unreadable, again.project));
}

/// Parses a file as the only file of a repository. What its format keeps is resolved alone, and imports are
/// resolved against no declared packages.
pub(super) fn read_alone(parser: &dyn Parser, file: SourceFile<'_>) -> Findings {
    let mut findings = read_within(parser, file);
    let mut facts = Facts::default();
    facts.with(|imports: &mut Imports| imports.see(file.path));
    if let Some(fact) = findings.fact.take() {
        fact.gather(&mut facts);
    }
    let Findings { packages, warnings, .. } = &mut findings;
    let mut joining = Joining {
        packages,
        warnings: std::mem::take(warnings),
        projects: Vec::new(),
        facts,
        budget: file.budget,
        cache: None,
    };
    for step in STEPS.iter().filter(|step| matches!(step, Step::Resolve(_))) {
        step.run(&mut joining);
    }
    findings.warnings = joining.warnings;
    findings
}
