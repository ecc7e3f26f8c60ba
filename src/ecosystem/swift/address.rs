//! Converts addresses of git repositories to names.
//!
//! Input: an address in any form of "Git URLs" of git's manual. Output: `host/folder/repository`. Invariants:
//! the https, ssh and short forms of one repository give one name, without credentials and `.git`.

/// `host/folder/repository`; none for a path on disk.
pub(in crate::ecosystem) fn name_of(address: &str) -> Option<String> {
    let address = address.trim();
    let (authority, path) = match address.split_once("://") {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("file") => return None,
        Some((_, rest)) => rest.split_once('/')?,
        // `git@host:folder/repository`; a path has its first slash before a colon.
        None => address.split_once(':').filter(|(host, _)| !host.contains('/'))?,
    };
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let host = host.split(':').next().unwrap_or(host).to_lowercase();
    let path = path.split(['?', '#']).next().unwrap_or(path).trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let usable = |part: &str| !part.is_empty() && !part.contains(char::is_whitespace);
    (usable(&host) && usable(path)).then(|| format!("{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_has_one_name() {
        for address in [
            "https://github.com/apple/swift-nio.git",
            "https://user:secret@GitHub.com:443/apple/swift-nio/",
            "git@github.com:apple/swift-nio.git",
            "ssh://git@github.com/apple/swift-nio",
            "https://github.com/apple/swift-nio.git?ref=main#x",
        ] {
            assert_eq!(
                name_of(address).as_deref(),
                Some("github.com/apple/swift-nio"),
                "{address}"
            );
        }
        for address in ["/Users/me/nio", "../nio", "file:///nio", "", "https://", "a b:c"] {
            assert_eq!(name_of(address), None, "{address}");
        }
    }
}
