//! What a URL means: one repository, or something that this version does not scan.

use crate::{
    config::{Config, ForgeKind},
    model::{
        address::{NetworkPolicy, Origin},
        git_url::{GitUrl, Refusal},
        master::ScanType,
    },
};
use std::path::PathBuf;

/// Something to scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A repository of a forge.
    Repository(GitUrl),
    /// A folder or bare repository of this machine, as an absolute path.
    Path(PathBuf),
}

/// A good URL of something that cannot be scanned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotScannable {
    #[error("Not a repository: {0} names a group, an organisation or a user")]
    Group(String),
}

impl NotScannable {
    /// What to submit instead.
    pub fn way_out(&self) -> &'static str {
        match self {
            Self::Group(_) => {
                "submit the URLs of its repositories, one by one, such as https://host/group/project.git"
            }
        }
    }
}

impl Target {
    /// Reads a URL from outside.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn parse(text: &str, config: &Config) -> Result<Self, super::IntakeError> {
        let url = GitUrl::parse(text, &config.network)?;
        if names_a_group(&url, config) {
            return Err(NotScannable::Group(url.to_string()).into());
        }
        Ok(Self::Repository(url))
    }

    /// Reads what a user typed at the command line, where it is trusted as typed. Extends
    /// `network` by it.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn typed(text: &str, network: &mut NetworkPolicy) -> Result<Self, Refusal> {
        let path = PathBuf::from(text);
        if !text.is_empty() && path.exists() {
            let absolute = path.canonicalize().unwrap_or(path);
            network.local_paths = true;
            return Ok(Self::Path(absolute));
        }
        if !text.contains("://") && !text.contains('@') {
            return Err(Refusal::Shape("it is neither a URL nor a path that exists"));
        }
        if let Some(origin) = url::Url::parse(text).ok().as_ref().and_then(Origin::of) {
            network.trusted.push(origin);
        } else if let Some((host, _)) = text.split_once('@').and_then(|(_, it)| it.split_once(':'))
        {
            let origin = url::Url::parse(&format!("https://{host}/")).ok();
            network.trusted.extend(origin.as_ref().and_then(Origin::of));
        }
        GitUrl::parse(text, network).map(Self::Repository)
    }

    /// The repository's name: the last segment of its URL or path.
    pub fn name(&self) -> String {
        match self {
            Self::Repository(url) => url.name(),
            Self::Path(path) => {
                // The folder that git keeps in a work tree is called by the work tree's name.
                let inner = path.file_name().is_some_and(|it| it == ".git");
                let named = path.parent().filter(|_| inner).unwrap_or(path);
                let name = named.file_name().map(|it| it.to_string_lossy().into_owned());
                let name = name.unwrap_or_else(|| "root".to_owned());
                name.strip_suffix(".git").filter(|it| !it.is_empty()).unwrap_or(&name).to_owned()
            }
        }
    }

    /// Where it is fetched from: the `git_url` of plan and status.
    pub fn location(&self) -> String {
        match self {
            Self::Repository(url) => url.to_string(),
            Self::Path(path) => path.to_string_lossy().into_owned(),
        }
    }

    /// The kind of job that it makes.
    pub fn scan_type(&self) -> ScanType {
        match self {
            Self::Repository(_) => ScanType::Repository,
            Self::Path(_) => ScanType::Path,
        }
    }
}

/// On a forge with groups, a path of one segment is never a repository.
fn names_a_group(url: &GitUrl, config: &Config) -> bool {
    let origin = Origin::of(url.url());
    let forge = config.forges.iter().find(|it| Some(&it.origin) == origin.as_ref());
    let plain = forge.is_some_and(|it| it.kind == ForgeKind::Git);
    !plain && url.depth() < 2 && !url.as_str().ends_with(".git")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_called_by_its_last_part_that_says_something() {
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
}
