//! The exit codes.

use std::process::ExitCode;

/// The codes of all commands, below the help of the program.
pub(super) const CODES: &str = "Exit codes: 0 done, 1 a repository failed, 2 usage or settings, \
    3 the jobs folder is another server's, 4 the server cannot be reached, 130 interrupted. \
    `scanwatch help COMMAND` says what they mean there.";

/// Of `serve`.
pub(super) const CODES_OF_SERVE: &str = "Exit codes: 0 stopped in order, 1 a fault of its own, \
    2 usage or settings, 3 the jobs folder is another server's, 130 stopped at once.";

/// Of `scan`.
pub(super) const CODES_OF_SCAN: &str = "Exit codes: 0 all are scanned, 1 a repository failed, \
    2 usage or settings, 130 interrupted.";

/// Of `worker`.
pub(super) const CODES_OF_WORKER: &str = "Exit codes: 0 the repository is scanned, 1 it failed \
    (the status file says why), 2 usage or settings, 74 the status file cannot be written, 128 + N \
    ended by signal N.";

/// Of `config`.
pub(super) const CODES_OF_CONFIG: &str = "Exit codes: 0 done, 1 it cannot be written, \
    2 usage or settings.";

/// Of commands that wait for jobs.
pub(super) const CODES_OF_WAITING: &str = "Exit codes: 0 every job is completed, \
    1 a job ended otherwise (completed_with_errors, all_failed, failed, timeout, cancelled) or is \
    gone, 2 usage, settings, or a request that the server refused, 4 the server cannot be reached, \
    or was away for too long, 130 interrupted (the jobs go on). Of several, the greatest.";

/// Of commands that ask a server once.
pub(super) const CODES_OF_ASKING: &str = "Exit codes: 0 done, 2 usage, settings, or a request that \
    the server refused, 4 the server cannot be reached, or does not serve now. Of several, the \
    greatest.";

/// Of `results`.
pub(super) const CODES_OF_RESULTS: &str = "Exit codes: 0 done (what failed is named on standard \
    error), 1 no repository completed, 2 usage, settings, or a job that is not over or not there, \
    4 the server cannot be reached, or does not serve now.";

/// Of `health`.
pub(super) const CODES_OF_HEALTH: &str = "Exit codes: 0 healthy, 1 degraded, 2 usage, settings, or \
    credentials that the server refused, 4 the server cannot be reached, or does not serve now.";

/// Of commands that only print something of their own.
pub(super) const CODES_OF_PRINTING: &str = "Exit codes: 0 done, 2 it cannot be written, or usage.";

/// How a command ends; of several ends, the greatest is that of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All is done.
    Done,
    /// A repository failed.
    Failed,
    /// The arguments or the settings make no sense, or what they name cannot be used.
    Usage,
    /// The jobs folder is another server's.
    Locked,
    /// The server cannot be reached, or does not serve now.
    Unreachable,
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
            Exit::Unreachable => 4,
            Exit::Interrupted => 130,
        })
    }
}
