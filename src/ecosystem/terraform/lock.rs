//! `.terraform.lock.hcl`, by "Dependency Lock File" of Terraform's documentation.
//!
//! Input: the `provider` blocks. Output: one package for each provider, under its complete address, with the
//! selected version and the constraints. Invariants: Terraform does not lock modules; the file does not state
//! what is direct.

use super::blocks::{blocks, items};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    script::{self, Dialect},
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// Reads `.terraform.lock.hcl`.
#[derive(Debug)]
pub(in crate::ecosystem) struct TerraformLock;

impl Parser for TerraformLock {
    fn name(&self) -> &'static str {
        "terraform-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == ".terraform.lock.hcl"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Terraform, Source::Lockfile);
        let text = text::decode(file.bytes);
        let tokens = script::tokens(&text, Dialect::Hcl);
        tokens.warn(&mut found);
        let blocks = blocks(&tokens);
        if blocks.is_empty() && (0..tokens.len()).any(|at| !tokens.ends_line(at)) {
            found.warn(1, "no `provider` block");
        }
        for block in &blocks {
            let Some(name) = block.labels.first().filter(|_| block.key == "provider") else {
                continue;
            };
            let inner = items(&tokens, block.body(&tokens).unwrap_or_default());
            let value = |key: &str| inner.iter().find(|item| item.key == key)?.text(&tokens);
            let (version, specifier) = (value("version"), value("constraints"));
            let line = block.line;
            if version.is_none() {
                found.warn(line, format!("`{}` has no version", text::excerpt(name)));
            }
            let declared = Declared { name, version, specifier, line, ..Declared::default() };
            let added = found.take(Ecosystem::Terraform, declared);
            // `zh:` is the SHA-256 of an archive, `h1:` that of a list of its files.
            let hashes = inner.iter().find(|item| item.key == "hashes");
            for hash in hashes.map(|item| tokens.elements(item.value)).into_iter().flatten() {
                let digits = tokens.first_literal(hash).and_then(|hash| hash.strip_prefix("zh:"));
                found.hash(added, digits.unwrap_or_default());
            }
        }
        if blocks.is_empty() && found.has_warnings() {
            return found.unreadable();
        }
        found.finish()
    }
}
