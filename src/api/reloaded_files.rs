//! Re-reads the files that the settings name, when they change while the server runs.
//!
//! Input: a timer, and SIGHUP. Output: calls of [`ReloadedFiles::refresh`]. The users, tokens and
//! certificates that these files contain are kept by `auth` and `tls`.
//!
//! Invariants: no report to a client contains a path.

use crate::pool::Pool;
use std::{fmt, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// The interval until the next check while the files may be in the middle of a change.
const SOON: Duration = Duration::from_millis(400);

/// A file that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    setting: &'static str,
    path: PathBuf,
    reason: String,
}

impl FileError {
    pub(super) fn new(setting: &'static str, path: PathBuf, reason: String) -> Self {
        Self { setting, path, reason }
    }

    /// The problem for clients, without the path.
    pub(super) fn without_path(&self) -> String {
        format!(
            "`{}` is invalid, so its previous content stays in use; correct the file: {}",
            self.setting, self.reason
        )
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}, {}", self.setting, self.path.display(), self.reason)
    }
}

impl std::error::Error for FileError {}

/// A component that keeps the content of files.
pub trait ReloadedFiles: Send + Sync + 'static {
    /// Re-reads the files if they have changed or if `anyway` is set.
    fn refresh(&self, anyway: bool) -> Reload;
}

/// The outcome of a check of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// The files are in their final state, as far as that can be determined.
    Settled,
    /// The files may be in the middle of a change.
    Unsettled,
}

/// Checks the files periodically, and re-reads them at once on SIGHUP, until the server stops.
///
/// SIGHUP is handled from the call on, not only from the first poll, because unhandled it would end
/// the process.
pub fn keep_current(
    files: Arc<impl ReloadedFiles>,
    every: Duration,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let mut hangup = signal(SignalKind::hangup())
        .inspect_err(|error| {
            tracing::error!(
                %error,
                "cannot handle SIGHUP; changed files are still re-read periodically"
            );
        })
        .ok();
    async move {
        let mut next = Instant::now();
        let pool = Pool::new("named-files", 1);
        loop {
            let anyway = tokio::select! {
                () = shutdown.cancelled() => return,
                () = sleep_until(next) => false,
                () = received(hangup.as_mut()) => true,
            };
            let files = Arc::clone(&files);
            // The pool has logged a panic; the next check may succeed.
            let look = pool.run(move || files.refresh(anyway)).await;
            let pause = if matches!(look, Ok(Reload::Unsettled)) { SOON.min(every) } else { every };
            next = Instant::now() + pause;
        }
    }
}

async fn received(hangup: Option<&mut Signal>) {
    let over = match hangup {
        Some(hangup) => hangup.recv().await.is_none(),
        None => true,
    };
    if over {
        std::future::pending::<()>().await;
    }
}
