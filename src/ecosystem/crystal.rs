//! Crystal: `shard.lock` and `shard.yml`, by "shard.yml(5)" of shards' manual.
//!
//! Input: tables from names to where a shard comes from. Output: shards with their version or
//! commit. Invariants: a shard with a path is part of the repository.

use super::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    git_reference,
    path::file_name,
    text,
    yaml::{self, Member, Tree},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `shard.lock`.
#[derive(Debug)]
pub(super) struct ShardLock;

impl Parser for ShardLock {
    fn name(&self) -> &'static str {
        "shard-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "shard.lock"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Crystal, Source::Lockfile);
        yaml::read(file.bytes, found, |tree: &Tree<'_>, found| {
            let shards = tree.root().and_then(|root| root.get("shards"));
            for shard in shards.into_iter().flat_map(yaml::Node::members) {
                locked(&shard, found);
            }
        })
    }
}

/// Reads `shard.yml`.
#[derive(Debug)]
pub(super) struct ShardYaml;

impl Parser for ShardYaml {
    fn name(&self) -> &'static str {
        "shard"
    }

    fn wants(&self, path: &str) -> bool {
        matches!(file_name(path), "shard.yml" | "shard.override.yml")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Crystal, Source::Manifest);
        yaml::read(file.bytes, found, |tree: &Tree<'_>, found| {
            let groups =
                [("dependencies", Scope::Runtime), ("development_dependencies", Scope::Dev)];
            for (group, scope) in groups {
                let shards = tree.root().and_then(|root| root.get(group));
                for shard in shards.into_iter().flat_map(yaml::Node::members) {
                    declared(&shard, scope, found);
                }
            }
        })
    }
}

fn locked(shard: &Member<'_, '_>, found: &mut Collector<'_>) {
    if shard.value.get("path").is_some() {
        return;
    }
    let version = shard.value.text("version").or_else(|| shard.value.text("commit"));
    if version.is_none() {
        let message = format!("`{}` has no version", text::excerpt(shard.key));
        found.warn(shard.line, message);
    }
    found.add(Declared { name: shard.key, version, line: shard.line, ..Declared::default() });
}

fn declared(shard: &Member<'_, '_>, scope: Scope, found: &mut Collector<'_>) {
    let value = shard.value;
    if value.get("path").is_some() {
        return;
    }
    let text = |key: &str| value.text(key);
    let range = text("version").filter(|range| *range != "*");
    let exact = range.map(|range| range.trim_start_matches('=').trim());
    let exact = exact.filter(|version| {
        version.starts_with(|character: char| character.is_ascii_digit())
            && !version.contains([' ', ',', '<', '>', '*'])
    });
    let version = text("commit").and_then(git_reference::commit).or(exact);
    let specifier = range.or_else(|| text("tag")).or_else(|| text("branch"));
    let specifier = specifier.filter(|_| version.is_none());
    let (name, line) = (shard.key, shard.line);
    let (direct, scope) = (Some(true), Some(scope));
    found.add(Declared { name, version, specifier, line, direct, scope });
}
