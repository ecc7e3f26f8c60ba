//! `cloudbuild.yaml` and `cloudbuild.json`, by "Build configuration file schema" of Google Cloud Build.
//!
//! Input: a build, in YAML or JSON, which is read as YAML. Output: the builders, which are the images that the
//! `name`s of its steps name.
//!
//! Decisions: a substitution has the value that the file defines. `images` and `artifacts` are the results of
//! the build. Invariants: each node is read once, however often an alias names it.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::Collector,
    image::{Images, expand},
    path::file_name,
    yaml::{self, Node, Seen, Tree},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `cloudbuild.yaml` and `cloudbuild.json`.
#[derive(Debug)]
pub(in crate::ecosystem) struct CloudBuild;

impl Parser for CloudBuild {
    fn name(&self) -> &'static str {
        "cloud-build"
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path).to_ascii_lowercase();
        let mut ends = [".yaml", ".yml", ".json"].into_iter();
        let stem = ends.find_map(|end| file.strip_suffix(end));
        stem.is_some_and(|stem| {
            ["cloudbuild", "cloud-build"].iter().any(|name| {
                stem.strip_prefix(name)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_']))
                    || stem.strip_suffix(name).is_some_and(|rest| rest.ends_with(['.', '-', '_']))
            })
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
    Steps,
    Step,
    Name,
    Results,
    Result,
}

fn walk(tree: &Tree<'_>, found: &mut Collector<'_>) {
    let (mut seen, mut images) = (Seen::default(), Images::default());
    for root in tree.documents() {
        let substitutions = root.get("substitutions");
        let expanded = |text: &str| {
            expand(text, |name| substitutions.and_then(|substitutions| substitutions.text(name)))
        };
        // A later step may run an image that an earlier one builds.
        let results = root.get("images").filter(|images| seen.is_new(Role::Results, *images));
        for result in results.into_iter().flat_map(Node::elements) {
            if seen.is_new(Role::Result, result)
                && let Some(reference) = result.as_str()
            {
                images.exclude(&expanded(reference));
            }
        }
        let steps = root.get("steps").filter(|steps| seen.is_new(Role::Steps, *steps));
        for step in steps.into_iter().flat_map(Node::elements) {
            if !seen.is_new(Role::Step, step) {
                continue;
            }
            let Some(name) = step.get("name") else {
                found.warn(step.line, "a step without a name");
                continue;
            };
            if seen.is_new(Role::Name, name)
                && let Some(written) = name.as_str()
            {
                let reference = expanded(written);
                if found.budget().copy(reference.len()) {
                    images.add_or_warn(&reference, name.line, Scope::Build, found);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_wanted() {
        for path in ["cloudbuild.yaml", "a/cloudbuild-dev.yml", "release.cloudbuild.json"] {
            assert!(CloudBuild.wants(path), "{path}");
        }
        for path in ["cloudbuilder.yaml", "cloudbuild.yaml.md", "build.yaml"] {
            assert!(!CloudBuild.wants(path), "{path}");
        }
    }
}
