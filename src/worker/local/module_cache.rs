//! Local caches of modules, which only users of the command line can name: Maven's `~/.m2/repository`, Gradle's
//! `~/.gradle/caches/modules-2/files-2.1`.
//!
//! Input: the folders of the caches, coordinates. Output: poms, or where a module has none, its module metadata
//! (`artifact-version.module`, beside it). Maven keeps a module in
//! `group/with/slashes/artifact/version/artifact-version.pom`, Gradle in
//! `group.with.dots/artifact/version/<SHA-1 of the file>/artifact-version.pom`.
//!
//! Invariants: only regular files with such a name are opened, folder by folder, and no symbolic link below the
//! folder of the cache is followed, so that nothing outside it is read; the number of lookups and the bytes of
//! all files are bounded; nothing is written or fetched.

use crate::{
    ecosystem::{CachedFile, MAX_CACHED_BYTES, ModuleCache, ModuleId},
    store::open_folder::OpenFolder,
};
use std::path::PathBuf;

/// Bytes of one pom; the largest BOMs have a tenth of it.
const MAX_POM_BYTES: u64 = 4 << 20;

/// Modules that one scan looks up.
const MAX_LOOKUPS: usize = 2_000;

/// Folders of one module in Gradle's cache, one for each of its files.
const MAX_FILES: usize = 64;

/// Characters of a folder's name there; leading zeros are omitted.
const MAX_DIGEST: usize = 40;

/// The folders of the caches, in the order in which they are searched.
#[derive(Debug)]
pub(in crate::worker) struct CacheFolders {
    folders: Vec<OpenFolder>,
    lookups: usize,
    bytes: u64,
}

impl CacheFolders {
    /// Opens the folders. One that cannot be opened counts as empty.
    pub(in crate::worker) fn open(paths: &[PathBuf]) -> Self {
        let folders = paths.iter().filter_map(|path| OpenFolder::open(path).ok()).collect();
        Self { folders, lookups: MAX_LOOKUPS, bytes: MAX_CACHED_BYTES }
    }
}

impl ModuleCache for CacheFolders {
    fn pom(&mut self, module: &ModuleId) -> Option<CachedFile> {
        self.lookups = self.lookups.checked_sub(1)?;
        let most = self.bytes.min(MAX_POM_BYTES);
        let find = |folder: &OpenFolder| {
            of_maven(folder, module, most).or_else(|| of_gradle(folder, module, most))
        };
        let file = self.folders.iter().find_map(find)?;
        self.bytes = self.bytes.saturating_sub(file.bytes.len() as u64);
        Some(file)
    }
}

fn of_maven(root: &OpenFolder, module: &ModuleId, most: u64) -> Option<CachedFile> {
    let mut parts: Vec<&str> = module.group().split('.').collect();
    parts.extend([module.artifact(), module.version()]);
    let (folder, path) = (below(root, &parts)?, parts.join("/"));
    read(&folder, &path, &module.pom(), most)
        .or_else(|| read(&folder, &path, &module.metadata(), most))
}

fn of_gradle(root: &OpenFolder, module: &ModuleId, most: u64) -> Option<CachedFile> {
    let parts = [module.group(), module.artifact(), module.version()];
    let folder = below(root, &parts)?;
    let mut digests = Vec::new();
    folder
        .list(|name| {
            let name = name.to_str().unwrap_or_default();
            let is_digest = (1..=MAX_DIGEST).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_digest && digests.len() < MAX_FILES {
                digests.push(name.to_owned());
            }
        })
        .ok()?;
    // The order of a listing is any.
    digests.sort_unstable();
    let find = |name: &str| {
        digests.iter().find_map(|digest| {
            let path = format!("{}/{digest}", parts.join("/"));
            read(&folder.folder(digest).ok()?, &path, name, most)
        })
    };
    find(&module.pom()).or_else(|| find(&module.metadata()))
}

fn below(root: &OpenFolder, parts: &[&str]) -> Option<OpenFolder> {
    let (first, rest) = parts.split_first()?;
    let first = root.folder(first).ok()?;
    rest.iter().try_fold(first, |folder, part| folder.folder(part).ok())
}

fn read(folder: &OpenFolder, path: &str, name: &str, most: u64) -> Option<CachedFile> {
    let mut bytes = Vec::new();
    folder.read(name, most, &mut bytes).ok()?;
    Some(CachedFile { path: format!("{path}/{name}"), bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{self, File},
        io::Write,
        os::unix::fs::symlink,
        path::Path,
    };

    fn put(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn module(artifact: &str) -> ModuleId {
        ModuleId::new("org.example", artifact, "1.0").unwrap()
    }

    #[test]
    fn both_layouts_are_read() {
        let root = tempfile::tempdir().unwrap();
        let path = |below: &str| root.path().join(below);
        put(&path("m2/org/example/a/1.0/a-1.0.pom"), "of Maven");
        put(&path("gradle/org.example/b/1.0/0a1b/b-1.0.jar"), "");
        put(&path("gradle/org.example/b/1.0/c2d3/b-1.0.pom"), "of Gradle");
        put(&path("gradle/org.example/b/1.0/e4f5/b-1.0.module"), "beside a pom");
        put(&path("gradle/org.example/c/1.0/no-digest/c-1.0.pom"), "");
        put(&path("gradle/org.example/d/1.0/a6b7/d-1.0.module"), "");
        put(&path("m2/org/example/e/1.0/e-1.0.module"), "");
        let mut cache = CacheFolders::open(&[path("missing"), path("gradle"), path("m2")]);
        let a = cache.pom(&module("a")).unwrap();
        assert_eq!(
            (a.path.as_str(), a.bytes),
            ("org/example/a/1.0/a-1.0.pom", b"of Maven".to_vec())
        );
        let b = cache.pom(&module("b")).unwrap();
        assert_eq!(b.path, "org.example/b/1.0/c2d3/b-1.0.pom");
        assert_eq!(cache.pom(&module("c")), None);
        for (name, file) in
            [("d", "org.example/d/1.0/a6b7/d-1.0.module"), ("e", "org/example/e/1.0/e-1.0.module")]
        {
            assert_eq!(cache.pom(&module(name)).unwrap().path, file);
        }
        assert_eq!(cache.bytes, MAX_CACHED_BYTES - 8 - 9);
    }

    /// Fails if a link in a cache leads to a file outside it.
    #[test]
    fn links_are_not_followed_and_limits_hold() {
        let root = tempfile::tempdir().unwrap();
        let path = |below: &str| root.path().join(below);
        put(&path("secret/a-1.0.pom"), "secret");
        fs::create_dir_all(path("m2/org/example/a/1.0")).unwrap();
        symlink(path("secret/a-1.0.pom"), path("m2/org/example/a/1.0/a-1.0.pom")).unwrap();
        fs::create_dir_all(path("m2/org/example/b")).unwrap();
        put(&path("secret/b-1.0.pom"), "secret");
        symlink(path("secret"), path("m2/org/example/b/1.0")).unwrap();
        put(&path("m2/org/example/c/1.0/c-1.0.pom"), "far too long");
        let mut cache = CacheFolders::open(&[path("m2")]);
        assert_eq!(cache.pom(&module("a")), None);
        assert_eq!(cache.pom(&module("b")), None);
        cache.bytes = 5;
        assert_eq!(cache.pom(&module("c")), None);
        cache.bytes = 50;
        assert!(cache.pom(&module("c")).is_some());
        cache.lookups = 0;
        assert_eq!(cache.pom(&module("c")), None);
    }
}
