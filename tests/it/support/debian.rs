//! Programs from Debian packages: downloaded once and unpacked into a folder below `target/`. They
//! are not installed, so no service of this machine starts or changes, and root is not needed.

use super::{forge::program, namespace::can, python::succeed};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

/// The unpacked files of some packages, and of those that they depend on.
#[derive(Debug)]
pub(crate) struct Packages(PathBuf);

impl Packages {
    /// Unpacks these packages. `None` where there is no apt, which is printed; where there is one,
    /// a package that cannot be downloaded is a failure.
    pub(crate) fn unpacked(names: &[&str]) -> Option<Self> {
        if !can("apt-get", &["--version"]) {
            return None;
        }
        let below = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = below.join(format!("debian-{}", names.join("_")));
        // Tests are separate processes, and only one of them may download.
        let lock = File::create(below.join("debian.lock")).expect("target/ can be written");
        lock.lock().expect("a file can be locked");
        if !folder.exists() {
            let half = tempfile::Builder::new()
                .prefix("debian-half-")
                .tempdir_in(below)
                .expect("target/ can be written");
            download(half.path(), names);
            let unpacked = half.path().join("unpacked");
            for archive in super::files::below(&half.path().join("cache/archives")) {
                if archive.extension().is_some_and(|extension| extension == "deb") {
                    succeed(program("dpkg-deb").arg("-x").arg(archive).arg(&unpacked));
                }
            }
            fs::rename(unpacked, &folder).expect("a folder can be renamed in its place");
        }
        Some(Self(folder))
    }

    /// The place of an unpacked file.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// A command of the packages, which uses their libraries.
    pub(crate) fn command(&self, path: &str) -> Command {
        let mut libraries = Vec::new();
        for folder in ["usr/lib", "lib"] {
            let entries = fs::read_dir(self.0.join(folder)).into_iter().flatten().flatten();
            let names = entries.map(|entry| entry.path());
            libraries.extend(names.filter(|path| path.to_string_lossy().contains("-linux-gnu")));
        }
        let mut command = program(self.0.join(path));
        if !libraries.is_empty() {
            let libraries = std::env::join_paths(libraries).expect("no colon below target/");
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }
}

/// Downloads packages, and what they depend on and this machine does not have, with lists and a
/// cache of the test's own.
fn download(folder: &Path, names: &[&str]) {
    for empty in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(folder.join(empty)).expect("target/ can be written");
    }
    let apt = || {
        let mut command = program("apt-get");
        command
            .arg("-qq")
            .arg("-o")
            .arg(format!("Dir::State::Lists={}", folder.join("lists").display()))
            .arg("-o")
            .arg(format!("Dir::Cache={}", folder.join("cache").display()))
            // Nothing of the system is written; the user _apt cannot write below target/.
            .args(["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"]);
        command
    };
    succeed(apt().arg("update"));
    succeed(
        apt()
            .args(["install", "--yes", "--download-only", "--reinstall"])
            .arg("--no-install-recommends")
            .args(names),
    );
}
