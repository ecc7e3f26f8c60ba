//! Classifies a URL: a repository, a group, or something that only its forge knows.
//!
//! Input: a URL, and the settings, which define the API of each forge. Output: a [`Target`].
//! Invariants: no host is contacted here; a forge is queried only if its API is known.

use super::forge_api::{self, Names};
use crate::{
    config::{Config, ForgeKind},
    model::{
        address::Origin,
        git_url::{self, GitUrl, Refusal},
        master::ScanType,
    },
};
use std::path::PathBuf;

/// Something to scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A repository of a forge.
    Repository(GitUrl),
    /// A group, an organisation or a user of a forge; the forge has to list its repositories.
    Group(GitUrl),
    /// A project or a group; only the forge knows which.
    Unknown(GitUrl),
    /// A folder or bare repository of this machine, as an absolute path.
    Path(PathBuf),
}

/// A valid URL of something that cannot be scanned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotScannable {
    #[error("Not a repository: {0} names a group, an organisation or a user")]
    Group(String),
}

impl NotScannable {
    /// What to submit instead.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Group(_) => {
                "submit the URLs of its repositories one by one, such as \
                 https://host/group/project.git; or, if this is your own GitLab, GitHub, Gitea, \
                 Forgejo, Bitbucket or Azure DevOps, add it under [[forges]] in the server's settings"
            }
        }
    }
}

impl Target {
    /// Validates and classifies a URL from outside.
    ///
    /// # Errors
    /// The rule that refuses the URL.
    pub fn parse(text: &str, config: &Config) -> Result<Self, super::IntakeError> {
        let url = GitUrl::parse(text, &config.network)?;
        if names_an_unlisted_group(&url, config) {
            return Err(NotScannable::Group(url.to_string()).into());
        }
        Ok(Self::classify(url, config))
    }

    /// Reads a target from the command line, which is trusted, and extends the policy of `config`
    /// accordingly.
    ///
    /// # Errors
    /// The rule that refuses the target.
    pub fn from_command_line(text: &str, config: &mut Config) -> Result<Self, Refusal> {
        let network = &mut config.network;
        let path = PathBuf::from(text);
        if !text.is_empty() && path.exists() {
            let absolute = path.canonicalize().unwrap_or(path);
            network.local_paths = true;
            return Ok(Self::Path(absolute));
        }
        if !text.contains("://") && !text.contains('@') {
            return Err(Refusal::Shape("it is neither a URL nor a path that exists"));
        }
        network.trusted.extend(git_url::typed_origin(text));
        let url = GitUrl::parse(text, &config.network)?;
        Ok(Self::classify(url, config))
    }

    /// Classifies a validated URL by the API of its forge.
    fn classify(url: GitUrl, config: &Config) -> Self {
        let api = forge_api::of(&url, config).filter(|_| !url.as_str().ends_with(".git"));
        match api.map_or(Names::Repository, |api| api.names(&url)) {
            Names::Repository => Self::Repository(url),
            Names::Group => Self::Group(url),
            Names::Either => Self::Unknown(url),
        }
    }

    /// Whether the forge has to be queried to find out what to scan.
    pub fn needs_discovery(&self) -> bool {
        matches!(self, Self::Group(_) | Self::Unknown(_))
    }

    /// The name: the last segment of the URL or path.
    pub fn name(&self) -> String {
        match self {
            Self::Repository(url) | Self::Group(url) | Self::Unknown(url) => url.name(),
            Self::Path(path) => {
                // A `.git` folder gets the name of its work tree.
                let inner = path.file_name().is_some_and(|name| name == ".git");
                let named = path.parent().filter(|_| inner).unwrap_or(path);
                let name = named.file_name().map(|name| name.to_string_lossy().into_owned());
                let name = name.unwrap_or_else(|| "root".to_owned());
                name.strip_suffix(".git")
                    .filter(|stem| !stem.is_empty())
                    .unwrap_or(&name)
                    .to_owned()
            }
        }
    }

    /// The origin of its forge; `None` for a path.
    pub fn origin(&self) -> Option<Origin> {
        match self {
            Self::Repository(url) | Self::Group(url) | Self::Unknown(url) => Origin::of(url.url()),
            Self::Path(_) => None,
        }
    }

    /// The URL or path; for a repository, the `git_url` of plan and status.
    pub fn location(&self) -> String {
        match self {
            Self::Repository(url) | Self::Group(url) | Self::Unknown(url) => url.to_string(),
            Self::Path(path) => path.to_string_lossy().into_owned(),
        }
    }

    /// The type of its job; `None` if only the forge knows.
    pub fn scan_type(&self) -> Option<ScanType> {
        match self {
            Self::Repository(_) => Some(ScanType::Repository),
            Self::Path(_) => Some(ScanType::Path),
            Self::Group(_) => Some(ScanType::Group),
            Self::Unknown(_) => None,
        }
    }
}

/// Whether the URL names a group of a forge without a known API: on a forge with groups, a path of
/// one segment is never a repository.
fn names_an_unlisted_group(url: &GitUrl, config: &Config) -> bool {
    let forge = Origin::of(url.url()).and_then(|origin| config.forge(&origin));
    let plain = forge.is_some_and(|forge| forge.kind == ForgeKind::Git);
    let short = url.depth() < 2 && !url.as_str().ends_with(".git");
    short && !plain && forge_api::of(url, config).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Forge, Sources};

    fn config() -> Config {
        let mut config = Config::load(&Sources::default()).unwrap();
        for (kind, host) in [
            (ForgeKind::Gitlab, "lab.example"),
            (ForgeKind::Github, "hub.example"),
            (ForgeKind::Git, "git.example"),
            (ForgeKind::Gitea, "tea.example"),
            (ForgeKind::Bitbucket, "cloud.example"),
            (ForgeKind::BitbucketServer, "bucket.example"),
            (ForgeKind::Azure, "azure.example"),
        ] {
            let origin = Origin { scheme: "http".into(), host: host.into(), port: 8080 };
            config.network.trusted.push(origin.clone());
            config.forges.push(Forge::new(kind, origin));
        }
        config.network.allow_hosts.push("elsewhere.example".into());
        config.network.allow_ports.push(8443);
        config
    }

    #[test]
    fn the_name_of_a_path_is_its_last_meaningful_segment() {
        for (path, name) in [
            ("/srv/app", "app"),
            ("/srv/app.git", "app"),
            ("/srv/app/.git", "app"),
            ("/.git", "root"),
            ("/", "root"),
        ] {
            assert_eq!(Target::Path(path.into()).name(), name, "{path}");
        }
    }

    #[test]
    fn a_url_is_classified_by_the_api_of_its_forge() {
        let (repository, group, unknown, none) = ("Repository", "Group", "Unknown", "Err");
        for (url, expected) in [
            ("https://gitlab.com/acme", group),
            ("https://GITLAB.com/acme/", group),
            ("https://gitlab.com/acme/api", unknown),
            ("https://gitlab.com/acme/platform/api/", unknown),
            ("https://gitlab.com/acme/api.git", repository),
            ("git@gitlab.com:acme/api.git", repository),
            ("https://github.com/acme", group),
            ("https://github.com/acme/api", repository),
            ("https://github.com/acme/api.git", repository),
            ("https://bitbucket.org/acme", group),
            ("https://bitbucket.org/acme/api", repository),
            ("https://bitbucket.org:8443/acme", none),
            ("https://dev.azure.com/acme", group),
            ("https://dev.azure.com/acme/my%20web", group),
            ("https://dev.azure.com/acme/web/_git/api", repository),
            ("https://dev.azure.com/acme/_git/web", repository),
            ("https://dev.azure.com/acme/web/api", repository),
            ("https://elsewhere.example/acme", none),
            ("http://lab.example:8080/acme", group),
            ("http://lab.example:8080/acme/api", unknown),
            ("http://hub.example:8080/acme", group),
            ("http://hub.example:8080/acme/api", repository),
            ("http://tea.example:8080/acme", group),
            ("http://tea.example:8080/acme/api", repository),
            ("http://cloud.example:8080/acme", group),
            ("http://cloud.example:8080/acme/api", repository),
            ("http://bucket.example:8080/ACME", group),
            ("http://bucket.example:8080/projects/ACME", group),
            ("http://bucket.example:8080/users/alice/", group),
            ("http://bucket.example:8080/scm/acme", group),
            ("http://bucket.example:8080/scm/acme/api.git", repository),
            ("http://bucket.example:8080/scm/acme/api", repository),
            ("http://bucket.example:8080/acme/api", repository),
            ("http://azure.example:8080/tfs/All/web", group),
            ("http://azure.example:8080/tfs/All/web/_git/api", repository),
            ("http://azure.example:8080/tfs/All/web/api", repository),
            ("http://git.example:8080/api", repository),
            ("http://git.example:8080/acme/api", repository),
        ] {
            let target = format!("{:?}", Target::parse(url, &config()));
            let target = target.trim_start_matches("Ok(");
            assert_eq!(target.split('(').next(), Some(expected), "{url}");
        }
    }

    #[test]
    fn targets_of_the_command_line_are_classified_alike_and_unknown_forges_have_only_repositories()
    {
        for (url, expected) in [
            ("https://gitlab.com/acme", "Group"),
            ("https://gitlab.com/acme/api", "Unknown"),
            ("http://elsewhere.example/api", "Repository"),
            (" ssh://git@elsewhere.example:2222/acme/api\n", "Repository"),
            ("git@ssh.dev.azure.com:v3/acme/web/api", "Repository"),
        ] {
            let target = format!("{:?}", Target::from_command_line(url, &mut config()).unwrap());
            assert_eq!(target.split('(').next(), Some(expected), "{url}");
        }
    }
}
