//! Maven: `pom.xml`, by the "POM Reference" and the "Introduction to the Dependency Mechanism".
//!
//! Input: each pom of a repository, parsed on its own in `pom`. Output, once all poms have been parsed: the
//! dependencies, plugins, annotation processors and extensions of each, with the versions that properties,
//! parents, `dependencyManagement` and imported BOMs of the repository define (`packages`). `.mvn/extensions.xml`,
//! `ivy.xml` and Bazel's `maven_install.json` are read on their own.
//!
//! Decisions. Poms of other repositories are not fetched: a version that only such a pom defines is unknown,
//! with a warning that names the pom, unless a local cache has that pom (`cached`). Scopes: `compile`,
//! `runtime` and none are runtime, `test` is test; `provided` and `system` are build, because such a package is used
//! to compile and test, and is not shipped; the scopes of Maven 4 count like those with similar names; `optional`
//! is optional, unless the scope is one of the last three; plugins, their dependencies, annotation processors
//! and extensions are build, and so are parents and imported BOMs outside the repository. Profiles count whether
//! or not they are active.
//!
//! Invariants: modules of the repository and entries that are only managed are not packages.

mod cached;
mod evaluate;
mod extensions;
mod imported;
mod inheritance;
mod install;
mod ivy;
mod ivy_names;
mod ivy_packages;
mod management;
mod module_metadata;
mod outside;
mod packages;
mod parents;
mod pom;
mod repository;
#[cfg(test)]
mod tests;

pub(super) use extensions::CoreExtensions;
pub(super) use imported::{Imported, Request, versions_of};
pub(super) use install::MavenInstall;
pub(super) use ivy::IvyFile;
pub(super) use ivy_names::IvyNames;
pub(super) use ivy_packages::resolve_ivy;
pub(super) use packages::resolve_poms;
pub(super) use pom::MavenPom;
