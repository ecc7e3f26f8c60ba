//! Kubernetes manifests, and files of related tools.
//!
//! Input: documents with `apiVersion` and `kind`, in any YAML file that no other parser wants. Output: the
//! images of all containers anywhere in a document, so unknown kinds are covered; the replacement images
//! of a kustomization; and the charts that Argo CD, Flux and Kustomize install.
//!
//! Decisions: a file without such a document is ignored without a warning, unless it is part of a GitLab
//! pipeline, which may have any name as well; syntax errors are not reported for files with template
//! lines, such as those of Helm charts.
//!
//! Invariants: each node is read once in each of its roles, however often it is named.

use super::yaml_stem;
use crate::ecosystem::{
    Findings, Parser, SourceFile, ci,
    collect::Collector,
    image::Images,
    text,
    yaml::{self, Node, Seen},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads Kubernetes manifests.
#[derive(Debug)]
pub(in crate::ecosystem) struct KubernetesManifest;

impl Parser for KubernetesManifest {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn wants(&self, path: &str) -> bool {
        yaml_stem(path).is_some()
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Generic, Source::Manifest);
        let text = text::decode(file.bytes);
        let is_kustomization = yaml_stem(file.path).as_deref() == Some("kustomization");
        let may_be_manifest = text.contains("apiVersion") && text.contains("kind");
        // Most files are something else, and are not worth parsing.
        if !(is_kustomization || may_be_manifest || text.contains(" script:")) {
            return found.finish();
        }
        let tree = yaml::parse(&text, found.budget());
        let manifests: Vec<_> = tree
            .documents()
            .filter(|manifest| is_kustomization || is_manifest(*manifest))
            .collect();
        let is_pipeline = manifests.is_empty() && tree.documents().any(ci::is_pipeline);
        if manifests.is_empty() && !is_pipeline {
            return found.finish();
        }
        if !tree.has_templates() {
            tree.warn(&mut found);
        }
        if is_pipeline {
            ci::walk_pipeline(&tree, &mut found);
            return found.finish();
        }
        let mut walk = Walk { seen: Seen::default(), images: Images::default(), found: &mut found };
        for manifest in manifests {
            walk.node(manifest);
        }
        found.finish()
    }
}

fn is_manifest(node: Node<'_, '_>) -> bool {
    node.text("apiVersion").is_some() && node.get("kind").is_some()
}

/// The role in which a node is read.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Role {
    Node,
    Containers,
    Container,
    Image,
    Replacements,
    Replacement,
    Charts,
    Chart,
    Sources,
    Source,
}

struct Walk<'w, 'f> {
    seen: Seen<Role>,
    images: Images,
    found: &'w mut Collector<'f>,
}

impl Walk<'_, '_> {
    /// Reads a node and its descendants; the depth of a tree is bounded.
    fn node(&mut self, node: Node<'_, '_>) {
        if !self.seen.is_new(Role::Node, node) {
            return;
        }
        if is_manifest(node) {
            self.charts(node);
        }
        for member in node.members() {
            match member.key {
                "containers" | "initContainers" | "ephemeralContainers" | "steps" | "sidecars" => {
                    self.each(Role::Containers, member.value, Self::container);
                }
                "container" | "script" | "stepTemplate" => self.container(member.value),
                "images" => self.each(Role::Replacements, member.value, Self::replacement),
                // A volume may be an image.
                "image" => self.volume(member.value),
                "helmCharts" => self.each(Role::Charts, member.value, Self::chart),
                _ => {}
            }
            self.node(member.value);
        }
        node.elements().for_each(|element| self.node(element));
    }

    /// Reads the elements of a list, unless they have been read.
    fn each<'t, 'a>(&mut self, role: Role, list: Node<'t, 'a>, read: fn(&mut Self, Node<'t, 'a>)) {
        if self.seen.is_new(role, list) {
            list.elements().for_each(|element| read(self, element));
        }
    }

    fn container(&mut self, container: Node<'_, '_>) {
        if !self.seen.is_new(Role::Container, container) {
            return;
        }
        let image = container.get("image").filter(|image| self.seen.is_new(Role::Image, *image));
        let Some(image) = image else { return };
        let Some(reference) = image.as_str() else { return };
        let is_template = reference.contains("{{") || reference.contains('$');
        if !self.images.add(reference, image.line, Scope::Runtime, self.found) && !is_template {
            let message = format!("`{}` is not an image name", text::excerpt(reference));
            self.found.warn(image.line, message);
        }
    }

    /// `images` of a kustomization: `name`, and its replacements `newName`, `newTag` and `digest`.
    fn replacement(&mut self, image: Node<'_, '_>) {
        if !self.seen.is_new(Role::Replacement, image) {
            return;
        }
        let Some(name) = image.text("newName").or_else(|| image.text("name")) else { return };
        let tag = image.text("newTag").map(|tag| format!(":{tag}"));
        let digest = image.text("digest").map(|digest| format!("@{digest}"));
        if tag.is_none() && digest.is_none() && image.text("newName").is_none() {
            return;
        }
        let reference =
            [Some(name.to_owned()), tag, digest].into_iter().flatten().collect::<String>();
        self.images.add(&reference, image.line, Scope::Runtime, self.found);
    }

    fn volume(&mut self, image: Node<'_, '_>) {
        if let Some(node) =
            image.get("reference").filter(|reference| self.seen.is_new(Role::Image, *reference))
            && let Some(reference) = node.as_str()
        {
            self.images.add(reference, image.line, Scope::Runtime, self.found);
        }
    }

    /// `helmCharts` of a kustomization.
    fn chart(&mut self, chart: Node<'_, '_>) {
        if !self.seen.is_new(Role::Chart, chart) {
            return;
        }
        // A chart without a repository is a local one.
        if let Some(name) = chart.text("name").filter(|_| chart.get("repo").is_some()) {
            super::helm::add(name, chart.text("version"), chart.line, self.found);
        }
    }

    /// The chart of an Application of Argo CD or a `HelmRelease` of Flux.
    fn charts(&mut self, manifest: Node<'_, '_>) {
        let Some(spec) = manifest.get("spec") else { return };
        let flux = spec.get("chart").and_then(|chart| chart.get("spec"));
        let argo = spec.get("source");
        let several =
            spec.get("sources").filter(|sources| self.seen.is_new(Role::Sources, *sources));
        let several = several.into_iter().flat_map(Node::elements);
        for source in flux.into_iter().chain(argo).chain(several) {
            if !self.seen.is_new(Role::Source, source) {
                continue;
            }
            let Some(chart) = source.get("chart") else { continue };
            let Some(name) = chart.as_str().filter(|name| !name.starts_with(['.', '/'])) else {
                continue;
            };
            let wanted = source.text("version").or_else(|| source.text("targetRevision"));
            super::helm::add(name, wanted, chart.line, self.found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_yaml_is_wanted() {
        for path in ["k8s/web.yaml", "a/x.yml", "charts/a/templates/b.yaml"] {
            assert!(KubernetesManifest.wants(path), "{path}");
        }
        for path in ["k8s/a.json", "kustomization", "a.yaml.md"] {
            assert!(!KubernetesManifest.wants(path), "{path}");
        }
    }

    /// Fails if a file that is not a manifest gives any finding, even a warning.
    #[test]
    fn other_files_give_nothing() {
        for text in [
            "openapi: 3.0.0\nkind: [\napiVersion\n",
            "- name: a task of Ansible\n  script: x\n  image: a:1\n",
            "script: make\njobs:\n  include:\n    - script: x\n      stage: y\n",
            "containers:\n- image: a:1\n",
        ] {
            let file = SourceFile::alone("a.yaml", text.as_bytes());
            let found = KubernetesManifest.parse(file);
            assert!(found.packages.is_empty() && found.warnings.is_empty(), "{text}: {found:?}");
            assert!(!found.unreadable, "{text}");
        }
    }
}
