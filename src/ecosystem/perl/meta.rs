//! `META.json` of a distribution, by `CPAN::Meta::Spec`, version 2.
//!
//! Input: `prereqs`, a table of phases, relations and modules, and those of optional features. Output: the
//! modules, with the scope of their phase. Invariants: a file with this name that does not follow a CPAN
//! specification gives nothing.

use super::cpanfile::requirement;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::Collector,
    json::{self, Member, Node},
    path::file_name,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `META.json`.
#[derive(Debug)]
pub(in crate::ecosystem) struct CpanMeta;

impl Parser for CpanMeta {
    fn name(&self) -> &'static str {
        "cpan-meta"
    }

    fn wants(&self, path: &str) -> bool {
        matches!(file_name(path), "META.json" | "MYMETA.json")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Cpan, Source::Manifest).merging();
        json::read(file.bytes, found, walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    // PostgreSQL extensions have a file of the same name.
    let address = root.get("meta-spec").and_then(|spec| spec.text("url")).unwrap_or_default();
    if root.get("meta-spec").is_none() || address.to_ascii_lowercase().contains("pgxn") {
        return;
    }
    phases(root, None, found);
    for feature in members(root.get("optional_features")) {
        phases(&feature.value, Some(Scope::Optional), found);
    }
}

fn members<'n, 'a>(node: Option<&'n Node<'a>>) -> &'n [Member<'a>] {
    node.and_then(Node::members).unwrap_or_default()
}

fn phases(of: &Node<'_>, given: Option<Scope>, found: &mut Collector<'_>) {
    for phase in members(of.get("prereqs")) {
        let scope = match phase.key.as_ref() {
            "runtime" => Scope::Runtime,
            "configure" | "build" => Scope::Build,
            "test" => Scope::Test,
            "develop" => Scope::Dev,
            // Custom phases begin with `x_`.
            _ => continue,
        };
        for relation in members(Some(&phase.value)) {
            let scope = match relation.key.as_ref() {
                "requires" => scope,
                "recommends" | "suggests" => Scope::Optional,
                _ => continue,
            };
            for module in members(Some(&relation.value)) {
                let range = module.value.as_str().or(number(&module.value));
                let scope = given.unwrap_or(scope);
                requirement(&module.key, range, module.line, scope, found);
            }
        }
    }
}

/// The text of a version that is written as a number.
fn number<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    match node.value {
        json::Value::Number(text) => Some(text),
        _ => None,
    }
}
