//! Routing: from a request to the handler of its route.
//!
//! Input: the routes of all resources. Output: a service that answers every request.
//!
//! Invariants: a route is declared once, with its path, access, documentation and handler; what is
//! served and what is documented come from the same value.

pub mod operation;
pub mod resource;
pub mod route;
pub mod router;
pub mod template;
