//! `flake.lock` of version 4 to 7, by "Lock files" of `nix flake` in Nix's manual.
//!
//! Input: the nodes. Output: one package for each input, with its `rev`; the inputs of the root are direct. The
//! reference in the `original` part (a branch or tag) is the specifier.
//!
//! Decisions. A repository of GitHub is named `owner/repository`, one of another host with its host; an archive is
//! the repository of the forge that made it, or else generic with its address. Two nodes that lock one commit
//! are one package.
//!
//! Invariants: an input that is a path is part of the project; an input that follows another one is that one.

use super::{
    Findings, Parser, SourceFile,
    budget::Budget,
    collect::{Added, Collector, Declared},
    git_source::GitSource,
    json::{self, Node, Value},
    parser::Pairing,
    path::file_name,
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::collections::{HashMap, HashSet};

/// Inputs that are followed from one that follows another.
const MAX_FOLLOWED: u32 = 16;

/// Reads `flake.lock`.
#[derive(Debug)]
pub(super) struct FlakeLock;

impl Parser for FlakeLock {
    fn name(&self) -> &'static str {
        "flake-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "flake.lock"
    }

    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        Pairing::of(path).with("nix")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Generic, Source::Lockfile).merging();
        json::read(file.bytes, found, walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    match root.get("version") {
        None | Some(Node { value: Value::Number("4" | "5" | "6" | "7"), .. }) => {}
        Some(other) => {
            found.warn(other.line, "unknown version of the file; parsed as far as possible");
        }
    }
    let members = root.get("nodes").and_then(Node::members).unwrap_or_default();
    let nodes = members.iter().map(|member| (&*member.key, &member.value)).collect();
    let own = root.text("root").unwrap_or("root");
    let flake = Flake { root: own, nodes, budget: found.budget() };
    let direct: HashSet<&str> =
        flake.inputs(own).filter_map(|input| flake.target(input, 0)).collect();
    let requires: Vec<(&str, &str)> = members
        .iter()
        .flat_map(|member| {
            let name: &str = &member.key;
            let targets = flake.inputs(name).filter_map(|input| flake.target(input, 0));
            targets.map(move |target| (name, target))
        })
        .collect();
    let mut added: HashMap<&str, Added> = HashMap::new();
    // Where two nodes lock one package, the first one decides whether it is direct.
    for is_direct in [true, false] {
        for member in members {
            let name: &str = &member.key;
            if name != own && direct.contains(name) == is_direct {
                let package = add(name, &member.value, is_direct, found);
                added.extend(package.map(|package| (name, package)));
            }
        }
    }
    for (name, required) in requires {
        if let (Some(package), Some(required)) = (added.get(name), added.get(required)) {
            found.requires(*package, *required);
        }
    }
}

/// The nodes by their names.
struct Flake<'n, 'a> {
    root: &'n str,
    nodes: HashMap<&'n str, &'n Node<'a>>,
    budget: &'n Budget,
}

impl<'n, 'a> Flake<'n, 'a> {
    /// The inputs of a node: each the name of a node, or a path of inputs from the root.
    fn inputs(&self, name: &str) -> impl Iterator<Item = &'n Node<'a>> + use<'n, 'a> {
        let inputs = self.nodes.get(name).and_then(|node| node.get("inputs"));
        let members = inputs.and_then(|inputs| inputs.members()).unwrap_or_default();
        members.iter().map(|member| &member.value)
    }

    /// The name of the node that an input is.
    fn target(&self, input: &'n Node<'a>, depth: u32) -> Option<&'n str> {
        if depth > MAX_FOLLOWED || !self.budget.visit() {
            return None;
        }
        let Value::Array(path) = &input.value else { return input.as_str() };
        let mut name = self.root;
        for segment in path {
            let inputs = self.nodes.get(name)?.get("inputs")?;
            if !self.budget.read(inputs.members()?.len()) {
                return None;
            }
            name = self.target(inputs.get(segment.as_str()?)?, depth + 1)?;
        }
        (!path.is_empty()).then_some(name)
    }
}

fn add(name: &str, node: &Node<'_>, is_direct: bool, found: &mut Collector<'_>) -> Option<Added> {
    let Some(locked) = node.get("locked") else {
        found.warn(node.line, format!("`{}` is not locked", text::excerpt(name)));
        return None;
    };
    let kind = locked.text("type").unwrap_or_default();
    if kind == "path" {
        return None;
    }
    let archive = locked.text("url").and_then(GitSource::of_archive);
    let reference = archive.as_ref().map(|(_, reference)| *reference);
    let version = locked.text("rev").or(reference);
    let original = node.get("original");
    let original = original.and_then(|original| original.text("ref"));
    let specifier = original.filter(|reference| Some(*reference) != version);
    let (line, direct) = (node.line, Some(is_direct));
    let declared = Declared { name: "", version, specifier, line, direct, ..Declared::default() };
    let source = match kind {
        "github" => forge(locked, "github.com"),
        "gitlab" => forge(locked, "gitlab.com"),
        "sourcehut" => forge(locked, "git.sr.ht"),
        "git" | "hg" => {
            let url = locked.text("url").unwrap_or_default();
            // A repository on disk is part of the project.
            if url.starts_with("file:") || url.starts_with(['/', '.']) {
                return None;
            }
            GitSource::of(url)
        }
        "tarball" | "file" => match archive {
            Some((source, _)) => Some(source),
            None => return add_address(locked, declared, found),
        },
        _ => None,
    };
    let Some(source) = source else {
        let message = format!("`{}` has an unknown source", text::excerpt(name));
        found.warn(node.line, message);
        return None;
    };
    source.add(declared, found)
}

/// `owner` and `repo`, on the default host or on another one.
fn forge(locked: &Node<'_>, host: &str) -> Option<GitSource> {
    let host = locked.text("host").unwrap_or(host);
    // Subgroups of GitLab are encoded.
    let owner = locked.text("owner")?.replace("%2F", "/").replace("%2f", "/");
    GitSource::named(&format!("{host}/{owner}/{}", locked.text("repo")?))
}

/// An archive that no forge made is named by its address.
fn add_address(
    locked: &Node<'_>,
    declared: Declared<'_>,
    found: &mut Collector<'_>,
) -> Option<Added> {
    let url = locked.text("url")?;
    let (scheme, address) = url.split_once("://")?;
    if scheme == "file" {
        return None;
    }
    let name = address.split(['?', '#']).next().unwrap_or(address);
    // The address may contain credentials.
    let host = name.split('/').next().unwrap_or(name);
    let name = host.rfind('@').and_then(|at| name.get(at + 1..)).unwrap_or(name);
    found.take(Ecosystem::Generic, Declared { name, ..declared })
}
