//! Perl: `cpanfile`, `META.json` and `cpanfile.snapshot`.
//!
//! Input: files that cpanm and Carton read and write. Output: modules of `cpanfile` and `META.json`, and
//! distributions of `cpanfile.snapshot`. Invariants: `perl` is the interpreter and not a package; modules and
//! distributions are not joined, because a module's name does not determine its distribution.

mod cpanfile;
mod meta;
mod snapshot;

pub(super) use cpanfile::CpanFile;
pub(super) use meta::CpanMeta;
pub(super) use snapshot::CpanSnapshot;
