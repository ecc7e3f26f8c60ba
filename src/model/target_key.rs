//! The key of what a scan reads: two repositories with the same key have the same result as long as
//! the repository does not change.
//!
//! Input: the URL of a repository, and the options of its job. Output: a key. Invariants: spellings
//! of one URL have one key; every option that influences the result of one repository is part of
//! it, and no other.

use super::master::Options;
use ring::digest::{Context, SHA256};
use url::Url;

/// The key of what a scan reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TargetKey([u8; 16]);

impl TargetKey {
    /// The key of a repository, or of a path of this machine, that is scanned with these options.
    pub fn of(git_url: &str, options: &Options) -> Self {
        // Options of the selection, of retries and of reuse do not influence what one scan finds. Each
        // option is named here, so that a new one is a decision.
        let Options {
            reference,
            deep,
            archives,
            include_subgroups: _,
            include: _,
            exclude: _,
            filters: _,
            exclude_paths,
            no_ignore,
            retries: _,
            force: _,
        } = options;
        let mut exclude_paths: Vec<&str> = exclude_paths.iter().map(String::as_str).collect();
        exclude_paths.sort_unstable();
        exclude_paths.dedup();
        let url = normalized(git_url);
        let flags = [*deep, *archives, *no_ignore].map(|flag| if flag { "1" } else { "0" });
        let reference = reference.as_deref();
        let mut context = Context::new(&SHA256);
        let parts = [url.as_str(), if reference.is_some() { "1" } else { "0" }]
            .into_iter()
            .chain([reference.unwrap_or_default()])
            .chain(flags)
            .chain(exclude_paths);
        for part in parts {
            // With its length, so that no part can continue in the next one.
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part.as_bytes());
        }
        let mut key = [0; 16];
        key.copy_from_slice(&context.finish().as_ref()[..16]);
        Self(key)
    }
}

/// One spelling for all URLs of a repository: host in lower case, no default port, no slash and no
/// `.git` at the end. Anything else than a URL stays as it is.
fn normalized(git_url: &str) -> String {
    let Some((scheme, rest)) = git_url.split_once("://") else { return git_url.to_owned() };
    let authority = rest.split('/').next().unwrap_or_default();
    let is_plain = |text: &str| {
        text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
    };
    // URLs of plans are in this form already, and a group has a hundred thousand of them.
    let parsed = (!is_plain(scheme) || !is_plain(authority)).then(|| Url::parse(git_url).ok());
    let parsed = parsed.flatten();
    let text = parsed.as_ref().map_or(git_url, Url::as_str).trim_end_matches('/');
    text.strip_suffix(".git").unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(url: &str) -> TargetKey {
        TargetKey::of(url, &Options::default())
    }

    /// Fails if two spellings of one repository could be scanned at the same time, or if one
    /// repository waits for another.
    #[test]
    fn spellings_of_one_repository_have_one_key() {
        let one = key("https://git.example/acme/api.git");
        for same in [
            "https://GIT.example/acme/api.git",
            "https://git.example:443/acme/api",
            "https://git.example/acme/api/",
        ] {
            assert_eq!(key(same), one, "{same}");
        }
        for other in [
            "http://git.example/acme/api.git",
            "https://git.example:8443/acme/api.git",
            "https://git.example/acme/Api.git",
            "https://git.example/acme/api.git.git",
            "/acme/api.git",
        ] {
            assert_ne!(key(other), one, "{other}");
        }
        assert_ne!(key("/acme/api.git"), key("/acme/api"), "folders, not URLs");
    }

    /// Fails if an option that changes the result is ignored, or if one that does not makes two
    /// scans of the same content run at once.
    #[test]
    fn the_options_that_influence_a_result_are_part_of_the_key() {
        let of = |options: &Options| TargetKey::of("https://git.example/api", options);
        let plain = Options::default();
        let patterns = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        for other in [
            Options { reference: Some("main".into()), ..plain.clone() },
            Options { reference: Some(String::new()), ..plain.clone() },
            Options { deep: true, ..plain.clone() },
            Options { archives: true, ..plain.clone() },
            Options { no_ignore: true, ..plain.clone() },
            Options { exclude_paths: patterns(&["docs"]), ..plain.clone() },
        ] {
            assert_ne!(of(&other), of(&plain), "{other:?}");
        }
        for same in [
            Options { retries: 3, ..plain.clone() },
            Options { include: patterns(&["a*"]), exclude: patterns(&["b"]), ..plain.clone() },
            Options { include_subgroups: false, ..plain.clone() },
        ] {
            assert_eq!(of(&same), of(&plain), "{same:?}");
        }
        let list = |list: &[&str]| of(&Options { exclude_paths: patterns(list), ..plain.clone() });
        assert_eq!(list(&["a", "b"]), list(&["b", "a", "a"]));
        assert_ne!(list(&["a", "b"]), list(&["ab"]));
    }
}
