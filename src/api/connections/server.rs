//! The accept loop.
//!
//! Input: a listening socket, and the routes. Output: served connections, and a report at the end.
//!
//! Invariants: the number of connections is limited, and a connection beyond the limit gets a 503
//! at once instead of waiting; an error of `accept` neither ends the loop nor makes it spin; every
//! task has an owner; a stop completes within its grace period, whatever the peers do.

use super::{
    activity::Activity,
    connection::{self, BoxError, Shared},
    limits::Limits,
    request_body::RequestBody,
    request_metrics::RequestMetrics,
    socket::Socket,
};
use crate::api::{answers::error::ApiError, tls::Tls};
use hyper::{Request, Response, body::Body};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

/// How many refused connections get their 503 at the same time; further ones are closed without an
/// answer.
const REFUSING: usize = 64;

/// How long a refused connection may take to read its answer.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The minimum and maximum backoff of `accept` after an error that would recur at once.
const REST: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// The minimum time between two log lines about `accept`.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The report of [`serve`] at its end.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ServeReport {
    /// Connections that were served.
    pub served: u64,
    /// Connections that were refused because of the limit.
    pub refused: u64,
    /// Connections that were still open when the grace period ended.
    pub dropped: usize,
}

/// Serves connections until `shutdown`, then waits for open ones for the grace period. With `tls`,
/// each connection starts with a handshake.
///
/// `service` answers every request; `context` makes the extension that the requests of a
/// connection get; `request_metrics` counts the connections. Open streams have to end by
/// themselves on the same token, or they use up the grace period.
pub async fn serve<S, B, C>(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    service: S,
    context: impl Fn(SocketAddr) -> C,
    limits: Limits,
    request_metrics: Arc<RequestMetrics>,
    shutdown: CancellationToken,
) -> ServeReport
where
    C: Clone + Send + Sync + 'static,
    S: tower_service::Service<Request<RequestBody>, Response = Response<B>>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let mut report = ServeReport::default();
    let tasks = TaskTracker::new();
    let shared = Arc::new(Shared::new(limits.clone(), shutdown.clone(), tasks.clone()));
    let permits = Arc::new(Semaphore::new(limits.max_connections));
    let refusing = Arc::new(Semaphore::new(REFUSING));
    let mut accept_errors = AcceptErrors::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if let Some(rest) = accept_errors.backoff_after(&error, Instant::now()) {
                    // A stop interrupts the backoff; the `select!` above then sees the token.
                    shutdown.run_until_cancelled(sleep(rest)).await;
                }
                continue;
            }
        };
        accept_errors.reset();
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            report.refused += 1;
            request_metrics.refuse();
            if let Ok(permit) = Arc::clone(&refusing).try_acquire_owned() {
                let tls = tls.as_ref().map(|tls| tls.refusing_acceptor());
                tasks.spawn(async move {
                    if !matches!(timeout(REFUSAL_TIMEOUT, refuse(stream, tls)).await, Ok(Ok(()))) {
                        debug!("refused connection closed before it read its answer");
                    }
                    drop(permit);
                });
            }
            continue;
        };
        report.served += 1;
        // Answers are written whole, and events must not be delayed. This fails only on dead
        // sockets.
        let _ = stream.set_nodelay(true);
        let activity = Arc::<Activity>::default();
        let socket = Socket::new(
            stream,
            permit,
            request_metrics.open(),
            Arc::clone(&activity),
            limits.write_timeout,
        );
        // The current certificate: it may be replaced at any time.
        let tls = tls.as_ref().map(|tls| tls.acceptor());
        let (service, shared) = (service.clone(), Arc::clone(&shared));
        tasks.spawn(connection::run(socket, tls, service, peer, context(peer), activity, shared));
    }
    drop(listener);
    tasks.close();
    // A WebSocket outlives the task of its connection and keeps its permit, so wait for the permits
    // too.
    let all_ended = async {
        tasks.wait().await;
        let all = u32::try_from(limits.max_connections).unwrap_or(u32::MAX);
        let _ = permits.acquire_many(all).await;
    };
    if timeout(limits.stop_grace, all_ended).await.is_err() {
        report.dropped = limits.max_connections - permits.available_permits();
        shared.cut.cancel();
        tasks.wait().await;
    }
    debug!(?report, "stopped serving");
    report
}

/// Answers a refused connection with 503, and lets the client read the answer.
async fn refuse(stream: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<()> {
    match tls {
        None => send_refusal(stream).await,
        Some(tls) => send_refusal(tls.accept(stream).await?).await,
    }
}

async fn send_refusal(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    static ANSWER: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let detail = "Too many connections".into();
        ApiError::Unavailable { detail, retry_after: Some(1) }.to_http1()
    });
    stream.write_all(&ANSWER).await?;
    stream.shutdown().await?;
    // Closing before the request is read would send a reset and destroy the answer.
    let mut space = [0; 1024];
    while stream.read(&mut space).await? > 0 {}
    Ok(())
}

/// The backoff and the log lines for errors of `accept`.
#[derive(Debug, Default)]
struct AcceptErrors {
    rest: Option<Duration>,
    logged: Option<Instant>,
    unlogged: u64,
}

impl AcceptErrors {
    /// Returns the backoff, or `None` if the error is only about the accepted connection. Logs the
    /// error, at most once per [`LOG_INTERVAL`].
    fn backoff_after(&mut self, error: &io::Error, now: Instant) -> Option<Duration> {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
        if matches!(
            error.kind(),
            ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
        ) {
            return None;
        }
        // Out of descriptors or memory: the connection stays in the backlog and the listener
        // readable.
        let (least, most) = REST;
        let rest = self.rest.map_or(least, |rest| (rest * 2).min(most));
        self.rest = Some(rest);
        if self.logged.is_some_and(|logged| now.duration_since(logged) < LOG_INTERVAL) {
            self.unlogged += 1;
        } else {
            warn!(
                %error,
                suppressed = self.unlogged,
                "cannot accept connections; retrying; raise LimitNOFILE if descriptors ran out"
            );
            self.logged = Some(now);
            self.unlogged = 0;
        }
        Some(rest)
    }

    /// A connection was accepted.
    fn reset(&mut self) {
        self.rest = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_backs_off_exponentially_when_descriptors_run_out() {
        let mut accept_errors = AcceptErrors::default();
        let exhausted = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        let now = Instant::now();
        let rests: Vec<_> =
            (0..9).filter_map(|_| accept_errors.backoff_after(&exhausted, now)).collect();
        let millis: Vec<_> = rests.iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(accept_errors.unlogged, 8, "one line for all errors");
        accept_errors.backoff_after(&exhausted, now + LOG_INTERVAL);
        assert_eq!(accept_errors.unlogged, 0);
        accept_errors.reset();
        assert_eq!(accept_errors.backoff_after(&exhausted, now), Some(REST.0));
    }

    #[test]
    fn an_aborted_connection_causes_no_backoff() {
        let aborted = io::Error::from(io::ErrorKind::ConnectionAborted);
        assert_eq!(AcceptErrors::default().backoff_after(&aborted, Instant::now()), None);
    }
}
