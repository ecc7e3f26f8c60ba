//! Package URLs: the purl specification's rules for each type.
//!
//! Input: a name and a version as a file declares them. Output: the canonical purl (ECMA-427).
//! Invariants: two spellings of one package give equal purls.

mod canonical;
mod types;

pub(crate) use canonical::{Parts, write};
pub(super) use types::terraform_repository;

use crate::model::{ecosystem::Ecosystem, scan_result::Package};
use canonical::encode_path;

impl Ecosystem {
    /// The package's purl; none where the name is not valid.
    pub(crate) fn purl(self, name: &str, version: Option<&str>) -> Option<String> {
        // Qualifiers and subpath.
        let mut behind = String::new();
        let (namespace, name) = match self {
            // npm-definition: the scope is the namespace, including its `@`.
            // The specification has no jsr, whose names are scoped names of npm.
            Self::Npm | Self::Jsr => match name.split_once('/') {
                Some((scope, name)) if scope.starts_with('@') => {
                    (Some(scope.to_owned()), name.to_owned())
                }
                _ => (None, name.to_owned()),
            },
            // golang-definition: the last segment is the name, and everything is lower case.
            Self::Golang if !is_module_path(name) => return None,
            Self::Golang => match name.to_lowercase().rsplit_once('/') {
                Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
                None => (None, name.to_lowercase()),
            },
            // maven-definition: the group is the namespace, the artifact the name.
            Self::Maven => {
                let (group, artifact) = name.split_once(':')?;
                if !(is_maven_id(group) && is_maven_id(artifact)) {
                    return None;
                }
                (Some(group.to_owned()), artifact.to_owned())
            }
            // composer-definition: the vendor is the namespace, and everything is lower case.
            Self::Composer => {
                let lower = name.to_lowercase();
                let (vendor, name) =
                    lower.split_once('/').filter(|parts| !parts.1.contains('/'))?;
                if vendor.is_empty() {
                    return None;
                }
                (Some(vendor.to_owned()), name.to_owned())
            }
            // nuget-definition and gem-definition: no namespace, and the name unchanged.
            Self::NuGet | Self::Gem if !is_plain(name) => return None,
            Self::Docker => {
                let (registry, path) = registry_and_path(name);
                if let Some(registry) = registry {
                    behind = format!("?repository_url={registry}");
                }
                split_last(path)
            }
            // github-definition and bitbucket-definition: owner and repository, in lower case; the path in it
            // is a subpath.
            Self::GitHub | Self::Bitbucket => {
                let (owner, rest) = name.split_once('/')?;
                let (repository, path) = rest.split_once('/').unwrap_or((rest, ""));
                if !path.is_empty() {
                    behind = format!("#{}", encode_path(path));
                }
                (Some(owner.to_lowercase()), repository.to_lowercase())
            }
            Self::Generic => split_last(name),
            Self::PyPi => (None, python_name(name)),
            Self::Conda => (None, name.to_lowercase()),
            Self::Cargo | Self::NuGet | Self::Gem | Self::Helm => (None, name.to_owned()),
            _ => return types::purl(self, name, version),
        };
        let namespace = namespace.as_deref();
        let parts = Parts { namespace, name: &name, version, ..Parts::default() };
        Some(write(self.as_str(), parts)? + &behind)
    }
}

/// docker-definition: an image without a registry is on Docker Hub, and one without an owner belongs
/// to `library`; any other registry is the qualifier `repository_url`.
fn registry_and_path(name: &str) -> (Option<&str>, &str) {
    const HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => {
            (Some(first).filter(|registry| !HUB.contains(registry)), path)
        }
        _ => (None, name),
    };
    let official = path.strip_prefix("library/").filter(|_| registry.is_none());
    (registry, official.unwrap_or(path))
}

/// The last segment is the name, everything before it the namespace.
fn split_last(path: &str) -> (Option<String>, String) {
    match path.rsplit_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
        None => (None, path.to_owned()),
    }
}

/// Whether a path has only the characters of a Go module path (`golang.org/x/mod/module`, `CheckPath`).
fn is_module_path(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte))
}

/// Whether a name has only the characters of a `NuGet` id or the name of a gem.
fn is_plain(name: &str) -> bool {
    name.chars()
        .all(|character| character.is_alphanumeric() || matches!(character, '-' | '_' | '.'))
}

/// Maven's rule for groups and artifacts (`DefaultModelValidator`): letters, digits, `-_.`.
fn is_maven_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// PEP 503, "Normalized Names", which pypi-definition requires: lower case, and each run of `-`, `_`
/// and `.` becomes one `-`.
pub(crate) fn python_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for part in name.split(['-', '_', '.']).filter(|part| !part.is_empty()) {
        if !out.is_empty() {
            out.push('-');
        }
        out.push_str(&part.to_lowercase());
    }
    out
}

/// A package's purl without its version, which is equal for all spellings of a name. Every other `@`, `?`
/// and `#` in a purl is percent-encoded.
pub(crate) fn canonical_name(package: &Package) -> String {
    let purl = package.purl.as_str();
    let name = purl.split(['@', '?', '#']).next().unwrap_or(purl);
    // A purl keeps the case of a NuGet name, but NuGet ignores it.
    if package.ecosystem == Ecosystem::NuGet {
        return name.to_ascii_lowercase();
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ecosystem: Ecosystem, name: &str, version: Option<&str>, expected: Option<&str>) {
        assert_eq!(ecosystem.purl(name, version).as_deref(), expected);
    }

    #[test]
    fn each_type_has_its_rules() {
        check(Ecosystem::Npm, "@types/node", Some("1.0.0"), Some("pkg:npm/%40types/node@1.0.0"));
        check(Ecosystem::Npm, "left-pad", None, Some("pkg:npm/left-pad"));
        check(
            Ecosystem::PyPi,
            "Zope._.Interface",
            Some("5.0"),
            Some("pkg:pypi/zope-interface@5.0"),
        );
        check(Ecosystem::PyPi, "a", Some("1.0+cpu"), Some("pkg:pypi/a@1.0%2Bcpu"));
        check(Ecosystem::PyPi, "a", Some("1!2.0"), Some("pkg:pypi/a@1%212.0"));
        check(Ecosystem::Npm, "a", Some("x/y:z"), Some("pkg:npm/a@x%2Fy:z"));
        check(Ecosystem::Cargo, "Inflector", Some("0.1.0"), Some("pkg:cargo/Inflector@0.1.0"));
        check(
            Ecosystem::Golang,
            "github.com/BurntSushi/toml/v2",
            Some("v2.0.0+incompatible"),
            Some("pkg:golang/github.com/burntsushi/toml/v2@v2.0.0%2Bincompatible"),
        );
        check(Ecosystem::Golang, "<<<<<<<", None, None);
        check(Ecosystem::Golang, "Plain", None, Some("pkg:golang/plain"));
        check(
            Ecosystem::Maven,
            "org.Example:Lib_2.13",
            Some("1.0"),
            Some("pkg:maven/org.Example/Lib_2.13@1.0"),
        );
        check(Ecosystem::Maven, "${group}:lib", None, None);
        check(Ecosystem::Maven, "lib", None, None);
        check(Ecosystem::Conda, "Numpy", Some("1.26.0"), Some("pkg:conda/numpy@1.26.0"));
        let json = Some("pkg:nuget/Newtonsoft.Json@13.0.1");
        check(Ecosystem::NuGet, "Newtonsoft.Json", Some("13.0.1"), json);
        check(Ecosystem::NuGet, "$(Name)", None, None);
        let monolog = Some("pkg:composer/monolog/monolog@3.5.0");
        check(Ecosystem::Composer, "Monolog/Monolog", Some("3.5.0"), monolog);
        check(Ecosystem::Composer, "monolog", None, None);
        let gem = Some("pkg:gem/ruby-advisory-db-check@0.12.4");
        check(Ecosystem::Gem, "ruby-advisory-db-check", Some("0.12.4"), gem);
        check(Ecosystem::Jsr, "@std/path", Some("1.0.0"), Some("pkg:jsr/%40std/path@1.0.0"));
        check(Ecosystem::Helm, "redis", Some("1.0.0"), Some("pkg:helm/redis@1.0.0"));
        check(Ecosystem::Cargo, "", None, None);
        check(Ecosystem::PyPi, "-._", None, None);
    }

    #[test]
    fn images_actions_and_includes() {
        for hub in ["nginx", "library/nginx", "docker.io/library/nginx"] {
            check(Ecosystem::Docker, hub, Some("1.25"), Some("pkg:docker/nginx@1.25"));
        }
        check(
            Ecosystem::Docker,
            "customer/image",
            Some("sha256:244fd47e07d10"),
            Some("pkg:docker/customer/image@sha256:244fd47e07d10"),
        );
        check(
            Ecosystem::Docker,
            "localhost:5000/library/a/b",
            None,
            Some("pkg:docker/library/a/b?repository_url=localhost:5000"),
        );
        check(
            Ecosystem::GitHub,
            "Actions/Checkout",
            Some("v4"),
            Some("pkg:github/actions/checkout@v4"),
        );
        check(
            Ecosystem::GitHub,
            "o/r/.github/workflows/a b.yml",
            Some("v1"),
            Some("pkg:github/o/r@v1#.github/workflows/a%20b.yml"),
        );
        check(Ecosystem::GitHub, "checkout", None, None);
        check(Ecosystem::Bitbucket, "Acme/Kite", Some("1.0"), Some("pkg:bitbucket/acme/kite@1.0"));
        check(Ecosystem::Bazel, "rules_go", Some("0.50.1"), Some("pkg:bazel/rules_go@0.50.1"));
        check(
            Ecosystem::Generic,
            "gitlab.com/group/Project",
            Some("1.0"),
            Some("pkg:generic/gitlab.com/group/Project@1.0"),
        );
    }
}
