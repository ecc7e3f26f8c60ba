//! R: `renv.lock` and `DESCRIPTION`.
//!
//! What flows in: what renv writes, and what packages and projects declare. What flows out: packages
//! of CRAN; those of Bioconductor and of repositories have the same type, for the purl specification
//! has no other for R. What must stay true: `R` is the interpreter, not a package.

mod description;
mod renv;

pub(super) use description::Description;
pub(super) use renv::RenvLock;
