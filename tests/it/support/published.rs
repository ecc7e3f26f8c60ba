//! Real projects: the sources of published packages, as their registries have them.

use super::forge::program;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// The files of a project, by their paths below its root.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// A crate that this program is built with, from cargo's registry.
pub(crate) fn from_crates(name: &str) -> Files {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let store = home.unwrap().join("registry/src");
    let prefix = format!("{name}-");
    let found = fs::read_dir(&store)
        .unwrap()
        .flatten()
        .flat_map(|registry| fs::read_dir(registry.path()).into_iter().flatten().flatten())
        .find(|path| {
            let name = path.file_name().to_string_lossy().into_owned();
            name.strip_prefix(&prefix)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        });
    read(&found.unwrap_or_else(|| panic!("no source of {name} in {}", store.display())).path())
}

/// A package of the npm registry.
pub(crate) fn from_npm(name: &str) -> Files {
    let folder = TempDir::new().unwrap();
    let home = TempDir::new().unwrap();
    let mut npm = program("npm");
    npm.args(["pack", name, "--silent"]).env("HOME", home.path());
    run(npm.current_dir(folder.path()));
    unpack(folder.path())
}

/// A source distribution of the Python package index.
pub(crate) fn from_pypi(name: &str) -> Files {
    let folder = TempDir::new().unwrap();
    let arguments = [
        "download",
        name,
        "--no-deps",
        "--no-binary",
        ":all:",
        "--quiet",
        "--no-cache-dir",
        "--disable-pip-version-check",
    ];
    run(program("pip").args(arguments).current_dir(folder.path()));
    unpack(folder.path())
}

/// Unpacks the one archive in a folder, and reads the one folder in it.
fn unpack(folder: &Path) -> Files {
    let archive = fs::read_dir(folder).unwrap().next().expect("an archive was fetched").unwrap();
    let out = TempDir::new().unwrap();
    run(program("tar").arg("-xf").arg(archive.path()).arg("-C").arg(out.path()));
    let top =
        fs::read_dir(out.path()).unwrap().next().expect("the archive holds a folder").unwrap();
    read(&top.path())
}

fn run(command: &mut std::process::Command) {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn read(root: &Path) -> Files {
    super::files::below(root)
        .into_iter()
        .filter(|path| path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()))
        .filter_map(|path| {
            let below = path.strip_prefix(root).ok()?.to_str()?.to_owned();
            Some((below, fs::read(&path).ok()?))
        })
        .collect()
}
