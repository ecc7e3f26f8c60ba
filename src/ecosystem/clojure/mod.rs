//! Clojure: `deps.edn` and `bb.edn` of the Clojure CLI and of Babashka, `project.clj` and `profiles.clj` of
//! Leiningen.
//!
//! Input: files in EDN, or in Clojure as far as it is data. Output: the libraries that they require.
//! Invariants: nothing is evaluated; libraries of local folders are parts of the repository.
//!
//! Decisions. A library is listed as `group:artifact`, with a purl of the type maven: the artifacts of Clojars
//! are Maven artifacts, and the purl specification has no type `clojars`. An unqualified name is group and
//! artifact. A library from git has the purl of its repository, because no Maven repository has it.

mod deps;
mod edn;
mod lein;
mod library;

pub(super) use deps::DepsEdn;
pub(super) use lein::Leiningen;
