//! The routes of one resource, as a group of the documentation.
//!
//! Input: routes. Output: the entry of the table of all routes.
//!
//! Invariants: the order of the routes is the order of their documentation.

use super::route::Route;

/// The routes of one resource, in the order of their documentation.
#[derive(Debug)]
pub struct Resource {
    pub name: &'static str,
    pub about: &'static str,
    pub routes: Vec<Route>,
}
