//! Detects the infrastructure that a repository uses, by its file names alone.
//!
//! Input: paths. Output: each tool, and whether it is used.

use std::collections::BTreeMap;

/// A tool, and whether a file belongs to it, by path and name in lower case.
type Rule = (&'static str, fn(&str, &str) -> bool);

/// All tools; every result contains all of them. To add one, add its line.
const RULES: [Rule; 12] = [
    ("ansible", |_, name| matches!(name, "ansible.cfg" | "galaxy.yml")),
    ("azure_pipelines", |_, name| matches!(name, "azure-pipelines.yml" | "azure-pipelines.yaml")),
    ("bitbucket_pipelines", |_, name| name == "bitbucket-pipelines.yml"),
    ("circleci", |path, _| is_below(path, ".circleci", "config.yml")),
    ("devfile", |_, name| is_devfile(name)),
    // The name of the Python service, for development environments in containers of any kind.
    ("devpods", |path, name| {
        is_devfile(name)
            || name == ".devcontainer.json"
            || is_below(path, ".devcontainer", "devcontainer.json")
            || matches!(name, "devpod.yaml" | "devpod.yml")
    }),
    ("docker", |_, name| is_dockerfile(name) || is_compose(name)),
    ("github_actions", |path, name| is_below(path, ".github/workflows", name) && is_yaml(name)),
    ("gitlab_ci", |_, name| matches!(name, ".gitlab-ci.yml" | ".gitlab-ci.yaml")),
    ("jenkins", |_, name| {
        name == "jenkinsfile" || name.starts_with("jenkinsfile.") || name.ends_with(".jenkinsfile")
    }),
    ("kubernetes", |_, name| {
        matches!(
            name,
            "chart.yaml"
                | "kustomization.yaml"
                | "kustomization.yml"
                | "helmfile.yaml"
                | "skaffold.yaml"
        )
    }),
    ("terraform", |_, name| {
        [".tf", ".tf.json", ".tfvars"]
            .iter()
            .any(|suffix| name.ends_with(suffix) && name != *suffix)
            || name == ".terraform.lock.hcl"
    }),
];

/// Collects what the file names indicate.
#[derive(Debug, Default)]
pub(super) struct Infrastructure([bool; RULES.len()]);

impl Infrastructure {
    /// Takes in one path.
    pub(super) fn see(&mut self, path: &str) {
        let path = path.to_ascii_lowercase();
        let name = path.rsplit('/').next().unwrap_or(&path);
        for ((_, fits), seen) in RULES.iter().zip(&mut self.0) {
            *seen = *seen || fits(&path, name);
        }
    }

    /// Each tool, and whether it is used.
    pub(super) fn into_usage(self) -> BTreeMap<String, bool> {
        RULES.iter().zip(self.0).map(|((tool, _), seen)| ((*tool).to_owned(), seen)).collect()
    }
}

fn is_devfile(name: &str) -> bool {
    matches!(name, "devfile.yaml" | ".devfile.yaml" | "devfile.yml" | ".devfile.yml")
}

/// Whether the path is `name` in `folder`, at the root or below it.
fn is_below(path: &str, folder: &str, name: &str) -> bool {
    path.strip_suffix(name)
        .and_then(|rest| rest.strip_suffix('/'))
        .and_then(|rest| rest.strip_suffix(folder))
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

fn is_yaml(name: &str) -> bool {
    std::path::Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "yml" || extension == "yaml")
}

fn is_dockerfile(name: &str) -> bool {
    matches!(name, "dockerfile" | "containerfile")
        || ["dockerfile.", "dockerfile-", "dockerfile_", "containerfile."]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        || [".dockerfile", ".containerfile"].iter().any(|suffix| name.ends_with(suffix))
}

fn is_compose(name: &str) -> bool {
    is_yaml(name)
        && ["compose.", "docker-compose.", "docker-compose-"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        let mut seen = Infrastructure::default();
        seen.see(path);
        let used: Vec<String> =
            seen.into_usage().into_iter().filter(|(_, used)| *used).map(|(tool, _)| tool).collect();
        assert_eq!(used.join(" "), expected, "{path}");
    }

    #[test]
    fn file_names_indicate_tools() {
        check("a/Dockerfile", "docker");
        check("Dockerfile.prod", "docker");
        check("build/api.dockerfile", "docker");
        check("docker-compose.override.yml", "docker");
        check("compose.yaml", "docker");
        check("deploy/Chart.yaml", "kubernetes");
        check("k/kustomization.yml", "kubernetes");
        check("infra/main.tf", "terraform");
        check(".gitlab-ci.yml", "gitlab_ci");
        check(".github/workflows/test.yaml", "github_actions");
        check("sub/.github/workflows/test.yml", "github_actions");
        check("Jenkinsfile", "jenkins");
        check(".devfile.yaml", "devfile devpods");
        check("a/.devcontainer/devcontainer.json", "devpods");
        check(".circleci/config.yml", "circleci");
    }

    #[test]
    fn other_file_names_indicate_nothing() {
        for path in [
            "dockerfiles/readme.md",
            "src/composer.json",
            "compose.rs",
            ".github/workflows/readme.md",
            "x.github/workflows/a.yml",
            "workflows/a.yml",
            ".tf",
            "config.yml",
        ] {
            check(path, "");
        }
    }
}
