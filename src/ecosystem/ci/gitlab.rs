//! `.gitlab-ci.yml`, by the "CI/CD YAML syntax reference" of GitLab's manual.
//!
//! Input: a pipeline, or a file that pipelines include. Output: the images and services of its jobs, of
//! `default` and of the top level; its includes from other projects, components, the web and GitLab's
//! templates; and the external steps of jobs.
//!
//! Decisions. The purl specification has no type for GitLab, so components, projects and templates are
//! `generic`, with the path of the project as namespace. The version of an include is its `ref` if that is
//! a tag or a commit; a branch, `~latest` and a partial version (`1.2`, which selects the newest release)
//! are specifiers. An image of the dependency proxy is recorded as the image behind the proxy. A variable
//! has the value that the file defines; a name with an unknown variable in it is not recorded;
//! `$CI_REGISTRY_IMAGE` is the project's own image.
//!
//! Invariants: `local` files are not packages; an anchored node is read once, where it is defined; a
//! malformed entry loses only itself.

use super::variables::{Origin, Shared, Variables};
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
use std::{borrow::Cow, collections::HashSet};

/// Top-level keys that are not jobs and name no package.
const NO_JOBS: [&str; 8] =
    ["stages", "variables", "workflow", "cache", "spec", "before_script", "after_script", "types"];

/// Variables that prefix an image of GitLab's dependency proxy.
const PROXIES: [&str; 2] =
    ["CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX", "CI_DEPENDENCY_PROXY_DIRECT_GROUP_IMAGE_PREFIX"];

/// Variables for the host of the GitLab instance.
const HOSTS: [&str; 3] = ["CI_SERVER_FQDN", "CI_SERVER_HOST", "CI_TEMPLATE_REGISTRY_HOST"];

/// Depth of lists: `!reference`s give `image` lists, and `services` lists of lists.
const MAX_LISTS: u32 = 10;

/// Reads `.gitlab-ci.yml` and the files that it includes.
#[derive(Debug)]
pub(in crate::ecosystem) struct GitLabPipeline;

impl Parser for GitLabPipeline {
    fn name(&self) -> &'static str {
        "gitlab-ci"
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path);
        let Some(stem) = file.strip_suffix(".yml").or_else(|| file.strip_suffix(".yaml")) else {
            return false;
        };
        let folders = path.rsplit_once('/').map_or("", |parts| parts.0);
        let is_within = |folder: &str| {
            folders == folder
                || folders.starts_with(&format!("{folder}/"))
                || folders.contains(&format!("/{folder}/"))
                || folders.ends_with(&format!("/{folder}"))
        };
        stem.ends_with(".gitlab-ci")
            // Debian packages have a pipeline under this name.
            || matches!(stem, "gitlab-ci" | "salsa-ci")
            || stem.starts_with(".gitlab-ci")
            || [".gitlab/ci", ".gitlab-ci", ".gitlab/pipelines", "gitlab-ci"]
                .iter()
                .any(|folder| is_within(folder))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Generic, Source::Manifest);
        yaml::read(file.bytes, found, walk)
    }
}

/// Whether a document is part of a pipeline, whatever its file name: a component or an included file.
pub(in crate::ecosystem) fn is_pipeline(root: Node<'_, '_>) -> bool {
    const BESIDE: [&str; 8] =
        ["image", "stage", "extends", "rules", "only", "needs", "services", "artifacts"];
    root.members().filter(|member| !NO_JOBS.contains(&member.key)).any(|job| {
        let script = job.value.get("script");
        script.is_some_and(|script| script.is_sequence() || script.is_scalar())
            && BESIDE.iter().any(|key| job.value.get(key).is_some())
    })
}

/// Reads the jobs and includes of a pipeline.
pub(in crate::ecosystem) fn walk(tree: &Tree<'_>, found: &mut Collector<'_>) {
    let header = tree.root().and_then(|root| root.get("spec"));
    let mut pipeline = Pipeline {
        seen: Seen::default(),
        shared: Shared::default(),
        images: Images::default(),
        included: HashSet::new(),
        inputs: header.and_then(|spec| spec.get("inputs")),
        found,
    };
    for root in tree.documents() {
        pipeline.job(root, root);
        for member in root.members() {
            match member.key {
                "include" => pipeline.includes(member.value),
                // Read with the top level above.
                "image" | "services" => {}
                key if NO_JOBS.contains(&key) => {}
                _ => pipeline.job(root, member.value),
            }
        }
    }
}

/// The role in which a node is read. An image also depends on the origin of its variables.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Role {
    Job,
    Merged,
    Images,
    Image(Origin),
    Includes,
    Include,
    Steps,
    Step,
}

struct Pipeline<'p, 'f, 't, 'a> {
    /// The nodes that have been read; an alias may name one again.
    seen: Seen<Role>,
    shared: Shared<'t, 'a>,
    images: Images,
    included: HashSet<String>,
    inputs: Option<Node<'t, 'a>>,
    found: &'p mut Collector<'f>,
}

impl<'t, 'a> Pipeline<'_, '_, 't, 'a> {
    /// Reads a job, `default`, or the top level, which has the same keys.
    fn job(&mut self, root: Node<'t, 'a>, job: Node<'t, 'a>) {
        if !job.is_mapping() || !self.seen.is_new(Role::Job, job) {
            return;
        }
        let variables = self.shared.of(root, job, self.inputs);
        let mut has_image = false;
        for member in job.members() {
            match member.key {
                "image" | "services" => {
                    has_image |= member.key == "image";
                    self.image(member.value, &variables, 0);
                }
                "trigger" => {
                    if let Some(include) = member.value.get("include") {
                        self.includes(include);
                    }
                }
                "run" if self.seen.is_new(Role::Steps, member.value) => {
                    member.value.elements().for_each(|step| self.step(step));
                }
                // The merged mapping may be an alias or be written here.
                "<<" => {
                    self.job(root, member.value);
                    if self.seen.is_new(Role::Merged, member.value) {
                        member.value.elements().for_each(|image| self.job(root, image));
                    }
                }
                _ => {}
            }
        }
        // The job may define the variables of an inherited image.
        if !has_image
            && variables.is_own()
            && let Some(image) = job.get("image").or_else(|| variables.inherited_image())
        {
            self.image(image, &variables, 0);
        }
    }

    /// `a/b:1`, `{name: a/b:1}`, or a list of those.
    fn image(&mut self, image: Node<'_, '_>, variables: &Variables<'_, '_>, depth: u32) {
        // A `!reference` is read where its target is defined.
        if image.tag() == Some("!reference") || depth > MAX_LISTS {
            return;
        }
        if image.is_sequence() {
            if self.seen.is_new(Role::Images, image) {
                image.elements().for_each(|element| self.image(element, variables, depth + 1));
            }
        } else if image.is_mapping() {
            match image.get("name") {
                Some(name) => self.image(name, variables, depth + 1),
                None if image.get("<<").is_some() => {}
                None => self.found.warn(image.line, "an image without a name"),
            }
        } else if self.seen.is_new(Role::Image(variables.origin()), image)
            && let Some(written) = image.as_str()
        {
            for reference in variables.expand(written) {
                if self.found.budget().copy(reference.len()) {
                    self.reference(&reference, image.line);
                }
            }
        }
    }

    fn reference(&mut self, written: &str, line: u32) {
        let reference = without_proxy(written);
        if !self.images.add(&reference, line, Scope::Build, self.found) && !reference.contains('$')
        {
            let message = format!("`{}` is not an image name", text::excerpt(written));
            self.found.warn(line, message);
        }
    }

    fn includes(&mut self, includes: Node<'_, '_>) {
        if includes.is_sequence() {
            if self.seen.is_new(Role::Includes, includes) {
                includes.elements().for_each(|include| self.include(include));
            }
        } else {
            self.include(includes);
        }
    }

    fn include(&mut self, include: Node<'_, '_>) {
        if !self.seen.is_new(Role::Include, include) {
            return;
        }
        if let Some(text) = include.as_str() {
            if is_address(text) {
                self.add_address(text, include.line);
            }
            return;
        }
        // GitLab rejects an include with more than one of these keys.
        for member in include.members() {
            let text = member.value.as_str();
            match (member.key, text) {
                ("project", Some(project)) => {
                    let wanted = include.text("ref").map(git_reference::split).unwrap_or_default();
                    self.add(project, wanted, member.line);
                }
                ("component", Some(component)) => self.component(component, member.line),
                ("remote", Some(address)) => self.add_address(address, member.line),
                ("template", Some(template)) => self.add(template, (None, None), member.line),
                ("project" | "component" | "remote" | "template", None) => {
                    let kind = member.value.kind();
                    let message = format!("{}: expected a scalar, got {kind}", member.key);
                    self.found.warn(member.line, message);
                }
                _ => {}
            }
        }
    }

    /// `host/group/project/name@1.0.0`
    fn component(&mut self, component: &str, line: u32) {
        let (path, wanted) = component.rsplit_once('@').unwrap_or((component, ""));
        // A partial version selects the newest release, so it is a specifier.
        let (version, specifier) = git_reference::split(wanted);
        let is_whole = |version: &&str| {
            version.matches('.').count() >= 2 || !version.contains('.') && version.len() >= 7
        };
        let version = version.filter(is_whole);
        let specifier =
            specifier.or(Some(wanted).filter(|wanted| version.is_none() && !wanted.is_empty()));
        self.add(without_host(path), (version, specifier), line);
    }

    /// Reads a step of a job that is defined in another repository.
    fn step(&mut self, step: Node<'_, '_>) {
        let Some(wanted) = step.get("step").filter(|step| self.seen.is_new(Role::Step, *step))
        else {
            return;
        };
        if let Some(path) = wanted.as_str().filter(|path| !path.starts_with(['.', '/'])) {
            self.component(path, wanted.line);
        } else if let Some(git) = wanted.get("git")
            && let Some(address) = git.text("url")
        {
            let wanted = git.text("rev").map(git_reference::split).unwrap_or_default();
            self.add(without_scheme(address), wanted, git.line);
        }
    }

    fn add_address(&mut self, address: &str, line: u32) {
        let path = address.split(['?', '#']).next().unwrap_or(address);
        self.add(without_scheme(path), (None, None), line);
    }

    fn add(&mut self, name: &str, (version, specifier): (Option<&str>, Option<&str>), line: u32) {
        if name.contains('$') {
            return;
        }
        let name = name.trim_matches('/');
        let wanted = version.or(specifier).unwrap_or_default();
        if self.included.insert(format!("{name}@{wanted}")) {
            let (direct, scope) = (Some(true), Some(Scope::Build));
            self.found.add(Declared { name, version, specifier, line, direct, scope });
        }
    }
}

fn is_address(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// The address without scheme and credentials.
fn without_scheme(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or(rest);
    host.rfind('@').map_or(rest, |at| rest.get(at + 1..).unwrap_or(rest))
}

/// The variable at the beginning of a text, and the text after it.
fn leading_variable(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix('$')?;
    if let Some(inner) = rest.strip_prefix('{') {
        return inner.split_once('}');
    }
    let end =
        rest.find(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))?;
    rest.split_at_checked(end)
}

fn without_proxy(reference: &str) -> Cow<'_, str> {
    match leading_variable(reference.trim()) {
        Some((name, rest)) if PROXIES.contains(&name) => {
            Cow::Borrowed(rest.trim_start_matches('/'))
        }
        Some(("CI_TEMPLATE_REGISTRY_HOST", rest)) => {
            Cow::Owned(format!("registry.gitlab.com{rest}"))
        }
        _ => Cow::Borrowed(reference),
    }
}

fn without_host(path: &str) -> &str {
    match leading_variable(path) {
        Some((name, rest)) if HOSTS.contains(&name) => rest,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipeline_files_are_wanted() {
        for path in [
            ".gitlab-ci.yml",
            "a/.gitlab-ci.yaml",
            "ci/build.gitlab-ci.yml",
            ".gitlab/ci/a.yml",
            "x/.gitlab/ci/b/a.yml",
        ] {
            assert!(GitLabPipeline.wants(path), "{path}");
        }
        for path in ["ci/build.yml", ".gitlab/issue.yml", ".gitlab-ci.yml.md"] {
            assert!(!GitLabPipeline.wants(path), "{path}");
        }
    }

    /// Fails if a list that many jobs name is read once for each of them.
    #[test]
    fn aliases_do_not_multiply() {
        let services: Vec<_> = (0..1000).map(|number| format!("  - a{number}\n")).collect();
        let jobs: Vec<_> =
            (0..1000).map(|number| format!("j{number}: {{services: *s}}\n")).collect();
        let text =
            format!(".s: &s\n{}\n.t: {{services: *s}}\n{}", services.concat(), jobs.concat());
        let file = SourceFile::alone(".gitlab-ci.yml", text.as_bytes());
        assert_eq!(GitLabPipeline.parse(file).packages.len(), 1000);
    }
}
