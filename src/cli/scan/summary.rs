//! What a scan prints on standard error when it ends: warnings by kind, a summary, and why nothing was
//! scanned.
//!
//! Input: the results of all targets. Output: lines. Invariants: untrusted text is escaped; the
//! number of lines does not grow with the number of warnings, unless all are requested.

use super::{super::output::printable, Scanned};
use crate::{
    live::Plans,
    model::{
        RepoState,
        plan::{SkipCounts, in_words},
        scan_result::{ScanResult, Warning},
    },
};
use std::{collections::BTreeMap, time::Duration};

/// The maximum number of kinds of warnings that are printed.
const MAX_KINDS: usize = 12;

/// The warnings of all results: one line per kind, or `all`, and the notes.
pub(super) fn warnings(scanned: &[Scanned], all: bool) -> Vec<String> {
    let several = scanned.len() > 1 || scanned.iter().any(|target| target.listed);
    let results = || scanned.iter().flat_map(|target| target.results.values());
    let line = |(result, warning): &(&ScanResult, &Warning)| {
        let name = if several { format!("{}: ", result.repo_name) } else { String::new() };
        let number = warning.line.map(|line| format!(":{line}")).unwrap_or_default();
        printable(&format!("{name}{}{number}: {}", warning.file, warning.message))
    };
    let warnings: Vec<_> = results()
        .flat_map(|result| result.warnings.iter().map(move |warning| (result, warning)))
        .collect();
    if all {
        let notes =
            results().flat_map(|result| result.notes.iter().map(move |note| (result, note)));
        let notes = notes.map(|note| format!("note: {}", line(&note)));
        let warnings = warnings.iter().map(|warning| format!("warning: {}", line(warning)));
        return notes.chain(warnings).collect();
    }
    let mut kinds: BTreeMap<String, (usize, &(&ScanResult, &Warning))> = BTreeMap::new();
    for warning in &warnings {
        kinds.entry(kind_of(&warning.1.message)).or_insert((0, warning)).0 += 1;
    }
    let mut kinds: Vec<_> = kinds.into_values().collect();
    kinds.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let mut lines: Vec<_> = kinds
        .iter()
        .take(MAX_KINDS)
        .map(|(count, example)| match count {
            1 => format!("warning: {}", line(example)),
            _ => format!("warning: {} (and {} more of this kind)", line(example), count - 1),
        })
        .collect();
    if warnings.len() > lines.len() {
        let more = kinds.len().saturating_sub(MAX_KINDS);
        let more =
            if more > 0 { format!("{more} more kinds of warnings; ") } else { String::new() };
        lines.push(format!("{more}-v prints all {} warnings", warnings.len()));
    }
    lines
}

/// The kind of a warning: its message without what is particular to one file.
fn kind_of(message: &str) -> String {
    let mut kind = String::new();
    for (index, part) in message.split('`').enumerate() {
        if index % 2 == 1 {
            kind.push('`');
        } else {
            kind.extend(part.chars().filter(|c| !c.is_ascii_digit()));
        }
    }
    kind
}

/// One line about everything that was scanned.
pub(super) fn summary(scanned: &[Scanned], plans: &Plans, took: Duration) -> String {
    let mut repositories = (0_u64, 0_u64);
    let mut left = SkipCounts::new();
    for target in scanned {
        for repository in target.job.repositories() {
            repositories.0 += 1;
            repositories.1 += u64::from(repository.state != RepoState::Completed);
        }
        let plan = plans.get(target.job.id());
        for (kind, count) in plan.iter().flat_map(|plan| plan.skipped_by_reason()) {
            *left.entry(kind).or_default() += count;
        }
    }
    let (mut packages, mut ecosystems) = (0_u64, BTreeMap::<&str, u64>::new());
    let (mut parsed, mut failed, mut skipped, mut warnings) = (0, 0, 0, 0_u64);
    for result in scanned.iter().flat_map(|target| target.results.values()) {
        packages += result.packages.len() as u64;
        for package in &result.packages {
            *ecosystems.entry(package.ecosystem.as_str()).or_default() += 1;
        }
        parsed += result.files.parsed;
        failed += result.files.failed;
        skipped += result.files.skipped;
        warnings += result.warnings.len() as u64;
    }
    let mut ecosystems: Vec<_> = ecosystems.into_iter().collect();
    ecosystems.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let ecosystems: Vec<_> = ecosystems
        .into_iter()
        .map(|(name, count)| format!("{count} {}", printable(name)))
        .collect();
    let ecosystems =
        if ecosystems.is_empty() { String::new() } else { format!(" ({})", ecosystems.join(", ")) };
    format!(
        "{}{}, {}{ecosystems}, {}{}, {}, {:.1} s",
        counted(repositories.0, "repository", "repositories"),
        unscanned(repositories.1, &in_words(&left)),
        counted(packages, "package", "packages"),
        counted(parsed, "file parsed", "files parsed"),
        in_brackets([(failed, "failed"), (skipped, "skipped")]),
        counted(warnings, "warning", "warnings"),
        took.as_secs_f64(),
    )
}

/// Why nothing of a group was scanned although nothing failed.
pub(super) fn nothing_scanned(target: &Scanned, plans: &Plans) -> String {
    let skipped = skipped(target, plans);
    let reasons: Vec<_> =
        skipped.iter().map(|(reason, count)| format!("{count} {}", printable(reason))).collect();
    let reasons = if reasons.is_empty() {
        "the group has no repositories".to_owned()
    } else {
        format!(
            "all {} are skipped ({}); check --include, --exclude and the other filters",
            counted(skipped.values().sum::<u64>(), "repository", "repositories"),
            reasons.join(", ")
        )
    };
    format!("{}: no repository was scanned: {reasons}", printable(&target.name))
}

/// How many repositories of a target are skipped, by reason.
fn skipped(target: &Scanned, plans: &Plans) -> BTreeMap<String, u64> {
    let mut reasons = BTreeMap::new();
    let plan = plans.get(target.job.id());
    for reason in
        plan.iter().flat_map(|plan| &plan.repositories).filter_map(|row| row.skipped.clone())
    {
        *reasons.entry(reason).or_default() += 1;
    }
    reasons
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The repositories without a result, in brackets.
fn unscanned(failed: u64, skipped: &str) -> String {
    let failed = (failed > 0).then(|| format!("{failed} failed"));
    let skipped = (!skipped.is_empty()).then(|| skipped.to_owned());
    let both: Vec<_> = failed.into_iter().chain(skipped).collect();
    if both.is_empty() { String::new() } else { format!(" ({})", both.join("; ")) }
}

/// The counts that are not 0, in brackets.
fn in_brackets(counts: [(u64, &str); 2]) -> String {
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let shown: Vec<_> = counts.map(|(count, word)| format!("{count} {word}")).collect();
    if shown.is_empty() { String::new() } else { format!(" ({})", shown.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::kind_of;

    #[test]
    fn warnings_of_one_kind_differ_only_in_names_and_numbers() {
        let same = ["`a` has no version", "`b:c` has no version"].map(kind_of);
        assert_eq!(same[0], same[1]);
        assert_eq!(kind_of("50 more warnings are omitted"), kind_of("1 more warnings are omitted"));
        assert_ne!(kind_of("`a`: expected text"), kind_of("`a`: expected a list"));
    }
}
