//! Compose files, by the "Compose file reference" of Docker's manual.
//!
//! Input: the services. Output: their images, and the base images of inline Dockerfiles. Decisions: if a
//! service is built here, its `image` is only the name of the result, so it is not a package, even where
//! another service uses it; a variable has its default value.
//!
//! Invariants: a malformed service loses only itself.

use super::{dockerfile, yaml_stem};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::Collector,
    image::{Images, expand},
    text,
    yaml::{self, Node, Seen, Tree},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `compose.yaml`, `docker-compose.yml` and their override files.
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
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_']))
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

/// The role in which a node is read.
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
        // Files of version 1 have the services at the top level.
        let services = root.get("services").unwrap_or(root);
        let services =
            || services.members().map(|member| member.value).filter(|service| service.is_mapping());
        // An image that one service builds may be used by others.
        for service in services().filter(|service| service.get("build").is_some()) {
            let image = service.get("image").filter(|image| seen.is_new(Role::Built, *image));
            if let Some(name) = image.and_then(Node::as_str) {
                images.exclude(&expand(name, |_| None));
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
    let contexts = build.and_then(|build| build.get("additional_contexts"));
    let contexts = contexts.filter(|contexts| seen.is_new(Role::Contexts, *contexts));
    for context in contexts.into_iter().flat_map(Node::members).map(|member| member.value) {
        if !seen.is_new(Role::Context, context) {
            continue;
        }
        let image = context.as_str().and_then(|context| context.strip_prefix("docker-image://"));
        if let Some(image) = image {
            images.add(&expand(image, |_| None), context.line, Scope::Build, found);
        }
    }
    if let Some(inline) = build.and_then(|build| build.get("dockerfile_inline"))
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
        let message = format!("`{reference}` is not a complete image name");
        found.warn(image.line, message);
    }
}
