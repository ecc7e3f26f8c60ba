//! Files that are known by their content, whatever their names: Kubernetes manifests, compose files, parts of the
//! pipelines of GitLab and Azure, and conda environments.
//!
//! Input: any YAML or JSON file that no other parser wants; JSON is read as YAML. Output: what the reader of the format
//! finds in it.
//!
//! Decisions: a file of no known format is ignored without a warning; syntax errors are not reported for files
//! with template lines, such as those of Helm charts.
//!
//! Invariants: a file without the words of a format is not parsed.

use super::{
    Findings, Parser, SourceFile, ci,
    collect::Collector,
    conda, container,
    image::Images,
    path::{file_name, yaml_stem},
    text,
    yaml::{self, Node, Tree},
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// Words of which a compose file, a pipeline or an environment has at least one. Most files are something else, and are not
/// worth parsing.
const HINTS: [&str; 6] = [" script:", "services:", "task:", "job:", "container:", "\nchannels:"];

/// Reads Kubernetes manifests, and the other formats that are known by their content.
#[derive(Debug)]
pub(super) struct KubernetesManifest;

impl Parser for KubernetesManifest {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn wants(&self, path: &str) -> bool {
        yaml_stem(path).is_some() || is_json(path)
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Generic, Source::Manifest);
        let text = text::decode(file.bytes);
        let is_kustomization = yaml_stem(file.path).as_deref() == Some("kustomization");
        let may_be_manifest = text.contains("apiVersion") && text.contains("kind");
        let is_yaml = !is_json(file.path);
        let may_be_other = is_yaml
            && (HINTS.iter().any(|hint| text.contains(hint)) || text.starts_with("channels:"));
        if !(is_kustomization || may_be_manifest || may_be_other) {
            return found.finish();
        }
        let tree = yaml::parse(&text, found.budget());
        let manifests: Vec<_> = tree
            .documents()
            .filter(|manifest| is_kustomization || container::is_manifest(*manifest))
            .collect();
        let other = if manifests.is_empty() && is_yaml { Other::of(&tree) } else { None };
        if manifests.is_empty() && other.is_none() {
            return found.finish();
        }
        if !tree.has_templates() {
            tree.warn(&mut found);
        }
        match other {
            Some(Other::Compose) => {
                let part = container::walk_compose(&tree, file.path, &mut found);
                return Findings { fact: Some(part.boxed()), ..found.finish() };
            }
            Some(Other::GitLab) => ci::walk_pipeline(&tree, &mut found),
            Some(Other::Azure) => ci::walk_azure(&tree, &mut found),
            Some(Other::Conda) => return conda::read_environment(&text, file),
            None => {
                let mut images = Images::default();
                container::read_manifests(manifests.into_iter(), &mut images, &mut found);
            }
        }
        found.finish()
    }
}

/// Whether a file is JSON, and not of an installed package.
fn is_json(path: &str) -> bool {
    file_name(path).rsplit_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case("json"))
        && !path.contains("node_modules/")
}

/// Files that are known by their content as well.
#[derive(Debug, Clone, Copy)]
enum Other {
    Compose,
    GitLab,
    Azure,
    Conda,
}

impl Other {
    fn of(tree: &Tree<'_>) -> Option<Self> {
        let is = |known: fn(Node<'_, '_>) -> bool| tree.documents().any(known);
        if is(container::is_compose) {
            Some(Self::Compose)
        } else if is(ci::is_pipeline) {
            Some(Self::GitLab)
        } else if is(ci::is_azure_pipeline) {
            Some(Self::Azure)
        } else {
            is(conda::is_environment).then_some(Self::Conda)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_yaml_and_json_is_wanted() {
        for path in ["k8s/web.yaml", "a/x.yml", "charts/a/templates/b.yaml", "k8s/a.json"] {
            assert!(KubernetesManifest.wants(path), "{path}");
        }
        for path in ["k8s/a.jsonl", "kustomization", "a.yaml.md"] {
            assert!(!KubernetesManifest.wants(path), "{path}");
        }
    }

    /// Fails if a file that is not a manifest gives any finding, even a warning.
    #[test]
    fn other_files_give_nothing() {
        for text in [
            "openapi: 3.0.0\nkind: [\napiVersion\n",
            "- name: a task of Ansible\n  script: x\n  image: a:1\n",
            "script: make\njobs:\n  include:\n    - script: x\n      stage: y\n",
            "containers:\n- image: a:1\n",
            "services:\n  App\\Kite: {class: Kite, image: a:1}\nparameters: {}\n",
            "services:\n  App\\Kite: {arguments: [a]}\n",
            "jobs:\n- name: a plan of Concourse\n  plan: [{task: a, container: b:1}]\n",
            "x: 1\nchannels: [a]\ndependencies: {a: 1}\n",
            "x: 1\nchannels: {a: 1}\ndependencies: [a]\n",
            "steps:\n- {task: name without a version, container: a:1}\n",
        ] {
            let file = SourceFile::alone("a.yaml", text.as_bytes());
            let found = KubernetesManifest.parse(file);
            assert!(found.packages.is_empty() && found.warnings.is_empty(), "{text}: {found:?}");
            assert!(!found.unreadable, "{text}");
        }
    }
}
