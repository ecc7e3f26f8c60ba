//! Gradle: `build.gradle`, `build.gradle.kts`, and the scripts that those apply; locks and version
//! catalogs.
//!
//! What flows in: build scripts in Groovy and Kotlin, by "Declaring dependencies" and "Using
//! Plugins" of Gradle's manual. What flows out: each module and plugin that a script names, with
//! the versions that names defined in the same script stand for.
//!
//! Decisions. A plugin of the `plugins` block is a package under the name of its marker,
//! `id:id.gradle.plugin`; one of Gradle itself (no dot in its id) is none. A `platform` is a
//! package: unlike the BOM that Maven imports, Gradle lists it among what a configuration resolves to.
//! References to a version catalog are counted, not resolved: it is another file.
//!
//! What must stay true: nothing is run; projects, files and what Gradle brings along are no
//! packages; constraints are none either, but give versions.

mod build;
mod catalog;
mod configuration;
mod lock;
mod notation;
mod statement;

pub(super) use build::GradleBuild;
pub(super) use catalog::VersionCatalog;
pub(super) use lock::GradleLock;
