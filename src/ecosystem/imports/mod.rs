//! Imports: what the sources of Python, Java and Scala name, whether or not a manifest declares it.
//!
//! ```text
//! every path ─► Imports::see ─┐
//! source ─► parser ─► Named ─► Imports::add ─► Imports::resolve ─► packages that nothing declares
//! ```
//!
//! What flows in: the paths of a repository, and the sources among them, one after the other.
//! What flows out: one package for each library that is imported and that no manifest or lock
//! file declares, at the place of its first import. Read only where a scan is asked to go deep:
//! there are many more sources than manifests.
//!
//! What must stay true: text in strings and comments is never an import; the standard libraries
//! and the repository's own modules are no packages; memory is bounded by names, never by
//! contents; the order of the files does not matter.
//!
//! Decisions. An import names a module, not a package: which package that is, the tables below
//! `tables/` say. A Python module that is not in them has the name of its package, as most have;
//! a package of the JVM that is not in them has no name that could be right, so it is a warning.

mod cursor;
mod gather;
mod java;
mod libraries;
mod names;
mod own;
mod place;
mod python;
mod resolve;
mod scala;
#[cfg(test)]
mod tests;

pub use gather::Imports;
pub(super) use names::Named;

use super::Parser;

/// The parsers of sources, in the order in which they are asked.
pub(super) static SOURCES: &[&dyn Parser] =
    &[&python::PythonImports, &java::JavaImports, &scala::ScalaImports];

/// The parser that reads the imports of a file, judged by its path alone.
pub fn source_parser_for(path: &str) -> Option<&'static dyn Parser> {
    SOURCES.iter().copied().find(|parser| parser.wants(path))
}

/// Whether a folder on the way to a file holds what tools installed there.
fn is_installed(path: &str) -> bool {
    path.split('/').any(|it| matches!(it, "site-packages" | "dist-packages" | "node_modules"))
}
