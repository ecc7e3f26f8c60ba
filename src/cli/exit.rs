//! The exit codes.

use std::process::ExitCode;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is done.
    Done,
    /// A repository failed.
    Failed,
    /// The arguments or the settings make no sense, or what they name cannot be used.
    Usage,
    /// The jobs folder is another server's.
    Locked,
    /// Ended by Ctrl-C or SIGTERM before it was done.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Locked => 3,
            Exit::Interrupted => 130,
        })
    }
}
