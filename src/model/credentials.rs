//! A login, which is never printed.
//!
//! Input: settings, or a task. Output: a user name and a password. Invariants: the password is not part of the
//! debug format.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A user name and password for one repository's host.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Credentials {
    pub username: String,
    pub password: String,
    /// Whether they are sent only to a server that asks for them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub on_request: bool,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, …)", self.username)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
