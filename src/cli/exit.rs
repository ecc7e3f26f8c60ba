//! The exit codes of all commands, and the help texts that explain them.

use std::process::ExitCode;

/// Exit codes of all commands, shown in the help of the program.
pub(super) const CODES: &str = "Exit codes: 0 success, 1 a repository failed, 2 usage or settings, \
    3 another server uses the jobs folder, 4 the server cannot be reached, 130 interrupted. \
    `scanwatch help COMMAND` explains the codes of a command.";

/// Of `serve`.
pub(super) const CODES_OF_SERVE: &str = "Exit codes: 0 stopped in order, 1 internal error, \
    2 usage or settings, 3 another server uses the jobs folder, 130 stopped at once.";

/// Of `agent`.
#[cfg(feature = "nats")]
pub(super) const CODES_OF_AGENT: &str = "Exit codes: 0 stopped in order, 2 usage or settings, or a NATS that \
    cannot be used, 3 another agent uses the folder, 130 stopped at once (running scans continue).";

/// Of `scan`.
pub(super) const CODES_OF_SCAN: &str = "Exit codes: 0 all repositories are scanned, 1 a repository failed, \
    or no repository of a group was scanned, 2 usage or settings, or the output cannot be written, \
    130 interrupted (what was finished is in FILE.partial for each --output FILE).";

/// Of `worker`.
pub(super) const CODES_OF_WORKER: &str = "Exit codes: 0 the repository is scanned, 1 the scan failed \
    (the status file has the cause), 2 usage or settings, 74 the status file cannot be written, 128 + N \
    ended by signal N.";

/// Of `config`.
pub(super) const CODES_OF_CONFIG: &str =
    "Exit codes: 0 success, 2 usage or settings, or the output cannot be written.";

/// Of commands that wait for jobs.
pub(super) const CODES_OF_WAITING: &str = "Exit codes: 0 every job is completed, \
    1 a job ended otherwise (completed_with_errors, all_failed, failed, timeout, cancelled), scanned no \
    repository, or was removed, 2 usage, settings, or a request that the server refused, 4 the server cannot be \
    reached, or was unreachable for too long, 130 interrupted (the jobs continue). Of several, the \
    highest.";

/// Of commands that send single requests to a server.
pub(super) const CODES_OF_REQUESTS: &str = "Exit codes: 0 success, 2 usage, settings, or a request \
    that the server refused, 4 the server cannot be reached, or is unavailable. Of several, the \
    highest.";

/// Of `top`.
#[cfg(feature = "top")]
pub(super) const CODES_OF_TOP: &str = "Exit codes: 0 ended by a key, 2 usage, settings, no terminal, or \
    credentials that the server refused, 4 the server cannot be reached at the start, 130 interrupted \
    (Ctrl-C, SIGTERM). While it runs, an outage ends nothing: it reconnects.";

/// Of `archive`.
#[cfg(feature = "archive")]
pub(super) const CODES_OF_ARCHIVE: &str = "Exit codes: 0 success, 1 the job is not in the archive, or is damaged \
    there, 2 usage, settings, a bucket that does not exist or denies access, or a folder that exists or cannot be written, \
    4 the object storage cannot be reached, or does not work, 130 interrupted.";

/// Of `results`.
pub(super) const CODES_OF_RESULTS: &str = "Exit codes: 0 success (failed repositories are listed on \
    standard error), 1 no repository completed, 2 usage, settings, or a job that is unfinished or \
    unknown, 4 the server cannot be reached, or is unavailable.";

/// Of `health`.
pub(super) const CODES_OF_HEALTH: &str = "Exit codes: 0 healthy, 1 degraded, 2 usage, settings, or \
    credentials that the server refused, 4 the server cannot be reached, or is unavailable.";

/// Of commands that only print built-in information.
pub(super) const CODES_OF_PRINTING: &str =
    "Exit codes: 0 success, 2 the output cannot be written, or usage.";

/// How a command ends. The order matters: of several results, the greatest is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Success.
    Done,
    /// A repository failed.
    Failed,
    /// The arguments or the settings are invalid, or something that they name cannot be used.
    Usage,
    /// Another server uses the jobs folder.
    Locked,
    /// The server cannot be reached, or is unavailable.
    Unreachable,
    /// Ctrl-C or SIGTERM ended the command.
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
