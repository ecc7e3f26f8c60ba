//! What is counted, and how it is told: plain atomics that the parts hold themselves, and the text
//! format of Prometheus.
//!
//! Input: single observations. Output: their counts, and lines of text. What must
//! stay true: to observe never waits and never fails; nothing here is global, each part owns its
//! figures and hands them out by its handle.

mod histogram;
mod text;

pub use histogram::Histogram;
pub use text::{Kind, Text};
