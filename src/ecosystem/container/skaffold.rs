//! `skaffold.yaml` of any version, by "skaffold.yaml" of Skaffold's reference.
//!
//! Input: a document whose `apiVersion` is that of Skaffold, with its profiles. Output: the images that build
//! (of Buildpacks, Jib, ko, Kaniko and Cloud Build), the images of `verify` and of custom actions, the
//! charts that Helm fetches, and the repositories from which `requires` takes configurations.
//!
//! Decisions: a chart is named by the last segment of `remoteChart`. Invariants: an artifact is built here, so it
//! is not a package, even where a test runs it; each node is read once, however often it is named.

use super::helm;
use crate::ecosystem::{
    collect::{Collector, Declared},
    git_reference,
    git_source::GitSource,
    image::Images,
    yaml::{Node, Seen},
};
use crate::model::scan_result::Scope;

/// The members of an artifact or a builder that name an image, behind the member that contains them.
const BUILDERS: [(&str, &str); 12] = [
    ("buildpacks", "builder"),
    ("buildpacks", "runImage"),
    ("jib", "fromImage"),
    ("ko", "fromImage"),
    ("kaniko", "image"),
    ("kaniko", "initImage"),
    ("googleCloudBuild", "dockerImage"),
    ("googleCloudBuild", "kanikoImage"),
    ("googleCloudBuild", "mavenImage"),
    ("googleCloudBuild", "gradleImage"),
    ("googleCloudBuild", "packImage"),
    ("googleCloudBuild", "koImage"),
];

/// The role in which a node is read.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Role {
    Part,
    Artifacts,
    Artifact,
    Name,
    Image,
    Tests,
    Test,
    Releases,
    Release,
    Requires,
    Required,
}

/// Whether a document is a configuration of Skaffold.
pub(super) fn is_skaffold(root: Node<'_, '_>) -> bool {
    root.text("apiVersion").is_some_and(|version| version.starts_with("skaffold/"))
}

/// Reads a configuration and its profiles.
pub(super) fn read(root: Node<'_, '_>, images: &mut Images, found: &mut Collector<'_>) {
    let mut skaffold = Skaffold { seen: Seen::default(), images, found };
    let profiles = root.get("profiles");
    // A profile may test an artifact of the configuration, so all artifacts come first.
    let parts = || std::iter::once(root).chain(profiles.into_iter().flat_map(Node::elements));
    for part in parts() {
        skaffold.artifacts(part);
    }
    for part in parts() {
        skaffold.part(part);
    }
    if let Some(requires) = root.get("requires") {
        skaffold.requires(requires);
    }
}

struct Skaffold<'s, 'f> {
    seen: Seen<Role>,
    images: &'s mut Images,
    found: &'s mut Collector<'f>,
}

impl Skaffold<'_, '_> {
    /// Excludes the names of the artifacts, and reads what builds them.
    fn artifacts(&mut self, part: Node<'_, '_>) {
        let Some(build) = part.get("build") else { return };
        self.builders(build);
        let Some(artifacts) = build.get("artifacts") else { return };
        if !self.seen.is_new(Role::Artifacts, artifacts) {
            return;
        }
        for artifact in artifacts.elements() {
            if !self.seen.is_new(Role::Artifact, artifact) {
                continue;
            }
            let name = artifact.get("image").or_else(|| artifact.get("imageName"));
            if let Some(name) = name.filter(|name| self.seen.is_new(Role::Name, *name))
                && let Some(reference) = name.as_str()
            {
                self.images.exclude(reference);
            }
            self.builders(artifact);
        }
    }

    fn builders(&mut self, node: Node<'_, '_>) {
        for (builder, key) in BUILDERS {
            if let Some(image) = node.get(builder).and_then(|builder| builder.get(key)) {
                self.image(image, Scope::Build);
            }
        }
    }

    fn part(&mut self, part: Node<'_, '_>) {
        if !self.seen.is_new(Role::Part, part) {
            return;
        }
        // `verify: [{container: {image: a/b:1}}]`, `customActions: [{containers: [{image: a/b:1}]}]`
        for key in ["verify", "customActions"] {
            let Some(tests) = part.get(key) else { continue };
            if self.seen.is_new(Role::Tests, tests) {
                tests.elements().for_each(|test| self.test(test));
            }
        }
        for key in ["deploy", "manifests"] {
            let helm = part.get(key).and_then(|node| node.get("helm"));
            let releases = helm.and_then(|helm| helm.get("releases"));
            if let Some(releases) = releases.filter(|all| self.seen.is_new(Role::Releases, *all)) {
                releases.elements().for_each(|release| self.release(release));
            }
        }
    }

    fn test(&mut self, test: Node<'_, '_>) {
        if !self.seen.is_new(Role::Test, test) {
            return;
        }
        let containers = test.get("containers").filter(|all| self.seen.is_new(Role::Tests, *all));
        let containers = containers.into_iter().flat_map(Node::elements);
        for container in test.get("container").into_iter().chain(containers) {
            if let Some(image) = container.get("image") {
                self.image(image, Scope::Test);
            }
        }
    }

    fn image(&mut self, image: Node<'_, '_>, scope: Scope) {
        if self.seen.is_new(Role::Image, image)
            && let Some(reference) = image.as_str()
        {
            self.images.add_or_warn(reference, image.line, scope, self.found);
        }
    }

    /// `[{git: {repo: https://h.example/a.git, ref: v1, path: folder}}]`
    fn requires(&mut self, requires: Node<'_, '_>) {
        if !self.seen.is_new(Role::Requires, requires) {
            return;
        }
        for required in requires.elements() {
            let Some(git) = required.get("git") else { continue };
            let Some(address) = git.get("repo") else { continue };
            if !self.seen.is_new(Role::Required, git) {
                continue;
            }
            let Some(source) = address.as_str().and_then(GitSource::of) else { continue };
            // A reference is a tag, a branch or a commit.
            let reference = git.text("ref").filter(|reference| !reference.is_empty());
            let (version, specifier) = reference.map_or((None, None), git_reference::split);
            let (direct, scope) = (Some(true), Some(Scope::Build));
            let line = address.line;
            let declared = Declared { name: "", version, specifier, line, direct, scope };
            let _ = source.add(declared, self.found);
        }
    }

    /// `{remoteChart: name, version: 1.0.0, repo: https://h.example}`
    fn release(&mut self, release: Node<'_, '_>) {
        if !self.seen.is_new(Role::Release, release) {
            return;
        }
        let Some(chart) = release.get("remoteChart") else { return };
        let name = chart.as_str().and_then(|chart| chart.rsplit('/').next());
        if let Some(name) = name.filter(|name| !name.is_empty() && !name.contains("{{")) {
            helm::add(name, release.text("version"), chart.line, self.found);
        }
    }
}
