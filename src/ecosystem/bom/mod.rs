//! Software bills of materials in the repository: `CycloneDX` as JSON and XML, SPDX as JSON, YAML, XML, RDF/XML
//! and as tags and values.
//!
//! Input: documents of other tools. Output: one package for each component with a purl of any type, and
//! the dependencies between them as far as the document states them. Invariants: the subject of a
//! document is not a package; a component without a purl is a warning, because it cannot be identified.

mod cyclonedx;
mod list;
mod part;
mod rdf;
mod spdx;
mod tags;
mod yaml;

pub(super) use cyclonedx::CycloneDxXml;
pub(super) use rdf::SpdxXml;
pub(super) use tags::SpdxTags;
pub(super) use yaml::SpdxYaml;

use super::{
    Findings, Parser, SourceFile,
    collect::Collector,
    json::{self, Node},
    path::file_name,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// The members that take most of the values of a document and are not needed.
const UNUSED: json::Ignored = json::Ignored {
    depth: None,
    names: &[
        "annotations",
        "attributionTexts",
        "copyright",
        "copyrightText",
        "description",
        "downloadLocation",
        "evidence",
        "externalReferences",
        "files",
        "filesAnalyzed",
        "hasExtractedLicensingInfos",
        "hasFiles",
        "homepage",
        "licenseConcluded",
        "licenseInfoFromFiles",
        "originator",
        "packageVerificationCode",
        "pedigree",
        "snippets",
        "supplier",
        "vulnerabilities",
    ],
};

/// Reads `CycloneDX` and SPDX documents in JSON; the content distinguishes them.
#[derive(Debug)]
pub(super) struct BomJson;

impl Parser for BomJson {
    fn name(&self) -> &'static str {
        "sbom-json"
    }

    fn reads_lock_files(&self) -> bool {
        true
    }

    fn wants(&self, path: &str) -> bool {
        let name = file_name(path).to_ascii_lowercase();
        let names = ["bom.json", "sbom.json", "cyclonedx.json", "spdx.json", "spdx-sbom.json"];
        let ends = [".cdx.json", ".cyclonedx.json", ".spdx.json", ".bom.json", ".sbom.json"];
        names.contains(&name.as_str()) || ends.iter().any(|end| name.ends_with(end))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        json::read_without(file.bytes, UNUSED, collector(file), |root: &Node<'_>, found| {
            // GitHub's export wraps the document.
            let root = root.get("sbom").unwrap_or(root);
            if root.get("@graph").is_some() {
                spdx::read_graph(root, found);
            } else if root.get("spdxVersion").is_some() {
                spdx::read(root, found);
            } else if root.get("bomFormat").is_some() || root.get("components").is_some() {
                cyclonedx::read(root, found);
            } else {
                found.warn(root.line, "neither a CycloneDX nor an SPDX document");
            }
        })
    }
}

/// The purl determines the ecosystem of each package; npm is only a placeholder.
fn collector(file: SourceFile<'_>) -> Collector<'_> {
    Collector::new(file, Ecosystem::Npm, Source::Lockfile)
}
