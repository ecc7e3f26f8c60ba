//! The supplier of a component: who publishes it, as far as its purl says so.
//!
//! Input: a purl. Output: the account or organization that owns its namespace, by the definition of the purl's type
//! ("NTIA, The Minimum Elements For a SBOM": the entity that creates, defines and identifies components). Invariants: nothing is
//! guessed: a registry that has one namespace for all has no supplier.

use percent_encoding::percent_decode_str;

/// Forges whose first segment of a path is the owner of a repository.
const FORGES: [&str; 3] = ["github.com", "gitlab.com", "bitbucket.org"];

/// A supplier.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Supplier<'p> {
    pub(super) name: String,
    /// The beginning of the purl, up to the owner: components of one supplier follow each other in the order of
    /// their purls.
    pub(super) prefix: &'p str,
}

/// The supplier of the component with this purl.
pub(super) fn of(purl: &str) -> Option<Supplier<'_>> {
    let rest = purl.strip_prefix("pkg:")?;
    let (kind, path) = rest.split_once('/')?;
    let path = path.split(['@', '?', '#']).next()?;
    let (namespace, _) = path.rsplit_once('/')?;
    let owned_from = purl.len() - rest.len() + kind.len() + 1;
    let owner = match kind {
        "github" | "gitlab" | "bitbucket" => namespace.split('/').next()?,
        // `github.com/owner/…`; other module paths name a host, not a supplier.
        "golang" | "swift" => {
            let (host, rest) = namespace.split_once('/').unwrap_or((namespace, ""));
            // In Go the last segments may all belong to the path of the module.
            FORGES
                .contains(&host)
                .then(|| rest.split('/').next())?
                .filter(|owner| !owner.is_empty())?
        }
        "maven" | "npm" | "composer" | "huggingface" => namespace,
        _ => return None,
    };
    // The owner is a part of the namespace.
    let end = owned_from + namespace.find(owner)? + owner.len();
    let name = percent_decode_str(owner).decode_utf8_lossy().into_owned();
    Some(Supplier { name, prefix: purl.get(..end)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_owned_namespace_is_a_supplier() {
        for (purl, expected) in [
            ("pkg:npm/%40babel/core@7.0.0", Some("@babel")),
            ("pkg:npm/left-pad@1.3.0", None),
            ("pkg:maven/org.apache.commons/commons-lang3@3.12", Some("org.apache.commons")),
            ("pkg:composer/symfony/console@6", Some("symfony")),
            ("pkg:github/actions/checkout@v4", Some("actions")),
            ("pkg:golang/github.com/spf13/cobra@v1.8.0", Some("spf13")),
            ("pkg:golang/golang.org/x/net@v0.1.0", None),
            ("pkg:swift/github.com/apple/swift-nio@2", Some("apple")),
            ("pkg:pypi/requests@2", None),
            ("pkg:docker/library/nginx@1", None),
            ("nonsense", None),
        ] {
            assert_eq!(of(purl).map(|supplier| supplier.name).as_deref(), expected, "{purl}");
        }
    }

    #[test]
    fn one_supplier_has_one_prefix() {
        for (purl, expected) in [
            ("pkg:golang/github.com/spf13/cobra/doc@v1.8.0", "pkg:golang/github.com/spf13"),
            ("pkg:npm/%40babel/core@7.0.0", "pkg:npm/%40babel"),
            ("pkg:maven/org.apache/a@1", "pkg:maven/org.apache"),
        ] {
            assert_eq!(of(purl).unwrap().prefix, expected);
        }
    }
}
