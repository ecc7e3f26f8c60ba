//! Workspace files outside of manifests: `pnpm-workspace.yaml`, by pnpm's manual, `lerna.json`, by Lerna's,
//! `rush.json` and `pnpm-config.json`, by Rush's, and `.yarnrc.yml`, by Yarn's.
//!
//! Input: the list of packages or projects, and the catalogs. Output: the workspace, and no package: the ranges
//! of a catalog count where a manifest uses them. Invariants: none beyond those of all parsers.

use super::{
    catalog::{Catalogs, Origin},
    read_object,
    rush::RushProjects,
};
use crate::ecosystem::{
    Findings, Parser, SourceFile, collect::Collector, json, path::file_name, yaml,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// Reads `pnpm-workspace.yaml`, `lerna.json`, `rush.json` with its `pnpm-config.json`, and `.yarnrc.yml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct WorkspaceFile;

impl Parser for WorkspaceFile {
    fn name(&self) -> &'static str {
        "npm-workspace"
    }

    fn wants(&self, path: &str) -> bool {
        matches!(
            file_name(path),
            "pnpm-workspace.yaml" | "lerna.json" | "rush.json" | ".yarnrc.yml"
        ) || (file_name(path) == "pnpm-config.json" && path.contains("common/config/"))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        if file_name(file.path) == "rush.json" {
            return read_object(file, Source::Manifest, |root, found| {
                let projects = root.elements("projects");
                let members = projects.filter_map(|project| project.text("projectFolder"));
                found.describe(None, members);
                found.keep(RushProjects::of(file.path, root));
            });
        }
        if file_name(file.path) == "pnpm-config.json" {
            return read_object(file, Source::Manifest, |root, found| {
                let mut catalogs = Catalogs::new(file.path, Origin::Manifest);
                catalogs.read_rush(root, found);
                catalogs.keep(found);
            });
        }
        if file_name(file.path) == "lerna.json" {
            return read_object(file, Source::Manifest, |root, found| {
                let members = root.elements("packages").filter_map(json::Node::as_str);
                found.describe(None, members);
            });
        }
        let found = Collector::new(file, Ecosystem::Npm, Source::Manifest);
        yaml::read(file.bytes, found, |tree, found| {
            let Some(root) = tree.root() else { return };
            // Yarn's members are in `package.json`.
            if file_name(file.path) == "pnpm-workspace.yaml" {
                let members = root.get("packages").into_iter().flat_map(yaml::Node::elements);
                found.describe(None, members.filter_map(yaml::Node::as_str));
            }
            let mut catalogs = Catalogs::new(file.path, Origin::Manifest);
            catalogs.read_yaml(root, found);
            catalogs.keep(found);
        })
    }
}
