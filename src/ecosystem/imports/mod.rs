//! Imports: the packages that Python, Java, Scala and JavaScript sources use, whether or not a manifest declares them.
//!
//! ```text
//! every path ─► Imports::see ─┐
//! source ─► parser ─► FileImports ─► Imports::add ─► list_undeclared ─► undeclared packages
//! ```
//!
//! Input: the paths of a repository, and its sources, one after the other. Output: one package for each
//! library that is imported and that no manifest or lock file declares, at its first import. Sources are
//! read in deep scans only, because there are many more sources than manifests.
//!
//! Invariants: text in strings and comments is never an import; the standard libraries and the
//! repository's own modules are not packages; memory is bounded by names, never by contents; the order of
//! the files does not matter.
//!
//! Decisions. An import names a module, not a package; the tables in `tables/` map modules to packages. A
//! Python module that is not in a table has the name of its package, as most do. For an unknown package of
//! the JVM there is no such rule, so it is a warning. A specifier of JavaScript names its package itself.

mod cursor;
mod gather;
mod java;
mod javascript;
mod libraries;
mod location;
mod names;
mod own;
mod python;
mod resolve;
mod scala;
#[cfg(test)]
mod tests;

pub use gather::Imports;
pub(super) use resolve::list_undeclared;

use super::Parser;

/// The parsers of sources, in the order in which they are tried.
pub(super) static SOURCES: &[&dyn Parser] = &[
    &python::PythonImports,
    &java::JavaImports,
    &scala::ScalaImports,
    &javascript::JavaScriptImports,
];

/// The parser of a source file's imports, by the path alone.
pub fn source_parser_for(path: &str) -> Option<&'static dyn Parser> {
    SOURCES.iter().copied().find(|parser| parser.wants(path))
}

/// Whether a path leads through a folder of installed packages.
fn is_installed(path: &str) -> bool {
    path.split('/')
        .any(|segment| matches!(segment, "site-packages" | "dist-packages" | "node_modules"))
}
