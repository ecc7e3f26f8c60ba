//! `values.yaml` of charts of Helm.
//!
//! What flows in: values, among which charts by custom describe an image: `repository`, `tag`, and
//! maybe `registry` and `digest`; or in one text under a key that ends with `image`. What flows out:
//! these images. Decisions: without a tag it is the chart's `appVersion`, which another file says.
//!
//! What must stay true: the repository of a chart or of sources, an address, is no image; each node is
//! looked at once, however often it is named.

use super::{image::Images, yaml_stem};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::Collector,
    purl::Ecosystem,
    text,
    yaml::{self, Node, Seen},
};
use crate::model::scan_result::{Scope, Source};

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
        let mut walk = Walk { seen: Seen::default(), images: Images::default(), found: &mut found };
        for root in tree.documents() {
            walk.node("", root);
        }
        found.finish()
    }
}

struct Walk<'w, 'f> {
    seen: Seen,
    images: Images,
    found: &'w mut Collector<'f>,
}

impl Walk<'_, '_> {
    /// Looks at a node and at all below it; the depth of a tree is bounded.
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

    /// `repository: a/b` with `tag: 1`, or `image: a/b` with `tag: 1` beside.
    fn mapping(&mut self, key: &str, node: Node<'_, '_>) {
        let has_version = node.get("tag").is_some() || node.get("digest").is_some();
        if let Some(repository) = node.get("repository")
            && let Some(path) = repository.as_str()
            && (has_version || is_image(key))
            && !path.contains("://")
        {
            self.parts(node, path, repository.line);
        }
        if let Some(image) = node.get("image")
            && let Some(path) = image.as_str()
        {
            // What stands beside its tag is not read as a whole image once more.
            self.seen.is_new((), image);
            self.parts(node, path, image.line);
        }
    }

    fn parts(&mut self, node: Node<'_, '_>, path: &str, line: u32) {
        let part = |key: &str, mark: &str| {
            let text = node.text(key).filter(|it| !it.is_empty())?;
            Some(format!("{mark}{text}"))
        };
        let registry = part("registry", "").map(|it| format!("{}/", it.trim_end_matches('/')));
        let (tag, digest) = match path.rsplit('/').next() {
            Some(last) if last.contains([':', '@']) => (None, None),
            _ => (part("tag", ":").or_else(|| part("imageTag", ":")), part("digest", "@")),
        };
        let path = path.trim_start_matches('/').to_owned();
        let parts = [registry, Some(path), tag, digest];
        self.text(&parts.into_iter().flatten().collect::<String>(), line);
    }

    fn text(&mut self, reference: &str, line: u32) {
        // Empty where it is for each installation to say.
        self.images.add(reference, line, Scope::Runtime, self.found);
    }
}

fn is_image(key: &str) -> bool {
    // The end alone: all elements of a list are asked for the list's key.
    let end = key.len().checked_sub("image".len()).and_then(|it| key.as_bytes().get(it..));
    end.is_some_and(|it| it.eq_ignore_ascii_case(b"image"))
}
