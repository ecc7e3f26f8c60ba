//! Answers: how successful ones are built, what errors look like, and the headers of both.
//!
//! Input: values, streams and errors. Output: HTTP answers.
//!
//! Invariants: nothing here knows a route, a user or a connection.

pub(crate) mod archived;
pub(crate) mod content_coding;
pub mod error;
pub(crate) mod field_error;
pub mod if_none_match;
pub(crate) mod reply;
pub(crate) mod security_headers;
pub(crate) mod stream_body;
