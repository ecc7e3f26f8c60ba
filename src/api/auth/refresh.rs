//! Keeps the files of users and tokens current: time and SIGHUP come in, new users go out.

use super::Auth;
use std::{sync::Arc, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// Looks at the files every so often, and reads them at once on SIGHUP, until the server stops.
/// A server without such files needs none of this.
///
/// SIGHUP is taken from the call on, not only from the first poll: before, it ends the process.
pub fn keep_current(
    auth: Arc<Auth>,
    every: Duration,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let mut hangup = signal(SignalKind::hangup())
        .inspect_err(|error| tracing::error!(%error, "cannot listen for SIGHUP"))
        .ok();
    async move {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let anyway = tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => false,
                () = received(hangup.as_mut()) => true,
            };
            let auth = Arc::clone(&auth);
            // A panic is in the log already; the next look may go better.
            let _ = spawn_blocking(move || auth.refresh(anyway)).await;
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
