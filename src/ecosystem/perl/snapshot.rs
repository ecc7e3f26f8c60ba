//! `cpanfile.snapshot`, as Carton writes it ("carton snapshot format: version 1.0").
//!
//! Input: distributions, with the modules that each provides and requires. Output: one package for each
//! distribution, with its author as namespace, and the dependencies between distributions by the modules
//! that they provide. Invariants: only the indentation determines the meaning of a line.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    path::file_name,
    purl::{self, Parts},
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::collections::HashMap;

/// Reads `cpanfile.snapshot`.
#[derive(Debug)]
pub(in crate::ecosystem) struct CpanSnapshot;

impl Parser for CpanSnapshot {
    fn name(&self) -> &'static str {
        "cpanfile-snapshot"
    }

    fn reads_lock_files(&self) -> bool {
        true
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "cpanfile.snapshot"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Cpan, Source::Lockfile);
        let text = text::decode(file.bytes);
        let distributions = read(&text, &mut found);
        let mut providers: HashMap<&str, Added> = HashMap::new();
        let mut added = Vec::new();
        for distribution in &distributions {
            let taken = distribution.take(&mut found);
            added.push(taken);
            if let Some(taken) = taken {
                providers.extend(distribution.provides.iter().map(|module| (*module, taken)));
            }
        }
        for (distribution, taken) in distributions.iter().zip(added) {
            let Some(taken) = taken else { continue };
            for required in distribution.requires.iter().filter_map(|module| providers.get(module))
            {
                found.requires(taken, *required);
            }
        }
        if distributions.is_empty() && found.has_warnings() {
            return found.unreadable();
        }
        found.finish()
    }
}

#[derive(Debug)]
struct Distribution<'a> {
    line: u32,
    full_name: &'a str,
    author: Option<&'a str>,
    provides: Vec<&'a str>,
    requires: Vec<&'a str>,
}

fn read<'a>(text: &'a str, found: &mut Collector<'_>) -> Vec<Distribution<'a>> {
    let mut distributions: Vec<Distribution<'a>> = Vec::new();
    let mut list = "";
    for (line, content) in (1_u32..).zip(text.lines()) {
        let body = content.trim();
        if body.is_empty() || content.starts_with(['#', 'D']) {
            continue;
        }
        if text::is_merge_marker(content) {
            found.warn(line, text::MERGE_MARKER);
            continue;
        }
        let column = content.len() - content.trim_start().len();
        if column == 2 {
            let (author, full_name) = (None, body);
            let (provides, requires) = (Vec::new(), Vec::new());
            distributions.push(Distribution { line, full_name, author, provides, requires });
            list = "";
            continue;
        }
        let Some(distribution) = distributions.last_mut().filter(|_| column >= 4) else {
            found.warn(line, format!("`{}` is not in a distribution", text::excerpt(body)));
            continue;
        };
        if column < 6 {
            let (key, value) = body.split_once(':').unwrap_or((body, ""));
            list = key;
            if key == "pathname" {
                // `M/MI/MIYAGAWA/Plack-1.0.tar.gz`
                distribution.author = value.trim().rsplit('/').nth(1);
            }
            continue;
        }
        let module = body.split_whitespace().next().unwrap_or(body);
        match list {
            "provides" => distribution.provides.push(module),
            "requirements" => distribution.requires.push(module),
            _ => {}
        }
    }
    distributions
}

impl Distribution<'_> {
    fn take(&self, found: &mut Collector<'_>) -> Option<Added> {
        let (name, version) = split(self.full_name);
        if version.is_none() {
            let name = text::excerpt(name);
            found.warn(self.line, format!("`{name}` has no version"));
        }
        let author = self.author.map(str::to_uppercase);
        let declared = Declared { name, version, line: self.line, ..Declared::default() };
        found.take_as(Ecosystem::Cpan.into(), declared, |version| {
            let namespace = author.as_deref();
            purl::write("cpan", Parts { namespace, name, version, ..Parts::default() })
        })
    }
}

/// Splits `Name-With-Dashes-v1.2.3-TRIAL`: the version begins after the last dash before a digit.
fn split(full_name: &str) -> (&str, Option<&str>) {
    let begins = |at: &usize| {
        let rest = full_name.get(at + 1..).unwrap_or_default();
        rest.trim_start_matches('v').starts_with(|character: char| character.is_ascii_digit())
    };
    match full_name.rmatch_indices('-').map(|(at, _)| at).find(begins) {
        Some(at) => (full_name.get(..at).unwrap_or(full_name), full_name.get(at + 1..)),
        None => (full_name, None),
    }
}
