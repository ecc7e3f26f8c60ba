//! `vendor/modules.txt`, by "Vendoring" of the "Go Modules Reference".
//!
//! Input: a line for each vendored module, and lines for its packages. Output: the modules, with `replace`
//! applied. Decisions: as in the go command, a line `# …` without a valid version is ignored, and a module
//! counts if it is explicit or one of its packages is vendored; replacements of other modules follow at
//! the end of the file.
//!
//! Invariants: a module that is replaced by a folder is not a package; only the `go.mod` above the folder
//! states what is direct.

use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    budget::Budget,
    collect::{Collector, Declared},
    path::folder_of,
    step::Joining,
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::collections::HashSet;

/// The list of a vendor folder, below the folder of `go.mod`.
const LIST: &str = "vendor/modules.txt";

/// The list of the vendor folder beside it, before there were modules.
pub(super) const DEP_LOCK: &str = "Gopkg.lock";

/// Reads `vendor/modules.txt`.
#[derive(Debug)]
pub(in crate::ecosystem) struct VendoredModules;

impl Parser for VendoredModules {
    fn name(&self) -> &'static str {
        "go-vendor"
    }

    fn reads_lock_files(&self) -> bool {
        true
    }

    fn wants(&self, path: &str) -> bool {
        is_list(path)
    }

    /// The modules are below the folder of `go.mod`.
    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        let vendor = Pairing::of(path);
        Pairing { folder: folder_of(vendor.folder), ..vendor }
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Golang, Source::Lockfile);
        let text = text::decode(file.bytes);
        let mut understood = false;
        // The module of the lines that follow, until it is added.
        let mut module = None;
        for (line, content) in (1_u32..).zip(text.lines()) {
            if let Some(words) = content.strip_prefix("# ") {
                understood = true;
                module = module_of(words, line);
            } else if let Some(remarks) = content.strip_prefix("## ") {
                if remarks.split(';').any(|remark| remark.trim() == "explicit")
                    && let Some(module) = module.take()
                {
                    found.add(module);
                }
            } else if is_package(content) {
                if let Some(module) = module.take() {
                    found.add(module);
                }
            } else if !content.is_empty() {
                let message = format!("`{}` is not a line of modules.txt", text::excerpt(content));
                found.warn(line, message);
            }
        }
        if !understood && found.has_warnings() { found.unreadable() } else { found.finish() }
    }
}

fn is_list(path: &str) -> bool {
    path.strip_suffix(LIST).is_some_and(|above| above.is_empty() || above.ends_with('/'))
}

/// The folder of the module to which such a list belongs.
pub(super) fn folder_of_list(file: &str) -> Option<&str> {
    is_list(file).then(|| folder_of(folder_of(file)))
}

/// The vendor folder that a file lists, if any.
fn listed_folder(file: &str) -> Option<String> {
    if is_list(file) {
        return Some(folder_of(file).to_owned());
    }
    let above = file.strip_suffix(DEP_LOCK)?;
    (above.is_empty() || above.ends_with('/')).then(|| format!("{above}vendor"))
}

/// Drops what the files in a vendor folder declare: they belong to the modules that the go command or dep
/// has copied there, and whose packages alone are part of the build.
pub(in crate::ecosystem) fn drop_vendored_files(joining: &mut Joining<'_>) {
    let lists = joining.packages.iter().map(|package| package.file.as_str());
    let folders: HashSet<String> = lists.filter_map(listed_folder).collect();
    if folders.is_empty() {
        return;
    }
    let budget = joining.budget;
    joining
        .packages
        .retain(|package| is_list(&package.file) || !is_in(&package.file, &folders, budget));
}

/// Whether a file is below one of these vendor folders.
fn is_in(file: &str, folders: &HashSet<String>, budget: &Budget) -> bool {
    let ends = file.match_indices("vendor/").map(|(at, _)| at + "vendor".len());
    let is_segment = |end: &usize| {
        let above = file.get(..end - "vendor".len()).unwrap_or_default();
        above.is_empty() || above.ends_with('/')
    };
    ends.filter(is_segment)
        .any(|end| budget.read(end) && file.get(..end).is_some_and(|path| folders.contains(path)))
}

fn is_package(line: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/+".contains(&byte);
    !line.is_empty() && line.bytes().all(is_part)
}

/// `path version`, or `path version => path version`. None for a replacement by a folder, and for one of
/// every version (`path => …`).
fn module_of(words: &str, line: u32) -> Option<Declared<'_>> {
    let mut words = words.split_whitespace();
    let (name, version) = (words.next()?, words.next().filter(|text| is_version(text))?);
    let (name, version) = match (words.next(), words.next(), words.next()) {
        (Some("=>"), Some(_), None) => return None,
        (Some("=>"), Some(name), Some(version)) if is_version(version) => (name, version),
        _ => (name, version),
    };
    Some(Declared { name, version: Some(version), line, ..Declared::default() })
}

/// Whether a version begins as those of Go do ("Versions" of the "Go Modules Reference").
pub(super) fn is_version(text: &str) -> bool {
    let number = text.strip_prefix('v').unwrap_or_default();
    number.starts_with(|character: char| character.is_ascii_digit())
}
