//! `cabal.project.freeze`, as `cabal freeze` writes it, and the old `cabal.config`.
//!
//! Input: the field `constraints`. Output: each package with an exact version. Invariants: flags
//! (`zlib +bundled-c-zlib`) are not packages; the file does not state what is direct.

use super::constraint::Constraint;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// Reads `cabal.project.freeze`.
#[derive(Debug)]
pub(in crate::ecosystem) struct CabalFreeze;

impl Parser for CabalFreeze {
    fn name(&self) -> &'static str {
        "cabal-freeze"
    }

    fn reads_lock_files(&self) -> bool {
        true
    }

    fn wants(&self, path: &str) -> bool {
        let name = file_name(path);
        name == "cabal.config" || name.starts_with("cabal.") && name.ends_with(".freeze")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Hackage, Source::Lockfile);
        let text = text::decode(file.bytes);
        let mut in_constraints = false;
        for (line, content) in (1_u32..).zip(text.lines()) {
            if text::is_merge_marker(content) {
                found.warn(line, text::MERGE_MARKER);
                continue;
            }
            let content = content.split("--").next().unwrap_or(content);
            let mut rest = content;
            if !content.starts_with([' ', '\t']) && !content.trim().is_empty() {
                let Some((field, value)) = content.split_once(':') else {
                    let message = format!("`{}` is not a field", text::excerpt(content));
                    found.warn(line, message);
                    continue;
                };
                in_constraints = field.trim().eq_ignore_ascii_case("constraints");
                rest = value;
            }
            if in_constraints {
                for entry in rest.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
                    constraint(entry, line, &mut found);
                }
            }
        }
        found.finish()
    }
}

fn constraint(entry: &str, line: u32, found: &mut Collector<'_>) {
    // The qualifier `any.` applies to all goals of the solver; others are `setup.` and `pkg:setup.`.
    let entry = entry.strip_prefix("any.").unwrap_or(entry);
    let is_flag = entry.split_whitespace().nth(1).is_some_and(|word| word.starts_with(['+', '-']));
    if is_flag {
        return;
    }
    match Constraint::read(entry) {
        // A package of the compiler is `installed`, in whatever version.
        Some(Constraint { name, version: Some(version), .. }) => {
            let version = Some(version);
            found.add(Declared { name, version, line, ..Declared::default() });
        }
        Some(Constraint { name, range: Some(range), .. })
            if range.starts_with(['=', '<', '>', '^']) =>
        {
            let specifier = Some(range);
            found.add(Declared { name, specifier, line, ..Declared::default() });
        }
        Some(_) => {}
        None => found.warn(line, format!("`{}` is not a valid constraint", text::excerpt(entry))),
    }
}
