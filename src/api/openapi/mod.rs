//! The OpenAPI 3.1 document of the API.
//!
//! Input: the table of routes. Output: the document.
//!
//! Invariants: the document is built from the table that is served, and from nothing else.

mod describe;
mod document;
pub mod schema;

pub use document::{document, text};
