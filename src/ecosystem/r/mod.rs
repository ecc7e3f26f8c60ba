//! R: `renv.lock` and `DESCRIPTION`.
//!
//! Input: lock files of renv, and package descriptions. Output: packages of CRAN, and of other sources as far as
//! the file states them. Invariants: `R` and the packages of priority "base" are the interpreter and not
//! packages.

mod description;
mod origin;
mod renv;

pub(super) use description::Description;
pub(super) use renv::RenvLock;
