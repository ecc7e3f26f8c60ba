//! `paket.dependencies`, by "The paket.dependencies file" of Paket's manual.
//!
//! Input: lines of `nuget name constraint options`, in groups. Output: each package as direct. Invariants: a
//! version without an operator, or after `=` or `==`, is exact; options after the constraint are ignored.

use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `paket.dependencies`.
#[derive(Debug)]
pub(in crate::ecosystem) struct PaketDependencies;

impl Parser for PaketDependencies {
    fn name(&self) -> &'static str {
        "paket-dependencies"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "paket.dependencies"
    }

    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        Pairing::of(path).with("paket")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::NuGet, Source::Manifest);
        let text = text::decode(file.bytes);
        let mut scope = Scope::Runtime;
        for (line, content) in (1_u32..).zip(text.lines()) {
            let content = without_comment(content.trim());
            let (keyword, rest) = content.split_once(char::is_whitespace).unwrap_or((content, ""));
            let rest = rest.trim();
            match keyword.to_ascii_lowercase().as_str() {
                "group" => scope = scope_of(rest),
                "nuget" => add(rest, line, scope, &mut found),
                "clitool" => add(rest, line, Scope::Build, &mut found),
                _ => {}
            }
        }
        found.finish()
    }
}

fn without_comment(line: &str) -> &str {
    if line.starts_with('#') || line.starts_with("//") {
        return "";
    }
    line.split(" //").next().unwrap_or(line)
}

fn scope_of(group: &str) -> Scope {
    match group.to_ascii_lowercase().as_str() {
        "main" => Scope::Runtime,
        "test" | "tests" => Scope::Test,
        "build" => Scope::Build,
        _ => Scope::Dev,
    }
}

fn add(text: &str, line: u32, scope: Scope, found: &mut Collector<'_>) {
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    // Options have the form `key: value`; `!` and `@` choose a resolution strategy.
    let words = rest.split_whitespace().take_while(|word| !word.ends_with(':') && !is_option(word));
    let words: Vec<_> = words.map(|word| word.trim_start_matches(['!', '@'])).collect();
    let constraint = words.join(" ");
    let bare = constraint.trim_start_matches('=').trim();
    let version = super::exact(bare);
    let specifier = version.is_none().then_some(constraint.as_str());
    let (direct, scope) = (Some(true), Some(scope));
    found.add(Declared { name, version, specifier, line, direct, scope });
}

/// `prerelease`, `beta`, `framework:net45`.
fn is_option(word: &str) -> bool {
    word.contains(':') || word.starts_with(|character: char| character.is_ascii_alphabetic())
}
