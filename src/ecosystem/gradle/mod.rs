//! Gradle: `build.gradle`, `build.gradle.kts`, and the scripts that those apply; locks and version
//! catalogs.
//!
//! What flows in: build scripts in Groovy and Kotlin, by "Declaring dependencies" and "Using
//! Plugins" of Gradle's manual. What flows out: each module and plugin that a script names, with
//! the versions that names stand for, whichever file of the build defines them (`resolve`).
//!
//! Decisions. A plugin of the `plugins` block is a package under the name of its marker,
//! `id:id.gradle.plugin`; one of Gradle itself (no dot in its id) is none. A `platform` is a
//! package: unlike the BOM that Maven imports, Gradle lists it among what a configuration resolves to.
//! A reference to a version catalog is the module that the catalog has, and counted where there is no
//! such catalog.
//!
//! What must stay true: nothing is run; projects, files and what Gradle brings along are no
//! packages; constraints are none either, but give versions.

mod build;
mod catalog;
mod configuration;
mod lock;
mod names;
mod notation;
mod resolve;
mod script;
mod statement;
mod verification;

pub(super) use build::GradleBuild;
pub(super) use catalog::VersionCatalog;
pub(super) use lock::GradleLock;
pub(super) use resolve::resolve;
pub(super) use script::GradleFile;
pub(super) use verification::VerificationMetadata;
