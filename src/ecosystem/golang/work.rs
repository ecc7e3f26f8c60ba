//! `go.work`, by "go.work files" of the "Go Modules Reference".
//!
//! Input: the directives `use` and `replace`. Output: the workspace, and no package: its members, and the folders
//! that replace modules, are modules of the repository, each with a `go.mod` of its own. Invariants: a bad
//! line loses only itself.

use super::module::{for_each_line, is_folder};
use crate::ecosystem::{Findings, Parser, SourceFile, collect::Collector, path::file_name, text};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// The directives that name no folders.
const IGNORED: [&str; 4] = ["go", "toolchain", "godebug", "replace"];

/// Reads `go.work`.
#[derive(Debug)]
pub(in crate::ecosystem) struct GoWork;

impl Parser for GoWork {
    fn name(&self) -> &'static str {
        "go-work"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "go.work"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Golang, Source::Manifest);
        let text = text::decode(file.bytes);
        let mut members = Vec::new();
        for_each_line(&text, |directive, words, _, line| match (directive, words.as_slice()) {
            ("use", [folder]) => members.push(folder.clone()),
            ("replace", [.., arrow, folder]) if arrow == "=>" && is_folder(folder) => {
                members.push(folder.clone());
            }
            ("use", _) => found.warn(line, "use: expected a folder"),
            _ if IGNORED.contains(&directive) => {}
            _ => {
                let directive = text::excerpt(directive);
                found.warn(line, format!("`{directive}` is not a directive of go.work"));
            }
        });
        found.describe(None, members.iter().map(AsRef::as_ref));
        found.finish()
    }
}
