//! Metrics: plain atomics that the parts own, and the text format of Prometheus.
//!
//! Input: single observations. Output: counts, and lines of text. Invariants: observing never
//! blocks and never fails; nothing is global: each part owns its metrics and exposes them through
//! its handle.

mod histogram;
mod per_minute;
mod text;

pub use histogram::Histogram;
pub use per_minute::PerMinute;
pub use text::{Kind, Text};
