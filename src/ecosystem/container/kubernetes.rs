//! Kubernetes manifests, and the documents of related tools that have the same form.
//!
//! Input: documents with `apiVersion` and `kind`. Output: the images of all containers anywhere in a document, so
//! unknown kinds are covered; the replacement images of a kustomization; the charts that Argo CD, Flux and Kustomize
//! install; what Tekton fetches; and the builders and charts of Skaffold.
//!
//! Invariants: each node is read once in each of its roles, however often it is named.

use super::{skaffold, tekton};
use crate::ecosystem::{
    collect::Collector,
    image::Images,
    yaml::{self, Node, Seen},
};
use crate::model::scan_result::Scope;

/// Reads the pods of a pipeline inside another file; `above` is the number of lines before them.
pub(in crate::ecosystem) fn read_pod(
    text: &str,
    above: u32,
    images: &mut Images,
    found: &mut Collector<'_>,
) {
    let tree = yaml::parse(text, found.budget());
    let mut walk = Walk::new(Scope::Build, images, found);
    walk.above = above;
    // A pod template may omit `apiVersion` and `kind`.
    tree.documents().for_each(|pod| walk.node(pod));
}

/// Reads manifests.
pub(in crate::ecosystem) fn read<'t, 'a: 't>(
    manifests: impl Iterator<Item = Node<'t, 'a>>,
    images: &mut Images,
    found: &mut Collector<'_>,
) {
    let mut walk = Walk::new(Scope::Runtime, images, found);
    for manifest in manifests {
        if skaffold::is_skaffold(manifest) {
            skaffold::read(manifest, walk.images, walk.found);
        } else {
            walk.node(manifest);
        }
    }
}

/// Whether a document is a manifest.
pub(in crate::ecosystem) fn is_manifest(node: Node<'_, '_>) -> bool {
    node.text("apiVersion").is_some() && node.get("kind").is_some_and(Node::is_scalar)
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
    Reference,
    Parameters,
}

struct Walk<'w, 'f> {
    seen: Seen<Role>,
    images: &'w mut Images,
    /// Of the task around the node.
    defaults: tekton::Defaults,
    scope: Scope,
    /// The number of lines before the text.
    above: u32,
    found: &'w mut Collector<'f>,
}

impl<'w, 'f> Walk<'w, 'f> {
    fn new(scope: Scope, images: &'w mut Images, found: &'w mut Collector<'f>) -> Self {
        let (seen, defaults) = (Seen::default(), tekton::Defaults::default());
        Self { seen, images, defaults, scope, above: 0, found }
    }

    /// Reads a node and its descendants; the depth of a tree is bounded.
    fn node(&mut self, node: Node<'_, '_>) {
        if !self.seen.is_new(Role::Node, node) {
            return;
        }
        if is_manifest(node) {
            self.charts(node);
        }
        if let Some(parameters) = node.get("params")
            && self.seen.is_new(Role::Parameters, parameters)
        {
            self.defaults.add_all(parameters);
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
                "taskRef" | "pipelineRef" | "ref"
                    if self.seen.is_new(Role::Reference, member.value) =>
                {
                    tekton::read(member.value, self.images, self.found);
                }
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

    /// The line of a node in the file.
    fn line(&self, node: Node<'_, '_>) -> u32 {
        self.above.saturating_add(node.line)
    }

    fn container(&mut self, container: Node<'_, '_>) {
        if !self.seen.is_new(Role::Container, container) {
            return;
        }
        let image = container.get("image").filter(|image| self.seen.is_new(Role::Image, *image));
        let Some(image) = image else { return };
        let Some(reference) = image.as_str() else { return };
        let line = self.line(image);
        let reference = self.defaults.expand(reference);
        if self.found.budget().copy(reference.len()) {
            self.images.add_or_warn(&reference, line, self.scope, self.found);
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
        let line = self.line(image);
        self.images.add(&reference, line, self.scope, self.found);
    }

    fn volume(&mut self, image: Node<'_, '_>) {
        if let Some(node) =
            image.get("reference").filter(|reference| self.seen.is_new(Role::Image, *reference))
            && let Some(reference) = node.as_str()
        {
            let line = self.line(image);
            self.images.add(reference, line, self.scope, self.found);
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
