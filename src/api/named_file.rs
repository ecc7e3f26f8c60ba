//! Files that the settings name and that may change while the server runs: what is wrong with one,
//! and the look at all of them every so often.
//!
//! What flows in: time, and SIGHUP. What flows out: calls of what keeps such files. What must stay
//! true: no report to a client shows a path.

use crate::pool::Pool;
use std::{fmt, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// How long after a look that saw files in the midst of a change the next one comes.
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

    /// For clients, to whom the path is nothing.
    pub(super) fn without_path(&self) -> String {
        format!(
            "`{}` is not used as it is now, but as it was before: {}",
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

/// What holds things that are read from files.
pub trait NamedFiles: Send + Sync + 'static {
    /// Reads the files again if they have changed, or anyway.
    fn refresh(&self, anyway: bool) -> Look;
}

/// What a look at files has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// They are as they are meant to be, as far as one can tell.
    Settled,
    /// They may be in the midst of a change.
    Unsettled,
}

/// Looks at the files every so often, and reads them at once on SIGHUP, until the server stops.
/// A server without such files needs none of this.
///
/// SIGHUP is taken from the call on, not only from the first poll: before, it ends the process.
pub fn keep_current(
    files: Arc<impl NamedFiles>,
    every: Duration,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let mut hangup = signal(SignalKind::hangup())
        .inspect_err(|error| tracing::error!(%error, "cannot listen for SIGHUP"))
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
            // A panic is in the log already; the next look may go better.
            let look = pool.run(move || files.refresh(anyway)).await;
            let pause = if matches!(look, Ok(Look::Unsettled)) { SOON.min(every) } else { every };
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
