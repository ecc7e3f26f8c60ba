//! `*.tf`, by "Provider Requirements" and "Module Sources" of Terraform's documentation.
//!
//! Input: `required_providers`, the `version` of `provider` blocks (as before Terraform 0.13), and the `source`
//! of modules; of Terragrunt's `terragrunt.hcl` the source of its `terraform` block. Output: providers and
//! modules under their addresses.
//!
//! Decisions. A version without an operator is exact, as in Terraform. A module of a repository is named by
//! host and path; its `ref` is a version if it is a commit. A computed source is a warning.
//!
//! Invariants: a folder of the repository is not a package.

use super::blocks::{Item, blocks, items};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    git_reference,
    path::file_name,
    script::{self, Dialect, Tokens},
    swift, text,
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
        let name = file_name(path);
        name.ends_with(".tf") || name.ends_with(".tofu") || name == "terragrunt.hcl"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Terraform, Source::Manifest).merging();
        let text = text::decode(file.bytes);
        let tokens = script::tokens(&text, Dialect::Hcl);
        tokens.warn(&mut found);
        for block in blocks(&tokens) {
            let inner = items(&tokens, block.body(&tokens).unwrap_or_default());
            match block.key {
                "terraform" => {
                    for providers in inner.iter().filter(|item| item.key == "required_providers") {
                        let body = providers.body(&tokens).unwrap_or_default();
                        for provider in items(&tokens, body) {
                            read_requirement(&tokens, &provider, &mut found);
                        }
                    }
                    read_module(&tokens, block.line, &inner, &mut found);
                }
                "provider" => read_provider(&tokens, &block, &inner, &mut found),
                _ => read_module(&tokens, block.line, &inner, &mut found),
            }
        }
        found.finish()
    }
}

fn read_requirement(tokens: &Tokens<'_>, provider: &Item<'_>, found: &mut Collector<'_>) {
    // A block is here only if a brace is missing.
    if provider.is_block {
        return;
    }
    let body = provider.body(tokens);
    if body.is_none() && provider.text(tokens).is_none() {
        let message = format!("`{}`: expected a version or an object", text::excerpt(provider.key));
        return found.warn(provider.line, message);
    }
    let inner = items(tokens, body.unwrap_or_default());
    let value = |key: &str| inner.iter().find(|item| item.key == key)?.text(tokens);
    let name = value("source").unwrap_or(provider.key);
    // A builtin provider is part of Terraform itself.
    if name.starts_with("terraform.io/builtin/") {
        return;
    }
    let constraint = value("version").or_else(|| provider.text(tokens));
    add(name, constraint, provider.line, found);
}

/// Reads a `provider` block, which configures a provider and may state its version.
fn read_provider(
    tokens: &Tokens<'_>,
    block: &Item<'_>,
    inner: &[Item<'_>],
    found: &mut Collector<'_>,
) {
    let constraint =
        inner.iter().find(|item| item.key == "version").and_then(|item| item.text(tokens));
    if let (Some(name), Some(constraint)) = (block.labels.first(), constraint) {
        add(name, Some(constraint), block.line, found);
    }
}

fn read_module(tokens: &Tokens<'_>, line: u32, inner: &[Item<'_>], found: &mut Collector<'_>) {
    let Some(source) = inner.iter().find(|item| item.key == "source") else { return };
    let Some(address) = source.text(tokens).filter(|address| !address.contains("${")) else {
        return found.warn(source.line, "the source is known only when Terraform runs");
    };
    if address.is_empty() || address.starts_with(['.', '/', '~']) {
        return;
    }
    let constraint =
        inner.iter().find(|item| item.key == "version").and_then(|item| item.text(tokens));
    match Address::read(address) {
        Some(Address::Registry { name, version }) => add(name, version.or(constraint), line, found),
        Some(Address::Repository { name, reference }) => {
            let version = reference.and_then(git_reference::commit);
            let specifier = if version.is_none() { reference } else { None };
            let direct = Some(true);
            let name = name.as_str();
            found.add(Declared { name, version, specifier, line, direct, ..Declared::default() });
        }
        None => {
            let message = format!("`{}` is not a valid module source", text::excerpt(address));
            found.warn(source.line, message);
        }
    }
}

/// The source of a module.
enum Address<'a> {
    Registry { name: &'a str, version: Option<&'a str> },
    Repository { name: String, reference: Option<&'a str> },
}

impl<'a> Address<'a> {
    fn read(address: &'a str) -> Option<Self> {
        // Terragrunt's form: an optional registry, and the version as a parameter.
        if let Some(rest) = address.strip_prefix("tfr://") {
            let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
            let place = place.trim_start_matches('/');
            let name = place.split("//").next().unwrap_or(place);
            let version = query.split('&').find_map(|parameter| parameter.strip_prefix("version="));
            return Some(Self::Registry { name, version });
        }
        let (forced, rest) = match address.split_once("::") {
            Some((_, rest)) => (true, rest),
            None => (false, address),
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        // The folder of the module within its package follows `//`.
        let scheme = place.find("://").map_or(0, |scheme| scheme + 3);
        let folder = place.get(scheme..)?.find("//").map_or(place.len(), |folder| folder + scheme);
        let place = place.get(..folder)?;
        let first = place.split('/').next()?;
        let segments = place.split('/').count();
        let is_registry = !forced
            && !place.contains([':', '@'])
            && (segments == 3 && !first.contains('.') || segments == 4 && first.contains('.'));
        if is_registry {
            return Some(Self::Registry { name: place, version: None });
        }
        let reference = query.split('&').find_map(|parameter| parameter.strip_prefix("ref="));
        let name = swift::repository_name(place).or_else(|| {
            let bare = first.contains('.') && segments > 1 && !first.contains(['@', ':']);
            bare.then(|| place.strip_suffix(".git").unwrap_or(place).to_owned())
        })?;
        Some(Self::Repository { name, reference })
    }
}

fn add(name: &str, constraint: Option<&str>, line: u32, found: &mut Collector<'_>) {
    let exact = constraint.map(|constraint| constraint.trim_start_matches('=').trim());
    let version = exact.filter(|version| {
        version.starts_with(|character: char| character.is_ascii_digit())
            && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
    });
    let specifier = if version.is_none() { constraint } else { None };
    let direct = Some(true);
    found.add(Declared { name, version, specifier, line, direct, ..Declared::default() });
}
