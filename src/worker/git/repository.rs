//! Creates the empty bare repository that is fetched into: the few files of
//! gitrepository-layout(5), without starting git.
//!
//! Input: a path and an object format. Output: the folder.

use std::{
    fs::{DirBuilder, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

/// Creates the files of an empty repository with this object format.
pub(super) fn create(path: &Path, object_format: &str) -> io::Result<()> {
    let folder = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
    let file = |name: &str, text: &str| File::create(path.join(name))?.write_all(text.as_bytes());
    folder(&path.join("objects"))?;
    folder(&path.join("refs"))?;
    file("HEAD", "ref: refs/heads/main\n")?;
    // Any object format but the first is an extension, which requires version 1.
    let extension = match object_format {
        "sha1" => String::new(),
        other => format!("[extensions]\n\tobjectFormat = {other}\n"),
    };
    let version = u8::from(!extension.is_empty());
    let core = format!("[core]\n\trepositoryFormatVersion = {version}\n\tbare = true\n");
    file("config", &(core + &extension))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Breaks if git does not recognize the folder as a repository of that format.
    #[test]
    fn git_recognizes_it_as_an_empty_repository() {
        for object_format in ["sha1", "sha256"] {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("repository.git");
            create(&path, object_format).unwrap();
            #[expect(clippy::disallowed_methods, reason = "git itself is asked")]
            let asked = Command::new("git")
                .arg("--git-dir")
                .arg(&path)
                .args(["rev-parse", "--show-object-format", "--is-bare-repository"])
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&asked.stdout).into_owned();
            assert_eq!(said, format!("{object_format}\ntrue\n"), "{asked:?}");
        }
    }
}
