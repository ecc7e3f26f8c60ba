//! Compose files, by the "Compose file reference" of Docker's manual.
//!
//! What flows in: the services. What flows out: their images, and those that a Dockerfile within
//! the file starts from. Decisions: the image of a service that is built here is what the build is
//! called, so it is no package, whoever else starts it; a variable has its default.
//!
//! What must stay true: a service of the wrong shape costs only itself.

use super::{dockerfile, image::Images, variables::expand, yaml_stem};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::Collector,
    purl::Ecosystem,
    text,
    yaml::{self, Node, Seen, Tree},
};
use crate::model::scan_result::{Scope, Source};

/// Reads `compose.yaml`, `docker-compose.yml` and what overrides them.
#[derive(Debug)]
pub(in crate::ecosystem) struct ComposeFile;

impl Parser for ComposeFile {
    fn name(&self) -> &'static str {
        "compose"
    }

    fn wants(&self, path: &str) -> bool {
        const NAMES: [&str; 4] = ["compose", "docker-compose", "podman-compose", "docker-stack"];
        yaml_stem(path).is_some_and(|stem| {
            NAMES.iter().any(|name| {
                stem.strip_prefix(name)
                    .is_some_and(|it| it.is_empty() || it.starts_with(['.', '-', '_']))
            }) || stem.ends_with(".compose")
                || stem.ends_with("-compose")
                || stem.ends_with(".docker-compose")
        })
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Docker, Source::Manifest);
        yaml::read(file.bytes, found, walk)
    }
}

/// What a node is read as.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Role {
    Built,
    Service,
    Image,
    Contexts,
    Context,
    Dockerfile,
}

fn walk(tree: &Tree<'_>, found: &mut Collector<'_>) {
    let mut images = Images::default();
    let mut seen = Seen::default();
    for root in tree.documents() {
        // Without `services` the file is of the first version, which has them at the top.
        let services = root.get("services").unwrap_or(root);
        let services = || services.members().map(|it| it.value).filter(|it| it.is_mapping());
        // What one service builds, others start by its name.
        for service in services().filter(|it| it.get("build").is_some()) {
            let image = service.get("image").filter(|it| seen.is_new(Role::Built, *it));
            if let Some(name) = image.and_then(Node::as_str) {
                images.leave_out(&expand(name, |_| None));
            }
        }
        for service in services() {
            if seen.is_new(Role::Service, service) {
                read_service(service, &mut seen, &mut images, found);
            }
        }
    }
}

fn read_service(
    service: Node<'_, '_>,
    seen: &mut Seen<Role>,
    images: &mut Images,
    found: &mut Collector<'_>,
) {
    let build = service.get("build");
    if build.is_none()
        && let Some(image) = service.get("image")
        && seen.is_new(Role::Image, image)
    {
        add(image, images, found);
    }
    let contexts = build.and_then(|it| it.get("additional_contexts"));
    let contexts = contexts.filter(|it| seen.is_new(Role::Contexts, *it));
    for context in contexts.into_iter().flat_map(Node::members).map(|it| it.value) {
        if !seen.is_new(Role::Context, context) {
            continue;
        }
        let image = context.as_str().and_then(|it| it.strip_prefix("docker-image://"));
        if let Some(image) = image {
            images.add(&expand(image, |_| None), context.line, Scope::Build, found);
        }
    }
    if let Some(inline) = build.and_then(|it| it.get("dockerfile_inline"))
        && seen.is_new(Role::Dockerfile, inline)
        && let Some(text) = inline.whole_text()
    {
        dockerfile::read_inline(text, inline.line, images, found);
    }
}

fn add(image: Node<'_, '_>, images: &mut Images, found: &mut Collector<'_>) {
    let Some(reference) = image.as_str() else {
        let message = format!("image: expected a scalar, got {}", image.kind());
        return found.warn(image.line, message);
    };
    let reference = expand(reference, |_| None);
    if !images.add(&reference, image.line, Scope::Runtime, found) {
        let reference = text::excerpt(&reference);
        let message = format!("`{reference}` is the name of no image, or not all of it");
        found.warn(image.line, message);
    }
}
