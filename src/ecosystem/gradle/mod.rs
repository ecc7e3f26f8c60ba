//! Gradle: `build.gradle`, `build.gradle.kts` and the scripts that they apply; lock files and version
//! catalogs.
//!
//! Input: build scripts in Groovy and Kotlin, by "Declaring dependencies" and "Using Plugins" of Gradle's
//! manual. Output: each module and plugin that a script names, with the values of the names that it uses,
//! whichever file of the build defines them (`resolve`).
//!
//! Decisions. A plugin of the `plugins` block is a package under the name of its marker,
//! `id:id.gradle.plugin`; a core plugin (no dot in its id) and a plugin that the repository builds are not
//! packages. A `platform` is a package: Gradle lists it in the resolved configuration. A module without a version names
//! the platforms and BOMs of its script that may manage it (`platforms`). A reference to a version
//! catalog is the module in the catalog; references to a missing catalog are counted.
//!
//! Invariants: nothing is run; projects, files and parts of Gradle itself are not packages; constraints
//! are not packages either, but set versions.

mod blocks;
mod build;
mod catalog;
mod catalog_parts;
mod catalogs;
mod configuration;
mod lock;
mod loops;
mod names;
mod nebula_lock;
mod notation;
mod platforms;
mod plugins;
mod resolve;
mod script;
mod settings;
mod statement;
#[cfg(test)]
mod tests;
mod verification;
mod version;

pub(super) use build::GradleBuild;
pub(super) use catalog::VersionCatalog;
pub(super) use lock::GradleLock;
pub(super) use nebula_lock::NebulaLock;
pub(super) use resolve::resolve_builds;
pub(super) use verification::VerificationMetadata;
