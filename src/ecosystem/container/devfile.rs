//! `devfile.yaml`, by the schema of version 2.
//!
//! Input: the components. Output: the images of the development containers. Invariants: an image that is
//! built here is not a package.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::Collector,
    image::Images,
    path::yaml_stem,
    text,
    yaml::{self, Node, Seen, Tree},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `devfile.yaml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct Devfile;

impl Parser for Devfile {
    fn name(&self) -> &'static str {
        "devfile"
    }

    fn wants(&self, path: &str) -> bool {
        yaml_stem(path).is_some_and(|stem| stem == "devfile" || stem == ".devfile")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Docker, Source::Manifest);
        yaml::read(file.bytes, found, walk)
    }
}

fn walk(tree: &Tree<'_>, found: &mut Collector<'_>) {
    let (mut images, mut seen) = (Images::default(), Seen::default());
    let components = tree.root().and_then(|root| root.get("components"));
    for component in components.into_iter().flat_map(Node::elements) {
        // Version 1 has the container's fields in the component itself.
        let container = component.get("container").unwrap_or(component);
        let image = container.get("image").filter(|image| seen.is_new((), *image));
        let Some(image) = image else { continue };
        // `image: {imageName: …}` is the name of an image that the component builds.
        let Some(reference) = image.as_str() else { continue };
        if !images.add(reference, image.line, Scope::Dev, found) {
            let message = format!("`{}` is not an image name", text::excerpt(reference));
            found.warn(image.line, message);
        }
    }
}
