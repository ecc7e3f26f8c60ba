//! Go: `go.mod`, `go.sum`, `go.work` and `vendor/modules.txt`; `Gopkg.toml` and `Gopkg.lock` of dep.
//!
//! Input: files that the go command, dep and people write. Output: modules by their path.
//!
//! Decisions. `go.sum` has the checksums of every version that was ever considered, so it may list several
//! versions of a module, and modules that are not used. It counts only for a `go.mod` from before Go 1.17, which
//! does not list all modules of the build. `go.work` names the folders of a workspace, whose modules are not
//! packages; of its replacements, only those by folders count.
//!
//! Invariants: a module that is replaced by a folder is not a package; neither is anything that the files of
//! vendored modules declare.

mod dep;
mod module;
mod sum;
mod vendor;
mod work;

pub(super) use dep::{DepLock, DepManifest};
pub(super) use module::GoMod;
pub(super) use sum::{GoSum, resolve_sums};
pub(super) use vendor::{VendoredModules, drop_vendored_files};
pub(super) use work::GoWork;
