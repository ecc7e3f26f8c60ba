//! Software bills of materials that lie in the tree: `CycloneDX` as JSON and XML, SPDX as JSON and as
//! tags and values.
//!
//! What flows in: documents of other tools. What flows out: one package for each component with a
//! purl, of whatever type; which of them requires which, as far as the document tells. What must stay
//! true: what the document is about is no package; a component without a purl is none that could be
//! named, and is a warning.

mod cyclonedx;
mod list;
mod spdx;
mod tags;

pub(super) use cyclonedx::CycloneDxXml;
pub(super) use tags::SpdxTags;

use super::{
    Findings, Parser, SourceFile,
    collect::Collector,
    json::{self, Node},
    purl::Ecosystem,
    source::file_name,
};
use crate::model::scan_result::Source;

/// Reads `CycloneDX` and SPDX documents in JSON; which of them one is, its content tells.
#[derive(Debug)]
pub(super) struct BomJson;

impl Parser for BomJson {
    fn name(&self) -> &'static str {
        "sbom-json"
    }

    fn wants(&self, path: &str) -> bool {
        let name = file_name(path).to_ascii_lowercase();
        let names = ["bom.json", "sbom.json", "cyclonedx.json", "spdx.json", "spdx-sbom.json"];
        let ends = [".cdx.json", ".cyclonedx.json", ".spdx.json", ".bom.json", ".sbom.json"];
        names.contains(&name.as_str()) || ends.iter().any(|it| name.ends_with(it))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        json::read(file.bytes, collector(file), |root: &Node<'_>, found| {
            // GitHub's export wraps the document.
            let root = root.get("sbom").unwrap_or(root);
            if root.get("spdxVersion").is_some() || root.get("@graph").is_some() {
                spdx::read(root, found);
            } else if root.get("bomFormat").is_some() || root.get("components").is_some() {
                cyclonedx::read(root, found);
            } else {
                found.warn(root.line, "neither a document of CycloneDX nor one of SPDX");
            }
        })
    }
}

/// The type of each package is the one that its purl has; of those here, none is the default.
fn collector(file: SourceFile<'_>) -> Collector<'_> {
    Collector::new(file, Ecosystem::Npm, Source::Lockfile)
}
