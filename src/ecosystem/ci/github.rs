//! GitHub Actions workflows and `action.yml`, by "Workflow syntax" and "Metadata syntax" of GitHub's
//! manual. Forgejo and Gitea use the same formats.
//!
//! Input: jobs and steps. Output: the actions and workflows that they use, with the reference after the
//! `@` as version if it is a tag or a commit (then the version that a comment names is the specifier), and
//! the images of jobs, services and actions. Invariants:
//! a path that begins with `./` or `$/` is part of the repository.

use super::remark::remarks;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    git_reference,
    image::Images,
    path::file_name,
    text,
    yaml::{self, Node, Seen, Tree},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::{HashMap, HashSet};

/// Reads workflows and actions.
#[derive(Debug)]
pub(in crate::ecosystem) struct GitHubWorkflow;

impl Parser for GitHubWorkflow {
    fn name(&self) -> &'static str {
        "github-workflow"
    }

    fn wants(&self, path: &str) -> bool {
        const FOLDERS: [&str; 3] = [".github/workflows", ".gitea/workflows", ".forgejo/workflows"];
        let file = file_name(path);
        let Some(stem) = file.strip_suffix(".yml").or_else(|| file.strip_suffix(".yaml")) else {
            return false;
        };
        let folder = path.rsplit_once('/').map_or("", |parts| parts.0);
        stem == "action" || FOLDERS.iter().any(|known| folder.ends_with(known))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::GitHub, Source::Manifest);
        let text = text::decode(file.bytes);
        let remarks = remarks(&text, "@");
        yaml::read(file.bytes, found, |tree, found| walk(tree, remarks, found))
    }
}

fn walk(tree: &Tree<'_>, remarks: HashMap<u32, &str>, found: &mut Collector<'_>) {
    let (seen, images, used) = (Seen::default(), Images::default(), HashSet::new());
    let mut workflow = Workflow { seen, images, used, remarks, found };
    for root in tree.documents() {
        for job in root.get("jobs").into_iter().flat_map(Node::members) {
            workflow.job(job.value);
        }
        if let Some(runs) = root.get("runs") {
            workflow.steps(runs);
            if let Some(image) = runs.get("image")
                && workflow.seen.is_new(Role::Image, image)
                && let Some(reference) =
                    image.as_str().and_then(|image| image.strip_prefix("docker://"))
            {
                workflow.image(reference, image.line);
            }
        }
    }
}

/// The role in which a node is read.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Role {
    Job,
    Services,
    Steps,
    Uses,
    Image,
}

struct Workflow<'w, 'f> {
    /// The nodes that have been read; an alias may name one again.
    seen: Seen<Role>,
    images: Images,
    used: HashSet<String>,
    remarks: HashMap<u32, &'w str>,
    found: &'w mut Collector<'f>,
}

impl Workflow<'_, '_> {
    fn job(&mut self, job: Node<'_, '_>) {
        if !self.seen.is_new(Role::Job, job) {
            return;
        }
        if let Some(uses) = job.get("uses") {
            self.uses(uses);
        }
        if let Some(container) = job.get("container") {
            self.container(container);
        }
        let services =
            job.get("services").filter(|services| self.seen.is_new(Role::Services, *services));
        for service in services.into_iter().flat_map(Node::members) {
            self.container(service.value);
        }
        self.steps(job);
    }

    fn steps(&mut self, of: Node<'_, '_>) {
        let steps = of.get("steps").filter(|steps| self.seen.is_new(Role::Steps, *steps));
        for step in steps.into_iter().flat_map(Node::elements) {
            if let Some(uses) = step.get("uses") {
                self.uses(uses);
            }
        }
    }

    /// `a/b:1`, or `{image: a/b:1}`.
    fn container(&mut self, container: Node<'_, '_>) {
        let image = container.get("image").unwrap_or(container);
        if self.seen.is_new(Role::Image, image)
            && let Some(reference) = image.as_str()
        {
            self.image(reference, image.line);
        }
    }

    fn image(&mut self, reference: &str, line: u32) {
        self.images.add_or_warn(reference, line, Scope::Build, self.found);
    }

    /// `owner/repository/path@reference`, or `docker://image`.
    fn uses(&mut self, uses: Node<'_, '_>) {
        if !self.seen.is_new(Role::Uses, uses) {
            return;
        }
        let Some(wanted) = uses.as_str().map(str::trim) else {
            let message = format!("uses: expected a scalar, got {}", uses.kind());
            return self.found.warn(uses.line, message);
        };
        if let Some(reference) = wanted.strip_prefix("docker://") {
            return self.image(reference, uses.line);
        }
        // Forgejo and Gitea also accept the address of a repository.
        let address = wanted.split_once("://").map(|(_, rest)| rest);
        let elsewhere = address.filter(|address| !address.starts_with("github.com/"));
        if wanted.starts_with("$/") {
            return;
        }
        let wanted = address
            .map_or(wanted, |address| address.strip_prefix("github.com/").unwrap_or(address));
        if wanted.starts_with(['.', '/']) || wanted.contains("${{") && !wanted.contains('@') {
            return;
        }
        let (name, wanted) = wanted.split_once('@').unwrap_or((wanted, ""));
        if !name.contains('/') || name.contains(['$', '{', ' ']) {
            let message = format!("`{}` does not name an action", text::excerpt(name));
            return self.found.warn(uses.line, message);
        }
        let (version, specifier) = git_reference::split(wanted);
        let is_commit = version.is_some_and(|version| git_reference::commit(version).is_some());
        let remark = self.remarks.get(&uses.line).copied().filter(|_| is_commit);
        let specifier = specifier.or(remark);
        if self.used.insert(format!("{}@{wanted}", name.to_lowercase())) {
            let (line, direct, scope) = (uses.line, Some(true), Some(Scope::Build));
            // The purl specification has a type for GitHub only.
            let ecosystem = elsewhere.map_or(Ecosystem::GitHub, |_| Ecosystem::Generic);
            let declared = Declared { name, version, specifier, line, direct, scope };
            self.found.add_of(ecosystem, declared);
        }
    }
}
