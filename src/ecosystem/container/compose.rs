//! Compose files, by the "Compose file reference" of Docker's manual.
//!
//! Input: the services, in a file of a usual name, or of any other name, as `include` and `extends` name it.
//! Output: their images, the base images of inline Dockerfiles, and the remote files of `include`. Decisions:
//! if a service is built here, its `image` is only the name of the result, so it is not a package, even where
//! another service uses it; a variable has its default value. [`built`](super::built) applies this to the
//! services of other files.
//!
//! Invariants: a malformed service loses only itself.

use super::{
    built::{ComposePart, Extending},
    dockerfile,
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    budget::Budget,
    collect::{Collector, Declared},
    git_reference,
    git_source::GitSource,
    image::{Images, expand},
    path::{folder_of, yaml_stem},
    project::below,
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
        let mut part = None;
        let findings = yaml::read(file.bytes, found, |tree, found| {
            part = Some(walk(tree, file.path, found));
        });
        Findings { fact: part.map(ComposePart::boxed), ..findings }
    }
}

/// Whether a document is a compose file, whatever its name: all of its members are elements of the
/// specification, and a service is built or has an image.
pub(in crate::ecosystem) fn is_compose(root: Node<'_, '_>) -> bool {
    const ELEMENTS: [&str; 9] = [
        "name", "version", "services", "networks", "volumes", "configs", "secrets", "include",
        "models",
    ];
    let is_element = |key: &str| ELEMENTS.contains(&key) || key.starts_with("x-");
    let Some(services) = root.get("services").filter(|services| services.is_mapping()) else {
        return false;
    };
    root.members().all(|member| is_element(member.key))
        && services.members().all(|member| member.value.is_mapping())
        && services.members().any(|member| {
            let service = member.value;
            service.get("image").is_some_and(Node::is_scalar)
                || service.get("build").is_some_and(|build| build.is_scalar() || build.is_mapping())
        })
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
    Includes,
    Include,
}

/// Reads the services, and what other files need to know of them.
pub(in crate::ecosystem) fn walk(
    tree: &Tree<'_>,
    path: &str,
    found: &mut Collector<'_>,
) -> ComposePart {
    let mut images = Images::default();
    let mut seen = Seen::default();
    let mut part = ComposePart::new(path);
    for root in tree.documents() {
        // Files of version 1 have the services at the top level.
        let table = root.get("services").unwrap_or(root);
        let services =
            || table.members().map(|member| member.value).filter(|service| service.is_mapping());
        // An image that one service builds may be used by others.
        for service in services().filter(|service| service.get("build").is_some()) {
            let image = service.get("image").filter(|image| seen.is_new(Role::Built, *image));
            if let Some(name) = image.and_then(Node::as_str) {
                let reference = expand(name, |_| None);
                images.exclude(&reference);
                if found.budget().copy(reference.len()) {
                    part.built.push(reference);
                }
            }
        }
        for member in table.members().filter(|member| member.value.get("build").is_some()) {
            if found.budget().copy(member.key.len()) {
                part.services.push(member.key.to_owned());
            }
        }
        for service in services() {
            if seen.is_new(Role::Service, service) {
                part.extending.extend(extending(service, path, found.budget()));
                read_service(service, &mut seen, &mut images, found);
            }
        }
        if let Some(include) = root.get("include") {
            read_include(include, &mut seen, &mut images, found);
        }
    }
    part
}

/// `extends: {file: path, service: name}` of a service that has an image.
fn extending(service: Node<'_, '_>, path: &str, budget: &Budget) -> Option<Extending> {
    let extends = service.get("extends")?;
    let line = service.get("image")?.line;
    let file = below(folder_of(path), extends.text("file")?)?;
    let service = extends.text("service")?;
    let has_room = budget.copy(file.len() + service.len());
    has_room.then(|| Extending { line, file, service: service.to_owned() })
}

/// The elements of `include`: paths, or mappings whose `path` is one path or several.
fn read_include(
    include: Node<'_, '_>,
    seen: &mut Seen<Role>,
    images: &mut Images,
    found: &mut Collector<'_>,
) {
    if include.is_sequence() && seen.is_new(Role::Includes, include) {
        for element in include.elements() {
            read_include(element.get("path").unwrap_or(element), seen, images, found);
        }
    } else if include.is_scalar()
        && seen.is_new(Role::Include, include)
        && let Some(path) = include.as_str()
    {
        add_remote(&expand(path, |_| None), include.line, images, found);
    }
}

/// A remote file: `oci://a/b:1`, `https://h.example/a.git#ref:folder`. All other paths are of the repository.
fn add_remote(path: &str, line: u32, images: &mut Images, found: &mut Collector<'_>) {
    if let Some(reference) = path.strip_prefix("oci://") {
        images.add_or_warn(reference, line, Scope::Runtime, found);
        return;
    }
    let (address, fragment) = path.split_once('#').unwrap_or((path, ""));
    let is_remote = address.contains("://") || address.starts_with("git@");
    if let Some(source) = GitSource::of(address).filter(|_| is_remote) {
        let reference = fragment.split(':').next().unwrap_or(fragment);
        let (version, specifier) = git_reference::split(reference);
        let (direct, scope) = (Some(true), Some(Scope::Runtime));
        let declared = Declared { name: "", version, specifier, line, direct, scope };
        let _ = source.add(declared, found);
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
