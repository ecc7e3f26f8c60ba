//! `.gitmodules`, by "gitmodules" and "git-config" (section "Syntax") of git's manual.
//!
//! Input: the sections of the submodules, and the commits that the tree of the scanned commit has at their paths.
//! Output: one package for each submodule, with this commit, where the source of the scan has one; the branch that
//! `git submodule update --remote` follows is the specifier.
//!
//! Decisions: git reads the file only at the root. A relative address is relative to the address of the scanned
//! repository; its package is named by the rest of the address.
//!
//! Invariants: a submodule on disk is not a package; the commits of a tree take bounded memory.

use super::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    facts::{Fact, Facts},
    git_source::GitSource,
    step::Joining,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashMap;

/// Bytes of the paths of all submodules of a tree that are kept.
const MAX_BYTES: usize = 4 << 20;

/// Reads `.gitmodules`.
#[derive(Debug)]
pub(super) struct GitModules;

impl Parser for GitModules {
    fn name(&self) -> &'static str {
        "gitmodules"
    }

    fn wants(&self, path: &str) -> bool {
        path == ".gitmodules"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Generic, Source::Manifest);
        let text = text::decode(file.bytes);
        let mut modules: Vec<Module<'_>> = Vec::new();
        let mut is_submodule = false;
        for (number, line) in (1_u32..).zip(text.lines()) {
            if text::is_merge_marker(line) {
                found.warn(number, text::MERGE_MARKER);
                continue;
            }
            let line = line.trim();
            if let Some(section) = line.strip_prefix('[') {
                let name = section.trim_end_matches(']');
                is_submodule = name.starts_with("submodule") && section.ends_with(']');
                if is_submodule {
                    modules.push(Module { name, line: number, ..Module::default() });
                } else {
                    found.warn(number, format!("`{}` is not a submodule", text::excerpt(line)));
                }
            } else if let Some((key, value)) = line.split_once('=')
                && !line.starts_with(['#', ';'])
                && let Some(module) = modules.last_mut().filter(|_| is_submodule)
            {
                let value = Some(value_of(value)).filter(|value| !value.is_empty());
                match key.trim().to_ascii_lowercase().as_str() {
                    "path" => module.path = value,
                    "url" => module.url = value,
                    "branch" => module.branch = value,
                    _ => {}
                }
            }
        }
        let mut paths = Vec::new();
        for module in &modules {
            if module.add(&mut found)
                && let Some(path) = module.path
            {
                paths.push((module.line, path.trim_end_matches('/').to_owned()));
            }
        }
        Findings { fact: Some(Box::new(Paths(paths))), ..found.finish() }
    }
}

/// A value without its quotes and comment.
fn value_of(value: &str) -> &str {
    let value = value.trim();
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap_or(quoted),
        None => value.split([';', '#']).next().unwrap_or(value).trim_end(),
    }
}

#[derive(Debug, Default)]
struct Module<'a> {
    name: &'a str,
    line: u32,
    path: Option<&'a str>,
    url: Option<&'a str>,
    branch: Option<&'a str>,
}

impl Module<'_> {
    /// Adds the package. Returns whether there is one.
    fn add(&self, found: &mut Collector<'_>) -> bool {
        let Some(url) = self.url else {
            found.warn(self.line, format!("`{}` has no url", text::excerpt(self.name)));
            return false;
        };
        // `.` is the branch of the scanned repository.
        let specifier = self.branch.filter(|branch| *branch != ".");
        let (line, direct, scope) = (self.line, Some(true), Some(Scope::Runtime));
        let declared = Declared { name: "", version: None, specifier, line, direct, scope };
        if url.starts_with("./") || url.starts_with("../") {
            let rest = url.trim_start_matches(['.', '/']).trim_end_matches('/');
            let name = rest.strip_suffix(".git").unwrap_or(rest);
            return found.take(Ecosystem::Generic, Declared { name, ..declared }).is_some();
        }
        GitSource::of(url).and_then(|source| source.add(declared, found)).is_some()
    }
}

/// The lines and the paths of the submodules.
#[derive(Debug)]
struct Paths(Vec<(u32, String)>);

impl Fact for Paths {
    fn size(&self) -> usize {
        self.0.len()
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|paths: &mut Vec<Self>| paths.push(*self));
    }
}

/// The commits of the submodules of a tree.
#[derive(Debug, Default)]
pub struct Gitlinks {
    by_path: HashMap<String, String>,
    bytes: usize,
}

impl Gitlinks {
    /// Records the commit at a path.
    pub fn see(&mut self, path: &str, commit: &str) {
        self.bytes += path.len() + commit.len();
        if self.bytes <= MAX_BYTES {
            self.by_path.insert(path.to_owned(), commit.to_owned());
        }
    }
}

/// Sets the versions of the submodules.
pub(super) fn set_commits(joining: &mut Joining<'_>) {
    let paths: Vec<Paths> = joining.facts.take();
    let links: Gitlinks = joining.facts.take();
    let mut commits: HashMap<u32, &str> = HashMap::new();
    for (line, path) in paths.iter().flat_map(|Paths(paths)| paths) {
        commits.extend(links.by_path.get(path).map(|commit| (*line, commit.as_str())));
    }
    if commits.is_empty() {
        return;
    }
    for package in joining.packages.iter_mut().filter(|package| package.file == ".gitmodules") {
        let Some(commit) = package.line.and_then(|line| commits.get(&line)) else { continue };
        let known = package.ecosystem.known();
        let purl = known.and_then(|known| known.purl(&package.name, Some(commit)));
        if let Some(purl) = purl.filter(|purl| joining.budget.copy(purl.len() + commit.len())) {
            package.purl = purl;
            package.version = Some((*commit).to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::{Gathered, join};

    #[test]
    fn a_submodule_has_the_commit_of_the_tree() {
        let text = "[submodule \"kite\"]\n\tpath = lib/kite/\n\turl = https://github.com/acme/kite\n\
                    [submodule \"reel\"]\n\tpath = lib/reel\n\turl = ../reel.git\n";
        let mut findings = GitModules.parse(SourceFile::alone(".gitmodules", text.as_bytes()));
        let mut gathered = Gathered { bytes: 1000, ..Gathered::default() };
        gathered.facts.with(|links: &mut Gitlinks| links.see("lib/kite", "4c8b71f"));
        findings.fact.take().unwrap().gather(&mut gathered.facts);
        join(&mut findings.packages, gathered);
        let purls: Vec<_> = findings.packages.iter().map(|package| package.purl.as_str()).collect();
        assert_eq!(purls, ["pkg:github/acme/kite@4c8b71f", "pkg:generic/reel"]);
        assert_eq!(findings.packages[0].version.as_deref(), Some("4c8b71f"));
    }
}
