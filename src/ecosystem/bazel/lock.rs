//! `MODULE.bazel.lock`, by "Bazel Lockfile" of Bazel's manual.
//!
//! Input: the files that Bazel fetched from registries (`registryFileHashes`, since Bazel 7.2), or the graph of modules
//! of earlier versions (`moduleDepGraph`). Output: the modules of the resolved graph.
//!
//! Decisions: Bazel fetches the `source.json` of exactly the module versions that it resolved; of all others it reads
//! only `MODULE.bazel`. Invariants: the file does not state what is direct, except in the graph.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    json::{self, Member, Node},
    path::file_name,
    purl::{self, Parts},
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::collections::HashSet;

/// The default registry, which a purl does not name.
const CENTRAL: &str = "https://bcr.bazel.build";

/// Reads `MODULE.bazel.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct ModuleLock;

impl Parser for ModuleLock {
    fn name(&self) -> &'static str {
        "bazel-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "MODULE.bazel.lock"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Bazel, Source::Lockfile);
        json::read(file.bytes, found, walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    for member in members(root.get("registryFileHashes")) {
        if let Some((registry, name, version)) = resolved(&member.key) {
            let (version, line) = (Some(version), member.line);
            let declared = Declared { name, version, line, ..Declared::default() };
            let _ = found.take_as(Ecosystem::Bazel.into(), declared, |version| {
                let own = [("repository_url", registry)];
                let qualifiers = if registry == CENTRAL { &own[..0] } else { &own[..] };
                let parts = Parts { name, version, qualifiers, ..Parts::default() };
                purl::write("bazel", parts)
            });
        }
    }
    let graph = root.get("moduleDepGraph");
    let of_root = graph.and_then(|graph| graph.get("<root>")?.get("deps"));
    let direct: HashSet<&str> =
        members(of_root).iter().filter_map(|member| member.value.as_str()).collect();
    for member in members(graph).iter().filter(|member| member.key != "<root>") {
        let Some(name) = member.value.text("name") else {
            found.warn(member.line, "a module without a name");
            continue;
        };
        // A module that is overridden has no version here.
        let version = member.value.text("version").filter(|version| !version.is_empty());
        let (line, direct) = (member.line, Some(direct.contains(&*member.key)));
        found.add(Declared { name, version, line, direct, ..Declared::default() });
    }
}

fn members<'n, 'a>(node: Option<&'n Node<'a>>) -> &'n [Member<'a>] {
    node.and_then(Node::members).unwrap_or_default()
}

/// The registry, module and version of `https://registry/modules/name/version/source.json`.
fn resolved(url: &str) -> Option<(&str, &str, &str)> {
    let (registry, path) = url.strip_suffix("/source.json")?.rsplit_once("/modules/")?;
    let (name, version) = path.split_once('/')?;
    (!version.contains('/')).then_some((registry, name, version))
}
