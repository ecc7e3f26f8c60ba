//! Files as a test writes and reads them: its own scripts, and status files by rename.

use serde_json::Value;
use std::{fs, path::Path};

/// Writes a file that no server watches.
#[expect(clippy::disallowed_methods, reason = "a test's own file, read when it is complete")]
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("cannot write {path:?}: {error}"));
}

/// Writes a file as scanners do: under another name first, then renamed.
pub(crate) fn replace(path: &Path, bytes: impl AsRef<[u8]>) {
    let name = path.file_name().expect("a file has a name").to_string_lossy();
    let part = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    write(&part, bytes);
    fs::rename(&part, path).unwrap_or_else(|error| panic!("cannot replace {path:?}: {error}"));
}

/// Reads a file as text; empty if it does not exist.
pub(crate) fn text(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads a JSON file; `None` if it does not exist.
pub(crate) fn json(path: &Path) -> Option<Value> {
    let bytes = fs::read(path).ok()?;
    match serde_json::from_slice(&bytes) {
        Ok(value) => Some(value),
        Err(error) => {
            panic!("{path:?} is no JSON ({error}): {:?}", String::from_utf8_lossy(&bytes))
        }
    }
}

/// Every file below a folder, without following links. What disappears in the meantime is left out.
pub(crate) fn below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) => files.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    files.sort();
    files
}
