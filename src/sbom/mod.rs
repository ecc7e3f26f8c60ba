//! Packages become a bill of materials that other tools read.
//!
//! What flows in: the results of one repository, or of a group. What flows out: a document that is valid by the schema of
//! its format. What must stay true: pure; the same result gives the same document to the byte,
//! apart from the time that it is given; no credentials of a URL appear in it.

mod components;
pub mod csv;
mod cyclonedx;
mod spdx;
mod subject;

pub use cyclonedx::cyclonedx;
pub use spdx::spdx;
pub use subject::Subject;
