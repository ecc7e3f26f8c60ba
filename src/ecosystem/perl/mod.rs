//! Perl: `cpanfile`, `META.json` and `cpanfile.snapshot`.
//!
//! What flows in: what cpanm and Carton read and write. What flows out: the modules that the first two
//! ask for, the distributions that the last has chosen. What must stay true: `perl` is the interpreter,
//! not a package; a module's name does not tell its distribution, so the two are not joined.

mod cpanfile;
mod meta;
mod snapshot;

pub(super) use cpanfile::CpanFile;
pub(super) use meta::CpanMeta;
pub(super) use snapshot::CpanSnapshot;
