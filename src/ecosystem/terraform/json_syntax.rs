//! The JSON syntax of Terraform: `*.tf.json`, `*.tofu.json`, `terragrunt.hcl.json`, by "JSON Configuration Syntax"
//! of Terraform's documentation.
//!
//! Input: an object, or an array of objects with the same meaning, in which each block is a member of its kind
//! with its label as key. Output: the same providers and modules as of the native syntax. Invariants: as there, no
//! expression is evaluated.

use super::sources::Sources;
use crate::ecosystem::{
    Findings,
    collect::Collector,
    json::{self, Member, Node, Value},
    text,
};

/// The kinds of blocks with a `source`.
const MODULES: [&str; 4] = ["module", "component", "unit", "stack"];

/// Reads a file.
pub(super) fn read(bytes: &[u8], found: Collector<'_>) -> Findings {
    json::read_object_or_array(bytes, found, |root, found| {
        let mut sources = Sources::new(found);
        for block in bodies(root).flat_map(members) {
            match block.key.as_ref() {
                "terraform" => {
                    for body in bodies(&block.value) {
                        if let Some(providers) = body.get("required_providers") {
                            requirements(providers, &mut sources);
                        }
                        module(block.line, body, &mut sources);
                    }
                }
                "required_providers" => requirements(&block.value, &mut sources),
                "provider" => {
                    for provider in bodies(&block.value).flat_map(members) {
                        for constraint in
                            bodies(&provider.value).filter_map(|body| body.text("version"))
                        {
                            sources.provider(&provider.key, Some(constraint), provider.line);
                        }
                    }
                }
                key if MODULES.contains(&key) => {
                    for labelled in bodies(&block.value).flat_map(members) {
                        for body in bodies(&labelled.value) {
                            module(labelled.line, body, &mut sources);
                        }
                    }
                }
                _ => {}
            }
        }
        sources.finish();
    })
}

/// The bodies of a block: one object, or an array of those.
fn bodies<'n, 'a>(node: &'n Node<'a>) -> impl Iterator<Item = &'n Node<'a>> {
    let several = match &node.value {
        Value::Array(elements) => elements.as_slice(),
        _ => std::slice::from_ref(node),
    };
    several.iter()
}

fn members<'n, 'a>(node: &'n Node<'a>) -> &'n [Member<'a>] {
    node.members().unwrap_or_default()
}

/// `{name: "~> 1.0"}`, `{name: {source: "a/b", version: "~> 1.0"}}`
fn requirements(providers: &Node<'_>, sources: &mut Sources<'_, '_>) {
    for provider in bodies(providers).flat_map(members).filter(|provider| provider.key != "//") {
        let (value, line) = (&provider.value, provider.line);
        match value.as_str() {
            Some(constraint) => sources.provider(&provider.key, Some(constraint), line),
            None if value.members().is_some() => {
                let name = value.text("source").unwrap_or(&provider.key);
                sources.provider(name, value.text("version"), line);
            }
            None => {
                let name = text::excerpt(&provider.key);
                sources.warn(line, format!("`{name}`: expected a version or an object"));
            }
        }
    }
}

fn module(line: u32, body: &Node<'_>, sources: &mut Sources<'_, '_>) {
    let Some(source) = body.get("source") else { return };
    match source.as_str() {
        Some(address) => sources.module(address, body.text("version"), line, source.line),
        None => sources.unknown(source.line),
    }
}
