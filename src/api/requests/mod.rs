//! Requests: what is read of them before a handler runs, and why they are refused.
//!
//! Input: headers, queries and bodies as they were sent. Output: checked values, or an error that
//! names the rule.
//!
//! Invariants: nothing here knows a route; what a client sends is bounded before it is read.

pub mod body;
pub mod browser_guard;
pub(crate) mod forwarded;
pub(crate) mod header;
pub(crate) mod malformed;
pub(crate) mod members;
pub(crate) mod paging;
pub mod recover;
pub mod validation;
