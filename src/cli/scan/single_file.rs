//! One lock file or manifest as a target: a file of this machine, or standard input with a name.
//!
//! Input: a path, or bytes and a name. Output: a folder with this file alone, at the place where a
//! parser expects it. Invariants: a file that no parser reads is refused; no more than the size limit
//! of a file is read.

use super::super::output::printable;
use crate::{
    ecosystem::{Parser, deep_parser_for, parser_for},
    model::task::Limits,
};
use anyhow::{Context, bail};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Component, Path, PathBuf},
};

/// A file to scan.
pub(super) struct SingleFile {
    /// What the result names as its source: the path, or `-`.
    pub(super) source: String,
    /// The last segment of its name.
    name: String,
    /// Where a parser expects it, relative: `.github/workflows/ci.yml`.
    place: PathBuf,
    bytes: Vec<u8>,
}

impl SingleFile {
    /// Reads a regular file, up to its size limit.
    pub(super) fn open(path: &Path, limits: &Limits) -> anyhow::Result<Self> {
        let shown = printable(&path.to_string_lossy());
        let path = path.canonicalize().with_context(|| format!("`{shown}` cannot be read"))?;
        let file = File::open(&path).with_context(|| format!("`{shown}` cannot be read"))?;
        Self::read(path.to_string_lossy().into_owned(), &shown, &path, file, limits)
    }

    /// Reads standard input, up to the size limit of a file of this name.
    pub(super) fn from_stdin(name: Option<&str>, limits: &Limits) -> anyhow::Result<Self> {
        let name =
            name.context("standard input has no name: add one, such as --name package-lock.json")?;
        Self::read("-".to_owned(), &printable(name), Path::new(name), io::stdin().lock(), limits)
    }

    fn read(
        source: String,
        shown: &str,
        path: &Path,
        from: impl Read,
        limits: &Limits,
    ) -> anyhow::Result<Self> {
        let Some((place, parser)) = place_of(path) else {
            bail!(
                "`{shown}`: no parser reads a file of this name; name a lock file, a manifest, or the \
                 folder of a project"
            );
        };
        let (most, setting) = limits.of_file(parser.reads_lock_files());
        let mut bytes = Vec::new();
        let read = from.take(most.saturating_add(1)).read_to_end(&mut bytes);
        read.with_context(|| format!("`{shown}` cannot be read"))?;
        if bytes.len() as u64 > most {
            bail!("`{shown}` is larger than {most} bytes: raise [limits] {setting}");
        }
        let name = place.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(Self { source, name: name.unwrap_or_default(), place, bytes })
    }

    /// Writes the file below `folder`, and returns the folder to scan, which has its name.
    pub(super) fn lay(&self, folder: &Path) -> io::Result<PathBuf> {
        let root = folder.join(&self.name);
        let file = root.join(&self.place);
        fs::create_dir_all(file.parent().unwrap_or(&root))?;
        File::create_new(file)?.write_all(&self.bytes)?;
        Ok(root)
    }
}

/// Where a parser expects a file: its name alone, or with as many folders as decide how it is read,
/// such as `.github/workflows/ci.yml`.
fn place_of(path: &Path) -> Option<(PathBuf, &'static dyn Parser)> {
    let reader = |place: &str| parser_for(place).or_else(|| deep_parser_for(place));
    let mut place = path.file_name()?.to_str()?.to_owned();
    let mut found = reader(&place).map(|reader| (place.clone(), reader));
    for folder in path.parent()?.components().rev() {
        let Component::Normal(folder) = folder else { break };
        place = format!("{}/{place}", folder.to_str()?);
        let is_new = |other: &&'static dyn Parser| {
            found.as_ref().is_none_or(|(_, reader)| reader.name() != other.name())
        };
        if let Some(other) = reader(&place).filter(is_new) {
            found = Some((place, other));
            break;
        }
    }
    found.map(|(place, reader)| (PathBuf::from(place), reader))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_placed_where_a_parser_expects_it() {
        for (path, place) in [
            ("/srv/app/package-lock.json", Some("package-lock.json")),
            ("/srv/.github/workflows/ci.yml", Some(".github/workflows/ci.yml")),
            ("Cargo.lock", Some("Cargo.lock")),
            ("../Cargo.lock", Some("Cargo.lock")),
            ("/srv/notes.odt", None),
            ("..", None),
            ("", None),
        ] {
            let found = place_of(Path::new(path)).map(|(place, _)| place);
            assert_eq!(found, place.map(PathBuf::from), "{path}");
        }
    }
}
