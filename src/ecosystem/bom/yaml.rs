//! SPDX 2.2 and 2.3 as YAML, which has the members of the JSON schema.
//!
//! Input: a document. Output: the same as for a JSON document. Invariants: none beyond those of all parsers.

use super::{collector, spdx};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    path::file_name,
    yaml::{self, Tree},
};

/// Reads `*.spdx.yaml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct SpdxYaml;

impl Parser for SpdxYaml {
    fn name(&self) -> &'static str {
        "spdx-yaml"
    }

    fn wants(&self, path: &str) -> bool {
        let name = file_name(path).to_ascii_lowercase();
        let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
        stem.is_some_and(|stem| stem == "spdx" || stem.ends_with(".spdx"))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        yaml::read(file.bytes, collector(file), |tree: &Tree<'_>, found| {
            let Some(root) = tree.root() else { return };
            // The examples of SPDX 2.1 wrap the document.
            let root = root.get("Document").unwrap_or(root);
            if root.get("spdxVersion").is_some() || root.get("packages").is_some() {
                spdx::read(root, found);
            } else {
                found.warn(root.line, "not an SPDX document");
            }
        })
    }
}
