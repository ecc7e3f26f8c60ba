//! Go: `go.mod` and `vendor/modules.txt`.
//!
//! What flows in: what the go command and people write. What flows out: modules by their path.
//!
//! Decisions. `go.sum` is not read: it holds the sums of every version that was ever looked at, so of a
//! module that is used it may list several, and of one that is not used, some. That a `go.mod` from
//! before Go 1.17 does not name all that is built is true, but no sum tells either. `go.work` names
//! folders of the repository, each with a `go.mod` of its own that is read; what it replaces, it replaces
//! on the machine of who works with it.
//!
//! What must stay true: a module that is replaced by a folder is no package.

mod module;
mod vendor;

pub(super) use module::GoMod;
pub(super) use vendor::VendoredModules;
