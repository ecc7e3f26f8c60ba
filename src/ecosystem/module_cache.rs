//! A cache of modules on this machine, from which versions are resolved that no file of a repository defines.
//!
//! Input: the coordinates of a module. Output: the descriptor of the module, if the cache has it. Invariants:
//! nothing here reads a file, the caller of [`join`](super::join()) does; coordinates that reach the cache
//! contain only letters, digits, `.`, `_` and `-`, and no `..`, so that each is the name of one file or folder.

use std::fmt;

/// Longest part of coordinates in bytes.
const MAX_PART: usize = 200;

/// Bytes of all descriptors that one repository may read. The budget of joining grows by as much.
pub const MAX_CACHED_BYTES: u64 = 16 << 20;

/// A cache of modules.
pub trait ModuleCache: fmt::Debug {
    /// The pom of a module, or else its metadata of Gradle; none if the cache does not have it, or a limit of the cache is reached.
    fn pom(&mut self, module: &ModuleId) -> Option<CachedFile>;
}

/// A file of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedFile {
    /// The path below the folder of the cache, with `/`.
    pub path: String,
    pub bytes: Vec<u8>,
}

/// Coordinates that are safe as parts of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId {
    group: String,
    artifact: String,
    version: String,
}

impl ModuleId {
    /// None if a part is no name of a file.
    pub fn new(group: &str, artifact: &str, version: &str) -> Option<Self> {
        [group, artifact, version].iter().all(|part| is_plain(part)).then(|| Self {
            group: group.to_owned(),
            artifact: artifact.to_owned(),
            version: version.to_owned(),
        })
    }

    /// The group, whose segments between dots are never empty.
    pub fn group(&self) -> &str {
        &self.group
    }

    pub fn artifact(&self) -> &str {
        &self.artifact
    }

    pub fn version(&self) -> &str {
        &self.version
    }

    /// The name of the pom's file.
    pub fn pom(&self) -> String {
        format!("{}-{}.pom", self.artifact, self.version)
    }

    /// The name of the file of Gradle's module metadata.
    pub fn metadata(&self) -> String {
        format!("{}-{}.module", self.artifact, self.version)
    }
}

fn is_plain(part: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    part.bytes().all(is_allowed)
        && (1..=MAX_PART).contains(&part.len())
        && !part.contains("..")
        && !part.starts_with('.')
        && !part.ends_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if coordinates may lead out of the cache.
    #[test]
    fn coordinates_are_names_of_files() {
        let module = ModuleId::new("org.example", "a_b-c", "1.0-rc.1").unwrap();
        assert_eq!(module.pom(), "a_b-c-1.0-rc.1.pom");
        assert_eq!(module.metadata(), "a_b-c-1.0-rc.1.module");
        for part in ["", ".", "..", "a/b", "a\\b", "a..b", ".a", "a.", "a b", "ä", "a\0", "${a}"] {
            assert_eq!(ModuleId::new(part, "a", "1"), None, "{part}");
            assert_eq!(ModuleId::new("g", part, "1"), None, "{part}");
            assert_eq!(ModuleId::new("g", "a", part), None, "{part}");
        }
        assert_eq!(ModuleId::new(&"a".repeat(201), "a", "1"), None);
    }
}
