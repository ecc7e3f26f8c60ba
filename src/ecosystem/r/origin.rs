//! Where renv got a package from, by "Lockfiles" and "Package sources" of renv's documentation.
//!
//! Input: the record of a package. Output: its ecosystem and its purl. Decisions: a package of a repository on
//! a forge is identified by that repository and its commit. The purl specification has no type for
//! Bioconductor, and none for other addresses, so these are `generic`, with the host as namespace.
//!
//! Invariants: only a package of a repository like CRAN has the type `cran`.

use crate::ecosystem::{
    json::Node,
    purl::{self, Parts},
    swift,
};
use crate::model::ecosystem::{AnyEcosystem, Ecosystem};

/// Longest part of an address in bytes.
const LONGEST: usize = 1000;

/// The source of a package.
#[derive(Debug)]
pub(super) enum Origin<'a> {
    /// CRAN, or a repository with the same structure.
    Repository,
    Bioconductor,
    /// A repository on a forge.
    Forge {
        /// The purl type.
        kind: &'static str,
        /// The host, if it is not the usual one of the type.
        host: Option<&'a str>,
        owner: String,
        repository: String,
        commit: Option<&'a str>,
        folder: Option<&'a str>,
    },
    /// Any other address: `host/folder/name`; none for a file.
    Other(Option<String>),
}

/// The forges: their names in a lock file, the purl type, and the usual hosts.
const FORGES: [(&str, &str, [&str; 2]); 3] = [
    ("github", "github", ["api.github.com", "github.com"]),
    ("gitlab", "gitlab", ["gitlab.com", "gitlab.com"]),
    ("bitbucket", "bitbucket", ["api.bitbucket.org/2.0", "bitbucket.org"]),
];

impl<'a> Origin<'a> {
    pub(super) fn of(record: &'a Node<'_>) -> Self {
        let short =
            |key: &str| record.text(key).filter(|text| !text.is_empty() && text.len() <= LONGEST);
        let source = short("Source").unwrap_or_default().to_lowercase();
        let kind = short("RemoteType").unwrap_or(&source).to_lowercase();
        // Old versions of the tools that install packages had fields of their own for GitHub.
        let commit = short("RemoteSha").or_else(|| short("GithubSHA1"));
        let owner = short("RemoteUsername").or_else(|| short("GithubUsername"));
        let repository = short("RemoteRepo").or_else(|| short("GithubRepo"));
        let folder = short("RemoteSubdir");
        let forge = FORGES.iter().find(|(name, ..)| kind == *name).copied();
        if let Some((_, kind, hosts)) = forge
            && let Some((owner, repository)) = owner.zip(repository)
        {
            let host = short("RemoteHost").filter(|host| !hosts.contains(host));
            let (owner, repository) = (owner.to_owned(), repository.to_owned());
            return Self::Forge { kind, host, owner, repository, commit, folder };
        }
        let of_bioconductor =
            |text: &str| text.starts_with("bioc") || text.contains("bioconductor.org");
        let repository = short("Repository").unwrap_or_default().to_lowercase();
        if [&source, &kind, &repository].into_iter().any(|text| of_bioconductor(text)) {
            return Self::Bioconductor;
        }
        // The tools that install a package of CRAN name its source in these ways.
        match kind.as_str() {
            "" | "repository" | "standard" | "cran" | "rspm" => Self::Repository,
            _ => Self::of_address(short("RemoteUrl"), commit, folder),
        }
    }

    /// The source at an address, which may be that of a forge.
    fn of_address(address: Option<&str>, commit: Option<&'a str>, folder: Option<&'a str>) -> Self {
        let Some(path) = address.and_then(swift::repository_name) else { return Self::Other(None) };
        let forge = FORGES.iter().find_map(|(_, kind, [_, host])| {
            let (owner, repository) =
                path.strip_prefix(*host)?.strip_prefix('/')?.rsplit_once('/')?;
            Some((*kind, owner.to_owned(), repository.to_owned()))
        });
        match forge {
            Some((kind, owner, repository)) => {
                Self::Forge { kind, host: None, owner, repository, commit, folder }
            }
            None => Self::Other(Some(path)),
        }
    }

    pub(super) fn ecosystem(&self) -> AnyEcosystem {
        match self {
            Self::Repository => Ecosystem::Cran.into(),
            Self::Forge { kind, .. } => AnyEcosystem::from(*kind),
            Self::Bioconductor | Self::Other(_) => Ecosystem::Generic.into(),
        }
    }

    /// The purl of a package. That of a package from a forge has its commit as the version.
    pub(super) fn purl(&self, name: &str, version: Option<&str>) -> Option<String> {
        match self {
            Self::Repository => Ecosystem::Cran.purl(name, version),
            Self::Bioconductor => {
                let namespace = Some("bioconductor.org");
                purl::write("generic", Parts { namespace, name, version, ..Parts::default() })
            }
            Self::Forge { kind, host, owner, repository, commit, folder } => {
                let address = host.map(|host| format!("https://{host}"));
                let qualifiers: Vec<_> =
                    address.iter().map(|address| ("repository_url", address.as_str())).collect();
                let (owner, repository) = (owner.to_lowercase(), repository.to_lowercase());
                let parts = Parts {
                    namespace: Some(&owner),
                    name: &repository,
                    version: commit.or(version),
                    qualifiers: &qualifiers,
                    subpath: *folder,
                };
                purl::write(kind, parts)
            }
            Self::Other(path) => {
                let namespace = path.as_deref();
                purl::write("generic", Parts { namespace, name, version, ..Parts::default() })
            }
        }
    }
}
