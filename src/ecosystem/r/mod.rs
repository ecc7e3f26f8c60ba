//! R: `renv.lock` and `DESCRIPTION`.
//!
//! Input: lock files of renv, and package descriptions. Output: packages of CRAN; those of Bioconductor and of
//! repositories have the same type, because the purl specification has no other for R. Invariants: `R` is the
//! interpreter and not a package.

mod description;
mod renv;

pub(super) use description::Description;
pub(super) use renv::RenvLock;
