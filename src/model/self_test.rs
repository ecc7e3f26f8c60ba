//! What a scanner that was shut in found out about its own sandbox, by trying to get out.

use serde::{Deserialize, Serialize};

/// The outcome of a self-test.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfTest {
    /// Whether a sandbox was asked for: "auto", "require" or "off".
    pub sandbox: String,
    /// The version of Landlock's interface that holds; 0 without it.
    pub landlock_abi: u8,
    pub seccomp: bool,
    pub no_new_privs: bool,
    /// What was asked for and does not hold, with its reason.
    pub missing: Vec<String>,
    pub attempts: Vec<Attempt>,
}

/// One thing that a scanner which was taken over might try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// In words.
    pub what: String,
    pub outcome: Outcome,
    /// What the kernel said; empty where it did as it was told.
    pub said: String,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// For want of permission.
    Refused,
    /// Not done, for another reason: it says nothing about the sandbox.
    Failed,
    /// Done.
    Possible,
}

impl SelfTest {
    /// What could be done.
    pub fn possible(&self) -> impl Iterator<Item = &str> {
        let possible = self.attempts.iter().filter(|it| it.outcome == Outcome::Possible);
        possible.map(|it| it.what.as_str())
    }

    /// How many attempts were refused.
    pub fn refused(&self) -> usize {
        self.attempts.iter().filter(|it| it.outcome == Outcome::Refused).count()
    }
}
