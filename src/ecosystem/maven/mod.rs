//! Maven: `pom.xml`, by the "POM Reference" and the "Introduction to the Dependency Mechanism".
//!
//! Input: each pom of a repository, parsed on its own in `pom`. Output, once all poms have been parsed: the
//! dependencies, plugins and extensions of each, with the versions that properties, parents,
//! `dependencyManagement` and imported BOMs of the repository define (`packages`).
//!
//! Decisions. Poms of other repositories are not fetched: a version that only such a pom defines is unknown,
//! with a warning. Scopes: `compile`, `runtime` and none are runtime, `test` is test; `provided` and
//! `system` are build, because such a package is used to compile and test, and is not shipped; `optional`
//! is optional, unless the scope is one of the last three; plugins, their dependencies and extensions are
//! build. Profiles count whether or not they are active.
//!
//! Invariants: modules of the repository, imported BOMs, parents, and entries that are only managed are not
//! packages.

mod install;
mod management;
mod packages;
mod pom;
mod repository;
#[cfg(test)]
mod tests;

pub(super) use install::MavenInstall;
pub(super) use packages::resolve_poms;
pub(super) use pom::MavenPom;
