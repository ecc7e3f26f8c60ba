//! The result of the sandbox self-test: what a sandboxed scanner could still do.
//!
//! Input: attempts. Output: a report as JSON.

use serde::{Deserialize, Serialize};

/// The outcome of a self-test.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfTest {
    /// The configured mode: "auto", "require" or "off".
    pub sandbox: String,
    /// The Landlock interface version in effect; 0 without Landlock.
    pub landlock_abi: u8,
    pub seccomp: bool,
    pub no_new_privs: bool,
    /// The requested parts that are not in effect, with their reasons.
    pub missing: Vec<String>,
    pub attempts: Vec<Attempt>,
}

/// An action that a compromised scanner might try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// A description.
    pub what: String,
    pub outcome: Outcome,
    /// The kernel's error; empty if the attempt succeeded.
    pub said: String,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Permission was denied.
    Refused,
    /// It failed for another reason, which says nothing about the sandbox.
    Failed,
    /// It succeeded.
    Possible,
}

impl SelfTest {
    /// The attempts that succeeded.
    pub fn possible(&self) -> impl Iterator<Item = &str> {
        let possible = self.attempts.iter().filter(|attempt| attempt.outcome == Outcome::Possible);
        possible.map(|attempt| attempt.what.as_str())
    }

    /// How many attempts were refused.
    pub fn refused(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.outcome == Outcome::Refused).count()
    }
}
