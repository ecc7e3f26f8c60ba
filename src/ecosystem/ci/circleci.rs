//! `.circleci/config.yml` and other files of that folder, by "`CircleCI` configuration reference" and "Orbs".
//!
//! Input: a configuration, a part of one that `circleci config pack` joins, or an inline orb. Output: the images
//! of executors and jobs, and the orbs.
//!
//! Decisions. An orb is `generic`, because the purl specification has no type for orbs; a partial version (`5`,
//! `5.1`), `volatile` and a development version select a release, so they are specifiers. A parameter has its
//! default value: that of the job or executor itself, or that on which all others of its name in the file agree;
//! without one, those of the matrices in workflows.
//! The image of a virtual machine (`machine`) is not a container image.
//!
//! Invariants: an inline orb is not a package; each node is read once, however often it is named.

use super::{mappings::Mappings, texts::Texts};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    image::Images,
    text, version,
    yaml::{self, Node, Seen, Tree},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashMap;

/// Longest text with parameters in bytes, its parameters, and values of one parameter.
const MAX_LENGTH: usize = 1000;
const MAX_PARAMETERS: usize = 10;
const MAX_VALUES: usize = 50;

/// Reads the configuration of `CircleCI`.
#[derive(Debug)]
pub(in crate::ecosystem) struct CircleCi;

impl Parser for CircleCi {
    fn name(&self) -> &'static str {
        "circleci"
    }

    fn wants(&self, path: &str) -> bool {
        let is_yaml = path.ends_with(".yml") || path.ends_with(".yaml");
        is_yaml && (path.starts_with(".circleci/") || path.contains("/.circleci/"))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Docker, Source::Manifest);
        yaml::read(file.bytes, found, walk)
    }
}

/// The role in which a node is read.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Role {
    Parameters,
    Parameter,
    Containers,
    Container,
    Image,
    Orbs,
    Orb,
}

fn walk(tree: &Tree<'_>, found: &mut Collector<'_>) {
    let mut seen = Seen::default();
    let mut parameters = Parameters::default();
    // Commands are not run in containers of their own.
    let mut mappings = Mappings::new(&["environment"]);
    for root in tree.documents() {
        mappings.visit("", root, &mut |_, node| parameters.add_all(node, &mut seen));
    }
    let mut images = Images::default();
    let mut mappings = Mappings::new(&["environment"]);
    for root in tree.documents() {
        mappings.visit("", root, &mut |_, node| {
            containers(node, &parameters, &mut seen, &mut images, found);
            orbs(node, &mut seen, found);
        });
    }
}

/// The values of parameters, by name.
#[derive(Debug, Default)]
struct Parameters<'t> {
    /// The default value; none for a name with several.
    defaults: HashMap<&'t str, Option<&'t str>>,
    /// The values in the matrices of workflows.
    matrix: HashMap<&'t str, Vec<&'t str>>,
}

impl<'t> Parameters<'t> {
    /// `parameters: {name: {type: string, default: value}}`, and of a matrix `parameters: {name: [value]}`.
    fn add_all(&mut self, node: Node<'t, '_>, seen: &mut Seen<Role>) {
        let Some(parameters) = node.get("parameters") else { return };
        if !seen.is_new(Role::Parameters, parameters) {
            return;
        }
        for member in parameters.members() {
            if !seen.is_new(Role::Parameter, member.value) {
                continue;
            }
            if let Some(default) = member.value.text("default") {
                let known = self.defaults.entry(member.key).or_insert(Some(default));
                *known = known.filter(|known| *known == default);
            }
            let values = member.value.elements().take(MAX_VALUES).filter_map(Node::as_str);
            for value in values {
                let known = self.matrix.entry(member.key).or_default();
                if known.len() < MAX_VALUES && !known.contains(&value) {
                    known.push(value);
                }
            }
        }
    }

    /// Replaces `<< parameters.name >>`, `<< pipeline.parameters.name >>` and `<< matrix.name >>`. The parameters
    /// of the job or executor itself come first.
    fn expand(&self, text: &str, own: Option<Node<'t, '_>>) -> Vec<String> {
        if !text.contains("<<") || text.len() > MAX_LENGTH {
            return vec![text.to_owned()];
        }
        let mut texts = Texts::new();
        let mut rest = text;
        for _ in 0..MAX_PARAMETERS {
            let Some((before, behind)) = rest.split_once("<<") else { break };
            let Some((inner, after)) = behind.split_once(">>") else { break };
            let path = inner.trim();
            let path = path.strip_prefix("pipeline.").unwrap_or(path);
            let name = path.strip_prefix("parameters.").or_else(|| path.strip_prefix("matrix."));
            let values = name.map(|name| self.values(name, own)).unwrap_or_default();
            texts.push(before);
            texts.choose(&values, &["<<", inner, ">>"]);
            rest = after;
        }
        texts.push(rest);
        texts.finish()
    }

    fn values(&self, name: &str, own: Option<Node<'t, '_>>) -> Vec<&'t str> {
        let own = own.and_then(|own| own.get(name)?.text("default"));
        match own.or_else(|| self.defaults.get(name).copied().flatten()) {
            Some(value) => vec![value],
            None => self.matrix.get(name).cloned().unwrap_or_default(),
        }
    }
}

/// `docker: [{image: a/b:1}]`
fn containers<'t>(
    node: Node<'t, '_>,
    parameters: &Parameters<'t>,
    seen: &mut Seen<Role>,
    images: &mut Images,
    found: &mut Collector<'_>,
) {
    let own = node.get("parameters");
    let containers = node.get("docker").filter(|docker| seen.is_new(Role::Containers, *docker));
    for container in containers.into_iter().flat_map(Node::elements) {
        if seen.is_new(Role::Container, container)
            && let Some(image) = container.get("image")
            && seen.is_new(Role::Image, image)
            && let Some(written) = image.as_str()
        {
            for reference in parameters.expand(written, own) {
                if found.budget().copy(reference.len()) {
                    images.add_or_warn(&reference, image.line, Scope::Build, found);
                }
            }
        }
    }
}

/// `orbs: {name: namespace/orb@1.2.3}`
fn orbs(node: Node<'_, '_>, seen: &mut Seen<Role>, found: &mut Collector<'_>) {
    let orbs = node.get("orbs").filter(|orbs| seen.is_new(Role::Orbs, *orbs));
    for orb in orbs.into_iter().flat_map(Node::members).map(|member| member.value) {
        if orb.is_mapping() || !seen.is_new(Role::Orb, orb) {
            continue;
        }
        let Some((name, wanted)) = orb.as_str().map(|orb| orb.split_once('@').unwrap_or((orb, "")))
        else {
            found.warn(orb.line, format!("orbs: expected a scalar, got {}", orb.kind()));
            continue;
        };
        if !name.contains('/') || name.contains([' ', '<']) {
            found.warn(orb.line, format!("`{}` does not name an orb", text::excerpt(name)));
            continue;
        }
        let version = Some(wanted).filter(|wanted| version::is_complete(wanted));
        let specifier = Some(wanted).filter(|_| version.is_none());
        let (line, direct, scope) = (orb.line, Some(true), Some(Scope::Build));
        let declared = Declared { name, version, specifier, line, direct, scope };
        found.add_of(Ecosystem::Generic, declared);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_folder_of_the_configuration_is_wanted() {
        for path in [".circleci/config.yml", "a/.circleci/src/jobs/test.yaml"] {
            assert!(CircleCi.wants(path), "{path}");
        }
        for path in ["circleci/config.yml", ".circleci/config.json", "x.circleci/a.yml"] {
            assert!(!CircleCi.wants(path), "{path}");
        }
    }
}
