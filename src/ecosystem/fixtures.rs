//! The files of `tests/fixtures/ecosystem`, compared with the expected findings.
//!
//! A case is a folder below `<parser>/` with a file that this parser wants. Beside the file lies
//! `expected.txt`, with one section for each such file; `UPDATE_EXPECT=1` rewrites it (review the diff
//! before you commit). Files of a `real` case were written by the package manager itself;
//! `COMMAND.txt` states how. For sources, which no package manager writes, it is code as real programs
//! have it.

use super::{Findings, Parser, SourceFile, every_parser, fuzz::read_alone};
use crate::model::scan_result::{Package, Scope};
use rustix::time::{ClockId, clock_gettime};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

/// A file of a case. The path is relative to the case's folder, as the parser sees it.
pub(super) struct Case {
    pub(super) parser: &'static dyn Parser,
    pub(super) folder: PathBuf,
    pub(super) path: String,
    pub(super) bytes: Vec<u8>,
}

/// All cases, sorted.
pub(super) fn all() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ecosystem");
    let mut cases = Vec::new();
    for parser in every_parser() {
        collect(*parser, &root.join(parser.name()), &mut cases);
    }
    cases
}

fn collect(parser: &'static dyn Parser, folder: &Path, cases: &mut Vec<Case>) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            collect(parser, &entry, cases);
            continue;
        }
        let name = entry.file_name().unwrap().to_str().unwrap();
        // Some parsers match by folder, so they need the path below the case.
        let path = if parser.wants(name) { name.to_owned() } else { below_its_case(&entry) };
        if parser.wants(&path) {
            let bytes = fs::read(&entry).unwrap();
            cases.push(Case { parser, folder: folder.to_owned(), path, bytes });
        }
    }
}

/// The path of a file below the folder of its case.
fn below_its_case(file: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ecosystem");
    let below = file.strip_prefix(root).unwrap();
    below.components().skip(2).collect::<PathBuf>().to_str().unwrap().to_owned()
}

/// The CPU time of this thread. Unlike wall-clock time it does not depend on the load of the machine.
pub(super) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a time that has passed")
}

fn show(findings: &Findings) -> String {
    let mut lines: Vec<_> = findings.packages.iter().map(show_package).collect();
    lines.sort();
    lines.extend(findings.warnings.iter().map(|warning| {
        let line = warning.line.map_or_else(|| "-".to_owned(), |line| line.to_string());
        format!("warning: {line}: {}", warning.message)
    }));
    lines.extend(findings.notes.iter().map(|note| {
        let line = note.line.map_or_else(|| "-".to_owned(), |line| line.to_string());
        format!("note: {line}: {}", note.message)
    }));
    if let Some(members) = findings.project.as_ref().and_then(|project| project.shown_members()) {
        lines.push(format!("workspace: {members}"));
    }
    if findings.unreadable {
        lines.push("unreadable".to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}

/// `name version|specifier scope direct line purl`, then the purls that it requires, each after ` > `, and
/// those that may manage its version, each after ` < `, and after ` | ` the licenses and the beginnings of the
/// digests.
fn show_package(package: &Package) -> String {
    let version = package.version.as_deref().or(package.specifier.as_deref()).unwrap_or("-");
    let scope = package.scope.map_or("-", Scope::as_str);
    let direct = package.direct.map_or("-", |value| if value { "direct" } else { "transitive" });
    let line = package.line.unwrap_or_default();
    let purls = std::iter::once(&package.purl).chain(&package.requires);
    let purls: Vec<_> = purls.map(String::as_str).collect();
    let managers: String =
        package.managed_by.iter().flat_map(|purl| [" < ", purl.as_str()]).collect();
    let mut stated = String::new();
    for list in [&package.licenses, &package.hashes].into_iter().filter(|list| !list.is_empty()) {
        stated.push_str(" | ");
        stated.push_str(&abbreviated(list));
    }
    let purls = purls.join(" > ");
    format!("{} {version} {scope} {direct} {line} {purls}{managers}{stated}", package.name)
}

/// The texts, each cut to the length of a short digest, and how many more than two there are.
fn abbreviated(texts: &[String]) -> String {
    let shown = texts.iter().take(2).map(|text| text.chars().take(20).collect::<String>());
    let mut shown: Vec<_> = shown.collect();
    if let Some(more) = texts.len().checked_sub(shown.len()).filter(|more| *more > 0) {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}

#[test]
fn every_file_gives_the_expected_findings() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let cases = all();
    let mut wrong = Vec::new();
    for together in cases.chunk_by(|a, b| a.folder == b.folder) {
        let mut shown = String::new();
        for case in together {
            if together.len() > 1 {
                shown.extend(["# ", case.path.as_str(), "\n"]);
            }
            let file = SourceFile::alone(&case.path, &case.bytes);
            shown.push_str(&show(&read_alone(case.parser, file)));
        }
        let expected = together[0].folder.join("expected.txt");
        if update {
            fs::File::create(&expected).unwrap().write_all(shown.as_bytes()).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != shown {
            wrong.push(format!("{}:\n{shown}", expected.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_parser_has_the_same_cases() {
    let cases = all();
    for parser in every_parser() {
        for name in ["empty", "broken", "one", "many", "real"] {
            let has = cases.iter().any(|case| {
                case.parser.name() == parser.name() && case.folder.iter().any(|part| part == name)
            });
            assert!(has, "{} has no case `{name}`", parser.name());
        }
    }
}
