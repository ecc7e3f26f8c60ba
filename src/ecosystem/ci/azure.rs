//! Azure Pipelines and their templates, by "YAML schema reference" of Azure DevOps.
//!
//! Input: a pipeline, or a template of stages, jobs, steps or variables under any name. Output: the images of
//! container resources, and of the `container` and the `services` of jobs; the repositories of other forges that the
//! resources name; and the tasks with their versions.
//!
//! Decisions. A task is `generic`, because the purl specification has no type for the extensions of Azure
//! DevOps; its version is the major version that the pipeline names, or all of it. Variables, parameters and
//! the entries of a `matrix` have the values that the file defines; a value of several is listed several times.
//! A plain word as container of a template is the name of a resource of the pipeline that includes it. A
//! repository of the type `git` belongs to the own organization, and one of `githubenterprise` names no host:
//! they are not packages.
//!
//! Invariants: the name of a container resource is not an image; a template is not a package; each node is read
//! once, however often it is named.

use super::{azure_values::Values, mappings::Mappings};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    git_reference,
    git_source::GitSource,
    image::Images,
    path::yaml_stem,
    text,
    yaml::{self, Id, Node, Seen, Tree},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashSet;

/// Keys below which nothing is a job or a step: the inputs of a task are its own.
const SKIPPED: &[&str] = &["inputs", "env", "variables", "matrix"];

/// Keys that only a job has.
const OF_JOB: [&str; 6] = ["job", "deployment", "steps", "strategy", "pool", "services"];

/// Reads `azure-pipelines.yml` and similar names.
#[derive(Debug)]
pub(in crate::ecosystem) struct AzurePipelines;

impl Parser for AzurePipelines {
    fn name(&self) -> &'static str {
        "azure-pipelines"
    }

    fn wants(&self, path: &str) -> bool {
        const FOLDERS: [&str; 3] = [".azure-pipelines", "azure-pipelines", ".azuredevops"];
        let Some(stem) = yaml_stem(path) else { return false };
        stem.contains("azure-pipeline")
            || path.split('/').rev().skip(1).any(|folder| FOLDERS.contains(&folder))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Generic, Source::Manifest);
        yaml::read(file.bytes, found, walk)
    }
}

/// Whether a document is a pipeline or a template, whatever its file name: one of its lists begins with an
/// element that only Azure Pipelines have.
pub(in crate::ecosystem) fn is_pipeline(root: Node<'_, '_>) -> bool {
    let has = |list: &str, keys: &[&str]| {
        root.get(list).filter(|list| list.is_sequence()).is_some_and(|list| {
            list.elements()
                .take(20)
                .any(|element| keys.iter().any(|key| element.get(key).is_some()))
        })
    };
    let is_task = |element: Node<'_, '_>| element.get("task").is_some_and(is_task_name);
    let has_task = root.get("steps").filter(|steps| steps.is_sequence());
    let has_task = has_task.is_some_and(|steps| steps.elements().take(20).any(is_task));
    has_task
        || has("jobs", &["job", "deployment"])
        || has("stages", &["stage"]) && root.get("stages").is_some_and(has_jobs)
        || root.get("resources").is_some_and(|resources| {
            resources.get("containers").is_some_and(|list| {
                list.elements().take(20).any(|element| element.get("container").is_some())
            })
        })
}

fn has_jobs(stages: Node<'_, '_>) -> bool {
    stages.elements().take(20).any(|stage| stage.get("jobs").is_some_and(Node::is_sequence))
}

/// Whether a node is `Name@1`.
fn is_task_name(task: Node<'_, '_>) -> bool {
    task.as_str().and_then(task_of).is_some()
}

/// The name and the version of a task: `Name@1`, `Publisher.extension.Name@1.2.3`.
fn task_of(task: &str) -> Option<(&str, &str)> {
    let (name, version) = task.trim().rsplit_once('@')?;
    let is_name = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let is_version = version.starts_with(|first: char| first.is_ascii_digit())
        && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (is_name && is_version).then_some((name, version))
}

/// The role in which a node is read.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Role {
    Resource,
    Repository,
    Services,
    /// An image also depends on the job whose variables it names.
    Image(Option<Id>),
    Task,
}

/// Reads the resources, jobs and steps of a pipeline.
pub(in crate::ecosystem) fn walk(tree: &Tree<'_>, found: &mut Collector<'_>) {
    for root in tree.documents() {
        let has_templates = root.get("extends").is_some() || root.get("parameters").is_some();
        let is_complete = root.get("resources").is_some() || !has_templates;
        let mut pipeline = Pipeline {
            seen: Seen::default(),
            resources: HashSet::new(),
            images: Images::default(),
            tasks: HashSet::new(),
            values: Values::of(root),
            is_complete,
            found: &mut *found,
        };
        // All resources first: a job may name one that is defined below it.
        let resources = |kind| root.get("resources").and_then(|all| all.get(kind));
        if let Some(containers) = resources("containers") {
            let mut mappings = Mappings::new(SKIPPED);
            mappings.visit("containers", containers, &mut |_, node| pipeline.resource(node));
        }
        if let Some(repositories) = resources("repositories") {
            let mut mappings = Mappings::new(SKIPPED);
            mappings.visit("repositories", repositories, &mut |_, node| pipeline.repository(node));
        }
        let mut mappings = Mappings::new(SKIPPED);
        mappings.visit("", root, &mut |_, node| {
            if OF_JOB.iter().any(|key| node.get(key).is_some()) {
                pipeline.job(node);
            }
            if let Some(task) = node.get("task") {
                pipeline.task(task);
            }
        });
    }
}

struct Pipeline<'p, 'f, 't, 'a> {
    /// The nodes that have been read; an alias may name one again.
    seen: Seen<Role>,
    /// The names of the container resources.
    resources: HashSet<&'t str>,
    images: Images,
    tasks: HashSet<String>,
    values: Values<'t, 'a>,
    /// Whether no other file defines container resources.
    is_complete: bool,
    found: &'p mut Collector<'f>,
}

impl<'t, 'a> Pipeline<'_, '_, 't, 'a> {
    /// `{container: name, image: a/b:1}`; a resource of the type `ACR` has no image here.
    fn resource(&mut self, resource: Node<'t, 'a>) {
        if !self.seen.is_new(Role::Resource, resource) {
            return;
        }
        if let Some(name) = resource.text("container") {
            self.resources.insert(name);
        }
        if let Some(image) = resource.get("image") {
            self.image(image, None);
        }
    }

    /// `{repository: alias, type: github, name: a/b, ref: refs/tags/v1}`
    fn repository(&mut self, repository: Node<'t, 'a>) {
        let host = match repository.text("type") {
            Some("github") => "github.com",
            Some("bitbucket") => "bitbucket.org",
            _ => return,
        };
        let Some(name) = repository.get("name") else { return };
        if !self.seen.is_new(Role::Repository, repository) {
            return;
        }
        let written = name.as_str().unwrap_or_default();
        let source = match written.split('/').collect::<Vec<_>>()[..] {
            [owner, own] if !owner.is_empty() && !own.is_empty() && !written.contains('$') => {
                GitSource::named(&format!("{host}/{written}"))
            }
            _ => None,
        };
        let Some(source) = source else {
            let message = format!("`{}` does not name a repository", text::excerpt(written));
            return self.found.warn(name.line, message);
        };
        let reference = repository.text("ref").unwrap_or_default();
        let branch = reference.strip_prefix("refs/heads/").unwrap_or(reference);
        let of_branch =
            || (git_reference::commit(branch), Some(branch).filter(|name| !name.is_empty()));
        let tag = reference.strip_prefix("refs/tags/");
        let (version, specifier) = tag.map_or_else(of_branch, git_reference::split);
        let specifier = specifier.filter(|_| version.is_none());
        let (direct, scope) = (Some(true), Some(Scope::Build));
        let declared = Declared { name: "", version, specifier, line: name.line, direct, scope };
        let _ = source.add(declared, self.found);
    }

    fn job(&mut self, job: Node<'t, 'a>) {
        if let Some(container) = job.get("container") {
            self.container(container, job);
        }
        let services =
            job.get("services").filter(|services| self.seen.is_new(Role::Services, *services));
        for service in services.into_iter().flat_map(Node::members) {
            self.container(service.value, job);
        }
    }

    /// The name of a resource, `a/b:1`, or `{image: a/b:1}`.
    fn container(&mut self, container: Node<'t, 'a>, job: Node<'t, 'a>) {
        match container.get("image") {
            Some(image) => self.image(image, Some(job)),
            // `{alias: name}` is the name of a resource.
            None if container.is_mapping() => {}
            None if container.as_str().is_some_and(|name| self.is_resource(name)) => {}
            None => self.image(container, Some(job)),
        }
    }

    fn is_resource(&self, name: &str) -> bool {
        let is_word = !name.contains(['/', ':', '@', '$']);
        self.resources.contains(name) || is_word && !self.is_complete
    }

    fn image(&mut self, image: Node<'t, 'a>, job: Option<Node<'t, 'a>>) {
        let origin = job.and_then(|job| self.values.origin(job));
        if !self.seen.is_new(Role::Image(origin), image) {
            return;
        }
        let Some(written) = image.as_str() else { return };
        for reference in self.values.expand(written, job) {
            // The value of a variable may be the name of a resource.
            let is_name = reference != written && self.resources.contains(reference.as_str());
            if self.found.budget().copy(reference.len()) && !is_name {
                self.images.add_or_warn(&reference, image.line, Scope::Build, self.found);
            }
        }
    }

    fn task(&mut self, task: Node<'_, '_>) {
        if !self.seen.is_new(Role::Task, task) {
            return;
        }
        // A task without a version, or with an expression in it, is not known.
        let Some(written) = task.as_str() else { return };
        let Some((name, version)) = task_of(written) else {
            if !written.contains('$') {
                let message = format!("`{}` does not name a task", text::excerpt(written));
                self.found.warn(task.line, message);
            }
            return;
        };
        if self.tasks.insert(format!("{name}@{version}")) {
            let (line, direct, scope) = (task.line, Some(true), Some(Scope::Build));
            let (version, specifier) = (Some(version), None);
            self.found.add(Declared { name, version, specifier, line, direct, scope });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_wanted() {
        for path in [
            "azure-pipelines.yml",
            "ci/azure-pipelines-release.yaml",
            "x.azure-pipelines.yml",
            ".azure-pipelines/build.yml",
            ".azuredevops/a/steps.yml",
        ] {
            assert!(AzurePipelines.wants(path), "{path}");
        }
        for path in ["azure.yml", "azure-pipelines.md", "pipelines/build.yml"] {
            assert!(!AzurePipelines.wants(path), "{path}");
        }
    }

    #[test]
    fn a_task_has_a_version() {
        assert_eq!(task_of("NodeTool@0"), Some(("NodeTool", "0")));
        assert_eq!(task_of("acme.kite.Fly@1.2.3"), Some(("acme.kite.Fly", "1.2.3")));
        for other in ["NodeTool", "NodeTool@", "@1", "Node Tool@1", "Node@v1", "a@${{ x }}"] {
            assert_eq!(task_of(other), None, "{other}");
        }
    }
}
