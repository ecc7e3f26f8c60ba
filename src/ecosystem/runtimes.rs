//! Files that state the versions of languages and tools for working on a project.
//!
//! Input: `.tool-versions` of asdf, `.sdkmanrc` of SDKMAN, and files of a single version: `.nvmrc`,
//! `.node-version`, `.python-version`, `.ruby-version` and similar ones. Output: each tool. The purl
//! specification has no type for them, so they are `generic`.
//!
//! Invariants: a partial version (`20`, `lts/*`) is a specifier, because it selects the newest match;
//! `system` and local folders are not packages.

use super::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `.tool-versions`.
#[derive(Debug)]
pub(in crate::ecosystem) struct ToolVersions;

impl Parser for ToolVersions {
    fn name(&self) -> &'static str {
        "tool-versions"
    }

    fn wants(&self, path: &str) -> bool {
        matches!(file_name(path), ".tool-versions" | ".sdkmanrc")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Generic, Source::Manifest);
        let text = text::decode(file.bytes);
        let is_sdkman = file.file_name() == ".sdkmanrc";
        for (line, whole) in (1_u32..).zip(text.lines()) {
            let content = whole.split('#').next().unwrap_or_default();
            // SDKMAN writes `java=17.0.1-tem`.
            let separates =
                |character: char| character.is_whitespace() || is_sdkman && character == '=';
            let words = content.split(separates);
            let mut words = words.filter(|word| !word.is_empty());
            let Some(name) = words.next() else { continue };
            let mut versions = words.peekable();
            let is_name =
                name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:@".contains(&byte));
            if !is_name || versions.peek().is_none() {
                found.warn(line, format!("unexpected `{}`", text::excerpt(whole)));
                continue;
            }
            // Further versions are fallbacks.
            versions.for_each(|version| add_exact(name, version, line, &mut found));
        }
        found.finish()
    }
}

const RUNTIME_TXT: &str = "runtime.txt";

/// The files of a single version, with their tools.
const FILES: [(&str, &str); 10] = [
    // A file of Heroku, with the name of the tool before the version.
    (RUNTIME_TXT, "python"),
    (".nvmrc", "node"),
    (".node-version", "node"),
    (".python-version", "python"),
    (".ruby-version", "ruby"),
    (".go-version", "go"),
    (".java-version", "java"),
    (".php-version", "php"),
    (".terraform-version", "terraform"),
    (".bun-version", "bun"),
];

/// Reads the files of a single version.
#[derive(Debug)]
pub(in crate::ecosystem) struct VersionFile;

impl Parser for VersionFile {
    fn name(&self) -> &'static str {
        "version-file"
    }

    fn wants(&self, path: &str) -> bool {
        tool_of(path).is_some()
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Generic, Source::Manifest);
        let tool = tool_of(file.path).unwrap_or("tool");
        let text = text::decode(file.bytes);
        for (line, whole) in (1_u32..).zip(text.lines()) {
            let content = whole.split('#').next().unwrap_or_default().trim();
            let is_other = file.file_name() == RUNTIME_TXT && !content.starts_with("python-");
            if content.is_empty() || is_other {
                continue;
            }
            if content.contains(|character: char| {
                character.is_whitespace() || "<>=|{}$\"'".contains(character)
            }) {
                found.warn(line, format!("`{}` is not a version", text::excerpt(content)));
                continue;
            }
            // `ruby-3.2.2`, `node-v20.11.0`
            let version = content.strip_prefix(tool).and_then(|rest| rest.strip_prefix('-'));
            add(tool, version.unwrap_or(content), line, &mut found);
        }
        found.finish()
    }
}

fn tool_of(path: &str) -> Option<&'static str> {
    let file = file_name(path);
    FILES.iter().find(|(name, _)| *name == file).map(|(_, tool)| *tool)
}

/// Adds a tool of asdf, which accepts only complete versions, and `latest`.
fn add_exact(name: &str, wanted: &str, line: u32, found: &mut Collector<'_>) {
    if wanted.starts_with("latest") || wanted.contains(':') || wanted == "system" {
        return add(name, wanted, line, found);
    }
    let (direct, scope) = (Some(true), Some(Scope::Dev));
    let version = Some(wanted);
    found.add_of(
        Ecosystem::Generic,
        Declared { name, version, specifier: None, line, direct, scope },
    );
}

/// Adds a tool with the requested version, unless it is a local one.
pub(super) fn add(name: &str, wanted: &str, line: u32, found: &mut Collector<'_>) {
    if wanted == "system" || wanted.starts_with("path:") || wanted.starts_with("sub-") {
        return;
    }
    let (direct, scope) = (Some(true), Some(Scope::Dev));
    let version = wanted.strip_prefix("ref:").or_else(|| exact(wanted));
    let specifier = Some(wanted).filter(|_| version.is_none());
    found.add_of(Ecosystem::Generic, Declared { name, version, specifier, line, direct, scope });
}

/// The version, if it is complete: with at least two dots, such as `20.11.0`, `pypy3.9-7.3.9` or
/// `temurin-21.0.1+12`.
pub(super) fn exact(wanted: &str) -> Option<&str> {
    let version = wanted.strip_prefix('v').unwrap_or(wanted);
    let is_plain =
        version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte));
    let is_whole = version.split('.').count() >= 3
        && version
            .split('.')
            .skip(1)
            .take(2)
            .all(|part| part.starts_with(|character: char| character.is_ascii_digit()));
    (is_plain && is_whole).then_some(version)
}
