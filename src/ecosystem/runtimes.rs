//! Files that say which versions of languages and tools a project is worked on with.
//!
//! What flows in: `.tool-versions` of asdf, `.sdkmanrc` of SDKMAN, and files of one version: `.nvmrc`, `.node-version`,
//! `.python-version`, `.ruby-version` and their like. What flows out: each tool. The purl specification
//! has no type for them, so they are `generic`.
//!
//! What must stay true: a part of a version (`20`, `lts/*`) is a specifier, as the newest one that
//! fulfils it is taken; `system`, and what lies in a folder, is no package.

use super::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    purl::Ecosystem,
    source::file_name,
    text,
};
use crate::model::scan_result::{Scope, Source};

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
            // `java=17.0.1-tem` is how SDKMAN has it.
            let separates = |it: char| it.is_whitespace() || is_sdkman && it == '=';
            let words = content.split(separates);
            let mut words = words.filter(|it| !it.is_empty());
            let Some(name) = words.next() else { continue };
            let mut versions = words.peekable();
            let is_name =
                name.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_./:@".contains(&it));
            if !is_name || versions.peek().is_none() {
                found.warn(line, format!("unexpected `{}`", text::excerpt(whole)));
                continue;
            }
            // The ones behind the first are tried where it is not there.
            versions.for_each(|it| add_exact(name, it, line, &mut found));
        }
        found.finish()
    }
}

const RUNTIME_TXT: &str = "runtime.txt";

/// The files of one version, and the tools that they are of.
const FILES: [(&str, &str); 10] = [
    // Of Heroku, which has the name of the tool before the version.
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

/// Reads the files of one version.
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
            if content.contains(|it: char| it.is_whitespace() || "<>=|{}$\"'".contains(it)) {
                found.warn(line, format!("`{}` is no version", text::excerpt(content)));
                continue;
            }
            // `ruby-3.2.2`, `node-v20.11.0`
            let version = content.strip_prefix(tool).and_then(|it| it.strip_prefix('-'));
            add(tool, version.unwrap_or(content), line, &mut found);
        }
        found.finish()
    }
}

fn tool_of(path: &str) -> Option<&'static str> {
    let file = file_name(path);
    FILES.iter().find(|(name, _)| *name == file).map(|(_, tool)| *tool)
}

/// Adds a tool of asdf, which takes nothing for a version but a whole one, and `latest`.
fn add_exact(name: &str, wanted: &str, line: u32, found: &mut Collector<'_>) {
    if wanted.starts_with("latest") || wanted.contains(':') || wanted == "system" {
        return add(name, wanted, line, found);
    }
    let (direct, scope) = (Some(true), Some(Scope::Dev));
    let version = Some(wanted);
    found.add(Declared { name, version, specifier: None, line, direct, scope });
}

/// Adds a tool with the version that is asked for, if it is to be got from anywhere.
pub(super) fn add(name: &str, wanted: &str, line: u32, found: &mut Collector<'_>) {
    if wanted == "system" || wanted.starts_with("path:") || wanted.starts_with("sub-") {
        return;
    }
    let (direct, scope) = (Some(true), Some(Scope::Dev));
    let version = wanted.strip_prefix("ref:").or_else(|| exact(wanted));
    let specifier = Some(wanted).filter(|_| version.is_none());
    found.add(Declared { name, version, specifier, line, direct, scope });
}

/// The version where it is a whole one: two dots at least, as `20.11.0`, `pypy3.9-7.3.9` or
/// `temurin-21.0.1+12` have them.
pub(super) fn exact(wanted: &str) -> Option<&str> {
    let version = wanted.strip_prefix('v').unwrap_or(wanted);
    let is_plain = version.bytes().all(|it| it.is_ascii_alphanumeric() || b"._-+".contains(&it));
    let is_whole = version.split('.').count() >= 3
        && version
            .split('.')
            .skip(1)
            .take(2)
            .all(|it| it.starts_with(|it: char| it.is_ascii_digit()));
    (is_plain && is_whole).then_some(version)
}
