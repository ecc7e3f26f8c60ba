//! Software bills of materials: documents in `CycloneDX` and SPDX, and CSV.
//!
//! Input: the results of one repository, or of a group, as [`Findings`]. Output: a [`Document`] that is
//! valid by the schema of its format, piece by piece.
//!
//! Invariants: pure; the same results give the same document to the byte, apart from the given time; no
//! credentials of a URL appear in it; memory is bounded by a [`Budget`].

mod components;
pub mod csv;
mod cyclonedx;
mod document;
mod facts;
mod findings;
#[cfg(test)]
mod in_memory;
mod pretty;
mod reach;
mod shared;
mod sorted;
mod spdx;
mod spdx3;
mod subject;
mod supplier;
mod writer;

pub use document::{Document, Format};
pub use findings::{Findings, Gone, Repository, Visit};
pub use pretty::Pretty;
pub use shared::Budget;
