//! Maven: `pom.xml`, by the "POM Reference" and the "Introduction to the Dependency Mechanism".
//!
//! What flows in: each pom of a repository, read on its own in `pom`. What flows out, once all
//! are read: the dependencies, plugins and extensions of each, with the versions that properties,
//! parents, `dependencyManagement` and imported BOMs of the repository give them (`packages`).
//!
//! Decisions. A pom that another repository holds is not fetched: what only it knows is a
//! package without a version, and a warning. Scopes: `compile`, `runtime` and none are runtime,
//! `test` is test; `provided` and `system` are build, since such a package is there to compile
//! and test against, and is not shipped; `optional` is optional, unless the scope is one of the
//! last three; plugins, what they depend on, and extensions are build. Profiles count, whether
//! or not they are active: they are asked for by someone.
//!
//! What must stay true: modules of the repository, imported BOMs, parents, and what is only
//! managed are no packages.

mod install;
mod management;
mod packages;
mod pom;
mod repository;
#[cfg(test)]
mod tests;

pub(super) use install::MavenInstall;
pub(super) use packages::resolve;
pub(super) use pom::MavenPom;
pub(super) use pom::Pom;
