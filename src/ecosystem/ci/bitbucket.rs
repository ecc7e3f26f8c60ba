//! `bitbucket-pipelines.yml`, by "Bitbucket Pipelines configuration reference" and "Use pipes" of Atlassian.
//!
//! Input: a pipeline. Output: the images of the pipeline, its steps and services, and its pipes.
//!
//! Decisions: a pipe is the repository that defines it, by bitbucket-definition; `docker://` names its image
//! instead. Invariants: each node is read once, however often an alias names it.

use super::mappings::Mappings;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    git_reference,
    image::Images,
    path::yaml_stem,
    text,
    yaml::{self, Node, Seen, Tree},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashSet;

/// Reads `bitbucket-pipelines.yml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct BitbucketPipelines;

impl Parser for BitbucketPipelines {
    fn name(&self) -> &'static str {
        "bitbucket-pipelines"
    }

    fn wants(&self, path: &str) -> bool {
        yaml_stem(path).is_some_and(|stem| stem.contains("bitbucket-pipelines"))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Docker, Source::Manifest);
        yaml::read(file.bytes, found, walk)
    }
}

/// The role in which a node is read.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Role {
    Image,
    Pipe,
}

fn walk(tree: &Tree<'_>, found: &mut Collector<'_>) {
    let mut pipeline =
        Pipeline { seen: Seen::default(), images: Images::default(), pipes: HashSet::new(), found };
    // A variable may be called `image`.
    let mut mappings = Mappings::new(&["variables", "image"]);
    for root in tree.documents() {
        mappings.visit("", root, &mut |_, node| {
            if let Some(image) = node.get("image") {
                // `image: a/b:1`, or `image: {name: a/b:1}`.
                pipeline.image(image.get("name").unwrap_or(image));
            }
            if let Some(pipe) = node.get("pipe") {
                pipeline.pipe(pipe);
            }
        });
    }
}

struct Pipeline<'p, 'f> {
    /// The nodes that have been read; an alias may name one again.
    seen: Seen<Role>,
    images: Images,
    pipes: HashSet<String>,
    found: &'p mut Collector<'f>,
}

impl Pipeline<'_, '_> {
    fn image(&mut self, image: Node<'_, '_>) {
        if !self.seen.is_new(Role::Image, image) {
            return;
        }
        match image.as_str() {
            Some(reference) => {
                self.images.add_or_warn(reference, image.line, Scope::Build, self.found);
            }
            None => self.found.warn(image.line, "an image without a name"),
        }
    }

    /// `account/repository:1.0.0`, or `docker://a/b:1`.
    fn pipe(&mut self, pipe: Node<'_, '_>) {
        if !self.seen.is_new(Role::Pipe, pipe) {
            return;
        }
        let Some(wanted) = pipe.as_str().map(str::trim) else {
            let message = format!("pipe: expected a scalar, got {}", pipe.kind());
            return self.found.warn(pipe.line, message);
        };
        if let Some(reference) = wanted.strip_prefix("docker://") {
            return self.images.add_or_warn(reference, pipe.line, Scope::Build, self.found);
        }
        let (name, version) = wanted.split_once(':').unwrap_or((wanted, ""));
        if name.split('/').count() != 2 || name.contains(['$', ' ']) {
            let message = format!("`{}` does not name a pipe", text::excerpt(wanted));
            return self.found.warn(pipe.line, message);
        }
        let (version, specifier) = git_reference::split(version);
        if self.pipes.insert(wanted.to_owned()) {
            let (line, direct, scope) = (pipe.line, Some(true), Some(Scope::Build));
            let declared = Declared { name, version, specifier, line, direct, scope };
            self.found.add_of(Ecosystem::Bitbucket, declared);
        }
    }
}
