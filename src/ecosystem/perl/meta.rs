//! `META.json` of a distribution, by `CPAN::Meta::Spec`, version 2.
//!
//! What flows in: `prereqs`, a table of phases, of relations and of modules, and those of optional
//! features. What flows out: the modules, under the scope of their phase. What must stay true: a file
//! of that name that says nothing of a specification of CPAN gives nothing.

use super::cpanfile::requirement;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::Collector,
    json::{self, Member, Node},
    purl::Ecosystem,
    source::file_name,
};
use crate::model::scan_result::{Scope, Source};

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
    // PostgreSQL's extensions have the same file, with names of their own.
    let address = root.get("meta-spec").and_then(|it| it.text("url")).unwrap_or_default();
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
            // Those that begin with `x_` are for nobody knows what.
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

/// A version may be written as a number.
fn number<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    match node.value {
        json::Value::Number(text) => Some(text),
        _ => None,
    }
}
