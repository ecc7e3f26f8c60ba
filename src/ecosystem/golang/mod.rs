//! Go: `go.mod` and `vendor/modules.txt`.
//!
//! Input: files that the go command and people write. Output: modules by their path.
//!
//! Decisions. `go.sum` is not read: it has the checksums of every version that was ever considered, so it
//! may list several versions of a module, and modules that are not used. A `go.mod` from before Go 1.17
//! does not list all modules of the build, but `go.sum` does not identify them either. `go.work` names
//! folders of the repository, each with its own `go.mod`, which is read; its replacements apply only to
//! the developer's machine.
//!
//! Invariants: a module that is replaced by a folder is not a package; neither is anything that the files of
//! vendored modules declare.

mod module;
mod vendor;

pub(super) use module::GoMod;
pub(super) use vendor::{VendoredModules, drop_vendored_files};
