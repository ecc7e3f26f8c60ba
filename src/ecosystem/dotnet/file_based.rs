//! File-based apps: a C# file with directives for the SDK, by "File-based apps" of .NET's manual.
//!
//! Input: the lines before the first token of C#. Output: an [`MsBuild`] with the SDKs and packages that the
//! directives `#:sdk` and `#:package` name, so that versions of the folders above apply to them too.
//!
//! Decision. Few C# files are apps, and a scan cannot read all of them. It reads those where scripts usually
//! are: in the root of the repository, or directly in a folder with a name such as `scripts`.
//!
//! Invariants: only the head of a file is read; `#:project` and `#:property` name no packages.

use super::{
    item::{Item, ItemKind},
    project::MsBuild,
};
use crate::ecosystem::{
    Findings, Parser, SourceFile, collect::Collector, path::is_place_of_scripts, text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Directives that are read of one file.
const MAX_DIRECTIVES: usize = 1_000;

/// Reads the directives of `*.cs`.
#[derive(Debug)]
pub(in crate::ecosystem) struct FileBasedApp;

impl Parser for FileBasedApp {
    fn name(&self) -> &'static str {
        "file-based-app"
    }

    fn wants(&self, path: &str) -> bool {
        path.ends_with(".cs") && is_place_of_scripts(path)
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::NuGet, Source::Manifest);
        let text = text::decode(file.bytes);
        let items = items(&text, &mut found);
        let findings = found.finish();
        if items.is_empty() {
            return findings;
        }
        let (file, properties) = (file.path.to_owned(), Vec::new());
        let build = MsBuild { file, is_test: false, items, properties };
        Findings { fact: Some(Box::new(build)), ..findings }
    }
}

fn items(text: &str, found: &mut Collector<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    let mut in_comment = false;
    for (line, content) in (1_u32..).zip(text.lines()) {
        let content = content.trim();
        if !found.budget().read(content.len()) || items.len() >= MAX_DIRECTIVES {
            break;
        }
        if in_comment || content.starts_with("/*") {
            in_comment = !content.contains("*/");
            continue;
        }
        if let Some(directive) = content.strip_prefix("#:") {
            items.extend(item(directive, line, found));
        } else if !(content.is_empty() || content.starts_with('#') || content.starts_with("//")) {
            break;
        }
    }
    items
}

/// `package Name@1.0.0` or `sdk Name@1.0.0`, both also without a version.
fn item(directive: &str, line: u32, found: &mut Collector<'_>) -> Option<Item> {
    let (kind, rest) = directive.trim().split_once([' ', '\t'])?;
    let (kind, scope) = match kind {
        "package" => (ItemKind::Reference, None),
        "sdk" => (ItemKind::Sdk, Some(Scope::Build)),
        _ => return None,
    };
    let rest = rest.trim();
    // Previews of .NET 10 separated the version with a space.
    let separator = if rest.contains('@') { '@' } else { ' ' };
    let (name, version) = rest.split_once(separator).unwrap_or((rest, ""));
    Item::new(kind, name, Some(version), scope, line, found)
}
