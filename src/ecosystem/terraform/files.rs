//! `*.tf` and related files, by "Provider Requirements", "Module Sources" and "Stacks" of Terraform's
//! documentation, and "Stacks" of Terragrunt's.
//!
//! Input: `required_providers`, the `version` of `provider` blocks (as before Terraform 0.13), and the `source`
//! of modules and components; of Terragrunt the source of the `terraform` block of `terragrunt.hcl`, and of the
//! units and stacks of `terragrunt.stack.hcl`. Output: providers and modules. Files in the JSON syntax are read
//! by [`json_syntax`](super::json_syntax).
//!
//! Invariants: a computed source is a warning.

use super::{
    blocks::{Item, blocks, items},
    json_syntax,
    sources::Sources,
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::Collector,
    path::file_name,
    script::{self, Dialect, Tokens},
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// Reads `*.tf`.
#[derive(Debug)]
pub(in crate::ecosystem) struct TerraformFile;

impl Parser for TerraformFile {
    fn name(&self) -> &'static str {
        "terraform"
    }

    fn wants(&self, path: &str) -> bool {
        const ENDS: [&str; 4] = [".tf", ".tofu", ".tfstack.hcl", ".tfcomponent.hcl"];
        let name = file_name(path);
        let name = name.strip_suffix(".json").unwrap_or(name);
        ENDS.iter().any(|end| name.ends_with(end))
            || matches!(name, "terragrunt.hcl" | "terragrunt.stack.hcl")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Terraform, Source::Manifest);
        if file.file_name().ends_with(".json") {
            return json_syntax::read(file.bytes, found);
        }
        // Elsewhere the block is in a `terraform` block.
        let is_stack = file.file_name().ends_with(".hcl");
        let text = text::decode(file.bytes);
        let tokens = script::tokens(&text, Dialect::Hcl);
        tokens.warn(&mut found);
        let mut sources = Sources::new(&mut found);
        for block in blocks(&tokens) {
            let inner = items(&tokens, block.body(&tokens).unwrap_or_default());
            match block.key {
                "terraform" => {
                    for providers in inner.iter().filter(|item| item.key == "required_providers") {
                        read_requirements(&tokens, providers, &mut sources);
                    }
                    read_module(&tokens, block.line, &inner, &mut sources);
                }
                "required_providers" if is_stack => {
                    read_requirements(&tokens, &block, &mut sources);
                }
                "required_providers" => {}
                "provider" => read_provider(&tokens, &block, &inner, &mut sources),
                _ => read_module(&tokens, block.line, &inner, &mut sources),
            }
        }
        sources.finish();
        found.finish()
    }
}

fn read_requirements(tokens: &Tokens<'_>, providers: &Item<'_>, sources: &mut Sources<'_, '_>) {
    let body = providers.body(tokens).unwrap_or_default();
    for provider in items(tokens, body) {
        read_requirement(tokens, &provider, sources);
    }
}

fn read_requirement(tokens: &Tokens<'_>, provider: &Item<'_>, sources: &mut Sources<'_, '_>) {
    // A block is here only if a brace is missing.
    if provider.is_block {
        return;
    }
    let body = provider.body(tokens);
    if body.is_none() && provider.text(tokens).is_none() {
        let message = format!("`{}`: expected a version or an object", text::excerpt(provider.key));
        return sources.warn(provider.line, message);
    }
    let inner = items(tokens, body.unwrap_or_default());
    let value = |key: &str| inner.iter().find(|item| item.key == key)?.text(tokens);
    let name = value("source").unwrap_or(provider.key);
    let constraint = value("version").or_else(|| provider.text(tokens));
    sources.provider(name, constraint, provider.line);
}

/// Reads a `provider` block, which configures a provider and may state its version.
fn read_provider(
    tokens: &Tokens<'_>,
    block: &Item<'_>,
    inner: &[Item<'_>],
    sources: &mut Sources<'_, '_>,
) {
    let constraint =
        inner.iter().find(|item| item.key == "version").and_then(|item| item.text(tokens));
    if let (Some(name), Some(constraint)) = (block.labels.first(), constraint) {
        sources.provider(name, Some(constraint), block.line);
    }
}

fn read_module(tokens: &Tokens<'_>, line: u32, inner: &[Item<'_>], sources: &mut Sources<'_, '_>) {
    let Some(source) = inner.iter().find(|item| item.key == "source") else { return };
    let Some(address) = source.text(tokens) else { return sources.unknown(source.line) };
    let constraint =
        inner.iter().find(|item| item.key == "version").and_then(|item| item.text(tokens));
    sources.module(address, constraint, line, source.line);
}
