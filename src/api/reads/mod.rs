//! Reads for answers: the threads that they run on, and the admission of expensive ones.
//!
//! Input: work that blocks. Output: results, or 503.
//!
//! Invariants: the number of threads is fixed, and expensive reads share a bounded memory.

pub(crate) mod admission;
pub(crate) mod pools;
