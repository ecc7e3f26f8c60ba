//! `values.yaml` of charts of Helm.
//!
//! Input: values, in which charts by convention describe an image by `repository`, `tag`, and optionally
//! `registry` and `digest`, or by one text whose key ends with `image`. Output: these images. Decisions: an
//! empty tag means the chart's `appVersion`, as in the template of `helm create`; it is in another file, so
//! [`charts`](super::charts) adds it.
//!
//! Invariants: the repository of a chart or of sources, which is an address, is not an image; each node is
//! read once, however often it is named.

use super::charts::UntaggedImages;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::Collector,
    image::Images,
    path::yaml_stem,
    text,
    yaml::{self, Node, Seen},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `values.yaml` and its variants.
#[derive(Debug)]
pub(in crate::ecosystem) struct HelmValues;

impl Parser for HelmValues {
    fn name(&self) -> &'static str {
        "helm-values"
    }

    fn wants(&self, path: &str) -> bool {
        yaml_stem(path).is_some_and(|stem| {
            let mut words = stem.split(['.', '-', '_']);
            words.next() == Some("values") || words.next_back() == Some("values")
        })
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Docker, Source::Manifest);
        let text = text::decode(file.bytes);
        let tree = yaml::parse(&text, found.budget());
        if !tree.has_templates() {
            tree.warn(&mut found);
        }
        let untagged = UntaggedImages::new(file.path);
        let (seen, images) = (Seen::default(), Images::default());
        let mut walk = Walk { seen, images, untagged, found: &mut found };
        for root in tree.documents() {
            walk.node("", root);
        }
        let untagged = Box::new(walk.untagged);
        Findings { fact: Some(untagged), ..found.finish() }
    }
}

struct Walk<'w, 'f> {
    seen: Seen,
    images: Images,
    untagged: UntaggedImages,
    found: &'w mut Collector<'f>,
}

impl Walk<'_, '_> {
    /// Reads a node and its descendants; the depth of a tree is bounded.
    fn node(&mut self, key: &str, node: Node<'_, '_>) {
        if !self.seen.is_new((), node) {
            return;
        }
        if node.is_mapping() {
            self.mapping(key, node);
        } else if is_image(key)
            && let Some(reference) = node.as_str()
        {
            self.text(reference, node.line);
        }
        for member in node.members() {
            self.node(member.key, member.value);
        }
        for element in node.elements() {
            self.node(key, element);
        }
    }

    /// Reads `repository: a/b` with `tag: 1`, or `image: a/b` with `tag: 1`.
    fn mapping(&mut self, key: &str, node: Node<'_, '_>) {
        let has_version = node.get("tag").is_some() || node.get("digest").is_some();
        if let Some(repository) = node.get("repository")
            && let Some(path) = repository.as_str()
            && (has_version || is_image(key))
            && !path.contains("://")
        {
            let is_empty = |tag: Node<'_, '_>| tag.is_null() || tag.as_str() == Some("");
            if node.get("tag").is_some_and(is_empty)
                && node.text("digest").is_none_or(str::is_empty)
            {
                self.untagged.lines.push(repository.line);
            }
            self.parts(node, path, repository.line);
        }
        if let Some(image) = node.get("image")
            && let Some(path) = image.as_str()
        {
            // Marks the text as read, so that it is not read again without its tag.
            self.seen.is_new((), image);
            self.parts(node, path, image.line);
        }
    }

    fn parts(&mut self, node: Node<'_, '_>, path: &str, line: u32) {
        let part = |key: &str, mark: &str| {
            let text = node.text(key).filter(|text| !text.is_empty())?;
            Some(format!("{mark}{text}"))
        };
        let registry =
            part("registry", "").map(|registry| format!("{}/", registry.trim_end_matches('/')));
        let (tag, digest) = match path.rsplit('/').next() {
            Some(last) if last.contains([':', '@']) => (None, None),
            _ => (part("tag", ":").or_else(|| part("imageTag", ":")), part("digest", "@")),
        };
        let path = path.trim_start_matches('/').to_owned();
        let parts = [registry, Some(path), tag, digest];
        self.text(&parts.into_iter().flatten().collect::<String>(), line);
    }

    fn text(&mut self, reference: &str, line: u32) {
        // The text may be empty, for each installation to set.
        self.images.add(reference, line, Scope::Runtime, self.found);
    }
}

fn is_image(key: &str) -> bool {
    // Compares only the end of the key, because a list's key is compared for each element.
    let end = key.len().checked_sub("image".len()).and_then(|start| key.as_bytes().get(start..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(b"image"))
}
