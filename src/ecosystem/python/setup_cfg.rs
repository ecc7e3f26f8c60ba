//! `setup.cfg`, by "Configuring setuptools using setup.cfg files" of its manual, and Python's
//! `configparser`.
//!
//! Input: sections of keys with values that continue in indented lines. Output: the requirements in `options`
//! and `options.extras_require`. Invariants: sections of other tools are ignored; so is `file:`, because that
//! file is read on its own.

use super::{python_name, requirement, requirements};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `setup.cfg`.
#[derive(Debug)]
pub(in crate::ecosystem) struct SetupCfg;

impl Parser for SetupCfg {
    fn name(&self) -> &'static str {
        "setup-cfg"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "setup.cfg"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::PyPi, Source::Manifest);
        let text = text::decode(file.bytes);
        let own = own_name(&text).map(python_name);
        let mut section = "";
        let mut understood = false;
        let mut scope = None;
        for (number, line) in (1_u32..).zip(text.lines()) {
            let content = line.trim();
            if content.is_empty() || content.starts_with(['#', ';']) {
                continue;
            }
            let declared = Declared { line: number, direct: Some(true), ..Declared::default() };
            if line.starts_with([' ', '\t']) {
                if let Some(scope) = scope {
                    add(
                        content,
                        Declared { scope: Some(scope), ..declared },
                        own.as_deref(),
                        &mut found,
                    );
                }
            } else if let Some(name) = content.strip_prefix('[') {
                section = name.split(']').next().unwrap_or(name).trim();
                understood = true;
                scope = None;
            } else if let Some((key, value)) = key_and_value(content) {
                let value = value.trim();
                scope = scope_of(section, key.trim()).filter(|_| !value.starts_with("file:"));
                if let Some(scope) = scope {
                    // On one line, a semicolon separates requirements; on a separate line it begins a
                    // marker, which many files also have here.
                    for part in value.split(';').filter(|part| !is_marker(part)) {
                        add(
                            part,
                            Declared { scope: Some(scope), ..declared },
                            own.as_deref(),
                            &mut found,
                        );
                    }
                }
            } else if section.starts_with("options") || !understood {
                let message =
                    format!("`{}` is neither a section nor a key", text::excerpt(content));
                found.warn(number, message);
            }
        }
        if !understood && found.has_warnings() { found.unreadable() } else { found.finish() }
    }
}

fn scope_of(section: &str, key: &str) -> Option<Scope> {
    match (section, key.replace('-', "_").to_ascii_lowercase().as_str()) {
        ("options", "install_requires") => Some(Scope::Runtime),
        ("options", "setup_requires") => Some(Scope::Build),
        ("options", "tests_require") => Some(Scope::Test),
        // `extras` is a section of pbr.
        ("options.extras_require" | "extras", _) => Some(Scope::Optional),
        _ => None,
    }
}

/// Splits a line into a key, which begins with a letter or digit, and the beginning of its value.
fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let is_key =
        line.starts_with(|character: char| character.is_alphanumeric() || character == '_');
    line.split_once(['=', ':']).filter(|_| is_key)
}

/// Whether a text begins like an environment marker.
fn is_marker(text: &str) -> bool {
    ["python_", "sys_platform", "platform_", "os_name", "implementation_", "extra "]
        .iter()
        .any(|prefix| text.trim_start().starts_with(prefix))
}

/// The project's name. An extra may require the project itself to include another extra.
fn own_name(text: &str) -> Option<&str> {
    let metadata = text.lines().skip_while(|line| line.trim() != "[metadata]").skip(1);
    metadata.take_while(|line| !line.starts_with('[')).find_map(|line| {
        let (key, value) = line.split_once(['=', ':'])?;
        (key.trim() == "name").then_some(value.trim())
    })
}

/// Adds a requirement, unless it refers to the project itself.
pub(super) fn add(
    text: &str,
    declared: Declared<'_>,
    own: Option<&str>,
    found: &mut Collector<'_>,
) {
    if own.is_some_and(|own| requirement::name(text).is_some_and(|name| python_name(name) == own)) {
        return;
    }
    requirements::add(text, declared, found);
}
